//! Believes servers by OpenSSL's rules: their chains, and whom their certificates name.
//!
//! For upstreams whose settings ask for it; all others are verified by RFC 5280. What the rules are is `chain`'s.
//! Invariant: who is believed has the key of the certificate it shows.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use super::chain::{self, Rules};
use super::signatures;

/// Whom to believe.
#[derive(Debug)]
pub struct Servers {
    /// Authorities.
    pub authorities: Vec<CertificateDer<'static>>,
    /// What they have revoked.
    pub revocations: Vec<CertificateRevocationListDer<'static>>,
    /// Certificates between a server's and the authority's, at most.
    pub depth: u8,
}

/// What is wrong, in OpenSSL's words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(&'static str);

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown: Vec<_> = [leaf].into_iter().chain(others).cloned().collect();
        let rules = Rules {
            authorities: &self.authorities,
            revocations: &self.revocations,
            depth: self.depth.into(),
            of_servers: true,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
        chain::judge(&shown, &rules, now).map_err(|fault| {
            Error::InvalidCertificate(match fault {
                chain::EXPIRED => CertificateError::Expired,
                chain::REVOKED => CertificateError::Revoked,
                fault => CertificateError::Other(OtherError(Arc::new(Refused(fault)))),
            })
        })?;
        match chain::names(leaf, &name.to_str()) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::InvalidCertificate(CertificateError::NotValidForName)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signatures::of_tls12(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signatures::of_tls13(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signatures::schemes()
    }
}
