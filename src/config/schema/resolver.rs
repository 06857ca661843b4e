//! `[resolver]`: how names of endpoints are looked up.
//!
//! As typed; that the two bounds fit each other is checked here, since nothing else knows them.

use std::net::{IpAddr, SocketAddr};

use super::reader::{Reader, value};
use super::value::Field;
use super::{Key, Kind, Table};
use crate::config::diagnostic::Diagnostic;
use crate::config::discovery::Resolver;

/// Where name servers listen.
const PORT: u16 = 53;

pub(in crate::config) static TABLE: Table = Table {
    header: "[resolver]",
    about: "How names of endpoints are looked up. That is never part of a request: answers are renewed in the background when their time is over, and the last good one stays while there is no other.",
    keys: &[
        Key::rule(
            "servers",
            Kind::Texts,
            "those of /etc/resolv.conf, with its search domains",
            "[\"10.0.0.10:53\"]",
            "Name servers, asked in this order; a port left out is 53. /etc/hosts goes before them.",
        ),
        Key::new(
            "timeout",
            Kind::Duration(1),
            "\"2s\"",
            "One server's time for one question; each is asked twice.",
        ),
        Key::new(
            "min_ttl",
            Kind::Duration(1),
            "\"5s\"",
            "An answer holds at least so long, whatever it says itself.",
        ),
        Key::new(
            "max_ttl",
            Kind::Duration(1),
            "\"5m\"",
            "And at most so long.",
        ),
        Key::new(
            "empty_after",
            Kind::Duration(0),
            "\"5m\"",
            "How long \"there is no such name\" is not believed of a name that had addresses; then, and after three such answers, its endpoints leave.",
        ),
        Key::new(
            "ipv6",
            Kind::Flag,
            "true",
            "Whether IPv6 addresses are asked for too; false where this host has no way to them.",
        ),
    ],
};

/// Reads the table.
pub(in crate::config) fn read(reader: &Reader<'_>) -> Option<Resolver> {
    let servers = reader.optional("servers", |reader, key| reader.list(key, server));
    let timeout = reader.duration("timeout");
    let (min_ttl, max_ttl) = (reader.duration("min_ttl"), reader.duration("max_ttl"));
    let empty_after = reader.duration("empty_after");
    let ipv6 = reader.flag("ipv6");
    let (min_ttl, max_ttl) = (min_ttl?, max_ttl?);
    if min_ttl.value > max_ttl.value {
        let span = match reader.typed("min_ttl") {
            Some(_) => min_ttl.span,
            None => max_ttl.span,
        };
        let fault = Diagnostic::error("ttl-bounds", span, "`min_ttl` is longer than `max_ttl`");
        return reader.refuse(fault.hint("the same for both holds every answer for that long"));
    }
    let servers = servers?.unwrap_or_default().into_iter();
    Some(Resolver {
        servers: servers.map(|at| at.value).collect(),
        timeout: value(timeout)?,
        min_ttl: min_ttl.value,
        max_ttl: max_ttl.value,
        empty_after: value(empty_after)?,
        ipv6: value(ipv6)?,
    })
}

fn server(field: &Field<'_>) -> Option<SocketAddr> {
    let text = field.text()?;
    let address = text.parse().ok();
    let address = address.or_else(|| Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, PORT)));
    match address.filter(|at: &SocketAddr| at.port() != 0 && !at.ip().is_unspecified()) {
        Some(address) => Some(address),
        None => field.refuse(
            "bad-server",
            format!("`{text}` is not the address of a name server"),
            Some("as in `10.0.0.10:53`".to_owned()),
        ),
    }
}
