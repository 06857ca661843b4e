//! What was issued for one host lately, for the authorities' weekly limit on one set of names.
//!
//! `history.json`, beside the certificate. Written before a certificate is, so that a kill in between counts one too many
//! rather than one too few; an order counts once however often it is completed. Replacements in the authority's renewal
//! window do not count (RFC 9773 section 5; Let's Encrypt exempts them from all limits).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::records::{Order, Record, VERSION, instant, milliseconds};

/// Issuances remembered of one certificate.
const MOST: usize = 16;

/// The latest issuances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct History {
    version: u32,
    /// Newest last, few.
    issued: Vec<Issuance>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Issuance {
    /// The authority's directory URL.
    directory: String,
    #[serde(default)]
    order: String,
    at_unix_ms: i64,
    /// It replaced another and does not count.
    #[serde(default)]
    replaces: bool,
}

impl Record for History {
    const NAME: &'static str = "history.json";
    fn version(&self) -> u32 {
        self.version
    }
}

impl Default for History {
    fn default() -> Self {
        Self {
            version: VERSION,
            issued: Vec::new(),
        }
    }
}

impl History {
    /// Adds what came of an order, unless it is there; only the last few are kept.
    pub(crate) fn add(&mut self, order: &Order, now: OffsetDateTime) {
        let known = |one: &Issuance| !order.url.is_empty() && one.order == order.url;
        if self.issued.iter().any(known) {
            return;
        }
        self.issued.push(Issuance {
            directory: order.directory.clone(),
            order: order.url.clone(),
            at_unix_ms: milliseconds(now),
            replaces: order.replaces,
        });
        let old = self.issued.len().saturating_sub(MOST);
        self.issued.drain(..old);
    }

    /// When the `most` issued within `time` leave room for another one; `None` when they do now. Replacements count
    /// only where `all` is asked for.
    pub(crate) fn next_within(
        &self,
        directory: &str,
        (most, all): (usize, bool),
        time: Duration,
        now: OffsetDateTime,
    ) -> Option<OffsetDateTime> {
        let counts = |one: &&Issuance| one.directory == directory && (all || !one.replaces);
        let own = self.issued.iter().filter(counts);
        let within: Vec<_> = own
            .map(|one| instant(one.at_unix_ms))
            // Times after now are from a clock that was ahead.
            .filter(|at| *at > now - time && *at <= now)
            .collect();
        let index = within.len().checked_sub(most)?;
        within.get(index).map(|at| *at + time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: Duration = Duration::from_secs(7 * 86_400);

    fn day(number: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000 + number * 86_400).unwrap()
    }

    fn order(number: i64) -> Order {
        Order::new("ca", "account", &format!("order/{number}"), 1)
    }

    #[test]
    fn the_fifth_of_a_week_waits_until_the_first_is_a_week_old() {
        let mut history = History::default();
        for number in 0..5 {
            assert_eq!(
                history.next_within("ca", (5, false), WEEK, day(number)),
                None
            );
            history.add(&order(number), day(number));
        }
        let next = history.next_within("ca", (5, false), WEEK, day(5)).unwrap();
        assert!((next - day(7)).abs() < time::Duration::seconds(1), "{next}");
        assert_eq!(history.next_within("other", (5, false), WEEK, day(5)), None);
        assert_eq!(history.next_within("ca", (5, false), WEEK, day(8)), None);
    }

    #[test]
    fn an_order_counts_once_and_a_replacement_not_at_all() {
        let mut history = History::default();
        for _ in 0..9 {
            history.add(&order(1), day(0));
        }
        for number in 2..9 {
            let replaces = true;
            let order = Order {
                replaces,
                ..order(number)
            };
            history.add(&order, day(0));
        }
        assert!(
            history
                .next_within("ca", (1, false), WEEK, day(1))
                .is_some()
        );
        assert_eq!(history.next_within("ca", (2, false), WEEK, day(1)), None);
        assert!(history.next_within("ca", (8, true), WEEK, day(1)).is_some());
        assert_eq!(history.next_within("ca", (9, true), WEEK, day(1)), None);
    }

    #[test]
    fn a_clock_that_was_ahead_uses_up_nothing() {
        let mut history = History::default();
        history.add(&order(1), day(400));
        assert_eq!(history.next_within("ca", (1, false), WEEK, day(0)), None);
    }
}
