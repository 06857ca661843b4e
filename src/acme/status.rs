//! What is known of each host's certificate, for the operator.
//!
//! Written by the tasks, read by admin; nothing decides by it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;

use super::schedule::Class;
use super::storage::StoreFailures;
use crate::types::host::Host;

/// What a host's task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A certificate is served; it is renewed at `next_attempt`.
    Valid,
    /// Nothing but a self-signed certificate is there yet, and no attempt has failed.
    Placeholder,
    /// An order is under way.
    Ordering,
    /// The last attempt failed; the next is made at `next_attempt`.
    Backoff,
    /// The last attempt failed by something only a person can change.
    Paused,
}

impl State {
    /// As in listings and metrics: `backoff`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Placeholder => "placeholder",
            Self::Ordering => "ordering",
            Self::Backoff => "backoff",
            Self::Paused => "paused",
        }
    }
}

/// One host's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostStatus {
    /// Whom the certificate is for.
    pub host: Host,
    /// What is being done.
    pub state: State,
    /// The authority that issued what is served.
    pub authority: Option<String>,
    /// The serial number of what is served, in lower-case hexadecimal.
    pub serial: Option<String>,
    /// When the certificate of the authority that is served ends; `None` for a placeholder.
    pub not_after: Option<OffsetDateTime>,
    /// When it is to be renewed, failures aside.
    pub renew_at: Option<OffsetDateTime>,
    /// Why then: `window`, `life`, `emergency` or `missing`.
    pub why: Option<&'static str>,
    /// When something is tried next: a renewal or a retry.
    pub next_attempt: Option<OffsetDateTime>,
    /// The class of the last failure, if there was one.
    pub class: Option<Class>,
    /// Why the last attempt failed, if it did.
    pub last_error: Option<String>,
    /// Failures in a row, of all classes, at all authorities.
    pub failures: u32,
    /// Where the authority explains the time of renewal to people.
    pub renewal_explanation: Option<String>,
    /// Since when the authority does not say when to renew, though it could.
    pub renewal_silent_since: Option<OffsetDateTime>,
}

/// All rows, shared.
#[derive(Clone, Debug, Default)]
pub(super) struct Board {
    rows: Arc<Mutex<BTreeMap<Host, HostStatus>>>,
    counts: Arc<Mutex<Counts>>,
    store_failures: StoreFailures,
}

/// What was counted since the start of the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Attempts by authority and by the class of their failure; `None` counts successes.
    pub orders: BTreeMap<(String, Option<Class>), u64>,
    /// The time successful attempts took.
    pub order_time: OrderTime,
    /// Leases held now.
    pub leases: u64,
    /// Answers about renewal: `moved`, `same`, `none`.
    pub renewal_information: BTreeMap<&'static str, u64>,
    /// Authorities that were asked, and whether they answer.
    pub authorities: BTreeMap<String, bool>,
    /// Calls of the store that failed, by call.
    pub store_failures: BTreeMap<&'static str, u64>,
    /// How far the authority's clock was ahead when it last answered, in seconds.
    pub clock_skew: Option<f64>,
}

/// The upper ends of [`OrderTime::counts`], in seconds; the last one has none.
pub const ORDER_SECONDS: [f64; 9] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

/// How many orders took how long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OrderTime {
    /// Those up to each of [`ORDER_SECONDS`] and above the one before, and the rest.
    pub counts: [u64; ORDER_SECONDS.len() + 1],
    /// All together, in seconds.
    pub sum: f64,
}

impl OrderTime {
    fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let index = ORDER_SECONDS.partition_point(|end| *end < seconds);
        self.counts[index] += 1;
        self.sum += seconds;
    }
}

/// Counts a lease as held until it is dropped.
pub(super) struct Held(Board);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.count(|counts| counts.leases -= 1);
    }
}

impl Board {
    pub(super) fn list(&self) -> Vec<HostStatus> {
        self.rows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Changes a host's row, which is made if need be.
    pub(super) fn update(&self, host: &Host, change: impl FnOnce(&mut HostStatus)) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        change(rows.entry(host.clone()).or_insert_with(|| HostStatus {
            host: host.clone(),
            state: State::Placeholder,
            authority: None,
            serial: None,
            not_after: None,
            renew_at: None,
            why: None,
            next_attempt: None,
            class: None,
            last_error: None,
            failures: 0,
            renewal_explanation: None,
            renewal_silent_since: None,
        }));
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            store_failures: self.store_failures.counts(),
            ..self.count(|counts| counts.clone())
        }
    }

    /// Where failures of the store are counted.
    pub(super) fn store_failures(&self) -> StoreFailures {
        self.store_failures.clone()
    }

    pub(super) fn lease_held(&self) -> Held {
        self.count(|counts| counts.leases += 1);
        Held(self.clone())
    }

    pub(super) fn count_order(&self, authority: &str, class: Option<Class>, took: Duration) {
        self.count(|counts| {
            let key = (authority.to_owned(), class);
            *counts.orders.entry(key).or_default() += 1;
            if class.is_none() {
                counts.order_time.add(took);
            }
        });
    }

    pub(super) fn count_ari(&self, result: &'static str) {
        self.count(|counts| *counts.renewal_information.entry(result).or_default() += 1);
    }

    pub(super) fn set_up(&self, authority: &str, is_up: bool) {
        self.count(|counts| counts.authorities.insert(authority.to_owned(), is_up));
    }

    pub(super) fn set_skew(&self, skew: time::Duration) {
        self.count(|counts| counts.clock_skew = Some(skew.as_seconds_f64()));
    }

    fn count<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn retain(&self, keep: impl Fn(&Host) -> bool) {
        self.rows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|host, _| keep(host));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_counted_below_the_first_end_that_it_does_not_exceed() {
        let mut time = OrderTime::default();
        for seconds in [0.05, 0.1, 0.2, 1000.0] {
            time.add(Duration::from_secs_f64(seconds));
        }
        assert_eq!((time.counts[0], time.counts[1]), (2, 1));
        assert_eq!(time.counts[ORDER_SECONDS.len()], 1);
        assert!((time.sum - 1000.35).abs() < 1e-9);
    }

    #[test]
    fn a_lease_is_held_until_it_is_dropped() {
        let board = Board::default();
        let held = board.lease_held();
        assert_eq!(board.counts().leases, 1);
        drop(held);
        assert_eq!(board.counts().leases, 0);
    }
}
