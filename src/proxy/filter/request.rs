//! Puts together the head that goes to the upstream.
//!
//! Takes the client's head, of either HTTP version, and writes an HTTP/1.1 head: the target's bytes as received (or
//! with exactly the prefix replaced), `Host` as received with its port, hop-by-hop fields gone, forwarded fields set,
//! framing said once. Everything else keeps its order, its bytes and the case of its names. The bytes are written
//! directly: copying the engine's maps to change a few fields cost more than everything else on a small request.
#![deny(clippy::disallowed_methods)]

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Version};
use pingora::http::RequestHeader;

use super::forwarded::{self, Origin};
use super::hop_by_hop;
use super::lines::Lines;
use crate::config::SetField;
use crate::proxy::present::{Present, Sought};
use crate::types::header::MAX_FORWARDS;
use crate::upstream::http1::RequestBody;

/// What changes besides the fixed rules.
#[derive(Debug)]
pub struct Changes<'a> {
    /// The origin-form target to send.
    pub target: &'a [u8],
    /// Who asks.
    pub origin: &'a Origin<'a>,
    /// Which fields the request's head had.
    pub present: Present,
    /// How the body is framed.
    pub framing: RequestBody,
    /// The cookie that is ours and stays here.
    pub session: Option<&'a str>,
    /// The protocol to upgrade to, when the request goes on as a tunnel.
    pub upgrade: Option<HeaderValue>,
    /// What the route says of fields.
    pub own: Option<&'a OwnFields<'a>>,
}

/// Fields in the place of those that would be sent.
#[derive(Debug)]
pub struct OwnFields<'a> {
    /// With their values for this request; where one is empty there is no such field.
    pub fields: Vec<(&'a SetField, Cow<'a, [u8]>)>,
    /// Whether the upstream is told who the client is.
    pub forwarded: bool,
    /// In place of the client's.
    pub method: Option<Method>,
    /// Whether the client's fields go on.
    pub passes: bool,
    /// In place of the client's body.
    pub body: Option<Bytes>,
    /// The address that the connection to the endpoint comes from.
    pub from: Option<IpAddr>,
    /// What the request hashes to, where that takes its values.
    pub hash: Option<u64>,
}

impl OwnFields<'_> {
    /// How the body is framed that is sent, where the client's is framed so.
    pub fn framing(&self, of_client: RequestBody) -> RequestBody {
        match &self.body {
            None => of_client,
            Some(body) if body.is_empty() && of_client == RequestBody::None => of_client,
            Some(_) => RequestBody::Length,
        }
    }

    fn value(&self, name: &HeaderName) -> Option<&[u8]> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(field, _)| field.name == *name);
        found.map(|(_, value)| &**value)
    }
}

/// Writes the upstream's head for `head`, its empty line included. `source` is what it was read from, if there is such a thing:
/// most fields are written as they are there.
pub fn write(head: &RequestHeader, source: &[u8], changes: &Changes<'_>, wire: &mut Vec<u8>) {
    // HTTP/2 splits them; of one that is ours the rest goes on.
    let says = |name: &HeaderName| changes.own.and_then(|own| own.value(name));
    let tells = changes.own.is_none_or(|own| own.forwarded);
    let passes = changes.own.is_none_or(|own| own.passes);
    let own_body = changes.own.and_then(|own| own.body.as_ref());
    let joins = (head.version == Version::HTTP_2 || changes.session.is_some())
        && says(&header::COOKIE).is_none()
        && passes;
    let mut named = match changes.present.has(Sought::Connection) {
        true => hop_by_hop::named_by_connection(&head.headers),
        false => Vec::new(),
    };
    let forwards = hop_by_hop::max_forwards(&head.method, &head.headers);
    if forwards.is_some() {
        named.push(MAX_FORWARDS);
    }
    let method = changes.own.and_then(|own| own.method.as_ref());
    wire.extend_from_slice(method.unwrap_or(&head.method).as_str().as_bytes());
    wire.push(b' ');
    wire.extend_from_slice(changes.target);
    wire.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    let host = says(&header::HOST).filter(|host| !host.is_empty());
    wire.extend_from_slice(host.unwrap_or(changes.origin.host.as_bytes()));
    wire.extend_from_slice(b"\r\n");
    let mut lines = Lines::of(source);
    each_field(head, |written, name, value| {
        let dropped = hop_by_hop::is_hop_by_hop(name)
            || *name == header::HOST
            || named.contains(name)
            || forwarded::is_dropped(name, changes.origin.trusted, tells)
            || says(name).is_some()
            || (!passes && *name != header::CONTENT_LENGTH)
            || (own_body.is_some() && *name == header::CONTENT_LENGTH)
            || (changes.origin.certificate.is_some() && forwarded::tells_of_certificate(name))
            || (joins && *name == header::COOKIE)
            // CGI servers read `Proxy` as an outgoing proxy's address (CVE-2016-5385); no client needs it.
            || name.as_str() == "proxy";
        if !dropped {
            lines.pass(written, value.as_bytes(), wire);
        }
    });
    lines.finish(wire);
    if joins && changes.present.has(Sought::Cookie) {
        join_cookies(&head.headers, changes.session, wire);
    }
    if let Some(forwards) = forwards {
        let left = forwards.saturating_sub(1).to_string();
        field(wire, b"Max-Forwards", left.as_bytes());
    }
    match changes.own {
        None if !changes.origin.trusted => forwarded::write_untrusted(changes.origin, wire),
        None => forwarded::write(&head.headers, changes.origin, |_| false, wire),
        Some(own) => write_own(head, changes.origin, own, wire),
    }
    match own_body {
        Some(body) if changes.framing == RequestBody::Length => {
            field(wire, b"Content-Length", body.len().to_string().as_bytes());
        }
        _ => {}
    }
    if changes.framing == RequestBody::Chunked {
        wire.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if let Some(protocol) = &changes.upgrade {
        wire.extend_from_slice(b"Connection: Upgrade\r\n");
        field(wire, b"Upgrade", protocol.as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
}

fn write_own(head: &RequestHeader, origin: &Origin<'_>, own: &OwnFields<'_>, wire: &mut Vec<u8>) {
    if own.forwarded {
        let said = |name: &HeaderName| own.value(name).is_some();
        forwarded::write(&head.headers, origin, said, wire);
    } else {
        forwarded::write_certificate(origin, wire);
    }
    for (one, value) in &own.fields {
        if !value.is_empty() && one.name != header::HOST {
            field(wire, one.written.as_bytes(), value);
        }
    }
}

/// The framing of a request body, from its head (already checked) and whether HTTP/2 has ended the stream.
pub fn framing(head: &RequestHeader, present: Present, h2_body: bool) -> RequestBody {
    let has = |asked, name| present.has(asked) && head.headers.contains_key(name);
    if has(Sought::TransferEncoding, header::TRANSFER_ENCODING) {
        return RequestBody::Chunked;
    }
    match has(Sought::ContentLength, header::CONTENT_LENGTH) {
        true => RequestBody::Length,
        false if h2_body => RequestBody::Chunked,
        false => RequestBody::None,
    }
}

/// Each field with its name as it was written.
fn each_field(head: &RequestHeader, mut take: impl FnMut(&[u8], &HeaderName, &HeaderValue)) {
    if head.has_case() {
        for ((name, value), (written, _)) in head.headers.iter().zip(head.case_header_iter()) {
            take(written.as_slice(), name, value);
        }
    } else {
        for (name, value) in &head.headers {
            take(name.as_str().as_bytes(), name, value);
        }
    }
}

/// One field line.
pub(in crate::proxy) fn field(wire: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    wire.extend_from_slice(name);
    wire.extend_from_slice(b": ");
    wire.extend_from_slice(value);
    wire.extend_from_slice(b"\r\n");
}

/// Writes a field whose name is not as somebody wrote it, in the usual case: `Content-Type`, `ETag`. Case counts for nobody
/// but people and their scripts (RFC 9110 section 5.1).
pub(in crate::proxy) fn named_field(wire: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    match *name {
        header::ETAG => return field(wire, b"ETag", value),
        header::WWW_AUTHENTICATE => return field(wire, b"WWW-Authenticate", value),
        _ => {}
    }
    let begin = wire.len();
    field(wire, name.as_str().as_bytes(), value);
    let mut first = true;
    let written = wire.iter_mut().skip(begin).take(name.as_str().len());
    for byte in written {
        if first {
            byte.make_ascii_uppercase();
        }
        first = *byte == b'-';
    }
}

/// HTTP/2 lets clients split `Cookie`; HTTP/1.1 knows one (RFC 9113 section 8.2.3).
fn join_cookies(headers: &HeaderMap, session: Option<&str>, wire: &mut Vec<u8>) {
    let mut begun = false;
    let mut give = |crumb: &[u8]| {
        wire.extend_from_slice(if begun { b"; " } else { b"Cookie: " });
        wire.extend_from_slice(crumb);
        begun = true;
    };
    for crumb in headers.get_all(header::COOKIE) {
        match session {
            None => give(crumb.as_bytes()),
            Some(name) => without(crumb.as_bytes(), name).for_each(&mut give),
        }
    }
    if begun {
        wire.extend_from_slice(b"\r\n");
    }
}

/// The pairs of a `Cookie` field that are not of this name.
fn without<'a>(field: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let pairs = field.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    pairs.filter(move |pair| {
        let rest = pair.strip_prefix(name.as_bytes());
        !pair.is_empty() && rest.is_none_or(|rest| rest.trim_ascii_start().first() != Some(&b'='))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(host: &HeaderValue) -> Origin<'_> {
        Origin {
            peer: "192.0.2.1",
            usual: "X-Forwarded-For: 192.0.2.1\r\n",
            client: "192.0.2.1",
            trusted: false,
            scheme: "https",
            port: 443,
            host,
            request_id: "id",
            certificate: None,
        }
    }

    fn written(head: &RequestHeader, target: &[u8]) -> Vec<u8> {
        let host = HeaderValue::from_static("h:8443");
        let origin = origin(&host);
        let changes = Changes {
            target,
            origin: &origin,
            present: Present::of(&head.headers),
            framing: RequestBody::None,
            session: None,
            upgrade: None,
            own: None,
        };
        let mut wire = Vec::new();
        write(head, b"", &changes, &mut wire);
        wire
    }

    #[test]
    fn an_odd_target_keeps_its_bytes() {
        for target in [
            &b"/a%2Fb//c/./d;e%25+f"[..],
            b"/\xff<\x80",
            b"/a|b?x=%00&y=%20",
        ] {
            let head = RequestHeader::build("GET", b"/", None).unwrap();
            let line = [b"GET ", target, b" HTTP/1.1\r\nHost: h:8443\r\n"].concat();
            assert!(written(&head, target).starts_with(&line));
        }
    }

    #[test]
    fn fields_keep_their_order_their_case_and_their_repetitions() {
        let mut head = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in [
            ("aCCept", "1"),
            ("Connection", "close, X-Mine"),
            ("X-Mine", "2"),
            ("Host", "other"),
            ("X-b", "3"),
            ("TE", "trailers"),
            ("x-B", "4"),
        ] {
            head.append_header(name, value).unwrap();
        }
        let text = String::from_utf8(written(&head, b"/")).unwrap();
        let own = text.find("X-Forwarded-For").unwrap();
        assert_eq!(
            &text[..own],
            "GET / HTTP/1.1\r\nHost: h:8443\r\naCCept: 1\r\nX-b: 3\r\nx-B: 4\r\n"
        );
        assert!(text.ends_with("\r\n\r\n") && !text.contains("other"));
    }

    #[test]
    fn cookie_crumbs_become_one_cookie() {
        let mut head = RequestHeader::build_no_case("GET", b"/", None).unwrap();
        head.set_version(Version::HTTP_2);
        head.append_header("cookie", "a=1").unwrap();
        head.append_header("cookie", "b=2").unwrap();
        let text = String::from_utf8(written(&head, b"/")).unwrap();
        assert_eq!(text.to_lowercase().matches("cookie:").count(), 1);
        assert!(text.contains("Cookie: a=1; b=2\r\n"), "{text}");
    }

    #[test]
    fn the_cookie_that_is_ours_stays_here_and_others_go_on_as_they_are() {
        for (given, left) in [
            (&["a=1; edge=x; b=2"][..], Some("Cookie: a=1; b=2")),
            (&["edge=x"], None),
            (
                &["edge=x", " ; edge = y; ", "c=\"3;"],
                Some("Cookie: c=\"3"),
            ),
            (
                &["edgex=1; xedge=2; edge"],
                Some("Cookie: edgex=1; xedge=2; edge"),
            ),
        ] {
            let mut head = RequestHeader::build("GET", b"/", None).unwrap();
            for cookie in given {
                head.append_header("Cookie", *cookie).unwrap();
            }
            let host = HeaderValue::from_static("h");
            let origin = origin(&host);
            let changes = Changes {
                target: b"/",
                origin: &origin,
                present: Present::of(&head.headers),
                framing: RequestBody::None,
                session: Some("edge"),
                upgrade: None,
                own: None,
            };
            let mut wire = Vec::new();
            write(&head, b"", &changes, &mut wire);
            let text = String::from_utf8(wire).unwrap();
            let line = text.lines().find(|line| line.starts_with("Cookie"));
            assert_eq!(line, left, "{given:?}");
        }
    }
}
