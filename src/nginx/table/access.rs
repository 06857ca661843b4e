//! Directives of nginx's modules for access, passwords and limits.
//!
//! One row each, in the order of their names; what the columns mean is in `rule`.
#![deny(clippy::disallowed_methods)]

use super::rule::context::{HTTP, LIMIT_EXCEPT, LOCATION, LOCATION_IF, SERVER};
use super::rule::{Form, Rule, any, between, exactly, rule};

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    rule("allow", exactly(1), &[HTTP, SERVER, LOCATION, LIMIT_EXCEPT]).inherited().carried("`rules` of the route's `access`"),
    rule("auth_basic", exactly(1), &[HTTP, SERVER, LOCATION, LIMIT_EXCEPT]).once().inherited().carried("`basic` of the route's `access`"),
    rule("auth_basic_user_file", exactly(1), &[HTTP, SERVER, LOCATION, LIMIT_EXCEPT]).once().inherited().carried("`basic.file` of the route's `access`, followed"),
    rule("auth_delay", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Time).once().inherited().carried("`delay` of the route's `access`"),
    rule("auth_request", exactly(1), &[HTTP, SERVER, LOCATION]).once().inherited().carried("`ask` of the route's `access`"),
    rule("auth_request_set", exactly(2), &[HTTP, SERVER, LOCATION]).inherited().carried("`ask.take` of the route's `access`"),
    rule("deny", exactly(1), &[HTTP, SERVER, LOCATION, LIMIT_EXCEPT]).inherited().carried("`rules` of the route's `access`"),
    rule("limit_conn", exactly(2), &[HTTP, SERVER, LOCATION]).inherited().carried("`concurrency` of the route's `limits`"),
    rule("limit_conn_dry_run", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Flag).once().inherited().carried("`dry_run` of the route's `limits`"),
    rule("limit_conn_log_level", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Word).once().inherited().carried("`log` of the route's `limits`"),
    rule("limit_conn_status", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Number).once().inherited().carried("`status` of the route's `limits`"),
    rule("limit_conn_zone", exactly(2), &[HTTP]).carried("a `[concurrency.NAME]`"),
    rule("limit_except", any(1), &[LOCATION]).block().once().carried("`others` of the route's `access`"),
    rule("limit_rate", exactly(1), &[HTTP, SERVER, LOCATION, LOCATION_IF]).once().inherited().carried("`bandwidth` of the route's `limits`"),
    rule("limit_rate_after", exactly(1), &[HTTP, SERVER, LOCATION, LOCATION_IF]).once().inherited().carried("`after` of the route's `limits`"),
    rule("limit_req", between(1, 3), &[HTTP, SERVER, LOCATION]).inherited().carried("`rates` of the route's `limits`"),
    rule("limit_req_dry_run", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Flag).once().inherited().carried("`dry_run` of the route's `limits`"),
    rule("limit_req_log_level", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Word).once().inherited().carried("`log` of the route's `limits`"),
    rule("limit_req_status", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Number).once().inherited().carried("`status` of the route's `limits`"),
    rule("limit_req_zone", exactly(3), &[HTTP]).carried("a `[rate.NAME]`"),
    rule("real_ip_header", exactly(1), &[HTTP, SERVER, LOCATION]).once().inherited().carried("`client_address` of site and route; `listen.proxy_protocol_from` with `proxy_protocol`"),
    rule("real_ip_recursive", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Flag).once().inherited().carried("`recursive` of `client_address`"),
    rule("satisfy", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Word).once().inherited().carried("`need` of the route's `access`"),
    rule("set_real_ip_from", exactly(1), &[HTTP, SERVER, LOCATION]).inherited().carried("`client_address` of site and route; `listen.proxy_protocol_from` with `proxy_protocol`"),
];
