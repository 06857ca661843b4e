//! Decides whether a request is one hubgate serves at all, and what it says once ambiguities are out of the way.
//!
//! Pure: takes the engine's parsed head and the facts of the connection. The bytes of an HTTP/1 head have been
//! through `transport::head` already. Whatever passes names one host, one origin-form target and one framing.
#![deny(clippy::disallowed_methods)]

use http::header::{self, HeaderValue};
use http::{Method, Version};
use pingora::http::RequestHeader;

use super::filter::hop_by_hop::connection_names;
use super::present::{Present, Sought};
use crate::observe::cause::Cause;
use crate::types::host::{Authority, Host, HostError};

/// A request that passed.
#[derive(Debug)]
pub struct Checked {
    /// The host it is for.
    pub authority: Authority,
    /// `Host` as received (or `:authority`), with its port.
    pub host_value: HeaderValue,
    /// The origin-form target: raw, or what rules have put in its place.
    pub target: Box<[u8]>,
    /// The raw one, where rules have put another in its place.
    pub replaced: Option<Box<[u8]>>,
    /// The protocol it wants to upgrade to.
    pub upgrade: Option<HeaderValue>,
    /// Which fields the head had.
    pub present: Present,
}

impl Checked {
    /// What is left of a request that is none but for its head, for whoever tells its client so.
    pub fn of_none(head: &RequestHeader) -> Self {
        Self {
            authority: Authority::nameless(),
            host_value: HeaderValue::from_static(""),
            target: b"/"[..].into(),
            replaced: None,
            upgrade: None,
            present: Present::of(&head.headers),
        }
    }

    /// The target that the client asked for.
    pub fn asked(&self) -> &[u8] {
        self.replaced.as_deref().unwrap_or(&self.target)
    }
}

/// Checks a head and its raw `target`. `server_name` is the host of the TLS handshake, when it named one. Where it is
/// `lenient`, the host is what nginx takes it for.
pub fn check(
    head: &RequestHeader,
    target: &[u8],
    server_name: Option<&Host>,
    lenient: bool,
) -> Result<Checked, Cause> {
    if lenient && head.method == Method::CONNECT {
        return Err(Cause::HeadMalformed);
    }
    // TRACE would show a script the cookies it may not read; nginx refuses it as well.
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        return Err(Cause::MethodRefused);
    }
    if lenient && !(head.method.as_str().bytes()).all(is_in_method) {
        return Err(Cause::HeadMalformed);
    }
    let present = Present::of(&head.headers);
    // HTTP/1.0 knows no host; whether there is a site for such a request is `decide`'s to say.
    let nameless = || head.version == Version::HTTP_10 && server_name.is_none();
    let found = match lenient {
        true => lenient_value(head, target, present),
        false => host_value(head, present),
    };
    let (authority, host_value) = match found {
        Err(Cause::HostMissing) if nameless() => {
            (Authority::nameless(), HeaderValue::from_static(""))
        }
        value => {
            let value = value?;
            let text = value.to_str().map_err(|_| Cause::HostMalformed)?;
            let authority = match lenient {
                true => Authority::parse_leniently(text),
                false => Authority::parse_near(text, server_name),
            };
            let authority = authority.map_err(|error| match error {
                HostError::Empty => Cause::HostMissing,
                _ => Cause::HostMalformed,
            })?;
            (authority, value)
        }
    };
    if !lenient && server_name.is_some_and(|name| *name != authority.host) {
        return Err(Cause::ServerNameMismatch);
    }
    if lenient && target == b"*" {
        return Err(Cause::HeadMalformed);
    }
    Ok(Checked {
        target: origin_form(head, target)?,
        replaced: None,
        upgrade: upgrade(head, present),
        present,
        authority,
        host_value,
    })
}

/// The bytes of `Host`, or of HTTP/2's `:authority`; where both are, they must agree.
fn host_value(head: &RequestHeader, present: Present) -> Result<HeaderValue, Cause> {
    let (value, again) = match present.has(Sought::Host) {
        false => (None, None),
        true => {
            let mut values = head.headers.get_all(header::HOST).iter();
            (values.next(), values.next())
        }
    };
    if again.is_some() {
        return Err(Cause::HostMalformed);
    }
    let Some(authority) = head.uri.authority() else {
        return value.cloned().ok_or(Cause::HostMissing);
    };
    if value.is_some_and(|value| value.as_bytes() != authority.as_str().as_bytes()) {
        return Err(Cause::HostMalformed);
    }
    HeaderValue::from_str(authority.as_str()).map_err(|_| Cause::HostMalformed)
}

/// The bytes of the authority in an absolute target, else of `Host` (RFC 9112 section 3.2.2).
fn lenient_value(
    head: &RequestHeader,
    target: &[u8],
    present: Present,
) -> Result<HeaderValue, Cause> {
    if head.version == Version::HTTP_2 || target.first() == Some(&b'/') {
        return host_value(head, present);
    }
    let after = target.windows(3).position(|three| three == b"://");
    let Some(rest) = after.and_then(|at| target.get(at + 3..)) else {
        return host_value(head, present);
    };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
    let authority = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    if !authority.iter().all(|byte| may_be_in_authority(*byte)) {
        return Err(Cause::HostMalformed);
    }
    HeaderValue::from_bytes(authority).map_err(|_| Cause::HostMalformed)
}

/// The bytes that nginx takes in a method.
fn is_in_method(byte: u8) -> bool {
    byte.is_ascii_uppercase() || matches!(byte, b'_' | b'-')
}

/// The bytes that nginx takes in the host of a target, be it an address in brackets.
fn may_be_in_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-:[]_~!$&'()*+,;=".contains(&byte)
}

/// The path and query (RFC 9112 section 3.2): as received in origin form, what follows the authority in absolute form,
/// which HTTP/2 does not have.
fn origin_form(head: &RequestHeader, raw: &[u8]) -> Result<Box<[u8]>, Cause> {
    match raw.first() {
        Some(b'/') => return Ok(raw.into()),
        Some(b'*') if raw.len() == 1 && head.method == Method::OPTIONS => return Ok(raw.into()),
        _ if head.version == Version::HTTP_2 => return Err(Cause::HeadMalformed),
        _ => {}
    }
    let lower = raw.get(..8).unwrap_or(raw).to_ascii_lowercase();
    let rest = if lower.starts_with(b"http://") {
        &raw[7..]
    } else if lower.starts_with(b"https://") {
        &raw[8..]
    } else {
        return Err(Cause::HeadMalformed);
    };
    Ok(
        match rest.iter().position(|byte| matches!(byte, b'/' | b'?')) {
            Some(at) if rest[at] == b'/' => rest[at..].into(),
            Some(at) => [b"/", &rest[at..]].concat().into(),
            // RFC 9112 section 3.2.4.
            None if head.method == Method::OPTIONS => b"*"[..].into(),
            None => b"/"[..].into(),
        },
    )
}

/// The protocol of an upgrade request (RFC 9110 section 7.8): `Upgrade` that `Connection` names, on an HTTP/1.1 request
/// without a body. HTTP/2 by upgrade is retired (RFC 9113 section 3.1) and counts as not asked for.
fn upgrade(head: &RequestHeader, present: Present) -> Option<HeaderValue> {
    if !present.has(Sought::Upgrade) {
        return None;
    }
    let protocol = head.headers.get(header::UPGRADE)?;
    let has_body = head.headers.contains_key(header::TRANSFER_ENCODING)
        || head
            .headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|length| length != "0");
    let wanted = head.version == Version::HTTP_11
        && !has_body
        && connection_names(&head.headers, "upgrade")
        && !protocol.as_bytes().to_ascii_lowercase().starts_with(b"h2");
    wanted.then(|| protocol.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, target: &[u8], fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut head = RequestHeader::build(method, target, None).unwrap();
        head.set_version(Version::HTTP_11);
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        head
    }

    #[test]
    fn an_absolute_target_is_forwarded_in_origin_form() {
        for (target, want) in [
            ("http://h/a?b", "/a?b"),
            ("HTTP://h", "/"),
            ("https://h?x", "/?x"),
            ("/a//b%2F", "/a//b%2F"),
        ] {
            let checked = check(
                &head("GET", target.as_bytes(), &[("Host", "h")]),
                target.as_bytes(),
                None,
                false,
            )
            .unwrap();
            assert_eq!(&*checked.target, want.as_bytes(), "{target}");
        }
    }

    #[test]
    fn options_of_a_server_is_the_star_form() {
        for (target, want) in [("http://h", "*"), ("http://h/", "/"), ("http://h?x", "/?x")] {
            let head = head("OPTIONS", target.as_bytes(), &[("Host", "h")]);
            let checked = check(&head, target.as_bytes(), None, false).unwrap();
            assert_eq!(&*checked.target, want.as_bytes(), "{target}");
        }
    }

    #[test]
    fn the_host_must_be_the_one_of_the_handshake() {
        let name = Host::parse("a.example").unwrap();
        assert!(
            check(
                &head("GET", b"/", &[("Host", "A.example:8443")]),
                b"/",
                Some(&name),
                false
            )
            .is_ok()
        );
        let other = check(
            &head("GET", b"/", &[("Host", "b.example")]),
            b"/",
            Some(&name),
            false,
        );
        assert_eq!(other.err(), Some(Cause::ServerNameMismatch));
    }

    #[test]
    fn a_lenient_check_takes_the_host_as_nginx_does() {
        let name = Host::parse("a.example").unwrap();
        for (target, host, want) in [
            ("/", "B.example.:88", Some("b.example")),
            ("http://A.example:8/", "b", Some("a.example")),
            ("/", "a$b:x:80", Some("a$b")),
            ("/", "[v1.a:B]", Some("[v1.a:b]")),
            ("/", "[::0A]:80", Some("[::0a]")),
            ("/", "a..b", None),
            ("/", "a/b", None),
            ("http://a/..b/", "c", Some("a")),
        ] {
            let head = head("GET", target.as_bytes(), &[("Host", host)]);
            let checked = check(&head, target.as_bytes(), Some(&name), true);
            let found = checked.map(|checked| checked.authority.host.to_string());
            assert_eq!(found.ok().as_deref(), want, "{target} {host}");
        }
    }

    #[test]
    fn an_upgrade_counts_only_when_connection_names_it() {
        let with = head(
            "GET",
            b"/",
            &[
                ("Host", "h"),
                ("Upgrade", "websocket"),
                ("Connection", "keep-alive, Upgrade"),
            ],
        );
        assert!(check(&with, b"/", None, false).unwrap().upgrade.is_some());
        let without = head("GET", b"/", &[("Host", "h"), ("Upgrade", "websocket")]);
        assert!(
            check(&without, b"/", None, false)
                .unwrap()
                .upgrade
                .is_none()
        );
        let h2c = head(
            "GET",
            b"/",
            &[
                ("Host", "h"),
                ("Upgrade", "h2c"),
                ("Connection", "Upgrade, HTTP2-Settings"),
            ],
        );
        assert!(check(&h2c, b"/", None, false).unwrap().upgrade.is_none());
    }

    #[test]
    fn trace_is_refused() {
        let trace = head("TRACE", b"/", &[("Host", "h")]);
        assert_eq!(
            check(&trace, b"/", None, false).err(),
            Some(Cause::MethodRefused)
        );
    }

    #[test]
    fn connect_is_refused() {
        let connect = head("CONNECT", b"h:443", &[("Host", "h:443")]);
        assert_eq!(
            check(&connect, b"/", None, false).err(),
            Some(Cause::MethodRefused)
        );
    }
}
