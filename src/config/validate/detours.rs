//! That the routes which others lead to by their names are there.
//!
//! Rules, errors and what files end with may name them; whether a request ever comes there is not asked.

use std::collections::BTreeSet;

use crate::config::action::RouteAction;
use crate::config::detours::Detours;
use crate::config::diagnostic::Diagnostic;
use crate::config::files::Last;
use crate::config::model::Site;
use crate::config::schema::reader::Context;
use crate::config::source::Span;
use crate::config::suggest::nearest;
use crate::types::path::PathPattern;

/// Refuses a site whose rules, errors or files lead to a route that it does not have.
pub(super) fn check_names(site: &Site, at: Span, context: Context<'_>) {
    let known: BTreeSet<&str> = site
        .routes
        .iter()
        .filter_map(|route| match &route.path {
            PathPattern::Named(name) => Some(&**name),
            _ => None,
        })
        .collect();
    let of_routes = site.routes.iter().map(|route| &route.detours);
    let mut wanted: BTreeSet<&str> = [&site.detours]
        .into_iter()
        .chain(of_routes)
        .flat_map(Detours::names)
        .collect();
    for route in &site.routes {
        if let RouteAction::Files(files) = &route.action
            && let Some(attempts) = &files.attempts
            && let Last::Route(name) = &attempts.last
        {
            wanted.insert(name.trim_start_matches('@'));
        }
    }
    for name in wanted.difference(&known) {
        let message = format!("site `{}` has no route called `{name}`", site.name());
        let fault = Diagnostic::error("unknown-route", at.clone(), message);
        let fault = fault.did_you_mean(nearest(name, known.iter().copied()));
        context
            .sink
            .push(fault.hint(format!("give it a route with `name = \"{name}\"`")));
    }
}
