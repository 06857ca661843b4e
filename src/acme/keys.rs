//! What is made from keys: a signing request, the certificate that answers TLS-ALPN-01, a certificate's name at its
//! authority (RFC 9773 section 4.1).
//!
//! Pure: keys and names in, bytes out; where keys are kept is the store's.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use instant_acme::CertificateIdentifier;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use crate::types::host::Host;

/// A key or certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    #[error("cannot make a certificate or a request for one")]
    Make(#[from] rcgen::Error),
    #[error("cannot use the key just made")]
    Use(#[from] rustls::Error),
}

/// A PKCS#10 request in DER for one host, signed by its key.
pub(super) fn signing_request(host: &Host, key: &KeyPair) -> Result<Vec<u8>, KeyError> {
    let mut params = CertificateParams::new(vec![host.as_str().to_owned()])?;
    // Authorities take the names from the extension; a subject would only be refused or dropped.
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}

/// The certificate that answers a TLS-ALPN-01 challenge (RFC 8737 section 3), under a key of its own. `digest` is the
/// key authorization's, SHA-256.
pub(super) fn challenge_pair(
    host: &Host,
    digest: &[u8; 32],
) -> Result<Arc<CertifiedKey>, KeyError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(vec![host.as_str().to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signer = crate::tls::provider()
        .key_provider
        .load_private_key(private)?;
    // Not checked against the certificate: its critical extension is one that no other use of a certificate may know.
    let pair = CertifiedKey::new(vec![certificate.der().clone()], signer);
    Ok(Arc::new(pair))
}

/// What renewal information is asked for by: `None` when the certificate does not name its authority's key.
pub(super) fn certificate_id(leaf: &CertificateDer<'_>) -> Option<CertificateIdentifier<'static>> {
    CertificateIdentifier::try_from(leaf).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::{FromDer, X509Certificate};

    #[test]
    fn the_challenge_certificate_names_the_host_and_carries_the_authorizations_hash() {
        let host = Host::parse("a.test").unwrap();
        let pair = challenge_pair(&host, &[7; 32]).unwrap();
        let (_, certificate) = X509Certificate::from_der(&pair.cert[0]).unwrap();
        let identifier = certificate
            .extensions()
            .iter()
            .find(|extension| extension.oid.to_id_string() == "1.3.6.1.5.5.7.1.31")
            .unwrap();
        assert!(identifier.critical);
        assert_eq!(identifier.value[..2], [0x04, 0x20]);
        assert_eq!(identifier.value[2..], [7; 32]);
        let names = crate::tls::pem::Leaf::parse(&pair.cert[0]).unwrap().names;
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn a_certificate_without_an_authority_key_has_no_id() {
        let host = Host::parse("a.test").unwrap();
        let pair = challenge_pair(&host, &[7; 32]).unwrap();
        assert_eq!(certificate_id(&pair.cert[0]), None);
    }
}
