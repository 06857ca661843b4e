//! What nginx refuses although every directive by itself is well written: two of what may be there once, names of nothing.
//!
//! Asked of a file that has been read whole; the sentences are nginx's. Knows only what nginx always refuses: names that do not
//! resolve and files that are missing are others'.
#![deny(clippy::disallowed_methods)]

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;

use super::addresses;
use super::judge;
use super::model::{Mark, head};
use super::secured;
use super::together;
use super::tree::{Block, Directive};

/// A fault: what it is about, and nginx's sentence.
type Found<'t> = Option<(&'t Directive, String)>;

/// The first fault.
pub(super) fn fault(directives: &[Directive]) -> Found<'_> {
    let blocks = directives
        .iter()
        .filter(|own| own.is("http") || own.is("stream"));
    { blocks }.find_map(|block| {
        let own = block.children();
        addresses::fault(block)
            .or_else(|| together::fault(block))
            .or_else(|| tables(own))
            .or_else(|| upstreams(own))
            .or_else(|| formats(block))
            .or_else(|| networks(own))
            .or_else(|| ports(own))
            .or_else(|| { own.iter() }.find_map(|own| locations(own.children())))
            .or_else(|| secured::fault(block))
    })
}

/// Pools of threads: two of a name, and one that is asked for and not there. That one is told in no place, but with it.
pub(super) fn pools(directives: &[Directive]) -> Option<(&Directive, String, bool)> {
    let mut known = HashSet::new();
    let mut all = directives.iter().filter(|own| own.is("thread_pool"));
    let twice = all.find(|own| !known.insert(own.argument(0)));
    if let Some(own) = twice {
        let text = format!("duplicate thread pool \"{}\"", own.argument(0));
        return Some((own, text, true));
    }
    let missing = |own: &Directive| {
        let word = own.argument(0);
        let pool = word.strip_prefix("threads=").filter(|_| own.is("aio"))?;
        let there = pool == "default" || pool.contains('$') || known.contains(pool);
        (!there).then(|| format!("unknown thread pool \"{pool}\""))
    };
    any(directives, &missing).map(|(own, text)| (own, text, false))
}

/// Names that servers of `http` cannot have.
pub(super) fn conflicts(directives: &[Directive]) -> Vec<String> {
    let blocks = directives.iter().filter(|own| own.is("http"));
    blocks.flat_map(addresses::conflicts).collect()
}

/// A variable that nobody has defined.
pub(super) fn unknown_variable(directives: &[Directive]) -> Option<String> {
    let mut blocks = directives
        .iter()
        .filter(|own| own.is("http") || own.is("stream"));
    blocks.find_map(judge::unknown)
}

/// What is wrong with a block as a whole, which nginx tells at its end.
pub(super) fn at_end(directives: &[Directive]) -> Found<'_> {
    let blocks = directives
        .iter()
        .filter(|own| own.is("http") || own.is("stream"));
    { blocks.flat_map(Directive::children) }.find_map(|own| {
        let empty = || !own.children().iter().any(|own| own.is("server"));
        let text = match &*own.name() {
            "split_clients" if judge::too_much(own) => "percent total is greater than 100%",
            "upstream" if empty() => "no servers are inside upstream",
            _ => return None,
        };
        Some((own, text.to_owned()))
    })
}

/// Maps that say two things of one value, and ranges that overlap.
fn tables(block: &[Directive]) -> Found<'_> {
    let mut tables = block.iter().filter(|own| own.is("geo"));
    if let Some(found) = tables.find_map(|own| judge::of_geo_table(own).fault) {
        return Some(found);
    }
    let mut maps = block.iter().filter(|own| own.is("map"));
    maps.find_map(|map| {
        let Some(Block::Rows(rows)) = &map.block else {
            return None;
        };
        let mut known = HashSet::new();
        let hostnames = rows
            .iter()
            .any(|row| row.words.len() == 1 && row.is("hostnames"));
        let mut hosts = addresses::Names::default();
        let values = rows.iter().filter(|row| {
            let words = row.words.len() == 2 && !row.is("include");
            words && !row.name().starts_with('~')
        });
        { values }.find_map(|row| {
            let value = row.name().to_lowercase();
            let host = hostnames && value != "default" && !value.starts_with('\\');
            if host && !addresses::is_hostname(&value) {
                return Some((row, format!("invalid hostname or wildcard \"{value}\"")));
            }
            let twice = match &*value {
                host_name if host => !hosts.take(host_name),
                // Not the value, which is written `\\default`.
                "default" => !known.insert("\0".to_owned()),
                _ => !known.insert(value.trim_start_matches('\\').to_owned()),
            };
            let text = match &*value {
                "default" => "duplicate default map parameter".to_owned(),
                _ => format!("conflicting parameter \"{value}\""),
            };
            twice.then_some((row, text))
        })
    })
}

fn upstreams(block: &[Directive]) -> Found<'_> {
    let mut names = HashSet::new();
    let mut all = block.iter().filter(|own| own.is("upstream"));
    all.find_map(|own| {
        let name = own.argument(0);
        let twice = !names.insert(name.to_lowercase());
        let text = match twice {
            true => format!("duplicate upstream \"{name}\""),
            false if only_backups(own) => format!("no servers in upstream \"{name}\""),
            false => return none_kept(own),
        };
        Some((own, text))
    })
}

fn only_backups(upstream: &Directive) -> bool {
    let mut servers = upstream.children().iter().filter(|own| own.is("server"));
    servers.all(|own| own.arguments().iter().any(|word| &*word.bytes == b"backup"))
}

fn none_kept(upstream: &Directive) -> Found<'_> {
    let mut own = upstream.children().iter();
    let kept = own.find(|own| own.is("keepalive") && own.argument(0) == "0")?;
    let text = "invalid value \"0\" in \"keepalive\" directive";
    Some((kept, text.to_owned()))
}

/// Logs whose format nobody has defined, and formats that two do.
fn formats(of: &Directive) -> Found<'_> {
    let block = of.children();
    let mut known = HashSet::new();
    if of.is("http") {
        known.insert(Cow::Borrowed("combined"));
    }
    let mut formats = block.iter().filter(|own| own.is("log_format"));
    let twice = formats.find(|own| !known.insert(own.argument(0)));
    if let Some(own) = twice {
        let text = format!("duplicate \"log_format\" name \"{}\"", own.argument(0));
        return Some((own, text));
    }
    any(block, &|own| {
        let named = own.is("access_log") && own.arguments().len() > 1 && own.argument(0) != "off";
        let name = own.argument(1);
        (named && !name.contains('=') && !known.contains(&name))
            .then(|| format!("unknown log format \"{name}\""))
    })
}

/// Networks with a prefix that no address of their kind has.
fn networks(block: &[Directive]) -> Found<'_> {
    any(block, &|own| {
        if !own.is("allow") && !own.is("deny") {
            return None;
        }
        let network = own.argument(0);
        let (address, length) = network.split_once('/')?;
        let most = match address.parse().ok()? {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        let length: u32 = length.parse().ok()?;
        (length > most).then(|| format!("invalid parameter \"{network}\""))
    })
}

/// An upstream's name with a port.
fn ports(block: &[Directive]) -> Found<'_> {
    let upstreams = block.iter().filter(|own| own.is("upstream"));
    let known: HashSet<_> = upstreams.map(|own| own.argument(0)).collect();
    any(block, &|own| {
        if !own.is("proxy_pass") && !own.is("grpc_pass") {
            return None;
        }
        let word = own.argument(0);
        let authority = match word.split_once("://") {
            Some((_, rest)) => rest.split(['/', '?']).next().unwrap_or_default(),
            None => &word,
        };
        let (name, port) = authority.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        known
            .contains(name)
            .then(|| format!("upstream \"{name}\" may not have port {port}"))
    })
}

/// Two locations for the same paths, and an `alias` where no path is known.
fn locations(block: &[Directive]) -> Found<'_> {
    let mut known = HashSet::new();
    let mut all = block.iter().filter(|own| own.is("location"));
    all.find_map(|own| {
        let (mark, path) = head(own).ok()?;
        let shown = String::from_utf8_lossy(path).into_owned();
        // What begins with a path is the same with and without its `^~`.
        let kind = match mark {
            Mark::Exact => Some("exact"),
            Mark::Prefix | Mark::Final => Some("prefix"),
            Mark::Named | Mark::Pattern | Mark::PatternInAnyCase => None,
        };
        if kind.is_some_and(|kind| !known.insert((kind, path.to_vec()))) {
            return Some((own, format!("duplicate location \"{shown}\"")));
        }
        let alias = own.children().iter().find(|own| own.is("alias"));
        if let Some(alias) = alias.filter(|_| mark == Mark::Named) {
            let text = "the \"alias\" directive cannot be used inside the named location";
            return Some((alias, text.to_owned()));
        }
        locations(own.children())
    })
}

/// The first directive, at any depth, that something is wrong with.
fn any<'t>(block: &'t [Directive], wrong: &dyn Fn(&Directive) -> Option<String>) -> Found<'t> {
    block.iter().find_map(|own| match wrong(own) {
        Some(text) => Some((own, text)),
        None => any(own.children(), wrong),
    })
}
