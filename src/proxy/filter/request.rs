//! Puts together the head that goes to the upstream.
//!
//! Takes the client's head, of either HTTP version, and gives an HTTP/1.1 head: the target's bytes as received (or
//! with exactly the prefix replaced), `Host` as received with its port, hop-by-hop fields gone, forwarded fields set,
//! framing said once. Nothing else is touched.
#![deny(clippy::disallowed_methods)]

use http::header::{self, HeaderValue};
use http::{HeaderMap, Version};
use pingora::http::RequestHeader;

use super::forwarded::{self, Origin};
use super::hop_by_hop;
use crate::transport::MASK;
use crate::transport::head::is_plain;

/// How the request's body is framed towards the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// As many bytes as `Content-Length` says.
    Length,
    /// Chunks (RFC 9112 section 7.1).
    Chunked,
}

/// What changes besides the fixed rules.
#[derive(Debug)]
pub struct Changes<'a> {
    /// The origin-form target to send.
    pub target: &'a [u8],
    /// Who asks.
    pub origin: &'a Origin<'a>,
    /// How the body is framed.
    pub framing: Framing,
    /// The protocol to upgrade to, when the request goes on as a tunnel.
    pub upgrade: Option<HeaderValue>,
}

/// The upstream's head for `head`. Fails only on values the engine refuses, which the checks before have excluded.
pub fn for_upstream(
    head: &RequestHeader,
    changes: &Changes<'_>,
) -> pingora::Result<Box<RequestHeader>> {
    let mut to = Box::new(head.clone());
    let from_h2 = head.version == Version::HTTP_2;
    to.set_version(Version::HTTP_11);
    if to.raw_path() != changes.target || from_h2 {
        let masked: Vec<u8> = changes.target.iter().map(|byte| mask(*byte)).collect();
        to.set_raw_path(&masked)?;
    }
    for name in hop_by_hop::to_strip(&head.headers) {
        to.remove_header(&name);
    }
    // CGI servers read `Proxy` as an outgoing proxy's address (CVE-2016-5385); no client needs it.
    to.remove_header("proxy");
    if to.headers.get(header::HOST) != Some(changes.origin.host) {
        to.insert_header(header::HOST, changes.origin.host.clone())?;
    }
    if from_h2 {
        join_cookies(&mut to)?;
        // The engine cannot send a 100 on HTTP/2; without the expectation the body comes at once.
        to.remove_header(&header::EXPECT);
    }
    forwarded::apply(&mut to, changes.origin)?;
    match changes.framing {
        Framing::Chunked => to.insert_header(
            header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        )?,
        Framing::None | Framing::Length => {}
    }
    if let Some(protocol) = &changes.upgrade {
        to.insert_header(header::CONNECTION, HeaderValue::from_static("Upgrade"))?;
        to.insert_header(header::UPGRADE, protocol.clone())?;
    }
    Ok(to)
}

/// What the engine's parser takes in the place of a byte.
fn mask(byte: u8) -> u8 {
    if is_plain(byte) { byte } else { MASK }
}

/// The framing of a request body, from its head (already checked) and whether HTTP/2 has ended the stream.
pub fn framing(headers: &HeaderMap, h2_body: bool) -> Framing {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Framing::Chunked;
    }
    match headers.get(header::CONTENT_LENGTH) {
        Some(_) => Framing::Length,
        None if h2_body => Framing::Chunked,
        None => Framing::None,
    }
}

/// HTTP/2 lets clients split `Cookie`; HTTP/1.1 knows one (RFC 9113 section 8.2.3).
fn join_cookies(head: &mut RequestHeader) -> pingora::Result<()> {
    let crumbs: Vec<&[u8]> = head
        .headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() < 2 {
        return Ok(());
    }
    let joined = crumbs.join(&b"; "[..]);
    head.insert_header(header::COOKIE, joined.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes<'a>(origin: &'a Origin<'a>, target: &'a [u8]) -> Changes<'a> {
        Changes {
            target,
            origin,
            framing: Framing::None,
            upgrade: None,
        }
    }

    fn origin(host: &HeaderValue) -> Origin<'_> {
        Origin {
            peer: "192.0.2.1".parse().unwrap(),
            client: "192.0.2.1".parse().unwrap(),
            trusted: false,
            scheme: "https",
            port: 443,
            host,
            request_id: "id",
        }
    }

    #[test]
    fn an_odd_target_keeps_its_bytes() {
        let host = HeaderValue::from_static("h");
        for target in [
            &b"/a%2Fb//c/./d;e%25+f"[..],
            b"/\xff\xfe",
            b"/a|b?x=%00&y=%20",
        ] {
            let head = RequestHeader::build("GET", target, None).unwrap();
            let to = for_upstream(&head, &changes(&origin(&host), target)).unwrap();
            assert_eq!(to.raw_path(), target);
        }
    }

    #[test]
    fn cookie_crumbs_become_one_cookie() {
        let host = HeaderValue::from_static("h");
        let mut head = RequestHeader::build_no_case("GET", b"/", None).unwrap();
        head.set_version(Version::HTTP_2);
        head.append_header("cookie", "a=1").unwrap();
        head.append_header("cookie", "b=2").unwrap();
        let to = for_upstream(&head, &changes(&origin(&host), b"/")).unwrap();
        let cookies: Vec<_> = to.headers.get_all(header::COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
    }
}
