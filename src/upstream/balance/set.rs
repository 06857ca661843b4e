//! The endpoints of an upstream as choices see them: who is usable, in what order they take turns, who comes last.
//!
//! Immutable. Made when an endpoint's standing changes, or when time changes one; that is where the work of balancing
//! is done. Invariant: who an operator has disabled is in none of its lists.
#![deny(clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use foldhash::HashMap;

use super::consistent_hash::Ring;
use super::round_robin;
use crate::config::{self, Balance};
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::endpoint::{Endpoint, Override};
use crate::upstream::standing::{Fit, STEPS};

/// Rounds longer than this begin anew when a set is made.
const MOST_PLACES: usize = 256;

/// An endpoint that takes turns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) index: u32,
    /// Its weight, with what a slow start leaves of it.
    pub(super) weight: u32,
}

/// An endpoint that may get requests, sooner or later.
struct Seat {
    fit: Fit,
    backup: bool,
    turn: Turn,
}

fn one_is_well(seats: &[Seat]) -> bool {
    seats.iter().any(|seat| seat.fit == Fit::Well)
}

/// See above.
#[derive(Debug)]
pub(in crate::upstream) struct Set {
    endpoints: Box<[Arc<Endpoint>]>,
    /// Those that take turns.
    open: Box<[Turn]>,
    /// Weights of all endpoints; 0 for those that take no turns. Only for hashing, as `ring`.
    weights: Box<[u32]>,
    /// Where those are that sessions may go on with. Only with sessions.
    sessions: HashMap<SocketAddr, u32>,
    whole_weight: u64,
    ring: Option<Arc<Ring>>,
    /// Indices of those that take turns, each as often as its weight says.
    turns: Box<[u32]>,
    /// What is added to a turn's number, so that the round goes on where that of the set before stood.
    ahead: usize,
    /// Indices of who is tried when all of those were: backups, then those that are out.
    last: Box<[u32]>,
    version: u64,
    /// When it has to be made anew.
    until: Option<Instant>,
    fails_open: bool,
}

impl Set {
    /// The set of `endpoints` at `now`; `old` is the one before.
    pub(in crate::upstream) fn new(
        config: &config::Upstream,
        endpoints: Box<[Arc<Endpoint>]>,
        old: Option<&Set>,
        (version, turn): (u64, usize),
        now: Instant,
    ) -> Self {
        let mut until: Option<Instant> = None;
        let mut sessions = HashMap::default();
        let (mut first, mut backups) = (Vec::new(), Vec::new());
        let (mut resting, mut down) = (Vec::new(), Vec::new());
        for (index, endpoint) in (0..).zip(&endpoints) {
            let standing = endpoint.state.standing.lock();
            let place = standing.at(endpoint.rules.terms, now);
            until = [until, place.until].into_iter().flatten().min();
            let keeps = standing.overridden != Override::Disabled;
            let usable = matches!(place.fit, Fit::Well | Fit::OnTrial);
            if config.sticky.is_some() && usable && keeps {
                sessions.insert(endpoint.address.digest(), index);
            }
            if standing.overridden != Override::Enabled {
                continue;
            }
            let seat = Seat {
                fit: place.fit,
                backup: endpoint.backup,
                turn: Turn {
                    index,
                    weight: u32::from(endpoint.weight) * place.part,
                },
            };
            match (place.fit, endpoint.backup) {
                (Fit::Well | Fit::OnTrial, false) => first.push(seat),
                (Fit::Well | Fit::OnTrial, true) => backups.push(seat),
                (Fit::Resting, _) => resting.push(seat),
                (Fit::Down, _) => down.push(seat),
            }
        }
        if !one_is_well(&first) {
            first.append(&mut backups);
        }
        let mut fails_open = false;
        if first.is_empty() {
            resting.append(&mut down);
            resting.sort_by_key(|seat| seat.turn.index);
            fails_open = !resting.is_empty();
            let any_primary = resting.iter().any(|seat| !seat.backup);
            first.extend(resting.extract_if(.., |seat| seat.backup != any_primary));
        } else if !one_is_well(&first) {
            // Nobody is known to be well, and who was left out may be by now: all begin alike.
            let all = resting.drain(..).map(|mut seat| {
                seat.turn.weight /= STEPS;
                seat
            });
            first.extend(all);
        }
        let first: Box<[Turn]> = first.into_iter().map(|seat| seat.turn).collect();
        let mut last = resting;
        last.append(&mut down);
        last.sort_by_key(|seat| (seat.backup, seat.turn.index));
        // As in their own round, which begins with the heaviest.
        backups.sort_by_key(|seat| std::cmp::Reverse(seat.turn.weight));
        let last = backups.iter().chain(&last).map(|seat| seat.turn.index);
        let hashes = matches!(config.balance, Balance::Hash(_));
        let mut weights = vec![0; if hashes { endpoints.len() } else { 0 }];
        for turn in first.iter().filter(|_| hashes) {
            weights[turn.index as usize] = turn.weight;
        }
        let turns = round_robin::order(&first);
        let next = old.and_then(|old| old.next_of(&endpoints, &turns, turn));
        let ahead = match (next, turn.checked_rem(turns.len())) {
            (Some(next), Some(at)) => (next + turns.len() - at) % turns.len(),
            _ => 0,
        };
        Self {
            turns,
            ahead,
            last: last.collect(),
            whole_weight: first.iter().map(|turn| u64::from(turn.weight)).sum(),
            open: first,
            weights: weights.into(),
            sessions,
            ring: hashes.then(|| ring(&endpoints, old)),
            endpoints,
            version,
            until,
            fails_open,
        }
    }

    /// Whether nothing has changed since it was made.
    pub(in crate::upstream) fn is_current(&self, version: u64, now: Instant) -> bool {
        self.version == version && self.until.is_none_or(|until| now < until)
    }

    /// All endpoints, in the order of the configuration.
    pub(in crate::upstream) fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// Whether those that take turns are all out.
    pub(in crate::upstream) fn fails_open(&self) -> bool {
        self.fails_open
    }

    pub(super) fn open(&self) -> &[Turn] {
        &self.open
    }

    pub(super) fn ring(&self) -> Option<&Ring> {
        self.ring.as_deref()
    }

    /// Of the endpoint of this index.
    pub(super) fn weight(&self, index: u32) -> u32 {
        self.weights.get(index as usize).copied().unwrap_or(0)
    }

    /// Of all that take turns.
    pub(super) fn whole_weight(&self) -> u64 {
        self.whole_weight
    }

    pub(super) fn turns(&self) -> &[u32] {
        &self.turns
    }

    /// The round from this turn on, in its two parts.
    pub(super) fn from(&self, turn: usize) -> Option<(&[u32], &[u32])> {
        let at = turn.wrapping_add(self.ahead);
        let start = at.checked_rem(self.turns.len())?;
        let (before, from) = self.turns.split_at(start);
        Some((from, before))
    }

    /// The place in `turns`, of other `endpoints`, of whoever comes next here and is among them.
    fn next_of(&self, endpoints: &[Arc<Endpoint>], turns: &[u32], turn: usize) -> Option<usize> {
        if turns.len() < 2 || turns.len() > MOST_PLACES || self.turns.len() > MOST_PLACES {
            return None;
        }
        let (from, before) = self.from(turn)?;
        let place = |index: &u32| {
            let address = self.endpoints.get(*index as usize)?.address;
            { turns.iter() }.position(|own| {
                let own = endpoints.get(*own as usize);
                own.is_some_and(|own| own.address == address)
            })
        };
        from.iter().chain(before).find_map(place)
    }

    pub(super) fn last(&self) -> &[u32] {
        &self.last
    }

    /// The endpoint that a session is with, while it can go on and is not in `tried`.
    pub(in crate::upstream) fn keeping(
        &self,
        endpoint: SocketAddr,
        tried: &[EndpointAddress],
    ) -> Option<&Arc<Endpoint>> {
        self.untried(*self.sessions.get(&endpoint)?, tried)
    }

    /// The endpoint of this index, unless it is in `tried` or full.
    pub(super) fn untried(&self, index: u32, tried: &[EndpointAddress]) -> Option<&Arc<Endpoint>> {
        let endpoint = self.endpoints.get(index as usize)?;
        endpoint.takes(tried).then_some(endpoint)
    }
}

/// The ring of `endpoints`: that of the set before, when it is of the same ones.
fn ring(endpoints: &[Arc<Endpoint>], old: Option<&Set>) -> Arc<Ring> {
    let same = |(one, other): (&Arc<Endpoint>, &Arc<Endpoint>)| {
        one.address == other.address && one.weight == other.weight
    };
    let old = old.filter(|old| {
        old.endpoints.len() == endpoints.len() && old.endpoints.iter().zip(endpoints).all(same)
    });
    match old.and_then(|old| old.ring.as_ref()) {
        Some(ring) => ring.clone(),
        None => Arc::new(Ring::new(endpoints)),
    }
}
