//! Whether a request that failed at one endpoint is tried again, and how many may be.
//!
//! Pure; time comes in as an argument. A second try must never make the upstream do something twice, so it needs one of
//! two proofs: nothing of the request can have reached the endpoint, or doing it again changes nothing (RFC 9110 section
//! 9.2.2). What TCP can prove is in `docs/decisions/2026-11-21-retries.md`. Invariant: the requests sent a second time
//! stay below a share of all requests, whatever the endpoints do.
#![deny(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use http::Method;

use crate::config::{RetryOn, Retryable};

/// Over which time requests and retries are remembered: what is older than this counts for a third.
const MEMORY: Duration = Duration::from_secs(10);
/// Retries that even an upstream with hardly any requests has within [`MEMORY`].
const FLOOR: f64 = 5.0;

/// A try that failed.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    /// In what way.
    pub fault: Retryable,
    /// Whether nothing of the request can have reached the endpoint.
    pub undelivered: bool,
    /// Whether all of the request can be sent again.
    pub whole: bool,
    /// Whether its method may be repeated.
    pub idempotent: bool,
    /// Whether its connection had served a request before.
    pub reused: bool,
}

/// What becomes of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has failed.
    Fail,
    /// It is tried again.
    Again {
        /// On a new connection, also to the same endpoint, which did nothing wrong; else on another endpoint.
        same_endpoint: bool,
        /// Whether the upstream may have got it already: the budget has to pay then.
        counted: bool,
    },
}

impl Tried {
    /// What becomes of the request, where `on` is what it is tried again for.
    pub fn verdict(self, on: RetryOn) -> Verdict {
        // An endpoint may close an idle connection when it likes (RFC 9112 section 9.3.1).
        let stale = self.fault == Retryable::Reset && self.reused;
        let wanted = stale || on.has(self.fault);
        let safe = self.undelivered || self.idempotent;
        match wanted && safe && self.whole {
            true => Verdict::Again {
                same_endpoint: stale,
                counted: !self.undelivered,
            },
            false => Verdict::Fail,
        }
    }
}

/// Whether doing it twice is as good as doing it once (RFC 9110 section 9.2.2).
pub fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// How many requests may be sent a second time: a share of the recent ones.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    at: Instant,
    /// All requests up to then.
    seen: u64,
    /// Recent requests and retries, each counting less the older it is.
    requests: f64,
    retries: f64,
}

impl Budget {
    /// Nothing has happened yet, after `seen` requests.
    pub fn new(seen: u64, now: Instant) -> Self {
        Self {
            at: now,
            seen,
            requests: 0.0,
            retries: 0.0,
        }
    }

    /// Takes one retry, when there is one, out of `percent` of the recent requests; `seen` is all requests so far.
    pub fn take(&mut self, percent: u8, seen: u64, now: Instant) -> bool {
        let taken = self.left(percent, seen, now) > 0;
        self.pass(seen, now);
        if taken {
            self.retries += 1.0;
        }
        taken
    }

    /// How many retries there are, as [`Budget::take`] counts them.
    pub fn left(mut self, percent: u8, seen: u64, now: Instant) -> u64 {
        self.pass(seen, now);
        let most = f64::from(percent) / 100.0 * self.requests + FLOOR;
        match percent {
            0 => 0,
            // Not below zero, nor beyond what a number can be.
            _ => (most - self.retries) as u64,
        }
    }

    /// Lets time pass. The requests since the last look are taken as evenly spread over it, so that nobody has to look
    /// when nothing fails.
    fn pass(&mut self, seen: u64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at);
        let ages = elapsed.as_secs_f64() / MEMORY.as_secs_f64();
        let kept = (-ages).exp();
        let new = seen.saturating_sub(self.seen) as f64;
        let counting = if ages > 0.001 {
            (1.0 - kept) / ages
        } else {
            1.0
        };
        self.requests = self.requests * kept + new * counting;
        self.retries *= kept;
        (self.at, self.seen) = (now, seen);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests need a time to start from")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn everything() -> RetryOn {
        use Retryable::*;
        [Connect, Reset, Timeout, BadGateway, Unavailable]
            .into_iter()
            .collect()
    }

    fn tried(fault: Retryable) -> Tried {
        Tried {
            fault,
            undelivered: fault == Retryable::Connect,
            whole: true,
            idempotent: true,
            reused: false,
        }
    }

    #[test]
    fn what_may_have_been_done_is_never_done_again_unless_that_changes_nothing() {
        use Retryable::*;
        for fault in [Connect, Reset, Timeout, BadGateway, Unavailable] {
            for bits in 0..16 {
                let one = Tried {
                    fault,
                    undelivered: bits & 1 != 0,
                    whole: bits & 2 != 0,
                    idempotent: bits & 4 != 0,
                    reused: bits & 8 != 0,
                };
                let Verdict::Again { counted, .. } = one.verdict(everything()) else {
                    continue;
                };
                assert!(one.whole && (one.undelivered || one.idempotent), "{one:?}");
                assert_eq!(counted, !one.undelivered, "{one:?}");
            }
        }
    }

    #[test]
    fn a_post_is_tried_again_after_a_failed_connect_and_not_after_a_reset() {
        let post = |fault| Tried {
            idempotent: false,
            ..tried(fault)
        };
        let again = |tried: Tried| tried.verdict(everything()) != Verdict::Fail;
        assert!(again(post(Retryable::Connect)));
        assert!(!again(post(Retryable::Reset)));
        let stale = Tried {
            reused: true,
            ..post(Retryable::Reset)
        };
        assert!(!again(stale), "its bytes may have been taken");
        assert!(again(Tried {
            undelivered: true,
            ..stale
        }));
    }

    #[test]
    fn a_stale_connection_is_no_fault_of_its_endpoint() {
        let stale = Tried {
            reused: true,
            ..tried(Retryable::Reset)
        };
        let expected = Verdict::Again {
            same_endpoint: true,
            counted: true,
        };
        assert_eq!(stale.verdict(RetryOn::default()), expected);
        let fresh = tried(Retryable::Reset).verdict(everything());
        assert!(matches!(
            fresh,
            Verdict::Again {
                same_endpoint: false,
                ..
            }
        ));
        assert_eq!(
            tried(Retryable::Reset).verdict(RetryOn::default()),
            Verdict::Fail
        );
    }

    #[test]
    fn one_request_alone_can_be_tried_again_but_not_without_end() {
        let now = Instant::now();
        let mut budget = Budget::new(0, now);
        let taken = (0..100).filter(|_| budget.take(20, 1, now)).count();
        assert_eq!(taken, FLOOR as usize);
        let later = now + 6 * MEMORY;
        assert!(budget.take(20, 1, later), "it comes back with time");
        assert!(!Budget::new(0, now).take(0, 1_000_000, now), "0% is none");
    }

    #[test]
    fn a_burst_of_failures_after_long_health_is_covered_by_the_recent_requests_only() {
        let now = Instant::now();
        let mut budget = Budget::new(0, now);
        // An hour at 100 requests a second.
        let later = now + Duration::from_secs(3600);
        let taken = (0..100_000)
            .filter(|_| budget.take(20, 360_000, later))
            .count();
        assert_eq!(taken, 205, "20% of the 1,000 of ten seconds, and the floor");
    }

    proptest! {
        #[test]
        fn retries_stay_below_their_share_whatever_happens(
            steps in prop::collection::vec((0u64..2_000, 0u64..50, 0u32..300), 1..200),
            percent in 1u8..=100,
        ) {
            let start = Instant::now();
            let (mut now, mut seen, mut retries) = (start, 0, 0u64);
            let mut budget = Budget::new(0, now);
            for (millis, requests, wanted) in steps {
                now += Duration::from_millis(millis);
                seen += requests;
                retries += (0..wanted).filter(|_| budget.take(percent, seen, now)).count() as u64;
            }
            let memories = (now - start).as_secs_f64() / MEMORY.as_secs_f64();
            let most = f64::from(percent) / 100.0 * seen as f64 + FLOOR * (1.0 + memories);
            prop_assert!(retries as f64 <= most + 1.0, "{retries} of {seen}, at most {most}");
        }
    }
}
