//! The circuit before an upstream: open while it fails too often, so that it is left in peace and clients learn at once.
//!
//! Pure; time comes in as an argument. Closed, it counts recent requests and those that failed; open, it refuses; half
//! open, it lets a few through and closes when all of them succeed. Invariant: an outcome counts only for the state that
//! its request was let through in, so a straggler from before cannot close or open it.
#![deny(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use crate::config;

/// Parts that the window is counted in.
const SLICES: usize = 10;

/// Requests of one part of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    /// Which part since the beginning.
    number: u64,
    requests: u32,
    failures: u32,
}

#[derive(Debug)]
enum State {
    Closed([Slice; SLICES]),
    Open { until: Instant },
    HalfOpen { sent: u32, succeeded: u32 },
}

/// The circuit of one upstream.
#[derive(Debug)]
pub struct Circuit {
    config: config::Circuit,
    began: Instant,
    state: State,
    /// Counts the changes of state.
    era: u64,
}

/// A request that was let through; its outcome belongs to this era.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed(u64);

/// How a circuit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Everything passes.
    Closed,
    /// A few pass, to see.
    HalfOpen,
    /// Nothing passes.
    Open,
}

impl Standing {
    /// In one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// What an outcome changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing is sent from now on.
    Opened,
    /// All is well again.
    Closed,
}

impl Circuit {
    /// A closed one.
    pub fn new(config: config::Circuit, now: Instant) -> Self {
        Self {
            config,
            began: now,
            state: State::Closed(Default::default()),
            era: 0,
        }
    }

    /// What it was made with.
    pub fn config(&self) -> &config::Circuit {
        &self.config
    }

    /// Lets a request through, or says for how long not.
    pub fn pass(&mut self, now: Instant) -> Result<Passed, Duration> {
        if let State::Open { until } = self.state {
            if now < until {
                return Err(until - now);
            }
            self.change(State::HalfOpen {
                sent: 0,
                succeeded: 0,
            });
        }
        if let State::HalfOpen { sent, .. } = &mut self.state {
            if *sent >= self.config.trials {
                // Those on their way tell within moments, most of the time.
                return Err(Duration::from_secs(1));
            }
            *sent += 1;
        }
        Ok(Passed(self.era))
    }

    /// How it stands, and for how long it still refuses everybody.
    pub fn standing(&self, now: Instant) -> (Standing, Option<Duration>) {
        match self.state {
            State::Closed(_) => (Standing::Closed, None),
            State::Open { until } if now < until => (Standing::Open, Some(until - now)),
            State::Open { .. } | State::HalfOpen { .. } => (Standing::HalfOpen, None),
        }
    }

    /// Notes how a request ended; `None` when that says nothing about the upstream.
    pub fn ended(&mut self, passed: Passed, failed: Option<bool>, now: Instant) -> Option<Change> {
        if passed.0 != self.era {
            return None;
        }
        let number = self.slice_number(now);
        match (&mut self.state, failed) {
            (State::Closed(slices), Some(failed)) => {
                let slice = &mut slices[number as usize % SLICES];
                if slice.number != number {
                    *slice = Slice {
                        number,
                        ..Slice::default()
                    };
                }
                slice.requests += 1;
                slice.failures += u32::from(failed);
                let open = failed && self.fails_too_often(number);
                open.then(|| self.open(now))
            }
            (State::HalfOpen { .. }, Some(true)) => Some(self.open(now)),
            (State::HalfOpen { succeeded, .. }, Some(false)) => {
                *succeeded += 1;
                let closes = *succeeded >= self.config.trials;
                closes.then(|| {
                    self.change(State::Closed(Default::default()));
                    Change::Closed
                })
            }
            (State::HalfOpen { sent, .. }, None) => {
                // Another takes its place.
                *sent -= 1;
                None
            }
            (State::Closed(_), None) | (State::Open { .. }, _) => None,
        }
    }

    fn fails_too_often(&self, number: u64) -> bool {
        let State::Closed(slices) = &self.state else {
            return false;
        };
        let recent = slices
            .iter()
            .filter(|slice| slice.number + SLICES as u64 > number);
        let (requests, failures) = recent.fold((0u64, 0u64), |(requests, failures), slice| {
            (
                requests + u64::from(slice.requests),
                failures + u64::from(slice.failures),
            )
        });
        requests >= u64::from(self.config.min_requests)
            && failures * 100 >= requests * u64::from(self.config.failure_rate)
    }

    fn open(&mut self, now: Instant) -> Change {
        let until = now + self.config.open_for;
        self.change(State::Open { until });
        Change::Opened
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.era += 1;
    }

    fn slice_number(&self, now: Instant) -> u64 {
        let slice = (self.config.window.as_micros() / SLICES as u128).max(1);
        let since = now.saturating_duration_since(self.began).as_micros();
        u64::try_from(since / slice).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests need a time to start from")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn circuit() -> (Circuit, Instant) {
        let now = Instant::now();
        let config = config::Circuit {
            failure_rate: 50,
            window: 10 * SECOND,
            min_requests: 4,
            open_for: 5 * SECOND,
            trials: 2,
        };
        (Circuit::new(config, now), now)
    }

    fn one(circuit: &mut Circuit, failed: bool, now: Instant) -> Option<Change> {
        let passed = circuit.pass(now).unwrap();
        circuit.ended(passed, Some(failed), now)
    }

    #[test]
    fn it_opens_when_enough_requests_failed_and_refuses_until_its_time_is_over() {
        let (mut circuit, now) = circuit();
        for failed in [false, true, true] {
            assert_eq!(one(&mut circuit, failed, now), None, "too few to say");
        }
        assert_eq!(one(&mut circuit, true, now), Some(Change::Opened));
        assert_eq!(circuit.pass(now + 2 * SECOND), Err(3 * SECOND));
        let standing = |after| circuit.standing(now + after * SECOND);
        assert_eq!(standing(2), (Standing::Open, Some(3 * SECOND)));
        assert_eq!(standing(5), (Standing::HalfOpen, None));
        assert!(circuit.pass(now + 5 * SECOND).is_ok());
    }

    #[test]
    fn failures_that_left_the_window_do_not_count() {
        let (mut circuit, now) = circuit();
        for _ in 0..3 {
            one(&mut circuit, true, now);
        }
        let later = now + 11 * SECOND;
        assert_eq!(one(&mut circuit, true, later), None);
        for failed in [false, false] {
            one(&mut circuit, failed, later);
        }
        assert_eq!(one(&mut circuit, true, later), Some(Change::Opened));
    }

    #[test]
    fn half_open_it_sends_so_many_and_closes_when_all_of_them_succeed() {
        let (mut circuit, now) = circuit();
        for _ in 0..4 {
            one(&mut circuit, true, now);
        }
        let later = now + 6 * SECOND;
        let first = circuit.pass(later).unwrap();
        let second = circuit.pass(later).unwrap();
        assert!(circuit.pass(later).is_err(), "two are enough to see");
        assert_eq!(circuit.ended(first, None, later), None);
        let third = circuit.pass(later).unwrap();
        assert_eq!(circuit.ended(second, Some(false), later), None);
        assert_eq!(
            circuit.ended(third, Some(false), later),
            Some(Change::Closed)
        );
        assert!(circuit.pass(later).is_ok());
    }

    #[test]
    fn a_trial_that_fails_opens_it_again() {
        let (mut circuit, now) = circuit();
        for _ in 0..4 {
            one(&mut circuit, true, now);
        }
        let later = now + 6 * SECOND;
        assert_eq!(one(&mut circuit, true, later), Some(Change::Opened));
        assert_eq!(circuit.pass(later), Err(5 * SECOND));
    }

    #[test]
    fn a_request_from_before_neither_opens_nor_closes_it() {
        let (mut circuit, now) = circuit();
        let straggler = circuit.pass(now).unwrap();
        for _ in 0..4 {
            one(&mut circuit, true, now);
        }
        let later = now + 6 * SECOND;
        let trial = circuit.pass(later).unwrap();
        assert_eq!(circuit.ended(straggler, Some(true), later), None);
        assert_eq!(circuit.ended(straggler, Some(false), later), None);
        assert_eq!(circuit.ended(trial, Some(false), later), None);
        assert_eq!(one(&mut circuit, false, later), Some(Change::Closed));
    }
}
