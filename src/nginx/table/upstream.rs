//! Directives of nginx's modules for upstreams.
//!
//! One row each, in the order of their names; what the columns mean is in `rule`.
#![deny(clippy::disallowed_methods)]

use super::rule::context::UPSTREAM;
use super::rule::{Form, Rule, any, between, exactly, rule};

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    rule("hash", between(1, 2), &[UPSTREAM]).carried("`balance = \"hash\"`"),
    rule("ip_hash", exactly(0), &[UPSTREAM]).carried("`balance = \"hash\"`"),
    rule("keepalive", exactly(1), &[UPSTREAM]).form(Form::Word).once().carried("`keep_alive` of the upstream"),
    rule("keepalive_requests", exactly(1), &[UPSTREAM]).form(Form::Number).once().carried("`keep_alive_requests` of the upstream"),
    rule("keepalive_time", exactly(1), &[UPSTREAM]).form(Form::Time).once().carried("`keep_alive_age` of the upstream"),
    rule("keepalive_timeout", exactly(1), &[UPSTREAM]).form(Form::Time).once().carried("`timeouts.keep_alive`; in `upstream` `keep_alive_idle`"),
    rule("least_conn", exactly(0), &[UPSTREAM]).carried("`balance = \"least-requests\"`"),
    rule("random", between(0, 2), &[UPSTREAM]).carried("`balance`"),
    rule("server", any(1), &[UPSTREAM]).carried("a `[site]`, an endpoint in `upstream`, a `[[stream]]` in `stream`"),
    rule("zone", between(1, 2), &[UPSTREAM]).not_needed("state of endpoints is shared by all workers as it is"),
];
