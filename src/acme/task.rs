//! One host for ever: waits until a certificate is due, has it ordered, swaps it in, waits for the next.
//!
//! Times come from `schedule`, the attempt itself is `order`'s. Failures are counted on disk before the wait begins.
//! Invariant: a host that is no longer wanted gets nothing swapped in.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::account::Accounts;
use super::challenge::Tokens;
use super::client;
use super::failure::Failure;
use super::order::{Attempt, Issued};
use super::schedule::{Class, Delays, renew_after};
use super::status::{Board, State};
use super::storage::{Backoff, CertificateDir, Failures, Order, Storage, Stored};
use crate::observe::reasons::with_reasons;
use crate::tls::pem::{Leaf, Pair};
use crate::tls::{Certificates, Origin};
use crate::types::host::{Host, HostPattern};

/// The wall clock may jump while we sleep; look at it again at least this often.
const NAP: Duration = Duration::from_secs(60);

/// Hosts whose certificates are ours to serve.
pub(super) type Wanted = Arc<RwLock<BTreeSet<Host>>>;

/// What all hosts of one authority share.
pub(super) struct Shared {
    pub(super) accounts: Accounts,
    pub(super) storage: Storage,
    pub(super) delays: Delays,
    pub(super) tokens: Tokens,
    pub(super) certificates: Arc<Certificates>,
    pub(super) board: Board,
    /// Orders at once.
    pub(super) permits: Semaphore,
    pub(super) wanted: Wanted,
    /// A person asks again: a reload.
    pub(super) asked: Notify,
}

/// Looks after `host` until it is cancelled.
pub(super) async fn run(shared: Arc<Shared>, host: Host) {
    let mut task = Task::new(shared, host).await;
    loop {
        task.wait().await;
        task.attempt().await;
    }
}

struct Task {
    shared: Arc<Shared>,
    host: Host,
    dir: CertificateDir,
    /// When a certificate is due, failures aside.
    due: OffsetDateTime,
    backoff: Option<Failures>,
}

impl Task {
    async fn new(shared: Arc<Shared>, host: Host) -> Self {
        let dir = shared.storage.certificate(&host);
        let now = OffsetDateTime::now_utc();
        let directory = shared.accounts.directory();
        let stored = dir.load(&host).await;
        let due = due_of(stored.as_ref(), directory, now);
        let backoff = dir
            .record::<Backoff>()
            .await
            .and_then(|mut backoff| backoff.at.remove(directory));
        shared.board.update(&host, |row| {
            row.state = if stored.is_some() {
                State::Valid
            } else {
                State::Placeholder
            };
            row.not_after = stored.as_ref().map(|stored| stored.pair.leaf.not_after);
            row.failures = backoff.as_ref().map_or(0, Failures::total);
            row.last_error = backoff.as_ref().map(|backoff| backoff.detail.clone());
        });
        let mut task = Self {
            shared,
            host,
            dir,
            due,
            backoff,
        };
        task.asked_again(now);
        task
    }

    /// A person asks: what is kept may be another certificate now, and what was wrong may have been mended.
    async fn look_again(&mut self) {
        let now = OffsetDateTime::now_utc();
        if let Some(stored) = self.dir.load(&self.host).await {
            let leaf = &stored.pair.leaf;
            let shown = self.shared.board.not_after(&self.host);
            if shown != Some(leaf.not_after) {
                self.due = due_of(Some(&stored), self.shared.accounts.directory(), now);
                self.shared.board.update(&self.host, |row| {
                    row.state = State::Valid;
                    row.not_after = Some(leaf.not_after);
                });
            }
        }
        self.asked_again(now);
    }

    /// A restart or reload shortens the wait.
    fn asked_again(&mut self, now: OffsetDateTime) {
        if let Some(backoff) = &mut self.backoff {
            let next =
                self.shared
                    .delays
                    .asked_again(backoff.class, backoff.last(), backoff.next(), now);
            backoff.set_next(next);
        }
    }

    fn next(&self) -> OffsetDateTime {
        self.backoff
            .as_ref()
            .map_or(self.due, |backoff| self.due.max(backoff.next()))
    }

    async fn wait(&mut self) {
        loop {
            let (now, next) = (OffsetDateTime::now_utc(), self.next());
            self.shared
                .board
                .update(&self.host, |row| row.next_attempt = Some(next));
            let Ok(wait) = Duration::try_from(next - now) else {
                return;
            };
            if wait.is_zero() {
                return;
            }
            tokio::select! {
                () = sleep(wait.min(NAP)) => {}
                () = self.shared.asked.notified() => self.look_again().await,
            }
        }
    }

    async fn attempt(&mut self) {
        let shared = Arc::clone(&self.shared);
        let Ok(_permit) = shared.permits.acquire().await else {
            return; // never closed
        };
        shared.board.update(&self.host, |row| {
            row.state = State::Ordering;
            row.next_attempt = None;
        });
        let start = Instant::now();
        match client::observed(self.order()).await {
            Ok(issued) => self.issued(issued, start.elapsed()).await,
            Err(failure) => self.failed(&failure).await,
        }
    }

    async fn order(&self) -> Result<Issued, Failure> {
        let storage = |error| Failure::of_storage("lease", &error);
        let Some(dir) = self.dir.leased().await.map_err(storage)? else {
            let busy = "another hubgate process orders for this host";
            return Err(Failure::new("lease", Class::Store, busy));
        };
        let account = self.shared.accounts.get().await?;
        let attempt = |account| Attempt {
            host: &self.host,
            directory: self.shared.accounts.directory(),
            account,
            dir: &dir,
            tokens: &self.shared.tokens,
        };
        match attempt(&account).run().await {
            Err(failure) if failure.account_unknown => {
                warn!(
                    event = "acme.account.unknown",
                    url = account.id(),
                    "the authority does not know the account; registering its key again"
                );
                dir.clear_record::<Order>().await;
                let account = self.shared.accounts.register_again(&account).await?;
                attempt(&account).run().await
            }
            other => other,
        }
    }

    async fn issued(&mut self, issued: Issued, took: Duration) {
        let leaf = Arc::clone(&issued.pair.leaf);
        if !self.swap_in(issued.pair) {
            return;
        }
        self.due = due(OffsetDateTime::now_utc(), &leaf);
        info!(
            event = "acme.issued",
            host = %self.host,
            serial = leaf.serial,
            not_after = %leaf.not_after,
            renew_at = %self.due,
            took_ms = took.as_millis() as u64,
            "certificate issued and served"
        );
        self.shared.board.update(&self.host, |row| {
            row.state = State::Valid;
            row.not_after = Some(leaf.not_after);
            row.last_error = None;
            row.failures = 0;
        });
        match issued.unsaved {
            None => {
                self.backoff = None;
                self.dir.clear_record::<Backoff>().await;
            }
            Some(failure) => {
                self.due = OffsetDateTime::now_utc(); // it is due until it is on the disk
                self.failed(&failure).await;
            }
        }
    }

    /// Serves the pair, unless the host is not wanted any more.
    fn swap_in(&self, pair: Pair) -> bool {
        let wanted = self
            .shared
            .wanted
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let is_wanted = wanted.contains(&self.host);
        if is_wanted {
            let pattern = HostPattern::Exact(self.host.clone());
            let certificates = &self.shared.certificates;
            certificates.insert(pattern, pair, Origin::Acme);
        }
        is_wanted
    }

    async fn failed(&mut self, failure: &Failure) {
        let now = OffsetDateTime::now_utc();
        let directory = self.shared.accounts.directory();
        let backoff = self.backoff.get_or_insert_with(Failures::none);
        let count = backoff.count(failure.class, failure.step, &failure.detail, now);
        let wait =
            self.shared
                .delays
                .after(failure.class, count, failure.retry_after, fastrand::f64());
        let next = now + wait;
        backoff.set_next(next);
        let mut record = Backoff::default();
        record.at.insert(directory.to_owned(), backoff.clone());
        if let Err(error) = self.dir.save_record(&record).await {
            warn!(event = "acme.store.error", host = %self.host, error = %with_reasons(&error), "the failure cannot be remembered");
        }
        let (host, step, class, detail) = (
            &self.host,
            failure.step,
            failure.class.as_str(),
            failure.detail.as_str(),
        );
        if failure.class == Class::Store {
            error!(event = "acme.order.failed", %host, directory, step, class, failures = count, detail, %next, "no certificate: this machine failed");
        } else {
            warn!(event = "acme.order.failed", %host, directory, step, class, failures = count, detail, %next, "no certificate yet");
        }
        let total = backoff.total();
        self.shared.board.update(&self.host, |row| {
            row.state = State::Backoff;
            row.last_error = Some(format!("{step}: {detail}"));
            row.failures = total;
        });
    }
}

/// When what is kept is due; at once, when nothing is.
fn due_of(stored: Option<&Stored>, directory: &str, now: OffsetDateTime) -> OffsetDateTime {
    match stored {
        Some(stored)
            if stored
                .directory
                .as_deref()
                .is_none_or(|own| own == directory) =>
        {
            let issued = stored
                .issued
                .unwrap_or(stored.pair.leaf.not_before)
                .min(now);
            due(issued, &stored.pair.leaf)
        }
        // From another authority (staging, say): served, but to be replaced.
        _ => now,
    }
}

fn due(issued: OffsetDateTime, leaf: &Leaf) -> OffsetDateTime {
    renew_after(issued, leaf.not_before, leaf.not_after, fastrand::f64())
}
