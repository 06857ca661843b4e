//! An upstream as it runs: its endpoints, and who of them gets the next request.
//!
//! What a choice reads is an immutable [`Set`], made anew when an endpoint's standing, the time or the list of endpoints
//! changes it, never per request; `balance` picks from it. A choice takes no lock and allocates nothing. What is known
//! about endpoints is kept by address, over [`Group::replace`] and over reloads. Time comes in as an argument.
#![deny(clippy::disallowed_methods)]

use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};
use http::HeaderValue;
use parking_lot::Mutex;

use super::balance::sticky::{CookieScope, Session, SessionKey, Stuck, set_cookie};
use super::balance::{self, Keys, Set};
use super::connect::Connector;
use super::endpoint::{Endpoint, InFlight, Rules, State};
use super::ledger::{Counts, Ledger, Padded};
use super::protection::Protection;
use super::standing::{Record, Standing, Terms};
use crate::config::{self, Balance, Lookup};
use crate::types::cause::Cause;
use crate::types::endpoint_address::EndpointAddress;
use crate::types::name::UpstreamName;

/// An upstream as it runs.
#[derive(Debug)]
pub struct Group {
    /// What was configured.
    pub config: config::Upstream,
    /// How its endpoints are connected to.
    pub connector: Connector,
    set: ArcSwap<Set>,
    /// Held while a set is made.
    making: Mutex<()>,
    /// What it has beside what is configured.
    found: Mutex<Found>,
    turn: Padded<AtomicUsize>,
    ledger: Arc<Ledger>,
    session_key: OnceLock<Arc<SessionKey>>,
    /// What spares it and saves its requests.
    pub protection: Protection,
}

/// Endpoints that were found, by where.
#[derive(Debug, Default)]
struct Found {
    file: Vec<config::Endpoint>,
    names: Vec<config::Endpoint>,
}

/// An endpoint that was chosen for a request, which is in flight there until this is dropped.
#[derive(Debug)]
pub struct Chosen {
    in_flight: InFlight,
    stuck: Stuck,
}

impl Deref for Chosen {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        self.in_flight.endpoint()
    }
}

impl Group {
    /// A group for `config`; endpoints that `old` knows keep what is known about them. Changes nothing of `old`.
    pub fn new(config: config::Upstream, old: Option<&Group>, now: Instant) -> Self {
        let ledger = old.map_or_else(Arc::default, |old| old.ledger.clone());
        let known = old.map(|old| old.set.load_full());
        let endpoints = members(&config, &config.endpoints, known.as_deref(), &ledger, now);
        Self {
            set: ArcSwap::from_pointee(Set::new(
                &config,
                endpoints,
                None,
                (ledger.version(), 0),
                now,
            )),
            making: Mutex::new(()),
            found: Mutex::default(),
            protection: Protection::new(&config.protection, old.map(|old| &old.protection), now),
            config,
            turn: Padded::default(),
            ledger,
            connector: Connector::default(),
            session_key: OnceLock::new(),
        }
    }

    /// The group with endpoints that are connected to in this way instead of by plain TCP.
    pub fn connected_by(mut self, connector: Connector) -> Self {
        self.connector = connector;
        self
    }

    /// Its name.
    pub fn name(&self) -> &UpstreamName {
        &self.config.name
    }

    /// Its endpoints as they are now.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.set.load().endpoints().to_vec()
    }

    /// What is known of its endpoints, by address, as a value for a process that takes over from this one.
    pub fn records(&self, now: Instant) -> Vec<(EndpointAddress, Record)> {
        let set = self.set.load();
        let of = |one: &Arc<Endpoint>| (one.address, one.state.standing.lock().record(now));
        set.endpoints().iter().map(of).collect()
    }

    /// Takes over what another process knew of endpoints that are here too.
    pub fn restore(&self, records: &[(EndpointAddress, Record)], now: Instant) {
        for endpoint in self.set.load().endpoints() {
            let record = records
                .iter()
                .find(|(address, _)| *address == endpoint.address);
            if let Some((_, record)) = record {
                endpoint.change(|standing, _| {
                    standing.restore(record, now);
                    None
                });
            }
        }
    }

    /// What was counted.
    pub fn counts(&self) -> &Counts {
        &self.ledger.counts
    }

    /// Whether no endpoint can be used, so that all are.
    pub fn is_open_by_failure(&self, now: Instant) -> bool {
        self.current(now).fails_open()
    }

    /// The endpoint to try next, none of those in `tried`. `None` when there is no other.
    ///
    /// `balance` says which of the usable ones; after them backups, then those that rest, since a request that has
    /// nowhere else to go loses nothing there.
    pub fn choose(
        &self,
        keys: &Keys<'_>,
        tried: &[EndpointAddress],
        now: Instant,
    ) -> Option<Chosen> {
        let set = self.current(now);
        let mut stuck = Stuck::Off;
        if self.config.sticky.is_some() {
            let session = self.session(keys);
            let kept = session.and_then(|one| Some((set.keeping(one.endpoint, tried)?, one.ends)));
            if let Some((endpoint, ends)) = kept {
                return Some(self.chosen(endpoint, Stuck::Kept { ends }));
            }
            stuck = Stuck::New;
        }
        let turn = || self.turn.fetch_add(1, Ordering::Relaxed);
        let in_flight = || self.ledger.in_flight.load(Ordering::Relaxed);
        let picked = balance::pick(&self.config.balance, &set, keys, tried, turn, in_flight)?;
        if set.fails_open() {
            self.ledger.counts.fail_open.inc();
        }
        Some(self.chosen(picked, stuck))
    }

    /// What the request's key hashes to, for [`Keys::hash`] of a choice that is made later.
    pub fn hashed(&self, keys: &Keys<'_>) -> Option<u64> {
        balance::hashed(&self.config.balance, keys)
    }

    /// What a request hashes to whose values are known.
    pub fn hashed_by(&self, values: &dyn Lookup) -> Option<u64> {
        balance::hashed_by(&self.config.balance, values)
    }

    fn chosen(&self, endpoint: &Arc<Endpoint>, stuck: Stuck) -> Chosen {
        let in_ledger = matches!(self.config.balance, Balance::Hash(_));
        let in_flight = InFlight::new(endpoint.clone(), in_ledger);
        Chosen { in_flight, stuck }
    }

    /// Has sessions sealed with this key, unless there is one already.
    pub fn seal_sessions_with(&self, key: &Arc<SessionKey>) {
        self.session_key.get_or_init(|| key.clone());
    }

    fn session(&self, keys: &Keys<'_>) -> Option<Session> {
        let (sticky, key) = (self.config.sticky.as_ref()?, self.session_key.get()?);
        key.session(sticky, self.name(), keys)
    }

    /// `Set-Cookie` for the answer to a request that went to `chosen`; `None` when there is nothing to set. `unix` is the
    /// time in seconds since 1970.
    pub fn session_cookie(
        &self,
        chosen: &Chosen,
        scope: CookieScope<'_>,
        unix: u64,
        random: impl FnOnce() -> [u8; 12],
    ) -> Option<HeaderValue> {
        let (sticky, key) = (self.config.sticky.as_ref()?, self.session_key.get()?);
        let choice = (chosen.address.digest(), chosen.stuck);
        set_cookie(key, sticky, self.name(), choice, scope, unix, random)
    }

    /// Takes the endpoints that its file names from now on; true when that is a change.
    pub fn take_from_file(&self, endpoints: Vec<config::Endpoint>, now: Instant) -> bool {
        self.take(|found| found.file = endpoints, now)
    }

    /// Takes the endpoints that its names stand for from now on; true when that is a change.
    pub fn take_from_names(&self, endpoints: Vec<config::Endpoint>, now: Instant) -> bool {
        self.take(|found| found.names = endpoints, now)
    }

    /// Those that its file named last.
    pub fn from_file(&self) -> Vec<config::Endpoint> {
        self.found.lock().file.clone()
    }

    /// An address counts as who names it first: the configuration, a name, the file.
    fn take(&self, take: impl FnOnce(&mut Found), now: Instant) -> bool {
        // Held to the end, so that the last to take is the last to replace.
        let mut found = self.found.lock();
        take(&mut found);
        let mut seen = HashSet::new();
        let all = self.config.endpoints.iter();
        let all = all.chain(&found.names).chain(&found.file);
        let wanted: Vec<_> = all
            .filter(|one| seen.insert(one.address))
            .copied()
            .collect();
        let is_same = self.as_configured() == wanted;
        if !is_same {
            self.replace(&wanted, now);
        }
        !is_same
    }

    /// Why none of its endpoints could be asked, when none was.
    pub fn nobody(&self) -> Cause {
        match self.set.load().endpoints().is_empty() {
            // Named, but none that may be asked: disabled, or left out.
            false => Cause::UpstreamDown,
            true if self.config.has_names() => Cause::UpstreamUnresolved,
            true => Cause::UpstreamEmpty,
        }
    }

    fn as_configured(&self) -> Vec<config::Endpoint> {
        let one = |endpoint: &Arc<Endpoint>| config::Endpoint {
            address: endpoint.address,
            weight: endpoint.weight,
            backup: endpoint.backup,
            most: endpoint.most,
            times: endpoint.times,
        };
        self.set.load().endpoints().iter().map(one).collect()
    }

    /// Takes other endpoints from now on. Those that stay keep what is known about them; requests that are with one
    /// that leaves go on.
    pub fn replace(&self, endpoints: &[config::Endpoint], now: Instant) {
        let _making = self.making.lock();
        let old = self.set.load_full();
        let endpoints = members(&self.config, endpoints, Some(&old), &self.ledger, now);
        let version = self.ledger.version();
        let turn = self.turn.load(Ordering::Relaxed);
        let set = Set::new(&self.config, endpoints, Some(&old), (version, turn), now);
        self.set.store(Arc::new(set));
    }

    fn current(&self, now: Instant) -> Guard<Arc<Set>> {
        let set = self.set.load();
        if set.is_current(self.ledger.version(), now) {
            return set;
        }
        drop(set);
        self.refresh(now);
        self.set.load()
    }

    /// Makes the set anew; whoever comes while that is done chooses from the old one.
    #[cold]
    fn refresh(&self, now: Instant) {
        let Some(_making) = self.making.try_lock() else {
            return;
        };
        // Before the standings are read: what changes meanwhile is seen next time.
        let version = self.ledger.version();
        let old = self.set.load_full();
        if old.is_current(version, now) {
            return;
        }
        let set = Set::new(
            &self.config,
            old.endpoints().into(),
            Some(&old),
            (version, self.turn.load(Ordering::Relaxed)),
            now,
        );
        self.tell(&old, &set);
        self.set.store(Arc::new(set));
    }

    fn tell(&self, old: &Set, new: &Set) {
        let upstream = self.name();
        match (old.fails_open(), new.fails_open()) {
            (false, true) if new.endpoints().len() > 1 => {
                tracing::error!(event = "upstream.fail_open", %upstream, "no endpoint is up; all are tried");
            }
            (true, false) if new.endpoints().len() > 1 => {
                tracing::info!(event = "upstream.fail_open.end", %upstream, "an endpoint is up again");
            }
            _ => {}
        }
    }
}

/// Endpoints as configured, with what is known about their addresses.
fn members(
    config: &config::Upstream,
    endpoints: &[config::Endpoint],
    known: Option<&Set>,
    ledger: &Arc<Ledger>,
    now: Instant,
) -> Box<[Arc<Endpoint>]> {
    let rules = Arc::new(Rules {
        upstream: config.name.clone(),
        outlier: config.outlier.clone(),
        terms: Terms {
            slow_start: config.slow_start,
            is_checked: config.health.is_some(),
        },
        members: endpoints.len(),
    });
    let states: HashMap<EndpointAddress, &Arc<State>> = known
        .iter()
        .flat_map(|set| set.endpoints())
        .map(|endpoint| (endpoint.address, &endpoint.state))
        .collect();
    let initially_up = (config.health.as_ref()).is_none_or(|health| health.initially_up);
    let state = |address| match states.get(&address) {
        Some(state) => Arc::clone(state),
        None => {
            let joined = (!states.is_empty()).then_some(now);
            State::new(ledger, Standing::new(joined, initially_up))
        }
    };
    endpoints
        .iter()
        .map(|endpoint| Arc::new(Endpoint::new(endpoint, &rules, || state(endpoint.address))))
        .collect()
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
