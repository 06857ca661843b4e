//! Keeps a browser with its endpoint: a sealed cookie that holds the endpoint's address and the session's end.
//!
//! AES-256-GCM-SIV with a random nonce, bound to the upstream's name: who reads it learns nothing, who changes it is not
//! believed, and a key that is kept for years may be used for any number of cookies. All cookies have one length. What
//! cannot be opened is as if it were not there. Pure: chance and the time come in.
#![deny(clippy::disallowed_methods)]

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

use super::Keys;
use crate::config::Sticky;
use crate::types::header::cookies;
use crate::types::name::UpstreamName;

/// Of an IPv6 address, a port and a time.
const PLAIN: usize = 16 + 2 + 8;
/// With the nonce before and the tag behind.
const SEALED: usize = NONCE_LEN + PLAIN + 16;
/// In base64.
const TEXT: usize = (SEALED * 4).div_ceil(3);
/// Cookies of the name that are tried: one for each path, and no more.
const MOST: usize = 4;

/// What sessions are sealed with.
#[derive(Debug)]
pub struct SessionKey(LessSafeKey);

/// An endpoint and until when, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct Session {
    pub(in crate::upstream) endpoint: SocketAddr,
    pub(in crate::upstream) ends: u64,
}

/// What a request's choice means for its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::upstream) enum Stuck {
    /// The upstream has none.
    #[default]
    Off,
    /// It went where its cookie says, which ends then.
    Kept { ends: u64 },
    /// It went elsewhere, or had no cookie.
    New,
}

impl SessionKey {
    /// Bytes of a key.
    pub const LENGTH: usize = 32;

    /// The key of these bytes; `None` when the cipher cannot be used.
    pub fn new(bytes: &[u8; Self::LENGTH]) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM_SIV, bytes).ok()?;
        Some(Self(LessSafeKey::new(key)))
    }

    /// The session as a cookie's value.
    fn seal(
        &self,
        upstream: &UpstreamName,
        session: Session,
        nonce: [u8; NONCE_LEN],
    ) -> Option<String> {
        let address = match session.endpoint {
            SocketAddr::V4(v4) => v4.ip().to_ipv6_mapped(),
            SocketAddr::V6(v6) => *v6.ip(),
        };
        let mut sealed = Vec::with_capacity(SEALED);
        sealed.extend_from_slice(&address.octets());
        sealed.extend_from_slice(&session.endpoint.port().to_be_bytes());
        sealed.extend_from_slice(&session.ends.to_be_bytes());
        let aad = Aad::from(upstream.as_str().as_bytes());
        let key = &self.0;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .ok()?;
        sealed.splice(..0, nonce);
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// The session of a cookie's value, if it is one of ours that has not ended at `unix`.
    fn open(&self, upstream: &UpstreamName, value: &[u8], unix: u64) -> Option<Session> {
        if value.len() != TEXT {
            return None;
        }
        let mut sealed = [0; SEALED];
        if URL_SAFE_NO_PAD.decode_slice(value, &mut sealed).ok()? != SEALED {
            return None;
        }
        let (nonce, sealed) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
        let aad = Aad::from(upstream.as_str().as_bytes());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = &*self.0.open_in_place(nonce, aad, sealed).ok()?;
        let (address, rest) = plain.split_first_chunk::<16>()?;
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let ends = u64::from_be_bytes(*rest.first_chunk::<8>()?);
        let ip = Ipv6Addr::from(*address).to_canonical();
        let endpoint = SocketAddr::new(ip, u16::from_be_bytes(*port));
        (unix < ends).then_some(Session { endpoint, ends })
    }

    /// The session that a request's cookies say.
    pub(in crate::upstream) fn session(
        &self,
        sticky: &Sticky,
        upstream: &UpstreamName,
        keys: &Keys<'_>,
    ) -> Option<Session> {
        cookies(keys.headers?, &sticky.cookie)
            .take(MOST)
            .find_map(|value| self.open(upstream, value, keys.unix))
    }
}

/// Where a cookie goes.
#[derive(Clone, Copy, Debug)]
pub struct CookieScope<'a> {
    /// The route's path.
    pub path: &'a str,
    /// Whether the client came over TLS.
    pub secure: bool,
}

/// `Set-Cookie` for a choice: a new session, or one that has been used for half of its time. `random` is asked for the
/// nonce.
pub(in crate::upstream) fn set_cookie(
    key: &SessionKey,
    sticky: &Sticky,
    upstream: &UpstreamName,
    (endpoint, stuck): (SocketAddr, Stuck),
    scope: CookieScope<'_>,
    unix: u64,
    random: impl FnOnce() -> [u8; NONCE_LEN],
) -> Option<HeaderValue> {
    let ttl = sticky.ttl.max(Duration::from_secs(1)).as_secs();
    match stuck {
        Stuck::Off => return None,
        Stuck::Kept { ends } if ends.saturating_sub(unix) > ttl / 2 => return None,
        Stuck::Kept { .. } | Stuck::New => {}
    }
    let ends = unix.saturating_add(ttl);
    let value = key.seal(upstream, Session { endpoint, ends }, random())?;
    let secure = if scope.secure { "; Secure" } else { "" };
    let (name, path) = (&sticky.cookie, cookie_path(scope.path));
    let text =
        format!("{name}={value}; Path={path}; Max-Age={ttl}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(text).ok()
}

/// A path that a cookie can have (RFC 6265 section 4.1.1), else all of the site.
fn cookie_path(path: &str) -> &str {
    let fits = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b';';
    match path.starts_with('/') && path.bytes().all(fits) {
        true => path,
        false => "/",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use proptest::prelude::*;

    fn key(byte: u8) -> SessionKey {
        SessionKey::new(&[byte; SessionKey::LENGTH]).unwrap()
    }

    fn name(name: &str) -> UpstreamName {
        UpstreamName::parse(name).unwrap()
    }

    fn session(endpoint: &str) -> Session {
        Session {
            endpoint: endpoint.parse().unwrap(),
            ends: 1_000,
        }
    }

    #[test]
    fn what_was_sealed_opens_until_its_end_for_its_upstream_and_its_key() {
        for endpoint in ["192.0.2.1:80", "[2001:db8::7]:8443"] {
            let sealed = key(1)
                .seal(&name("hub"), session(endpoint), [9; NONCE_LEN])
                .unwrap();
            assert_eq!(sealed.len(), TEXT);
            let open = |key: SessionKey, upstream: &str, unix| {
                key.open(&name(upstream), sealed.as_bytes(), unix)
            };
            assert_eq!(open(key(1), "hub", 999), Some(session(endpoint)));
            assert_eq!(open(key(1), "hub", 1_000), None);
            assert_eq!(open(key(1), "binder", 1), None);
            assert_eq!(open(key(2), "hub", 1), None);
        }
    }

    #[test]
    fn a_cookie_tells_no_address_and_no_two_are_the_same() {
        let sealed = |nonce| {
            key(1)
                .seal(&name("hub"), session("192.0.2.1:80"), [nonce; NONCE_LEN])
                .unwrap()
        };
        assert_ne!(sealed(1)[16..], sealed(2)[16..]);
        let bytes = URL_SAFE_NO_PAD.decode(sealed(1)).unwrap();
        assert!(!bytes.windows(4).any(|four| four == [192, 0, 2, 1]));
    }

    #[test]
    fn a_cookie_is_renewed_in_its_second_half_and_has_its_attributes() {
        let sticky = Sticky {
            cookie: "edge".into(),
            ttl: Duration::from_secs(3600),
        };
        let endpoint = "192.0.2.1:80".parse().unwrap();
        let scope = CookieScope {
            path: "/jupyterhub/",
            secure: true,
        };
        let set = |stuck, unix| {
            set_cookie(
                &key(1),
                &sticky,
                &name("hub"),
                (endpoint, stuck),
                scope,
                unix,
                || [3; NONCE_LEN],
            )
        };
        assert_eq!(set(Stuck::Off, 0), None);
        assert_eq!(set(Stuck::Kept { ends: 3600 }, 1700), None);
        assert!(set(Stuck::Kept { ends: 3600 }, 1800).is_some());
        let cookie = set(Stuck::New, 10).unwrap();
        let (value, attributes) = cookie.to_str().unwrap().split_once("; ").unwrap();
        assert_eq!(
            attributes,
            "Path=/jupyterhub/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"
        );
        let mut headers = HeaderMap::new();
        headers.insert("cookie", format!("edge=old; {value}; a=b").parse().unwrap());
        let keys = Keys {
            headers: Some(&headers),
            unix: 11,
            ..Keys::default()
        };
        let found = key(1).session(&sticky, &name("hub"), &keys).unwrap();
        assert_eq!((found.endpoint, found.ends), (endpoint, 3610));
    }

    proptest! {
        #[test]
        fn a_changed_cookie_does_not_open(at in 0..TEXT, to in "[A-Za-z0-9_-]") {
            let sealed = key(1).seal(&name("hub"), session("192.0.2.1:80"), [9; NONCE_LEN]).unwrap();
            let mut changed = sealed.clone();
            changed.replace_range(at..=at, &to);
            let opened = key(1).open(&name("hub"), changed.as_bytes(), 1);
            // Bits behind the last whole byte carry nothing; a strict decoder refuses them.
            prop_assert_eq!(opened.is_some(), changed == sealed);
        }
    }
}
