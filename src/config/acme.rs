//! The certificate authorities that certificates are ordered from.
//!
//! Values only; `schema` makes them, `acme` asks the authorities.

use std::path::PathBuf;

/// `[acme]`: the certificate authorities (RFC 8555).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// In the order they are asked; never empty.
    pub authorities: Vec<AcmeAuthority>,
}

/// One authority: `[acme]` itself, or one `[[acme.ca]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeAuthority {
    /// What it is called in messages, metrics and listings.
    pub name: String,
    /// The directory's URL.
    pub directory: String,
    /// `mailto:` addresses given to the authority.
    pub contact: Vec<String>,
    /// Roots (PEM) trusted for the directory's own TLS, besides the public ones.
    pub ca_file: Option<PathBuf>,
    /// How hosts are shown to be ours.
    pub challenge: ChallengeKind,
    /// Which of its profiles is ordered.
    pub profile: Option<String>,
    /// Rather no certificate than one of another profile.
    pub profile_required: bool,
    /// The account elsewhere that ours is bound to.
    pub external_account: Option<ExternalAccount>,
    /// The directory to practise on.
    pub staging: Option<String>,
}

/// A binding (RFC 8555 section 7.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAccount {
    /// The authority's name for the key.
    pub key_id: String,
    /// The file that holds the key, in base64url; a secret.
    pub hmac_file: PathBuf,
}

/// How an authority sees that a host is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChallengeKind {
    /// A token over plain HTTP, on port 80 (RFC 8555 section 8.3).
    #[default]
    Http01,
    /// A certificate with the token in it, on port 443 (RFC 8737).
    TlsAlpn01,
}

impl ChallengeKind {
    /// As in configurations and in the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}
