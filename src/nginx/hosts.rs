//! Names of hosts that a configuration has nginx look up when it is read: one that has no address refuses it.
//!
//! Which names those are is pure; whoever calls looks them up. Names in words with variables, and those of upstreams that the
//! file defines, are not looked up by nginx either.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::judge::{Host, Kind, Url, host_of_pass, is_pass, syslog_server, upstreams};
use super::tree::{Block, Directive, Tree};

/// How long all names together may take.
const LONG: Duration = Duration::from_secs(30);

/// A name to be looked up.
struct Wanted<'t> {
    host: String,
    /// What is said when it has no address.
    text: String,
    directive: &'t Directive,
}

/// The first address of each name.
pub(super) type Known = BTreeMap<String, Option<IpAddr>>;

/// Looks all names up.
///
/// # Errors
/// nginx's sentence about the first that has no address.
pub(super) fn found(tree: &Tree) -> Result<Known, Fault> {
    let ends = Instant::now() + LONG;
    let mut known = BTreeMap::new();
    for wanted in of_tree(tree) {
        let found = known
            .entry(wanted.host.clone())
            .or_insert_with(|| address(&wanted.host, ends));
        if found.is_none() {
            return Err(Fault {
                at: tree.at(wanted.directive),
                text: wanted.text,
            });
        }
    }
    Ok(known)
}

/// Writes the addresses of syslog servers in the place of their names: a log must not wait for a resolver.
pub(super) fn settle(directives: &mut [Directive], known: &Known) {
    for own in directives {
        let log = own.is("access_log") || own.is("error_log");
        if let Some(word) = own.words.get_mut(1).filter(|_| log) {
            let text = word.text().into_owned();
            if let Some((server, host)) = syslog(&text)
                && let Some(Some(address)) = known.get(host)
            {
                let port = server.get(host.len()..).unwrap_or_default();
                let address = match address {
                    IpAddr::V4(own) => own.to_string(),
                    IpAddr::V6(own) => format!("[{own}]"),
                };
                let named = format!("server={server}");
                let settled = text.replacen(&named, &format!("server={address}{port}"), 1);
                word.bytes = settled.into_bytes().into();
            }
        }
        if let Some(Block::Directives(inner)) = &mut own.block {
            settle(inner, known);
        }
    }
}

/// The server of a `syslog:` with its port, and its host, where that is a name.
fn syslog(target: &str) -> Option<(&str, &str)> {
    let server = syslog_server(target)?;
    match Url::parse(server, Kind::Server).ok()?.host? {
        Host::Name(name) => Some((server, server.get(..name.len())?)),
        Host::Address(_) => None,
    }
}

/// Asks the system, as nginx does; a thread waits, for nobody can end the question.
fn address(host: &str, ends: Instant) -> Option<IpAddr> {
    let (tell, told) = mpsc::channel();
    let name = host.to_owned();
    let asked = std::thread::Builder::new()
        .name("nginx-host".to_owned())
        .spawn(move || {
            let found = (&*name, 0).to_socket_addrs();
            // Nobody may listen any more.
            tell.send(found.ok().and_then(|mut all| Some(all.next()?.ip())))
                .ok();
        });
    let left = ends.saturating_duration_since(Instant::now());
    asked.ok()?;
    told.recv_timeout(left).ok()?
}

/// All names, those that nginx looks up at once before those that it looks up at the end of a block.
fn of_tree(tree: &Tree) -> Vec<Wanted<'_>> {
    let mut at_once = Vec::new();
    let mut at_end = Vec::new();
    for block in &tree.directives {
        let upstreams = upstreams(block);
        let mut of_block = Vec::new();
        if block.is("error_log") {
            at_once.extend(of_log(block));
        }
        gather(block, &upstreams, false, &mut at_once, &mut of_block);
        at_end.append(&mut of_block);
    }
    at_once.append(&mut at_end);
    at_once
}

fn gather<'t>(
    block: &'t Directive,
    upstreams: &HashSet<String>,
    in_upstream: bool,
    at_once: &mut Vec<Wanted<'t>>,
    at_end: &mut Vec<Wanted<'t>>,
) {
    for own in block.children() {
        let name = own.name();
        let word = own.argument(0);
        match &*name {
            "server" if in_upstream => {
                let text = format!("host not found in upstream \"{word}\"");
                at_once.extend(wanted(own, &word, Kind::Server, text));
            }
            "listen" => {
                let text = format!("host not found in \"{word}\" of the \"listen\" directive");
                at_once.extend(wanted(own, &word, Kind::Listen, text));
            }
            "resolver" => {
                let words = own.arguments().iter().map(super::Word::text);
                let servers = words.filter(|word| {
                    let options = ["valid=", "ipv6=", "ipv4=", "status_zone="];
                    !options.iter().any(|option| word.starts_with(option))
                });
                at_once.extend(servers.filter_map(|word| {
                    let text = format!("host not found in resolver \"{word}\"");
                    wanted(own, &word, Kind::Server, text)
                }));
            }
            "access_log" | "error_log" => at_once.extend(of_log(own)),
            "set_real_ip_from" | "debug_connection" => {
                let network = &*word == "unix:" || super::value::is_network(&word);
                let text = format!("host not found in {name} \"{word}\"");
                if !network {
                    at_once.push(Wanted {
                        host: word.into_owned(),
                        text,
                        directive: own,
                    });
                }
            }
            pass if is_pass(pass) => {
                let Some(address) = host_of_pass(own) else {
                    continue;
                };
                let Ok(url) = Url::parse(&address, Kind::Pass) else {
                    continue;
                };
                if let Some(Host::Name(host)) = url.host
                    && !upstreams.contains(&host.to_lowercase())
                {
                    let text = format!("host not found in upstream \"{host}\"");
                    at_end.push(Wanted {
                        host,
                        text,
                        directive: own,
                    });
                }
            }
            _ => gather(own, upstreams, own.is("upstream"), at_once, at_end),
        }
    }
}

fn of_log(own: &Directive) -> Option<Wanted<'_>> {
    let word = own.argument(0);
    let (server, host) = syslog(&word)?;
    Some(Wanted {
        host: host.to_owned(),
        text: format!("host not found in syslog server \"{server}\""),
        directive: own,
    })
}

fn wanted<'t>(
    directive: &'t Directive,
    word: &str,
    kind: Kind,
    text: String,
) -> Option<Wanted<'t>> {
    match Url::parse(word, kind).ok()?.host? {
        Host::Name(host) => Some(Wanted {
            host,
            text,
            directive,
        }),
        Host::Address(_) => None,
    }
}
