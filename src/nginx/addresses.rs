//! Servers that share addresses: what nginx refuses of their `listen`s, and the names that it warns of.
//!
//! Asked of a block that has been read whole. Pure: of names of hosts only `localhost` has an address here.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, HashSet};

use super::judge::shown;
use super::tree::{Directive, Word};

/// Parameters of `listen` that make a socket, and may be said once for each.
const OPTIONS: &[&str] = &["bind", "deferred", "reuseport"];
const OPTION_VALUES: &[&str] = &[
    "backlog=",
    "rcvbuf=",
    "sndbuf=",
    "fastopen=",
    "ipv6only=",
    "so_keepalive=",
    "setfib=",
    "accept_filter=",
];
/// What is listened on where nobody says it.
const USUAL: &str = "0.0.0.0:80";

#[derive(Default)]
struct Address<'t> {
    servers: Vec<&'t Directive>,
    default: bool,
    options: bool,
}

fn servers(block: &Directive) -> impl Iterator<Item = &Directive> {
    block.children().iter().filter(|own| own.is("server"))
}

fn listens(server: &Directive) -> impl Iterator<Item = &Directive> {
    server.children().iter().filter(|own| own.is("listen"))
}

/// The addresses of one `listen`, as nginx tells of them.
fn addresses(listen: &Directive) -> Vec<String> {
    let address = listen.argument(0);
    let address = match address.strip_prefix("localhost") {
        Some(port) => format!("127.0.0.1{port}"),
        None => address.into_owned(),
    };
    let range = address.rsplit_once('-').and_then(|(before, last)| {
        let (host, first) = before.rsplit_once(':').unwrap_or(("*", before));
        let ports = first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?;
        Some((host, ports))
    });
    match range.filter(|_| !address.starts_with("unix:")) {
        Some((host, ports)) => ports
            .filter_map(|port| shown(&format!("{host}:{port}")))
            .collect(),
        None => shown(&address).into_iter().collect(),
    }
}

/// What two `listen`s of one address say that cannot be, and who says it.
pub(super) fn fault(block: &Directive) -> Option<(&Directive, String)> {
    let stream = block.is("stream");
    let mut known: BTreeMap<String, Address<'_>> = BTreeMap::new();
    for server in servers(block) {
        for listen in listens(server) {
            let says = |words: &[&str]| {
                listen
                    .arguments()
                    .iter()
                    .any(|word| words.contains(&&*word.text()))
            };
            let valued = |word: &Word| {
                OPTION_VALUES
                    .iter()
                    .any(|own| word.bytes.starts_with(own.as_bytes()))
            };
            let options = says(OPTIONS) || listen.arguments().iter().any(valued);
            for shown in addresses(listen) {
                let datagrams = if says(&["udp"]) { "udp " } else { "" };
                let own = known.entry(format!("{datagrams}{shown}")).or_default();
                if stream && !own.servers.is_empty() {
                    let said = listen.argument(0);
                    return Some((
                        listen,
                        format!("duplicate \"{said}\" address and port pair"),
                    ));
                }
                if own.servers.iter().any(|own| std::ptr::eq(*own, server)) {
                    return Some((listen, format!("a duplicate listen {shown}")));
                }
                if options && own.options {
                    return Some((listen, format!("duplicate listen options for {shown}")));
                }
                let default = says(&["default_server", "default"]);
                if default && own.default {
                    return Some((listen, format!("a duplicate default server for {shown}")));
                }
                own.servers.push(server);
                own.options |= options;
                own.default |= default;
            }
        }
    }
    match stream {
        true => unused(block),
        false => None,
    }
}

/// A stream's server that listens nowhere, or does nothing.
fn unused(block: &Directive) -> Option<(&Directive, String)> {
    servers(block).find_map(|server| {
        let has = |name: &str| server.children().iter().any(|own| own.is(name));
        let answers = has("proxy_pass") || has("return") || has("pass");
        let foreign = server
            .children()
            .iter()
            .any(|own| super::table::rules(&own.name()).next().is_none());
        if !answers && !foreign && has("listen") {
            return Some((server, "no handler for server".to_owned()));
        }
        (!has("listen")).then(|| (server, "no \"listen\" is defined for server".to_owned()))
    })
}

/// The addresses of a block of servers in their order, and who listens there.
fn known(block: &Directive) -> Vec<(String, Vec<&Directive>)> {
    let mut order: Vec<String> = Vec::new();
    let mut known: BTreeMap<String, Vec<&Directive>> = BTreeMap::new();
    for server in servers(block) {
        let mut own: Vec<String> = listens(server).flat_map(addresses).collect();
        if listens(server).next().is_none() {
            own.push(USUAL.to_owned());
        }
        for address in own {
            if !known.contains_key(&address) {
                order.push(address.clone());
            }
            known.entry(address).or_default().push(server);
        }
    }
    let all = order.into_iter().map(|address| {
        let servers = known.remove(&address).unwrap_or_default();
        (address, servers)
    });
    all.collect()
}

/// The servers of each address that several have.
pub(super) fn shared(block: &Directive) -> Vec<Vec<&Directive>> {
    let all = known(block).into_iter().map(|(_, servers)| servers);
    all.filter(|servers| servers.len() > 1).collect()
}

/// How many sockets listen: one on all addresses takes the connections of the others at its port that make no own.
pub(super) fn sockets(directives: &[Directive]) -> usize {
    let of = |name: &'static str| directives.iter().filter(move |own| own.is(name));
    let mut own = BTreeMap::<String, bool>::new();
    for block in of("http") {
        for (address, servers) in known(block) {
            let said = servers.into_iter().flat_map(listens);
            let here = said.filter(|listen| addresses(listen).contains(&address));
            let binds = here.flat_map(Directive::arguments).any(|word| {
                let text = word.text();
                let valued = OPTION_VALUES.iter().any(|own| text.starts_with(own));
                valued || OPTIONS.contains(&&*text)
            });
            *own.entry(address).or_default() |= binds;
        }
    }
    let everywhere = |address: &str, all: &BTreeMap<String, bool>| {
        let port = address.rsplit(':').next().unwrap_or_default();
        let any = match address.starts_with('[') {
            true => format!("[::]:{port}"),
            false => format!("0.0.0.0:{port}"),
        };
        any != address && !address.starts_with("unix:") && all.contains_key(&any)
    };
    let of_http = { own.iter() }.filter(|(address, binds)| **binds || !everywhere(address, &own));
    let streams = of("stream").flat_map(servers).flat_map(listens);
    of_http.count() + streams.flat_map(addresses).count()
}

/// The names that a server cannot have, for another one has them at the same address.
pub(super) fn conflicts(block: &Directive) -> Vec<String> {
    let mut said = Vec::new();
    for (address, servers) in known(block) {
        if servers.len() < 2 {
            continue;
        }
        let mut names = Names::default();
        for server in servers {
            for name in names_of(server) {
                if !names.take(&name) {
                    said.push(format!(
                        "conflicting server name \"{name}\" on {address}, ignored"
                    ));
                }
            }
        }
    }
    said
}

/// What a server is called, in lower case; expressions are not among it.
pub(super) fn names_of(server: &Directive) -> Vec<String> {
    let own = server.children().iter().filter(|own| own.is("server_name"));
    let names: Vec<String> = own
        .flat_map(Directive::arguments)
        .map(|word| word.text().to_lowercase())
        .collect();
    match names.is_empty() {
        true => vec![String::new()],
        false => names
            .into_iter()
            .filter(|name| !name.starts_with('~'))
            .collect(),
    }
}

/// Whether it is a name, or one with a wildcard where nginx's tables take it.
pub(super) fn is_hostname(text: &str) -> bool {
    let rest = match text.strip_prefix('.') {
        Some(_) if text.len() > 1 => return !text.contains("..") && text.matches('*').count() < 2,
        _ => text,
    };
    let head = rest.strip_prefix("*.").filter(|own| !own.is_empty());
    let tail = || rest.strip_suffix(".*").filter(|own| !own.is_empty());
    let name = head.or_else(tail).unwrap_or(rest);
    !name.contains('*') && !text.contains("..")
}

/// The names of one address.
#[derive(Default)]
pub(super) struct Names {
    exact: HashSet<String>,
    heads: HashSet<String>,
    tails: HashSet<String>,
}

impl Names {
    /// Whether it was free.
    pub(super) fn take(&mut self, name: &str) -> bool {
        if let Some(rest) = name.strip_prefix("*.") {
            return self.heads.insert(rest.to_owned());
        }
        if let Some(rest) = name.strip_suffix(".*") {
            return self.tails.insert(rest.to_owned());
        }
        match name.strip_prefix('.') {
            Some(rest) => self.exact.insert(rest.to_owned()) && self.heads.insert(rest.to_owned()),
            None => self.exact.insert(name.to_owned()),
        }
    }
}
