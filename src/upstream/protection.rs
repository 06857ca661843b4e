//! What spares one upstream and saves its requests, as it runs: its retry budget, its limits, its circuit.
//!
//! Belongs to the upstream's name: what was counted outlives reloads; a limit or a circuit that a reload changes begins
//! anew, and what was let through under the old one ends under it. Invariant: an upstream without limits and circuit costs
//! a request one count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::admission::Admission;
use super::circuit::{Change, Circuit, Passed, Standing};
use super::retry::Budget;
use crate::config;
use crate::transport::now;

/// See above.
#[derive(Debug)]
pub struct Protection {
    requests: Arc<Requests>,
    /// Limits on what it gets at once.
    pub admission: Option<Arc<Admission>>,
    /// Spares it while it fails.
    pub circuit: Option<Arc<Guarded>>,
}

/// What is known of an upstream's requests.
#[derive(Debug)]
struct Requests {
    count: AtomicU64,
    budget: Mutex<Budget>,
}

impl Protection {
    /// As `config` says, going on from `old`.
    pub fn new(config: &config::Protection, old: Option<&Self>, now: Instant) -> Self {
        let requests = old.map(|old| old.requests.clone());
        let requests = requests.unwrap_or_else(|| {
            Arc::new(Requests {
                count: AtomicU64::new(0),
                budget: Mutex::new(Budget::new(0, now)),
            })
        });
        let admission = old.and_then(|old| old.admission.clone());
        let circuit = old.and_then(|old| old.circuit.clone());
        Self {
            requests,
            admission: admission
                .filter(|known| *known.limits() == config.limits)
                .or_else(|| Admission::new(config.limits).map(Arc::new)),
            circuit: config.circuit.map(|config| {
                circuit
                    .filter(|known| *known.0.lock().config() == config)
                    .unwrap_or_else(|| Arc::new(Guarded(Mutex::new(Circuit::new(config, now)))))
            }),
        }
    }

    /// What is known of its requests, of which `percent` may be sent a second time.
    pub fn facts(&self, percent: u8, now: Instant) -> Facts {
        let requests = self.requests.count.load(Ordering::Relaxed);
        let budget = *self.requests.budget.lock();
        let waiting = self.admission.as_ref().map(|admission| admission.waiting());
        Facts {
            requests,
            waiting: waiting.unwrap_or(0),
            retries_left: budget.left(percent, requests, now),
            circuit: self.circuit.as_ref().map(|circuit| circuit.standing(now)),
        }
    }

    /// Whether a request has to ask before it is sent.
    pub fn asks(&self) -> bool {
        self.admission.is_some() || self.circuit.is_some()
    }

    /// Counts a request.
    pub fn count(&self) {
        self.requests.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a retry out of the budget of `percent` of the recent requests, if there is one.
    pub fn take_retry(&self, percent: u8, now: Instant) -> bool {
        let seen = self.requests.count.load(Ordering::Relaxed);
        self.requests.budget.lock().take(percent, seen, now)
    }
}

/// The circuit that an upstream's requests share.
#[derive(Debug)]
pub struct Guarded(Mutex<Circuit>);

/// A request that the circuit let through. Dropped without a word, it says nothing about the upstream.
#[derive(Debug)]
#[must_use = "dropped, its outcome does not count"]
pub struct Pass {
    circuit: Arc<Guarded>,
    passed: Option<Passed>,
}

impl Guarded {
    /// How it stands, and for how long it still refuses everybody.
    pub fn standing(&self, now: Instant) -> (Standing, Option<Duration>) {
        self.0.lock().standing(now)
    }

    /// Lets a request through; `None` while the circuit is open.
    pub fn pass(self: &Arc<Self>, now: Instant) -> Option<Pass> {
        let passed = self.0.lock().pass(now).ok()?;
        Some(Pass {
            circuit: self.clone(),
            passed: Some(passed),
        })
    }
}

/// What is known of an upstream's requests at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// All of them so far.
    pub requests: u64,
    /// Those that wait for their turn.
    pub waiting: usize,
    /// How many of the recent ones may still be sent a second time.
    pub retries_left: u64,
    /// Whether it is spared, and for how long.
    pub circuit: Option<(Standing, Option<Duration>)>,
}

impl Pass {
    /// Says how the request ended, and gives what that changed.
    pub fn ended(mut self, failed: bool, now: Instant) -> Option<Change> {
        let passed = self.passed.take()?;
        self.circuit.0.lock().ended(passed, Some(failed), now)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(passed) = self.passed.take() {
            self.circuit.0.lock().ended(passed, None, now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_given_up_leaves_its_trial_to_another() {
        let config = config::Circuit {
            failure_rate: 1,
            window: Duration::from_secs(1),
            min_requests: 1,
            open_for: Duration::ZERO,
            trials: 1,
        };
        let config = config::Protection {
            circuit: Some(config),
            ..Default::default()
        };
        let protection = Protection::new(&config, None, now());
        let circuit = protection.circuit.as_ref().unwrap();
        let changed = circuit.pass(now()).unwrap().ended(true, now());
        assert_eq!(changed, Some(Change::Opened));
        let trial = circuit.pass(now()).unwrap();
        assert!(circuit.pass(now()).is_none());
        drop(trial);
        let trial = circuit.pass(now()).unwrap();
        assert_eq!(trial.ended(false, now()), Some(Change::Closed));
    }

    #[test]
    fn a_reload_keeps_what_it_does_not_change() {
        let mut config = config::Protection::default();
        config.limits.in_flight = Some(1);
        let first = Protection::new(&config, None, now());
        let same = Protection::new(&config, Some(&first), now());
        let kept = |new: &Protection| {
            let (old, new) = (first.admission.as_ref(), new.admission.as_ref());
            Arc::ptr_eq(old.unwrap(), new.unwrap())
        };
        assert!(kept(&same));
        config.limits.in_flight = Some(2);
        let changed = Protection::new(&config, Some(&first), now());
        assert!(!kept(&changed));
        assert!(Arc::ptr_eq(&first.requests, &changed.requests));
    }
}
