//! Puts together the head that goes back to the client.
//!
//! Takes the upstream's head and says how its body is framed towards this client. Everything but hop-by-hop fields
//! passes as it came, repeated `Set-Cookie` included.
#![deny(clippy::disallowed_methods)]

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};
use pingora::http::ResponseHeader;

use super::hop_by_hop;
use super::request::field;

/// The client's side of a response.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// The version the request came in.
    pub version: Version,
    /// Whether the request was HEAD.
    pub is_head: bool,
}

impl Client {
    /// Of a request.
    pub fn of(method: &Method, version: Version) -> Self {
        Self {
            version,
            is_head: *method == Method::HEAD,
        }
    }
}

/// Whether a response with this status and method has a body (RFC 9110 section 6.4.1).
pub fn has_body(status: u16, client: Client) -> bool {
    !(client.is_head || status == 204 || status == 304 || (100..200).contains(&status))
}

/// An HTTP/2 client's head for `head`.
pub fn for_client(head: &ResponseHeader, client: Client) -> pingora::Result<Box<ResponseHeader>> {
    let mut to = Box::new(head.clone());
    to.set_version(Version::HTTP_11);
    for name in hop_by_hop::to_strip(&head.headers) {
        to.remove_header(&name);
    }
    collapse_length(&mut to)?;
    let status = head.status.as_u16();
    let unsized_body = has_body(status, client) && !to.headers.contains_key(header::CONTENT_LENGTH);
    if unsized_body && client.version == Version::HTTP_11 {
        to.insert_header(
            header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        )?;
    }
    if status == 204 || (100..200).contains(&status) {
        to.remove_header(&header::CONTENT_LENGTH);
    }
    Ok(to)
}

/// The part of an HTTP/1 client's head by which the engine knows how to go on: status and framing. [`write_rest`]
/// makes the rest.
pub fn frame(head: &ResponseHeader, client: Client) -> pingora::Result<Box<ResponseHeader>> {
    let mut frame = Box::new(ResponseHeader::build_no_case(head.status, Some(4))?);
    frame.set_version(Version::HTTP_11);
    frame.set_reason_phrase(head.get_reason_phrase())?;
    let status = head.status.as_u16();
    if status == 204 || (100..200).contains(&status) {
        return Ok(frame);
    }
    if let Some(length) = head.headers.get(header::CONTENT_LENGTH) {
        frame.insert_header(header::CONTENT_LENGTH, length.clone())?;
        collapse_length(&mut frame)?;
    } else if has_body(status, client) && client.version == Version::HTTP_11 {
        frame.insert_header(
            header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        )?;
    }
    Ok(frame)
}

/// Writes the fields of `head` that pass as they came, in their order and case; for a 101 what it upgrades to as well.
/// `Date` is the edge's own, as with nginx.
pub fn write_rest(head: &ResponseHeader, wire: &mut Vec<u8>) {
    let named = hop_by_hop::named_by_connection(&head.headers);
    let passes = |name: &HeaderName| {
        !hop_by_hop::is_hop_by_hop(name)
            && *name != header::CONTENT_LENGTH
            && *name != header::DATE
            && !named.contains(name)
    };
    if head.has_case() {
        for ((name, value), (written, _)) in head.headers.iter().zip(head.case_header_iter()) {
            if passes(name) {
                field(wire, written.as_slice(), value.as_bytes());
            }
        }
    } else {
        for (name, value) in &head.headers {
            if passes(name) {
                field(wire, name.as_str().as_bytes(), value.as_bytes());
            }
        }
    }
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        wire.extend_from_slice(b"Connection: Upgrade\r\n");
        if let Some(protocol) = head.headers.get(header::UPGRADE) {
            field(wire, b"Upgrade", protocol.as_bytes());
        }
    }
}

/// One `Content-Length`, where the upstream repeated it (the engine has checked that they agree).
fn collapse_length(head: &mut ResponseHeader) -> pingora::Result<()> {
    let Some(first) = head.headers.get(header::CONTENT_LENGTH) else {
        return Ok(());
    };
    let repeated = head.headers.get_all(header::CONTENT_LENGTH).iter().count() > 1;
    let listed = first.as_bytes().contains(&b',');
    if repeated || listed {
        let value = first
            .as_bytes()
            .split(|byte| *byte == b',')
            .next()
            .unwrap_or_default();
        let value = HeaderValue::from_bytes(value.trim_ascii()).unwrap_or_else(|_| first.clone());
        head.insert_header(header::CONTENT_LENGTH, value)?;
    }
    Ok(())
}

/// Whether the body is chunked; `None` when it is in a transfer coding nobody asked for, or in several.
pub fn chunked(head: &ResponseHeader) -> Option<bool> {
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Some(false),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Some(true),
        _ => None,
    }
}

/// Whether a response is a stream of server-sent events, which may be silent for long.
pub fn is_event_stream(head: &ResponseHeader) -> bool {
    head.headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        let kind = value
            .as_bytes()
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, fields: &[(&'static str, &str)]) -> ResponseHeader {
        let mut head = ResponseHeader::build(status, None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        head
    }

    fn client(version: Version) -> Client {
        Client::of(&Method::GET, version)
    }

    #[test]
    fn a_body_without_a_length_is_chunked_for_http_1_1_only() {
        let head = head(200, &[]);
        let new = frame(&head, client(Version::HTTP_11)).unwrap();
        assert_eq!(new.headers[header::TRANSFER_ENCODING], "chunked");
        let old = frame(&head, client(Version::HTTP_10)).unwrap();
        assert!(!old.headers.contains_key(header::TRANSFER_ENCODING));
    }

    #[test]
    fn the_rest_of_a_head_passes_as_it_came_without_what_is_of_one_connection() {
        let head = head(
            200,
            &[
                ("X-a", "1"),
                ("Connection", "x-A, keep-alive"),
                ("SERVER", "s"),
                ("Set-Cookie", "a=1"),
                ("Content-Length", "3"),
                ("Set-Cookie", "b=2"),
                ("Keep-Alive", "timeout=5"),
            ],
        );
        let mut wire = Vec::new();
        write_rest(&head, &mut wire);
        assert_eq!(wire, b"SERVER: s\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n");
    }

    #[test]
    fn every_set_cookie_passes() {
        let head = head(
            200,
            &[
                ("Set-Cookie", "a=1"),
                ("Set-Cookie", "b=2"),
                ("Connection", "close"),
            ],
        );
        let to = for_client(&head, client(Version::HTTP_11)).unwrap();
        assert_eq!(to.headers.get_all(header::SET_COOKIE).iter().count(), 2);
        assert!(!to.headers.contains_key(header::CONNECTION));
    }

    #[test]
    fn an_event_stream_is_known_by_its_type_whatever_its_parameters() {
        assert!(is_event_stream(&head(
            200,
            &[("Content-Type", "Text/Event-Stream; charset=utf-8")]
        )));
        assert!(!is_event_stream(&head(
            200,
            &[("Content-Type", "text/event-stream-not")]
        )));
    }
}
