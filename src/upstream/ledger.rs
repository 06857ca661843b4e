//! What the endpoints of one upstream have in common while they live: counts, who is ejected, and that something changed.
//!
//! Belongs to the upstream's name and outlives reloads. Invariant: what a choice depends on changes `version` with it.
#![deny(clippy::disallowed_methods)]

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::observe::count::Counter;
use crate::types::endpoint_address::EndpointAddress;

/// A value on cache lines of its own, so that workers which write it do not slow down those that read its neighbours.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Padded<T>(T);

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The counts of an upstream.
#[derive(Debug, Default)]
#[allow(
    missing_docs,
    reason = "`observe::metrics` says in words what each field counts"
)]
pub struct Counts {
    pub ejections: Counter,
    pub fail_open: Counter,
    pub checks_passed: Counter,
    pub checks_failed: Counter,
}

/// See above.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    version: AtomicU64,
    ejected: Mutex<Vec<(EndpointAddress, Instant)>>,
    pub(super) counts: Counts,
    /// Requests in flight, for balancing that bounds an endpoint's part of them.
    pub(super) in_flight: Padded<AtomicU32>,
}

impl Ledger {
    /// A number that changes with what choices depend on.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Something changed that choices depend on.
    pub(super) fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Ejects `address` until `until`, unless `most` others are ejected at `now`. Says whether it did.
    pub(super) fn eject(
        &self,
        address: EndpointAddress,
        until: Instant,
        most: usize,
        now: Instant,
    ) -> bool {
        let mut ejected = self.ejected.lock();
        ejected.retain(|(other, until)| *until > now && *other != address);
        if ejected.len() >= most {
            return false;
        }
        ejected.push((address, until));
        self.counts.ejections.inc();
        true
    }

    /// `address` is ejected no more.
    pub(super) fn take_back(&self, address: EndpointAddress) {
        self.ejected.lock().retain(|(other, _)| *other != address);
    }
}
