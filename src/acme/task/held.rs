//! Certificates that come from elsewhere than this task's own orders: another process, an import.
//!
//! Whatever comes ends the failures before it, and is served only while the host is wanted.

use std::sync::{Arc, PoisonError};

use tracing::{info, warn};

use super::Task;
use crate::acme::storage::{Backoff, CertificateDir, Order, Stored};
use crate::tls::Origin;
use crate::tls::pem::{Leaf, Pair};
use crate::types::host::HostPattern;

impl Task {
    /// A person asks: what is kept may be another certificate now, and what was wrong may have been mended.
    pub(super) async fn look_again(&mut self) {
        let stored = self.dir.load(&self.host).await;
        let serial = |stored: &Stored| stored.pair.leaf.serial.clone();
        if stored.is_some()
            && stored.as_ref().map(serial) != self.held.as_ref().map(serial)
            && !self.unsaved
        {
            self.held = stored;
            self.jitter = fastrand::f64();
            self.forget_failures().await;
        }
        self.asked_again();
    }

    /// Something was stored, by whomever: what `current` leads to now is served, if it is another certificate and good.
    pub(super) async fn pick_up(&mut self) {
        let mark = self.dir.mark().await;
        if mark == self.mark || self.unsaved {
            return;
        }
        self.mark = mark;
        let Some(stored) = self.dir.load(&self.host).await else {
            return;
        };
        let leaf = Arc::clone(&stored.pair.leaf);
        let known = self.held.as_ref().map(|held| &held.pair.leaf);
        if known.is_some_and(|known| known.serial == leaf.serial) {
            return;
        }
        let now = self.shared.clock.now();
        let lasts = |leaf: &Leaf| leaf.not_before <= now && now < leaf.not_after;
        if known.is_some_and(|known| lasts(known)) && !lasts(&leaf) {
            warn!(event = "acme.kept", host = %self.host, serial = leaf.serial, not_before = %leaf.not_before, not_after = %leaf.not_after, "another certificate has been stored that is not valid now; the one before stays served");
            return;
        }
        if !self.swap_in(stored.pair.clone()) {
            return;
        }
        info!(event = "acme.swap", host = %self.host, serial = leaf.serial, not_after = %leaf.not_after, "another certificate has been stored and is served now");
        self.held = Some(stored);
        self.renewal = self.dir.record().await;
        self.history = self.dir.record().await.unwrap_or_default();
        self.jitter = fastrand::f64();
        self.forget_failures().await;
        self.show();
    }

    /// Whether a certificate that is not due is stored after all: by another process, which is served now, or ours that could
    /// not be saved before.
    pub(super) async fn another_was_faster(&mut self, dir: &CertificateDir) -> bool {
        let stored = dir.load(&self.host).await;
        let serial = |stored: &Option<Stored>| {
            stored
                .as_ref()
                .map(|stored| stored.pair.leaf.serial.clone())
        };
        let same = serial(&stored) == serial(&self.held);
        if stored.is_some() && same && self.unsaved && dir.record::<Order>().await.is_none() {
            // What could be saved only in part before was whole but for its pointer: looking at it did the rest.
            self.unsaved = false;
            self.held = stored;
            self.history = self.dir.record().await.unwrap_or_default();
            self.mark = self.dir.mark().await;
            info!(event = "acme.saved", host = %self.host, "the certificate that could not be saved before is on the disk now");
            self.forget_failures().await;
            self.show();
            return true;
        }
        if stored.is_none() || same || self.unsaved {
            return false;
        }
        let before = std::mem::replace(&mut self.held, stored);
        let now = self.shared.clock.now();
        if self.due(now).at <= now {
            self.held = before;
            return false;
        }
        if let Some(held) = &self.held {
            info!(event = "acme.swap", host = %self.host, serial = held.pair.leaf.serial, "another process has renewed the certificate");
            self.swap_in(held.pair.clone());
        }
        self.forget_failures().await;
        self.show();
        true
    }

    /// A certificate has come, from wherever.
    pub(super) async fn forget_failures(&mut self) {
        self.backoff = Backoff::default();
        self.dir.clear_record::<Backoff>().await;
    }

    /// Serves the pair, unless the host is not wanted any more.
    pub(super) fn swap_in(&self, pair: Pair) -> bool {
        let wanted = self
            .shared
            .wanted
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let is_wanted = wanted.contains(&self.host);
        if is_wanted {
            let pattern = HostPattern::Exact(self.host.clone());
            let certificates = &self.shared.certificates;
            certificates.insert(pattern, pair, Origin::Acme);
        }
        is_wanted
    }
}
