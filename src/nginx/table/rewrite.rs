//! Directives of nginx's modules for rewriting, variables and maps.
//!
//! One row each, in the order of their names; what the columns mean is in `rule`.
#![deny(clippy::disallowed_methods)]

use super::rule::context::{HTTP, LIMIT_EXCEPT, LOCATION, LOCATION_IF, SERVER, SERVER_IF};
use super::rule::{Form, Rule, any, between, exactly, rule};

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    rule("ancient_browser", any(1), &[HTTP, SERVER, LOCATION]).inherited().not_needed("for browsers that are gone"),
    rule("ancient_browser_value", exactly(1), &[HTTP, SERVER, LOCATION]).inherited().not_needed("for browsers that are gone"),
    rule("break", exactly(0), &[SERVER, LOCATION, SERVER_IF, LOCATION_IF]).carried("`rules`"),
    rule("geo", between(1, 2), &[HTTP]).block().carried("`[geo.NAME]`, where something that is carried names it"),
    rule("geoip_city", between(1, 2), &[HTTP]).lost("hubgate has no table of countries"),
    rule("geoip_country", between(1, 2), &[HTTP]).lost("hubgate has no table of countries"),
    rule("geoip_org", between(1, 2), &[HTTP]).lost("hubgate has no table of countries"),
    rule("geoip_proxy", exactly(1), &[HTTP]).lost("hubgate has no table of countries"),
    rule("geoip_proxy_recursive", exactly(1), &[HTTP]).lost("hubgate has no table of countries"),
    rule("if", any(1), &[SERVER, LOCATION]).block().carried("`rules`"),
    rule("map", exactly(2), &[HTTP]).block().carried("`[map.NAME]`, where something that is carried names it"),
    rule("map_hash_bucket_size", exactly(1), &[HTTP]).form(Form::Number).once().not_needed("tables grow as they need"),
    rule("map_hash_max_size", exactly(1), &[HTTP]).form(Form::Number).once().not_needed("tables grow as they need"),
    rule("modern_browser", between(1, 2), &[HTTP, SERVER, LOCATION]).inherited().not_needed("for browsers that are gone"),
    rule("modern_browser_value", exactly(1), &[HTTP, SERVER, LOCATION]).inherited().not_needed("for browsers that are gone"),
    rule("perl", exactly(1), &[LOCATION, LIMIT_EXCEPT]).lost("hubgate runs no Perl"),
    rule("perl_modules", exactly(1), &[HTTP]).lost("hubgate runs no Perl"),
    rule("perl_require", exactly(1), &[HTTP]).lost("hubgate runs no Perl"),
    rule("perl_set", exactly(2), &[HTTP]).lost("hubgate runs no Perl"),
    rule("referer_hash_bucket_size", exactly(1), &[SERVER, LOCATION]).form(Form::Number).once().inherited().not_needed("tables grow as they need"),
    rule("referer_hash_max_size", exactly(1), &[SERVER, LOCATION]).form(Form::Number).once().inherited().not_needed("tables grow as they need"),
    rule("return", between(1, 2), &[SERVER, LOCATION, SERVER_IF, LOCATION_IF]).carried("`respond` or `redirect`; a redirect of everything to https becomes `http = \"redirect\"`"),
    rule("rewrite", between(2, 3), &[SERVER, LOCATION, SERVER_IF, LOCATION_IF]).carried("`rules`"),
    rule("rewrite_log", exactly(1), &[HTTP, SERVER, LOCATION, SERVER_IF, LOCATION_IF]).form(Form::Flag).once().inherited().not_needed("about nginx's own log"),
    rule("secure_link", exactly(1), &[HTTP, SERVER, LOCATION]).once().inherited().carried("`[signed.NAME]`"),
    rule("secure_link_md5", exactly(1), &[HTTP, SERVER, LOCATION]).once().inherited().carried("`[signed.NAME]`"),
    rule("secure_link_secret", exactly(1), &[HTTP, SERVER, LOCATION]).once().carried("`[signed.NAME]`"),
    rule("set", exactly(2), &[SERVER, LOCATION, SERVER_IF, LOCATION_IF]).carried("`rules`"),
    rule("split_clients", exactly(2), &[HTTP]).block().carried("`[split.NAME]`, where something that is carried names it"),
    rule("uninitialized_variable_warn", exactly(1), &[HTTP, SERVER, LOCATION, SERVER_IF, LOCATION_IF]).form(Form::Flag).once().inherited().not_needed("about nginx's own log"),
    rule("userid", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Word).once().inherited().lost("hubgate gives visitors no cookie"),
    rule("userid_domain", exactly(1), &[HTTP, SERVER, LOCATION]).once().inherited().lost("hubgate gives visitors no cookie"),
    rule("userid_expires", exactly(1), &[HTTP, SERVER, LOCATION]).once().inherited().lost("hubgate gives visitors no cookie"),
    rule("userid_flags", between(1, 3), &[HTTP, SERVER, LOCATION]).form(Form::Word).inherited().lost("hubgate gives visitors no cookie"),
    rule("userid_mark", exactly(1), &[HTTP, SERVER, LOCATION]).inherited().lost("hubgate gives visitors no cookie"),
    rule("userid_name", exactly(1), &[HTTP, SERVER, LOCATION]).once().inherited().lost("hubgate gives visitors no cookie"),
    rule("userid_p3p", exactly(1), &[HTTP, SERVER, LOCATION]).once().inherited().lost("hubgate gives visitors no cookie"),
    rule("userid_path", exactly(1), &[HTTP, SERVER, LOCATION]).once().inherited().lost("hubgate gives visitors no cookie"),
    rule("userid_service", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Number).once().inherited().lost("hubgate gives visitors no cookie"),
    rule("valid_referers", any(1), &[SERVER, LOCATION]).inherited().carried("`referers` of site and route"),
];
