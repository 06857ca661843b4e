//! What a location changes in heads: `proxy_set_header`, `add_header` and their kin as the keys of its route.
//!
//! A route's lists are whole: what nginx inherits is written out, and what its trap drops (one directive below hides all
//! above) is not there. Routes of hubs keep hubgate's own `Host` and `X-Forwarded-*`, whose absence is told as a fault.

use http::HeaderName;

use super::Import;
use super::advice;
use super::bodies;
use super::cookies;
use super::draft::{self, Draft};
use super::hidden;
use super::proxied::{address, known};
use super::rules;
use super::variables::{self, Known};
use crate::nginx::model::{Kind, Location, Scope};
use crate::nginx::tree::Directive;

/// Fields that frame a message or belong to one connection.
const OWN: &[&str] = &[
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "http2-settings",
];

/// Sets the keys of a route that proxies.
pub(super) fn of_route<'t>(
    import: &mut Import<'t>,
    location: &Location<'t>,
    pass: &Directive,
    route: &mut Draft,
) {
    let scope = &location.scope;
    let family = if pass.is("grpc_pass") {
        "grpc"
    } else {
        "proxy"
    };
    let sets = scope.all(&format!("{family}_set_header"));
    let hub = advice::is_of_a_hub(import, scope, pass, route);
    request(import, scope, &sets, (pass, hub), route);
    if family == "proxy" {
        locations(import, location, (pass, hub), route);
        cookies::of_route(import, scope, route);
    }
    led(import, scope, (family, hub), route);
    hidden::of_route(import, scope, family, route);
    let bound = scope.one(&format!("{family}_bind"));
    if let Some(own) = bound.filter(|own| own.argument(0) != "off") {
        bind(import, own, route);
    }
    if family == "proxy" {
        small(import, scope, route);
    }
    of_answers(import, scope, route);
}

/// `proxy_bind`
fn bind(import: &mut Import<'_>, own: &Directive, route: &mut Draft) {
    if own.argument(1) == "transparent" {
        let what = "hubgate takes no foreign addresses: connections come from its own";
        return import.ledger.lost(own, what);
    }
    match variables::text(import, own.argument(0).as_bytes(), &Known::default()) {
        Ok(text) => {
            route.set("bind", draft::text(&text), Some(own));
            carried(import, own, "`bind` of its routes");
        }
        Err(unknown) => import.ledger.lost(own, unknown),
    }
}

/// `proxy_method`, `proxy_set_body` and its like.
fn small(import: &mut Import<'_>, scope: &Scope<'_>, route: &mut Draft) {
    if let Some(own) = scope.one("proxy_method") {
        match variables::text(import, own.argument(0).as_bytes(), &Known::default()) {
            Ok(text) => {
                route.set("method", draft::text(&text), Some(own));
                carried(import, own, "`method` of its routes");
            }
            Err(unknown) => import.ledger.lost(own, unknown),
        }
    }
    let keeps = scope.one("proxy_pass_request_body");
    let without = keeps.filter(|_| !scope.flag("proxy_pass_request_body", true));
    let body = scope
        .one("proxy_set_body")
        .map(|own| (own, own.argument(0)));
    if let Some((own, word)) = body.or(without.map(|own| (own, "".into()))) {
        match variables::text(import, word.as_bytes(), &Known::default()) {
            Ok(text) => {
                route.set("body", draft::text(&text), Some(own));
                carried(import, own, "`body` of its routes");
            }
            Err(unknown) => import.ledger.lost(own, unknown),
        }
    }
    if let Some(own) = scope.one("proxy_pass_request_headers") {
        if !scope.flag("proxy_pass_request_headers", true) {
            route.set("client_headers", "false", Some(own));
        }
        carried(import, own, "`client_headers` of its routes");
    }
}

/// Whether upstreams may lead elsewhere, and say how fast.
fn led(import: &mut Import<'_>, scope: &Scope<'_>, (family, hub): (&str, bool), route: &mut Draft) {
    let ignored = scope.one(&format!("{family}_ignore_headers"));
    let names = ignored.map(Directive::arguments).unwrap_or_default();
    let redirect = names
        .iter()
        .any(|word| word.text().eq_ignore_ascii_case("X-Accel-Redirect"));
    if let Some(own) = ignored {
        carried(
            import,
            own,
            "`accel` of its routes; of the other fields `X-Accel-Limit-Rate` alone is acted on",
        );
    }
    let rate = names
        .iter()
        .any(|word| word.text().eq_ignore_ascii_case("X-Accel-Limit-Rate"));
    if let Some(own) = ignored.filter(|_| rate && !redirect && !hub) {
        let what = "`accel` is for both: X-Accel-Limit-Rate counts where X-Accel-Redirect does";
        import.ledger.lost(own, what);
    }
    if !hub && !redirect {
        route.set("accel", "true", ignored);
    }
}

/// Whether answers have the field of hubgate's own making.
pub(super) fn is_said_anew(name: &str) -> bool {
    OWN.contains(&name) || matches!(name, "connection" | "upgrade" | "date")
}

/// Sets what answers of a server get that no location gives.
pub(super) fn of_server<'t>(import: &mut Import<'t>, scope: &Scope<'t>, table: &mut Draft) {
    fields(import, scope, "unrouted_headers", table);
}

/// `add_header`
fn fields<'t>(import: &mut Import<'t>, scope: &Scope<'t>, key: &'static str, table: &mut Draft) {
    let mut fields = Vec::new();
    let added = scope.all("add_header");
    for own in &added {
        let name = own.argument(0).to_ascii_lowercase();
        let text = rules::proxied(import, scope, table, own);
        let value = variables::text(import, text.as_bytes(), &Known::default());
        let value = match value {
            Ok(value) => value,
            Err(unknown) => {
                import.ledger.lost(own, unknown);
                continue;
            }
        };
        if is_said_anew(&name) {
            let what = "it frames the answer, which is hubgate's own to say";
            match name == "content-length" && value == "0" {
                true => import.ledger.not_needed(own, what),
                false => import.ledger.lost(own, what),
            }
            continue;
        }
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            let what = format!("`{name}` is no name of a field, which clients would refuse");
            import.ledger.lost(own, what);
            continue;
        }
        // nginx has one of these only.
        let single = matches!(&*name, "last-modified" | "etag");
        let how = if single { "set" } else { "add" };
        let always = match &*own.argument(2) {
            "always" => ", always = true",
            _ => "",
        };
        let name = draft::text(&own.argument(0));
        let value = draft::text(&value);
        fields.push(format!("{{ {how} = {name}, value = {value}{always} }}"));
        carried(
            import,
            own,
            "`response_headers` of its routes, `unrouted_headers` of its site",
        );
    }
    if let (Some(from), false) = (added.last(), fields.is_empty()) {
        let list = format!("[{}]", fields.join(", "));
        table.set(key, list, Some(from));
    }
}

/// Sets the keys of any route: what its answers get.
pub(super) fn of_answers<'t>(import: &mut Import<'t>, scope: &Scope<'t>, route: &mut Draft) {
    bodies::of_route(import, scope, route);
    fields(import, scope, "response_headers", route);
    let Some(own) = scope.one("expires") else {
        return;
    };
    let words: Vec<_> = own.arguments().iter().map(|word| word.text()).collect();
    let words = words.join(" ");
    if words == "off" {
        return;
    }
    match variables::text(import, words.as_bytes(), &Known::default()) {
        Ok(text) => {
            route.set("expires", draft::text(&text), Some(own));
            carried(import, own, "`expires` of its routes");
        }
        Err(unknown) => import.ledger.lost(own, unknown),
    }
}

/// What stands before a `Location` that is but a path, and the directive that says it otherwise than by itself; `None`
/// leaves it a path.
pub(super) fn base<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
) -> Option<(String, Option<&'t Directive>)> {
    let mut from = None;
    for name in [
        "absolute_redirect",
        "server_name_in_redirect",
        "port_in_redirect",
    ] {
        if let Some(own) = scope.one(name) {
            import.ledger.carried(own, "`location_base`");
            from = Some(own);
        }
    }
    if !scope.flag("absolute_redirect", true) {
        return None;
    }
    let host = match (scope.flag("server_name_in_redirect", false), &*import.named) {
        (false, _) => "$host".to_owned(),
        (true, "") => "$server_addr".to_owned(),
        (true, name) => name.trim_start_matches('.').replace('$', "$$"),
    };
    let port = match scope.flag("port_in_redirect", true) {
        true => ":$server_port",
        false => "",
    };
    Some((format!("$scheme://{host}{port}"), from))
}

/// Sets `location_base` of a route where it is not its site's.
pub(super) fn base_of_route<'t>(import: &mut Import<'t>, scope: &Scope<'t>, route: &mut Draft) {
    let own = base(import, scope);
    let text = |base: &Option<(String, Option<&Directive>)>| {
        let text = base.as_ref().map(|(text, _)| text.clone());
        text.unwrap_or_default()
    };
    if text(&own) != text(&import.base) {
        let from = own.as_ref().and_then(|(_, from)| *from);
        route.set("location_base", draft::text(&text(&own)), from);
    }
}

pub(super) fn carried(import: &mut Import<'_>, own: &Directive, to: &str) {
    if !import.ledger.has(own) {
        import.ledger.carried(own, to);
    }
}

/// `proxy_set_header`, and the `Host` that nginx sends without one.
fn request(
    import: &mut Import<'_>,
    scope: &Scope<'_>,
    sets: &[&Directive],
    (pass, hub): (&Directive, bool),
    route: &mut Draft,
) {
    let mut fields: Vec<(String, String)> = Vec::new();
    let known = known(pass, route.get("strangers").is_some());
    let mut from = None;
    for own in sets {
        let name = own.argument(0).to_ascii_lowercase();
        if matches!(&*name, "connection" | "upgrade") || (hub && super::told::is_same_field(own)) {
            continue;
        }
        if OWN.contains(&&*name) {
            let what = "it frames the request, which is hubgate's own to say";
            match own.argument(1).is_empty() {
                true => import.ledger.not_needed(own, what),
                false => import.ledger.lost(own, what),
            }
            continue;
        }
        if name == "host" && own.argument(1).is_empty() {
            import.ledger.lost(own, "a request without `Host` is none");
            continue;
        }
        let text = rules::proxied(import, scope, route, own);
        match variables::text(import, text.as_bytes(), &known) {
            Ok(value) => {
                // The last one of a name counts.
                fields.retain(|(field, _)| !field.eq_ignore_ascii_case(&name));
                fields.push((own.argument(0).into_owned(), value));
                from = Some(*own);
                carried(import, own, "`request_headers` of its routes");
            }
            Err(unknown) => import.ledger.lost(own, unknown),
        }
    }
    let says_host = sets
        .iter()
        .any(|own| own.argument(0).eq_ignore_ascii_case("host"));
    if !hub {
        route.set("forwarded", "false", None);
        if let (false, Some(host)) = (says_host, &known.proxy_host) {
            fields.insert(0, ("Host".to_owned(), host.clone()));
        }
    }
    if !fields.is_empty() {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{} = {}", draft::text(name), draft::text(value)))
            .collect();
        let table = format!("{{ {} }}", fields.join(", "));
        route.set("request_headers", table, from.or(Some(pass)));
    }
}

/// `proxy_redirect`, which is on without being written.
fn locations(
    import: &mut Import<'_>,
    location: &Location<'_>,
    (pass, hub): (&Directive, bool),
    route: &mut Draft,
) {
    let all = location.scope.all("proxy_redirect");
    if all.iter().any(|own| own.argument(0) == "off") || (all.is_empty() && hub) {
        return;
    }
    let mut pairs = Vec::new();
    if all.is_empty() {
        pairs.extend(default(location, pass));
    }
    for own in &all {
        if own.argument(0) == "default" {
            pairs.extend(default(location, pass));
            carried(import, own, "`location_headers` of its routes");
            continue;
        }
        match pair(import, own, &known(pass, route.get("strangers").is_some())) {
            Ok(pair) => {
                pairs.push(pair);
                carried(import, own, "`location_headers` of its routes");
            }
            Err(unknown) => import.ledger.lost(own, unknown),
        }
    }
    if !pairs.is_empty() {
        let list = format!("[{}]", pairs.join(", "));
        route.set("location_headers", list, all.last().copied());
    }
}

/// What `proxy_redirect default` puts in the place of what; nothing for a `proxy_pass` with variables.
fn default(location: &Location<'_>, pass: &Directive) -> Option<String> {
    let address = address(pass)?;
    let scheme = if address.tls { "https" } else { "http" };
    let base = format!("{scheme}://{}", address.host);
    let (from, to) = match (&location.kind, address.uri.is_empty()) {
        (Kind::Exact(path) | Kind::Prefix(path, _), false) => {
            let uri = String::from_utf8_lossy(&address.uri).into_owned();
            (base + &uri, String::from_utf8_lossy(path).into_owned())
        }
        _ => (base + "/", "/".to_owned()),
    };
    let text = |text: &str| draft::text(&text.replace('$', "$$"));
    Some(format!("[{}, {}]", text(&from), text(&to)))
}

/// Two arguments of which the first may be an expression.
pub(super) fn pair(import: &Import<'_>, own: &Directive, known: &Known) -> Result<String, String> {
    let from = own.argument(0);
    let (from, groups) = match from.strip_prefix('~') {
        Some(_) => (from.clone().into_owned(), variables::groups(&from)),
        None => (variables::text(import, from.as_bytes(), known)?, Vec::new()),
    };
    let to = own.argument(1);
    // nginx takes the dot from both where neither is an expression.
    let dotted = own.is("proxy_cookie_domain") && !from.starts_with('~');
    let to = to.strip_prefix('.').filter(|_| dotted).unwrap_or(&to);
    let to = variables::text_with(import, to.as_bytes(), known, &groups)?;
    Ok(format!("[{}, {}]", draft::text(&from), draft::text(&to)))
}
