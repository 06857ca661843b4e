//! One host for ever: waits until something is due, has it done, swaps in what comes, waits for the next.
//!
//! Times come from `renewal`, `schedule` and `choice`; each attempt is `once`'s, and what a person asks for `obey`'s.
//! Invariant: a host that is no longer wanted gets nothing swapped in.

mod held;
mod obey;
mod once;
mod poll;
mod show;
mod week;

use std::collections::BTreeSet;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep;

pub(super) use self::week::{WEEK, WEEKLY};
use crate::acme::authority::Authority;
use crate::acme::challenge::Tokens;
use crate::acme::choice::{self, Candidate};
use crate::acme::clock::Clock;
use crate::acme::command::Command;
use crate::acme::pace;
use crate::acme::renewal::{self, Due, Why};
use crate::acme::schedule::Delays;
use crate::acme::settings::Listeners;
use crate::acme::status::Board;
use crate::acme::storage::{
    Backoff, CertificateDir, Failures, History, Renewal, Storage, Stored, instant,
};
use crate::tls::Certificates;
use crate::types::host::Host;

/// Hosts whose certificates are ours to serve.
pub(super) type Wanted = Arc<RwLock<BTreeSet<Host>>>;

/// What all hosts share.
pub(super) struct Shared {
    /// In the order they are asked; never empty.
    pub(super) authorities: Vec<Authority>,
    pub(super) storage: Storage,
    pub(super) listeners: Listeners,
    pub(super) delays: Delays,
    pub(super) tokens: Tokens,
    pub(super) certificates: Arc<Certificates>,
    pub(super) board: Board,
    pub(super) wanted: Wanted,
    pub(super) clock: Arc<dyn Clock>,
    /// A person asks again: a reload.
    pub(super) asked: Notify,
    /// Somebody may have stored something.
    pub(super) changed: watch::Sender<()>,
}

impl Shared {
    /// The authority that issued this.
    fn issuer(&self, stored: &Stored) -> Option<&Authority> {
        let own = stored.directory.as_deref()?;
        self.authorities
            .iter()
            .find(|authority| authority.directory() == own)
    }
}

/// Looks after `host` until it is cancelled.
pub(super) async fn run(shared: Arc<Shared>, host: Host, commands: mpsc::Receiver<Command>) {
    let mut task = Task::new(shared, host, commands).await;
    loop {
        match task.wait().await {
            Next::Order(authority) => drop(task.attempt(authority).await),
            Next::Poll => task.poll().await,
            Next::Command(command) => task.obey(command).await,
        }
    }
}

enum Next {
    Order(usize),
    Poll,
    Command(Command),
}

struct Task {
    shared: Arc<Shared>,
    host: Host,
    dir: CertificateDir,
    commands: mpsc::Receiver<Command>,
    changed: watch::Receiver<()>,
    /// Where the store's pointer stood when it was followed last.
    mark: Option<Vec<u8>>,
    /// What is served of ours, from disk or just issued.
    held: Option<Stored>,
    renewal: Option<Renewal>,
    history: History,
    /// Until when a certificate that is due was said to wait for the week's limit.
    told_used_up: Option<OffsetDateTime>,
    /// Drawn once for each certificate.
    jitter: f64,
    backoff: Backoff,
    /// It is served and not on the disk.
    unsaved: bool,
}

impl Task {
    async fn new(shared: Arc<Shared>, host: Host, commands: mpsc::Receiver<Command>) -> Self {
        let dir = shared.storage.certificate(&host);
        let mut task = Self {
            changed: shared.changed.subscribe(),
            mark: dir.mark().await,
            held: dir.load(&host).await,
            renewal: dir.record().await,
            history: dir.record().await.unwrap_or_default(),
            backoff: dir.record().await.unwrap_or_default(),
            jitter: fastrand::f64(),
            told_used_up: None,
            unsaved: false,
            shared,
            host,
            dir,
            commands,
        };
        task.asked_again();
        task.show();
        task
    }

    /// A restart or reload shortens the wait.
    fn asked_again(&mut self) {
        let now = self.shared.clock.now();
        for failures in self.backoff.at.values_mut() {
            let delays = &self.shared.delays;
            let next = delays.asked_again(failures.class, failures.last(), failures.next(), now);
            failures.set_next(next);
        }
    }

    /// When a certificate is due, failures aside.
    fn due(&self, now: OffsetDateTime) -> Due {
        let missing = Due {
            at: now,
            why: Why::Missing,
        };
        let Some(held) = self.held.as_ref().filter(|_| !self.unsaved) else {
            return missing;
        };
        // From an authority that is not ours any more (staging, say): served, but to be replaced.
        let ours = held.directory.as_deref().is_none_or(|own| {
            let mut all = self.shared.authorities.iter();
            all.any(|authority| authority.directory() == own)
        });
        if !ours {
            return missing;
        }
        let leaf = &held.pair.leaf;
        let issued = held.issued.unwrap_or(leaf.not_before).min(now);
        renewal::due(leaf, issued, self.renewal.as_ref(), self.jitter)
    }

    /// The authority to ask next and when.
    fn plan(&self, now: OffsetDateTime) -> (usize, Due) {
        let due = self.due(now);
        let urgent = match &self.held {
            Some(held) => now >= renewal::emergency_at(&held.pair.leaf),
            None => true,
        };
        let candidates: Vec<_> = self
            .shared
            .authorities
            .iter()
            .map(|authority| {
                let failures = self.backoff.at.get(authority.directory());
                let used_up = self.used_up_until(authority, WEEKLY, now);
                let practice = self.practice(authority);
                let practice = practice.and_then(|staging| staging.orders_from(now));
                Candidate {
                    failures: failures.map_or(0, Failures::total),
                    backoff_until: failures.map(Failures::next),
                    closed_until: authority.orders_from(now).max(used_up).max(practice),
                    long_down: pace::is_long_down(&authority.limits(), now),
                    is_used_up: used_up.is_some(),
                }
            })
            .collect();
        let (index, at) = choice::choose(&candidates, due.at, urgent);
        (index, Due { at, why: due.why })
    }

    /// When renewal information is asked for next, and whom.
    fn poll_at(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let authority = self.issuer()?;
        let leaf = &self.held.as_ref()?.pair.leaf;
        let known = self
            .renewal
            .as_ref()
            .filter(|known| known.serial == leaf.serial);
        let at = known.map_or(now, |known| instant(known.poll_unix_ms));
        // A time that far off is from a clock that has jumped.
        let at = at.min(now + self.shared.delays.poll[1] * 2);
        Some(at.max(authority.closed_until(now).unwrap_or(at)))
    }

    fn issuer(&self) -> Option<&Authority> {
        self.shared.issuer(self.held.as_ref()?)
    }

    async fn wait(&mut self) -> Next {
        loop {
            let now = self.shared.clock.now();
            let (authority, due) = self.plan(now);
            if due.at <= now {
                return Next::Order(authority);
            }
            self.tell_used_up(authority, now);
            self.show();
            let poll = self.poll_at(now);
            if poll.is_some_and(|poll| poll <= now) {
                return Next::Poll;
            }
            let until = poll.map_or(due.at, |poll| poll.min(due.at));
            let wait = Duration::try_from(until - now).unwrap_or_default();
            tokio::select! {
                () = sleep(wait.min(self.shared.delays.nap)) => {}
                () = self.shared.asked.notified() => self.look_again().await,
                Ok(()) = self.changed.changed() => self.pick_up().await,
                Some(command) = self.commands.recv() => return Next::Command(command),
            }
        }
    }
}
