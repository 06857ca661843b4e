//! Makes self-signed pairs: for trials, and as placeholders until an authority has answered.
//!
//! ECDSA P-256, valid from an hour ago (clocks differ) for 820 days (the longest that every client takes by hand).

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use super::pem::{LoadError, Pair, load_pair_from_memory};
use crate::types::host::HostPattern;

/// A pair as PEM text.
pub struct PemPair {
    /// The certificate.
    pub chain: String,
    /// Its key, PKCS#8.
    pub key: String,
}

/// Why no pair could be made.
#[derive(Debug, thiserror::Error)]
pub enum SelfSignedError {
    /// The names fit no certificate, or there was no randomness.
    #[error("cannot make a self-signed certificate for `{hosts}`")]
    Generate {
        /// The names, separated by commas.
        hosts: String,
        /// What failed.
        source: rcgen::Error,
    },
    /// What was made cannot be served.
    #[error("the self-signed certificate cannot be served")]
    Load(#[from] LoadError),
}

/// Makes a pair for `hosts`, wildcards and addresses included.
pub fn generate(hosts: &[HostPattern]) -> Result<Pair, SelfSignedError> {
    let made = generate_pem(hosts)?;
    Ok(load_pair_from_memory(
        made.chain.as_bytes(),
        made.key.as_bytes(),
    )?)
}

/// Makes a pair for `hosts` as PEM text, to be written to files.
pub fn generate_pem(hosts: &[HostPattern]) -> Result<PemPair, SelfSignedError> {
    let names: Vec<String> = hosts
        .iter()
        .filter_map(HostPattern::certificate_name)
        .collect();
    let failed = |source| SelfSignedError::Generate {
        hosts: names.join(", "),
        source,
    };
    let mut params = CertificateParams::new(names.clone()).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "hubgate self-signed");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(820);
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(PemPair {
        chain: certificate.pem(),
        key: key.serialize_pem(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_signed_pair_covers_its_hosts() {
        let hosts = [
            HostPattern::parse("hub.test").unwrap(),
            HostPattern::parse("*.hub.test").unwrap(),
        ];
        let pair = generate(&hosts).unwrap();
        assert!(hosts.iter().all(|host| pair.leaf.covers(host)));
    }
}
