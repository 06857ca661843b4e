//! How fast an authority is asked for orders, and whether it is asked at all.
//!
//! Pure, over what `limits.json` remembers. Invariants: at most one order a second and `most` in three hours; none
//! before the time an authority named; after [`PATIENCE`] failures to answer in a row, one try at a time, ever rarer.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use time::OffsetDateTime;

use super::failure::{Failure, Reach};
use super::schedule::{Class, Delays};
use super::storage::{Limits, instant, milliseconds};

/// Orders in three hours. Let's Encrypt allows an account 300.
pub(super) const ORDERS: usize = 250;
/// At a staging directory; Let's Encrypt's allows 1,500.
pub(super) const STAGING_ORDERS: usize = 1250;
const ORDERS_TIME: Duration = Duration::from_secs(3 * 3600);
const BETWEEN_ORDERS: Duration = Duration::from_secs(1);
/// Failures in a row that an authority may have before it counts as down.
const PATIENCE: u32 = 3;
/// One try is given this long before the next.
const TRY: Duration = Duration::from_secs(60);
/// An authority that is down for longer is not waited for if there is another.
pub(super) const DOWN: Duration = Duration::from_secs(6 * 3600);

/// Whether an order may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Go,
    /// Not before this.
    NotBefore(OffsetDateTime),
}

/// Asks for leave to begin an attempt; `Go` counts as one, and as the try while the authority is down.
pub(super) fn admit(limits: &mut Limits, most: usize, now: OffsetDateTime) -> Admission {
    let window = milliseconds(now - ORDERS_TIME);
    let ahead = milliseconds(now);
    // Times after now are from a clock that was ahead.
    limits
        .orders_unix_ms
        .retain(|at| *at > window && *at <= ahead);
    if let Some(until) = orders_from(limits, most, now) {
        return Admission::NotBefore(until);
    }
    let last = limits.orders_unix_ms.last().copied().map(instant);
    if let Some(until) = last
        .map(|last| last + BETWEEN_ORDERS)
        .filter(|next| *next > now)
    {
        return Admission::NotBefore(until);
    }
    limits.orders_unix_ms.push(milliseconds(now));
    if limits.failures >= PATIENCE {
        limits.open_until_unix_ms = milliseconds(now + TRY);
    }
    Admission::Go
}

/// From when an order may be placed, if not now; a second between two of them aside.
pub(super) fn orders_from(
    limits: &Limits,
    most: usize,
    now: OffsetDateTime,
) -> Option<OffsetDateTime> {
    let within = |at: &OffsetDateTime| *at + ORDERS_TIME > now && *at <= now;
    let placed = limits.orders_unix_ms.iter().copied().map(instant);
    let placed: Vec<_> = placed.filter(within).collect();
    let full = placed
        .len()
        .checked_sub(most)
        .and_then(|index| placed.get(index));
    let full = full.map(|at| *at + ORDERS_TIME);
    closed_until(limits, now).max(full)
}

/// Until when nothing at all is asked of this authority.
pub(super) fn closed_until(limits: &Limits, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let until = limits.blocked_until_unix_ms.max(limits.open_until_unix_ms);
    // More than a week off is a clock that has jumped.
    let until = instant(until).min(now + Duration::from_secs(8 * 86_400));
    (until > now).then_some(until)
}

/// The authority has answered.
pub(super) fn answered(limits: &mut Limits) {
    limits.failures = 0;
    limits.down_since_unix_ms = None;
    limits.open_until_unix_ms = 0;
}

/// Takes note of a failure that reaches beyond one certificate.
pub(super) fn failed(
    limits: &mut Limits,
    failure: &Failure,
    delays: &Delays,
    now: OffsetDateTime,
    jitter: f64,
) {
    match (failure.class, failure.reach) {
        // What this machine fails in says nothing about the authority.
        (Class::Store, _) => {}
        (_, Reach::Certificate) => answered(limits),
        (Class::RateLimited, _) => {
            answered(limits);
            let wait = delays.after(Class::RateLimited, 1, failure.retry_after, jitter);
            limits.blocked_until_unix_ms = milliseconds(now + wait);
            limits.detail.clone_from(&failure.detail);
        }
        (Class::CaUnavailable, Reach::Authority) => {
            limits.failures = limits.failures.saturating_add(1);
            limits
                .down_since_unix_ms
                .get_or_insert_with(|| milliseconds(now));
            limits.detail.clone_from(&failure.detail);
            if limits.failures >= PATIENCE || failure.retry_after.is_some() {
                let count = limits.failures.saturating_sub(PATIENCE) + 1;
                let wait = delays.after(Class::CaUnavailable, count, failure.retry_after, jitter);
                limits.open_until_unix_ms = milliseconds(now + wait);
            }
        }
        _ => {}
    }
}

/// Whether the authority counts as up.
pub(super) fn is_up(limits: &Limits) -> bool {
    limits.failures < PATIENCE
}

/// Whether it has been down for so long that another one is asked.
pub(super) fn is_long_down(limits: &Limits, now: OffsetDateTime) -> bool {
    limits
        .down_since_unix_ms
        .is_some_and(|since| now - instant(since) > DOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::answer::Lost;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds + 1_700_000_000).unwrap()
    }

    fn not_before(admission: Admission) -> i64 {
        match admission {
            Admission::Go => panic!("admitted"),
            Admission::NotBefore(until) => until.unix_timestamp() - 1_700_000_000,
        }
    }

    fn lost() -> Failure {
        Failure::of_lost("order", &Lost::new("reset"))
    }

    #[test]
    fn five_hundred_names_at_once_become_one_order_a_second_and_250_in_three_hours() {
        let mut limits = Limits::default();
        let mut now = 0;
        let mut orders = Vec::new();
        while orders.len() < 500 {
            match admit(&mut limits, ORDERS, at(now)) {
                Admission::Go => orders.push(now),
                Admission::NotBefore(until) => {
                    now = (until.unix_timestamp() - 1_700_000_000 + 1).max(now + 1)
                }
            }
        }
        assert!(orders.windows(2).all(|pair| pair[1] > pair[0]));
        for (index, order) in orders.iter().enumerate().skip(ORDERS) {
            assert!(order - orders[index - ORDERS] >= 3 * 3600, "{index}");
        }
        assert!(orders[499] < 7 * 3600);
    }

    #[test]
    fn after_three_failures_one_try_at_a_time_ever_rarer() {
        let (mut limits, delays) = (Limits::default(), Delays::default());
        for _ in 0..2 {
            failed(&mut limits, &lost(), &delays, at(0), 0.5);
            assert!(is_up(&limits));
        }
        failed(&mut limits, &lost(), &delays, at(0), 0.5);
        assert!(!is_up(&limits));
        assert_eq!(not_before(admit(&mut limits, ORDERS, at(10))), 30);
        assert_eq!(admit(&mut limits, ORDERS, at(31)), Admission::Go);
        assert_eq!(
            not_before(admit(&mut limits, ORDERS, at(32))),
            91,
            "one try at a time"
        );
        for _ in 0..20 {
            failed(&mut limits, &lost(), &delays, at(100), 0.5);
        }
        assert_eq!(not_before(admit(&mut limits, ORDERS, at(100))), 3700);
        assert!(is_long_down(&limits, at(7 * 3600)) && !is_long_down(&limits, at(5 * 3600)));
        answered(&mut limits);
        assert_eq!(admit(&mut limits, ORDERS, at(101)), Admission::Go);
    }

    #[test]
    fn a_limit_of_the_account_stops_all_and_one_of_a_certificate_nobody_else() {
        let (mut limits, delays) = (Limits::default(), Delays::default());
        let mut failure = Failure::new("order", Class::RateLimited, "slow down");
        failure.retry_after = Some(Duration::from_secs(600));
        failed(&mut limits, &failure, &delays, at(0), 0.0);
        assert_eq!(admit(&mut limits, ORDERS, at(0)), Admission::Go);
        failure.reach = Reach::Account;
        failed(&mut limits, &failure, &delays, at(0), 0.0);
        assert_eq!(not_before(admit(&mut limits, ORDERS, at(599))), 600);
        assert_eq!(admit(&mut limits, ORDERS, at(601)), Admission::Go);
    }

    #[test]
    fn a_failure_of_this_machine_does_not_make_an_authority_that_is_down_look_up() {
        let (mut limits, delays) = (Limits::default(), Delays::default());
        for _ in 0..PATIENCE {
            failed(&mut limits, &lost(), &delays, at(0), 0.5);
        }
        let own = Failure::new("lease", Class::Store, "disk full");
        failed(&mut limits, &own, &delays, at(1), 0.5);
        assert!(!is_up(&limits));
    }

    #[test]
    fn staging_has_an_allowance_of_its_own_and_a_full_one_says_from_when() {
        let mut limits = Limits::default();
        let placed = (0..ORDERS as i64).map(|n| milliseconds(at(n)));
        limits.orders_unix_ms = placed.collect();
        let now = at(ORDERS as i64 + 10);
        let from = orders_from(&limits, ORDERS, now).unwrap();
        assert_eq!(from.unix_timestamp() - 1_700_000_000, 3 * 3600);
        assert_eq!(orders_from(&limits, STAGING_ORDERS, now), None);
        assert_eq!(admit(&mut limits, STAGING_ORDERS, now), Admission::Go);
    }

    #[test]
    fn a_clock_that_was_years_ahead_does_not_close_an_authority_for_years() {
        let mut limits = Limits::default();
        limits.blocked_until_unix_ms = milliseconds(at(900_000_000));
        limits.orders_unix_ms = vec![milliseconds(at(900_000_000)); 300];
        assert!(not_before(admit(&mut limits, ORDERS, at(0))) <= 8 * 86_400);
        limits.blocked_until_unix_ms = 0;
        assert_eq!(admit(&mut limits, ORDERS, at(0)), Admission::Go);
    }
}
