//! `rules`, `errors` and `own_errors`, which stand together in sites and routes.
//!
//! Each has its own file; this reads them all.

use super::errors::errors;
use super::reader::{Context, Reader, value};
use super::rules::rules;
use super::{Key, Kind};
use crate::config::detours::Detours;

pub(super) const OWN_ERRORS: Key = Key::new(
    "own_errors",
    Kind::Word(&["pass", "intercept"]),
    "\"pass\"",
    "Whether `errors` are only about what hubgate answers itself, or about the upstream's own errors too (\"intercept\").",
);

pub(super) const ERRORS_AGAIN: Key = Key::new(
    "errors_again",
    Kind::Flag,
    "false",
    "Whether `errors` count for errors on the way to an error's page, too: a page that is not there may have one of its own. A request is routed anew 10 times at most.",
);

/// Of a site: its upstreams' errors are its routes' affair.
pub(super) fn of_site(reader: &Reader<'_>, context: Context<'_>) -> Option<Detours> {
    let (rules, errors) = (rules(reader, context), errors(reader, context));
    let again = reader.flag("errors_again");
    Some(Detours {
        rules: rules?,
        errors: errors?,
        again: value(again)?,
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
