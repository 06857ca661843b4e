//! Heads of HTTP/2 in the form of HTTP/1.1, which is how the rest of the program reads and writes them.
//!
//! Pure. A request's head comes as `proxy` has written it; a response's is written out to be parsed as if it had come
//! so. What has no form on the other side is an error, never changed in passing.
#![deny(clippy::disallowed_methods)]

use http::header::{self, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, Method, Request, StatusCode, Version};

/// A request's head that HTTP/2 has no form for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request has no form in HTTP/2")]
pub(super) struct NoForm;

/// The request whose HTTP/1.1 head is `wire`: `Host` becomes the authority, framing and connection fields go. `trailers`
/// says that the client takes trailers, which gRPC servers ask for.
pub(super) fn request(
    wire: &[u8],
    scheme: &'static str,
    trailers: bool,
) -> Result<Request<()>, NoForm> {
    let mut lines = wire
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .take_while(|line| !line.is_empty());
    let first = lines.next().ok_or(NoForm)?;
    let first = first.strip_suffix(b" HTTP/1.1").ok_or(NoForm)?;
    let space = memchr::memchr(b' ', first).ok_or(NoForm)?;
    let method = Method::from_bytes(&first[..space]).map_err(|_| NoForm)?;
    let target = PathAndQuery::try_from(&first[space + 1..]).map_err(|_| NoForm)?;
    let mut authority = None;
    let mut fields = HeaderMap::with_capacity(32);
    for line in lines {
        let colon = memchr::memchr(b':', line).ok_or(NoForm)?;
        let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| NoForm)?;
        let value = line[colon + 1..].trim_ascii();
        if name == header::HOST {
            authority = Some(Authority::try_from(value).map_err(|_| NoForm)?);
        } else if name != header::TRANSFER_ENCODING && name != header::CONNECTION {
            let value = HeaderValue::from_bytes(value).map_err(|_| NoForm)?;
            fields.append(name, value);
        }
    }
    if trailers {
        fields.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::try_from(scheme).map_err(|_| NoForm)?);
    uri.authority = Some(authority.ok_or(NoForm)?);
    uri.path_and_query = Some(target);
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_parts(uri).map_err(|_| NoForm)?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = fields;
    Ok(request)
}

/// Writes a response's head as HTTP/1.1 has it.
pub(super) fn write_response(status: StatusCode, fields: &HeaderMap, wire: &mut Vec<u8>) {
    wire.extend_from_slice(b"HTTP/1.1 ");
    wire.extend_from_slice(status.as_str().as_bytes());
    wire.push(b' ');
    let reason = status.canonical_reason().unwrap_or_default();
    wire.extend_from_slice(reason.as_bytes());
    wire.extend_from_slice(b"\r\n");
    for (name, value) in fields {
        wire.extend_from_slice(name.as_str().as_bytes());
        wire.extend_from_slice(b": ");
        wire.extend_from_slice(value.as_bytes());
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_becomes_the_authority_and_framing_goes() {
        let wire = b"POST /a%2Fb//c?x=%25 HTTP/1.1\r\nHost: hub.test:8443\r\nX-a: 1\r\nTransfer-Encoding: chunked\r\nx-A: 2\r\n\r\n";
        let request = request(wire, "https", true).unwrap();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri(), "https://hub.test:8443/a%2Fb//c?x=%25");
        let fields = request.headers();
        assert_eq!(fields.get_all("x-a").iter().count(), 2);
        assert_eq!(fields["te"], "trailers");
        assert_eq!(fields.len(), 3, "{fields:?}");
    }

    #[test]
    fn a_target_that_http_2_cannot_carry_is_not_changed_but_refused() {
        for target in ["/a<b", "/a\"b\"^"] {
            let wire = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
            let carried = request(wire.as_bytes(), "http", false);
            if let Ok(request) = carried {
                assert_eq!(
                    request.uri().path_and_query().unwrap().as_str(),
                    target,
                    "as it came or not at all"
                );
            }
        }
        let spaced = b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n";
        assert!(request(spaced, "http", false).is_err());
        assert!(request(b"GET / HTTP/1.1\r\n\r\n", "http", false).is_err());
    }

    #[test]
    fn a_response_reads_as_one_of_http_1() {
        let mut fields = HeaderMap::new();
        fields.append("set-cookie", HeaderValue::from_static("a=1"));
        fields.append("set-cookie", HeaderValue::from_static("b=2"));
        fields.insert("content-length", HeaderValue::from_static("5"));
        let mut wire = Vec::new();
        write_response(StatusCode::NOT_FOUND, &fields, &mut wire);
        let head = crate::upstream::http1::testing::with_head(&wire, |head| {
            (
                head.status(),
                head.reason().to_vec(),
                head.length(),
                head.fields().count(),
            )
        });
        assert_eq!(
            head,
            (StatusCode::NOT_FOUND, b"Not Found".to_vec(), Some(5), 3)
        );
    }
}
