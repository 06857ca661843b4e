//! TLS to an upstream's endpoints: what is offered, who is accepted, and the sessions to resume.
//!
//! [`ClientTls`] is made from the configuration and its files, all of them good, and reads the files again when told
//! to; the last good ones stay. [`fault`] puts a failed handshake into words. Invariants: nobody is accepted whose
//! certificate was not verified, unless the configuration says so; what was connected under other files or settings
//! has another [`Current::id`], so no pool mixes them up.

pub mod fault;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types;
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::config::{PairFiles, ServerName, TlsVersion, UpstreamTls, trust};
use crate::tls::pem::{self, LoadError, Place};
use crate::tls::server_config::suites;
use crate::tls::servers::Servers;
use crate::tls::unverified::Unverified;
use crate::types::address::THIS_HOST;
use crate::types::endpoint_address::EndpointAddress;

/// Servers whose sessions are kept for resumption, by name; each has several.
const SESSIONS: usize = 256;

/// TLS to the endpoints of one upstream.
#[derive(Debug)]
pub struct ClientTls {
    settings: UpstreamTls,
    current: ArcSwap<Current>,
}

/// What new connections are made with.
#[derive(Debug)]
pub struct Current {
    /// Never 0, and another one for each content of the files.
    pub id: u32,
    /// Holds the sessions, too.
    http1: Arc<ClientConfig>,
    /// The same, and the same sessions.
    http2: Arc<ClientConfig>,
    /// The same again.
    unsaid: Arc<ClientConfig>,
    files: Files,
}

/// What is offered by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/1.1
    Http1,
    /// HTTP/2
    Http2,
    /// Nothing: what is spoken is the client's affair.
    Unsaid,
}

/// Chain, key and passwords.
type PairTexts = (Vec<u8>, Vec<u8>, Option<Vec<u8>>);

/// What the files hold, as far as there are any.
#[derive(PartialEq, Eq)]
struct Files {
    roots: Option<Vec<u8>>,
    client: Option<PairTexts>,
    revocations: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the key.
        f.write_str("Files")
    }
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, or not what it should be.
    #[error("the files for TLS to the upstream cannot be used")]
    File(#[from] LoadError),
    /// rustls refuses the settings.
    #[error("TLS to the upstream cannot be set up")]
    Settings(#[from] rustls::Error),
}

impl ClientTls {
    /// TLS as `settings` ask for it. Gives `old` itself when neither the settings nor the
    /// files have changed, so that its sessions stay. Blocks on files.
    pub fn load(settings: &UpstreamTls, old: Option<&Arc<Self>>) -> Result<Arc<Self>, TlsError> {
        let files = Files::read(settings)?;
        let same = old.filter(|old| old.settings == *settings);
        if let Some(same) = same
            && same.current.load().files == files
        {
            return Ok(Arc::clone(same));
        }
        let current = Current::new(settings, files)?;
        Ok(Arc::new(Self {
            settings: settings.clone(),
            current: ArcSwap::from_pointee(current),
        }))
    }

    /// What new connections are made with.
    pub fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// The [`Current::id`].
    pub fn id(&self) -> u32 {
        self.current.load().id
    }

    /// The name to ask for and to verify at `address`; a unix socket's own is that of this host.
    pub fn server_name(&self, address: EndpointAddress) -> pki_types::ServerName<'_> {
        let ip = address.ip().map_or(THIS_HOST.ip(), |address| address.ip());
        let own = || pki_types::ServerName::IpAddress(ip.into());
        match &self.settings.server_name {
            // `validate` has refused what does not convert.
            ServerName::Fixed(host) => {
                pki_types::ServerName::try_from(host.as_str()).unwrap_or_else(|_| own())
            }
            ServerName::Endpoint => own(),
        }
    }

    /// Whether a `ca_file` stands in for the public roots.
    pub fn has_own_roots(&self) -> bool {
        self.settings.ca_file.is_some()
    }

    /// The files that can change.
    pub fn paths(&self) -> impl Iterator<Item = &std::path::Path> {
        let client = self.settings.client.iter();
        let pair = client.flat_map(|client| {
            let passwords = client.passwords.as_deref().into_iter();
            [client.chain.as_path(), client.key.as_path()]
                .into_iter()
                .chain(passwords)
        });
        let lists = self.settings.crl_files.iter().map(PathBuf::as_path);
        let roots = self.settings.ca_file.as_deref().into_iter();
        roots.chain(pair).chain(lists)
    }

    /// Takes what the files hold now; true when it is something new. On a failure all stays. Blocks on files.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let files = Files::read(&self.settings)?;
        if self.current.load().files == files {
            return Ok(false);
        }
        let current = Current::new(&self.settings, files)?;
        self.current.store(Arc::new(current));
        Ok(true)
    }
}

impl Files {
    fn read(settings: &UpstreamTls) -> Result<Self, LoadError> {
        let read = |path: &std::path::PathBuf| pem::read(path);
        let all = |client: &PairFiles| {
            let passwords = client.passwords.as_ref().map(read).transpose()?;
            Ok((read(&client.chain)?, read(&client.key)?, passwords))
        };
        Ok(Self {
            roots: settings.ca_file.as_ref().map(read).transpose()?,
            client: settings.client.as_ref().map(all).transpose()?,
            revocations: (settings.crl_files.iter().map(read)).collect::<Result<_, _>>()?,
        })
    }
}

impl Current {
    /// What is offered and verified when a connection is to speak `alpn`.
    pub fn config(&self, alpn: Alpn) -> Arc<ClientConfig> {
        Arc::clone(match alpn {
            Alpn::Http1 => &self.http1,
            Alpn::Http2 => &self.http2,
            Alpn::Unsaid => &self.unsaid,
        })
    }

    fn new(settings: &UpstreamTls, files: Files) -> Result<Self, TlsError> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let provider = provider(settings);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions(settings.version))?;
        let builder = match (settings.verify, settings.depth) {
            (true, Some(depth)) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(servers(settings, &files, depth)?)),
            (true, None) => builder.with_root_certificates(roots(settings, &files)?),
            (false, _) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unverified::new(&provider))),
        };
        let mut config = match (&settings.client, &files.client) {
            (Some(paths), Some((chain, key, passwords))) => {
                let pair = pem::parse_files(paths, (chain, key, passwords.as_deref()))?;
                let shown = SingleCertAndKey::from(rustls::sign::CertifiedKey::clone(&pair.key));
                builder.with_client_cert_resolver(Arc::new(shown))
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.enable_sni = settings.says_name;
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        let mut http2 = config.clone();
        http2.alpn_protocols = vec![b"h2".to_vec()];
        let mut unsaid = config.clone();
        unsaid.alpn_protocols = Vec::new();
        Ok(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            http1: Arc::new(config),
            http2: Arc::new(http2),
            unsaid: Arc::new(unsaid),
            files,
        })
    }
}

/// The suites that are offered.
fn provider(settings: &UpstreamTls) -> Arc<CryptoProvider> {
    let provider = crate::tls::provider();
    match settings.cipher_suites.as_slice() {
        [] => provider,
        some => Arc::new(CryptoProvider {
            cipher_suites: suites(some),
            ..(*provider).clone()
        }),
    }
}

fn versions(only: Option<TlsVersion>) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
    match only {
        None => BOTH,
        Some(TlsVersion::V13) => &BOTH[..1],
        Some(TlsVersion::V12) => &BOTH[1..],
    }
}

/// Whom to believe by OpenSSL's rules; nobody without a `ca_file`.
fn servers(settings: &UpstreamTls, files: &Files, depth: u8) -> Result<Servers, TlsError> {
    let place = |path: &Path| Place::File(path.to_owned());
    let authorities = match (&settings.ca_file, &files.roots) {
        (Some(path), Some(text)) => pem::certificates(text, &place(path))?,
        _ => Vec::new(),
    };
    let mut revocations = Vec::new();
    for (path, text) in settings.crl_files.iter().zip(&files.revocations) {
        let lists = trust::revocations(text).map_err(|fault| LoadError::Damaged {
            place: place(path),
            reason: fault.to_string(),
        })?;
        revocations.extend(lists);
    }
    Ok(Servers {
        authorities,
        revocations,
        depth,
    })
}

fn roots(settings: &UpstreamTls, files: &Files) -> Result<RootCertStore, TlsError> {
    let (Some(path), Some(text)) = (&settings.ca_file, &files.roots) else {
        let public = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
        return Ok(public.collect());
    };
    Ok(pem::roots(text, Place::File(path.clone()))?)
}
