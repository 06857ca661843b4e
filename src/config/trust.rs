//! What the files hold that say whose client certificates count: authorities and their revocation lists, in PEM.
//!
//! Pure: bytes and the time in, certificates and lists out, with what is doubtful about them. `tls` verifies by what this
//! reads, so that what a check accepts can be used.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::tls::ClientTrust;

use crate::types::moment::rfc3339;

/// The most that a file may have; a list with 10,000 certificates is 400 KB.
pub const MOST_BYTES: u64 = 16 << 20;

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustFault {
    /// There is none of what it is for.
    #[error("it holds no {0}; what it holds has to be PEM")]
    Nothing(&'static str),
    /// The PEM is not whole.
    #[error("it is damaged PEM ({0})")]
    Damaged(String),
    /// What is in the PEM is none.
    #[error("the {what} number {number} in it cannot be read ({reason})")]
    Unreadable {
        /// What it should be.
        what: &'static str,
        /// From 1.
        number: usize,
        /// The parser's words.
        reason: String,
    },
}

/// Whom to believe, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The authorities.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Further ones, of which clients are not told.
    pub trusted: Vec<CertificateDer<'static>>,
    /// What they have revoked, for each file.
    pub revocations: Vec<Vec<CertificateRevocationListDer<'static>>>,
}

/// The certificates of a text, at least one.
pub fn authorities(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TrustFault> {
    const WHAT: &str = "certificate";
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = some(found, WHAT)?;
    for (number, der) in (1..).zip(&found) {
        readable(X509Certificate::from_der(der), WHAT, number)?;
    }
    Ok(found)
}

/// The revocation lists of a text, at least one.
pub fn revocations(text: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, TrustFault> {
    const WHAT: &str = "revocation list";
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(text).collect();
    let found = some(found, WHAT)?;
    for (number, der) in (1..).zip(&found) {
        readable(CertificateRevocationList::from_der(der), WHAT, number)?;
    }
    Ok(found)
}

fn some<T>(
    found: Result<Vec<T>, rustls::pki_types::pem::Error>,
    what: &'static str,
) -> Result<Vec<T>, TrustFault> {
    match found {
        Ok(found) if found.is_empty() => Err(TrustFault::Nothing(what)),
        Ok(found) => Ok(found),
        Err(error) => Err(TrustFault::Damaged(error.to_string())),
    }
}

fn readable<T, E: ToString>(
    parsed: Result<(&[u8], T), E>,
    what: &'static str,
    number: usize,
) -> Result<(), TrustFault> {
    parsed.map(drop).map_err(|error| TrustFault::Unreadable {
        what,
        number,
        reason: error.to_string(),
    })
}

/// A file that something is to be told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFile {
    /// `ca_file`
    Authorities,
    /// That of `crl_files` with this index.
    Revocations(usize),
}

impl Trust {
    /// What is doubtful at `now`, and in which file.
    pub fn doubts(&self, now: OffsetDateTime) -> Vec<(InFile, String)> {
        let parsed = self.authorities.iter();
        let parsed: Vec<_> = parsed
            .filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1))
            .collect();
        let of_authorities = parsed.iter().flat_map(|authority| {
            let doubts = of_authority(authority, now).into_iter();
            doubts.map(|doubt| (InFile::Authorities, doubt))
        });
        let mut doubts: Vec<_> = of_authorities.collect();
        let lists = (0..).zip(&self.revocations);
        let lists = lists.flat_map(|(file, lists)| lists.iter().map(move |list| (file, list)));
        let mut listed = vec![false; parsed.len()];
        for (file, der) in lists {
            let Ok((_, list)) = CertificateRevocationList::from_der(der) else {
                continue;
            };
            for (authority, listed) in parsed.iter().zip(&mut listed) {
                *listed |= authority.subject().as_raw() == list.issuer().as_raw();
            }
            let told = of_list(&list, &parsed, now).into_iter();
            doubts.extend(told.map(|doubt| (InFile::Revocations(file), doubt)));
        }
        if !self.revocations.is_empty() {
            let without = parsed.iter().zip(listed).filter(|(_, listed)| !listed);
            doubts.extend(without.map(|(authority, _)| {
                let name = authority.subject();
                let doubt = format!(
                    "none of the `crl_files` is by `{name}`, so all that it has signed are refused"
                );
                (InFile::Authorities, doubt)
            }));
        }
        doubts
    }
}

fn of_authority(authority: &X509Certificate<'_>, now: OffsetDateTime) -> Vec<String> {
    let name = authority.subject();
    let validity = authority.validity();
    let mut doubts = Vec::new();
    if validity.not_after.to_datetime() < now {
        let at = rfc3339(validity.not_after.to_datetime());
        doubts.push(format!(
            "the authority `{name}` expired at {at}; what it has signed is still accepted"
        ));
    }
    if validity.not_before.to_datetime() > now {
        let at = rfc3339(validity.not_before.to_datetime());
        doubts.push(format!("the authority `{name}` is not valid before {at}; what it has signed is accepted already"));
    }
    if !authority.is_ca() {
        doubts.push(format!("`{name}` is not the certificate of an authority"));
    }
    doubts
}

fn of_list(
    list: &CertificateRevocationList<'_>,
    authorities: &[X509Certificate<'_>],
    now: OffsetDateTime,
) -> Vec<String> {
    let name = list.issuer();
    let mut doubts = Vec::new();
    let next = list.next_update().map(|at| at.to_datetime());
    if let Some(next) = next.filter(|next| *next < now) {
        let at = rfc3339(next);
        doubts.push(format!("the revocation list of `{name}` expired at {at}; it still counts, but what was revoked since is accepted"));
    }
    let by_name = authorities
        .iter()
        .filter(|authority| authority.subject().as_raw() == name.as_raw());
    let mut by_name = by_name.peekable();
    if by_name.peek().is_none() {
        doubts.push(format!("the revocation list is by `{name}`, which is not in `ca_file`; it counts only for what an intermediate of that name has signed"));
    } else if !by_name.any(|authority| is_signed_by(list, authority)) {
        doubts.push(format!("the revocation list says that it is by `{name}`, but was not signed by that authority, so all that it has signed are refused"));
    }
    doubts
}

/// Whether the list has the authority's signature, by any algorithm there is.
fn is_signed_by(list: &CertificateRevocationList<'_>, authority: &X509Certificate<'_>) -> bool {
    let key = &authority.public_key().subject_public_key.data;
    let (said, signature) = (list.tbs_cert_list.as_ref(), &list.signature_value.data);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut algorithms = provider.signature_verification_algorithms.all.iter();
    algorithms.any(|one| one.verify_signature(key, said, signature).is_ok())
}

impl ClientTrust {
    /// The file with the authorities; empty where there is none.
    pub fn ca_file(&self) -> &std::path::Path {
        self.ca_file.as_deref().unwrap_or(std::path::Path::new(""))
    }

    /// The file that a doubt is about.
    pub fn file(&self, which: InFile) -> &std::path::Path {
        match which {
            InFile::Authorities => self.ca_file(),
            InFile::Revocations(file) => {
                let file = self.crl_files.get(file);
                file.map_or(self.ca_file(), |file| file)
            }
        }
    }
}
