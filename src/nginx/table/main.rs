//! Directives of nginx's modules for main and events.
//!
//! One row each, in the order of their names; what the columns mean is in `rule`.
#![deny(clippy::disallowed_methods)]

use super::rule::context::{ANYWHERE, EVENTS, MAIN};
use super::rule::{Form, Rule, any, between, exactly, rule};

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    rule("accept_mutex", exactly(1), &[EVENTS]).form(Form::Flag).once().not_needed("how connections are waited for and shared out is hubgate's affair"),
    rule("accept_mutex_delay", exactly(1), &[EVENTS]).form(Form::Time).once().not_needed("how connections are waited for and shared out is hubgate's affair"),
    rule("daemon", exactly(1), &[MAIN]).form(Form::Flag).once().not_needed("called as `nginx` hubgate obeys it; else it runs in the foreground and systemd keeps it"),
    rule("debug_connection", exactly(1), &[EVENTS]).not_needed("`log.level` can be raised for single modules"),
    rule("debug_points", exactly(1), &[MAIN]).form(Form::Word).once().not_needed("`log.level` can be raised for single modules"),
    rule("env", exactly(1), &[MAIN]).not_needed("hubgate reads no environment for requests"),
    rule("epoll_events", exactly(1), &[EVENTS]).form(Form::Number).once().not_needed("a detail of how nginx works inside"),
    rule("error_log", any(1), &[MAIN]).carried("`log.logs`, and `access_log.events` of sites, routes and streams"),
    rule("events", exactly(0), &[MAIN]).block().once().not_needed("how connections are waited for and shared out is hubgate's affair"),
    rule("http", exactly(0), &[MAIN]).block().once().carried("the configuration as a whole"),
    rule("include", exactly(1), ANYWHERE).not_needed("what it names is read in its place"),
    rule("load_module", exactly(1), &[MAIN]).not_needed("everything is built in"),
    rule("lock_file", exactly(1), &[MAIN]).once().not_needed("systemd knows the process; the admin socket is how it is told"),
    rule("mail", exactly(0), &[MAIN]).block().once().lost("hubgate passes on mail unopened only, as a `[[stream]]`"),
    rule("master_process", exactly(1), &[MAIN]).form(Form::Flag).once().not_needed("hubgate runs in the foreground as one process; systemd keeps it"),
    rule("multi_accept", exactly(1), &[EVENTS]).form(Form::Flag).once().not_needed("how connections are waited for and shared out is hubgate's affair"),
    rule("pcre_jit", exactly(1), &[MAIN]).form(Form::Flag).once().not_needed("regular expressions and TLS are hubgate's own"),
    rule("pid", exactly(1), &[MAIN]).once().not_needed("called as `nginx` hubgate writes it; else `server.pid_file` can name one"),
    rule("ssl_engine", exactly(1), &[MAIN]).not_needed("regular expressions and TLS are hubgate's own"),
    rule("stream", exactly(0), &[MAIN]).block().once().carried("`[[stream]]`"),
    rule("thread_pool", between(2, 3), &[MAIN]).not_needed("how bytes are moved is hubgate's affair"),
    rule("timer_resolution", exactly(1), &[MAIN]).form(Form::Time).once().not_needed("clocks are read when they are needed"),
    rule("use", exactly(1), &[EVENTS]).once().not_needed("how connections are waited for and shared out is hubgate's affair"),
    rule("user", between(1, 2), &[MAIN]).once().not_needed("called as `nginx` by root it is `server.worker_user`; else the unit says who runs hubgate"),
    rule("worker_aio_requests", exactly(1), &[EVENTS]).form(Form::Number).once().not_needed("how connections are waited for and shared out is hubgate's affair"),
    rule("worker_connections", exactly(1), &[EVENTS]).once().carried("`limits.connections`"),
    rule("worker_cpu_affinity", any(1), &[MAIN]).once().not_needed("the scheduler and the unit's `CPUAffinity`, `Nice` see to it"),
    rule("worker_priority", exactly(1), &[MAIN]).once().not_needed("the scheduler and the unit's `CPUAffinity`, `Nice` see to it"),
    rule("worker_processes", exactly(1), &[MAIN]).once().carried("`server.workers`"),
    rule("worker_rlimit_core", exactly(1), &[MAIN]).form(Form::Offset).once().not_needed("the unit's `LimitCORE` and `WorkingDirectory`"),
    rule("worker_rlimit_nofile", exactly(1), &[MAIN]).form(Form::Number).once().not_needed("hubgate raises its own limit as far as it may; the unit's `LimitNOFILE` is the bound"),
    rule("worker_shutdown_timeout", exactly(1), &[MAIN]).form(Form::Time).once().not_needed("called as `nginx` it is `server.drain_timeout`, which bounds a stop; a reload ends no connection"),
    rule("working_directory", exactly(1), &[MAIN]).once().not_needed("the unit's `LimitCORE` and `WorkingDirectory`"),
];
