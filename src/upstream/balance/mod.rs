//! Who gets the next request: [`pick`] from a [`Set`], by what the upstream's `balance` says.
//!
//! `set` says who can be chosen and in what order, and is made when that changes; `round_robin` orders by weight. All
//! pure: a turn's number stands for chance, and what a request offers comes in as [`Keys`].

pub(super) mod round_robin;
mod set;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;
pub(super) use set::Set;

use super::endpoint::Endpoint;
use crate::config::Balance;

/// What a request offers to choose by. Costs nothing until it is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys<'a> {
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The request's fields.
    pub headers: Option<&'a HeaderMap>,
}

/// The endpoint for the next request that is not in `tried`. `turn` counts up; it is asked at most once.
pub(super) fn pick<'s>(
    balance: &Balance,
    set: &'s Set,
    keys: &Keys<'_>,
    tried: &[SocketAddr],
    turn: impl FnOnce() -> usize,
) -> Option<&'s Arc<Endpoint>> {
    let _ = (balance, keys);
    let picked = match set.turns() {
        [only] => set.untried(*only, tried),
        _ => round_robin::pick(set, tried, turn()),
    };
    picked.or_else(|| {
        set.last()
            .iter()
            .find_map(|index| set.untried(*index, tried))
    })
}
