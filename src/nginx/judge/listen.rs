//! `listen`, and an upstream's `server`: their addresses and the parameters that follow.
//!
//! Sentences of `http` and of `stream` differ. Parameters that nginx has learnt since 1.22 are taken. Pure.
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;

use super::url::{Host, Kind, Url};
use crate::nginx::table::Context;
use crate::nginx::tree::{Directive, Word};
use crate::nginx::value;

/// Why a directive is refused.
pub(super) fn refusal(directive: &Directive, context: Context) -> Option<String> {
    let name = directive.name();
    match (&*name, context) {
        ("listen", Context::Server) => listen(directive, false),
        ("listen", Context::StreamServer) => listen(directive, true),
        ("server", Context::Upstream | Context::StreamUpstream) => server(directive),
        _ => None,
    }
}

fn listen(directive: &Directive, stream: bool) -> Option<String> {
    let address = directive.argument(0);
    let url = match Url::parse(&address, Kind::Listen) {
        Ok(url) => url,
        Err(wrong) => {
            return Some(format!(
                "{wrong} in \"{address}\" of the \"listen\" directive"
            ));
        }
    };
    let six =
        matches!(&url.host, Some(Host::Address(own)) if own.is_ipv6()) || address.starts_with('[');
    let words = directive.arguments().get(1..).unwrap_or_default();
    { words.iter() }.find_map(|word| parameter(word, stream, six))
}

/// Why one of the words after the address is refused.
fn parameter(word: &Word, stream: bool, six: bool) -> Option<String> {
    let text = word.text();
    let unknown = || {
        Some(match stream {
            true => format!("the invalid \"{text}\" parameter"),
            false => format!("invalid parameter \"{text}\""),
        })
    };
    let Some((name, given)) = text.split_once('=') else {
        return match &*text {
            "bind" | "reuseport" | "ssl" | "proxy_protocol" | "multipath" => None,
            "default_server" | "default" | "deferred" | "http2" | "quic" if !stream => None,
            "udp" if stream => None,
            _ => unknown(),
        };
    };
    let number = value::number(given.as_bytes());
    let wrong = |what: &str| Some(format!("invalid {what} \"{text}\""));
    match name {
        "backlog" if !matches!(number, Some(1..)) => wrong("backlog"),
        "rcvbuf" if value::size(given.as_bytes()).is_none() => wrong("rcvbuf"),
        "sndbuf" if value::size(given.as_bytes()).is_none() => wrong("sndbuf"),
        "fastopen" if number.is_none() => wrong("fastopen"),
        "backlog" | "rcvbuf" | "sndbuf" | "fastopen" => None,
        "accept_filter" if !stream => None,
        "ipv6only" => match given {
            "on" | "off" => None,
            _ if !six => None,
            _ => unknown(),
        },
        "so_keepalive" => match given {
            "on" | "off" => None,
            times => (!probes(times)).then(|| format!("invalid so_keepalive value: \"{times}\"")),
        },
        _ => unknown(),
    }
}

/// `idle:interval:count`, of which some may be empty, not all.
fn probes(text: &str) -> bool {
    let parts: Vec<_> = text.split(':').collect();
    let [idle, interval, count] = *parts else {
        return false;
    };
    let time =
        |text: &str| text.is_empty() || value::seconds(text.as_bytes()).is_some_and(|own| own > 0);
    let counted = count.is_empty() || matches!(value::number(count.as_bytes()), Some(1..));
    time(idle) && time(interval) && counted && parts.iter().any(|part| !part.is_empty())
}

/// One of an upstream's servers.
fn server(directive: &Directive) -> Option<String> {
    let words = directive.arguments().get(1..).unwrap_or_default();
    let wrong = words.iter().find(|word| {
        let text = word.text();
        let number = |given: &str| value::number(given.as_bytes());
        match text.split_once('=') {
            None => !matches!(&*text, "backup" | "down" | "resolve"),
            Some(("weight", given)) => !matches!(number(given), Some(1..)),
            Some(("max_conns" | "max_fails", given)) => number(given).is_none(),
            Some(("fail_timeout", given)) => value::seconds(given.as_bytes()).is_none(),
            Some(("service", _)) => false,
            Some(_) => true,
        }
    })?;
    Some(format!("invalid parameter \"{}\"", wrong.text()))
}

/// An address as nginx tells of one that is listened on; `None` for names, which it looks up.
pub(in crate::nginx) fn shown(address: &str) -> Option<String> {
    if address
        .get(..5)
        .is_some_and(|head| head.eq_ignore_ascii_case("unix:"))
    {
        return Some(format!("unix:{}", address.get(5..).unwrap_or_default()));
    }
    let url = Url::parse(address, Kind::Listen).ok()?;
    let port = url.port.unwrap_or(80);
    match url.host? {
        Host::Address(IpAddr::V6(own)) => Some(format!("[{own}]:{port}")),
        Host::Address(own) => Some(format!("{own}:{port}")),
        Host::Name(_) => None,
    }
}
