//! All hosts: a thread of its own that keeps every host's certificate coming, apart from the workers that serve.
//!
//! What must be true when `start` and `reconfigure` return is done in them, on files only: every host is served by its
//! stored certificate, expired or not, or by a placeholder. The authority is talked to afterwards, by one task per host.
//! Invariant: dropping the [`Worker`] ends everything it began before it returns; orders go on at the next start.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info};

use super::authority;
use super::challenge::Tokens;
use super::clock::SystemClock;
use super::command::{Command, Errand, Outcome, Renew};
use super::crew::{Crew, Plan};
use super::settings::Settings;
use super::status::{Board, Counts, HostStatus};
use super::storage::Storage;
use super::task::Wanted;
use crate::tls::{Certificates, Origin, self_signed};
use crate::types::host::{Host, HostPattern};

/// Wishes of people that wait to be looked at.
const COMMANDS: usize = 16;

/// For orders that were told to end to let go of their hosts.
const REST: Duration = Duration::from_secs(2);

/// Why certificates are not looked after.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No thread or no event loop.
    #[error("cannot start the ACME worker")]
    Thread(#[from] std::io::Error),
}

/// Keeps the certificates coming; dropping it ends that.
pub struct Worker {
    plan: Option<watch::Sender<Plan>>,
    commands: mpsc::Sender<Errand>,
    thread: Option<JoinHandle<()>>,
    certificates: Arc<Certificates>,
    wanted: Wanted,
    board: Board,
}

impl Worker {
    /// Serves every host from disk or by a placeholder, then begins to look after them; unless told to `begin`, not before
    /// [`Worker::resume`].
    ///
    /// Reads files, never the network. `hosts` may be empty. A host already served from elsewhere (files named by the
    /// configuration before) keeps that certificate until its own comes.
    pub fn start(
        settings: Settings,
        hosts: Vec<Host>,
        certificates: Arc<Certificates>,
        tokens: Tokens,
        begin: bool,
    ) -> Result<Self, StartError> {
        let hosts: BTreeSet<Host> = hosts.into_iter().collect();
        let wanted = Wanted::default();
        wanted
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&hosts);
        let board = Board::default();
        serve_at_once(&settings, &hosts, &certificates);
        let hosts = if begin { hosts } else { BTreeSet::new() };
        let (plan, plans) = watch::channel(Plan { settings, hosts });
        let (commands, orders) = mpsc::channel(COMMANDS);
        let crew = Crew {
            plans,
            commands: orders,
            connect: Arc::new(authority::connect),
            clock: Arc::new(SystemClock),
            tokens,
            certificates: Arc::clone(&certificates),
            board: board.clone(),
            wanted: Arc::clone(&wanted),
            watches: true,
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
            commands,
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

    /// Orders nothing any more, until [`Worker::resume`]: another process is to. What is served stays. Returns when no lease
    /// is held here, or after [`REST`].
    pub async fn rest(&self) {
        if let Some(plan) = &self.plan {
            plan.send_modify(|plan| plan.hosts.clear());
        }
        let rested = async {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                if self.board.counts().leases == 0 {
                    return;
                }
            }
        };
        if tokio::time::timeout(REST, rested).await.is_err() {
            error!(
                event = "acme.worker.busy",
                "an order does not let go of its host"
            );
        }
    }

    /// Looks after the hosts that are served, after [`Worker::rest`] or a start without a beginning.
    pub fn resume(&self) {
        let hosts = self.wanted.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = &self.plan {
            plan.send_modify(|plan| plan.hosts.clone_from(&hosts));
        }
    }

    /// What is known of each host, sorted by host.
    pub fn status(&self) -> Vec<HostStatus> {
        self.board.list()
    }

    /// What was counted since the start.
    pub fn counts(&self) -> Counts {
        self.board.counts()
    }

    /// A handle for what a person asks of single hosts.
    pub fn wishes(&self) -> Wishes {
        Wishes(self.commands.clone())
    }
}

/// How a person's wishes reach the worker. Each ends when it is carried out or refused, which may take minutes.
#[derive(Clone, Debug)]
pub struct Wishes(mpsc::Sender<Errand>);

impl Wishes {
    /// Orders another certificate for `host` now. Refused, unless by force, when a week's worth has been issued.
    pub async fn renew(&self, host: &Host, wish: Renew) -> Outcome {
        self.ask(host, |reply| Command::Renew { wish, reply }).await
    }

    /// Revokes what is served for `host` and replaces it. `reason` as in RFC 5280 section 5.3.1.
    pub async fn revoke(&self, host: &Host, reason: u8) -> Outcome {
        self.ask(host, |reply| Command::Revoke { reason, reply })
            .await
    }

    /// Gives the account at `authority` another key, or at each, staging directories included; orders under way are
    /// waited for. Says what was done, or what was not and why.
    pub async fn roll_over(&self, authority: Option<&str>) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        let nobody = || "no certificate is ordered".to_owned();
        let authority = authority.map(str::to_owned);
        let sent = self.0.send(Errand::RollOver { authority, reply }).await;
        sent.map_err(|_| nobody())?;
        outcome.await.map_err(|_| nobody())?
    }

    async fn ask(
        &self,
        host: &Host,
        command: impl FnOnce(oneshot::Sender<Outcome>) -> Command,
    ) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        let nobody = || format!("no certificate is ordered for `{host}`");
        let sent = self.0.send(Errand::Of(host.clone(), command(reply))).await;
        sent.map_err(|_| nobody())?;
        outcome.await.map_err(|_| nobody())?
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
