//! A client's certificate: what it says, and whether it is believed.
//!
//! A handshake proves that the client has the certificate's key; whether to believe the certificate is decided by a
//! [`Judge`] after it, so that who is refused gets an answer to read. Invariants: what stands in [`Shown::lines`] is one
//! line a field whatever the certificate holds; a verdict counts for the judge that gave it only.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::chain::{self, Rules};
use super::distinguished_name;
use super::signatures;
use super::tickets::Mark;
use crate::config::ClientTrust;
use crate::config::trust::Trust;

/// Longer names are no names, and would not fit into heads.
const LONGEST_NAME: usize = 4096;

/// What a connection has of its client.
#[derive(Clone, Debug, Default)]
pub enum Client {
    /// It was not asked for a certificate.
    #[default]
    Unasked,
    /// It was asked and has none.
    Absent,
    /// It has shown one.
    Shown(Arc<Shown>),
}

impl Client {
    /// Of a handshake in which one was asked for.
    pub fn of(chain: Option<&[CertificateDer<'_>]>, judge: &Judge) -> Self {
        let shown = chain.and_then(|chain| Shown::new(chain, judge));
        shown.map_or(Self::Absent, |shown| Self::Shown(Arc::new(shown)))
    }
}

/// Why a certificate is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not in its time.
    #[error("it has expired, or is not valid yet")]
    Expired,
    /// Its authority took it back.
    #[error("it was revoked")]
    Revoked,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Refusal {
    /// In OpenSSL's words, where those are known.
    fn as_openssl(&self) -> &str {
        match self {
            Self::Expired => chain::EXPIRED,
            Self::Revoked => chain::REVOKED,
            Self::Other(why) => why,
        }
    }
}

/// A certificate that a client has shown.
#[derive(Debug)]
pub struct Shown {
    /// Whom it names, as text.
    pub subject: String,
    /// The common name in that, as far as it has one that is text.
    pub common_name: Option<Box<str>>,
    /// Who signed it.
    pub issuer: String,
    /// In upper-case hexadecimal, as nginx has it.
    pub serial: String,
    /// SHA-256 over all of it, in lower-case hexadecimal.
    pub fingerprint: String,
    /// SHA-1, as nginx has it: what certificates are told apart by, not what they are trusted for.
    pub sha1: String,
    /// The field lines that tell an upstream of it.
    pub lines: Vec<u8>,
    /// The field line with the certificate itself.
    pub certificate_line: Vec<u8>,
    chain: Vec<CertificateDer<'static>>,
    /// Since when it is valid, in seconds since 1970.
    pub not_before: u64,
    /// Until when.
    pub not_after: u64,
    /// What the judge of the handshake said, in nginx's words: `SUCCESS`, or `FAILED:` with the reason.
    pub verify: String,
    /// Why no judge is asked.
    unusable: Option<&'static str>,
    judged: (Mark, Result<(), Refusal>),
}

impl Shown {
    /// What `chain`, leaf first, says, and what `judge` says of it.
    pub fn new(chain: &[CertificateDer<'_>], judge: &Judge) -> Option<Self> {
        let chain: Vec<_> = chain.iter().map(|one| one.clone().into_owned()).collect();
        let verdict = judge.verdict(&chain);
        let leaf = chain.first()?;
        let fingerprint = hex(digest(&SHA256, leaf).as_ref());
        let sha1 = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, leaf).as_ref());
        let parsed = X509Certificate::from_der(leaf);
        let mut shown = Self {
            subject: String::new(),
            common_name: None,
            issuer: String::new(),
            serial: String::new(),
            fingerprint,
            sha1,
            lines: Vec::new(),
            certificate_line: Vec::new(),
            not_before: 0,
            not_after: 0,
            verify: String::new(),
            unusable: None,
            judged: (judge.mark, verdict),
            chain: Vec::new(),
        };
        shown.unusable = match parsed {
            Ok((_, leaf)) => {
                let not_after = leaf.validity().not_after.timestamp();
                shown.not_after = u64::try_from(not_after).unwrap_or_default();
                let not_before = leaf.validity().not_before.timestamp();
                shown.not_before = u64::try_from(not_before).unwrap_or_default();
                shown.subject = distinguished_name::text(leaf.subject());
                let mut names = leaf.subject().iter_common_name();
                shown.common_name = names.find_map(|name| Some(name.as_str().ok()?.into()));
                shown.issuer = distinguished_name::text(leaf.issuer());
                shown.serial = hex(leaf.raw_serial()).to_ascii_uppercase();
                // DER's sign, which is always positive.
                if let Some(rest) = shown
                    .serial
                    .strip_prefix("00")
                    .filter(|rest| !rest.is_empty())
                {
                    shown.serial = rest.to_owned();
                }
                let longest = shown.subject.len().max(shown.issuer.len());
                (longest > LONGEST_NAME).then_some("its names are too long")
            }
            Err(_) => Some("it cannot be read"),
        };
        shown.verify = match shown.verdict(judge) {
            Ok(()) => "SUCCESS".to_owned(),
            Err(refusal) => format!("FAILED:{}", refusal.as_openssl()),
        };
        shown.lines = shown.tell();
        shown.certificate_line = escaped(leaf);
        shown.chain = chain;
        Some(shown)
    }

    /// Subject and issuer, each in one line.
    pub fn one_lines(&self) -> Option<(String, String)> {
        let (_, leaf) = X509Certificate::from_der(self.chain.first()?).ok()?;
        let line = |name| {
            Some(distinguished_name::one_line(name)).filter(|line| line.len() <= LONGEST_NAME)
        };
        Some((line(leaf.subject())?, line(leaf.issuer())?))
    }

    /// Whether `judge` believes it now. Only what another judge said is looked into again.
    pub fn verdict(&self, judge: &Judge) -> Result<(), Refusal> {
        if let Some(why) = self.unusable {
            return Err(Refusal::Other(why.to_owned()));
        }
        let (mark, verdict) = &self.judged;
        if *mark != judge.mark {
            return judge.verdict(&self.chain);
        }
        match verdict {
            Ok(()) if self.not_after < now().as_secs() => Err(Refusal::Expired),
            verdict => verdict.clone(),
        }
    }

    fn tell(&self) -> Vec<u8> {
        let mut lines = format!("ssl-client-verify: {}\r\n", self.verify);
        for (name, value) in [
            ("subject-dn", &self.subject),
            ("issuer-dn", &self.issuer),
            ("serial", &self.serial),
            ("fingerprint", &self.fingerprint),
        ] {
            lines.push_str("ssl-client-");
            lines.push_str(name);
            lines.push_str(": ");
            lines.push_str(value);
            lines.push_str("\r\n");
        }
        lines.into_bytes()
    }
}

/// Says whether certificates are believed, by authorities and their revocation lists.
#[derive(Debug)]
pub struct Judge {
    /// Differs from that of any other content of the files.
    pub mark: Mark,
    /// Whether who is not believed is let in all the same.
    pub lenient: bool,
    hints: Vec<DistinguishedName>,
    by: By,
}

/// The rules of a judge.
#[derive(Debug)]
enum By {
    /// RFC 5280.
    Standard(Arc<dyn ClientCertVerifier>),
    /// OpenSSL's: authorities, lists, and how long chains may be.
    OpenSsl(
        Vec<CertificateDer<'static>>,
        Vec<CertificateRevocationListDer<'static>>,
        u8,
    ),
}

impl Judge {
    /// By what the files hold. Fails with what cannot be used in them.
    pub fn new(trust: &Trust, files: &ClientTrust) -> Result<Self, String> {
        let lists = trust.revocations.iter().flatten().cloned();
        let mut hints: Vec<DistinguishedName> = Vec::new();
        for authority in &trust.authorities {
            let (_, parsed) = X509Certificate::from_der(authority).map_err(|e| e.to_string())?;
            let name = DistinguishedName::from(parsed.subject().as_raw().to_vec());
            if !hints.iter().any(|known| known.as_ref() == name.as_ref()) {
                hints.push(name);
            }
        }
        let all = || trust.authorities.iter().chain(&trust.trusted).cloned();
        let depth = files.depth.or(files.lenient.then_some(1));
        let by = match depth {
            Some(depth) => By::OpenSsl(all().collect(), lists.collect(), depth),
            None => {
                let mut roots = RootCertStore::empty();
                for authority in all() {
                    roots.add(authority).map_err(|e| e.to_string())?;
                }
                let provider = super::provider();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .with_crls(lists)
                        .allow_unauthenticated()
                        .build();
                By::Standard(verifier.map_err(|e| e.to_string())?)
            }
        };
        Ok(Self {
            mark: mark(trust, files),
            lenient: files.lenient,
            hints,
            by,
        })
    }

    /// What asks for certificates in handshakes and leaves belief to [`Judge::verdict`].
    pub fn asking(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::new(Asking(self.hints.clone()))
    }

    fn verdict(&self, chain: &[CertificateDer<'_>]) -> Result<(), Refusal> {
        let Some((leaf, others)) = chain.split_first() else {
            return Err(Refusal::Other("there is none".to_owned()));
        };
        let (authorities, revocations, depth) = match &self.by {
            By::Standard(verifier) => {
                let now = UnixTime::since_unix_epoch(now());
                let verified = verifier.verify_client_cert(leaf, others, now);
                return verified.map(drop).map_err(|error| refusal(&error));
            }
            By::OpenSsl(authorities, revocations, depth) => (authorities, revocations, *depth),
        };
        let rules = Rules {
            authorities,
            revocations,
            depth: depth.into(),
            of_servers: false,
        };
        let now = i64::try_from(now().as_secs()).unwrap_or(i64::MAX);
        chain::judge(chain, &rules, now).map_err(|fault| match fault {
            chain::EXPIRED => Refusal::Expired,
            chain::REVOKED => Refusal::Revoked,
            fault => Refusal::Other(fault.to_owned()),
        })
    }
}

fn refusal(error: &Error) -> Refusal {
    let Error::InvalidCertificate(fault) = error else {
        return Refusal::Other(error.to_string());
    };
    match fault {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Refusal::Expired,
        CertificateError::Revoked => Refusal::Revoked,
        CertificateError::UnknownIssuer => {
            Refusal::Other("none of the authorities in `ca_file` has signed it".to_owned())
        }
        CertificateError::UnknownRevocationStatus => {
            Refusal::Other("none of the `crl_files` is by whoever signed it".to_owned())
        }
        other => Refusal::Other(other.to_string()),
    }
}

/// The same for the same content, in any process.
fn mark(trust: &Trust, files: &ClientTrust) -> Mark {
    let mut all = Vec::new();
    if files.depth.is_some() || files.lenient {
        all.extend([files.depth.unwrap_or(1), u8::from(files.lenient)]);
    }
    let authorities = trust.authorities.iter().chain(&trust.trusted);
    let authorities = authorities.map(|one| one.as_ref());
    let lists = trust.revocations.iter().flatten().map(|one| one.as_ref());
    for der in authorities.chain(lists) {
        all.extend_from_slice(&der.len().to_be_bytes());
        all.extend_from_slice(der);
    }
    let mut mark = Mark::default();
    mark.copy_from_slice(digest(&SHA256, &all).as_ref());
    mark
}

/// Asks for a certificate by these authorities and sees that the client has its key; takes any.
#[derive(Debug)]
struct Asking(Vec<DistinguishedName>);

impl ClientCertVerifier for Asking {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.0
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // Not believed yet: whoever asks for the connection's client asks a judge.
        Ok(ClientCertVerified::assertion())
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

fn now() -> std::time::Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _written = write!(out, "{byte:02x}");
    }
    out
}

/// The certificate in PEM, percent-encoded as nginx's `$ssl_client_escaped_cert` is.
fn escaped(leaf: &CertificateDer<'_>) -> Vec<u8> {
    let text = STANDARD.encode(leaf);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    let mut out = String::from("ssl-client-cert: ");
    for byte in pem.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => {
                let _written = write!(out, "%{other:02X}");
            }
        }
    }
    out.push_str("\r\n");
    out.into_bytes()
}
