//! What a certificate lacks for an answer of OCSP to be stapled to it, as nginx looks for it.
//!
//! hubgate staples none; who moves from nginx is told what nginx told. Pure: what files hold comes in.
#![deny(clippy::disallowed_methods)]

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_OCSP;
use x509_parser::prelude::FromDer;

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// The certificate of who issued it.
    Issuer,
    /// A name of who would answer.
    Responder,
}

/// What the first of `chain` lacks; who issued it may also be among `trusted`.
pub fn lacking(chain: &[CertificateDer<'_>], trusted: &[CertificateDer<'_>]) -> Option<Lacking> {
    let (leaf, above) = chain.split_first()?;
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    let issued = |above: &CertificateDer<'_>| {
        X509Certificate::from_der(above)
            .is_ok_and(|(_, above)| above.subject().as_raw() == leaf.issuer().as_raw())
    };
    if !above.iter().chain(trusted).any(issued) {
        return Some(Lacking::Issuer);
    }
    let answers = leaf.extensions().iter().any(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else {
            return false;
        };
        access.accessdescs.iter().any(|one| {
            one.access_method == OID_PKIX_ACCESS_DESCRIPTOR_OCSP
                && matches!(one.access_location, GeneralName::URI(_))
        })
    });
    (!answers).then_some(Lacking::Responder)
}
