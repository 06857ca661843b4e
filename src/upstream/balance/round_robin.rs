//! Turns by weight: the order is computed once for a set, a request takes the next place in it.
//!
//! An endpoint of weight w has w places, spread evenly and shifted against the others', so that a heavy one is never
//! asked many times running. Invariant: over one round each endpoint is asked exactly as often as its weight says, up
//! to [`MOST_PLACES`].
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use super::Set;
use super::set::Turn;
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::endpoint::Endpoint;

/// Above so many places in a round, or four per endpoint, weights are rounded.
const MOST_PLACES: u64 = 4096;

/// The order of one round.
pub(super) fn order(endpoints: &[Turn]) -> Box<[u32]> {
    let divisor = endpoints
        .iter()
        .fold(0, |gcd, turn| gcd_of(gcd, turn.weight))
        .max(1);
    let total: u64 = endpoints
        .iter()
        .map(|turn| u64::from(turn.weight / divisor))
        .sum();
    let most = MOST_PLACES.max(4 * endpoints.len() as u64);
    let places = |weight: u32| {
        let weight = u64::from(weight / divisor);
        if total <= most {
            weight
        } else {
            (weight * most / total).max(1)
        }
    };
    if endpoints.iter().all(|turn| places(turn.weight) == 1) {
        return endpoints.iter().map(|turn| turn.index).collect();
    }
    let count = endpoints.len() as f64;
    let mut all = Vec::new();
    for (nth, turn) in endpoints.iter().enumerate() {
        let (places, shift) = (places(turn.weight), (nth as f64 + 0.5) / count);
        all.extend((0..places).map(|place| ((place as f64 + shift) / places as f64, turn.index)));
    }
    all.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    all.into_iter().map(|(_, index)| index).collect()
}

/// The endpoint whose turn it is, or the next one that is not in `tried`.
pub(super) fn pick<'s>(
    set: &'s Set,
    tried: &[EndpointAddress],
    turn: usize,
) -> Option<&'s Arc<Endpoint>> {
    let turns = set.turns();
    let start = turn.checked_rem(turns.len())?;
    let (before, from) = turns.split_at(start);
    (from.iter().chain(before)).find_map(|index| set.untried(*index, tried))
}

fn gcd_of(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd_of(b, a % b) }
}
