//! What nginx refuses of a directive's words, beyond their number and their form.
//!
//! Each file knows one kind of words and gives nginx's sentence to the letter; where it is told is `read`'s affair. Pure:
//! names are not looked up here, and no file is opened. Invariant: nothing that nginx 1.22 takes is refused.
#![deny(clippy::disallowed_methods)]

mod caches;
mod condition;
mod expression;
mod geo;
mod listen;
mod logs;
mod rows;
mod url;
mod variables;
mod warnings;
mod words;
mod zones;

use super::table::Context;
use super::tree::Directive;

pub(super) use geo::table as of_geo_table;
pub(super) use listen::shown;
pub(super) use logs::server as syslog_server;
pub(super) use rows::{of_geo, of_map, of_range, too_much};
pub(super) use url::{Host, Kind, Url, host_of_pass, is_pass, upstreams};
pub(super) use variables::unknown;
pub(super) use warnings::{
    of as warnings, of_rows as warnings_of_rows, of_upstream as warnings_of_upstream,
};

pub(super) use words::spell;

/// Why a directive is refused for its words.
pub(super) fn refusal(directive: &Directive, context: Context) -> Option<String> {
    listen::refusal(directive, context)
        .or_else(|| url::refusal(directive, context))
        .or_else(|| condition::refusal(directive, context))
        .or_else(|| logs::refusal(directive))
        .or_else(|| words::refusal(directive, context))
        .or_else(|| caches::refusal(directive))
        .or_else(|| zones::refusal(directive, context))
        .or_else(|| variables::refusal(directive, context))
}
