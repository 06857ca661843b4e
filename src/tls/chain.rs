//! Whether a certificate leads to an authority, by OpenSSL's rules as nginx uses them, and in their words.
//!
//! Certificates of version 1 count, and so does a self-signed one that stands among the authorities itself. Every certificate
//! has to be in its time; revocation lists, where there are any, are asked for each. Pure: what files hold and the time come in.
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::x509::X509Version;

/// A chain is no longer, whatever is asked for.
const LONGEST: usize = 32;

/// Whom to believe, and how far.
pub(super) struct Rules<'a> {
    /// Authorities.
    pub(super) authorities: &'a [CertificateDer<'static>],
    /// Lists of what they have revoked; none of them are asked where there are none.
    pub(super) revocations: &'a [CertificateRevocationListDer<'static>],
    /// Certificates between the client's and the authority's, at most.
    pub(super) depth: usize,
    /// Whether those who show the certificates are servers.
    pub(super) of_servers: bool,
}

/// Why not, in OpenSSL's words.
pub(super) type Fault = &'static str;

const UNKNOWN: Fault = "unable to verify the first certificate";
const UNKNOWN_ISSUER: Fault = "unable to get local issuer certificate";
const SELF_SIGNED: Fault = "self-signed certificate";
const SELF_SIGNED_ABOVE: Fault = "self-signed certificate in certificate chain";
const TOO_LONG: Fault = "certificate chain too long";
const NOT_YET: Fault = "certificate is not yet valid";
const NO_AUTHORITY: Fault = "invalid CA certificate";
const PURPOSE: Fault = "unsuitable certificate purpose";
const NO_LIST: Fault = "unable to get certificate CRL";
/// A certificate is past its time.
pub(super) const EXPIRED: Fault = "certificate has expired";
/// A list names a certificate.
pub(super) const REVOKED: Fault = "certificate revoked";
/// A certificate is none.
pub(super) const UNREADABLE: Fault = "certificate cannot be read";

/// Whether `shown`, the client's own certificate first, is believed at `now`, in seconds since 1970.
pub(super) fn judge(
    shown: &[CertificateDer<'_>],
    rules: &Rules<'_>,
    now: i64,
) -> Result<(), Fault> {
    let shown = parsed(shown);
    let authorities = parsed(rules.authorities);
    let leaf = shown.first().ok_or(UNREADABLE)?;
    let chain = built(leaf, &shown, &authorities)?;
    if chain.len() > rules.depth.saturating_add(2) {
        return Err(TOO_LONG);
    }
    if !is_for(leaf, rules.of_servers) {
        return Err(PURPOSE);
    }
    if !chain.iter().skip(1).all(|above| is_authority(above)) {
        return Err(NO_AUTHORITY);
    }
    let lists = rules.revocations.iter();
    let lists: Vec<_> = lists
        .filter_map(|list| Some(CertificateRevocationList::from_der(list).ok()?.1))
        .collect();
    for (own, above) in chain.iter().zip(chain.iter().skip(1).chain(chain.last())) {
        if !lists.is_empty() {
            listed(own, above, &lists)?;
        }
    }
    let dates = chain.iter().rev().map(|own| {
        let validity = own.validity();
        match () {
            () if validity.not_before.timestamp() > now => Err(NOT_YET),
            () if validity.not_after.timestamp() < now => Err(EXPIRED),
            () => Ok(()),
        }
    });
    { dates }.collect()
}

type Certificate<'a> = X509Certificate<'a>;

fn parsed<'a>(all: &'a [CertificateDer<'_>]) -> Vec<Certificate<'a>> {
    let all = all.iter();
    all.filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1))
        .collect()
}

/// The certificates from the leaf to an authority that has signed itself.
fn built<'c, 'a>(
    leaf: &'c Certificate<'a>,
    shown: &'c [Certificate<'a>],
    authorities: &'c [Certificate<'a>],
) -> Result<Vec<&'c Certificate<'a>>, Fault> {
    let mut chain = vec![leaf];
    while chain.len() < LONGEST {
        let Some(own) = chain.last().copied() else {
            break;
        };
        let first = chain.len() == 1;
        if is_signed_by(own, own) {
            let believed = authorities.iter().any(|known| known == own);
            return match (believed, first) {
                (true, _) => Ok(chain),
                (false, true) => Err(SELF_SIGNED),
                (false, false) => Err(SELF_SIGNED_ABOVE),
            };
        }
        let mut above = authorities.iter().chain(shown);
        match above.find(|above| is_signed_by(own, above)) {
            Some(above) => chain.push(above),
            None if first => return Err(UNKNOWN),
            None => return Err(UNKNOWN_ISSUER),
        }
    }
    Err(TOO_LONG)
}

/// Whether `own` names `above` as its issuer and has its signature, by any algorithm there is.
fn is_signed_by(own: &Certificate<'_>, above: &Certificate<'_>) -> bool {
    own.issuer().as_raw() == above.subject().as_raw()
        && has_signature(
            above,
            own.tbs_certificate.as_ref(),
            &own.signature_value.data,
        )
}

fn has_signature(above: &Certificate<'_>, said: &[u8], signature: &[u8]) -> bool {
    let key = &above.public_key().subject_public_key.data;
    let provider = super::provider();
    let mut algorithms = provider.signature_verification_algorithms.all.iter();
    algorithms.any(|one| one.verify_signature(key, said, signature).is_ok())
}

/// One of version 1 says nothing of it, and counts when it has signed itself.
fn is_authority(own: &Certificate<'_>) -> bool {
    match own.version() {
        X509Version::V3 => match own.basic_constraints() {
            Ok(Some(said)) => said.value.ca,
            _ => matches!(own.key_usage(), Ok(Some(usage)) if usage.value.key_cert_sign()),
        },
        _ => is_signed_by(own, own),
    }
}

fn is_for(leaf: &Certificate<'_>, servers: bool) -> bool {
    match leaf.extended_key_usage() {
        Ok(Some(usage)) if servers => usage.value.server_auth || usage.value.any,
        Ok(Some(usage)) => usage.value.client_auth || usage.value.any,
        _ => true,
    }
}

/// Whether a server's certificate is for this host, a name or an address: by its alternative names, or where none of
/// those is a name, by its common name.
pub(super) fn names(leaf: &CertificateDer<'_>, host: &str) -> bool {
    let Ok((_, leaf)) = X509Certificate::from_der(leaf) else {
        return false;
    };
    let alternatives = leaf.subject_alternative_name().ok().flatten();
    let alternatives = alternatives.map_or(&[][..], |said| &said.value.general_names);
    if let Ok(address) = host.parse::<IpAddr>() {
        let octets = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let mut known = alternatives.iter();
        if known.any(|one| matches!(one, GeneralName::IPAddress(own) if **own == octets)) {
            return true;
        }
    }
    let mut own = alternatives.iter().filter_map(|one| match one {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    match own.next() {
        Some(first) => is_named(first, host) || own.any(|name| is_named(name, host)),
        None => {
            let mut names = leaf.subject().iter_common_name();
            names.any(|name| name.as_str().is_ok_and(|name| is_named(name, host)))
        }
    }
}

/// A `*` stands for a whole first label or a part of one, before two labels at least.
fn is_named(pattern: &str, host: &str) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let (Some((label, rest)), Some((first, others))) =
        (pattern.split_once('.'), host.split_once('.'))
    else {
        return false;
    };
    let Some((begin, end)) = label.split_once('*') else {
        return false;
    };
    let whole = begin.is_empty() && end.is_empty();
    let first = first.to_ascii_lowercase();
    let (begin, end) = (begin.to_ascii_lowercase(), end.to_ascii_lowercase());
    rest.contains('.')
        && rest.eq_ignore_ascii_case(others)
        && host.parse::<IpAddr>().is_err()
        && (whole || !first.starts_with("xn--"))
        && !end.contains('*')
        && first.len() > begin.len() + end.len()
        && first.starts_with(&begin)
        && first.ends_with(&end)
}

fn listed(
    own: &Certificate<'_>,
    above: &Certificate<'_>,
    lists: &[CertificateRevocationList<'_>],
) -> Result<(), Fault> {
    let mut by_issuer = lists.iter().filter(|list| {
        let (said, signature) = (list.tbs_cert_list.as_ref(), &list.signature_value.data);
        list.issuer().as_raw() == own.issuer().as_raw() && has_signature(above, said, signature)
    });
    let list = by_issuer.next().ok_or(NO_LIST)?;
    let mut revoked = list.iter_revoked_certificates();
    match revoked.any(|one| one.raw_serial() == own.raw_serial()) {
        true => Err(REVOKED),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    const NOW: i64 = 1_700_000_000;

    struct Made {
        der: CertificateDer<'static>,
        issuer: Issuer<'static, KeyPair>,
    }

    fn made(name: &str, ca: bool, by: Option<&Made>) -> Made {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        if ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let signed = match by {
            Some(by) => params.signed_by(&key, &by.issuer),
            None => params.self_signed(&key),
        };
        Made {
            der: signed.unwrap().der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    fn said(shown: &[&Made], authorities: &[&Made], depth: usize, now: i64) -> Result<(), Fault> {
        let der = |all: &[&Made]| all.iter().map(|one| one.der.clone()).collect::<Vec<_>>();
        let authorities = der(authorities);
        let rules = Rules {
            authorities: &authorities,
            revocations: &[],
            depth,
            of_servers: false,
        };
        judge(&der(shown), &rules, now)
    }

    #[test]
    fn a_chain_is_believed_as_openssl_believes_it() {
        let root = made("root", true, None);
        let middle = made("middle", true, Some(&root));
        let end = made("end", false, Some(&middle));
        let alone = made("alone", false, None);
        let by_end = made("by-end", false, Some(&end));
        for (what, shown, authorities, depth, expected) in [
            ("sent along", &[&end, &middle][..], &[&root][..], 1, Ok(())),
            ("known", &[&end], &[&root, &middle], 1, Ok(())),
            ("too long", &[&end, &middle], &[&root], 0, Err(TOO_LONG)),
            ("not sent", &[&end], &[&root], 9, Err(UNKNOWN)),
            ("no root", &[&end], &[&middle], 9, Err(UNKNOWN_ISSUER)),
            ("itself", &[&alone], &[&root, &alone], 0, Ok(())),
            ("alone", &[&alone], &[&root], 0, Err(SELF_SIGNED)),
            (
                "strange root",
                &[&middle, &root],
                &[&alone],
                9,
                Err(SELF_SIGNED_ABOVE),
            ),
            (
                "no authority",
                &[&by_end, &end, &middle],
                &[&root],
                9,
                Err(NO_AUTHORITY),
            ),
        ] {
            assert_eq!(said(shown, authorities, depth, NOW), expected, "{what}");
        }
    }

    #[test]
    fn a_star_stands_for_one_label_or_a_part_of_it() {
        for (pattern, host, expected) in [
            ("a.example.org", "A.example.org", true),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "a.b.example.org", false),
            ("*.example.org", "example.org", false),
            ("*.org", "example.org", false),
            ("w*.example.org", "www.example.org", true),
            ("w*.example.org", "a.example.org", false),
            ("*.0.0.1", "127.0.0.1", false),
        ] {
            assert_eq!(is_named(pattern, host), expected, "{pattern} {host}");
        }
    }

    #[test]
    fn every_certificate_has_to_be_in_its_time() {
        let root = made("root", true, None);
        let end = made("end", false, Some(&root));
        // rcgen's are good from 1975 to 4096.
        assert_eq!(said(&[&end], &[&root], 1, 0), Err(NOT_YET));
        let late = 70_000_000_000;
        assert_eq!(said(&[&end], &[&root], 1, late), Err(EXPIRED));
    }
}
