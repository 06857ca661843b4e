//! The endpoint with the fewest requests in flight for its weight.
//!
//! Up to [`ALL`] endpoints all are compared; above, two drawn by chance, of which the better is nearly as good and
//! costs the same for any number. Among equals the turn decides, so that an idle upstream is used evenly.
#![deny(clippy::disallowed_methods)]

use std::cmp::Ordering;
use std::sync::Arc;

use super::consistent_hash::mixed;
use super::set::Turn;
use super::{Set, round_robin};
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::endpoint::Endpoint;

/// So many are all compared.
const ALL: usize = 8;

/// The least loaded endpoint that is not in `tried`. `turn` also stands for chance.
pub(super) fn pick<'s>(
    set: &'s Set,
    tried: &[EndpointAddress],
    turn: usize,
) -> Option<&'s Arc<Endpoint>> {
    let open = set.open();
    if open.len() <= ALL {
        return least(set, tried, turn);
    }
    let [one, other] = two_of(open.len(), mixed(turn as u64)).map(|at| {
        let turn = &open[at];
        Some((turn, set.untried(turn.index, tried)?))
    });
    match (one, other) {
        (Some(one), Some(other)) if is_less(other, one) => Some(other.1),
        (Some((_, endpoint)), _) | (None, Some((_, endpoint))) => Some(endpoint),
        (None, None) => round_robin::pick(set, tried, turn),
    }
}

/// Of all, who has the fewest for its weight; of several whose turn it is.
fn least<'s>(set: &'s Set, tried: &[EndpointAddress], turn: usize) -> Option<&'s Arc<Endpoint>> {
    // Requests of one, times the weight of the other, without dividing.
    let mut best: Option<(u64, u64, u32)> = None;
    let mut alike = [0_u32; ALL];
    let mut count = 0;
    for own in set.open() {
        let Some(endpoint) = set.untried(own.index, tried) else {
            continue;
        };
        let (load, weight) = (u64::from(endpoint.in_flight()), u64::from(own.weight));
        let order = best.map(|(known, of, _)| (load * of).cmp(&(known * weight)));
        match order {
            Some(Ordering::Greater) => continue,
            Some(Ordering::Equal) => {}
            Some(Ordering::Less) | None => {
                best = Some((load, weight, own.index));
                count = 0;
            }
        }
        if let Some(place) = alike.get_mut(count) {
            *place = own.index;
            count += 1;
        }
    }
    let alike = alike.get(..count).unwrap_or_default();
    if let [only] = alike {
        return set.untried(*only, tried);
    }
    let (from, before) = set.from(turn)?;
    let next = (from.iter().chain(before)).find(|index| alike.contains(index))?;
    set.untried(*next, tried)
}

fn is_less(one: (&Turn, &Arc<Endpoint>), other: (&Turn, &Arc<Endpoint>)) -> bool {
    // (in flight + this one) / weight, without the division.
    let load = |(_, endpoint): (&Turn, &Arc<Endpoint>)| u64::from(endpoint.in_flight()) + 1;
    load(one) * u64::from(other.0.weight) < load(other) * u64::from(one.0.weight)
}

/// Two different places below `count`, which is at least 2.
fn two_of(count: usize, chance: u64) -> [usize; 2] {
    let below = |bits: u64, count: usize| (((bits & 0xffff_ffff) * count as u64) >> 32) as usize;
    let one = below(chance, count);
    let other = below(chance >> 32, count - 1);
    [one, other + usize::from(other >= one)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_are_never_the_same_and_all_are_drawn_about_equally() {
        let mut drawn = [0_u32; 9];
        for turn in 0..90_000 {
            let [one, other] = two_of(drawn.len(), mixed(turn));
            assert_ne!(one, other);
            drawn[one] += 1;
            drawn[other] += 1;
        }
        assert!(
            drawn.iter().all(|times| (19_000..21_000).contains(times)),
            "{drawn:?}"
        );
    }
}
