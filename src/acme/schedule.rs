//! Decides when a certificate is renewed, and when a failed attempt is made again.
//!
//! Pure: dates, counts and jitter (0 to 1, chosen by the caller) come in, an instant or a wait comes out. Invariants:
//! a renewal is never later than two thirds of the life; failed validations never come faster than Let's Encrypt's
//! five an hour; what an authority says with Retry-After is never undercut.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What kind of failure an attempt ended with; each has its own pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The authority could not validate that the host is ours.
    Validation,
    /// The authority could not be reached, or failed itself.
    CaUnavailable,
    /// The authority wants fewer requests.
    RateLimited,
    /// The authority refuses what is asked; only a person can change that.
    Input,
    /// This machine failed: its disk, its own listener, randomness.
    Store,
    /// This machine's clock says something else than the authority's.
    Clock,
    /// Only a person can go on: an account that was closed, a name that was paused, a binding that is missing.
    Human,
}

impl Class {
    /// As in logs and files: `ca_unavailable`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::CaUnavailable => "ca_unavailable",
            Self::RateLimited => "rate_limited",
            Self::Input => "input",
            Self::Store => "store",
            Self::Clock => "clock",
            Self::Human => "human",
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// How long to wait after failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delays {
    /// After the first, second, third and every later failed validation.
    pub validation: [Duration; 4],
    /// After the first failure to reach the authority; doubled at each further one.
    pub ca_unavailable: Duration,
    /// Where the doubling ends.
    pub ca_unavailable_max: Duration,
    /// When the authority does not say how long.
    pub rate_limited: Duration,
    /// After a refusal, and while a person has to act.
    pub input: Duration,
    /// After a failure of this machine: its disk, its clock.
    pub store: Duration,
    /// Since the last attempt, when a person asks again by a restart or a reload.
    pub asked_again: Duration,
    /// The bounds between which an authority may choose when it is asked for renewal information again.
    pub poll: [Duration; 2],
    /// Between two looks at the wall clock, which may jump.
    pub nap: Duration,
}

impl Default for Delays {
    /// Let's Encrypt's advice for validation; 12 minutes between attempts asked for keeps to its five an hour.
    fn default() -> Self {
        Self {
            validation: [MINUTE, 10 * MINUTE, 100 * MINUTE, DAY],
            ca_unavailable: Duration::from_secs(30),
            ca_unavailable_max: HOUR,
            rate_limited: HOUR,
            input: DAY,
            store: MINUTE,
            asked_again: 12 * MINUTE,
            poll: [HOUR, DAY],
            nap: MINUTE,
        }
    }
}

impl Delays {
    /// The wait after the `failures`-th (from 1) failure of this class in a row.
    ///
    /// `said` is the authority's Retry-After. `jitter` from 0 to 1 moves the wait by up to a tenth: both ways, but only
    /// up where the authority said how long.
    pub fn after(
        &self,
        class: Class,
        failures: u32,
        said: Option<Duration>,
        jitter: f64,
    ) -> Duration {
        let jitter = jitter.clamp(0.0, 1.0);
        let before = failures.saturating_sub(1);
        let own = match class {
            Class::Validation => self.validation[before.min(3) as usize],
            Class::CaUnavailable => self
                .ca_unavailable
                .saturating_mul(1 << before.min(16))
                .min(self.ca_unavailable_max),
            Class::RateLimited => self.rate_limited,
            // A person may have acted; once a day costs nobody anything.
            Class::Input | Class::Human => self.input,
            Class::Store | Class::Clock => self.store,
        };
        let said = said.filter(|_| matches!(class, Class::RateLimited | Class::CaUnavailable));
        match said {
            // A week is the longest window of any authority's limits; more is a mistake or an attack.
            Some(said) if class == Class::RateLimited => said
                .clamp(self.ca_unavailable, 7 * DAY)
                .mul_f64(1.0 + jitter * 0.1),
            Some(said) => said.min(DAY).max(own).mul_f64(1.0 + jitter * 0.1),
            None => own.mul_f64(0.9 + jitter * 0.2),
        }
    }

    /// When to try again after a restart or reload, which say that a person may have mended something.
    ///
    /// Never later than planned, never sooner than the limits allow; a plan too far off to be ours (the clock jumped)
    /// counts as due after the longest wait.
    pub fn asked_again(
        &self,
        class: Class,
        last: OffsetDateTime,
        planned: OffsetDateTime,
        now: OffsetDateTime,
    ) -> OffsetDateTime {
        let longest = now + 8 * DAY;
        let planned = planned.min(longest);
        match class {
            Class::RateLimited => planned,
            Class::Validation | Class::Input | Class::Human => {
                planned.min(last.min(now) + self.asked_again)
            }
            Class::CaUnavailable | Class::Store | Class::Clock => planned.min(now),
        }
    }
}

/// When a certificate with these dates is renewed: at two thirds of its life, at half of a life below ten days.
///
/// `jitter` from 0 to 1 makes it up to 2 % of the life earlier, so that many do not come at once.
pub fn renew_at(
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    jitter: f64,
) -> OffsetDateTime {
    let life = not_after - not_before;
    let part = if life < 10 * DAY { 0.5 } else { 2.0 / 3.0 };
    not_before + life * (part - jitter.clamp(0.0, 1.0) * 0.02)
}

/// As [`renew_at`], but never sooner than a sixth of the life after `issued` by our own clock.
///
/// A clock that is 70 days ahead makes every new certificate look due; ordering one after the other would use up the
/// authority's limits.
pub fn renew_after(
    issued: OffsetDateTime,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    jitter: f64,
) -> OffsetDateTime {
    renew_at(not_before, not_after, jitter).max(issued + (not_after - not_before) / 6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    fn days(n: i64) -> OffsetDateTime {
        at(n * 86_400)
    }

    #[test]
    fn renewal_comes_at_two_thirds_of_the_life_and_at_half_of_a_short_one() {
        assert_eq!(renew_at(days(0), days(90), 0.0), days(60));
        assert_eq!(renew_at(days(0), days(45), 0.0), days(30));
        assert_eq!(renew_at(at(0), at(160 * 3600), 0.0), at(80 * 3600));
        let early = renew_at(days(0), days(100), 0.0) - renew_at(days(0), days(100), 1.0);
        assert!(
            (early - 2 * DAY).abs() < Duration::from_millis(1),
            "{early}"
        );
    }

    #[test]
    fn a_clock_far_ahead_does_not_renew_what_was_just_issued() {
        let ahead = days(70);
        assert_eq!(renew_after(ahead, days(0), days(90), 0.0), days(85));
        assert_eq!(renew_after(days(0), days(0), days(90), 0.0), days(60));
    }

    #[test]
    fn renewal_waits_longer_after_each_failure() {
        let delays = Delays::default();
        let minutes: Vec<_> = (1..=6)
            .map(|n| delays.after(Class::Validation, n, None, 0.5).as_secs() / 60)
            .collect();
        assert_eq!(minutes, [1, 10, 100, 1440, 1440, 1440]);
        let seconds: Vec<_> = (1..=9)
            .map(|n| delays.after(Class::CaUnavailable, n, None, 0.5).as_secs())
            .collect();
        assert_eq!(seconds, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(
            delays.after(Class::CaUnavailable, u32::MAX, None, 0.5),
            HOUR
        );
    }

    #[test]
    fn a_rate_limit_waits_as_long_as_the_authority_says() {
        let delays = Delays::default();
        let said = Some(Duration::from_secs(7200));
        assert_eq!(
            delays.after(Class::RateLimited, 1, said, 0.0),
            Duration::from_secs(7200)
        );
        assert!(delays.after(Class::RateLimited, 1, said, 1.0) > Duration::from_secs(7200));
        assert_eq!(delays.after(Class::RateLimited, 9, None, 0.5), HOUR);
        assert!(delays.after(Class::RateLimited, 1, Some(365 * DAY), 1.0) < 8 * DAY);
        let none = Some(Duration::ZERO);
        assert_eq!(
            delays.after(Class::RateLimited, 1, none, 0.0),
            delays.ca_unavailable
        );
    }

    #[test]
    fn a_restart_shortens_the_wait_but_not_below_the_limits() {
        let delays = Delays::default();
        let (last, planned, now) = (at(0), at(86_400), at(60));
        assert_eq!(
            delays.asked_again(Class::Validation, last, planned, now),
            at(720)
        );
        assert_eq!(
            delays.asked_again(Class::Validation, last, at(61), now),
            at(61)
        );
        assert_eq!(
            delays.asked_again(Class::RateLimited, last, planned, now),
            planned
        );
        assert_eq!(
            delays.asked_again(Class::CaUnavailable, last, planned, now),
            now
        );
        // The clock was a year ahead when the file was written.
        let ahead = days(365);
        assert_eq!(
            delays.asked_again(Class::Validation, ahead, ahead + DAY, now),
            now + 12 * MINUTE
        );
        assert!(delays.asked_again(Class::RateLimited, ahead, ahead + DAY, now) <= now + 8 * DAY);
    }

    proptest! {
        #[test]
        fn a_crash_loop_stays_within_five_failed_validations_an_hour(last in 0i64..1_000_000, wait in 0i64..1_000_000) {
            let next = Delays::default().asked_again(Class::Validation, at(last), days(365), at(last + wait));
            prop_assert!(next - at(last) >= 12 * MINUTE);
        }

        #[test]
        fn renewal_is_inside_the_life(start in 0i64..4_000_000_000, life in 60i64..400_000_000, jitter in 0.0f64..1.0) {
            let when = renew_at(at(start), at(start + life), jitter);
            prop_assert!(when > at(start) && when <= at(start) + Duration::from_secs(life as u64).mul_f64(2.0 / 3.0 + 1e-9));
        }
    }
}
