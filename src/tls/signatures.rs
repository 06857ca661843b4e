//! Whether a handshake is signed by the key of the certificate that was shown, for clients and servers that are judged by
//! OpenSSL's rules.
//!
//! As webpki verifies it; certificates that webpki does not read count by their bare key. Whom to believe is `chain`'s.
//! Invariant: no signature counts that the certificate's key did not make.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Judges a signature of TLS 1.2 (RFC 5246 section 7.4.8). Fails as webpki says.
pub(super) fn of_tls12(
    message: &[u8],
    leaf: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let checked = verify_tls12_signature(message, leaf, signature, &known());
    checked.or_else(|error| by_bare_key(error, message, leaf, signature))
}

/// Judges a signature of TLS 1.3 (RFC 8446 section 4.4.3). Fails as webpki says.
pub(super) fn of_tls13(
    message: &[u8],
    leaf: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    match verify_tls13_signature(message, leaf, signature, &known()) {
        Err(error) if !is_of_tls12(signature.scheme) => {
            by_bare_key(error, message, leaf, signature)
        }
        checked => checked,
    }
}

/// What may be signed by.
pub(super) fn schemes() -> Vec<SignatureScheme> {
    known().supported_schemes()
}

fn known() -> WebPkiSupportedAlgorithms {
    super::provider().signature_verification_algorithms
}

/// Whether handshakes of TLS 1.3 may not be signed so (RFC 8446 section 4.2.3), whoever asks.
fn is_of_tls12(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::RSA_PKCS1_SHA256
            | SignatureScheme::RSA_PKCS1_SHA384
            | SignatureScheme::RSA_PKCS1_SHA512
            | SignatureScheme::RSA_PKCS1_SHA1
            | SignatureScheme::ECDSA_SHA1_Legacy
    )
}

/// A certificate that webpki does not read, as those of version 1, has a key all the same, which the signature has to be by.
fn by_bare_key(
    error: Error,
    message: &[u8],
    leaf: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let unread = matches!(
        error,
        Error::InvalidCertificate(CertificateError::BadEncoding | CertificateError::Other(_))
    );
    let Some((_, parsed)) = X509Certificate::from_der(leaf).ok().filter(|_| unread) else {
        return Err(error);
    };
    let key = &parsed.public_key().subject_public_key.data;
    let known = known();
    let of_scheme = known
        .mapping
        .iter()
        .find(|(scheme, _)| *scheme == signature.scheme);
    let mut algorithms = of_scheme.into_iter().flat_map(|(_, all)| all.iter());
    let signed = signature.signature();
    match algorithms.any(|one| one.verify_signature(key, message, signed).is_ok()) {
        true => Ok(HandshakeSignatureValid::assertion()),
        false => Err(error),
    }
}
