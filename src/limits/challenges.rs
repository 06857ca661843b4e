//! How often a client may have a challenge token handed on that is not ours, and how many are under way at once.
//!
//! A bucket for each client address (an IPv6 network of /64 counts as one): [`BURST`] at once, [`PER_SECOND`] after that. An
//! authority asks from a handful of addresses, once each; who asks more often is guessing. Times come in as arguments.
//! Invariant: at most [`CLIENTS`] are remembered, and a permit given is taken back when it is dropped.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Tokens handed on for one client at once.
const BURST: f64 = 20.0;
/// And then, per second.
const PER_SECOND: f64 = 20.0;
/// Handed on at once, for all clients.
const AT_ONCE: usize = 64;
/// Clients remembered; one that has been quiet for a second need not be.
const CLIENTS: usize = 4096;

/// The counts, shared by all workers.
#[derive(Debug)]
pub struct ChallengeLimit {
    clients: Mutex<HashMap<IpAddr, Bucket>>,
    at_once: Arc<Semaphore>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Default for ChallengeLimit {
    fn default() -> Self {
        Self {
            clients: Mutex::default(),
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl ChallengeLimit {
    /// Lets one token of `client` be handed on, for as long as the permit is held; `None` when that would be too many.
    pub fn admit(&self, client: IpAddr, now: Instant) -> Option<OwnedSemaphorePermit> {
        if !self.take(network(client), now) {
            return None;
        }
        Arc::clone(&self.at_once).try_acquire_owned().ok()
    }

    fn take(&self, client: IpAddr, now: Instant) -> bool {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= CLIENTS && !clients.contains_key(&client) {
            let full = Duration::from_secs_f64(BURST / PER_SECOND);
            clients.retain(|_, bucket| now.saturating_duration_since(bucket.at) < full);
            if clients.len() >= CLIENTS {
                return false;
            }
        }
        let bucket = clients.entry(client).or_insert(Bucket {
            left: BURST,
            at: now,
        });
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + passed * PER_SECOND).min(BURST);
        bucket.at = now;
        let allowed = bucket.left >= 1.0;
        if allowed {
            bucket.left -= 1.0;
        }
        allowed
    }
}

/// One household has a /64; an address of it costs nothing.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(v6) => {
            let bits = v6.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any moment to begin at")]
        Instant::now()
    }

    #[test]
    fn a_client_that_guesses_is_slowed_down_and_others_are_not() {
        let (limit, start) = (ChallengeLimit::default(), now());
        let one = "192.0.2.1".parse().unwrap();
        let allowed = (0..100).filter(|_| limit.admit(one, start).is_some());
        assert_eq!(allowed.count(), 20);
        assert!(limit.admit("192.0.2.2".parse().unwrap(), start).is_some());
        let later = start + Duration::from_millis(500);
        let allowed = (0..100).filter(|_| limit.admit(one, later).is_some());
        assert_eq!(allowed.count(), 10);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let (limit, start) = (ChallengeLimit::default(), now());
        let allowed = (0..100u128).filter(|number| {
            let address = Ipv6Addr::from_bits((0x2001_0db8 << 96) + number);
            limit.admit(address.into(), start).is_some()
        });
        assert_eq!(allowed.count(), 20);
    }

    #[test]
    fn no_more_than_64_are_under_way_at_once() {
        let (limit, start) = (ChallengeLimit::default(), now());
        let client = |number: u32| IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        let held: Vec<_> = (0..100).map(|n| limit.admit(client(n), start)).collect();
        assert_eq!(held.iter().flatten().count(), 64);
        drop(held);
        assert!(limit.admit(client(200), start).is_some());
    }

    #[test]
    fn clients_without_end_do_not_fill_the_memory() {
        let (limit, start) = (ChallengeLimit::default(), now());
        let client = |number: u32| IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        for number in 0..10_000 {
            drop(limit.admit(client(number), start));
        }
        assert_eq!(limit.clients.lock().unwrap().len(), CLIENTS);
        let later = start + Duration::from_secs(2);
        assert!(limit.admit(client(20_000), later).is_some());
        assert_eq!(limit.clients.lock().unwrap().len(), 1);
    }
}
