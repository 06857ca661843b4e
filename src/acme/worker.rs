//! All hosts: a thread of its own that keeps every host's certificate coming, apart from the workers that serve.
//!
//! What must be true when `start` and `reconfigure` return is done in them, on files only: every host is served by its
//! stored certificate, expired or not, or by a placeholder. The authority is talked to afterwards, by one task per host.
//! Invariant: dropping the [`Worker`] ends everything it began before it returns; orders go on at the next start.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::AbortHandle;
use tracing::{error, info};

use super::account::{Accounts, Authority};
use super::challenge::Tokens;
use super::client::{AcmeHttp, SettingsError};
use super::schedule::Delays;
use super::status::{Board, HostStatus};
use super::storage::{Storage, StoreError};
use super::task::{self, Shared, Wanted};
use crate::config::Acme;
use crate::observe::reasons::with_reasons;
use crate::tls::{Certificates, Origin, self_signed};
use crate::types::host::{Host, HostPattern};

/// Orders at once, at one authority.
const ORDERS: usize = 4;

/// Where certificates come from and where they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The authority's directory URL.
    pub directory: String,
    /// Mail addresses the authority is told.
    pub contact: Vec<String>,
    /// Roots trusted for the directory's own TLS, besides the public ones.
    pub ca_file: Option<PathBuf>,
    /// `[server] state_dir`.
    pub state_dir: PathBuf,
    /// Waits after failures; the default is what authorities advise.
    pub delays: Delays,
}

impl Settings {
    /// From the checked configuration.
    pub fn new(acme: &Acme, state_dir: &Path) -> Self {
        Self {
            directory: acme.directory.clone(),
            contact: acme.contact.clone(),
            ca_file: acme.ca_file.clone(),
            state_dir: state_dir.to_owned(),
            delays: Delays::default(),
        }
    }

    /// Fails when `ca_file` cannot be read or holds no certificate. For start and reload, before anything changes.
    pub fn check(&self) -> Result<(), SettingsError> {
        AcmeHttp::new(self.ca_file.as_deref()).map(drop)
    }
}

impl Settings {
    /// Fails when nothing can be kept in the state directory, so that no host of `hosts` could ever get a certificate.
    ///
    /// A directory that holds certificates for them is good enough to start with, however full or read-only the disk
    /// is: they are served, and the log says what is wrong. Without hosts there is nothing to keep.
    pub fn check_storage(&self, hosts: &[Host]) -> Result<(), StoreError> {
        if hosts.is_empty() {
            return Ok(());
        }
        let storage = Storage::new(&self.state_dir);
        match storage.check() {
            Err(error)
                if error.may_pass()
                    || hosts.iter().any(|host| storage.load_now(host).is_some()) =>
            {
                error!(event = "acme.store.error", error = %with_reasons(&error), "certificates cannot be kept; the ones there are served, new ones are not ordered");
                Ok(())
            }
            outcome => outcome,
        }
    }
}

/// Why certificates are not looked after.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No thread or no event loop.
    #[error("cannot start the ACME worker")]
    Thread(#[from] std::io::Error),
}

#[derive(Clone)]
struct Plan {
    settings: Settings,
    hosts: BTreeSet<Host>,
}

/// Keeps the certificates coming; dropping it ends that.
pub struct Worker {
    plan: Option<watch::Sender<Plan>>,
    thread: Option<JoinHandle<()>>,
    certificates: Arc<Certificates>,
    wanted: Wanted,
    board: Board,
}

impl Worker {
    /// Serves every host from disk or by a placeholder, then begins to look after them.
    ///
    /// Reads files, never the network. `hosts` may be empty. A host already served from elsewhere (files named by the
    /// configuration before) keeps that certificate until its own comes.
    pub fn start(
        settings: Settings,
        hosts: Vec<Host>,
        certificates: Arc<Certificates>,
        tokens: Tokens,
    ) -> Result<Self, StartError> {
        let hosts: BTreeSet<Host> = hosts.into_iter().collect();
        let wanted = Wanted::default();
        wanted
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&hosts);
        let board = Board::default();
        serve_at_once(&settings, &hosts, &certificates);
        let (plan, plans) = watch::channel(Plan { settings, hosts });
        let crew = Crew {
            plans,
            tokens,
            certificates: Arc::clone(&certificates),
            board: board.clone(),
            wanted: Arc::clone(&wanted),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name("acme".to_owned())
            .spawn(move || {
                runtime.block_on(crew.run());
                // A name lookup may hang in the system; nobody waits for it.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            plan: Some(plan),
            thread: Some(thread),
            certificates,
            wanted,
            board,
        })
    }

    /// Looks after `hosts` from now on, by these settings; hosts that stay and wait after a failure try again soon.
    ///
    /// When it returns, new hosts are served and ACME's certificates of hosts that went are not any more. `state_dir`
    /// is expected to stay the same.
    pub fn reconfigure(&self, settings: Settings, hosts: Vec<Host>) {
        let hosts: BTreeSet<Host> = hosts.into_iter().collect();
        {
            let mut wanted = self.wanted.write().unwrap_or_else(PoisonError::into_inner);
            wanted.clone_from(&hosts);
            self.certificates.retain(|pattern, origin| {
                !matches!(origin, Origin::Acme | Origin::Placeholder)
                    || pattern.exact().is_some_and(|host| hosts.contains(host))
            });
        }
        self.board.retain(|host| hosts.contains(host));
        serve_at_once(&settings, &hosts, &self.certificates);
        if let Some(plan) = &self.plan {
            plan.send_replace(Plan { settings, hosts });
        }
    }

    /// What is known of each host, sorted by host.
    pub fn status(&self) -> Vec<HostStatus> {
        self.board.list()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.plan = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!(
                event = "acme.worker.panicked",
                "the ACME worker ended by a fault of its own"
            );
        }
    }
}

/// Serves what is on disk, else a placeholder, for hosts that nothing is served for yet.
fn serve_at_once(settings: &Settings, hosts: &BTreeSet<Host>, certificates: &Certificates) {
    let storage = Storage::new(&settings.state_dir);
    let mut rows = Vec::new();
    for host in hosts {
        let pattern = HostPattern::Exact(host.clone());
        let row = certificates.get(&pattern);
        let served = row.as_ref().map(|row| row.origin);
        if let Some(row) = row
            && matches!(served, Some(Origin::Acme | Origin::Placeholder))
        {
            // Something else may have been put there meanwhile: `certs import`.
            let kept = storage.current_leaf(host);
            if kept.is_none_or(|kept| kept.serial == row.leaf.serial) {
                continue;
            }
        }
        if let Some(stored) = storage.load_now(host) {
            info!(event = "acme.loaded", %host, not_after = %stored.pair.leaf.not_after, "stored certificate loaded");
            rows.push((pattern, stored.pair, Origin::Acme));
        } else if served != Some(Origin::Files) {
            match self_signed::generate(std::slice::from_ref(&pattern)) {
                Ok(pair) => rows.push((pattern, pair, Origin::Placeholder)),
                Err(error) => {
                    error!(event = "acme.placeholder.failed", %host, %error, "no placeholder")
                }
            }
        }
    }
    certificates.insert_all(rows);
}

/// What lives on the thread.
struct Crew {
    plans: watch::Receiver<Plan>,
    tokens: Tokens,
    certificates: Arc<Certificates>,
    board: Board,
    wanted: Wanted,
}

impl Crew {
    /// Carries out one plan after the other until the sender is gone.
    async fn run(mut self) {
        let mut plan = self.plans.borrow_and_update().clone();
        let mut shared = self.shared(&plan.settings);
        let mut tasks: HashMap<Host, AbortHandle> = HashMap::new();
        loop {
            tasks.retain(|host, task| {
                let keep = plan.hosts.contains(host);
                if !keep {
                    task.abort();
                }
                keep
            });
            // A task that was cancelled may have written its row meanwhile.
            self.board.retain(|host| plan.hosts.contains(host));
            shared.asked.notify_waiters();
            for host in &plan.hosts {
                if !tasks.contains_key(host) {
                    let task = tokio::spawn(task::run(Arc::clone(&shared), host.clone()));
                    tasks.insert(host.clone(), task.abort_handle());
                }
            }
            if self.plans.changed().await.is_err() {
                return;
            }
            let next = self.plans.borrow_and_update().clone();
            if next.settings != plan.settings {
                tasks.drain().for_each(|(_, task)| task.abort());
                shared = self.shared(&next.settings);
            }
            plan = next;
        }
    }

    fn shared(&self, settings: &Settings) -> Arc<Shared> {
        let storage = Storage::new(&settings.state_dir);
        let authority = Authority {
            directory: settings.directory.clone(),
            contact: settings.contact.clone(),
            ca_file: settings.ca_file.clone(),
        };
        Arc::new(Shared {
            accounts: Accounts::new(authority, &storage),
            storage,
            delays: settings.delays.clone(),
            tokens: self.tokens.clone(),
            certificates: Arc::clone(&self.certificates),
            board: self.board.clone(),
            permits: Semaphore::new(ORDERS),
            wanted: Arc::clone(&self.wanted),
            asked: Notify::new(),
        })
    }
}
