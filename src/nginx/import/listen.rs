//! The words of `listen`: addresses and what is said of them.
//!
//! IP addresses, `localhost` and `unix:` sockets with a whole path; other names are told as lost.
#![deny(clippy::disallowed_methods)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::nginx::tree::Directive;
use crate::types::address::Address;

/// One `listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listen {
    /// Its addresses: several for a range of ports.
    pub(super) addresses: Vec<Address>,
    pub(super) tls: bool,
    pub(super) default: bool,
    pub(super) proxy_protocol: bool,
    pub(super) udp: bool,
    pub(super) h2: bool,
    /// Words that are not carried.
    pub(super) lost: Vec<String>,
}

impl Listen {
    /// `None` for an address that hubgate cannot have.
    pub(super) fn parse(directive: &Directive, default_port: u16) -> Option<Self> {
        let mut listen = Self {
            addresses: addresses(&directive.argument(0), default_port)?,
            tls: false,
            default: false,
            proxy_protocol: false,
            udp: false,
            h2: false,
            lost: Vec::new(),
        };
        for word in directive.arguments().iter().skip(1) {
            match &*word.text() {
                "ssl" => listen.tls = true,
                "default_server" | "default" => listen.default = true,
                "proxy_protocol" => listen.proxy_protocol = true,
                "udp" => listen.udp = true,
                "http2" => listen.h2 = true,
                "spdy" | "deferred" | "bind" | "reuseport" | "ipv6only=on" => {}
                word if word.starts_with("backlog=")
                    || word.starts_with("rcvbuf=")
                    || word.starts_with("sndbuf=")
                    || word.starts_with("fastopen=")
                    || word.starts_with("so_keepalive=")
                    || word.starts_with("setfib=")
                    || word.starts_with("accept_filter=") => {}
                word => listen.lost.push(word.to_owned()),
            }
        }
        Some(listen)
    }
}

fn addresses(word: &str, default_port: u16) -> Option<Vec<Address>> {
    if Address::unix_path(word).is_some() {
        return Some(vec![word.parse().ok()?]);
    }
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let (host, port) = match word.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':').unwrap_or_default())
        }
        None => match word.rsplit_once(':') {
            Some((host, port)) => (host, port),
            None if word
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'-') =>
            {
                ("*", word)
            }
            None => (word, ""),
        },
    };
    let ip = match host {
        "*" | "" => any,
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => host.parse().ok()?,
    };
    let (first, last) = match port.split_once('-') {
        Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
        None if port.is_empty() => (default_port, default_port),
        None => {
            let port: u16 = port.parse().ok()?;
            (port, port)
        }
    };
    Some(
        (first..=last)
            .map(|port| SocketAddr::new(ip, port).into())
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(word: &str) -> Option<String> {
        let found = addresses(word, 80)?;
        Some(
            found
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" "),
        )
    }

    #[test]
    fn every_form_of_an_address_is_understood() {
        for (word, expected) in [
            ("8080", Some("0.0.0.0:8080")),
            ("*:81", Some("0.0.0.0:81")),
            ("127.0.0.1", Some("127.0.0.1:80")),
            ("127.0.0.1:82", Some("127.0.0.1:82")),
            ("[::]:443", Some("[::]:443")),
            ("[::1]", Some("[::1]:80")),
            ("localhost:83", Some("127.0.0.1:83")),
            ("8000-8002", Some("0.0.0.0:8000 0.0.0.0:8001 0.0.0.0:8002")),
            ("unix:/run/x.sock", Some("unix:/run/x.sock")),
            ("unix:x.sock", None),
            ("example.org:80", None),
        ] {
            assert_eq!(shown(word).as_deref(), expected, "{word}");
        }
    }
}
