//! `location`s as routes: whose upstream gets which paths, and with which limits.
//!
//! Every location becomes one route, in its order and within the one it was within, so that paths go where they went; one
//! that cannot be carried answers 404. What a location says of heads is `heads`' affair, what answers without an upstream
//! `answer`'s.

use super::Import;
use super::access;
use super::advice;
use super::answer::{answered, detours};
use super::definitions;
use super::draft::{self, Draft};
use super::errors;
use super::heads;
use super::limits;
use super::log;
use super::mirror;
use super::upstream::Target;
use super::variables::{self, Known};
use crate::nginx::model::{Kind, Location, Locations, Pass, Place, Scope};
use crate::nginx::text::Part;
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
        if location.path().is_some() && !text.starts_with('/') {
            let why = "no path begins so";
            import.ledger.block_not_needed(directive, why);
            continue;
        }
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
        within(import, (site, &inner), &location.inner, into);
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
    let pass = scope.one("proxy_pass").or_else(|| scope.one("grpc_pass"));
    // The answer of a `return` comes before any pass.
    let returns = scope.own().iter().any(|own| own.is("return"));
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
    route.set("upstream", draft::text(&upstream), Some(pass));
    let rewrite = match asked {
        Asked::Target(text) => {
            route.set("target", draft::text(&text), Some(pass));
            None
        }
        Asked::Same => None,
        Asked::Prefix(to) => Some(to),
    };
    let preset = advice::preset(scope, pass, path);
    // A hub's own prefix is forwarded as it came; any other nginx decodes on the way.
    if let Some(to) = rewrite.filter(|to| to != path || preset.is_none()) {
        if to.starts_with('/') && matches!(key, "path" | "begins" | "exact") {
            route.set("rewrite_prefix", draft::text(&to), Some(pass));
        } else {
            import.ledger.lost(
                pass,
                format!("`{path}` is forwarded as it is, not as `{to}`"),
            );
        }
    }
    if !import.ledger.has(directive) {
        import
            .ledger
            .carried(directive, format!("the route `{path}`"));
    }
    if let Some(preset) = preset {
        route.set("preset", draft::text(preset), None);
    }
    times(import, scope, &mut route);
    access::of_scope(import, scope, &mut route);
    limits::of_scope(import, scope, &mut route);
    mirror::of_scope(import, scope, &mut route);
    detours(import, scope, false, &mut route);
    errors::intercept(import, scope, &mut route);
    if let Some(own) = location
        .directive
        .children()
        .iter()
        .rfind(|own| own.is("access_log"))
    {
        log::access(import, own, &mut route);
    }
    advice::of_route(import, location, pass, path, &route);
    heads::of_route(import, location, pass, &mut route);
    Some(route)
}

/// What an upstream is asked for.
enum Asked {
    /// What the client asks for.
    Same,
    /// It, with this in the place of the location's path.
    Prefix(String),
    /// What a text says.
    Target(String),
}

/// The name of the upstream's table, and what it is asked for.
fn upstream<'t>(
    import: &mut Import<'t>,
    directive: &'t Directive,
    scope: &Scope<'t>,
) -> Option<(String, Asked)> {
    let grpc = directive.is("grpc_pass");
    let word = directive.arguments().first()?;
    let written = match grpc {
        true => word.text().replacen("grpc", "http", 1),
        false => word.text().into_owned(),
    };
    let written = match grpc && !written.contains("://") {
        true => format!("http://{written}"),
        false => written,
    };
    let (address, asked) = match Pass::parse(written.as_bytes()) {
        Ok(Pass::Fixed(address)) => {
            let uri = String::from_utf8_lossy(&address.uri).into_owned();
            let asked = match uri.is_empty() {
                true => Asked::Same,
                false => Asked::Prefix(uri),
            };
            (address, asked)
        }
        Ok(Pass::Variable(text)) => {
            let filled = text.fill(|part| constant(scope, part));
            let address = crate::nginx::model::Address::parse(&filled).ok();
            let Some(address) = address.filter(|address| can_go(import, address)) else {
                import.ledger.lost(
                    directive,
                    format!("`{written}`: where it goes depends on the request"),
                );
                return None;
            };
            let asked = by_text(import, directive, &address.uri, scope)?;
            (address, asked)
        }
        Err(_) => {
            import
                .ledger
                .lost(directive, format!("`{written}` is no address"));
            return None;
        }
    };
    let mut named = |import: &mut Import<'t>, host: &str| {
        let default_port = if address.tls { 443 } else { 80 };
        let target = Target { host, default_port };
        let more = |table: &mut Draft| of_scope(scope, table, address.tls, grpc, host);
        let ledger = &mut import.ledger;
        import.upstreams.table(target, directive, ledger, more)
    };
    let name = match address.host.strip_prefix('$') {
        None => named(import, &address.host)?,
        Some(variable) => chosen(import, variable, &mut named)?,
    };
    Some((name, asked))
}

/// Whether a host is one, or a variable all of whose values are known.
fn can_go(import: &Import<'_>, address: &crate::nginx::model::Address) -> bool {
    match address.host.strip_prefix('$') {
        Some(variable) => definitions::values(import, variable).is_some(),
        None => !address.host.contains('$'),
    }
}

/// The text that names the upstream: the variable, or a table from its values to names.
pub(super) fn chosen<'t>(
    import: &mut Import<'t>,
    variable: &str,
    named: &mut dyn FnMut(&mut Import<'t>, &str) -> Option<String>,
) -> Option<String> {
    let mut names = Vec::new();
    let values = definitions::values(import, variable).unwrap_or_default();
    for value in values.iter().filter(|value| !value.is_empty()) {
        names.push((value.clone(), named(import, value)?));
    }
    if names.iter().all(|(value, name)| value == name) {
        return Some(format!("${{{variable}}}"));
    }
    names.sort();
    names.dedup();
    let cases: Vec<_> = names
        .iter()
        .map(|(value, name)| format!("{} = {}", draft::text(value), draft::text(name)))
        .collect();
    for number in 1.. {
        let by = format!("{variable}_upstream{number}");
        let mut table = Draft::new(format!("[map.{by}]"), None);
        table.set("of", draft::text(&format!("${{{variable}}}")), None);
        table.set("cases", format!("{{ {} }}", cases.join(", ")), None);
        let mut made = import.tables.iter();
        match made.find(|made| made.header == table.header) {
            Some(made) if !made.same(&table) => {}
            Some(_) => return Some(format!("${{{by}}}")),
            None => {
                import.tables.push(table);
                return Some(format!("${{{by}}}"));
            }
        }
    }
    None
}

/// `$request_uri`, and `$uri$is_args$args`, as a path that no configuration has.
const RAW: &[u8] = b"/\x01";
const NORMAL: &[u8] = b"/\x02\x03\x04";

/// What a `proxy_pass` with variables asks for.
fn by_text(
    import: &mut Import<'_>,
    directive: &Directive,
    uri: &[u8],
    scope: &Scope<'_>,
) -> Option<Asked> {
    if uri == RAW && scope.own().iter().any(|own| own.is("internal")) {
        // Asked for beside a request, it is that one's target that goes on.
        import
            .ledger
            .carried(directive, "the route's `upstream` and `target`");
        return Some(Asked::Target("$request_uri".to_owned()));
    }
    if uri.is_empty() || uri == RAW {
        let to = "the route's `upstream`; the raw target is forwarded anyway";
        import.ledger.carried(directive, to);
        return Some(Asked::Same);
    }
    if uri == NORMAL {
        let what = "the target goes on as it came, not normalised";
        import.ledger.lost(directive, what);
        return Some(Asked::Same);
    }
    let mut word = String::from_utf8_lossy(uri).into_owned();
    for (from, to) in [
        ("/\x01", "${request_uri}"),
        ("/\x02", "${uri}"),
        ("\x03", "${is_args}"),
        ("\x04", "${args}"),
    ] {
        word = word.replace(from, to);
    }
    match variables::text(import, word.as_bytes(), &Known::default()) {
        Ok(text) => {
            import
                .ledger
                .carried(directive, "the route's `upstream` and `target`");
            Some(Asked::Target(text))
        }
        Err(unknown) => {
            import.ledger.lost(directive, unknown);
            None
        }
    }
}

/// A variable that is set once to a word without variables; others stay as they are written.
fn constant(scope: &Scope<'_>, part: &Part) -> Vec<u8> {
    let Part::Variable(name) = part else {
        return b"$1".to_vec();
    };
    match &**name {
        "request_uri" => return RAW.to_vec(),
        "uri" | "document_uri" => return b"/\x02".to_vec(),
        "is_args" => return b"\x03".to_vec(),
        "args" | "query_string" => return b"\x04".to_vec(),
        _ => {}
    }
    let dollar = format!("${name}");
    let own = scope.all("set");
    let sets: Vec<_> = own
        .iter()
        .filter(|set| set.argument(0) == dollar.as_str())
        .collect();
    match &*sets {
        [set] if !set.argument(1).contains('$') => set.argument(1).into_owned().into_bytes(),
        _ => dollar.into_bytes(),
    }
}

/// What a location says of the connections to its upstream.
fn of_scope(scope: &Scope<'_>, table: &mut Draft, tls: bool, grpc: bool, host: &str) {
    if grpc {
        let protocol = if tls { "\"h2\"" } else { "\"h2c\"" };
        table.set("protocol", protocol, scope.one("grpc_pass"));
    }
    let family = if grpc { "grpc" } else { "proxy" };
    let directive = |name: &str| scope.one(&format!("{family}_{name}"));
    let first = |name: &str| directive(name).map(|own| own.argument(0).into_owned());
    if tls {
        let mut words = Vec::new();
        let name = first("ssl_name").filter(|name| !name.contains('$'));
        let bare = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let name = name.unwrap_or_else(|| bare.to_owned());
        match name.parse::<std::net::IpAddr>() {
            Ok(_) => words.push("server_name = \"endpoint\"".to_owned()),
            Err(_) => words.push(format!("server_name = {}", draft::text(&name))),
        }
        if first("ssl_verify").as_deref() != Some("on") {
            words.push("verify = false".to_owned());
        }
        for (from, key) in [
            ("ssl_trusted_certificate", "ca_file"),
            ("ssl_certificate", "client_certificate"),
            ("ssl_certificate_key", "client_key"),
        ] {
            words.extend(first(from).map(|file| format!("{key} = {}", draft::text(&file))));
        }
        table.set("tls", format!("{{ {} }}", words.join(", ")), None);
    }
    if let Some(own) = directive("next_upstream") {
        let words = own.arguments().iter().flat_map(|word| match &*word.text() {
            "error" => vec!["connect", "reset"],
            "timeout" => vec!["timeout"],
            "http_502" => vec!["502"],
            "http_503" => vec!["503"],
            _ => Vec::new(),
        });
        table.set("retry_on", draft::texts(words), Some(own));
    }
    if let Some(own) = directive("next_upstream_timeout")
        && let Some(time) = own
            .arguments()
            .first()
            .and_then(|word| value::milliseconds(&word.bytes))
        && time > 0
    {
        table.set("retry_deadline", draft::time(time), Some(own));
    }
}

/// Times and sizes.
fn times(import: &mut Import<'_>, scope: &Scope<'_>, route: &mut Draft) {
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
    }
    let (read, send) = (time("read_timeout"), time("send_timeout"));
    if let Some((from, time)) = read {
        route.set("response_timeout", draft::time(time), Some(from));
        route.set("idle_timeout", draft::time(time), Some(from));
        route.set("tunnel_idle_timeout", draft::time(time), Some(from));
    }
    if let Some((from, time)) = send {
        match read {
            Some((_, read)) if read <= time => {
                import
                    .ledger
                    .not_needed(from, "`idle_timeout`, which is no longer, counts both ways");
            }
            Some(_) => {
                import.ledger.lost(
                    from,
                    "`idle_timeout` counts both ways: as long as `proxy_read_timeout`",
                );
            }
            None => route.set("idle_timeout", draft::time(time), Some(from)),
        }
    }
    if let Some(from) = scope.one("client_max_body_size")
        && let Some(size) = scope.size("client_max_body_size")
    {
        let size = if size == 0 {
            "\"none\"".to_owned()
        } else {
            draft::size(size)
        };
        route.set("body_limit", size, Some(from));
    } else if !advice::is_of_a_hub(scope, route) {
        route.set("body_limit", "\"1MiB\"", None);
    }
}
