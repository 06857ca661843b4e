//! `location`s as routes: whose upstream gets which paths, and with which limits.
//!
//! Every location becomes one route, in its order and within the one it was within, so that paths go where they went; one
//! that cannot be carried answers 404. What a location says of heads is `heads`' affair, what answers without an upstream
//! `answer`'s.

use std::collections::BTreeSet;

use super::Import;
use super::access;
use super::advice;
use super::answer::{answered, detours};
use super::clients;
use super::draft::{self, Draft};
use super::errors;
use super::heads;
use super::limits;
use super::links;
use super::log;
use super::mirror;
use super::pass::{Asked, upstream};
use super::rules;
use crate::nginx::model::{Kind, Location, Locations, Place, Scope};
use crate::nginx::table::Context;
use crate::nginx::tree::Directive;
use crate::nginx::value;

/// The routes of a server's locations.
pub(super) fn routes<'t>(
    import: &mut Import<'t>,
    site: &str,
    locations: &Locations<'t>,
    into: &mut Vec<Draft>,
) {
    let header = format!("[[site.{}.route]]", draft::text(site));
    within(import, (site, &header), locations, into);
}

/// Those of one block, whose tables have this head.
fn within<'t>(
    import: &mut Import<'t>,
    (site, header): (&str, &str),
    locations: &Locations<'t>,
    into: &mut Vec<Draft>,
) {
    let mut named = BTreeSet::new();
    for location in &locations.list {
        let directive = location.directive;
        if directive
            .children()
            .iter()
            .any(|own| own.is("acme_challenge"))
        {
            let why = "hubgate answers its own challenges, before any redirect";
            import.ledger.block_not_needed(directive, why);
            continue;
        }
        let Some((key, text)) = key(location) else {
            let what = "hubgate's paths are text: this one is none";
            import.ledger.block_lost(directive, what);
            continue;
        };
        if key == "name" && (text.is_empty() || !named.insert(text.clone())) {
            let why = "nobody is led to it: another location has its name, or it has none";
            import.ledger.block_not_needed(directive, why);
            continue;
        }
        if location.path().is_some() && !text.starts_with('/') {
            let why = "no path begins so";
            import.ledger.block_not_needed(directive, why);
            continue;
        }
        import.around = Some(location.kind.clone());
        links::enter(import, &location.scope);
        let made = route(import, site, location, key, &text);
        let mut route = made.unwrap_or_else(|| nothing(location, key, &text));
        route.header = header.to_owned();
        heads::base_of_route(import, &location.scope, &mut route);
        if matches!(location.kind, Kind::Prefix(_, true)) {
            route.set("final", "true", None);
        }
        if let Some(own) = location.scope.own().iter().find(|own| own.is("internal")) {
            route.set("internal", "true", Some(own));
            import.ledger.carried(own, "`internal` of the route");
        }
        into.push(route);
        let inner = header.replacen(".route]]", ".route.route]]", 1);
        for mut entered in std::mem::take(&mut import.entered) {
            entered.header.clone_from(&inner);
            into.push(entered);
        }
        within(import, (site, &inner), &location.inner, into);
    }
}

/// Makes a route of what an `if` says besides rules, and gives its name: nginx has a location of its own for it, which
/// inherits what the one around it says.
pub(super) fn entered<'t>(
    import: &mut Import<'t>,
    outer: &Scope<'t>,
    own: &'t Directive,
) -> Result<String, String> {
    let Some(kind) = import.around.clone() else {
        return Err("it stands in no location".to_owned());
    };
    import.conditions += 1;
    let name = format!("if-{}", import.conditions);
    let location = Location {
        directive: own,
        kind,
        scope: outer.inner(Context::LocationIf, own.children()),
        inner: Locations::default(),
    };
    let mut made = route(import, "", &location, "name", &name);
    if let Some(made) = &mut made {
        heads::base_of_route(import, &location.scope, made);
    }
    import.entered.extend(made);
    match import.entered.last() {
        Some(last) if last.get("name") == Some(&*draft::text(&name)) => Ok(format!("@{name}")),
        _ => Err("what answers under it cannot be carried".to_owned()),
    }
}

/// Which key of a route says what a location's kind says, and its value; `None` where that is no text.
fn key(location: &Location<'_>) -> Option<(&'static str, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some(match &location.kind {
        Kind::Exact(path) => ("exact", text(path)?),
        Kind::Prefix(path, _) => {
            // A prefix that is redirected to, or has nothing before it, is hubgate's own kind.
            let plain = path == b"/" || path.ends_with(b"/") && location.redirects();
            (if plain { "path" } else { "begins" }, text(path)?)
        }
        Kind::Pattern(pattern) => {
            let flag = if pattern.ignores_case() { "(?i)" } else { "" };
            ("regex", format!("{flag}{}", pattern.as_str()))
        }
        Kind::Named(name) => ("name", text(name)?.trim_start_matches('@').to_owned()),
    })
}

/// The route of a location that cannot be carried: its paths must not go where others' go.
fn nothing(location: &Location<'_>, key: &str, text: &str) -> Draft {
    let mut route = Draft::new("", Some(location.directive));
    route.set(key, draft::text(text), None);
    route.set("respond", "{ status = 404 }", None);
    route
}

/// A route for a location that proxies.
fn route<'t>(
    import: &mut Import<'t>,
    site: &str,
    location: &Location<'t>,
    key: &str,
    path: &str,
) -> Option<Draft> {
    let scope = &location.scope;
    let directive = location.directive;
    let content = scope.content();
    let mut passes = content.iter().rev();
    let pass = passes.find(|own| own.is("proxy_pass") || own.is("grpc_pass"));
    // The answer of a `return` comes before any pass.
    let returns = rules::returns(content);
    let Some(pass) = pass.filter(|_| !returns) else {
        return answered(import, site, location, key, path);
    };
    let (upstream, asked) = upstream(import, pass, scope).or_else(|| {
        import.ledger.lost(
            directive,
            "its upstream is not carried, so its paths get 404",
        );
        import.ledger.orphan(directive);
        None
    })?;
    let mut route = Draft::new(
        format!("[[site.{}.route]]", draft::text(site)),
        Some(directive),
    );
    route.set(key, draft::text(path), None);
    if matches!(asked, Asked::Nobody) {
        return Some(down(import, scope, pass, route));
    }
    route.set("upstream", draft::text(&upstream), Some(pass));
    if let Some(strangers) = import.strangers.take() {
        route.set("strangers", draft::text(strangers), Some(pass));
    }
    let rewrite = match asked {
        Asked::Target(text) => {
            route.set("target", draft::text(&text), Some(pass));
            None
        }
        Asked::Same | Asked::Nobody => None,
        Asked::Prefix(to) => Some(to),
    };
    let preset = advice::preset(scope, pass, path);
    let outer = location.path().filter(|_| key == "name");
    let replaced = outer.map_or_else(|| path.into(), String::from_utf8_lossy);
    // A hub's own prefix is forwarded as it came; any other nginx decodes on the way.
    if let Some(to) = rewrite.filter(|to| *to != replaced || preset.is_none()) {
        let replaces = matches!(key, "path" | "begins" | "exact") || outer.is_some();
        if to.starts_with('/') && replaces {
            route.set("rewrite_prefix", draft::text(&to), Some(pass));
        } else {
            import.ledger.lost(
                pass,
                format!("`{path}` is forwarded as it is, not as `{to}`"),
            );
        }
    }
    if !import.ledger.has(directive) {
        let to = format!("the route `{path}`");
        import.ledger.carried(directive, to);
    }
    if let Some(preset) = preset {
        route.set("preset", draft::text(preset), None);
    }
    times(import, scope, pass, &mut route);
    access::of_scope(import, scope, &mut route);
    limits::of_scope(import, scope, &mut route);
    mirror::of_scope(import, scope, &mut route);
    detours(import, scope, false, &mut route);
    errors::intercept(import, scope, pass, &mut route);
    log::of_location(import, scope, &mut route);
    clients::of_scope(scope, &mut route);
    advice::of_route(import, location, pass, path, &route);
    heads::of_route(import, location, pass, &mut route);
    Some(route)
}

/// The route to an upstream all of whose servers are down.
fn down<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
    pass: &Directive,
    mut route: Draft,
) -> Draft {
    route.set("respond", "{ status = 502 }", Some(pass));
    access::of_scope(import, scope, &mut route);
    limits::of_scope(import, scope, &mut route);
    detours(import, scope, false, &mut route);
    log::of_location(import, scope, &mut route);
    heads::of_answers(import, scope, &mut route);
    let to = "502: all servers of the upstream are down";
    import.ledger.carried(pass, to);
    route
}

/// Times and sizes.
fn times(import: &mut Import<'_>, scope: &Scope<'_>, pass: &Directive, route: &mut Draft) {
    let family = match scope.one("grpc_pass") {
        Some(_) => "grpc",
        None => "proxy",
    };
    let time = |name: &str| {
        let directive = scope.one(&format!("{family}_{name}"))?;
        let time = value::milliseconds(&directive.arguments().first()?.bytes)?;
        (time > 0).then_some((directive, time))
    };
    if let Some((from, time)) = time("connect_timeout") {
        route.set("connect_timeout", draft::time(time), Some(from));
        let secured = ["https:", "grpcs:"];
        if secured
            .iter()
            .any(|scheme| pass.argument(0).starts_with(scheme))
        {
            route.set("tls_timeout", draft::time(time), Some(from));
        }
    }
    if let Some((from, time)) = time("read_timeout") {
        route.set("response_timeout", draft::time(time), Some(from));
        route.set("idle_timeout", draft::time(time), Some(from));
        route.set("tunnel_idle_timeout", draft::time(time), Some(from));
    }
    if let Some((from, time)) = time("send_timeout") {
        route.set("send_timeout", draft::time(time), Some(from));
    }
    if scope.one("client_max_body_size").is_some() {
        body_limit(scope, route);
    } else if !advice::is_of_a_hub(import, scope, pass, route) {
        route.set("body_limit", "\"1MiB\"", None);
    }
}

/// How large a body may be, where that is said.
pub(super) fn body_limit(scope: &Scope<'_>, route: &mut Draft) {
    let size = match scope.size("client_max_body_size") {
        None => return,
        Some(0) => "\"none\"".to_owned(),
        Some(size) => draft::size(size),
    };
    route.set("body_limit", size, scope.one("client_max_body_size"));
}
