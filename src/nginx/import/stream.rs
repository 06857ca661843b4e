//! `stream` as `[[stream]]`s: one for each address that a server listens on.
//!
//! A map of nothing but names that TLS asks for becomes `sni`; other variables in `proxy_pass` one of the upstreams that the
//! file names. Where a connection would go wherever its client says, it is told as lost. Keys of single streams are
//! `stream_keys`'.

use super::Import;
use super::draft::{self, Draft};
use super::listen::Listen;
use super::upstream::{self, Target, Upstreams};
use super::variables::{self, Known};
use super::{definitions, limits, log, pass, settings, stream_keys};
use crate::nginx::model::Scope;
use crate::nginx::table::Context;
use crate::nginx::tree::Directive;
use crate::types::address::Address;
use crate::types::host::HostPattern;

/// One `stream` block.
pub(super) fn convert<'t>(import: &mut Import<'t>, outer: &Scope<'t>, block: &'t Directive) {
    let scope = outer.inner(Context::Stream, block.children());
    let mut upstreams = Upstreams::new(block.children(), "");
    if !import.http_names_free(block) {
        upstreams = Upstreams::new(block.children(), "stream-");
    }
    import.in_stream = true;
    definitions::learn(import, block);
    let of_http = std::mem::take(&mut import.formats);
    for own in block.children().iter().filter(|own| own.is("log_format")) {
        log::format(import, own);
    }
    limits::zones(import, block.children());
    for name in upstreams.names() {
        let word = upstreams
            .hashes(&name)
            .and_then(|own| own.arguments().first());
        let text = word.map(|word| variables::text(import, &word.bytes, &Known::default()));
        if let Some(Ok(text)) = text {
            upstreams.hash_by(&name, text);
        }
    }
    for server in block.children().iter().filter(|own| own.is("server")) {
        let scope = scope.inner(Context::StreamServer, server.children());
        one(import, &mut upstreams, &scope, (server, block));
    }
    import.formats = of_http;
    import.in_stream = false;
    upstreams.tell_unused(&mut import.ledger);
    import.tables.extend(upstreams.into_tables());
}

/// One address of a server.
struct Listener<'t> {
    /// As hubgate writes it.
    address: String,
    from: &'t Directive,
    udp: bool,
    /// Whether TLS is ended there.
    tls: bool,
}

/// Where the connections of a server come in.
#[derive(Default)]
struct Listens<'t> {
    all: Vec<Listener<'t>>,
    /// Whether TLS is ended at all of them.
    tls: bool,
    /// Where PROXY headers come.
    proxied_at: Vec<Address>,
}

fn listens<'t>(import: &mut Import<'t>, server: &'t Directive) -> Listens<'t> {
    let mut found = Listens::default();
    for own in server.children().iter().filter(|own| own.is("listen")) {
        let Some(mut listen) = Listen::parse(own, 0) else {
            let what = "hubgate's streams listen on IP addresses and unix sockets: give one";
            import.ledger.lost(own, what);
            continue;
        };
        let places = listen.addresses.into_iter();
        listen.addresses = places.map(|one| import.moved(one)).collect();
        match listen.lost.is_empty() {
            true => import.ledger.carried(own, "`listen` of the stream"),
            false => import.ledger.lost(
                own,
                format!("`listen` of the stream, without {}", listen.lost.join(" ")),
            ),
        }
        if listen.proxy_protocol {
            found.proxied_at.extend(listen.addresses.iter().cloned());
        }
        let addresses = listen.addresses.iter();
        found.all.extend(addresses.map(|address| Listener {
            address: address.to_string(),
            from: own,
            udp: listen.udp,
            tls: listen.tls,
        }));
    }
    found.tls = found.all.iter().all(|one| one.tls);
    found
}

/// What becomes of the connections of a server.
enum To<'t> {
    /// They are told this.
    Answer(String, &'t Directive),
    /// These upstreams get them, by the names that their TLS asks for; all, without any.
    Upstreams(Vec<(Vec<String>, String)>, &'t Directive),
    /// Whoever this text names gets them: an upstream, or somebody else of the kind that the word says.
    Anybody(String, &'static str, &'t Directive),
}

fn one<'t>(
    import: &mut Import<'t>,
    upstreams: &mut Upstreams<'t>,
    scope: &Scope<'t>,
    (server, block): (&'t Directive, &'t Directive),
) {
    let listens = listens(import, server);
    let set = stream_keys::set(import, scope);
    let Some(to) = to(import, upstreams, scope, (server, block), listens.tls) else {
        return;
    };
    let (targets, key, from, strangers) = match to {
        To::Answer(text, from) => (vec![(Vec::new(), text)], "respond", from, None),
        To::Upstreams(targets, from) => (targets, "upstream", from, None),
        To::Anybody(text, who, from) => (vec![(Vec::new(), text)], "upstream", from, Some(who)),
    };
    // Nobody waits for a ClientHello that is not to be looked at.
    let blind = !scope.flag("ssl_preread", false) && mentions_hello(block);
    let mut made = 0;
    let believed = match listens.proxied_at.is_empty() {
        true => Vec::new(),
        false => stream_keys::believed(scope),
    };
    for (names, value) in targets {
        for Listener {
            address,
            from: own,
            udp,
            tls,
        } in &listens.all
        {
            let mut stream = Draft::new("[[stream]]", Some(server));
            let proxied = |at: &Address| at.to_string() == *address;
            let address = match listens.proxied_at.iter().any(proxied) {
                false => draft::text(address),
                true => format!(
                    "{{ address = {}, proxy_protocol_from = {} }}",
                    draft::text(address),
                    draft::texts(&believed)
                ),
            };
            stream.set("listen", address, Some(own));
            if *udp {
                stream.set("protocol", "\"udp\"", Some(own));
            }
            if !names.is_empty() {
                stream.set("sni", draft::texts(&names), scope.one("ssl_preread"));
            }
            stream.set(key, draft::text(&value), Some(from));
            match strangers {
                Some(_) if *udp => {
                    let what = "datagrams go to upstreams that the file names only";
                    import.ledger.lost(from, what);
                }
                Some(who) => stream.set("strangers", draft::text(who), Some(from)),
                None => {}
            }
            if blind && !*udp {
                stream.set("preread", "false", None);
            }
            if let Some(set) = &set {
                stream.set("set", set.clone(), scope.one("set"));
            }
            stream_keys::all(import, scope, &mut stream, (*tls, *udp));
            let (logs, events) = (scope.all("access_log"), scope.all_within("error_log"));
            log::of_stream(import, (&logs, &events), &mut stream);
            import.tables.push(stream);
            made += 1;
        }
    }
    match made {
        0 => import.ledger.lost(server, "nothing of it can be carried"),
        _ => {
            import.proxied.extend(listens.proxied_at.iter().cloned());
            import.ledger.carried(server, "a `[[stream]]`");
        }
    }
}

/// `None`, told, where it cannot be carried.
fn to<'t>(
    import: &mut Import<'t>,
    upstreams: &mut Upstreams<'t>,
    scope: &Scope<'t>,
    (server, block): (&'t Directive, &'t Directive),
    tls: bool,
) -> Option<To<'t>> {
    if let Some(own) = scope.one("return") {
        let word = own.arguments().first()?;
        match variables::lines(import, &word.bytes) {
            Ok(text) => return Some(To::Answer(text, own)),
            Err(why) => import.ledger.lost(own, why),
        }
        import.ledger.lost(server, "nothing of it can be carried");
        return None;
    }
    let Some(pass) = scope.one("proxy_pass") else {
        let what = "a stream needs a `proxy_pass` or a `return`";
        import.ledger.block_lost(server, what);
        return None;
    };
    let word = pass.argument(0);
    if !word.contains('$') {
        let name = upstream(import, upstreams, (scope, pass), &word)?;
        return Some(To::Upstreams(vec![(Vec::new(), name)], pass));
    }
    let bare = |name: &&str| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_{}".contains(&byte))
    };
    let Some(variable) = word.strip_prefix('$').filter(bare) else {
        return anybody(import, upstreams, (scope, pass));
    };
    let preread = scope.flag("ssl_preread", false) && !tls;
    if let Some((map, rows)) = by_name(block, variable).filter(|_| preread) {
        import.ledger.carried(map, "the `sni` of streams");
        let mut found = Vec::new();
        for (names, host) in rows {
            found.push((names, upstream(import, upstreams, (scope, pass), &host)?));
        }
        return Some(To::Upstreams(found, pass));
    }
    let variable = variable.trim_start_matches('{').trim_end_matches('}');
    let fixed = stream_keys::fixed(scope, variable);
    if let Some(host) = fixed {
        let name = upstream(import, upstreams, (scope, pass), &host)?;
        return Some(To::Upstreams(vec![(Vec::new(), name)], pass));
    }
    if definitions::values(import, variable).is_none() {
        return anybody(import, upstreams, (scope, pass));
    }
    let blocks = upstreams.names();
    let mut named = |import: &mut Import<'t>, host: &str| {
        // nginx closes a connection for what is no address.
        let known = blocks.iter().any(|name| name == host);
        match known || upstream::endpoint(host, 0).is_some() {
            true => upstream(import, upstreams, (scope, pass), host),
            false => Some(String::new()),
        }
    };
    let text = pass::chosen(import, variable, &mut named)?;
    let to = "the stream's `upstream`, one of those that the variable names";
    import.ledger.carried(pass, to);
    Some(To::Upstreams(vec![(Vec::new(), text)], pass))
}

/// Whether anything in a block names what a ClientHello says.
fn mentions_hello(block: &Directive) -> bool {
    block.children().iter().any(|own| {
        let mut words = own.words.iter();
        words.any(|word| word.text().contains("ssl_preread_")) || mentions_hello(own)
    })
}

/// A `proxy_pass` that may go anywhere.
fn anybody<'t>(
    import: &mut Import<'t>,
    upstreams: &mut Upstreams<'t>,
    (scope, pass): (&Scope<'t>, &'t Directive),
) -> Option<To<'t>> {
    let word = pass.arguments().first()?;
    let text = match variables::text(import, &word.bytes, &Known::default()) {
        Ok(text) => text,
        Err(why) => {
            import.ledger.lost(pass, why);
            return None;
        }
    };
    for block in upstreams.names() {
        let name = upstream(import, upstreams, (scope, pass), &block);
        if name.is_some_and(|name| name != block) {
            let what = format!("`{block}` is of `http` and of `stream`: name it otherwise");
            import.ledger.lost(pass, what);
        }
    }
    if !import.has_resolver() {
        settings::resolver(import, scope);
    }
    let who = match scope.one("resolver") {
        Some(_) => "names",
        None => "addresses",
    };
    if !import.ledger.has(pass) {
        let to = "the stream's `upstream` and `strangers`";
        import.ledger.carried(pass, to);
    }
    let place = import.tree.show(pass.place());
    let told = format!(
        "clients may be able to choose whom they are passed on to: `{}`",
        word.text()
    );
    import.advice.push((place, told));
    Some(To::Anybody(text, who, pass))
}

/// The name of the `[upstream]` for a target.
fn upstream<'t>(
    import: &mut Import<'t>,
    upstreams: &mut Upstreams<'t>,
    (scope, pass): (&Scope<'t>, &'t Directive),
    host: &str,
) -> Option<String> {
    let target = Target {
        host,
        default_port: 0,
    };
    let tls = stream_keys::upstream_tls(import, scope, host);
    let more = |table: &mut Draft| {
        if let Some(tls) = tls {
            table.set("tls", tls, scope.one("proxy_ssl"));
        }
    };
    upstreams.table(target, pass, &mut import.ledger, more)
}

/// Names that TLS asks for, and who gets them; none for all others.
type Rows = Vec<(Vec<String>, String)>;

/// The rows of a map that is of nothing but such names, the rest last.
fn by_name<'t>(block: &'t Directive, variable: &str) -> Option<(&'t Directive, Rows)> {
    let mut maps = block.children().iter().filter(|own| own.is("map"));
    let map = maps.find(|own| own.argument(1).strip_prefix('$') == Some(variable))?;
    if map.argument(0) != "$ssl_preread_server_name" {
        return None;
    }
    let rows = map.children();
    let hosts = rows.iter().any(|row| row.is("hostnames"));
    let mut found: Rows = Vec::new();
    let mut rest = None;
    for row in rows.iter().filter(|row| row.words.len() == 2) {
        let (name, host) = (row.name(), row.argument(0).into_owned());
        if host.contains('$') {
            return None;
        }
        match &*name {
            "default" => rest = Some(host),
            "include" => {}
            name => {
                let names = names(name, hosts)?;
                match found.iter_mut().find(|(_, other)| *other == host) {
                    Some((list, _)) => list.extend(names),
                    None => found.push((names, host)),
                }
            }
        }
    }
    let rest = rest.filter(|host| !host.is_empty());
    found.extend(rest.map(|host| (Vec::new(), host)));
    (!found.is_empty()).then_some((map, found))
}

/// A row's name as hubgate's; `None` for one that it has no name for.
fn names(name: &str, hosts: bool) -> Option<Vec<String>> {
    let bare = name.trim_start_matches('.');
    if bare.is_empty() || (name.contains('*') || bare != name) && !hosts {
        return None;
    }
    HostPattern::parse(bare).ok()?;
    let mut names = vec![bare.to_owned()];
    names.extend((bare != name).then(|| format!("*.{bare}")));
    Some(names)
}
