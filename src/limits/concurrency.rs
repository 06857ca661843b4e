//! Counts requests under way, for each value of a key, and refuses those beyond a number, as nginx's `limit_conn` does.
//!
//! A [`Place`] gives its request's part back when it is dropped. A key without requests takes no memory; when as many
//! keys have some as may, requests with further ones are refused.
#![deny(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::rate::short;

/// One limit's keys. Shared by all workers.
#[derive(Debug)]
pub struct ConcurrencyTable {
    most_keys: usize,
    under_way: Mutex<HashMap<Arc<[u8]>, u32>>,
}

/// A request's part of a limit.
#[derive(Debug)]
#[must_use = "a dropped place counts no request"]
pub struct Place {
    table: Arc<ConcurrencyTable>,
    key: Arc<[u8]>,
}

impl ConcurrencyTable {
    /// At most so many keys.
    pub fn new(most_keys: usize) -> Self {
        Self {
            most_keys: most_keys.max(1),
            under_way: Mutex::default(),
        }
    }

    /// One of `most` places for the key, `None` when all are taken.
    pub fn enter(self: &Arc<Self>, key: &[u8], most: u32) -> Option<Place> {
        let key: Arc<[u8]> = short(key).into();
        let mut under_way = self.lock();
        let keys = under_way.len();
        match under_way.entry(key.clone()) {
            Entry::Occupied(mut entry) if *entry.get() < most => *entry.get_mut() += 1,
            Entry::Vacant(entry) if keys < self.most_keys && most > 0 => {
                entry.insert(1);
            }
            Entry::Occupied(_) | Entry::Vacant(_) => return None,
        }
        drop(under_way);
        let table = self.clone();
        Some(Place { table, key })
    }

    /// How many keys have requests under way.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<[u8]>, u32>> {
        let under_way = self.under_way.lock();
        under_way.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.table.lock().entry(self.key.clone()) {
            match *entry.get() > 1 {
                true => *entry.get_mut() -= 1,
                false => drop(entry.remove()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_places_and_gives_them_back() {
        let table = Arc::new(ConcurrencyTable::new(9));
        let held: Vec<_> = (0..5).map(|_| table.enter(b"a", 3)).collect();
        assert_eq!(held.iter().flatten().count(), 3);
        let other = table.enter(b"b", 3);
        assert!(other.is_some());
        assert_eq!(table.len(), 2);
        drop(held);
        assert!(table.enter(b"a", 1).is_some());
        drop(other);
        assert!(table.is_empty());
    }

    #[test]
    fn no_more_keys_than_may_have_requests_under_way() {
        let table = Arc::new(ConcurrencyTable::new(2));
        let held: Vec<_> = ["a", "b", "c"]
            .map(|key| table.enter(key.as_bytes(), 9))
            .into();
        assert_eq!(held.iter().flatten().count(), 2);
        assert!(table.enter(b"a", 9).is_some());
        drop(held);
        assert!(table.enter(b"c", 9).is_some());
    }
}
