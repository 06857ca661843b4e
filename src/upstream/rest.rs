//! A time that an endpoint is left out for what requests met there, and the trial by which it comes back.
//!
//! When the time is over the endpoint is on trial: it gets a tenth of its share, a tenth more each second, until so many
//! requests in a row went well ([`PASSES`]). A request that went well while the endpoint was left out counts, too, if it
//! was sent after the rest began. A rest of no length is a trial at once, for an endpoint that may not be left out.
//! What a failure on trial means is `standing`'s.
#![deny(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use super::endpoint::Reason;
use super::standing::STEPS;

/// Requests in a row that end a trial well.
const PASSES: u32 = 3;
/// From the beginning of a trial to the full share, be there no request at all.
pub(super) const TRIAL: Duration = Duration::from_secs(10);

/// See above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    began: Instant,
    pub(super) until: Instant,
    /// For a failed connect, which one that succeeds takes back.
    pub(super) for_connect: bool,
    pub(super) reason: Reason,
    /// Requests that went well, and health checks, in a row.
    passed: u32,
    checks: u32,
}

impl Rest {
    /// Of `time` from `now` on.
    pub(super) fn new(reason: Reason, for_connect: bool, now: Instant, time: Duration) -> Self {
        Self {
            began: now,
            until: now + time,
            for_connect,
            reason,
            passed: 0,
            checks: 0,
        }
    }

    /// Whether the endpoint is on trial.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until <= now
    }

    /// A request that was sent at `sent` went well; true when that is enough.
    pub(super) fn passes(&mut self, sent: Instant) -> bool {
        self.passed += u32::from(sent >= self.began);
        self.passed >= PASSES
    }

    /// A health check went well; after `rise` in a row the trial begins. True when it does.
    pub(super) fn check_passed(&mut self, rise: u32, now: Instant) -> bool {
        self.checks += 1;
        let begins = self.checks >= rise && !self.is_over(now);
        if begins {
            self.until = now;
        }
        begins
    }

    /// A health check failed.
    pub(super) fn check_failed(&mut self) {
        self.checks = 0;
    }

    /// A request failed. The trial begins again, but not more often than its share grows: each time costs a new set.
    pub(super) fn failed(&mut self, reason: Reason, now: Instant) {
        self.passed = 0;
        if now.saturating_duration_since(self.until) >= TRIAL / STEPS {
            (self.began, self.until, self.reason) = (now, now, reason);
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests need a time to start from")]
mod tests {
    use std::net::SocketAddr;

    use crate::config;
    use crate::types::name::UpstreamName;
    use crate::upstream::Keys;
    use crate::upstream::endpoint::Outcome;
    use crate::upstream::group::Group;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Endpoints with the ports from 1 to `count`, judged as by default but for the share that may be ejected.
    fn group(count: u16, max_ejected: u8) -> (Group, Instant) {
        let name = UpstreamName::parse("u").unwrap();
        let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
        let mut config = config::Upstream::plain(name, (1..=count).map(address));
        config.outlier.max_ejected = max_ejected;
        let now = Instant::now();
        (Group::new(config, None, now), now)
    }

    /// Requests of the next 420 that each endpoint gets.
    fn shares(group: &Group, now: Instant) -> Vec<usize> {
        let mut counts = vec![0; group.endpoints().len()];
        for _ in 0..420 {
            let chosen = group.choose(&Keys::default(), &[], now).unwrap();
            counts[usize::from(chosen.address.port()) - 1] += 1;
        }
        counts
    }

    fn report(group: &Group, port: usize, outcome: Outcome, times: usize, now: Instant) {
        for _ in 0..times {
            group.endpoints()[port - 1].report(outcome, now);
        }
    }

    fn answered(after: Duration) -> Outcome {
        Outcome::Answered {
            status: 200,
            latency: after,
        }
    }

    #[test]
    fn who_comes_back_gets_a_tenth_until_three_requests_in_a_row_went_well() {
        let (group, now) = group(3, 67);
        report(&group, 1, Outcome::Reset, 5, now);
        assert_eq!(shares(&group, now), [0, 210, 210]);
        let back = now + 10 * SECOND;
        assert_eq!(shares(&group, back), [20, 200, 200]);
        let two = |group: &Group| report(group, 1, answered(SECOND), 2, back);
        two(&group);
        assert!(group.endpoints()[0].trial(back).is_some());
        report(&group, 1, answered(SECOND), 1, back);
        assert_eq!(shares(&group, back), [140; 3]);
        assert!(group.endpoints()[0].trial(back).is_none());
    }

    #[test]
    fn a_trial_without_requests_grows_to_the_full_share_and_one_failure_ends_it_still() {
        let (group, now) = group(2, 50);
        report(&group, 1, Outcome::Reset, 5, now);
        let back = now + 10 * SECOND;
        assert_eq!(shares(&group, back + 4 * SECOND), [140, 280]);
        assert_eq!(shares(&group, back + TRIAL), [210, 210]);
        report(&group, 1, Outcome::Reset, 1, back + TRIAL);
        assert_eq!(shares(&group, back + TRIAL), [0, 420]);
    }

    #[test]
    fn who_fails_when_no_more_may_be_ejected_gets_a_tenth_for_as_long_as_it_fails() {
        let (group, start) = group(3, 34);
        report(&group, 1, Outcome::Malformed, 5, start);
        report(&group, 2, Outcome::Malformed, 4, start);
        assert_eq!(shares(&group, start), [0, 210, 210]);
        for step in 0..40 {
            let now = start + step * SECOND / 5;
            report(&group, 2, Outcome::Malformed, 1, now);
            let shares = shares(&group, now);
            assert!(shares[0] == 0 && shares[1] < 75, "{shares:?}");
        }
        let now = start + 8 * SECOND;
        report(&group, 2, answered(Duration::ZERO), 3, now);
        assert_eq!(shares(&group, now), [0, 210, 210]);
    }

    #[test]
    fn when_nobody_is_well_who_was_left_out_is_on_trial_and_takes_over_when_it_is_well() {
        let (group, now) = group(3, 67);
        // The third fails when the first, which is well again, and the second are out.
        for port in [1, 2, 3] {
            report(&group, port, Outcome::Reset, 5, now);
        }
        assert_eq!(shares(&group, now), [140; 3]);
        report(&group, 1, answered(Duration::ZERO), 3, now);
        assert_eq!(shares(&group, now), [382, 0, 38]);
        // There is room among the ejected again.
        report(&group, 3, Outcome::Reset, 1, now);
        assert_eq!(shares(&group, now), [420, 0, 0]);
    }

    #[test]
    fn an_answer_to_a_request_from_before_the_ejection_proves_nothing() {
        let (group, now) = group(2, 50);
        report(&group, 1, Outcome::Reset, 5, now);
        let later = now + SECOND;
        report(&group, 1, answered(2 * SECOND), 9, later);
        assert_eq!(shares(&group, later), [0, 420]);
        report(&group, 1, answered(SECOND / 2), 3, later);
        assert_eq!(shares(&group, later), [210, 210]);
    }

    #[test]
    fn checks_that_pass_let_an_ejected_endpoint_try_again() {
        let (group, now) = group(3, 34);
        report(&group, 1, Outcome::Reset, 5, now);
        let check = |seen| group.endpoints()[0].checked(seen, 2, 3, now);
        check(Ok(()));
        check(Err(Reason::TimedOut));
        check(Ok(()));
        assert_eq!(shares(&group, now), [0, 210, 210]);
        check(Ok(()));
        assert_eq!(shares(&group, now), [20, 200, 200]);
        report(&group, 2, Outcome::Reset, 5, now);
        assert_eq!(
            shares(&group, now),
            [38, 0, 382],
            "it counts no more as ejected"
        );
    }

    #[test]
    fn backups_help_while_no_other_is_known_to_be_well() {
        let (old, now) = group(3, 50);
        let mut config = old.config;
        config.endpoints[2].backup = true;
        let group = Group::new(config, None, now);
        report(&group, 1, Outcome::Reset, 5, now);
        assert_eq!(shares(&group, now), [0, 420, 0]);
        report(&group, 2, Outcome::Reset, 5, now);
        // Who comes back gets one place of eleven; where the round stands decides of one request.
        let shares = shares(&group, now);
        assert!(matches!(*shares, [0, 38 | 39, 381 | 382]), "{shares:?}");
    }
}
