//! `stream` as `[[stream]]`s: ports passed on, and TLS passed on by the name it asks for.
//!
//! UDP, TLS that nginx ends itself and targets that depend on anything but that name are told as lost.

use super::Import;
use super::draft::{self, Draft};
use super::listen::Listen;
use super::upstream::{Target, Upstreams};
use crate::nginx::model::Scope;
use crate::nginx::table::Context;
use crate::nginx::tree::Directive;
use crate::types::host::HostPattern;

/// One `stream` block.
pub(super) fn convert<'t>(import: &mut Import<'t>, outer: &Scope<'t>, block: &'t Directive) {
    let scope = outer.inner(Context::Stream, block.children());
    let mut upstreams = Upstreams::new(block.children(), "");
    if !import.http_names_free(block) {
        upstreams = Upstreams::new(block.children(), "stream-");
    }
    for server in block.children().iter().filter(|own| own.is("server")) {
        let scope = scope.inner(Context::StreamServer, server.children());
        one(import, &mut upstreams, &scope, server, block);
    }
    for own in block.children().iter().filter(|own| own.is("log_format")) {
        import
            .ledger
            .lost(own, "hubgate has a form of its own for a connection's line");
    }
    upstreams.tell_unused(&mut import.ledger);
    import.tables.extend(upstreams.into_tables());
}

fn one<'t>(
    import: &mut Import<'t>,
    upstreams: &mut Upstreams<'t>,
    scope: &Scope<'t>,
    server: &'t Directive,
    block: &'t Directive,
) {
    let Some(pass) = scope.one("proxy_pass") else {
        import
            .ledger
            .block_lost(server, "a stream needs a `proxy_pass`");
        return;
    };
    let mut listens = Vec::new();
    for own in server.children().iter().filter(|own| own.is("listen")) {
        match Listen::parse(own, 0) {
            Some(listen) if listen.udp || listen.tls => {
                let what = if listen.udp {
                    "UDP is not carried by the import yet"
                } else {
                    "TLS is ended for requests only; a stream passes it on"
                };
                import.ledger.lost(own, what);
            }
            Some(listen) => {
                match listen.lost.is_empty() {
                    true => import.ledger.carried(own, "`listen` of the stream"),
                    false => import.ledger.lost(
                        own,
                        format!("`listen` of the stream, without {}", listen.lost.join(" ")),
                    ),
                }
                if listen.proxy_protocol {
                    import.proxied.extend(&listen.addresses);
                }
                listens.extend(listen.addresses.into_iter().map(|address| (address, own)));
            }
            None => import
                .ledger
                .lost(own, "hubgate's streams listen on IP addresses: give one"),
        }
    }
    let targets = targets(import, scope, pass, block);
    let mut made = 0;
    for (names, host) in targets {
        let target = Target {
            host: &host,
            default_port: 0,
        };
        let Some(upstream) = upstreams.table(target, pass, &mut import.ledger, |_| {}) else {
            continue;
        };
        for (address, from) in &listens {
            let mut stream = Draft::new("[[stream]]", Some(server));
            stream.set("listen", draft::text(&address.to_string()), Some(from));
            if !names.is_empty() {
                stream.set("sni", draft::texts(&names), scope.one("ssl_preread"));
            }
            stream.set("upstream", draft::text(&upstream), Some(pass));
            settings(scope, &mut stream);
            log(import, scope, &mut stream);
            import.tables.push(stream);
            made += 1;
        }
    }
    match made {
        0 => import.ledger.lost(server, "nothing of it can be carried"),
        _ => import.ledger.carried(server, "a `[[stream]]`"),
    }
}

fn settings(scope: &Scope<'_>, stream: &mut Draft) {
    for (name, key) in [
        ("proxy_connect_timeout", "connect_timeout"),
        ("proxy_timeout", "idle_timeout"),
    ] {
        if let Some(time) = scope.time(name).filter(|time| *time > 0) {
            stream.set(key, draft::time(time), scope.one(name));
        }
    }
    if scope.flag("proxy_protocol", false) {
        stream.set("send_proxy_protocol", "\"v1\"", scope.one("proxy_protocol"));
    }
}

/// The file; the line is hubgate's own.
fn log<'t>(import: &mut Import<'t>, scope: &Scope<'t>, stream: &mut Draft) {
    let Some(own) = scope.one("access_log") else {
        return;
    };
    let target = match &*own.argument(0) {
        path if path.starts_with("syslog:") || path.contains('$') => {
            import
                .ledger
                .lost(own, "hubgate logs to files and standard output only");
            return;
        }
        "off" => "off".to_owned(),
        "/dev/stdout" => "stdout".to_owned(),
        path => import.absolute(path),
    };
    import.ledger.carried(own, "`access_log` of the stream");
    stream.set(
        "access_log",
        format!("{{ target = {} }}", draft::text(&target)),
        Some(own),
    );
}

/// Where connections go: one target, or those of a map by the name that TLS asks for. The rest comes last.
fn targets<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
    pass: &'t Directive,
    block: &'t Directive,
) -> Vec<(Vec<String>, String)> {
    let word = pass.argument(0);
    let Some(variable) = word.strip_prefix('$') else {
        return vec![(Vec::new(), word.into_owned())];
    };
    let map = block
        .children()
        .iter()
        .find(|own| own.is("map") && own.argument(1).strip_prefix('$') == Some(variable));
    let Some(map) = map.filter(|map| {
        map.argument(0) == "$ssl_preread_server_name" && scope.flag("ssl_preread", false)
    }) else {
        import.ledger.lost(
            pass,
            format!("`{word}` is no map of the TLS name: a stream has one upstream"),
        );
        return Vec::new();
    };
    let mut found: Vec<(Vec<String>, String)> = Vec::new();
    let (mut rest, mut lost) = (None, Vec::new());
    for row in map.children().iter().filter(|row| row.words.len() == 2) {
        let (name, host) = (row.name(), row.argument(0).into_owned());
        if name == "default" {
            rest = Some(host);
            continue;
        }
        if name == "include" {
            continue;
        }
        let bare = name.trim_start_matches('.');
        let mut names = match HostPattern::parse(bare) {
            Ok(_) if !bare.is_empty() => vec![bare.to_owned()],
            _ => {
                lost.push(format!("`{name}`"));
                continue;
            }
        };
        names.extend(name.starts_with('.').then(|| format!("*.{bare}")));
        match found.iter_mut().find(|(_, other)| *other == host) {
            Some((list, _)) => list.extend(names),
            None => found.push((names, host)),
        }
    }
    match lost.is_empty() {
        true => import.ledger.carried(map, "the `sni` of streams"),
        false => import.ledger.lost(
            map,
            format!("the `sni` of streams, without {}", lost.join(", ")),
        ),
    }
    found.extend(
        rest.filter(|host| !host.is_empty())
            .map(|host| (Vec::new(), host)),
    );
    found
}
