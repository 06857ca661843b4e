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
}

impl Order {
    pub(crate) fn new(directory: &str, account: &str, url: &str, generation: u32) -> Self {
        Self {
            version: VERSION,
            directory: directory.to_owned(),
            account: account.to_owned(),
            url: url.to_owned(),
            generation,
        }
    }
}

/// `backoff.json`: what failed and when the next attempt is, so that a crash loop cannot spin; by directory URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backoff {
    pub(super) version: u32,
    /// What failed at each authority; failures at one do not count at another.
    pub(crate) at: BTreeMap<String, Failures>,
    /// An order at the staging directory has passed since the last failure.
    pub(crate) staged: bool,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            version: VERSION,
            at: BTreeMap::new(),
            staged: false,
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

/// Out of range counts as long ago.
pub(super) fn instant(unix_ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Rounded up, so that no wait gets shorter by being written down.
pub(super) fn milliseconds(at: OffsetDateTime) -> i64 {
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
