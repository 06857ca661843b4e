//! Whether a pair may be kept and served for a host: its names, its dates, and that its chain holds together.
//!
//! Pure: the pair and the clock's time come in. That key and leaf belong together is a [`Pair`]'s own invariant. What to
//! do about a fault is the caller's: a new certificate is refused, one that was good before is served even expired.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use time::OffsetDateTime;

use super::pem::Pair;
use crate::types::host::{Host, HostPattern};

/// Authorities date certificates back; this much ahead is the fault of the clock here.
pub const CLOCK_SLACK: Duration = Duration::from_secs(300);

/// What is wrong with a pair.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its names do not cover a host.
    #[error("the certificate does not name `{0}`")]
    Name(Host),
    /// The chain's certificates do not belong together.
    #[error("the certificate is not signed by any that comes with it in the chain ({0})")]
    Chain(String),
    /// Its time has not come.
    #[error("the certificate is not valid before {0}")]
    NotYet(OffsetDateTime),
    /// Its time is over.
    #[error("the certificate expired at {0}")]
    Expired(OffsetDateTime),
}

/// Whether the pair's names cover `hosts` and its chain holds together, dates aside.
pub fn lasting(pair: &Pair, hosts: &[Host]) -> Result<(), Fault> {
    for host in hosts {
        if !pair.leaf.covers(&HostPattern::Exact(host.clone())) {
            return Err(Fault::Name(host.clone()));
        }
    }
    chain(pair)
}

/// As [`lasting`], and that its dates allow serving it at `now`.
pub fn new(pair: &Pair, hosts: &[Host], now: OffsetDateTime) -> Result<(), Fault> {
    lasting(pair, hosts)?;
    if pair.leaf.not_after <= now {
        return Err(Fault::Expired(pair.leaf.not_after));
    }
    if pair.leaf.not_before > now + CLOCK_SLACK {
        return Err(Fault::NotYet(pair.leaf.not_before));
    }
    Ok(())
}

/// Whether the leaf is signed by a certificate that comes with it.
///
/// Which roots clients trust is not known here, so those certificates stand for them. Only a broken chain counts: what
/// the verifier does not understand (an old signature, a purpose), some client may.
fn chain(pair: &Pair) -> Result<(), Fault> {
    let Some((leaf, others)) = pair.key.cert.split_first() else {
        return Ok(());
    };
    if others.is_empty() {
        return Ok(()); // alone: signed by a root that clients know, or by itself
    }
    let broken = |error: &dyn std::fmt::Display| Fault::Chain(error.to_string());
    let mut roots = RootCertStore::empty();
    for other in others {
        roots.add(other.clone()).map_err(|error| broken(&error))?;
    }
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), super::provider()).build();
    let verifier = verifier.map_err(|error| broken(&error))?;
    let Some(name) = pair.leaf.names.first().and_then(server_name) else {
        return Ok(());
    };
    // Any moment at which the leaf was good: dates are not asked for here.
    let begun = pair.leaf.not_before.unix_timestamp().saturating_add(1);
    let then = UnixTime::since_unix_epoch(Duration::from_secs(begun.try_into().unwrap_or(0)));
    match verifier.verify_server_cert(leaf, &[], &name, &[], then) {
        Err(Error::InvalidCertificate(
            error @ (CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::BadEncoding),
        )) => Err(broken(&error)),
        _ => Ok(()),
    }
}

/// A name that the pattern covers.
fn server_name(pattern: &HostPattern) -> Option<ServerName<'static>> {
    ServerName::try_from(pattern.example("x")?).ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;
    use crate::tls::pem::load_pair_from_memory;

    /// A leaf for `a.test` with the authority that signed it, and another authority of the same name.
    fn made() -> (String, String, String, String) {
        let authority = || {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let certificate = params.self_signed(&key).unwrap();
            (certificate.pem(), Issuer::new(params, key))
        };
        let ((own, issuer), (other, _)) = (authority(), authority());
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &issuer).unwrap();
        (leaf.pem(), own, other, key.serialize_pem())
    }

    fn pair(chain: &str, key: &str) -> Pair {
        load_pair_from_memory(chain.as_bytes(), key.as_bytes()).unwrap()
    }

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    #[test]
    fn a_chain_of_another_authority_is_refused_and_a_leaf_alone_is_not() {
        let (leaf, own, other, key) = made();
        let hosts = [host("a.test")];
        assert_eq!(
            lasting(&pair(&format!("{leaf}{own}"), &key), &hosts),
            Ok(())
        );
        assert_eq!(lasting(&pair(&leaf, &key), &hosts), Ok(()));
        let foreign = lasting(&pair(&format!("{leaf}{other}"), &key), &hosts);
        assert!(matches!(foreign, Err(Fault::Chain(_))), "{foreign:?}");
    }

    #[test]
    fn every_host_has_to_be_named() {
        let (leaf, own, _, key) = made();
        let pair = pair(&format!("{leaf}{own}"), &key);
        let fault = lasting(&pair, &[host("a.test"), host("b.test")]);
        assert_eq!(fault, Err(Fault::Name(host("b.test"))));
    }

    #[test]
    fn dates_count_for_a_new_certificate_only() {
        let (leaf, own, _, key) = made();
        let pair = pair(&format!("{leaf}{own}"), &key);
        let hosts = [host("a.test")];
        let (begin, end) = (pair.leaf.not_before, pair.leaf.not_after);
        assert_eq!(new(&pair, &hosts, begin), Ok(()));
        assert_eq!(new(&pair, &hosts, end), Err(Fault::Expired(end)));
        let early = begin - Duration::from_secs(301);
        assert_eq!(new(&pair, &hosts, early), Err(Fault::NotYet(begin)));
        assert_eq!(new(&pair, &hosts, begin - CLOCK_SLACK), Ok(()));
    }
}
