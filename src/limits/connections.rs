//! Counts open connections, in total and per client, and refuses those above the caps.
//!
//! A client is an IPv4 address or an IPv6 /64, the smallest block a subscriber gets. A [`Permit`] gives its place back
//! when dropped, so a panic or an early return cannot leak one; a client without connections takes no memory. Lowered
//! caps hold for new connections and end none.
#![deny(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many that workers seldom meet at one lock, so few that counting clients stays cheap.
const SHARDS: usize = 16;

/// The open connections of the process and their caps. Shared by all listeners and workers.
#[derive(Debug)]
pub struct ConnectionCaps {
    max_total: AtomicUsize,
    max_per_client: AtomicUsize,
    total: AtomicUsize,
    hasher: RandomState,
    shards: [Mutex<HashMap<ClientKey, usize>>; SHARDS],
}

/// One place among the open connections; dropping it gives the place back.
#[derive(Debug)]
#[must_use = "a dropped permit counts no connection"]
pub struct Permit {
    caps: Arc<ConnectionCaps>,
    client: Option<ClientKey>,
}

/// What counts as one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey(IpAddr);

/// Which cap a connection would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `limits.connections`
    #[error("{limit} connections are open, which is all `limits.connections` allows")]
    Total {
        /// The cap.
        limit: usize,
    },
    /// `limits.connections_per_client`
    #[error(
        "the client has {limit} connections open, which is all `limits.connections_per_client` allows"
    )]
    PerClient {
        /// The cap.
        limit: usize,
    },
}

impl ConnectionCaps {
    /// Takes the two caps; 0 refuses every connection.
    pub fn new(max_total: usize, max_per_client: usize) -> Arc<Self> {
        Arc::new(Self {
            max_total: AtomicUsize::new(max_total),
            max_per_client: AtomicUsize::new(max_per_client),
            total: AtomicUsize::new(0),
            hasher: RandomState::new(),
            shards: Default::default(),
        })
    }

    /// Puts new caps in place, for connections from now on.
    pub fn set(&self, max_total: usize, max_per_client: usize) {
        self.max_total.store(max_total, Ordering::Relaxed);
        self.max_per_client.store(max_per_client, Ordering::Relaxed);
    }

    /// Takes a place for a connection from `address`, or says which cap is reached.
    pub fn try_acquire(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Refused> {
        self.try_acquire_unknown()?.of_client(address)
    }

    /// Takes a place for a connection whose client is not known yet; [`Permit::of_client`] says it.
    pub fn try_acquire_unknown(self: &Arc<Self>) -> Result<Permit, Refused> {
        let limit = self.max_total.load(Ordering::Relaxed);
        self.total
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < limit).then_some(open + 1)
            })
            .map_err(|_| Refused::Total { limit })?;
        Ok(Permit {
            caps: Arc::clone(self),
            client: None,
        })
    }

    /// The number of open connections.
    pub fn open(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// The number of clients with an open connection. Locks each part of the table in turn: for status pages.
    pub fn clients(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn count_client(&self, client: ClientKey) -> Result<(), Refused> {
        let limit = self.max_per_client.load(Ordering::Relaxed);
        let mut shard = self.shard(client);
        match shard.entry(client) {
            Entry::Occupied(mut entry) if *entry.get() < limit => *entry.get_mut() += 1,
            Entry::Vacant(entry) if limit > 0 => {
                entry.insert(1);
            }
            Entry::Occupied(_) | Entry::Vacant(_) => return Err(Refused::PerClient { limit }),
        }
        Ok(())
    }

    fn release(&self, client: ClientKey) {
        let mut shard = self.shard(client);
        if let Entry::Occupied(mut entry) = shard.entry(client) {
            if *entry.get() > 1 {
                *entry.get_mut() -= 1;
            } else {
                entry.remove();
            }
        }
    }

    /// The part of the table that counts `client`. The hash is seeded, so a client cannot choose its part.
    fn shard(&self, client: ClientKey) -> MutexGuard<'_, HashMap<ClientKey, usize>> {
        let index = self.hasher.hash_one(client) as usize % SHARDS;
        lock(&self.shards[index])
    }
}

impl Permit {
    /// Says whose connection it is, at most once. The place is given back when the client's cap is reached.
    pub fn of_client(mut self, address: IpAddr) -> Result<Self, Refused> {
        let client = ClientKey::of(address);
        self.caps.count_client(client)?;
        self.client = Some(client);
        Ok(self)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(client) = self.client {
            self.caps.release(client);
        }
        self.caps.total.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ClientKey {
    /// The client behind an address: IPv4 as it is, also when mapped into IPv6; of IPv6 the first 64 bits.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        })
    }
}

/// Nothing under these locks can stop half-way, so the counts of a poisoned one are as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_gets_no_more_than_its_share_and_others_still_get_theirs() {
        let caps = ConnectionCaps::new(10, 2);
        let held: Vec<_> = (0..2)
            .map(|_| caps.try_acquire(ip("192.0.2.1")).unwrap())
            .collect();
        assert_eq!(
            caps.try_acquire(ip("192.0.2.1")).unwrap_err(),
            Refused::PerClient { limit: 2 }
        );
        let other = caps.try_acquire(ip("192.0.2.2")).unwrap();
        assert_eq!((caps.open(), caps.clients()), (3, 2));
        drop((held, other));
    }

    #[test]
    fn the_total_cap_holds_across_clients() {
        let caps = ConnectionCaps::new(2, 2);
        let first = caps.try_acquire(ip("192.0.2.1")).unwrap();
        let second = caps.try_acquire(ip("192.0.2.2")).unwrap();
        assert_eq!(
            caps.try_acquire(ip("192.0.2.3")).unwrap_err(),
            Refused::Total { limit: 2 }
        );
        drop(first);
        assert!(caps.try_acquire(ip("192.0.2.3")).is_ok());
        drop(second);
    }

    #[test]
    fn a_refused_connection_is_not_counted() {
        let caps = ConnectionCaps::new(5, 1);
        let held = caps.try_acquire(ip("192.0.2.1")).unwrap();
        for _ in 0..20 {
            assert!(caps.try_acquire(ip("192.0.2.1")).is_err());
        }
        assert_eq!(caps.open(), 1);
        drop(held);
        assert_eq!((caps.open(), caps.clients()), (0, 0));
    }

    #[test]
    fn addresses_of_one_ipv6_64_are_one_client() {
        let caps = ConnectionCaps::new(9, 1);
        let held = caps.try_acquire(ip("2001:db8:0:1::1")).unwrap();
        assert!(caps.try_acquire(ip("2001:db8:0:1:ffff::2")).is_err());
        assert!(caps.try_acquire(ip("2001:db8:0:2::1")).is_ok());
        drop(held);
    }

    #[test]
    fn an_ipv4_address_mapped_into_ipv6_is_the_same_client() {
        assert_eq!(
            ClientKey::of(ip("::ffff:192.0.2.1")),
            ClientKey::of(ip("192.0.2.1"))
        );
        assert_ne!(
            ClientKey::of(ip("::ffff:192.0.2.1")),
            ClientKey::of(ip("::ffff:192.0.2.2"))
        );
    }

    #[test]
    fn a_panic_gives_the_place_back() {
        let caps = ConnectionCaps::new(1, 1);
        let shared = Arc::clone(&caps);
        let outcome = std::thread::spawn(move || {
            let _held = shared.try_acquire(ip("192.0.2.1")).unwrap();
            panic!("the connection's task ends badly");
        })
        .join();
        assert!(outcome.is_err());
        assert_eq!((caps.open(), caps.clients()), (0, 0));
    }

    #[test]
    fn lowered_caps_hold_for_new_connections_and_end_none() {
        let caps = ConnectionCaps::new(10, 10);
        let mut held: Vec<_> = (0..5)
            .map(|_| caps.try_acquire(ip("192.0.2.1")).unwrap())
            .collect();
        caps.set(10, 2);
        assert_eq!(caps.open(), 5);
        held.truncate(2);
        assert!(caps.try_acquire(ip("192.0.2.1")).is_err());
        held.truncate(1);
        assert!(caps.try_acquire(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn caps_of_zero_refuse_everybody() {
        assert!(
            ConnectionCaps::new(0, 5)
                .try_acquire(ip("192.0.2.1"))
                .is_err()
        );
        let caps = ConnectionCaps::new(5, 0);
        assert!(caps.try_acquire(ip("192.0.2.1")).is_err());
        assert_eq!((caps.open(), caps.clients()), (0, 0));
    }

    #[test]
    fn threads_never_exceed_the_caps_together_and_leave_nothing_behind() {
        let caps = ConnectionCaps::new(50, 7);
        std::thread::scope(|scope| {
            for thread in 0..8u8 {
                let caps = &caps;
                scope.spawn(move || {
                    let mut held = Vec::new();
                    for round in 0..2_000u32 {
                        let address = IpAddr::from([10, 0, 0, (round % 11) as u8]);
                        match caps.try_acquire(address) {
                            Ok(permit) => held.push(permit),
                            Err(_) => held.truncate(usize::from(thread)),
                        }
                        assert!(caps.open() <= 50);
                    }
                });
            }
        });
        assert_eq!((caps.open(), caps.clients()), (0, 0));
    }
}
