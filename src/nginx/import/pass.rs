//! Where a `proxy_pass` goes and what is asked for there, as an upstream's table and a route's `target`.
//!
//! What is fixed in the file, directly or by tables of it, becomes a name; the route itself is `route`'s.

use super::Import;
use super::definitions;
use super::draft::{self, Draft};
use super::secured;
use super::upstream::{self as blocks, Target};
use super::variables::{self, Known};
use crate::nginx::model::{Pass, Scope};
use crate::nginx::text::Part;
use crate::nginx::tree::Directive;
use crate::nginx::value;

/// What an upstream is asked for.
pub(super) enum Asked {
    /// What the client asks for.
    Same,
    /// It, with this in the place of the location's path.
    Prefix(String),
    /// What a text says.
    Target(String),
    /// Nothing: whoever would be asked is down.
    Nobody,
}

/// The name of the upstream's table, and what it is asked for.
pub(super) fn upstream<'t>(
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
            let filled = text.fill(|part| constant(import, scope, part));
            let address = crate::nginx::model::Address::parse(&filled).ok();
            let Some(address) = address.filter(|address| can_go(import, address)) else {
                return stranger(import, directive, scope, &written);
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
        table(import, (directive, scope), (address.tls, grpc), host)
    };
    if import.upstreams.is_down(&address.host, &mut import.ledger) {
        return Some((String::new(), Asked::Nobody));
    }
    let name = match address.host.strip_prefix('$') {
        None => named(import, &address.host)?,
        Some(variable) => chosen(import, variable, &mut named)?,
    };
    Some((name, asked))
}

/// The name of the table for `host`, with what the scope says of connections to it.
fn table<'t>(
    import: &mut Import<'t>,
    (directive, scope): (&'t Directive, &Scope<'t>),
    (tls, grpc): (bool, bool),
    host: &str,
) -> Option<String> {
    let family = if grpc { "grpc" } else { "proxy" };
    let secured = tls.then(|| secured::tls(import, scope, family, host));
    if let Some(own) = import.upstreams.hashes(host) {
        match variables::text(import, own.argument(0).as_bytes(), &Known::default()) {
            Ok(text) if text.contains('$') => import.upstreams.hash_by(host, text),
            Ok(_) => {
                let what = "the key is the same for all; requests take turns";
                import.ledger.lost(own, what);
            }
            Err(unknown) => import.ledger.lost(own, unknown),
        }
    }
    let default_port = if tls { 443 } else { 80 };
    let target = Target { host, default_port };
    let more = |table: &mut Draft| of_scope(scope, table, secured, grpc);
    let ledger = &mut import.ledger;
    import.upstreams.table(target, directive, ledger, more)
}

/// A `proxy_pass` that may go anywhere: to any upstream of the file, and to whatever else the text says.
fn stranger<'t>(
    import: &mut Import<'t>,
    directive: &'t Directive,
    scope: &Scope<'t>,
    written: &str,
) -> Option<(String, Asked)> {
    let text = match variables::text(import, written.as_bytes(), &Known::default()) {
        Ok(text) => text,
        Err(unknown) => {
            import.ledger.lost(directive, unknown);
            return None;
        }
    };
    for block in import.upstreams.names() {
        table(import, (directive, scope), (false, false), &block);
    }
    let strangers = match scope.one("resolver") {
        Some(_) => "names",
        None => "addresses",
    };
    import.strangers = Some(strangers);
    let place = import.tree.show(directive.place());
    let told = format!("clients may be able to choose who is asked: `{written}`");
    import.advice.push((place, told));
    let to = "the route's `upstream` and `strangers`";
    import.ledger.carried(directive, to);
    Some((text, Asked::Same))
}

/// Whether a host is one, or a variable all of whose values are known.
fn can_go(import: &Import<'_>, address: &crate::nginx::model::Address) -> bool {
    match address.host.strip_prefix('$') {
        Some(variable) => definitions::values(import, variable).is_some(),
        None => !address.host.contains(|c: char| c == '$' || c.is_control()),
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
    let rewritten = || import.tree.has("rewrite");
    if uri == RAW && (scope.own().iter().any(|own| own.is("internal")) || rewritten()) {
        // Asked for beside a request, or for another path, it is the client's own target that goes on.
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
fn constant(import: &Import<'_>, scope: &Scope<'_>, part: &Part) -> Vec<u8> {
    let name = match part {
        Part::Variable(name) => name,
        Part::Group(number) => return format!("${number}").into_bytes(),
        Part::Literal(bytes) => return bytes.clone(),
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
        [set]
            if !set.argument(1).contains('$')
                && !varies(&import.tree.directives, &dollar, false) =>
        {
            set.argument(1).into_owned().into_bytes()
        }
        _ => dollar.into_bytes(),
    }
}

/// Whether a condition or an answer gives a variable another value anywhere.
fn varies(directives: &[Directive], variable: &str, conditional: bool) -> bool {
    directives.iter().any(|own| {
        let sets = own.is("auth_request_set") || conditional && own.is("set");
        sets && own.argument(0).eq_ignore_ascii_case(variable)
            || varies(own.children(), variable, own.is("if"))
    })
}

/// What a location says of the connections to its upstream.
fn of_scope(scope: &Scope<'_>, table: &mut Draft, secured: Option<String>, grpc: bool) {
    if grpc {
        let protocol = if secured.is_some() {
            "\"h2\""
        } else {
            "\"h2c\""
        };
        table.set("protocol", protocol, scope.one("grpc_pass"));
    }
    let family = if grpc { "grpc" } else { "proxy" };
    let directive = |name: &str| scope.one(&format!("{family}_{name}"));
    if let Some(secured) = secured {
        table.set("tls", secured, None);
    }
    if let Some(own) = directive("next_upstream") {
        let words = own.arguments().iter().flat_map(|word| match &*word.text() {
            "error" => vec!["connect", "reset"],
            "timeout" => vec!["timeout"],
            "non_idempotent" => vec!["any-method"],
            "http_403" => vec!["403"],
            "http_404" => vec!["404"],
            "http_429" => vec!["429"],
            "http_500" => vec!["500"],
            "http_502" => vec!["502"],
            "http_503" => vec!["503"],
            "http_504" => vec!["504"],
            _ => Vec::new(),
        });
        table.set("retry_on", draft::texts(words), Some(own));
        // nginx counts none.
        table.set("retry_budget", "\"100%\"", Some(own));
        // What makes nginx ask another counts against who answered so, but for 403 and 404.
        let bad = own.arguments().iter().filter_map(|word| {
            let word = word.text();
            let status = word.strip_prefix("http_")?;
            (!matches!(status, "403" | "404")).then(|| status.to_owned())
        });
        let bad: Vec<_> = bad.collect();
        if !bad.is_empty() {
            blocks::outlier(table, "statuses", &draft::texts(bad), own);
            blocks::outlier_unless_said(table, "failures", "1", own);
        }
    }
    if let Some(own) = directive("next_upstream_tries")
        && own.argument(0).parse::<u32>().is_ok_and(|tries| tries > 0)
    {
        table.set("retry_tries", own.argument(0).into_owned(), Some(own));
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
