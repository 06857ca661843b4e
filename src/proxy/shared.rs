//! What every connection of the process shares, and how far the process is with stopping.
//!
//! Plain data: the server fills it in, swaps the snapshot and tells of a drain.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::fallback;
use crate::acme::challenge::Tokens;
use crate::observe::history::History;
use crate::observe::metrics::Metrics;
use crate::snapshot::Snapshot;

/// How far the process is with stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drain {
    /// Not at all.
    Serving,
    /// No new connections; requests and tunnels go on.
    Draining,
    /// What is still open is told to end now.
    Ending,
}

impl Drain {
    /// How much of a drain that may take `limit` is left for goodbyes, from [`Drain::Ending`] to the process's end: a
    /// twentieth, but half a second at most and 50 ms at least.
    pub fn farewell(limit: Duration) -> Duration {
        (limit / 20).clamp(Duration::from_millis(50), Duration::from_millis(500))
    }
}

/// What every connection of the process shares.
pub struct Shared {
    /// What runs; swapped by a reload.
    pub snapshot: ArcSwap<Snapshot>,
    /// Those before it that a request may still run by.
    pub retired: Mutex<Vec<Weak<Snapshot>>>,
    /// Where everything is counted.
    pub metrics: Arc<Metrics>,
    /// Challenge tokens of our own orders.
    pub tokens: Tokens,
    /// Challenge tokens that are handed on.
    pub handed_on: fallback::HandedOn,
    /// What is remembered of single requests.
    pub history: History,
    /// Where the process is with stopping.
    pub drain: watch::Receiver<Drain>,
}

impl Shared {
    /// The snapshot of that number, while there is one.
    pub fn generation(&self, number: u64) -> Option<Arc<Snapshot>> {
        let running = self.snapshot.load_full();
        if running.generation == number {
            return Some(running);
        }
        let retired = self.retired.lock();
        let mut alive = retired.iter().filter_map(Weak::upgrade);
        alive.find(|snapshot| snapshot.generation == number)
    }

    /// Puts a new snapshot in place; gives the old one, whose requests go on.
    pub fn replace(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let mut retired = self.retired.lock();
        let old = self.snapshot.swap(Arc::new(snapshot));
        retired.retain(|one| one.strong_count() > 0);
        retired.push(Arc::downgrade(&old));
        old
    }
}
