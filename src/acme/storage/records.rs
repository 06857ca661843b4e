//! The JSON files beside a certificate: what they hold, and how failures are counted in them.
//!
//! Versioned; a version that is not ours counts as no file. Writing and reading is `certificate`'s.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::acme::schedule::Class;

pub(super) const VERSION: u32 = 1;

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

/// `backoff.json`: what failed and when the next attempt is, so that a crash loop cannot spin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backoff {
    pub(super) version: u32,
    /// The authority's directory URL; failures at another one do not count.
    pub(crate) directory: String,
    /// Failures in a row, by class.
    pub(crate) failures: BTreeMap<Class, u32>,
    /// The last one's class.
    pub(crate) class: Class,
    /// The last one's reason.
    pub(crate) detail: String,
    last_unix_ms: i64,
    next_unix_ms: i64,
}

impl Backoff {
    /// No failure yet.
    pub(crate) fn new(directory: &str) -> Self {
        Self {
            version: VERSION,
            directory: directory.to_owned(),
            failures: BTreeMap::new(),
            class: Class::Store,
            detail: String::new(),
            last_unix_ms: 0,
            next_unix_ms: 0,
        }
    }

    /// Counts a failure and gives how many of its class there are in a row now.
    pub(crate) fn count(&mut self, class: Class, detail: &str, now: OffsetDateTime) -> u32 {
        self.class = class;
        self.detail = detail.to_owned();
        self.last_unix_ms = milliseconds(now);
        let count = self.failures.entry(class).or_default();
        *count = count.saturating_add(1);
        *count
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
