//! Trailers (RFC 9110 section 6.5): which of them may pass, and their forms on the wire.
//!
//! Takes the lines as they came, each with its CR LF, already checked for form. Fields that frame, route, authenticate
//! or say who the client is have no business in a trailer and are dropped.
#![deny(clippy::disallowed_methods)]

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::forwarded::{VOUCHED, is_underscore_twin, tells_of_certificate};
use super::request::field;
use crate::types::header::{KEEP_ALIVE, PROXY_CONNECTION, X_HUBGATE_CAUSE};

/// Dropped (RFC 9110 section 6.5.1).
static REFUSED: [HeaderName; 20] = [
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::HOST,
    header::CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    header::SET_COOKIE,
    header::EXPECT,
    header::RANGE,
    header::FORWARDED,
    X_HUBGATE_CAUSE,
];

/// The fields of lines that may pass.
pub fn allowed(lines: &[u8]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value)
            && may_pass(&name)
        {
            map.append(name, value);
        }
    }
    map
}

/// The fields of an HTTP/2 trailer section that may pass.
pub fn passing(trailers: &HeaderMap) -> HeaderMap {
    let fields = trailers.iter().filter(|(name, _)| may_pass(name));
    fields
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn may_pass(name: &HeaderName) -> bool {
    !REFUSED.contains(name)
        && !VOUCHED.contains(name)
        && !is_underscore_twin(name)
        && !tells_of_certificate(name)
}

/// Writes the end of a chunked body with these trailers (RFC 9112 section 7.1.2).
pub fn write_last_chunk(trailers: &HeaderMap, wire: &mut Vec<u8>) {
    wire.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        field(wire, name.as_str().as_bytes(), value.as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailer_cannot_frame_route_or_vouch() {
        let lines = b"X-Sum: 1\r\nContent-Length: 5\r\nX-Real-IP: 1.2.3.4\r\nhost: evil\r\n\
            X_Real_IP: 1.2.3.4\r\nX-Hubgate-Cause: none\r\nssl-client-verify: SUCCESS\r\n";
        let mut wire = Vec::new();
        write_last_chunk(&allowed(lines), &mut wire);
        assert_eq!(wire, b"0\r\nx-sum: 1\r\n\r\n");
    }
}
