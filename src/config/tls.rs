//! How connections of clients are secured: versions, cipher suites, key exchanges, tickets.
//!
//! Values only; `schema` and `validate` make them, `tls` acts on them. The profiles are Mozilla's, by its guideline 5.8.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A certificate with its key, in files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PairFiles {
    /// PEM, leaf first.
    pub chain: PathBuf,
    /// PEM: PKCS#8, SEC1 or PKCS#1.
    pub key: PathBuf,
    /// Passwords, one a line, of which one opens the key.
    pub passwords: Option<PathBuf>,
}

/// `[tls]`, as it is in force for a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Where what is not written comes from.
    pub profile: TlsProfile,
    /// What handshakes are made by; one for all sites with the same.
    pub policy: Arc<TlsPolicy>,
    /// After this time tickets are sealed with a new key. The same for all sites.
    pub ticket_rotation: Duration,
    /// What browsers are told to remember: to come by https only.
    pub hsts: Option<Hsts>,
}

/// `hsts`: strict transport security (RFC 6797).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hsts {
    /// How long they remember; zero has them forget.
    pub max_age: Duration,
    /// Whether it holds for all hosts below, too.
    pub include_subdomains: bool,
    /// Whether browsers may have it built in.
    pub preload: bool,
}

impl std::fmt::Display for Hsts {
    /// As in the field.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "max-age={}", self.max_age.as_secs())?;
        if self.include_subdomains {
            f.write_str("; includeSubDomains")?;
        }
        if self.preload {
            f.write_str("; preload")?;
        }
        Ok(())
    }
}

impl Default for Tls {
    /// What holds where nothing is written.
    fn default() -> Self {
        let profile = TlsProfile::Intermediate;
        Self {
            profile,
            policy: Arc::new(profile.policy()),
            ticket_rotation: Duration::from_secs(6 * 3600),
            hsts: None,
        }
    }
}

/// What a handshake is made by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsPolicy {
    /// Older ones are refused.
    pub minimum_version: TlsVersion,
    /// Newer ones are not spoken.
    pub maximum_version: TlsVersion,
    /// Those that a client chooses from; some for each version.
    pub cipher_suites: Vec<CipherSuite>,
    /// Those that a client chooses from; some for each version.
    pub groups: Vec<Group>,
    /// Whether clients get tickets to resume with.
    pub session_tickets: bool,
    /// What they are sealed with, the first, and opened; empty where it is the process's own.
    pub ticket_keys: Vec<PathBuf>,
    /// Whose certificates clients show; `None` asks for none.
    pub clients: Option<ClientTrust>,
}

/// `client_certificate`: who may be a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientTrust {
    /// Whether a client without a certificate is refused.
    pub required: bool,
    /// Whether one that is not believed is let in all the same.
    pub lenient: bool,
    /// PEM: the authorities; `None` where nobody is believed.
    pub ca_file: Option<PathBuf>,
    /// PEM: authorities that clients are not told of.
    pub trusted_file: Option<PathBuf>,
    /// Chains are built as OpenSSL does, with at most so many certificates between a client's and an authority's; `None`
    /// for RFC 5280 without compromise.
    pub depth: Option<u8>,
    /// PEM: what they have revoked. Where there is one, every authority of a chain needs one.
    pub crl_files: Vec<PathBuf>,
    /// Whether upstreams get the certificate itself, too.
    pub pass_certificate: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// RFC 5246
    V12,
    /// RFC 8446
    V13,
}

/// A set of values by Mozilla's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsProfile {
    /// TLS 1.3 only.
    Modern,
    /// TLS 1.2 too, with forward secrecy and authenticated encryption only.
    Intermediate,
}

/// Makes an enum of things that have a name and a version they came with.
macro_rules! named {
    ($(#[$about:meta])* $type:ident { $($variant:ident $name:literal $version:ident $other:expr;)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type {
            $(#[doc = $name] $variant,)*
        }

        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
            /// Their names.
            pub const NAMES: &[&str] = &[$($name,)*];

            /// By IANA's name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The version it is for, or came with.
            pub fn version(self) -> TlsVersion {
                match self {
                    $(Self::$variant => TlsVersion::$version,)*
                }
            }

            /// What it is called elsewhere.
            pub fn other_names(self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant => $other,)*
                }
            }
        }
    };
}

named! {
    /// A cipher suite. There are none without forward secrecy and authenticated encryption.
    CipherSuite {
        Aes128 "TLS_AES_128_GCM_SHA256" V13 &[];
        Aes256 "TLS_AES_256_GCM_SHA384" V13 &[];
        ChaCha20 "TLS_CHACHA20_POLY1305_SHA256" V13 &[];
        EcdsaAes128 "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" V12 &["ECDHE-ECDSA-AES128-GCM-SHA256"];
        RsaAes128 "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" V12 &["ECDHE-RSA-AES128-GCM-SHA256"];
        EcdsaAes256 "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" V12 &["ECDHE-ECDSA-AES256-GCM-SHA384"];
        RsaAes256 "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" V12 &["ECDHE-RSA-AES256-GCM-SHA384"];
        EcdsaChaCha20 "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" V12 &["ECDHE-ECDSA-CHACHA20-POLY1305"];
        RsaChaCha20 "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" V12 &["ECDHE-RSA-CHACHA20-POLY1305"];
    }
}

named! {
    /// A key exchange: a curve, or a curve together with a post-quantum mechanism. The latter exist in TLS 1.3 only.
    Group {
        X25519MlKem768 "X25519MLKEM768" V13 &[];
        P256MlKem768 "SecP256r1MLKEM768" V13 &["P256MLKEM768"];
        X25519 "x25519" V12 &["curve25519"];
        P256 "secp256r1" V12 &["P-256", "prime256v1", "nistp256"];
        P384 "secp384r1" V12 &["P-384", "nistp384"];
    }
}

impl TlsVersion {
    /// As in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V12 => "1.2",
            Self::V13 => "1.3",
        }
    }
}

impl TlsProfile {
    /// As in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Modern => "modern",
            Self::Intermediate => "intermediate",
        }
    }

    /// What it stands for.
    pub fn policy(self) -> TlsPolicy {
        let minimum_version = match self {
            Self::Modern => TlsVersion::V13,
            Self::Intermediate => TlsVersion::V12,
        };
        let suites = CipherSuite::ALL.iter().copied();
        TlsPolicy {
            minimum_version,
            maximum_version: TlsVersion::V13,
            cipher_suites: suites
                .filter(|suite| suite.version() >= minimum_version)
                .collect(),
            groups: vec![
                Group::X25519MlKem768,
                Group::X25519,
                Group::P256,
                Group::P384,
            ],
            session_tickets: true,
            ticket_keys: Vec::new(),
            clients: None,
        }
    }
}
