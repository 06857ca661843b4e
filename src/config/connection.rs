//! How an upstream's endpoints are connected to: what is spoken, and by TLS to whom and as whom.
//!
//! Values only; `schema` and `validate` make them, `upstream` acts on them.

use std::path::PathBuf;

use super::tls::{CipherSuite, PairFiles, TlsVersion};
use crate::types::host::Host;

/// What is spoken to an upstream's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1
    Http1,
    /// HTTP/2; upgrades still go by HTTP/1.1.
    Http2,
}

/// `[upstream.NAME.tls]`: how connections to an upstream are secured, and who may answer on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Whom the endpoints' certificates must name; also sent to them as the server name.
    pub server_name: ServerName,
    /// Roots of a private authority, in place of the public ones.
    pub ca_file: Option<PathBuf>,
    /// Shown to endpoints that ask who connects.
    pub client: Option<PairFiles>,
    /// Whether certificates are verified at all.
    pub verify: bool,
    /// `sni`: whether endpoints are told the name.
    pub says_name: bool,
    /// `depth`: where it is said, chains and names are judged as OpenSSL does, with at most so many certificates between.
    pub depth: Option<u8>,
    /// What authorities have revoked; counts with `depth`.
    pub crl_files: Vec<PathBuf>,
    /// The only version that is spoken, where not both are.
    pub version: Option<TlsVersion>,
    /// The suites that are offered; without any, all.
    pub cipher_suites: Vec<CipherSuite>,
}

/// The name that an endpoint's certificate must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerName {
    /// This one, at every endpoint.
    Fixed(Host),
    /// Each endpoint's own: its address.
    Endpoint,
}
