//! `[listen]`: addresses every site answers on.
//!
//! As typed: that no two are the same, and which port redirects name, is for `validate`.

use std::net::SocketAddr;

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
    ],
};

/// The table as typed: each address with its place.
#[derive(Debug)]
pub(in crate::config) struct Listen {
    pub(in crate::config) http: Vec<At<SocketAddr>>,
    pub(in crate::config) https: Vec<At<SocketAddr>>,
    pub(in crate::config) redirect_port: Option<u16>,
    pub(in crate::config) span: crate::config::source::Span,
}

/// Reads the table.
pub(in crate::config) fn read(reader: &Reader<'_>) -> Option<Listen> {
    let http = reader.addresses("http");
    let https = reader.addresses("https");
    let redirect_port = reader.optional("redirect_port", Reader::count);
    Some(Listen {
        http: http?,
        https: https?,
        redirect_port: redirect_port?.map(|port| port.value),
        span: reader.span(),
    })
}
