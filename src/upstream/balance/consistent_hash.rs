//! The same endpoint for the same key, as long as it is usable and not overloaded.
//!
//! A ring on which each endpoint has up to [`POINTS`] points by its weight; a key belongs to the first point behind its
//! hash whose endpoint takes it. So a key moves only when its endpoint leaves or when one that joins takes it over. An
//! endpoint takes no more than [`BOUND`] of its fair part of the requests in flight (consistent hashing with bounded
//! loads), unless it is to take all; what it does not take goes to the next on the ring. Hashes are fixed, so that several edges agree.
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;
use std::sync::Arc;

use super::{Keys, Set, round_robin};
use crate::config::{HashOn, Hashing};
use crate::types::endpoint_address::EndpointAddress;
use crate::types::header::cookies_like;
use crate::upstream::endpoint::Endpoint;

/// An endpoint's points: with so many its part of the keys is within a fifth of what its weight says.
const POINTS: u32 = 512;
/// 5/4 of the fair part.
const BOUND: (u64, u64) = (5, 4);
/// Points looked at before the search for an endpoint on the ring is given up.
const MOST_STEPS: usize = 128;

/// See above.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// Hash in the upper, the endpoint's index in the lower half; sorted.
    points: Box<[u64]>,
    /// Where the points begin whose hash has these upper bits.
    starts: Box<[u32]>,
    shift: u32,
}

impl Ring {
    /// The ring of these endpoints.
    pub(super) fn new(endpoints: &[Arc<Endpoint>]) -> Self {
        let most = endpoints.iter().map(|endpoint| endpoint.weight).max();
        let most = u32::from(most.unwrap_or(1)).max(1);
        let mut points = Vec::new();
        for (index, endpoint) in (0_u64..).zip(endpoints) {
            let seed = hash(endpoint.label.as_bytes());
            let count = (POINTS * u32::from(endpoint.weight)).div_ceil(most);
            points.extend(
                (0..u64::from(count))
                    .map(|point| mixed(seed ^ mixed(point)) & 0xffff_ffff_0000_0000 | index),
            );
        }
        points.sort_unstable();
        let bits = points.len().div_ceil(4).max(2).next_power_of_two().ilog2();
        let shift = 64 - bits;
        let mut starts = Vec::with_capacity(1 << bits);
        for bucket in 0..1_u64 << bits {
            let from = starts.last().map_or(0, |at| *at as usize);
            let behind = points[from..].partition_point(|point| point >> shift < bucket);
            starts.push((from + behind) as u32);
        }
        Self {
            points: points.into(),
            starts: starts.into(),
            shift,
        }
    }

    /// Indices of endpoints from a hash on, round the ring once.
    fn from(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        let bucket = (hash >> self.shift) as usize;
        let mut at = self.starts.get(bucket).map_or(0, |at| *at as usize);
        while self.points.get(at).is_some_and(|point| *point < hash) {
            at += 1;
        }
        let (before, from) = self.points.split_at(at.min(self.points.len()));
        from.iter().chain(before).map(|point| *point as u32)
    }
}

/// The endpoint that the request's key belongs to and that is not in `tried`. Without a key, whose turn it is.
/// `in_flight` are the upstream's requests.
pub(super) fn pick<'s>(
    how: &Hashing,
    set: &'s Set,
    keys: &Keys<'_>,
    tried: &[EndpointAddress],
    in_flight: u32,
    turn: impl FnOnce() -> usize,
) -> Option<&'s Arc<Endpoint>> {
    let (Some(key), Some(ring)) = (keys.hash.or_else(|| key(&how.on, keys)), set.ring()) else {
        return round_robin::pick(set, tried, turn());
    };
    let all = u64::from(in_flight) + 1;
    let taken = ring.from(key).take(MOST_STEPS).find_map(|index| {
        let weight = set.weight(index);
        let endpoint = set.untried(index, tried).filter(|_| weight > 0)?;
        if !how.bounded {
            return Some(endpoint);
        }
        let load = u64::from(endpoint.in_flight()) * BOUND.1 * set.whole_weight();
        (load < BOUND.0 * all * u64::from(weight)).then_some(endpoint)
    });
    taken.or_else(|| {
        // Few of many are usable: among those, still the same for the same key.
        let start = (key % set.open().len().max(1) as u64) as usize;
        let (before, from) = set.open().split_at(start);
        (from.iter().chain(before)).find_map(|turn| set.untried(turn.index, tried))
    })
}

pub(super) fn key(on: &HashOn, keys: &Keys<'_>) -> Option<u64> {
    match on {
        HashOn::Client => match keys.client.parse().ok()? {
            IpAddr::V4(v4) => Some(hash(&v4.octets())),
            // A household has these 64 bits, its devices change the others.
            IpAddr::V6(v6) => Some(hash(&v6.octets()[..8])),
        },
        HashOn::Header(name) => {
            let value = keys.headers?.get(name)?.as_bytes();
            (!value.is_empty()).then(|| hash(value))
        }
        HashOn::Cookie(name) => cookies_like(keys.headers?, name).next().map(hash),
        // Whoever knows the values has made the hash of them.
        HashOn::Text(_) => None,
    }
}

/// What a text comes to; none where that is nothing.
pub(in crate::upstream) fn of_text(value: &[u8]) -> Option<u64> {
    (!value.is_empty()).then(|| hash(value))
}

/// FNV-1a, mixed: short keys, and the same result everywhere and always.
fn hash(bytes: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    mixed(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// Spreads a number over all bits (the finish of SplitMix64).
pub(super) fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
