//! Who gets the next request: [`pick`] from a [`Set`], by what the upstream's `balance` says.
//!
//! `set` says who can be chosen and in what order, and is made when that changes; `round_robin`, `least_requests` and
//! `consistent_hash` choose, `sticky` remembers. All pure: a turn's number stands for chance, and what a request offers comes in as
//! [`Keys`].

mod consistent_hash;
mod least_requests;
mod round_robin;
mod set;
pub(super) mod sticky;

use std::sync::Arc;

use http::HeaderMap;
pub(super) use set::Set;

use super::endpoint::Endpoint;
use crate::config::{Balance, HashOn, Lookup, Variable};
use crate::types::endpoint_address::EndpointAddress;

/// What a request offers to choose by. Costs nothing until it is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys<'a> {
    /// The client's address as text.
    pub client: &'a str,
    /// The request's fields.
    pub headers: Option<&'a HeaderMap>,
    /// The time in seconds since 1970, which only sessions need.
    pub unix: u64,
    /// What hashing came to before, where the rest is no longer at hand.
    pub hash: Option<u64>,
}

/// What a request's key hashes to; `None` where that does not count, or there is none.
pub(super) fn hashed(balance: &Balance, keys: &Keys<'_>) -> Option<u64> {
    match balance {
        Balance::Hash(how) => keys.hash.or_else(|| consistent_hash::key(&how.on, keys)),
        Balance::RoundRobin | Balance::LeastRequests | Balance::Random => None,
    }
}

/// What a request hashes to whose values are known: where the upstream hashes a text, or the client as a log has it.
pub(super) fn hashed_by(balance: &Balance, values: &dyn Lookup) -> Option<u64> {
    let Balance::Hash(how) = balance else {
        return None;
    };
    match &how.on {
        HashOn::Text(text) => consistent_hash::of_text(&text.value(values)),
        HashOn::Client => {
            let mut client = Vec::new();
            values.append(&Variable::RemoteAddr, &mut client);
            let keys = Keys {
                client: std::str::from_utf8(&client).unwrap_or_default(),
                ..Keys::default()
            };
            consistent_hash::key(&HashOn::Client, &keys)
        }
        _ => None,
    }
}

/// The endpoint for the next request that is not in `tried`. `turn` counts up. `in_flight`
/// gives the upstream's requests.
pub(super) fn pick<'s>(
    balance: &Balance,
    set: &'s Set,
    keys: &Keys<'_>,
    tried: &[EndpointAddress],
    turn: impl Fn() -> usize,
    in_flight: impl FnOnce() -> u32,
) -> Option<&'s Arc<Endpoint>> {
    let picked = match (set.turns(), balance) {
        ([only], _) => set.untried(*only, tried),
        (_, Balance::RoundRobin) => round_robin::pick(set, tried, turn()),
        (_, Balance::Random) => {
            // The place in a round in which endpoints with more weight come more often.
            let chance = consistent_hash::mixed(turn() as u64);
            round_robin::pick(set, tried, (chance >> 16) as usize)
        }
        (_, Balance::LeastRequests) => least_requests::pick(set, tried, turn()),
        (_, Balance::Hash(how)) => consistent_hash::pick(how, set, keys, tried, in_flight(), &turn),
    };
    picked.or_else(|| {
        // A turn of theirs: once they are all there is, the round goes on behind it.
        turn();
        set.last()
            .iter()
            .find_map(|index| set.untried(*index, tried))
    })
}

#[cfg(test)]
mod tests;
