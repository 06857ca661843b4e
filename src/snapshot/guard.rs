//! What a route asks of a request before it does anything: how much there is of its kind, and who is let in.
//!
//! Made once for each route that has it, from what outlives a generation: counts and files of passwords. Asking it is
//! `proxy`'s.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use http::Method;

use crate::access::passwords::Passwords;
use crate::config::{Access, ConcurrencyZone, Config, RateZone, Route, RouteLimits};
use crate::limits::concurrency::ConcurrencyTable;
use crate::limits::rate::RateTable;

/// What a route asks.
#[derive(Debug)]
pub struct Guard {
    /// How much is served.
    pub limits: Option<Limited>,
    /// Who is let in.
    pub access: Option<Entry>,
}

/// How much is served.
#[derive(Debug)]
pub struct Limited {
    /// What was configured.
    pub config: Arc<RouteLimits>,
    /// As its `rates`.
    pub rates: Vec<Arc<Rate>>,
    /// As its `concurrency`.
    pub concurrency: Vec<Arc<Concurrency>>,
}

/// Who is let in.
#[derive(Debug)]
pub struct Entry {
    /// What was configured.
    pub config: Arc<Access>,
    /// Its file's passwords.
    pub passwords: Option<Arc<Passwords>>,
    /// What counts for some methods.
    pub others: Option<Box<Entry>>,
}

impl Guard {
    /// Whether this method is one of those that are let in by rules of their own.
    pub fn is_for_others(&self, method: &Method) -> bool {
        let entry = self.access.as_ref();
        let others = entry.and_then(|entry| entry.config.others.as_ref());
        others.is_some_and(|own| own.has(method))
    }

    /// What counts for requests with this method.
    pub fn entry(&self, method: &Method) -> Option<&Entry> {
        let entry = self.access.as_ref()?;
        let others = entry.config.others.as_ref();
        match entry.others.as_deref() {
            Some(other) if others.is_some_and(|own| own.has(method)) => Some(other),
            _ => Some(entry),
        }
    }
}

/// A `[rate.NAME]` as it runs.
#[derive(Debug)]
pub struct Rate {
    /// What was configured.
    pub config: RateZone,
    /// What was counted.
    pub table: RateTable,
}

/// A `[concurrency.NAME]` as it runs.
#[derive(Debug)]
pub struct Concurrency {
    /// What was configured.
    pub config: ConcurrencyZone,
    /// What is counted.
    pub table: Arc<ConcurrencyTable>,
}

/// What guards are about, over generations.
#[derive(Debug, Default)]
pub struct Kept {
    /// By file.
    pub passwords: BTreeMap<PathBuf, Arc<Passwords>>,
    rates: BTreeMap<Box<str>, Arc<Rate>>,
    concurrency: BTreeMap<Box<str>, Arc<Concurrency>>,
}

impl Kept {
    /// What limits count by: as `old` has it, where that is the same.
    pub(super) fn new(config: &Config, old: Option<&Kept>, now: Instant) -> Self {
        let rates = carried(
            &config.rates,
            old.map(|old| &old.rates),
            |known, zone| known.config == *zone,
            |zone| Rate {
                config: zone.clone(),
                table: RateTable::new(zone.rate.thousandths(), zone.keys, now),
            },
        );
        let concurrency = carried(
            &config.concurrency,
            old.map(|old| &old.concurrency),
            |known, zone| known.config == *zone,
            |zone| Concurrency {
                config: zone.clone(),
                table: Arc::new(ConcurrencyTable::new(zone.keys)),
            },
        );
        Self {
            passwords: BTreeMap::new(),
            rates,
            concurrency,
        }
    }

    /// The guard of a route, if it asks anything. Blocks on files that `old` has not read. What is used is kept here.
    pub(super) fn guard(&mut self, route: &Route, old: Option<&Kept>) -> Option<Arc<Guard>> {
        let limits = route.limits.as_ref().filter(|limits| !limits.is_empty());
        let limits = limits.map(|limits| self.limited(limits));
        let access = route.access.as_ref().filter(|access| !access.is_empty());
        let access = access.map(|access| self.entry(access, old));
        let asks = limits.is_some() || access.is_some();
        asks.then(|| Arc::new(Guard { limits, access }))
    }

    /// The limits of a route or of a stream, with what they count by.
    pub(super) fn limited(&self, limits: &Arc<RouteLimits>) -> Limited {
        // That each is there, `config` has seen to.
        let rates = limits.rates.iter();
        let rates = rates.filter_map(|used| self.rates.get(&used.rate).cloned());
        let concurrency = limits.concurrency.iter();
        let concurrency = concurrency.filter_map(|used| self.concurrency.get(&used.of).cloned());
        Limited {
            config: limits.clone(),
            rates: rates.collect(),
            concurrency: concurrency.collect(),
        }
    }

    fn entry(&mut self, access: &Arc<Access>, old: Option<&Kept>) -> Entry {
        let passwords = access.basic.as_ref().map(|basic| {
            let kept = self.passwords.entry(basic.file.clone());
            let known = old.and_then(|old| old.passwords.get(&basic.file));
            let read = || Arc::new(Passwords::read(&basic.file));
            kept.or_insert_with(|| known.cloned().unwrap_or_else(read))
                .clone()
        });
        let others = access.others.as_ref();
        Entry {
            config: access.clone(),
            passwords,
            others: others.map(|others| Box::new(self.entry(&others.access, old))),
        }
    }
}

/// What each configuration of `new` has by its name: that of `old` where it is the same, else one that is made.
fn carried<C, T>(
    new: &BTreeMap<Box<str>, C>,
    old: Option<&BTreeMap<Box<str>, Arc<T>>>,
    is_same: impl Fn(&T, &C) -> bool,
    make: impl Fn(&C) -> T,
) -> BTreeMap<Box<str>, Arc<T>> {
    let all = new.iter().map(|(name, config)| {
        let known = old.and_then(|old| old.get(name));
        let known = known.filter(|known| is_same(known, config)).cloned();
        (
            name.clone(),
            known.unwrap_or_else(|| Arc::new(make(config))),
        )
    });
    all.collect()
}
