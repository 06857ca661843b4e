//! One attempt at one authority: a look at ourselves, leave to order, practice, the order, and what is made of its outcome.
//!
//! The requests of an order are `attempt`'s. Failures are counted on disk before the wait begins, and a certificate is
//! served before anything is remembered about it. Invariant: nothing is ordered only because this machine's clock is wrong.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use instant_acme::CertificateIdentifier;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::Task;
use crate::acme::attempt::{Attempt, Issued};
use crate::acme::authority::Authority;
use crate::acme::failure::Failure;
use crate::acme::keys;
use crate::acme::precheck;
use crate::acme::renewal::Why;
use crate::acme::schedule::Class;
use crate::acme::status::State;
use crate::acme::stop::stop_at;
use crate::acme::storage::{Failures, Order, Stored};
use crate::observe::reasons::with_reasons;
use crate::types::moment::rfc3339;

/// The step of waiting for leave to order.
const TURN: &str = "turn";
/// Failed validations after which a host without a certificate practises first.
const PRACTISE_AFTER: u32 = 2;
/// Clocks that differ by less agree.
const CLOCK_SLACK: Duration = Duration::from_secs(300);

impl Task {
    /// Tries once at this authority, and counts what comes of it.
    pub(super) async fn attempt(&mut self, index: usize) -> Result<(), Failure> {
        let shared = Arc::clone(&self.shared);
        let Some(authority) = shared.authorities.get(index) else {
            return Ok(());
        };
        if let Err(failure) = self.precheck(authority).await {
            shared
                .board
                .count_order(authority.name(), Some(failure.class), Duration::ZERO);
            self.failed(authority, &failure).await;
            return Err(failure);
        }
        if let Some(staging) = self.practice(authority) {
            info!(event = "acme.order.staging", host = %self.host, ca = staging.name(), "practising, because it has failed before");
            if let Err(failure) = self.ask(staging, true).await {
                self.stopped(authority, &failure).await;
                return Err(failure);
            }
        }
        match self.ask(authority, false).await {
            Ok(Some((issued, took))) => {
                self.issued(authority, issued, took).await;
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(failure) => {
                self.stopped(authority, &failure).await;
                Err(failure)
            }
        }
    }

    /// One order at this authority as soon as it is its turn, counted there, and how long it took from then. `None`: nothing
    /// was to be ordered.
    pub(super) async fn ask(
        &mut self,
        authority: &Authority,
        trial: bool,
    ) -> Result<Option<(Issued, Duration)>, Failure> {
        let shared = Arc::clone(&self.shared);
        stop_at("precheck");
        let ends = self.held.as_ref();
        let ends = ends.map_or(0, |held| held.pair.leaf.not_after.unix_timestamp());
        let turn = authority.turn((ends, self.host.clone())).await;
        let turn = turn.map_err(|until| {
            let text = format!(
                "{} is not asked before {}",
                authority.name(),
                rfc3339(until)
            );
            Failure::new(TURN, Class::RateLimited, text)
        })?;
        shared.board.update(&self.host, |row| {
            row.state = State::Ordering;
            row.next_attempt = None;
        });
        let start = Instant::now();
        let result = self.order(authority, trial).await;
        drop(turn);
        let class = result.as_ref().err().map(|failure| failure.class);
        if !matches!(result, Ok(None)) {
            shared
                .board
                .count_order(authority.name(), class, start.elapsed());
        }
        match &result {
            Ok(_) => authority.answered().await,
            Err(failure) => authority.failed(failure, &shared.delays).await,
        }
        self.show_authority(authority);
        result.map(|issued| issued.map(|issued| (issued, start.elapsed())))
    }

    /// An attempt that did not get its turn is made when there is one; every other failure counts.
    async fn stopped(&mut self, authority: &Authority, failure: &Failure) {
        match failure.step {
            TURN => self.show(),
            _ => self.failed(authority, failure).await,
        }
    }

    /// Whether an order could be carried out here at all. Nobody else is asked, so that a failure costs nothing there.
    pub(super) async fn precheck(&self, authority: &Authority) -> Result<(), Failure> {
        let shared = &self.shared;
        let is_wanted = shared
            .wanted
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&self.host);
        if !is_wanted {
            let text = "the configuration names the host no more";
            return Err(Failure::new(precheck::STEP, Class::Store, text));
        }
        // An order under way has its key, and its certificate is served even when it cannot be kept.
        if self.dir.record::<Order>().await.is_none() {
            let room = shared.storage.check_room().await;
            room.map_err(|error| Failure::of_storage(precheck::STEP, &error))?;
        }
        let kind = authority.settings.challenge;
        precheck::ask_ourselves(&self.host, kind, &shared.listeners, &shared.tokens).await
    }

    /// Where a host that never had a certificate and has failed twice is tried, because failures cost nothing there.
    pub(super) fn practice<'a>(&self, authority: &'a Authority) -> Option<&'a Authority> {
        let failures = self.backoff.at.get(authority.directory());
        let count = failures.and_then(|failures| failures.counts.get(&Class::Validation));
        let must = self.held.is_none() && count.is_some_and(|count| *count >= PRACTISE_AFTER);
        authority.staging.as_deref().filter(|_| must)
    }

    /// One order, with the account registered again if the authority has forgotten it. `None`: nothing was to be ordered.
    async fn order(
        &mut self,
        authority: &Authority,
        trial: bool,
    ) -> Result<Option<Issued>, Failure> {
        let storage = |error| Failure::of_storage("lease", &error);
        let Some(dir) = self.dir.leased().await.map_err(storage)? else {
            let busy = "another hubgate process orders for this host";
            return Err(Failure::new("lease", Class::Store, busy));
        };
        let _held = self.shared.board.lease_held();
        stop_at("lease");
        if !trial && self.another_was_faster(&dir).await {
            return Ok(None);
        }
        authority.session.directory().await?;
        self.check_clock(authority)?;
        let account = authority.accounts.get().await?;
        stop_at("account");
        let attempt = |account| Attempt {
            host: &self.host,
            authority,
            account,
            dir: &dir,
            tokens: &self.shared.tokens,
            clock: &*self.shared.clock,
            replaces: self.replaces(authority),
            trial,
        };
        match attempt(&*account).run().await {
            Err(failure) if failure.account_unknown => {
                warn!(
                    event = "acme.account.unknown",
                    ca = authority.name(),
                    url = account.url,
                    "the authority does not know the account; registering its key again"
                );
                dir.clear_record::<Order>().await;
                let account = authority.accounts.register_again(&account).await?;
                attempt(&*account).run().await.map(Some)
            }
            other => other.map(Some),
        }
    }

    /// Refuses to renew only because this machine's clock is wrong.
    fn check_clock(&self, authority: &Authority) -> Result<(), Failure> {
        let now = self.shared.clock.now();
        let Some(skew) = authority.session.skew() else {
            return Ok(());
        };
        self.shared.board.set_skew(skew);
        let due = self.due(now);
        if skew.abs() <= CLOCK_SLACK
            || due.why == Why::Missing
            || due.at > now
            || due.at <= now + skew
        {
            return Ok(());
        }
        let text = format!(
            "this machine's clock says {now}, the authority's {}, by which nothing is due; check this machine's clock",
            now + skew
        );
        Err(Failure::new("clock", Class::Clock, text))
    }

    /// What the new certificate is for instead of, when its authority knows it.
    pub(super) fn replaces(&self, authority: &Authority) -> Option<CertificateIdentifier<'static>> {
        let held = self.held.as_ref()?;
        let same = held.directory.as_deref() == Some(authority.directory());
        let leaf = held.pair.key.cert.first().filter(|_| same)?;
        keys::certificate_id(leaf)
    }

    async fn issued(&mut self, authority: &Authority, issued: Issued, took: Duration) {
        let leaf = Arc::clone(&issued.pair.leaf);
        if !self.swap_in(issued.pair.clone()) {
            return;
        }
        stop_at("swap");
        let now = self.shared.clock.now();
        self.jitter = fastrand::f64();
        self.unsaved = issued.unsaved.is_some();
        self.held = Some(Stored {
            pair: issued.pair,
            directory: Some(authority.directory().to_owned()),
            issued: Some(now),
        });
        self.renewal = None;
        let renew_at = self.due(now).at;
        info!(
            event = "acme.issued",
            host = %self.host,
            ca = authority.name(),
            serial = leaf.serial,
            not_after = %leaf.not_after,
            %renew_at,
            took_ms = took.as_millis() as u64,
            "certificate issued and served"
        );
        match issued.unsaved {
            None => {
                self.forget_failures().await;
                self.history = self.dir.record().await.unwrap_or_default();
                self.mark = self.dir.mark().await;
            }
            // It is due until it is on the disk.
            Some(failure) => self.failed(authority, &failure).await,
        }
        self.show();
    }

    async fn failed(&mut self, authority: &Authority, failure: &Failure) {
        let now = self.shared.clock.now();
        let directory = authority.directory().to_owned();
        let failures = self
            .backoff
            .at
            .entry(directory)
            .or_insert_with(Failures::none);
        let count = failures.count(failure.class, failure.step, &failure.detail, now);
        let jitter = fastrand::f64();
        let delays = &self.shared.delays;
        let next = now + delays.after(failure.class, count, failure.retry_after, jitter);
        failures.set_next(next);
        if let Err(error) = self.dir.save_record(&self.backoff).await {
            self.warn_unsaved(&error);
        }
        let (host, ca, step, class, detail) = (
            &self.host,
            authority.name(),
            failure.step,
            failure.class.as_str(),
            failure.detail.as_str(),
        );
        // With several authorities the next attempt may be elsewhere, and sooner.
        let next = rfc3339(self.plan(now).1.at);
        match failure.class {
            Class::Store | Class::Clock => {
                error!(event = "acme.order.failed", %host, ca, step, class, failures = count, detail, %next, "no certificate: this machine failed");
            }
            Class::Human => {
                error!(event = "acme.order.failed", %host, ca, step, class, failures = count, detail, %next, "no certificate until a person acts");
            }
            _ => {
                warn!(event = "acme.order.failed", %host, ca, step, class, failures = count, detail, %next, "no certificate yet");
            }
        }
        self.show();
    }

    pub(super) fn warn_unsaved(&self, error: &dyn std::error::Error) {
        warn!(event = "acme.store.error", host = %self.host, error = %with_reasons(error), "something about the certificate cannot be remembered");
    }
}
