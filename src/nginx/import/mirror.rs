//! `mirror` and `mirror_request_body` as a route's `mirror`.
//!
//! The location that a mirror's path leads to is a route like any other.

use super::Import;
use super::draft::{self, Draft};
use crate::nginx::model::Scope;

/// Sets the key of a route.
pub(super) fn of_scope<'t>(import: &mut Import<'t>, scope: &Scope<'t>, route: &mut Draft) {
    let all = scope.all("mirror");
    let own = all.iter().filter(|own| own.argument(0) != "off");
    let mut paths = Vec::new();
    for own in own {
        let path = own.argument(0);
        if path.starts_with('/') && !path.contains(['?', '#', ' ']) {
            paths.push(path.into_owned());
        } else {
            import
                .ledger
                .lost(own, "no path of a route: nothing is mirrored");
        }
    }
    if paths.is_empty() {
        return;
    }
    let body = scope.flag("mirror_request_body", true);
    let value = format!("{{ paths = {}, body = {body} }}", draft::texts(paths));
    route.set("mirror", value, all.last().copied());
}
