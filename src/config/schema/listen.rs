//! `[listen]`: addresses every site answers on.
//!
//! As typed: that no two are the same, and which port redirects name, is for `validate`.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::reader::{At, Reader};
use super::{Key, Kind, Table};

pub(in crate::config) static TABLE: Table = Table {
    header: "[listen]",
    about: "Addresses every site answers on, as IP:port. IPv6 sockets take IPv6 only. An empty list turns one off.",
    keys: &[
        Key::new(
            "http",
            Kind::Addresses,
            "[\"0.0.0.0:80\", \"[::]:80\"]",
            "Plain HTTP: challenges, redirects, and sites with `http = \"forward\"`.",
        ),
        Key::new(
            "https",
            Kind::Addresses,
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
            "Load balancers that say by a PROXY header, version 1 or 2, for which client a connection is: addresses or networks (CIDR). A header from anybody else ends the connection.",
        ),
        Key::new(
            "proxy_protocol_optional",
            Kind::Addresses,
            "[]",
            "Addresses of `http` and `https` where a header may come first. Needed where some come past the load balancer, as cert-manager's self-check does.",
        ),
        Key::new(
            "proxy_protocol_required",
            Kind::Addresses,
            "[]",
            "Addresses of `http` and `https` where a connection without a header is ended.",
        ),
    ],
};

/// The table as typed: each address with its place.
#[derive(Debug)]
pub(in crate::config) struct Listen {
    pub(in crate::config) http: Vec<At<SocketAddr>>,
    pub(in crate::config) https: Vec<At<SocketAddr>>,
    pub(in crate::config) redirect_port: Option<u16>,
    pub(in crate::config) proxy_from: Vec<IpNet>,
    pub(in crate::config) proxy_optional: Vec<At<SocketAddr>>,
    pub(in crate::config) proxy_required: Vec<At<SocketAddr>>,
    pub(in crate::config) span: crate::config::source::Span,
}

/// Reads the table.
pub(in crate::config) fn read(reader: &Reader<'_>) -> Option<Listen> {
    let http = reader.addresses("http");
    let https = reader.addresses("https");
    let redirect_port = reader.optional("redirect_port", Reader::count);
    let proxy_from = reader.networks("proxy_protocol_from");
    let proxy_optional = reader.addresses("proxy_protocol_optional");
    let proxy_required = reader.addresses("proxy_protocol_required");
    Some(Listen {
        http: http?,
        https: https?,
        redirect_port: redirect_port?.map(|port| port.value),
        proxy_from: proxy_from?,
        proxy_optional: proxy_optional?,
        proxy_required: proxy_required?,
        span: reader.span(),
    })
}
