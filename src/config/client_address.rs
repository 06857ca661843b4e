//! `client_address` of a site or a route, as checked: whose word for a client's address is taken, and from which field.
//!
//! Judged as nginx's realip module does: the field's last entry counts; with `recursive` the last one that is not itself
//! in `from`. Says nothing where the connection is not from one of those, or the field is missing or unreadable.
#![deny(clippy::disallowed_methods)]

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::HeaderName;
use ipnet::IpNet;

use crate::types::header::X_FORWARDED_FOR;

/// In the place of a field: the address in the PROXY header of the connection.
const PROXY_HEADER: &str = "proxy_protocol";

/// Whose word is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// Who may speak for others.
    pub from: Vec<IpNet>,
    /// Whether programs on unix sockets may, too.
    pub from_unix: bool,
    /// Where they say it.
    pub header: HeaderName,
    /// Whether entries of `from` are looked past.
    pub recursive: bool,
}

impl ClientAddress {
    /// The address that `peer` names; `None` where its word is not taken, or it says nothing.
    pub fn named(
        &self,
        (peer, on_unix): (IpAddr, bool),
        fields: &HeaderMap,
        proxied: Option<IpAddr>,
    ) -> Option<IpAddr> {
        let believed = |address: IpAddr| match on_unix && address == peer {
            true => self.from_unix,
            false => self.from.iter().any(|net| net.contains(&address)),
        };
        if self.header == PROXY_HEADER {
            return proxied.filter(|_| believed(peer));
        }
        let mut found = None;
        let mut values: Vec<_> = fields.get_all(&self.header).iter().collect();
        if self.header != X_FORWARDED_FOR {
            values.truncate(1);
        }
        let entries = values.into_iter().rev().flat_map(|value| {
            let entries = value.as_bytes().rsplit(|byte| matches!(byte, b' ' | b','));
            entries.filter(|entry| !entry.is_empty())
        });
        for entry in entries {
            if !believed(found.unwrap_or(peer)) {
                break;
            }
            let Some(address) = address(entry) else { break };
            found = Some(address);
            if !self.recursive {
                break;
            }
        }
        found
    }
}

/// An address, with a port or without.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    bare.parse().or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(recursive: bool, header: &str, fields: &[(&'static str, &str)]) -> Option<String> {
        let own = ClientAddress {
            from: ["127.0.0.1/32", "10.0.1.0/24"]
                .map(|net| net.parse().unwrap())
                .to_vec(),
            from_unix: false,
            header: header.parse().unwrap(),
            recursive,
        };
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, value.parse().unwrap());
        }
        let peer = "127.0.0.1".parse().unwrap();
        own.named((peer, false), &map, None)
            .map(|address| address.to_string())
    }

    #[test]
    fn the_last_entry_counts_and_recursively_the_last_that_is_not_believed() {
        let list = "192.0.2.9, 192.0.2.1, 10.0.1.1";
        for (recursive, fields, expected) in [
            (false, &[("x-forwarded-for", list)][..], Some("10.0.1.1")),
            (true, &[("x-forwarded-for", list)], Some("192.0.2.1")),
            (
                true,
                &[("x-forwarded-for", "10.0.1.2,127.0.0.1")],
                Some("10.0.1.2"),
            ),
            (
                true,
                &[("x-forwarded-for", "x, 10.0.1.2")],
                Some("10.0.1.2"),
            ),
            (true, &[("x-forwarded-for", "192.0.2.1, x")], None),
            (
                false,
                &[("x-forwarded-for", "192.0.2.1 , ")],
                Some("192.0.2.1"),
            ),
            (
                true,
                &[
                    ("x-forwarded-for", "192.0.2.1"),
                    ("x-forwarded-for", "10.0.1.1"),
                ],
                Some("192.0.2.1"),
            ),
            (false, &[], None),
        ] {
            let found = named(recursive, "X-Forwarded-For", fields);
            assert_eq!(found.as_deref(), expected, "{recursive} {fields:?}");
        }
    }

    #[test]
    fn an_entry_may_have_a_port_and_other_fields_are_read_once() {
        for (value, expected) in [
            ("192.0.2.1:80", Some("192.0.2.1")),
            ("[2001:db8::1]:80", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("name", None),
        ] {
            let fields = [("x-real-ip", value), ("x-real-ip", "192.0.2.7")];
            assert_eq!(named(false, "X-Real-IP", &fields).as_deref(), expected);
        }
    }
}
