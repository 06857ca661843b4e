//! Field names that hubgate itself sets, reads or drops, each in one place, and cookies.
//!
//! The names follow one rule: what the edge says about the client is overwritten, never appended to,
//! unless the peer is trusted.

use http::header::COOKIE;
use http::{HeaderMap, HeaderName};

/// `X-Forwarded-For`: the client's address.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`: `http` or `https`, as the client spoke to the edge.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Forwarded-Host`: the `Host` field as the client sent it.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `X-Forwarded-Port`: the port the client connected to.
pub const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// `X-Real-IP`: the client's address; crosses configurable-http-proxy untouched.
pub const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// `X-Scheme`: as `X-Forwarded-Proto`; crosses configurable-http-proxy untouched.
pub const X_SCHEME: HeaderName = HeaderName::from_static("x-scheme");
/// `X-Request-Id`: the request's identity in logs on both sides.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `X-Hubgate-Cause`: the code of the cause for which hubgate answers itself, which nobody else may claim.
pub const X_HUBGATE_CAUSE: HeaderName = HeaderName::from_static("x-hubgate-cause");
/// `Max-Forwards`: how many more proxies an OPTIONS request may pass (RFC 9110 section 7.6.2).
pub const MAX_FORWARDS: HeaderName = HeaderName::from_static("max-forwards");
/// `Keep-Alive`: hop-by-hop, never forwarded.
pub const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// `Proxy-Connection`: hop-by-hop by custom, never forwarded.
pub const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// `HTTP2-Settings`: part of the h2c upgrade, never forwarded (RFC 9113 section 3.1 retired it).
pub const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Whether a text is `known`, which is in small letters, whatever its case. All of it is compared at once, which for the few
/// bytes of a field's name is several times faster than one byte after the other.
#[inline]
pub fn is_caseless<const LENGTH: usize>(text: &[u8], known: &[u8; LENGTH]) -> bool {
    let Ok(text) = <&[u8; LENGTH]>::try_from(text) else {
        return false;
    };
    let mut other = 0;
    for (byte, known) in text.iter().zip(known) {
        let case = if known.is_ascii_lowercase() { 0x20 } else { 0 };
        other |= (byte | case) ^ known;
    }
    other == 0
}

/// The values of a cookie that are not empty, in the order of the request (RFC 6265 section 5.4).
pub fn cookies<'a>(fields: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    pairs(fields).filter_map(move |(own, value)| (own == name.as_bytes()).then_some(value))
}

/// As [`cookies`], whatever case the name is in: what a variable names has none.
pub fn cookies_like<'a>(fields: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let is = move |own: &[u8]| own.eq_ignore_ascii_case(name.as_bytes());
    pairs(fields).filter_map(move |(own, value)| is(own).then_some(value))
}

/// Names and values that are not empty.
fn pairs(fields: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let fields = fields.get_all(COOKIE).into_iter();
    let pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let pair = pair.trim_ascii();
        let end = memchr::memchr(b'=', pair)?;
        let (name, value) = (pair.get(..end)?, pair.get(end + 1..)?);
        (!value.is_empty()).then_some((name, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_text_counts_but_for_the_case_of_letters() {
        const KNOWN: &[u8; 14] = b"a-z_[0]x{y}~\x009";
        assert!(is_caseless(b"A-Z_[0]X{y}~\x009", KNOWN));
        for at in 0..KNOWN.len() {
            for byte in 0..=u8::MAX {
                let mut text = *KNOWN;
                text[at] = byte;
                assert_eq!(
                    is_caseless(&text, KNOWN),
                    text.eq_ignore_ascii_case(KNOWN),
                    "{byte} at {at}"
                );
            }
        }
        assert!(!is_caseless(&KNOWN[1..], KNOWN) && !is_caseless(b"", KNOWN));
        assert!(is_caseless(b"", b""));
    }
}
