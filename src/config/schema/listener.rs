//! An address to listen on, alone or as a table with how its sockets are made.
//!
//! As typed and within bounds: an option that does not apply to the kind of address is refused here, since it would be
//! silently without effect.

use std::sync::Arc;

use toml::de::DeValue;

use super::reader::{At, Context, Reader, value};
use super::value::Field;
use super::{Key, Kind, Table};
use crate::config::diagnostic::Diagnostic;
use crate::config::listener::{Listener, Owner, SocketOptions, TcpKeepAlive};
use crate::types::address::Address;

static TABLE: Table = Table {
    header: "a listener",
    about: "",
    keys: &[
        Key::required("address", Kind::Text, "\"0.0.0.0:443\"", "Where."),
        Key::new("backlog", Kind::Count(1, 1_000_000), "4096", "Waiting."),
        Key::rule("interface", Kind::Text, "any", "\"eth0\"", "By which."),
        Key::rule("tcp_keep_alive", Kind::Inline, "none", "{}", "Probes."),
        Key::rule("fast_open", Kind::Count(1, 65_535), "off", "256", "Queue."),
        Key::new(
            "reuse_port",
            Kind::Flag,
            "true",
            "A socket for each worker.",
        ),
        Key::new("ipv6_only", Kind::Flag, "true", "Not IPv4 as well."),
        Key::new(
            "mode",
            Kind::Text,
            "\"0660\"",
            "Permissions of a unix socket.",
        ),
        Key::rule(
            "owner",
            Kind::Text,
            "the account",
            "\"hubgate:www-data\"",
            "Of a unix socket.",
        ),
        Key::rule(
            "proxy_protocol_from",
            Kind::Texts,
            "that of `[listen]`",
            "[\"10.0.0.0/8\"]",
            "Who may send a PROXY header.",
        ),
    ],
};

static KEEP_ALIVE_TABLE: Table = Table {
    header: "tcp_keep_alive",
    about: "",
    keys: &[
        Key::new("idle", Kind::Duration(1), "\"60s\"", "Before the first."),
        Key::new("interval", Kind::Duration(1), "\"10s\"", "Between two."),
        Key::new("probes", Kind::Count(1, 100), "6", "Until the end."),
    ],
};

/// The kernel counts in seconds.
const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

/// Keys that only sockets of one kind have.
const OF_UNIX: [&str; 2] = ["mode", "owner"];
const OF_IP: [&str; 5] = [
    "interface",
    "tcp_keep_alive",
    "fast_open",
    "reuse_port",
    "ipv6_only",
];

/// Reads one of them.
pub(super) fn listener(field: &Field<'_>, context: Context<'_>) -> Option<Listener> {
    let DeValue::Table(table) = field.raw() else {
        return field.listen_address(context.source).map(Listener::from);
    };
    let table = Some((table, field.span()));
    let reader = Reader::new(&TABLE, "the listener".to_owned(), table, context);
    let address = reader.field("address", |field| field.listen_address(context.source));
    let options = options(&reader, context);
    let from = reader.optional("proxy_protocol_from", Reader::networks);
    let (address, options, from) = (address?, options?, from?);
    fits(&reader, &address).then(|| Listener {
        address: address.value,
        options: Arc::new(options),
        proxy_from: from.map(Arc::from),
    })
}

fn options(reader: &Reader<'_>, context: Context<'_>) -> Option<SocketOptions> {
    let backlog = reader.count("backlog");
    let interface = reader.optional("interface", |reader, key| reader.field(key, interface));
    let keep_alive = reader.inline("tcp_keep_alive", &KEEP_ALIVE_TABLE, context, keep_alive);
    let fast_open = reader.optional("fast_open", Reader::count);
    let reuse_port = reader.flag("reuse_port");
    let ipv6_only = reader.flag("ipv6_only");
    let mode = reader.field("mode", mode);
    let owner = reader.optional("owner", |reader, key| reader.field(key, owner));
    Some(SocketOptions {
        backlog: value(backlog)?,
        interface: interface?.map(|at| at.value),
        tcp_keep_alive: keep_alive?,
        fast_open: fast_open?.map(|at| at.value),
        reuse_port: value(reuse_port)?,
        ipv6_only: value(ipv6_only)?,
        mode: value(mode)?,
        owner: owner?.map(|at| at.value).unwrap_or_default(),
    })
}

/// Whether every option that is written means something at such an address.
fn fits(reader: &Reader<'_>, address: &At<Address>) -> bool {
    let (foreign, kind): (&[_], _) = match &address.value {
        Address::Unix(_) => (&OF_IP, "a unix socket"),
        Address::Ip(ip) if ip.is_ipv4() => (&["mode", "owner", "ipv6_only"], "an IPv4 address"),
        Address::Ip(_) => (&OF_UNIX, "an IPv6 address"),
    };
    let mut fits = true;
    for key in foreign {
        if let Some(typed) = reader.typed(key) {
            let message = format!("`{key}` means nothing for {kind}");
            reader.note(Diagnostic::error("listener-option", typed.span(), message));
            fits = false;
        }
    }
    fits
}

fn keep_alive(reader: &Reader<'_>) -> Option<TcpKeepAlive> {
    let (idle, interval) = (reader.duration("idle"), reader.duration("interval"));
    let probes = reader.count("probes");
    Some(TcpKeepAlive {
        idle: value(idle)?.max(SECOND),
        interval: value(interval)?.max(SECOND),
        probes: value(probes)?,
    })
}

/// A name as the kernel has it: of 1 to 15 bytes, none of them `/` or white space.
fn interface(field: &Field<'_>) -> Option<Box<str>> {
    let text = field.text()?;
    let odd = |byte: u8| byte == b'/' || !byte.is_ascii_graphic();
    match (1..=15).contains(&text.len()) && !text.bytes().any(odd) {
        true => Some(text.into()),
        false => field.refuse(
            "bad-interface",
            format!("`{text}` is not the name of a network interface"),
            Some("`ip link` lists them, as in `eth0`".to_owned()),
        ),
    }
}

fn mode(field: &Field<'_>) -> Option<u32> {
    let text = field.text()?;
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Some(mode),
        _ => field.refuse(
            "bad-mode",
            format!("`{text}` are no permissions"),
            Some("write three octal digits, as in \"0660\"".to_owned()),
        ),
    }
}

/// `user`, `user:group` or `:group`.
fn owner(field: &Field<'_>) -> Option<Owner> {
    let text = field.text()?;
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let odd = |byte: u8| byte == b':' || !byte.is_ascii_graphic();
    if text.len() < 2 || user.bytes().chain(group.bytes()).any(odd) {
        let hint = "write \"user\", \"user:group\" or \":group\"".to_owned();
        return field.refuse("bad-owner", format!("`{text}` is no owner"), Some(hint));
    }
    let named = |name: &str| (!name.is_empty()).then(|| name.into());
    Some(Owner {
        user: named(user),
        group: named(group),
    })
}
