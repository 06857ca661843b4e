//! Says who the client is: the forwarded fields, overwritten unless the peer is trusted.
//!
//! A peer that is not in `trusted_proxies` cannot say anything about itself: its own copies, their twins with
//! underscores (many servers read `X_Real_IP` as `X-Real-IP`) and `Forwarded` (RFC 7239) are dropped. `X-Real-IP` and
//! `X-Scheme` cross configurable-http-proxy untouched, which is why both are set beside the usual ones.
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use ipnet::IpNet;
use pingora::http::RequestHeader;

use crate::types::header::{
    X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, X_REAL_IP,
    X_REQUEST_ID, X_SCHEME,
};

/// Fields only the edge, or a trusted peer, may set.
pub const VOUCHED: [HeaderName; 7] = [
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
    /// The connection's other end.
    pub peer: IpAddr,
    /// The client, as far as it is believed: [`client_address`].
    pub client: IpAddr,
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
fn is_underscore_twin(name: &HeaderName) -> bool {
    name.as_str().contains('_') && {
        let dashed = name.as_str().replace('_', "-");
        dashed == "forwarded" || VOUCHED.iter().any(|vouched| vouched.as_str() == dashed)
    }
}

/// Drops what the peer may not say and sets what the edge knows.
pub fn apply(head: &mut RequestHeader, origin: &Origin<'_>) -> pingora::Result<()> {
    let twins: Vec<HeaderName> = head
        .headers
        .keys()
        .filter(|name| is_underscore_twin(name))
        .cloned()
        .collect();
    for name in &twins {
        head.remove_header(name);
    }
    if !origin.trusted {
        head.remove_header(&header::FORWARDED);
    }
    let client = address_value(origin.client);
    let forwarded_for = match (origin.trusted, head.headers.get(&X_FORWARDED_FOR)) {
        (true, Some(_)) => appended(&head.headers, origin.peer),
        _ => address_value(origin.peer),
    };
    head.insert_header(X_FORWARDED_FOR, forwarded_for)?;
    let scheme = HeaderValue::from_static(origin.scheme);
    set(head, origin, X_REAL_IP, client)?;
    set(head, origin, X_FORWARDED_PROTO, scheme.clone())?;
    set(head, origin, X_SCHEME, scheme)?;
    set(head, origin, X_FORWARDED_HOST, origin.host.clone())?;
    set(
        head,
        origin,
        X_FORWARDED_PORT,
        HeaderValue::from(origin.port),
    )?;
    if let Ok(id) = HeaderValue::from_str(origin.request_id) {
        head.insert_header(X_REQUEST_ID, id)?;
    }
    Ok(())
}

/// Overwrites, but leaves what a trusted peer said.
fn set(
    head: &mut RequestHeader,
    origin: &Origin<'_>,
    name: HeaderName,
    value: HeaderValue,
) -> pingora::Result<()> {
    if origin.trusted && head.headers.contains_key(&name) {
        return Ok(());
    }
    head.insert_header(name, value)
}

fn appended(headers: &HeaderMap, peer: IpAddr) -> HeaderValue {
    let mut list = Vec::new();
    for value in headers.get_all(&X_FORWARDED_FOR) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(peer.to_string().as_bytes());
    HeaderValue::from_bytes(&list).unwrap_or_else(|_| address_value(peer))
}

fn address_value(address: IpAddr) -> HeaderValue {
    // An address prints as ASCII digits, dots, colons and letters; the fallback is never taken.
    HeaderValue::from_str(&address.to_string())
        .unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut head = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        head
    }

    fn origin<'a>(host: &'a HeaderValue, trusted: bool) -> Origin<'a> {
        Origin {
            peer: "192.0.2.1".parse().unwrap(),
            client: "192.0.2.1".parse().unwrap(),
            trusted,
            scheme: "https",
            port: 443,
            host,
            request_id: "id",
        }
    }

    #[test]
    fn what_a_client_says_about_itself_is_replaced() {
        let host = HeaderValue::from_static("h:8443");
        let mut head = head(&[
            ("X-Forwarded-For", "203.0.113.9"),
            ("X-Real-IP", "203.0.113.9"),
            ("X_Real_IP", "203.0.113.9"),
            ("X-Scheme", "gopher"),
            ("Forwarded", "for=203.0.113.9"),
            ("X-Forwarded-Host", "evil.invalid"),
        ]);
        apply(&mut head, &origin(&host, false)).unwrap();
        for value in head.headers.values() {
            let text = value.to_str().unwrap();
            assert!(
                !text.contains("203.0.113.9") && !text.contains("gopher") && !text.contains("evil"),
                "{text}"
            );
        }
        assert_eq!(head.headers[X_FORWARDED_HOST], "h:8443");
        assert_eq!(head.headers[X_REAL_IP], "192.0.2.1");
    }

    #[test]
    fn a_trusted_peer_is_appended_to() {
        let host = HeaderValue::from_static("h");
        let mut head = head(&[
            ("X-Forwarded-For", "203.0.113.9"),
            ("X-Forwarded-Proto", "https"),
        ]);
        apply(&mut head, &origin(&host, true)).unwrap();
        assert_eq!(head.headers[X_FORWARDED_FOR], "203.0.113.9, 192.0.2.1");
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_trusted() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let head = head(&[("X-Forwarded-For", "1.1.1.1, 2.2.2.2, 10.0.0.9")]);
        let client = client_address("10.0.0.1".parse().unwrap(), &trusted, &head.headers);
        assert_eq!(client, "2.2.2.2".parse::<IpAddr>().unwrap());
        let stranger = client_address("8.8.8.8".parse().unwrap(), &trusted, &head.headers);
        assert_eq!(stranger, "8.8.8.8".parse::<IpAddr>().unwrap());
    }
}
