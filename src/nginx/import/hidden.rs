//! `proxy_hide_header` and `proxy_pass_header` as `hide_headers`: what clients do not see of an upstream's answers.
//!
//! nginx tells nobody what program an upstream is. After `accel` has been set: where what an upstream orders is not acted on,
//! its orders are hidden all the same, as nginx does.

use super::Import;
use super::draft::{self, Draft};
use super::heads::is_said_anew;
use crate::nginx::model::Scope;
use crate::nginx::tree::Directive;

/// What upstreams tell nginx, and nobody else.
const ORDERS: [&str; 5] = [
    "X-Accel-Redirect",
    "X-Accel-Limit-Rate",
    "X-Accel-Buffering",
    "X-Accel-Expires",
    "X-Accel-Charset",
];

/// Sets `hide_headers` of a route that proxies.
pub(super) fn of_route<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
    family: &str,
    route: &mut Draft,
) {
    let ignored = scope.one(&format!("{family}_ignore_headers")).is_some();
    let passed = scope.all(&format!("{family}_pass_header"));
    let is_passed = |name: &&&str| {
        let mut passed = passed.iter();
        passed.any(|own| own.argument(0).eq_ignore_ascii_case(name))
    };
    let orders = match ignored && route.get("accel").is_none() {
        true => &ORDERS[..],
        false => &[],
    };
    let always = ["Server"].iter().chain(orders);
    let always: Vec<_> = always.filter(|name| !is_passed(name)).collect();
    let mut hidden: Vec<&Directive> = Vec::new();
    for own in scope.all(&format!("{family}_hide_header")) {
        let name = own.argument(0).to_ascii_lowercase();
        if is_said_anew(&name) {
            let what = "the upstream's own never passes: hubgate says it anew";
            import.ledger.not_needed(own, what);
            continue;
        }
        import.ledger.carried(own, "`hide_headers` of its routes");
        if !own.argument(0).eq_ignore_ascii_case("server") {
            hidden.push(own);
        }
    }
    if !(hidden.is_empty() && always.is_empty()) {
        let names = hidden.iter().map(|own| own.argument(0).into_owned());
        let names = names.chain(always.into_iter().map(|name| (*name).to_owned()));
        route.set("hide_headers", draft::texts(names), hidden.last().copied());
    }
}
