//! Strips fields that belong to one connection (RFC 9110 section 7.6.1).
//!
//! Takes a head of either direction. `Connection` may name further fields to strip, but never one that frames the
//! message, routes it or says who the client is: a client could otherwise remove what the edge vouches for.
#![deny(clippy::disallowed_methods)]

use http::header::{self, HeaderName};
use http::{HeaderMap, Method};

use crate::types::header::{HTTP2_SETTINGS, KEEP_ALIVE, MAX_FORWARDS, PROXY_CONNECTION};
use crate::upstream::http1::{FieldKind, ResponseHead};

/// Stripped from every head.
static ALWAYS: [HeaderName; 7] = [
    header::CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HTTP2_SETTINGS,
];

/// Fields that `Connection` cannot name away.
static KEPT: [HeaderName; 8] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::COOKIE,
    header::AUTHORIZATION,
    header::SET_COOKIE,
    header::CACHE_CONTROL,
];

/// Whether a field is always of one connection.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    // Their lengths: most names are none of these.
    matches!(name.as_str().len(), 2 | 7 | 10 | 14 | 16 | 17) && ALWAYS.contains(name)
}

/// How many more proxies a request may pass. Only of OPTIONS, as TRACE is refused (RFC 9110 section 7.6.2).
pub fn max_forwards(method: &Method, headers: &HeaderMap) -> Option<u32> {
    if *method != Method::OPTIONS {
        return None;
    }
    headers.get(MAX_FORWARDS)?.to_str().ok()?.parse().ok()
}

/// Whether the peer takes trailers (RFC 9110 section 10.1.4).
pub fn takes_trailers(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::TE).iter();
    values.any(|value| {
        let mut tokens = value.as_bytes().split(|byte| *byte == b',');
        tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    })
}

/// The further fields that `Connection` names; nearly always none, and then nothing is allocated.
pub fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        for token in value.as_bytes().split(|byte| *byte == b',') {
            let token = token.trim_ascii();
            if ["close", "keep-alive", "upgrade"]
                .iter()
                .any(|usual| token.eq_ignore_ascii_case(usual.as_bytes()))
            {
                continue;
            }
            if let Ok(name) = HeaderName::from_bytes(token)
                && !KEPT.contains(&name)
            {
                names.push(name);
            }
        }
    }
    names
}

/// The further fields that a response's `Connection` names.
pub fn named_by_response<'a>(head: &ResponseHead<'a>) -> Vec<&'a [u8]> {
    head.fields()
        .filter(|field| field.kind == FieldKind::Connection)
        .flat_map(|field| field.value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| {
            !KEPT
                .iter()
                .any(|kept| kept.as_str().as_bytes().eq_ignore_ascii_case(name))
        })
        .collect()
}

/// Whether `Connection` names `token` (RFC 9110 section 7.6.1; tokens compare without case).
pub fn connection_names(headers: &HeaderMap, token: &str) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn connection_can_name_a_field_but_not_one_that_routes_or_frames() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONNECTION,
            HeaderValue::from_static("close, X-Mine, Host, Content-Length"),
        );
        headers.insert("x-mine", HeaderValue::from_static("1"));
        headers.insert(header::HOST, HeaderValue::from_static("h"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        let names = named_by_connection(&headers);
        assert!(names.contains(&HeaderName::from_static("x-mine")));
        assert!(!names.contains(&header::HOST) && !names.contains(&header::CONTENT_LENGTH));
    }
}
