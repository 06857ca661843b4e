//! `[listen]`: addresses every site answers on.
//!
//! As typed: that no two are the same, and which port redirects name, is for `validate`.

use ipnet::IpNet;

use super::reader::{At, Reader};
use super::{Key, Kind, Table};
use crate::config::listener::Listener;
use crate::types::address::Address;

pub(in crate::config) static TABLE: Table = Table {
    header: "[listen]",
    about: "Addresses every site answers on, as IP:port or `unix:/run/hubgate/http.sock`; an empty list turns one off. A table says how the sockets of one are made: `{ address = \"[::]:443\", backlog = 8192 }`. `backlog` (4096): connections that may wait to be accepted. `interface`: the only one that connections may come in by. `tcp_keep_alive` (none): probes on silent connections, a table of `idle` (\"60s\"), `interval` (\"10s\") and `probes` (6). `fast_open` (off): how many may bring their first bytes with the SYN. `reuse_port` (true): a socket for each worker, among which the kernel spreads connections, or one for all. `ipv6_only` (true): whether an IPv6 address leaves IPv4 alone. For a unix socket `mode` (\"0660\") and `owner`, as \"user\", \"user:group\" or \":group\". `proxy_protocol_from`: who may send a PROXY header there, in the place of the common list below. What changes of an address that is listened on takes effect at once, but for `interface`, `reuse_port` and `ipv6_only`: those at start.",
    keys: &[
        Key::new(
            "http",
            Kind::Listeners,
            "[\"0.0.0.0:80\", \"[::]:80\"]",
            "Plain HTTP: challenges, redirects, and sites with `http = \"forward\"`.",
        ),
        Key::new(
            "https",
            Kind::Listeners,
            "[\"0.0.0.0:443\", \"[::]:443\"]",
            "TLS.",
        ),
        Key::rule(
            "redirect_port",
            Kind::Count(1, 65_535),
            "443 when an https address has it, else the first https address's port",
            "443",
            "The port put into redirects to https; 443 is left out of them.",
        ),
        Key::new(
            "proxy_protocol_from",
            Kind::Texts,
            "[]",
            "Load balancers that say by a PROXY header, version 1 or 2, for which client a connection is: addresses or networks (CIDR). A header from anybody else ends the connection. A listener's own `proxy_protocol_from` is used in its place there.",
        ),
        Key::new(
            "proxy_protocol_optional",
            Kind::Addresses,
            "[]",
            "Addresses of `http`, of `https` and of streams where a header may come first. Needed where some come past the load balancer, as cert-manager's self-check does.",
        ),
        Key::new(
            "proxy_protocol_required",
            Kind::Addresses,
            "[]",
            "Addresses of `http`, of `https` and of streams where a connection without a header is ended.",
        ),
        Key::new(
            "proxy_protocol_from_anybody",
            Kind::Flag,
            "false",
            "Whether a header is taken from those, too, who are in no `proxy_protocol_from`: their connections stay their own, and `$proxy_protocol_addr` and its like tell what the header says, as in nginx.",
        ),
        Key::new(
            "h2c",
            Kind::Addresses,
            "[]",
            "Addresses of `http` where a client may begin with HTTP/2's preface, knowing beforehand that it is spoken (RFC 9113 section 3.3); HTTP/1 is spoken there too. With TLS it is always offered.",
        ),
    ],
};

/// The table as typed: each address with its place.
#[derive(Debug)]
pub(in crate::config) struct Listen {
    pub(in crate::config) http: Vec<At<Listener>>,
    pub(in crate::config) https: Vec<At<Listener>>,
    pub(in crate::config) redirect_port: Option<u16>,
    pub(in crate::config) proxy_from: Vec<IpNet>,
    pub(in crate::config) proxy_optional: Vec<At<Address>>,
    pub(in crate::config) proxy_required: Vec<At<Address>>,
    pub(in crate::config) proxy_anybody: bool,
    pub(in crate::config) h2c: Vec<At<Address>>,
    /// Whether `http` or `https` is written.
    pub(in crate::config) written: bool,
    pub(in crate::config) span: crate::config::source::Span,
}

/// Reads the table.
pub(in crate::config) fn read(reader: &Reader<'_>) -> Option<Listen> {
    let http = reader.listeners("http");
    let https = reader.listeners("https");
    let redirect_port = reader.optional("redirect_port", Reader::count);
    let proxy_from = reader.networks("proxy_protocol_from");
    let proxy_optional = reader.addresses("proxy_protocol_optional");
    let proxy_required = reader.addresses("proxy_protocol_required");
    let proxy_anybody = reader.flag("proxy_protocol_from_anybody");
    let h2c = reader.addresses("h2c");
    Some(Listen {
        http: http?,
        https: https?,
        redirect_port: redirect_port?.map(|port| port.value),
        proxy_from: proxy_from?,
        proxy_optional: proxy_optional?,
        proxy_required: proxy_required?,
        proxy_anybody: proxy_anybody?.value,
        h2c: h2c?,
        written: reader
            .typed("http")
            .or_else(|| reader.typed("https"))
            .is_some(),
        span: reader.span(),
    })
}
