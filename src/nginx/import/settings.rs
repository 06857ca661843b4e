//! What nginx is told as a whole: workers, logs, limits and times of clients, real addresses.
//!
//! What single servers and locations say of clients is for `clients`; of the rest `http`'s own counts.

use std::net::{IpAddr, SocketAddr};

use super::Import;
use super::draft::{self, Draft};
use super::habits;
use super::log;
use crate::nginx::model::Scope;
use crate::nginx::tree::Directive;
use crate::nginx::value;

/// Times of clients and hubgate's keys for them.
const TIMES: &[(&str, &str)] = &[
    ("client_header_timeout", "head"),
    ("client_body_timeout", "body"),
    ("send_timeout", "write"),
    ("keepalive_timeout", "keep_alive"),
];

/// `http`'s own directives.
pub(super) fn of_http<'t>(import: &mut Import<'t>, scope: &Scope<'t>) {
    let mut times = Draft::new("[timeouts]", None);
    for (name, key) in TIMES {
        if let Some(time) = scope.time(name).filter(|time| *time > 0) {
            times.set(key, draft::time(time), scope.one(name));
        }
    }
    let mut limits = Draft::new("[limits]", None);
    if let Some((bytes, own)) = largest_heads(scope.own()) {
        limits.set("head_size", draft::size(bytes), Some(own));
    }
    if let Some(own) = scope.one("http2_max_concurrent_streams") {
        limits.set("h2_streams", streams(own), Some(own));
    }
    connections(import, &mut limits);
    let access = log::of_all(import, scope);
    real_ip(import, scope);
    resolver(import, scope);
    let tables = [times, limits];
    import
        .tables
        .extend(tables.into_iter().filter(|own| !own.is_empty()));
    import.tables.extend(access);
}

/// The most that any server takes of a head.
fn largest_heads(http: &[Directive]) -> Option<(i64, &Directive)> {
    let servers = http.iter().filter(|own| own.is("server"));
    let all = http.iter().chain(servers.flat_map(Directive::children));
    let all = all.filter(|own| own.is("large_client_header_buffers"));
    let sizes = all.filter_map(|own| {
        let [count, size] = own.arguments() else {
            return None;
        };
        let bytes = value::number(&count.bytes)?.saturating_mul(value::size(&size.bytes)?);
        Some((bytes.clamp(65_536, 524_288), own))
    });
    sizes.max_by_key(|(bytes, _)| *bytes)
}

/// How many streams a connection may have at once, as far as hubgate goes: nginx's own bounds are wider.
pub(super) fn streams(own: &Directive) -> String {
    let count = value::number(own.argument(0).as_bytes());
    count.unwrap_or(128).clamp(1, 100_000).to_string()
}

fn connections(import: &mut Import<'_>, limits: &mut Draft) {
    let events = import.tree.directives.iter().find(|own| own.is("events"));
    let own = events.and_then(|events| {
        events
            .children()
            .iter()
            .find(|own| own.is("worker_connections"))
    });
    // nginx counts upstreams' connections too, and each worker for itself; hubgate counts clients' once.
    if let Some(own) = own
        && let Some(count) = own
            .arguments()
            .first()
            .and_then(|word| value::number(&word.bytes))
        && count > 8192
    {
        limits.set("connections", count.min(10_000_000).to_string(), Some(own));
    } else if let Some(own) = own {
        import.ledger.not_needed(
            own,
            "hubgate takes 8192 clients' connections (`limits.connections`), no fewer",
        );
    }
}

/// Name servers, and how long their answers hold.
pub(super) fn resolver<'t>(import: &mut Import<'t>, scope: &Scope<'t>) {
    let (mut all, mut times) = (Vec::new(), Vec::new());
    within(scope.own(), "resolver", &mut all);
    within(scope.own(), "resolver_timeout", &mut times);
    let time = scope.one("resolver_timeout").or(times.first().copied());
    let Some(own) = scope.one("resolver").or(all.first().copied()) else {
        return;
    };
    for (all, first) in [(all, Some(own)), (times, time)] {
        for other in all.into_iter().filter(|other| Some(*other) != first) {
            match first.is_some_and(|first| first.words == other.words) {
                true => import.ledger.carried(other, "`[resolver]`"),
                false => import
                    .ledger
                    .lost(other, "one `[resolver]` is asked for all servers"),
            }
        }
    }
    let mut table = Draft::new("[resolver]", Some(own));
    let (mut servers, mut lost) = (Vec::new(), Vec::new());
    for word in own.arguments() {
        let word = word.text();
        match word.split_once('=') {
            Some(("valid", time)) => {
                if let Some(time) = value::seconds(time.as_bytes()).filter(|time| *time > 0) {
                    table.set("min_ttl", draft::time(time * 1000), None);
                    table.set("max_ttl", draft::time(time * 1000), None);
                }
            }
            Some(("ipv6", word)) => table.set("ipv6", (word != "off").to_string(), None),
            Some(("status_zone", _) | ("ipv4", "on")) => {}
            Some(_) => lost.push(format!("`{word}`")),
            None => match server(&word) {
                Some(server) => servers.push(server),
                None => lost.push(format!("`{word}`, which is no address")),
            },
        }
    }
    if servers.is_empty() {
        let what = "none of its name servers is an address";
        return import.ledger.lost(own, what);
    }
    table.set("servers", draft::texts(servers), Some(own));
    if let Some(from) = time
        && let Some(word) = from.arguments().first()
        && let Some(time) = value::milliseconds(&word.bytes).filter(|time| *time > 0)
    {
        table.set("timeout", draft::time(time), Some(from));
    }
    match lost.is_empty() {
        true => import.ledger.carried(own, "`[resolver]`"),
        false => import
            .ledger
            .lost(own, format!("`[resolver]`, without {}", lost.join(", "))),
    }
    import.tables.push(table);
}

/// The address of a name server; a name but the machine's own has none here.
fn server(word: &str) -> Option<String> {
    let (host, port) = word.split_once(':').unwrap_or((word, "53"));
    if host.eq_ignore_ascii_case("localhost") {
        return Some(format!("127.0.0.1:{port}"));
    }
    let bare = word
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(word);
    let is_address = word.parse::<SocketAddr>().is_ok() || bare.parse::<IpAddr>().is_ok();
    is_address.then(|| bare.to_owned())
}

/// The directives of this name, at any depth.
fn within<'t>(all: &'t [Directive], name: &str, found: &mut Vec<&'t Directive>) {
    for own in all {
        if own.is(name) {
            found.push(own);
        }
        within(own.children(), name, found);
    }
}

/// `set_real_ip_from` as whose PROXY headers to believe; `realip` has the other fields.
fn real_ip<'t>(import: &mut Import<'t>, scope: &Scope<'t>) {
    let from = scope.all("set_real_ip_from");
    let networks: Vec<_> = from
        .iter()
        .map(|own| own.argument(0).into_owned())
        .filter(|network| network != "unix:")
        .collect();
    if networks.is_empty() {
        return;
    }
    let header = scope
        .one("real_ip_header")
        .map(|own| own.argument(0).to_ascii_lowercase());
    if header.as_deref() == Some("proxy_protocol") {
        let list = draft::texts(&networks);
        import
            .listen
            .set("proxy_protocol_from", list, from.first().copied());
    }
}

/// Directives outside of all blocks.
pub(super) fn of_process<'t>(import: &mut Import<'t>, scope: &Scope<'t>) {
    if let Some(own) = scope.one("worker_processes") {
        let count = own.argument(0);
        if count.parse::<u16>().is_ok_and(|count| count > 0) {
            import.server_key("workers", &count, Some(own));
        } else {
            import
                .ledger
                .not_needed(own, "one worker for each core, as by default");
        }
    } else if import.asked.habits.is_some() {
        // Workers share no idle connections, and who says nothing expects one worker.
        import.server_key("workers", "1", None);
    }
    let logs: Vec<_> = { scope.own().iter() }
        .filter(|own| own.is("error_log"))
        .collect();
    if import.asked.habits.is_some() {
        let log = habits::error_log(import, &logs);
        import.tables.push(log);
        return;
    }
    if let Some(own) = logs.last() {
        error_log(import, own);
    }
    for block in import.tree.directives.iter().filter(|own| own.is("http")) {
        inner_logs(import, block);
    }
}

fn error_log<'t>(import: &mut Import<'t>, directive: &'t Directive) {
    let (target, level) = (directive.argument(0), directive.argument(1));
    let syslog = target.starts_with("syslog:") || target.starts_with("memory:");
    let mut log = Draft::new("[log]", Some(directive));
    let level = match &*level {
        "debug" => "debug",
        "info" | "notice" => "info",
        "warn" => "warn",
        // hubgate's own `info` says when it starts, reloads and renews: too little to leave out.
        _ => "info",
    };
    log.set("level", draft::text(level), None);
    if syslog {
        import.ledger.lost(
            directive,
            "events go to standard error, which the journal keeps, or to a file",
        );
    } else if target != "stderr" {
        log.set("file", draft::text(&import.under_prefix(&target)), None);
    }
    import.tables.push(log);
}

/// Logs of single servers and locations.
fn inner_logs<'t>(import: &mut Import<'t>, block: &'t Directive) {
    for own in block.children() {
        if own.is("error_log") {
            import.ledger.not_needed(
                own,
                "events are in one log, and each says which site it is about",
            );
        }
        inner_logs(import, own);
    }
}

impl<'t> Import<'t> {
    /// Sets a key of `[server]`, whose table may be there already.
    pub(super) fn server_key(&mut self, key: &str, value: &str, from: Option<&Directive>) {
        if let Some(table) = self.tables.iter_mut().find(|own| own.header == "[server]") {
            return table.set(key, value, from);
        }
        let mut table = Draft::new("[server]", None);
        table.set(key, value, from);
        self.tables.push(table);
    }
}
