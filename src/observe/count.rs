//! The two things metrics are made of: a [`Counter`] that only grows and a [`Gauge`] that follows something open.
//!
//! Both are single relaxed atomics: they order nothing and guard nothing. Invariant: a gauge goes up only by making a
//! [`GaugeGuard`] or a [`Raised`], so an early return, a cancelled task or a panic cannot leave it too high.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Counts `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number of things that are open now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// How many are open.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Raises it by one for as long as the guard lives.
    pub fn raise(&self) -> Raised<'_> {
        self.0.fetch_add(1, Relaxed);
        Raised(self)
    }

    /// Replaces the value, for gauges that mirror a state instead of counting guards.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
}

/// Holds a gauge one higher for as long as it lives.
#[derive(Debug)]
#[must_use = "the gauge goes down again when this is dropped"]
pub struct Raised<'a>(&'a Gauge);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

/// Holds a gauge of `R` one higher for as long as it lives.
///
/// `R` is the registry the gauge is a field of; the guard keeps it alive.
#[derive(Debug)]
#[must_use = "the gauge goes down again when this is dropped"]
pub struct GaugeGuard<R> {
    registry: Arc<R>,
    gauge: fn(&R) -> &Gauge,
}

impl<R> GaugeGuard<R> {
    /// Raises the gauge that `gauge` picks out of `registry`.
    pub fn new(registry: Arc<R>, gauge: fn(&R) -> &Gauge) -> Self {
        gauge(&registry).0.fetch_add(1, Relaxed);
        Self { registry, gauge }
    }
}

impl<R> Drop for GaugeGuard<R> {
    fn drop(&mut self) {
        (self.gauge)(&self.registry).0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_lowers_the_gauge_again() {
        let gauge = Arc::new(Gauge::default());
        let inner = Arc::clone(&gauge);
        let thread = std::thread::spawn(move || {
            let _guard = GaugeGuard::new(inner, |gauge| gauge);
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(thread.join().is_err());
        assert_eq!(gauge.get(), 0);
    }
}
