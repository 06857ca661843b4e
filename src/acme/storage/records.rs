//! The JSON values kept beside certificates and accounts: what they hold, and how failures are counted in them.
//!
//! Versioned; a version that is not ours counts as none. Every one can be lost: what is missing is asked for or begun
//! again. Writing and reading is the store's, by [`Record::NAME`].

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::acme::schedule::Class;

pub(super) const VERSION: u32 = 1;

/// A value with a fixed place beside a certificate or an account.
pub(crate) trait Record: Serialize + DeserializeOwned + Send + Sync {
    /// The file's name: `order.json`.
    const NAME: &'static str;
    /// The version it was written as; [`VERSION`] is the one that is understood.
    fn version(&self) -> u32;
}

macro_rules! record {
    ($kind:ty, $name:literal) => {
        impl Record for $kind {
            const NAME: &'static str = $name;
            fn version(&self) -> u32 {
                self.version
            }
        }
    };
}

record!(Order, "order.json");
record!(Backoff, "backoff.json");
record!(Renewal, "renewal.json");
record!(Limits, "limits.json");
record!(Rollover, "rollover.json");

/// `order.json`: an order under way, so that a restart resumes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(super) version: u32,
    /// The authority's directory URL.
    pub(crate) directory: String,
    /// The account that ordered.
    pub(crate) account: String,
    /// The order's URL.
    pub(crate) url: String,
    /// The generation whose key the certificate is for.
    pub(crate) generation: u32,
    /// How many times the chain that came was unfit.
    #[serde(default)]
    pub(crate) unfit: u32,
    /// The authority took it as a replacement (RFC 9773 section 5).
    #[serde(default)]
    pub(crate) replaces: bool,
}

impl Order {
    pub(crate) fn new(directory: &str, account: &str, url: &str, generation: u32) -> Self {
        Self {
            version: VERSION,
            directory: directory.to_owned(),
            account: account.to_owned(),
            url: url.to_owned(),
            generation,
            unfit: 0,
            replaces: false,
        }
    }
}

/// `rollover.json`: the authority has been asked to take the account's next key, and may have heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rollover {
    pub(super) version: u32,
    pub(crate) asked_unix_ms: i64,
}

impl Rollover {
    pub(crate) fn new(now: OffsetDateTime) -> Self {
        Self {
            version: VERSION,
            asked_unix_ms: milliseconds(now),
        }
    }
}

/// `backoff.json`: what failed and when the next attempt is, so that a crash loop cannot spin; by directory URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backoff {
    pub(super) version: u32,
    /// What failed at each authority; failures at one do not count at another.
    pub(crate) at: BTreeMap<String, Failures>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            version: VERSION,
            at: BTreeMap::new(),
        }
    }
}

/// Failures in a row at one authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failures {
    /// How many, by class.
    pub(crate) counts: BTreeMap<Class, u32>,
    /// The last one's class.
    pub(crate) class: Class,
    /// The last one's step: `finalize`.
    pub(crate) step: String,
    /// The last one's reason.
    pub(crate) detail: String,
    last_unix_ms: i64,
    next_unix_ms: i64,
}

impl Failures {
    /// None yet.
    pub(crate) fn none() -> Self {
        Self {
            counts: BTreeMap::new(),
            class: Class::Store,
            step: String::new(),
            detail: String::new(),
            last_unix_ms: 0,
            next_unix_ms: 0,
        }
    }

    /// Counts a failure and gives how many of its class there are in a row now.
    pub(crate) fn count(
        &mut self,
        class: Class,
        step: &str,
        detail: &str,
        now: OffsetDateTime,
    ) -> u32 {
        self.class = class;
        step.clone_into(&mut self.step);
        detail.clone_into(&mut self.detail);
        self.last_unix_ms = milliseconds(now);
        let count = self.counts.entry(class).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// How many there are, of all classes.
    pub(crate) fn total(&self) -> u32 {
        self.counts
            .values()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    pub(crate) fn set_next(&mut self, next: OffsetDateTime) {
        self.next_unix_ms = milliseconds(next);
    }

    pub(crate) fn last(&self) -> OffsetDateTime {
        instant(self.last_unix_ms)
    }

    pub(crate) fn next(&self) -> OffsetDateTime {
        instant(self.next_unix_ms)
    }
}

/// `renewal.json`, beside a certificate: when the authority wants it renewed (RFC 9773), and what was made of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Renewal {
    pub(super) version: u32,
    /// Of the certificate it is about; at another one it counts for nothing.
    pub(crate) serial: String,
    /// The window, when the authority gave one that makes sense.
    pub(crate) window: Option<Window>,
    /// Why the window is where it is, in words for people, at this URL.
    pub(crate) explanation: Option<String>,
    /// When the authority is asked again.
    pub(crate) poll_unix_ms: i64,
    /// Since when it gives no window, if it does not.
    pub(crate) silent_since_unix_ms: Option<i64>,
}

/// A renewal window, and the moment within it that was drawn when it was first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) start_unix_ms: i64,
    pub(crate) end_unix_ms: i64,
    pub(crate) at_unix_ms: i64,
}

impl Renewal {
    /// Nothing asked yet.
    pub(crate) fn new(serial: &str) -> Self {
        Self {
            version: VERSION,
            serial: serial.to_owned(),
            window: None,
            explanation: None,
            poll_unix_ms: 0,
            silent_since_unix_ms: None,
        }
    }
}

/// `limits.json`, beside an account: what was used of the authority's limits, and whether it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(super) version: u32,
    /// When orders were placed, newest last; those of the last three hours.
    pub(crate) orders_unix_ms: Vec<i64>,
    /// No request of ours before this: a rate limit of the account or the address.
    pub(crate) blocked_until_unix_ms: i64,
    /// No request before this: the authority did not answer.
    pub(crate) open_until_unix_ms: i64,
    /// Failures to answer in a row.
    pub(crate) failures: u32,
    /// Since when it has not answered.
    pub(crate) down_since_unix_ms: Option<i64>,
    /// Its latest words on either.
    pub(crate) detail: String,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            version: VERSION,
            orders_unix_ms: Vec::new(),
            blocked_until_unix_ms: 0,
            open_until_unix_ms: 0,
            failures: 0,
            down_since_unix_ms: None,
            detail: String::new(),
        }
    }
}

/// Out of range counts as long ago.
pub(crate) fn instant(unix_ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Rounded up, so that no wait gets shorter by being written down.
pub(crate) fn milliseconds(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000) + 1).unwrap_or(i64::MAX)
}

#[derive(Serialize, Deserialize)]
pub(super) struct Spec<'a> {
    pub(super) version: u32,
    pub(super) host: &'a str,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) version: u32,
    pub(super) directory: String,
    pub(super) order: String,
    /// By this machine's clock.
    pub(super) issued_unix_ms: i64,
}
