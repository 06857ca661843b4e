//! One address of an upstream, and what is known about it.
//!
//! An [`Endpoint`] is what a configuration says of an address; its [`State`] is what was learnt of it and outlives
//! reloads. Requests report what they met ([`Endpoint::report`]), `health` reports checks, an operator may override
//! both. Who is chosen is `group`'s. Time comes in as an argument. Invariant: a report of a success on an endpoint
//! without trouble takes no lock.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::ledger::{Ledger, Padded};
use super::standing::{Event, Standing, Terms};
use crate::config::{self, Outlier};
use crate::types::amount::format_duration;
use crate::types::endpoint_address::EndpointAddress;
use crate::types::name::UpstreamName;

/// What a request met at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It accepted a connection.
    Connected,
    /// It refused a connection, or one that cannot be trusted was all there was. or there is no way to it.
    ConnectFailed,
    /// It did not accept a connection in time.
    ConnectTimedOut,
    /// The head of its answer came.
    Answered {
        /// The status.
        status: u16,
        /// From the request's end, or its dispatch, to that head.
        latency: Duration,
    },
    /// It ended a connection before its answer was whole. Not for a pooled connection that was just stale.
    Reset,
    /// Its answer did not come, or did not go on, in time.
    TimedOut,
    /// What it answered is not HTTP.
    Malformed,
    /// A connection that nothing more is known of ended well.
    Served,
}

/// What an operator says of an endpoint, whatever is known about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Override {
    /// Nothing.
    #[default]
    Enabled,
    /// No requests but those of sessions that stick to it.
    Draining,
    /// No requests at all.
    Disabled,
}

impl Override {
    const ALL: [Self; 3] = [Self::Enabled, Self::Draining, Self::Disabled];

    /// In one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
        }
    }

    /// What the word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// What the endpoints of one upstream are judged by.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) upstream: UpstreamName,
    pub(super) outlier: Outlier,
    pub(super) terms: Terms,
    /// How many there are.
    pub(super) members: usize,
}

/// What was learnt of an address.
#[derive(Debug)]
pub(super) struct State {
    pub(super) in_flight: Padded<AtomicU32>,
    /// Not 0 while there is something that a success would change; written with `standing` locked.
    trouble: AtomicU32,
    pub(super) standing: Mutex<Standing>,
    pub(super) ledger: Arc<Ledger>,
}

/// An address of an upstream as it runs.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: EndpointAddress,
    /// Its address as text, for logs.
    pub label: Box<str>,
    /// Its share of the requests.
    pub weight: u8,
    /// Whether it gets requests only while no other can.
    pub backup: bool,
    /// Requests and tunnels that it has at once; `None` is no limit.
    pub most: Option<u32>,
    /// How many endpoints it counts as when a request is tried again.
    pub times: u8,
    pub(super) rules: Arc<Rules>,
    pub(super) state: Arc<State>,
}

impl Endpoint {
    /// An endpoint of which nothing is known, or what `known` knows.
    pub(super) fn new(
        config: &config::Endpoint,
        rules: &Arc<Rules>,
        known: impl FnOnce() -> Arc<State>,
    ) -> Self {
        Self {
            address: config.address,
            label: config.address.to_string().into(),
            weight: config.weight,
            backup: config.backup,
            most: config.most,
            times: config.times,
            rules: rules.clone(),
            state: known(),
        }
    }

    /// Requests and tunnels that are with it now.
    pub fn in_flight(&self) -> u32 {
        self.state.in_flight.load(Ordering::Relaxed)
    }

    /// Whether it takes one more of a request that was with those in `tried` already.
    pub(super) fn takes(&self, tried: &[EndpointAddress]) -> bool {
        let before = tried.iter().filter(|one| **one == self.address).count();
        before < self.times.into() && self.most.is_none_or(|most| self.in_flight() < most)
    }

    /// Takes note of what a request met.
    pub fn report(&self, outcome: Outcome, now: Instant) {
        let failure = self.failure(outcome);
        // The usual case ends here.
        if failure.is_none() && self.state.trouble.load(Ordering::Relaxed) == 0 {
            return;
        }
        let events = self.change(|standing, ledger| match failure {
            None if outcome == Outcome::Connected => standing.connected(now),
            None => standing.answered(sent(outcome, now), self, ledger, now),
            Some(reason) if reason.is_connect() => {
                standing.not_connected(reason, self.rules.outlier.rest, now)
            }
            Some(reason) => standing.failed(reason, self, ledger, now),
        });
        self.tell(events);
    }

    /// Why it is left out at `now`; `None` when it is not, as far as requests and checks tell.
    pub fn trouble(&self, now: Instant) -> Option<Reason> {
        self.state.standing.lock().reason(self.rules.terms, now)
    }

    /// Why it gets less than its share at `now`, though it is not left out: it has yet to show that it is well again.
    pub fn trial(&self, now: Instant) -> Option<Reason> {
        self.state.standing.lock().trial(now)
    }

    /// Takes note of a health check: it counts after `rise` passes or `fall` failures in a row.
    pub fn checked(&self, seen: Result<(), Reason>, rise: u32, fall: u32, now: Instant) {
        let counts = &self.state.ledger.counts;
        match seen {
            Ok(()) => counts.checks_passed.inc(),
            Err(_) => counts.checks_failed.inc(),
        }
        let event =
            self.change(|standing, ledger| standing.checked(seen, (rise, fall), self, ledger, now));
        self.tell(event);
    }

    /// What an operator said last.
    pub fn overridden(&self) -> Override {
        self.state.standing.lock().overridden
    }

    /// Takes an operator's word, which holds over reloads.
    pub fn set_override(&self, to: Override) {
        self.change(|standing, _| {
            standing.overridden = to;
            None
        });
    }

    /// Changes what is known about it, so that every group that has it looks again.
    pub(super) fn change(
        &self,
        change: impl FnOnce(&mut Standing, &Ledger) -> Option<Event>,
    ) -> Option<Event> {
        let State {
            standing,
            ledger,
            trouble,
            ..
        } = &*self.state;
        let mut standing = standing.lock();
        let before = standing.place();
        let event = change(&mut standing, ledger);
        trouble.store(u32::from(standing.is_troubled()), Ordering::Relaxed);
        if standing.place() != before {
            ledger.changed();
        }
        event
    }

    /// Writes what happened into the event log.
    pub(super) fn tell(&self, event: Option<Event>) {
        let (upstream, endpoint) = (&self.rules.upstream, &*self.label);
        match event {
            None => {}
            Some(Event::Down { reason, back_in }) => {
                let back_in = back_in.map(format_duration);
                tracing::warn!(event = "upstream.endpoint.down", %upstream, endpoint, %reason, back_in, "endpoint is left out");
            }
            Some(Event::Doubted { reason }) => {
                tracing::warn!(event = "upstream.endpoint.doubted", %upstream, endpoint, %reason, "endpoint fails, and gets a tenth of its share: no more may be left out");
            }
            Some(Event::Up { after }) => {
                let seconds = after.as_secs_f32();
                tracing::info!(event = "upstream.endpoint.up", %upstream, endpoint, seconds, "endpoint is back");
            }
        }
    }

    /// What of an outcome counts against it.
    fn failure(&self, outcome: Outcome) -> Option<Reason> {
        let rules = &self.rules.outlier;
        Some(match outcome {
            Outcome::Connected | Outcome::Served => return None,
            Outcome::ConnectFailed => Reason::ConnectFailed,
            Outcome::ConnectTimedOut => Reason::ConnectTimedOut,
            Outcome::Reset => Reason::Reset,
            Outcome::TimedOut => Reason::TimedOut,
            Outcome::Malformed => Reason::Malformed,
            Outcome::Answered { status, .. }
                if (rules.statuses.iter())
                    .any(|(first, last)| (*first..=*last).contains(&status)) =>
            {
                Reason::Status(status)
            }
            Outcome::Answered { latency, .. }
                if rules.latency.is_some_and(|limit| latency > limit) =>
            {
                Reason::Slow
            }
            Outcome::Answered { .. } => return None,
        })
    }
}

/// When a request that went well was sent, or later.
fn sent(outcome: Outcome, now: Instant) -> Instant {
    let latency = match outcome {
        Outcome::Answered { latency, .. } => latency,
        _ => Duration::ZERO,
    };
    now.checked_sub(latency).unwrap_or(now)
}

impl State {
    /// Of an address that nothing is known about.
    pub(super) fn new(ledger: &Arc<Ledger>, standing: Standing) -> Arc<Self> {
        Arc::new(Self {
            in_flight: Padded::default(),
            trouble: AtomicU32::new(u32::from(standing.is_troubled())),
            standing: Mutex::new(standing),
            ledger: ledger.clone(),
        })
    }
}

/// Why an endpoint is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It refused a connection, or one that cannot be trusted was all there was.
    ConnectFailed,
    /// It did not accept one in time.
    ConnectTimedOut,
    /// It ended connections.
    Reset,
    /// It did not answer in time.
    TimedOut,
    /// It answered something that is not HTTP.
    Malformed,
    /// It answered a status that counts as failure.
    Status(u16),
    /// Its answers took too long.
    Slow,
    /// It has not been checked yet, and begins as down.
    NotChecked,
    /// What a process before this one said.
    Before(Box<str>),
    /// A health check failed: what it saw.
    Check(Box<str>),
}

impl Reason {
    fn is_connect(&self) -> bool {
        matches!(self, Self::ConnectFailed | Self::ConnectTimedOut)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ConnectFailed => f.write_str("no connection can be made"),
            Self::ConnectTimedOut => f.write_str("no connection in time"),
            Self::Reset => f.write_str("connection ended"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Malformed => f.write_str("answer is not HTTP"),
            Self::Status(status) => write!(f, "answered {status}"),
            Self::Slow => f.write_str("answers too slowly"),
            Self::Before(said) => f.write_str(said),
            Self::NotChecked => f.write_str("not checked yet"),
            Self::Check(seen) => write!(f, "health check: {seen}"),
        }
    }
}

/// A place among an endpoint's requests in flight, given back when it is dropped, also by a panic or a cancellation.
#[derive(Debug)]
pub struct InFlight {
    endpoint: Arc<Endpoint>,
    /// Whether the upstream counts it too.
    in_ledger: bool,
}

impl InFlight {
    /// One more request for `endpoint`.
    pub(super) fn new(endpoint: Arc<Endpoint>, in_ledger: bool) -> Self {
        endpoint.state.in_flight.fetch_add(1, Ordering::Relaxed);
        if in_ledger {
            (endpoint.state.ledger.in_flight).fetch_add(1, Ordering::Relaxed);
        }
        Self {
            endpoint,
            in_ledger,
        }
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let state = &self.endpoint.state;
        state.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.in_ledger {
            state.ledger.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
