//! What OpenSSL, and so everybody's log, calls what a handshake agreed on.
//!
//! Only what rustls can agree on has a name here, and what clients offer besides a number.
#![deny(clippy::disallowed_methods)]

use rustls::{CipherSuite, NamedGroup};

/// What a client offers, by OpenSSL's names, with colons between; by number what has none here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// Cipher suites.
    pub suites: String,
    /// Groups of key exchanges.
    pub groups: String,
}

impl Offered {
    /// Of a ClientHello.
    pub fn of(hello: &rustls::server::ClientHello<'_>) -> Self {
        let number = |number: u16| format!("0x{number:04x}");
        let suite = |suite: &CipherSuite| {
            cipher(*suite).map_or_else(|| number(u16::from(*suite)), str::to_owned)
        };
        let named = |one: &NamedGroup| {
            let finite = match one {
                NamedGroup::FFDHE2048 => Some("ffdhe2048"),
                NamedGroup::FFDHE3072 => Some("ffdhe3072"),
                NamedGroup::FFDHE4096 => Some("ffdhe4096"),
                NamedGroup::FFDHE6144 => Some("ffdhe6144"),
                NamedGroup::FFDHE8192 => Some("ffdhe8192"),
                other => group(*other),
            };
            finite.map_or_else(|| number(u16::from(*one)), str::to_owned)
        };
        let suites: Vec<_> = hello.cipher_suites().iter().map(suite).collect();
        let groups = hello.named_groups().unwrap_or_default().iter();
        let groups: Vec<_> = groups.map(named).collect();
        Self {
            suites: suites.join(":"),
            groups: groups.join(":"),
        }
    }
}

/// A cipher suite's name.
pub fn cipher(suite: CipherSuite) -> Option<&'static str> {
    Some(match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            "ECDHE-ECDSA-CHACHA20-POLY1305"
        }
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => return None,
    })
}

/// The name of a group of a key exchange.
pub fn group(group: NamedGroup) -> Option<&'static str> {
    Some(match group {
        NamedGroup::X25519 => "X25519",
        NamedGroup::X448 => "X448",
        NamedGroup::secp256r1 => "prime256v1",
        NamedGroup::secp384r1 => "secp384r1",
        NamedGroup::secp521r1 => "secp521r1",
        NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        _ => return None,
    })
}
