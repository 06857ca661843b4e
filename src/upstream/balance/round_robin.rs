//! Turns by weight: the order is computed once for a set, a request takes the next place in it.
//!
//! An endpoint of weight w has w places, in nginx's order: who is owed most comes next. Rounds too long for that have them
//! spread evenly, and shifted against the others', so that a heavy one is never asked many times running. Invariant: over one round each endpoint is asked exactly as often as its weight says, up
//! to [`MOST_PLACES`].
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use super::Set;
use super::set::Turn;
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::endpoint::Endpoint;

/// Above so many places in a round, or four per endpoint, weights are rounded.
const MOST_PLACES: u64 = 4096;
/// So many comparisons are made for an order, at most.
const MOST_STEPS: u64 = 1 << 18;

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
    let weights: Vec<(u64, u32)> = { endpoints.iter() }
        .map(|turn| (places(turn.weight), turn.index))
        .collect();
    let round: u64 = weights.iter().map(|(weight, _)| weight).sum();
    if round * weights.len() as u64 <= MOST_STEPS {
        return owed(&weights, round);
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

/// One round, in which each is owed its weight at every place, and who is owed most, the first of them, pays for all.
fn owed(weights: &[(u64, u32)], round: u64) -> Box<[u32]> {
    let mut owed: Vec<i64> = vec![0; weights.len()];
    let order = (0..round).filter_map(|_| {
        for (own, (weight, _)) in owed.iter_mut().zip(weights) {
            *own += *weight as i64;
        }
        let most = *owed.iter().max()?;
        let at = owed.iter().position(|own| *own == most)?;
        *owed.get_mut(at)? -= round as i64;
        Some(weights.get(at)?.1)
    });
    order.collect()
}

/// The endpoint whose turn it is, or the next one that is not in `tried`.
pub(super) fn pick<'s>(
    set: &'s Set,
    tried: &[EndpointAddress],
    turn: usize,
) -> Option<&'s Arc<Endpoint>> {
    let (from, before) = set.from(turn)?;
    (from.iter().chain(before)).find_map(|index| set.untried(*index, tried))
}

fn gcd_of(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd_of(b, a % b) }
}
