//! Directives of nginx's modules for logs.
//!
//! One row each, in the order of their names; what the columns mean is in `rule`.
#![deny(clippy::disallowed_methods)]

use super::rule::context::{HTTP, LIMIT_EXCEPT, LOCATION, LOCATION_IF, SERVER};
use super::rule::{Rule, any, between, rule};

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    rule("access_log", any(1), &[HTTP, SERVER, LOCATION, LOCATION_IF, LIMIT_EXCEPT]).inherited().carried("`[access_log]`"),
    rule("error_log", any(1), &[HTTP, SERVER, LOCATION]).inherited().carried("`log.logs`, and `access_log.events` of sites, routes and streams"),
    rule("log_format", any(2), &[HTTP]).carried("`access_log.format`"),
    rule("open_log_file_cache", between(1, 4), &[HTTP, SERVER, LOCATION]).inherited().not_needed("hubgate keeps its files open as it needs"),
];
