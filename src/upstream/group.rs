//! Which endpoint of an upstream is tried next.
//!
//! Round robin over the endpoints that are not resting; an endpoint that refused a connection rests for
//! [`REST`]; when all rest, all are tried. Time comes in as an argument. State is carried over a reload by address.
#![deny(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::config;
use crate::types::name::UpstreamName;

/// How long an endpoint rests after a failed connect (nginx: `fail_timeout`).
pub const REST: Duration = Duration::from_secs(10);

/// One address of an upstream, with what is known about it.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its address as text, for logs.
    pub label: Box<str>,
    /// Milliseconds since the group's epoch until which it rests; 0 when it does not.
    rests_until: AtomicU64,
}

impl Endpoint {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            label: address.to_string().into(),
            rests_until: AtomicU64::new(0),
        }
    }
}

/// An upstream as it runs.
#[derive(Debug)]
pub struct Group {
    /// What was configured.
    pub config: config::Upstream,
    /// Its endpoints, in the order of the configuration.
    pub endpoints: Vec<Arc<Endpoint>>,
    next: AtomicUsize,
    epoch: Instant,
}

impl Group {
    /// A group for `config`; endpoints that `old` knows keep what is known about them.
    pub fn new(config: config::Upstream, old: Option<&Group>, now: Instant) -> Self {
        let known: HashMap<SocketAddr, &Arc<Endpoint>> = old
            .iter()
            .flat_map(|old| &old.endpoints)
            .map(|endpoint| (endpoint.address, endpoint))
            .collect();
        let endpoint = |address: &SocketAddr| match known.get(address) {
            Some(endpoint) => Arc::clone(endpoint),
            None => Arc::new(Endpoint::new(*address)),
        };
        Self {
            endpoints: config.endpoints.iter().map(endpoint).collect(),
            config,
            next: AtomicUsize::new(0),
            epoch: old.map_or(now, |old| old.epoch),
        }
    }

    /// Its name.
    pub fn name(&self) -> &UpstreamName {
        &self.config.name
    }

    /// The endpoint to try next: the first in turn that does not rest and is not in `tried`, else the first in turn
    /// that is not in `tried`. `None` when all were tried.
    pub fn next(&self, tried: &[SocketAddr], now: Instant) -> Option<&Arc<Endpoint>> {
        let count = self.endpoints.len();
        if count == 1 {
            return self
                .endpoints
                .first()
                .filter(|endpoint| !tried.contains(&endpoint.address));
        }
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn = || (0..count).map(|step| &self.endpoints[start.wrapping_add(step) % count]);
        let mut untried = in_turn().filter(|endpoint| !tried.contains(&endpoint.address));
        let now = self.millis(now);
        untried
            .clone()
            .find(|endpoint| endpoint.rests_until.load(Ordering::Relaxed) <= now)
            .or_else(|| untried.next())
    }

    /// Notes that `endpoint` refused a connection or did not answer in time.
    pub fn failed(&self, endpoint: &Endpoint, now: Instant) {
        let until = self.millis(now + REST);
        endpoint.rests_until.store(until, Ordering::Relaxed);
    }

    /// Notes that `endpoint` accepted a connection.
    pub fn works(&self, endpoint: &Endpoint) {
        if endpoint.rests_until.load(Ordering::Relaxed) != 0 {
            endpoint.rests_until.store(0, Ordering::Relaxed);
        }
    }

    /// Whether `endpoint` rests at `now`.
    pub fn is_resting(&self, endpoint: &Endpoint, now: Instant) -> bool {
        endpoint.rests_until.load(Ordering::Relaxed) > self.millis(now)
    }

    fn millis(&self, at: Instant) -> u64 {
        // One more than the distance, so that 0 stays free for "does not rest".
        u64::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX - 1)
            + 1
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests need a time to start from")]
mod tests {
    use super::*;

    fn group(count: u16) -> (Group, Instant) {
        let now = Instant::now();
        let config = config::Upstream {
            name: UpstreamName::parse("u").unwrap(),
            endpoints: (1..=count)
                .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
                .collect(),
            keep_alive: 1,
            keep_alive_idle: Duration::from_secs(1),
            protection: Default::default(),
        };
        (Group::new(config, None, now), now)
    }

    #[test]
    fn endpoints_take_turns() {
        let (group, now) = group(3);
        let ports: Vec<_> = (0..6)
            .map(|_| group.next(&[], now).unwrap().address.port())
            .collect();
        assert_eq!(ports, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn an_endpoint_that_failed_is_left_out_until_it_has_rested() {
        let (group, now) = group(2);
        group.failed(&group.endpoints[0], now);
        for _ in 0..4 {
            assert_eq!(group.next(&[], now).unwrap().address.port(), 2);
        }
        let later = now + REST + Duration::from_millis(1);
        let ports: Vec<_> = (0..2)
            .map(|_| group.next(&[], later).unwrap().address.port())
            .collect();
        assert!(ports.contains(&1));
    }

    #[test]
    fn when_all_rest_all_are_tried_once() {
        let (group, now) = group(2);
        for endpoint in &group.endpoints {
            group.failed(endpoint, now);
        }
        let first = group.next(&[], now).unwrap().address;
        let second = group.next(&[first], now).unwrap().address;
        assert_ne!(first, second);
        assert!(group.next(&[first, second], now).is_none());
    }

    #[test]
    fn a_reload_keeps_what_is_known_about_an_endpoint() {
        let (old, now) = group(2);
        old.failed(&old.endpoints[1], now);
        let new = Group::new(old.config.clone(), Some(&old), now);
        assert!(new.is_resting(&new.endpoints[1], now) && !new.is_resting(&new.endpoints[0], now));
    }
}
