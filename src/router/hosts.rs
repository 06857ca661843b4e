//! A table from host names to numbers for very many hosts: made once, then only read.
//!
//! What a lookup waits for is memory that was not looked at for a while. A slot has all but the name itself, four slots
//! are a cache line, and the names stand one behind the other: two lines for a host that is there, mostly one for a host that is not.
//! Keys come from the configuration only, so a client cannot make them collide.
#![deny(clippy::disallowed_methods)]

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

/// Numbers by host name. Empty names are not kept.
#[derive(Debug)]
pub(super) struct HostTable {
    /// A power of two of them; searched in turn from where the hash says.
    slots: Box<[Slot]>,
    names: Box<[u8]>,
    hashing: RandomState,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// The half of the hash that does not say where to begin.
    print: u32,
    value: u32,
    /// Where the name begins.
    at: u32,
    /// 0 when the slot is free.
    length: u32,
}

impl HostTable {
    /// Takes at most 2^31 names with their numbers. Of equal names the first counts.
    pub(super) fn new<'a>(hosts: impl Iterator<Item = (&'a str, u32)> + Clone) -> Self {
        let count = hosts.clone().count();
        let mut table = Self {
            // At most two thirds are taken, so that a search ends soon.
            slots: vec![Slot::default(); (count * 3 / 2 + 1).next_power_of_two()].into(),
            names: Box::default(),
            hashing: RandomState::default(),
        };
        let mut names = Vec::new();
        for (host, value) in hosts {
            let (at, print) = table.begin(host);
            let free = table.search(at, |slot| {
                slot.print == print && slot.name(&names) == host.as_bytes()
            });
            if let Err(free) = free
                && let Some(slot) = table.slots.get_mut(free)
            {
                *slot = Slot {
                    print,
                    value,
                    at: names.len() as u32,
                    length: host.len() as u32,
                };
                names.extend_from_slice(host.as_bytes());
            }
        }
        table.names = names.into();
        table
    }

    /// The number of `host`.
    pub(super) fn get(&self, host: &str) -> Option<u32> {
        let (at, print) = self.begin(host);
        let found = self.search(at, |slot| {
            slot.print == print && slot.name(&self.names) == host.as_bytes()
        });
        Some(self.slots.get(found.ok()?)?.value)
    }

    /// Where the search for `host` begins, and its fingerprint.
    fn begin(&self, host: &str) -> (usize, u32) {
        let hash = self.hashing.hash_one(host);
        (hash as usize, (hash >> 32) as u32)
    }

    /// The first slot from `at` on that `is_it`, or else the first free one.
    fn search(&self, at: usize, is_it: impl Fn(&Slot) -> bool) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut index = at & mask;
        loop {
            match self.slots.get(index) {
                Some(slot) if slot.length != 0 => {
                    if is_it(slot) {
                        return Ok(index);
                    }
                }
                // There always is a free one.
                _ => return Err(index),
            }
            index = (index + 1) & mask;
        }
    }
}

impl Slot {
    fn name<'a>(&self, names: &'a [u8]) -> &'a [u8] {
        let (at, length) = (self.at as usize, self.length as usize);
        names.get(at..at + length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_table_finds_nothing() {
        let table = HostTable::new(std::iter::empty());
        assert_eq!(table.get("a.test"), None);
        assert_eq!(table.get(""), None);
    }

    proptest! {
        #[test]
        fn every_name_finds_the_number_it_came_with_first(
            hosts in prop::collection::vec(("[ab.]{1,4}", any::<u32>()), 0..60),
            others in prop::collection::vec("[abc.]{0,5}", 0..20),
        ) {
            let table = HostTable::new(hosts.iter().map(|(host, value)| (&**host, *value)));
            let mut want = HashMap::new();
            for (host, value) in &hosts {
                want.entry(&**host).or_insert(*value);
            }
            for host in hosts.iter().map(|(host, _)| host).chain(&others) {
                prop_assert_eq!(table.get(host), want.get(&**host).copied());
            }
        }
    }
}
