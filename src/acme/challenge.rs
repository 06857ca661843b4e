//! HTTP-01 (RFC 8555 section 8.3) and TLS-ALPN-01 (RFC 8737): what asks for a challenge, and which of them are ours.
//!
//! Sync and without clocks or files. A token is answered only while its order waits for it, and only for its own host,
//! so that tokens of others (cert-manager behind us) always pass on. Invariant: the map is bounded, and a token leaves it
//! with the guard that published it.
#![deny(clippy::disallowed_methods)]

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

use crate::types::host::Host;

/// Where challenges live (RFC 8555 section 8.3).
pub(super) const PREFIX: &str = "/.well-known/acme-challenge/";
/// Tokens at once; four orders of one host each need four.
const MAX_TOKENS: usize = 1024;

/// The token that a request path asks for; `None` when the path is not exactly a challenge's.
///
/// Takes the raw path without its query. Nothing is decoded: a token is 22 to 128 base64url characters (128 bits of
/// entropy at least), and anything else below the prefix is nobody's.
pub fn token_of(path: &[u8]) -> Option<&str> {
    let token = path.strip_prefix(PREFIX.as_bytes())?;
    let base64url = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !(22..=128).contains(&token.len()) || !token.iter().all(base64url) {
        return None;
    }
    std::str::from_utf8(token).ok()
}

/// The protocol by which an authority asks for a TLS-ALPN-01 challenge (RFC 8737 section 6.2).
pub const ALPN: &[u8] = b"acme-tls/1";

/// Whether a request path lies where challenges live: never redirected, never rewritten, whoever answers it.
pub fn is_challenge_path(path: &[u8]) -> bool {
    path.starts_with(PREFIX.as_bytes())
}

/// The tokens that are answered now. Clones share one map.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    map: Arc<RwLock<HashMap<Box<str>, Answer>>>,
    served: Arc<Served>,
    /// Not to be counted as challenges of an authority.
    probes: bool,
}

/// How often an authority's challenges were answered.
#[derive(Debug, Default)]
struct Served {
    by_http: AtomicU64,
    by_tls: AtomicU64,
}

#[derive(Debug)]
struct Answer {
    host: Host,
    proof: Proof,
    asked: Arc<AtomicU32>,
    is_probe: bool,
}

#[derive(Debug)]
enum Proof {
    KeyAuthorization(Arc<str>),
    Pair(Arc<CertifiedKey>),
}

/// A token that is answered, for a process that takes over from this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOver {
    host: String,
    token: String,
    key_authorization: String,
}

/// Too many tokens wait to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_TOKENS} challenge tokens at once")]
pub struct TooManyTokens;

impl Answer {
    /// Counts that it was asked for.
    fn count(&self, served: &AtomicU64) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if !self.is_probe {
            served.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Tokens {
    /// The same map; what is published through this clone is a look at ourselves and not counted as served.
    pub fn for_probes(&self) -> Self {
        Self {
            probes: true,
            ..self.clone()
        }
    }

    /// How often tokens of orders were answered by HTTP and by TLS.
    pub fn served(&self) -> (u64, u64) {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (count(&self.served.by_http), count(&self.served.by_tls))
    }

    /// Answers `token` for `host` until the guard is dropped. Fails when too many are published already.
    pub fn publish(
        &self,
        host: &Host,
        token: &str,
        key_authorization: &str,
    ) -> Result<Published, TooManyTokens> {
        self.insert(
            host,
            token,
            Proof::KeyAuthorization(key_authorization.into()),
        )
    }

    /// Shows `pair` to TLS clients that ask for `host`'s challenge until the guard is dropped. Fails likewise.
    pub fn publish_pair(
        &self,
        host: &Host,
        token: &str,
        pair: Arc<CertifiedKey>,
    ) -> Result<Published, TooManyTokens> {
        self.insert(host, token, Proof::Pair(pair))
    }

    fn insert(&self, host: &Host, token: &str, proof: Proof) -> Result<Published, TooManyTokens> {
        let asked = Arc::new(AtomicU32::new(0));
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= MAX_TOKENS && !map.contains_key(token) {
            return Err(TooManyTokens);
        }
        map.insert(
            token.into(),
            Answer {
                host: host.clone(),
                proof,
                asked: Arc::clone(&asked),
                is_probe: self.probes,
            },
        );
        Ok(Published {
            tokens: self.clone(),
            token: token.into(),
            asked,
        })
    }

    /// The key authorization to answer with, to the byte, when the token is ours and asked of its own host.
    pub fn lookup(&self, host: &Host, token: &str) -> Option<Arc<str>> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        let answer = map.get(token).filter(|answer| answer.host == *host)?;
        let Proof::KeyAuthorization(text) = &answer.proof else {
            return None;
        };
        answer.count(&self.served.by_http);
        Some(Arc::clone(text))
    }

    /// The pair for a TLS client that asks for a challenge of this server name; an address comes as its name in
    /// `in-addr.arpa` or `ip6.arpa` (RFC 8738 section 6).
    pub fn pair_for(&self, server_name: &str) -> Option<Arc<CertifiedKey>> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        map.values().find_map(|answer| {
            let Proof::Pair(pair) = &answer.proof else {
                return None;
            };
            server_name
                .eq_ignore_ascii_case(&server_name_of(&answer.host))
                .then(|| {
                    answer.count(&self.served.by_tls);
                    Arc::clone(pair)
                })
        })
    }

    /// The tokens that are answered by HTTP now. Pairs for TLS cannot leave the process; their orders are tried again.
    pub fn hand_over(&self) -> Vec<HandedOver> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        let answers = map.iter().filter(|(_, answer)| !answer.is_probe);
        answers
            .filter_map(|(token, answer)| match &answer.proof {
                Proof::KeyAuthorization(text) => Some(HandedOver {
                    host: answer.host.as_str().to_owned(),
                    token: token.to_string(),
                    key_authorization: text.to_string(),
                }),
                Proof::Pair(_) => None,
            })
            .collect()
    }

    /// Answers a token that another process has published, or this one before, until the guard is dropped.
    pub fn take_over(&self, token: &HandedOver) -> Option<Published> {
        let host = Host::parse(&token.host).ok()?;
        self.publish(&host, &token.token, &token.key_authorization)
            .ok()
    }

    /// How many tokens are answered now.
    pub fn len(&self) -> usize {
        self.map
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether no token is answered now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a TLS client asks for in the host's challenge (RFC 8738 section 6).
pub(super) fn server_name_of(host: &Host) -> Cow<'_, str> {
    let reverse = |labels: Vec<String>, zone: &str| -> Cow<'static, str> {
        let labels: Vec<_> = labels.into_iter().rev().collect();
        format!("{}.{zone}.arpa", labels.join(".")).into()
    };
    match host.ip() {
        None => host.as_str().into(),
        Some(IpAddr::V4(address)) => {
            let octets = address.octets();
            reverse(octets.iter().map(u8::to_string).collect(), "in-addr")
        }
        Some(IpAddr::V6(address)) => {
            let digits = address.octets().into_iter();
            let digits = digits.flat_map(|octet| [octet >> 4, octet & 15]);
            reverse(digits.map(|digit| format!("{digit:x}")).collect(), "ip6")
        }
    }
}

/// Keeps a token answered; dropping it ends that.
#[derive(Debug)]
pub struct Published {
    tokens: Tokens,
    token: Box<str>,
    asked: Arc<AtomicU32>,
}

impl Published {
    /// How often the token was asked for; 0 after a failure means that nobody's request reached us.
    pub fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let mut map = self
            .tokens
            .map
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // The same token may have been published again (an order resumed); that one is not ours to remove.
        if map
            .get(&self.token)
            .is_some_and(|answer| Arc::ptr_eq(&answer.asked, &self.asked))
        {
            map.remove(&self.token);
        }
    }
}

#[cfg(test)]
mod tests;
