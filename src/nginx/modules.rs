//! Modules that a configuration loads: those whose directives the table has, and others'.
//!
//! A module that nobody here knows may bring directives and variables; then what is unknown is not refused. Pure.
#![deny(clippy::disallowed_methods)]

use super::table;
use super::tree::Directive;

/// nginx's own modules that it loads rather than has built in.
const OWN: &[&str] = &[
    "ngx_stream_module.so",
    "ngx_mail_module.so",
    "ngx_http_geoip_module.so",
    "ngx_http_image_filter_module.so",
    "ngx_http_perl_module.so",
    "ngx_http_xslt_filter_module.so",
    "ngx_stream_geoip_module.so",
];

/// Whether a module is loaded that is none of nginx's own.
pub(super) fn loads_foreign(directives: &[Directive]) -> bool {
    let mut loads = directives.iter().filter(|own| own.is("load_module"));
    loads.any(|own| {
        let path = own.argument(0);
        let file = path.rsplit('/').next().unwrap_or_default();
        !OWN.contains(&file)
    })
}

/// Whether a module is loaded, or a directive is there, that is none of nginx's own.
pub(super) fn has_foreign(directives: &[Directive]) -> bool {
    loads_foreign(directives) || unknown(directives)
}

fn unknown(directives: &[Directive]) -> bool {
    directives.iter().any(|own| {
        let rows = matches!(own.block, Some(super::Block::Rows(_)));
        table::rules(&own.name()).next().is_none() || (!rows && unknown(own.children()))
    })
}

/// What a module that is loaded calls itself: nginx's own by their file.
pub(super) fn name(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or_default();
    file.strip_suffix(".so").unwrap_or(file)
}
