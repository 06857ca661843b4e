//! What handshakes are made with: one `ServerConfig` for each policy that sites have, and which site has which.
//!
//! Built with a snapshot. Policies that stay keep their configuration, and with it the sessions it remembers. Sites with
//! equal policies share one; where all have the same, none is looked for. A policy that asks for client certificates has a
//! new configuration as soon as its files say something else, and no session of the old one is resumed with it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

use super::Certificates;
use super::client::Judge;
use super::key_log::KeyLog;
use super::server_config::build;
use super::tickets::{Mark, SharedSecret, TicketKeys};
use crate::config::trust::{self, MOST_BYTES, Trust, TrustFault};
use crate::config::{ClientTrust, Config, Site, TlsPolicy};

/// What every configuration is made with; the same as long as the process runs.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The certificates being served.
    pub certificates: Arc<Certificates>,
    /// What tickets are sealed with.
    pub tickets: Arc<TicketKeys>,
    /// Where the secrets of connections go, if anywhere.
    pub key_log: Option<Arc<KeyLog>>,
}

impl Ground {
    /// The same with these secrets for tickets, if there are any.
    pub(super) fn with(&self, secrets: &[SharedSecret]) -> Self {
        let mut ground = self.clone();
        if !secrets.is_empty() {
            ground.tickets = self.tickets.sharing(secrets.iter());
        }
        ground
    }
}

/// The configurations of one snapshot.
#[derive(Debug)]
pub struct Policies {
    /// That of `[tls]`.
    base: Arc<Running>,
    /// As `config.sites`; `None` where all have that of `[tls]`.
    sites: Option<Box<[Arc<Running>]>>,
    /// Whether any of them asks for client certificates.
    ask: bool,
}

/// A policy at work.
#[derive(Debug)]
pub struct Running {
    policy: Arc<TlsPolicy>,
    current: ArcSwap<Current>,
    ground: Ground,
}

/// What new connections are made with.
#[derive(Clone, Debug)]
pub struct Current {
    /// For their handshakes.
    pub config: Arc<ServerConfig>,
    /// Says whether their clients are believed; `None` where they are not asked.
    pub judge: Option<Arc<Judge>>,
    trust: Option<Arc<Trust>>,
    secrets: Vec<SharedSecret>,
}

/// Why a policy cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// rustls refuses it.
    #[error("TLS cannot be set up")]
    Settings(#[from] rustls::Error),
    /// A file cannot be read.
    #[error("cannot read `{path}`, which says whose client certificates count")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{path}` cannot be used for client certificates")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TrustFault,
    },
    /// A file with a key of tickets.
    #[error("cannot use `{path}` for session tickets")]
    TicketKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What the files hold cannot be used together.
    #[error("the authorities in `{path}` and their `crl_files` cannot be used: {reason}")]
    Trust {
        /// The `ca_file`.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Policies {
    /// Those that `config` asks for, after `old`. Blocks on the files that they name.
    pub fn build(
        config: &Config,
        old: Option<&Self>,
        ground: &Ground,
    ) -> Result<Self, PolicyError> {
        let known = old.into_iter().flat_map(Self::all);
        let known: HashMap<_, _> = known.map(|running| (&*running.policy, running)).collect();
        let mut all: HashMap<Arc<TlsPolicy>, Arc<Running>> = HashMap::new();
        let mut of = |policy: &Arc<TlsPolicy>| {
            if let Some(running) = all.get(policy) {
                return Ok(Arc::clone(running));
            }
            let before = known.get(&**policy).copied();
            let running = Running::after(before, policy, ground)?;
            all.insert(Arc::clone(policy), Arc::clone(&running));
            Ok(running)
        };
        let base = of(&config.tls.policy)?;
        let same = |site: &Site| site.tls.policy == config.tls.policy;
        let sites = match config.sites.iter().all(same) {
            true => None,
            false => {
                let sites = config.sites.iter().map(|site| of(&site.tls.policy));
                Some(sites.collect::<Result<_, PolicyError>>()?)
            }
        };
        let ask = all.keys().any(|policy| policy.clients.is_some());
        Ok(Self { base, sites, ask })
    }

    /// Whether it depends on the site which one a handshake is made with.
    pub fn differ(&self) -> bool {
        self.sites.is_some()
    }

    /// Whether clients of any site are asked for certificates.
    pub fn ask(&self) -> bool {
        self.ask
    }

    /// What connections for the site with this index are made with; without a site it is that of `[tls]`.
    pub fn current(&self, site: Option<usize>) -> Arc<Current> {
        let of_site = self.sites.as_ref().zip(site);
        let of_site = of_site.and_then(|(sites, site)| sites.get(site));
        of_site.unwrap_or(&self.base).current.load_full()
    }

    /// Those whose files are to be followed, each once.
    pub fn with_files(&self) -> Vec<Arc<Running>> {
        let mut found: Vec<Arc<Running>> = Vec::new();
        for running in self
            .all()
            .filter(|running| running.policy.clients.is_some())
        {
            if !found.iter().any(|one| Arc::ptr_eq(one, running)) {
                found.push(Arc::clone(running));
            }
        }
        found
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Running>> {
        let sites = self.sites.iter().flatten();
        std::iter::once(&self.base).chain(sites)
    }
}

impl Running {
    /// `before` itself when neither its policy nor its files have changed.
    fn after(
        before: Option<&Arc<Self>>,
        policy: &Arc<TlsPolicy>,
        ground: &Ground,
    ) -> Result<Arc<Self>, PolicyError> {
        let trust = policy.clients.as_ref().map(read).transpose()?;
        let secrets = secrets(policy)?;
        if let Some(before) = before
            && let current = before.current.load()
            && current.trust.as_deref() == trust.as_ref()
            && current.secrets == secrets
        {
            return Ok(Arc::clone(before));
        }
        let current = Current::new(policy, (trust, secrets), ground)?;
        Ok(Arc::new(Self {
            policy: Arc::clone(policy),
            current: ArcSwap::from_pointee(current),
            ground: ground.clone(),
        }))
    }

    /// Its `ca_file`.
    pub fn name(&self) -> &Path {
        let trust = self.policy.clients.as_ref();
        trust.map_or(Path::new(""), ClientTrust::ca_file)
    }

    /// The files that can change.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let trust = self.policy.clients.iter();
        trust.flat_map(|trust| {
            let lists = trust.crl_files.iter().map(PathBuf::as_path);
            let files = trust.ca_file.iter().chain(&trust.trusted_file);
            files.map(PathBuf::as_path).chain(lists)
        })
    }

    /// Takes what the files hold now; true when it is something new. On a failure all stays. Blocks on files.
    pub fn refresh(&self) -> Result<bool, PolicyError> {
        let trust = self.policy.clients.as_ref().map(read).transpose()?;
        let current = self.current.load();
        if current.trust.as_deref() == trust.as_ref() {
            return Ok(false);
        }
        let files = (trust, current.secrets.clone());
        let current = Current::new(&self.policy, files, &self.ground)?;
        self.current.store(Arc::new(current));
        Ok(true)
    }

    /// What is doubtful about the files as they were read last.
    pub fn doubts(&self) -> Vec<String> {
        let current = self.current.load();
        let found = self.policy.clients.as_ref().zip(current.trust.as_ref());
        let doubts = found.map(|(files, trust)| {
            let doubts = trust.doubts(time::OffsetDateTime::now_utc()).into_iter();
            let told =
                doubts.map(|(which, doubt)| format!("`{}`: {doubt}", files.file(which).display()));
            told.collect()
        });
        doubts.unwrap_or_default()
    }
}

impl Current {
    fn new(
        policy: &TlsPolicy,
        (trust, secrets): (Option<Trust>, Vec<SharedSecret>),
        ground: &Ground,
    ) -> Result<Self, PolicyError> {
        let judge = trust.as_ref().zip(policy.clients.as_ref());
        let judge = judge
            .map(|(trust, files)| judged(trust, files))
            .transpose()?;
        let clients = match &judge {
            Some(judge) => (judge.asking(), judge.mark),
            None => (WebPkiClientVerifier::no_client_auth(), Mark::default()),
        };
        Ok(Self {
            config: build(policy, clients, &ground.with(&secrets))?,
            judge: judge.map(Arc::new),
            trust: trust.map(Arc::new),
            secrets,
        })
    }
}

/// Who says whether clients are believed. Blocks on the files.
pub(super) fn judge(files: &ClientTrust) -> Result<Judge, PolicyError> {
    judged(&read(files)?, files)
}

fn judged(trust: &Trust, files: &ClientTrust) -> Result<Judge, PolicyError> {
    Judge::new(trust, files).map_err(|reason| PolicyError::Trust {
        path: files.ca_file().to_owned(),
        reason,
    })
}

/// What the files with keys of tickets hold. Blocks on them.
pub(super) fn secrets(policy: &TlsPolicy) -> Result<Vec<SharedSecret>, PolicyError> {
    let one = |path: &PathBuf| {
        let mut bytes = Vec::new();
        let most = SharedSecret::LENGTHS[1] as u64 + 1;
        let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
        let wrong = || io::Error::other("it does not hold 48 or 80 bytes");
        read.and_then(|_| SharedSecret::of(&bytes).ok_or_else(wrong))
            .map_err(|source| PolicyError::TicketKey {
                path: path.clone(),
                source,
            })
    };
    policy.ticket_keys.iter().map(one).collect()
}

fn read(files: &ClientTrust) -> Result<Trust, PolicyError> {
    let some = |file: &Option<PathBuf>| match file {
        Some(path) => read_one(path, trust::authorities),
        None => Ok(Vec::new()),
    };
    let authorities = some(&files.ca_file)?;
    let trusted = some(&files.trusted_file)?;
    let lists = files.crl_files.iter();
    let lists = lists.map(|path| read_one(path, trust::revocations));
    Ok(Trust {
        authorities,
        trusted,
        revocations: lists.collect::<Result<_, _>>()?,
    })
}

fn read_one<T>(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<T, TrustFault>,
) -> Result<T, PolicyError> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| {
        file.take(MOST_BYTES + 1).read_to_end(&mut text)?;
        match text.len() as u64 > MOST_BYTES {
            true => Err(io::Error::other("it is larger than 16 MiB")),
            false => Ok(()),
        }
    });
    read.map_err(|source| PolicyError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&text).map_err(|source| PolicyError::File {
        path: path.to_owned(),
        source,
    })
}
