//! What a location without a pass answers: `return` as `respond` or `redirect`, else files.
//!
//! Sets one of these keys of a route; `rules` that come before it are not its affair.

use super::Import;
use super::draft::{self, Draft};
use super::route::body_limit;
use super::rules;
use super::{access, clients, errors, files, heads, limits, log, mirror};
use crate::nginx::model::{Kind, Location, Scope};
use crate::nginx::table::Context;
use crate::nginx::tree::Directive;

/// A route for a location that answers by itself.
pub(super) fn answered<'t>(
    import: &mut Import<'t>,
    site: &str,
    location: &Location<'t>,
    key: &str,
    path: &str,
) -> Option<Draft> {
    let directive = location.directive;
    let mut route = Draft::new(
        format!("[[site.{}.route]]", draft::text(site)),
        Some(directive),
    );
    route.set(key, draft::text(path), None);
    if !set(import, &location.scope, &mut route) {
        if !import.ledger.has(directive) {
            import.ledger.lost(
                directive,
                "nothing in it that hubgate can do: its paths get 404",
            );
        }
        import.ledger.orphan(directive);
        return None;
    }
    if !import.ledger.has(directive) {
        import
            .ledger
            .carried(directive, format!("the route `{path}`"));
    }
    of_block(import, &location.scope, &mut route);
    log::of_location(import, &location.scope, &mut route);
    clients::of_scope(&location.scope, &mut route);
    if location.scope.one("client_max_body_size").is_some() {
        body_limit(&location.scope, &mut route);
    }
    Some(route)
}

/// Whether a server without locations has one answer for whatever its conditions let through.
pub(super) fn returns_always(scope: &Scope<'_>) -> bool {
    let own = scope.own();
    !own.iter().any(|own| own.is("location")) && rules::returns_unmoved(own)
}

/// A route for the paths that no location of a server is for: its `return`, or else nginx looks for files.
pub(super) fn rest<'t>(import: &mut Import<'t>, site: &str, scope: &Scope<'t>) -> Option<Draft> {
    let returns = scope.own().iter().any(|own| own.is("return"));
    if returns && !returns_always(scope) {
        return None;
    }
    let mut route = Draft::new(format!("[[site.{}.route]]", draft::text(site)), None);
    route.set("path", "\"/\"", None);
    if returns {
        // As a route's, and no rule's, the answer gets what answers of routes get.
        return set(import, scope, &mut route).then(|| {
            // nginx answers before it looks for a location, whose limit that is.
            route.set("body_limit", "\"none\"", None);
            heads::of_answers(import, scope, &mut route);
            route
        });
    }
    if !own(import, scope, &mut route) && !files::set(import, scope, &mut route) {
        return None;
    }
    // Rules and errors are the site's already.
    guards(import, scope, &mut route);
    heads::of_answers(import, scope, &mut route);
    Some(route)
}

/// What else a block says of the answers it makes by itself.
fn of_block<'t>(import: &mut Import<'t>, scope: &Scope<'t>, route: &mut Draft) {
    detours(import, scope, true, route);
    // A `return` comes before anybody is kept out.
    match rules::returns(scope.content()) {
        true => {
            limits::speed(import, scope, route);
            access::of_return(import, scope, route);
            lift(scope, route);
        }
        false => guards(import, scope, route),
    }
    heads::of_answers(import, scope, route);
}

/// Has limits of the route around not count for one that answers by a `return`.
fn lift(scope: &Scope<'_>, route: &mut Draft) {
    let limits = scope.is_within_location() && scope.mentions(&["limit_req", "limit_conn"]);
    if route.get("limits").is_none() && limits {
        route.set("limits", "{}", None);
    }
}

fn guards<'t>(import: &mut Import<'t>, scope: &Scope<'t>, route: &mut Draft) {
    mirror::of_scope(import, scope, route);
    access::of_scope(import, scope, route);
    limits::of_scope(import, scope, route);
}

/// What sends requests of a block elsewhere: rules, and somebody else in place of errors. Where the block `answers` by a
/// `return`, that is not a rule.
pub(super) fn detours<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
    answers: bool,
    table: &mut Draft,
) {
    // Those of an `if` are carried out where it stands.
    let condition = scope.context() == Context::LocationIf;
    if let Some((rules, from)) = (!condition)
        .then(|| rules::of(import, scope, answers))
        .flatten()
    {
        table.set("rules", rules, Some(from));
    }
    errors::set(import, scope, table);
}

/// Sets what answers in `scope`. False when it cannot be said; why is told.
pub(super) fn set<'t>(import: &mut Import<'t>, scope: &Scope<'t>, route: &mut Draft) -> bool {
    let content = scope.content();
    let returned_by = content.iter().find(|own| own.is("return"));
    match returned_by.filter(|_| rules::returns(content)) {
        Some(own) => match returned(import, scope, own) {
            Ok((key, table)) => {
                import.ledger.carried(own, format!("`{key}`"));
                route.set(key, table, Some(own));
                true
            }
            Err(what) => {
                import.ledger.lost(own, what);
                false
            }
        },
        None if scope.content().iter().any(is_other) => false,
        None if own(import, scope, route) => true,
        None => files::set(import, scope, route),
    }
}

/// Sets `answer` where nginx has a module for it.
fn own(import: &mut Import<'_>, scope: &Scope<'_>, route: &mut Draft) -> bool {
    let mut own = scope.own().iter();
    let Some((own, word)) = own.find_map(|own| match &*own.name() {
        "stub_status" => Some((own, "counts")),
        "empty_gif" => Some((own, "pixel")),
        _ => None,
    }) else {
        return false;
    };
    import.ledger.carried(own, format!("`answer = \"{word}\"`"));
    route.set("answer", draft::text(word), Some(own));
    true
}

/// What makes an answer in a way that hubgate has not.
const OTHERS: &[&str] = &[
    "random_index",
    "dav_methods",
    "flv",
    "mp4",
    "perl",
    "xslt_stylesheet",
    "js_content",
];

/// Whether something else than files answers here.
fn is_other(own: &Directive) -> bool {
    let name = own.name();
    OTHERS.contains(&&*name) || name.ends_with("_pass") || name.starts_with("content_by_")
}

/// The key and the table for a `return`; why not, else.
pub(super) fn returned(
    import: &Import<'_>,
    scope: &Scope<'_>,
    own: &Directive,
) -> Result<(&'static str, String), String> {
    let (first, second) = (own.argument(0), own.argument(1));
    let (status, text) = match (own.arguments().len(), first.parse::<u16>()) {
        (1, Err(_)) => (302, first),
        (1, Ok(status)) => (status, "".into()),
        (_, Ok(status)) => (status, second),
        (_, Err(_)) => return Err(format!("`{first}` is no status")),
    };
    let text = rules::known(import, scope, &text)?;
    match status {
        301 | 302 | 303 | 307 | 308 => {
            let to = draft::text(&text);
            Ok(("redirect", format!("{{ to = {to}, status = {status} }}")))
        }
        200..=599 => {
            let mut words = vec![format!("status = {status}")];
            let bodiless = matches!(status, 204 | 304);
            if !text.is_empty() && !bodiless {
                words.push(format!("body = {}", draft::text(&text)));
            }
            let own = match &import.around {
                Some(Kind::Exact(path)) => files::kind(scope, path),
                _ => None,
            };
            let default = || {
                let kind = scope.one("default_type");
                kind.map_or("text/plain".to_owned(), |own| own.argument(0).into_owned())
            };
            let exact = matches!(import.around, Some(Kind::Exact(_)));
            let kind = own.unwrap_or_else(default);
            if kind != "text/plain" && !bodiless {
                words.push(format!("type = {}", draft::text(&kind)));
            }
            // An error without a text has a page.
            let paged = text.is_empty() && status >= 400;
            if !(exact || bodiless || paged) {
                words.extend(files::by_extension(scope));
            }
            Ok(("respond", format!("{{ {} }}", words.join(", "))))
        }
        _ => Err(format!("an answer with status {status} is not made here")),
    }
}
