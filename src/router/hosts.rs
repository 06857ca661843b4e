//! A table from host names to numbers for very many hosts: made once, then only read.
//!
//! What a lookup waits for is memory that was not looked at for a while. A byte says of each place whether to look there,
//! so these bytes are few and asked all the time; a place is a cache line with all there is of a host, but for a long
//! name's end. So one line is waited for when the host is there, and mostly none when it is not.
//! Keys come from the configuration only, so a client cannot make them collide.
#![deny(clippy::disallowed_methods)]

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

/// How much of a name is kept at its place.
const START: usize = 52;
/// In place of a print: nothing is kept there.
const FREE: u8 = 0;

/// Numbers by host name. Empty names are not kept.
#[derive(Debug)]
pub(super) struct HostTable {
    /// A power of two of them, searched in turn from where the hash says: a part of the hash that says nothing else.
    prints: Box<[u8]>,
    /// As many.
    places: Box<[Place]>,
    /// The ends of long names.
    ends: Box<[u8]>,
    hashing: RandomState,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Place {
    value: u32,
    /// Where a long name's end begins.
    end: u32,
    /// Of the whole name.
    length: u32,
    start: [u8; START],
}

impl HostTable {
    /// Takes at most 2^31 names with their numbers. Of equal names the first counts.
    pub(super) fn new<'a>(hosts: impl Iterator<Item = (&'a str, u32)> + Clone) -> Self {
        let count = hosts.clone().count();
        // At most two thirds are taken, so that a search ends soon.
        let room = (count * 3 / 2 + 1).next_power_of_two();
        let mut table = Self {
            prints: vec![FREE; room].into(),
            places: vec![Place::free(); room].into(),
            ends: Box::default(),
            hashing: RandomState::default(),
        };
        let mut ends = Vec::new();
        for (host, value) in hosts.filter(|(host, _)| !host.is_empty()) {
            let (at, print) = table.begin(host);
            let free = table.search(at, print, |place| place.is(host, &ends));
            if let Err(free) = free
                && let Some(place) = table.places.get_mut(free)
                && let Some(known) = table.prints.get_mut(free)
            {
                *known = print;
                *place = Place::of(host, value, &mut ends);
            }
        }
        table.ends = ends.into();
        table
    }

    /// The number of `host`.
    pub(super) fn get(&self, host: &str) -> Option<u32> {
        let (at, print) = self.begin(host);
        let found = self.search(at, print, |place| place.is(host, &self.ends));
        Some(self.places.get(found.ok()?)?.value)
    }

    /// Where the search for `host` begins, and its print.
    fn begin(&self, host: &str) -> (usize, u8) {
        let hash = self.hashing.hash_one(host);
        (hash as usize, ((hash >> 56) as u8).max(FREE + 1))
    }

    /// The first place from `at` on with this print that `is_it`, or else the first free one.
    fn search(&self, at: usize, print: u8, is_it: impl Fn(&Place) -> bool) -> Result<usize, usize> {
        let mask = self.prints.len() - 1;
        let mut index = at & mask;
        loop {
            match self.prints.get(index) {
                Some(known) if *known == print => {
                    if self.places.get(index).is_some_and(&is_it) {
                        return Ok(index);
                    }
                }
                // There always is a free one.
                None | Some(&FREE) => return Err(index),
                Some(_) => {}
            }
            index = (index + 1) & mask;
        }
    }
}

impl Place {
    fn free() -> Self {
        Self {
            value: 0,
            end: 0,
            length: 0,
            start: [0; START],
        }
    }

    fn of(host: &str, value: u32, ends: &mut Vec<u8>) -> Self {
        let (start, rest) = split(host);
        let mut place = Self {
            value,
            end: ends.len() as u32,
            length: host.len() as u32,
            ..Self::free()
        };
        for (kept, byte) in place.start.iter_mut().zip(start) {
            *kept = *byte;
        }
        ends.extend_from_slice(rest);
        place
    }

    fn is(&self, host: &str, ends: &[u8]) -> bool {
        let (start, rest) = split(host);
        let end = self.end as usize;
        self.length as usize == host.len()
            && self.start.get(..start.len()) == Some(start)
            && (rest.is_empty() || ends.get(end..end + rest.len()) == Some(rest))
    }
}

/// What of a name is kept at its place, and the rest.
fn split(host: &str) -> (&[u8], &[u8]) {
    let host = host.as_bytes();
    host.split_at_checked(START).unwrap_or((host, &[]))
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

    #[test]
    fn a_host_is_a_cache_line() {
        assert_eq!(size_of::<Place>(), 64);
    }

    #[test]
    fn names_that_differ_at_their_ends_are_told_apart_however_long_they_are() {
        let names: Vec<String> = [START - 1, START, START + 1, 3 * START]
            .into_iter()
            .flat_map(|length| ['a', 'b'].map(|last| format!("{last:x>length$}")))
            .collect();
        let table = HostTable::new(names.iter().map(String::as_str).zip(0..));
        for (name, number) in names.iter().zip(0..) {
            assert_eq!(table.get(name), Some(number), "{name}");
            assert_eq!(table.get(&format!("{name}a")), None, "{name}");
            assert_eq!(table.get(&name.replace(['a', 'b'], "c")), None, "{name}");
        }
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
