//! The endpoint with the fewest requests in flight for its weight.
//!
//! Up to [`ALL`] endpoints all are compared; above, two drawn by chance, of which the better is nearly as good and
//! costs the same for any number. Among equals the turn decides, so that an idle upstream is used evenly.
#![deny(clippy::disallowed_methods)]

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
        let start = turn.checked_rem(open.len())?;
        let (before, from) = open.split_at(start);
        let candidates = from.iter().chain(before);
        return candidates
            .filter_map(|turn| Some((turn, set.untried(turn.index, tried)?)))
            .reduce(|best, other| if is_less(other, best) { other } else { best })
            .map(|(_, endpoint)| endpoint);
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
