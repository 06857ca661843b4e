//! `rules`, `errors` and `own_errors`, which stand together in sites and routes.
//!
//! Each has its own file; this reads them all.

use super::errors::errors;
use super::reader::{Context, Reader};
use super::rules::rules;
use super::{Key, Kind};
use crate::config::detours::Detours;

pub(super) const OWN_ERRORS: Key = Key::new(
    "own_errors",
    Kind::Word(&["pass", "intercept"]),
    "\"pass\"",
    "Whether `errors` are only about what hubgate answers itself, or about the upstream's own errors too (\"intercept\").",
);

/// Of a site: its upstreams' errors are its routes' affair.
pub(super) fn of_site(reader: &Reader<'_>, context: Context<'_>) -> Option<Detours> {
    let (rules, errors) = (rules(reader, context), errors(reader, context));
    Some(Detours {
        rules: rules?,
        errors: errors?,
        intercepts: false,
    })
}

/// Of a route.
pub(super) fn of_route(reader: &Reader<'_>, context: Context<'_>) -> Option<Detours> {
    let word = reader.word("own_errors");
    let detours = of_site(reader, context);
    Some(Detours {
        intercepts: word?.value == "intercept",
        ..detours?
    })
}
