//! A verifier that accepts every certificate, for those who look at it themselves or were told not to.
//!
//! Signatures of the handshake are still checked, so that the peer holds the key of the certificate that it shows; but for
//! [`Unverified::looking`], by which nothing may be said to the peer.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// Accepts every certificate, for every name, at any time.
#[derive(Debug)]
pub struct Unverified {
    known: WebPkiSupportedAlgorithms,
    checks_signatures: bool,
}

impl Unverified {
    /// With the signatures that `provider` knows.
    pub fn new(provider: &CryptoProvider) -> Self {
        Self {
            known: provider.signature_verification_algorithms,
            checks_signatures: true,
        }
    }

    /// Checks no signatures either: for a look at a certificate that no verifier may accept, as TLS-ALPN-01's has a
    /// critical extension of its own (RFC 8737 section 3).
    pub fn looking(provider: &CryptoProvider) -> Self {
        Self {
            checks_signatures: false,
            ..Self::new(provider)
        }
    }
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.checks_signatures {
            true => unless_unread(verify_tls12_signature(
                message,
                certificate,
                signed,
                &self.known,
            )),
            false => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.checks_signatures {
            true => unless_unread(verify_tls13_signature(
                message,
                certificate,
                signed,
                &self.known,
            )),
            false => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.known.supported_schemes()
    }
}

/// A certificate that webpki cannot read, as one of version 1, proves nothing; whoever takes every one takes it too.
fn unless_unread(
    checked: Result<HandshakeSignatureValid, Error>,
) -> Result<HandshakeSignatureValid, Error> {
    match checked {
        Err(Error::InvalidCertificate(
            CertificateError::BadEncoding | CertificateError::Other(_),
        )) => Ok(HandshakeSignatureValid::assertion()),
        checked => checked,
    }
}
