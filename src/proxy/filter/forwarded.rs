//! Says who the client is: the forwarded fields, overwritten unless the peer is trusted.
//!
//! A peer that is not in `trusted_proxies` cannot say anything about itself: its own copies, their twins with
//! underscores (many servers read `X_Real_IP` as `X-Real-IP`) and `Forwarded` (RFC 7239) are dropped. `X-Real-IP` and
//! `X-Scheme` cross configurable-http-proxy untouched, which is why both are set beside the usual ones.
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use ipnet::IpNet;

use super::request::field;
use crate::types::header::{
    X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, X_REAL_IP,
    X_REQUEST_ID, X_SCHEME,
};

/// Fields only the edge, or a trusted peer, may set.
pub static VOUCHED: [HeaderName; 7] = [
    X_REAL_IP,
    X_FORWARDED_FOR,
    X_FORWARDED_PROTO,
    X_FORWARDED_HOST,
    X_FORWARDED_PORT,
    X_SCHEME,
    X_REQUEST_ID,
];

/// What the edge knows about a request's origin.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    /// The connection's other end, as text.
    pub peer: &'a str,
    /// [`usual`] of it.
    pub usual: &'a str,
    /// The client, as far as it is believed: [`client_address`], as text.
    pub client: &'a str,
    /// Whether the peer is in `trusted_proxies`.
    pub trusted: bool,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The port the client connected to.
    pub port: u16,
    /// `Host` as received, with its port.
    pub host: &'a HeaderValue,
    /// The request's identity.
    pub request_id: &'a str,
    /// What is said of the client's certificate, as whole field lines; `None` where no site asks for certificates.
    pub certificate: Option<[&'a [u8]; 2]>,
}

/// The fields that all requests of a connection have whose peer is not trusted, as lines.
pub fn usual(peer: &str, scheme: &str) -> String {
    [
        ("X-Forwarded-For", peer),
        ("X-Real-IP", peer),
        ("X-Forwarded-Proto", scheme),
        ("X-Scheme", scheme),
    ]
    .map(|(name, value)| format!("{name}: {value}\r\n"))
    .concat()
}

/// Whether `peer` is one of those whose forwarded fields are believed.
pub fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&peer))
}

/// The client's address: the peer, or what trusted peers say: the last entry of `X-Forwarded-For` that is not itself
/// trusted, else `X-Real-IP`.
pub fn client_address(peer: IpAddr, trusted: &[IpNet], headers: &HeaderMap) -> IpAddr {
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let mut last = None;
    let entries = headers.get_all(&X_FORWARDED_FOR).iter().collect::<Vec<_>>();
    for value in entries.into_iter().rev() {
        for entry in value.as_bytes().rsplit(|byte| *byte == b',') {
            let Some(address) = std::str::from_utf8(entry)
                .ok()
                .and_then(|text| text.trim().parse().ok())
            else {
                return last.unwrap_or(peer);
            };
            if !is_trusted(address, trusted) {
                return address;
            }
            last = Some(address);
        }
    }
    let real_ip = headers
        .get(&X_REAL_IP)
        .and_then(|value| value.to_str().ok());
    last.or_else(|| real_ip.and_then(|text| text.trim().parse().ok()))
        .unwrap_or(peer)
}

/// Whether a field's name reads like one of ours to a server that takes `_` for `-`.
pub(super) fn is_underscore_twin(name: &HeaderName) -> bool {
    memchr::memchr(b'_', name.as_str().as_bytes()).is_some() && {
        let dashed = name.as_str().replace('_', "-");
        // CGI and WSGI servers would take the latter two for the framing, which the edge says.
        matches!(
            &*dashed,
            "forwarded" | "content-length" | "transfer-encoding"
        ) || VOUCHED.iter().any(|vouched| vouched.as_str() == dashed)
    }
}

/// Whether a field's name is one of those that tell of a client's certificate, or reads like one to a server that takes
/// `_` for `-`.
pub fn tells_of_certificate(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    let dash = |at: usize| matches!(name.get(at), Some(b'-' | b'_'));
    name.starts_with(b"ssl") && dash(3) && name[4..].starts_with(b"client") && dash(10)
}

/// Whether a field of the client is dropped: because the peer may not say it, or because it is written anew. Where the
/// edge `tells` nothing, only what could be taken for the framing is.
pub fn is_dropped(name: &HeaderName, trusted: bool, tells: bool) -> bool {
    match name.as_str() {
        "x-forwarded-for" | "x-request-id" => tells,
        "forwarded" | "x-real-ip" | "x-forwarded-proto" | "x-forwarded-host"
        | "x-forwarded-port" | "x-scheme" => tells && !trusted,
        "content_length" | "transfer_encoding" => true,
        _ => tells && is_underscore_twin(name),
    }
}

/// Writes what the edge knows of a client whose peer is not trusted.
pub(super) fn write_untrusted(origin: &Origin<'_>, wire: &mut Vec<u8>) {
    wire.extend_from_slice(origin.usual.as_bytes());
    write_port(origin, wire);
    field(wire, b"X-Request-ID", origin.request_id.as_bytes());
    field(wire, b"X-Forwarded-Host", origin.host.as_bytes());
    write_certificate(origin, wire);
}

fn write_port(origin: &Origin<'_>, wire: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    let port = digits.format(origin.port);
    field(wire, b"X-Forwarded-Port", port.as_bytes());
}

/// Writes what the edge knows, but for those that are `set` otherwise. What a trusted peer said stays, and its
/// `X-Forwarded-For` is appended to.
pub fn write(
    headers: &HeaderMap,
    origin: &Origin<'_>,
    set: impl Fn(&HeaderName) -> bool,
    wire: &mut Vec<u8>,
) {
    let said = |name: &HeaderName| (origin.trusted && headers.contains_key(name)) || set(name);
    if set(&X_FORWARDED_FOR) {
    } else if origin.trusted && headers.contains_key(&X_FORWARDED_FOR) {
        write_appended(headers, origin.peer, wire);
    } else {
        field(wire, b"X-Forwarded-For", origin.peer.as_bytes());
    }
    if !said(&X_REAL_IP) {
        field(wire, b"X-Real-IP", origin.client.as_bytes());
    }
    if !said(&X_FORWARDED_PROTO) {
        field(wire, b"X-Forwarded-Proto", origin.scheme.as_bytes());
    }
    if !said(&X_SCHEME) {
        field(wire, b"X-Scheme", origin.scheme.as_bytes());
    }
    if !said(&X_FORWARDED_PORT) {
        write_port(origin, wire);
    }
    if !set(&X_REQUEST_ID) {
        field(wire, b"X-Request-ID", origin.request_id.as_bytes());
    }
    if !said(&X_FORWARDED_HOST) {
        field(wire, b"X-Forwarded-Host", origin.host.as_bytes());
    }
    write_certificate(origin, wire);
}

/// Writes what is said of the client's certificate.
pub fn write_certificate(origin: &Origin<'_>, wire: &mut Vec<u8>) {
    for lines in origin.certificate.iter().flatten() {
        wire.extend_from_slice(lines);
    }
}

/// What trusted peers said, and the peer itself. Only what reads as text is kept.
fn write_appended(headers: &HeaderMap, peer: &str, wire: &mut Vec<u8>) {
    wire.extend_from_slice(b"X-Forwarded-For: ");
    for value in headers.get_all(&X_FORWARDED_FOR) {
        if let Ok(value) = value.to_str() {
            wire.extend_from_slice(value.as_bytes());
            wire.extend_from_slice(b", ");
        }
    }
    wire.extend_from_slice(peer.as_bytes());
    wire.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, value.parse().unwrap());
        }
        map
    }

    fn written(headers: &HeaderMap, trusted: bool) -> String {
        let host = HeaderValue::from_static("h:8443");
        let origin = Origin {
            peer: "192.0.2.1",
            usual: &usual("192.0.2.1", "https"),
            client: "192.0.2.1",
            trusted,
            scheme: "https",
            port: 443,
            host: &host,
            request_id: "id",
            certificate: None,
        };
        let mut wire = Vec::new();
        write(headers, &origin, |_| false, &mut wire);
        if !trusted {
            let mut at_once = Vec::new();
            write_untrusted(&origin, &mut at_once);
            assert_eq!(at_once, wire);
        }
        String::from_utf8(wire).unwrap()
    }

    #[test]
    fn what_a_client_says_about_itself_is_dropped_and_said_anew() {
        for name in [
            "X-Forwarded-For",
            "X-Real-IP",
            "X_Real_IP",
            "X-Scheme",
            "Forwarded",
            "X-Forwarded-Host",
            "x_forwarded_for",
            "Content_Length",
            "Transfer_Encoding",
            "X-Request-Id",
        ] {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            assert!(is_dropped(&name, false, true), "{name}");
        }
        let text = written(&HeaderMap::new(), false);
        assert!(text.contains("X-Forwarded-Host: h:8443\r\n"), "{text}");
        assert!(text.contains("X-Real-IP: 192.0.2.1\r\n"), "{text}");
    }

    #[test]
    fn every_field_that_could_tell_of_a_certificate_is_known_and_no_other() {
        for (name, wanted) in [
            ("SSL-Client-Verify", true),
            ("ssl_client_cert", true),
            ("Ssl-Client_S-Dn", true),
            ("ssl-client-", true),
            ("ssl-client", false),
            ("ssl-clients-x", false),
            ("ssl", false),
            ("x-ssl-client-verify", false),
        ] {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(tells_of_certificate(&name), wanted, "{name}");
        }
    }

    #[test]
    fn a_trusted_peer_is_appended_to_and_keeps_what_it_said() {
        let said = headers(&[
            ("X-Forwarded-For", "203.0.113.9"),
            ("X-Forwarded-Proto", "http"),
        ]);
        let text = written(&said, true);
        assert!(
            text.contains("X-Forwarded-For: 203.0.113.9, 192.0.2.1\r\n"),
            "{text}"
        );
        assert!(!text.contains("X-Forwarded-Proto"), "{text}");
        assert!(
            !is_dropped(&X_FORWARDED_PROTO, true, true) && is_dropped(&X_FORWARDED_FOR, true, true)
        );
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_trusted() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let said = headers(&[("X-Forwarded-For", "1.1.1.1, 2.2.2.2, 10.0.0.9")]);
        let client = client_address("10.0.0.1".parse().unwrap(), &trusted, &said);
        assert_eq!(client, "2.2.2.2".parse::<IpAddr>().unwrap());
        let stranger = client_address("8.8.8.8".parse().unwrap(), &trusted, &said);
        assert_eq!(stranger, "8.8.8.8".parse::<IpAddr>().unwrap());
    }
}
