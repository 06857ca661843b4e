//! Reads a certificate chain and its key from PEM, and refuses what could not be served.
//!
//! Takes PKCS#8, SEC1 and PKCS#1 keys. Every error says which file, what is in it and what to do. Invariant: a
//! [`Pair`] that exists has a key that belongs to its leaf, which comes first in the chain.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::encrypted_key::EncryptedKey;
pub use super::leaf::Leaf;
use crate::config::PairFiles;

/// Larger files are no PEM pair; a chain of four RSA certificates is 8 KiB.
const MAX_FILE: u64 = 1 << 20;

/// So many passwords of a file are tried.
const MOST_PASSWORDS: usize = 100;

/// A chain with its key, matched, and what the leaf says.
#[derive(Clone)]
pub struct Pair {
    /// As rustls serves it.
    pub key: Arc<CertifiedKey>,
    /// The first certificate of the chain.
    pub leaf: Arc<Leaf>,
    /// More, with keys of other kinds, for clients that cannot check this one.
    pub others: Option<Arc<[Pair]>>,
}

impl Pair {
    /// One of them all; `None` without any. Of two with the same kind of key the last counts.
    pub fn of(pairs: Vec<Self>) -> Option<Self> {
        let mut kinds: Vec<Self> = Vec::new();
        for pair in pairs {
            let kind = pair.key.key.algorithm();
            match { kinds.iter_mut() }.find(|one| one.key.key.algorithm() == kind) {
                Some(one) => *one = pair,
                None => kinds.push(pair),
            }
        }
        let others = kinds.split_off(kinds.len().min(1));
        let mut first = kinds.pop()?;
        first.others = (!others.is_empty()).then(|| others.into());
        Some(first)
    }

    /// The one for a client that can check signatures by `schemes`, the best first.
    pub fn for_client(&self, schemes: &[SignatureScheme]) -> &Arc<CertifiedKey> {
        let Some(others) = &self.others else {
            return &self.key;
        };
        let all = || std::iter::once(&self.key).chain(others.iter().map(|other| &other.key));
        let able = |scheme| all().find(|own| own.key.choose_scheme(&[scheme]).is_some());
        let able = schemes.iter().copied().find_map(able);
        able.unwrap_or(&self.key)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        let others = self.others.iter().flat_map(|others| others.iter());
        std::iter::once(self).chain(others)
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pair").field(&self.leaf).finish()
    }
}

/// Where PEM text came from, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// Text that is not in a file; says what it is.
    Memory(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Memory(what) => f.write_str(what),
        }
    }
}

/// Why a pair cannot be served.
#[derive(Debug, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the messages say each in words; `place` is where the text came from"
)]
pub enum LoadError {
    #[error("cannot read `{place}`")]
    Read { place: Place, source: io::Error },
    #[error("`{place}` is larger than 1 MiB, so it is no PEM file of certificates or keys")]
    TooLarge { place: Place },
    #[error("`{place}` is damaged PEM ({reason}); write the file again from its source")]
    Damaged { place: Place, reason: String },
    #[error(
        "`{place}` holds no certificate, only {found}; it must hold the certificate followed by its intermediates, in PEM"
    )]
    NoCertificate { place: Place, found: String },
    #[error(
        "`{place}` holds no private key, only {found}; it must hold a PKCS#8, SEC1 or PKCS#1 key in PEM"
    )]
    NoKey { place: Place, found: String },
    #[error(
        "the private key in `{place}` is encrypted and nobody is there to type its passphrase; decrypt it with `openssl pkey -in OLD -out NEW`, or name a file of `passwords`"
    )]
    Encrypted { place: Place },
    #[error("none of the passwords in `{passwords}` opens the private key in `{place}`")]
    Password { place: Place, passwords: Place },
    #[error(
        "the private key in `{place}` is encrypted by a method that is not known here ({reason}); write it anew with `openssl pkey -aes256 -in OLD -out NEW`"
    )]
    UnknownEncryption { place: Place, reason: String },
    #[error("a certificate in `{place}` cannot be a root ({reason})")]
    BadRoot { place: Place, reason: String },
    #[error("the first certificate in `{place}` cannot be read ({reason})")]
    BadCertificate { place: Place, reason: String },
    #[error(
        "the private key in `{place}` cannot be used; ECDSA P-256/P-384, Ed25519 and RSA keys can"
    )]
    BadKey { place: Place, source: rustls::Error },
    #[error("the key in `{key}` does not belong to the first certificate in `{chain}`; {hint}")]
    Mismatch {
        chain: Place,
        key: Place,
        hint: String,
    },
}

/// Reads a pair from two files, which may be the same. Blocks; bounded to 1 MiB each.
pub fn load_pair(chain: &Path, key: &Path) -> Result<Pair, LoadError> {
    let chain_text = read(chain)?;
    let key_text = read(key)?;
    let (chain, key) = (Place::File(chain.to_owned()), Place::File(key.to_owned()));
    parse_pair(&chain_text, chain, &key_text, key)
}

/// Takes a pair from PEM texts that are not in files.
pub fn load_pair_from_memory(chain: &[u8], key: &[u8]) -> Result<Pair, LoadError> {
    parse_pair(
        chain,
        Place::Memory("the chain"),
        key,
        Place::Memory("the key"),
    )
}

/// Reads a pair whose key may be encrypted. Blocks; bounded to 1 MiB each.
pub fn load_files(files: &PairFiles) -> Result<Pair, LoadError> {
    let texts = (read(&files.chain)?, read(&files.key)?);
    let passwords = files.passwords.as_deref().map(read).transpose()?;
    parse_files(files, (&texts.0, &texts.1, passwords.as_deref()))
}

/// Takes a pair from what its files hold: chain, key and passwords.
pub fn parse_files(
    files: &PairFiles,
    (chain, key, passwords): (&[u8], &[u8], Option<&[u8]>),
) -> Result<Pair, LoadError> {
    let place = |path: &Path| Place::File(path.to_owned());
    let (chain_at, key_at) = (place(&files.chain), place(&files.key));
    let Some((path, passwords)) = files.passwords.as_deref().zip(passwords) else {
        return parse_pair(chain, chain_at, key, key_at);
    };
    if !is_encrypted(key) {
        return parse_pair(chain, chain_at, key, key_at);
    }
    let encrypted = EncryptedKey::find(key).map_err(|reason| LoadError::UnknownEncryption {
        place: key_at.clone(),
        reason,
    })?;
    let lines = passwords.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let opened = lines.take(MOST_PASSWORDS).find_map(|password| {
        let key = encrypted.open(password)?;
        super::provider().key_provider.load_private_key(key).ok()
    });
    match opened {
        Some(signer) => pair(chain, chain_at, signer, key_at),
        None => Err(LoadError::Password {
            place: key_at,
            passwords: place(path),
        }),
    }
}

/// Takes a pair from PEM texts; the places only serve the messages.
pub fn parse_pair(
    chain: &[u8],
    chain_place: Place,
    key: &[u8],
    key_place: Place,
) -> Result<Pair, LoadError> {
    let private = private_key(key, &key_place);
    // What is wrong with the chain is told first.
    let private = match private {
        Ok(private) => private,
        Err(fault) => return certificates(chain, &chain_place).and(Err(fault)),
    };
    let signer = super::provider()
        .key_provider
        .load_private_key(private)
        .map_err(|source| LoadError::BadKey {
            place: key_place.clone(),
            source,
        })?;
    pair(chain, chain_place, signer, key_place)
}

/// A chain with a key that can be used.
fn pair(
    chain: &[u8],
    chain_place: Place,
    signer: Arc<dyn SigningKey>,
    key_place: Place,
) -> Result<Pair, LoadError> {
    let certificates = certificates(chain, &chain_place)?;
    let leaf = Leaf::parse(&certificates[0]).map_err(|reason| LoadError::BadCertificate {
        place: chain_place.clone(),
        reason,
    })?;
    let certified = CertifiedKey::new(certificates, signer);
    match certified.keys_match() {
        // webpki reads no certificate of version 1, which nginx serves.
        Err(rustls::Error::InvalidCertificate(_)) if same_key(&certified) => Ok(Pair {
            key: Arc::new(certified),
            leaf: Arc::new(leaf),
            others: None,
        }),
        // Unknown: the kind of key does not tell its public half; every kind of aws-lc-rs does.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(Pair {
                key: Arc::new(certified),
                leaf: Arc::new(leaf),
                others: None,
            })
        }
        Err(_) => Err(LoadError::Mismatch {
            hint: mismatch_hint(&certified),
            chain: chain_place,
            key: key_place,
        }),
    }
}

/// Whether the key is the certificate's, by what both say of its public half.
fn same_key(certified: &CertifiedKey) -> bool {
    let leaf = certified.cert.first();
    let parsed = leaf.and_then(|leaf| X509Certificate::from_der(leaf).ok());
    let own = certified.key.public_key();
    parsed
        .zip(own)
        .is_some_and(|((_, leaf), own)| leaf.tbs_certificate.subject_pki.raw == own.as_ref())
}

/// Reads a file of at most 1 MiB.
pub fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    read_found(path).map(|(text, _)| text)
}

/// As [`read`], with what the file was before it was read.
pub(super) fn read_found(path: &Path) -> Result<(Vec<u8>, Metadata), LoadError> {
    let failed = |source| LoadError::Read {
        place: Place::File(path.to_owned()),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let size = found.len().min(MAX_FILE);
    // What is read is kept for comparison: no larger than it is.
    let mut text = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    file.take(MAX_FILE + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > MAX_FILE {
        return Err(LoadError::TooLarge {
            place: Place::File(path.to_owned()),
        });
    }
    Ok((text, found))
}

/// Takes the certificates of a PEM text as roots.
pub fn roots(text: &[u8], place: Place) -> Result<RootCertStore, LoadError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(text, &place)? {
        store.add(certificate).map_err(|e| LoadError::BadRoot {
            place: place.clone(),
            reason: e.to_string(),
        })?;
    }
    Ok(store)
}

/// All certificates, at least one.
pub fn certificates(text: &[u8], place: &Place) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text)
        .map(|certificate| certificate.map(CertificateDer::into_owned))
        .collect();
    let found = found.map_err(|e| LoadError::Damaged {
        place: place.clone(),
        reason: e.to_string(),
    })?;
    if found.is_empty() {
        return Err(LoadError::NoCertificate {
            place: place.clone(),
            found: describe(text),
        });
    }
    Ok(found)
}

fn private_key(text: &[u8], place: &Place) -> Result<PrivateKeyDer<'static>, LoadError> {
    let found = describe(text);
    if is_encrypted(text) {
        return Err(LoadError::Encrypted {
            place: place.clone(),
        });
    }
    PrivateKeyDer::from_pem_slice(text)
        .map(|key| key.clone_key())
        .map_err(|e| match e {
            rustls::pki_types::pem::Error::NoItemsFound => LoadError::NoKey {
                place: place.clone(),
                found,
            },
            other => LoadError::Damaged {
                place: place.clone(),
                reason: other.to_string(),
            },
        })
}

fn is_encrypted(text: &[u8]) -> bool {
    contains(text, b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || contains(text, b"Proc-Type: 4,ENCRYPTED")
}

/// Names what a text holds: its PEM labels, or that it has none.
fn describe(text: &[u8]) -> String {
    if text.iter().all(u8::is_ascii_whitespace) {
        return "nothing (the file is empty)".to_owned();
    }
    let mut labels: Vec<String> = text
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            line.trim_ascii()
                .strip_prefix(b"-----BEGIN ")?
                .strip_suffix(b"-----")
        })
        .map(|label| format!("`{}`", String::from_utf8_lossy(label)))
        .take(8)
        .collect();
    labels.dedup();
    if !labels.is_empty() {
        return labels.join(", ");
    }
    match text[0] {
        0x30 => {
            "DER (turn it to PEM with `openssl x509 -inform der` or `openssl pkey -inform der`)"
                .to_owned()
        }
        _ => "text that is not PEM".to_owned(),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Tells a chain in the wrong order from a key of another certificate.
fn mismatch_hint(certified: &CertifiedKey) -> String {
    let position = certified.cert.iter().skip(1).position(|certificate| {
        CertifiedKey::new(vec![certificate.clone()], Arc::clone(&certified.key))
            .keys_match()
            .is_ok()
    });
    match position {
        Some(index) => format!(
            "it belongs to certificate {} of the file: the site's own certificate must come first",
            index + 2
        ),
        None => {
            "give the key that the certificate was requested with, or request a new certificate"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::self_signed;
    use super::*;

    fn pem(hosts: &[&str]) -> (String, String) {
        let patterns: Vec<_> = hosts
            .iter()
            .map(|h| crate::types::host::HostPattern::parse(h).unwrap())
            .collect();
        let made = self_signed::generate_pem(&patterns).unwrap();
        (made.chain, made.key)
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (chain, _) = pem(&["a.test"]);
        let (_, key) = pem(&["a.test"]);
        let error = load_pair_from_memory(chain.as_bytes(), key.as_bytes()).unwrap_err();
        assert!(
            matches!(&error, LoadError::Mismatch { hint, .. } if hint.contains("requested with")),
            "{error}"
        );
    }

    #[test]
    fn a_chain_that_does_not_begin_with_the_leaf_is_named_so() {
        let (leaf, key) = pem(&["a.test"]);
        let (other, _) = pem(&["b.test"]);
        let error =
            load_pair_from_memory(format!("{other}{leaf}").as_bytes(), key.as_bytes()).unwrap_err();
        assert!(
            error.to_string().contains("certificate 2 of the file"),
            "{error}"
        );
    }

    #[test]
    fn names_dates_and_serial_of_the_leaf_are_read() {
        let (chain, key) = pem(&["a.test", "*.b.test", "127.0.0.1"]);
        let pair = load_pair_from_memory(chain.as_bytes(), key.as_bytes()).unwrap();
        for covered in ["a.test", "x.b.test", "*.b.test", "127.0.0.1"] {
            assert!(
                pair.leaf.covers(&HostPattern::parse(covered).unwrap()),
                "{covered}"
            );
        }
        for not in ["b.test", "x.y.b.test", "*.a.test", "127.0.0.2"] {
            assert!(
                !pair.leaf.covers(&HostPattern::parse(not).unwrap()),
                "{not}"
            );
        }
        assert!(pair.leaf.not_before < pair.leaf.not_after);
        assert!(!pair.leaf.serial.is_empty());
    }

    #[test]
    fn errors_say_what_was_found_instead() {
        let (chain, key) = pem(&["a.test"]);
        let swapped = load_pair_from_memory(key.as_bytes(), chain.as_bytes()).unwrap_err();
        assert!(
            swapped.to_string().contains("only `PRIVATE KEY`"),
            "{swapped}"
        );
        let no_key = load_pair_from_memory(chain.as_bytes(), chain.as_bytes()).unwrap_err();
        assert!(
            no_key.to_string().contains("only `CERTIFICATE`"),
            "{no_key}"
        );
        let empty = load_pair_from_memory(b"\n", key.as_bytes()).unwrap_err();
        assert!(empty.to_string().contains("the file is empty"), "{empty}");
        let der = load_pair_from_memory(&[0x30, 0x82, 1, 1], key.as_bytes()).unwrap_err();
        assert!(der.to_string().contains("-inform der"), "{der}");
        let cut = load_pair_from_memory(&chain.as_bytes()[..chain.len() / 2], key.as_bytes())
            .unwrap_err();
        assert!(matches!(cut, LoadError::Damaged { .. }), "{cut}");
        let locked =
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let locked = load_pair_from_memory(chain.as_bytes(), locked).unwrap_err();
        assert!(matches!(locked, LoadError::Encrypted { .. }), "{locked}");
    }

    use crate::types::host::HostPattern;

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>) {
            assert!(load_pair_from_memory(&bytes, &bytes).is_err());
        }
    }
}
