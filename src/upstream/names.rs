//! What is known of the names that endpoints are configured by, and when to ask again.
//!
//! A [`Book`] is kept over reloads. It decides: an answer holds as long as it says, within bounds; when nobody answers, or
//! the answer is "there is none", the last good one stays; only an emptiness that is said again and again is believed. Who
//! asks, and what becomes of the endpoints, is `server::names`'s. Time and chance come in as arguments.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::{self, NamedEndpoints, Upstream};
use crate::dns::{Found, LookupError, Resolver, Service};
use crate::types::dns_name::DnsName;

/// Endpoints that one upstream has from DNS.
pub const MOST_ENDPOINTS: usize = 1_000;
/// Targets of one service that are looked up.
const MOST_TARGETS: usize = 256;
/// So many empty answers in a row, at least, until they are believed.
const EMPTIES: u32 = 3;
/// After a failure it is tried again within this, and later and later up to the longest.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// What nobody has needed for so long is forgotten: what only a refused configuration names, too.
const FORGET: Duration = Duration::from_secs(60);

/// A question whose answer is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Query {
    /// The addresses of a host.
    Host(DnsName),
    /// Who offers a service.
    Service(DnsName),
}

impl Query {
    /// What is asked about.
    pub fn name(&self) -> &DnsName {
        match self {
            Self::Host(name) | Self::Service(name) => name,
        }
    }

    /// Asks it.
    pub async fn ask(&self, resolver: &Resolver) -> Looked {
        match self {
            Self::Host(name) => Looked::Host(resolver.addresses(name).await),
            Self::Service(name) => Looked::Service(resolver.services(name).await),
        }
    }

    /// That nobody can say, for a reason.
    pub fn failed(&self, reason: &str) -> Looked {
        let error = LookupError::Failed(reason.to_owned());
        match self {
            Self::Host(_) => Looked::Host(Err(error)),
            Self::Service(_) => Looked::Service(Err(error)),
        }
    }

    /// Whether endpoints of `upstream` can hang on it.
    pub fn concerns(&self, upstream: &Upstream) -> bool {
        let named = |name: &DnsName| upstream.named.iter().any(|one| one.name == *name);
        upstream.service.is_some() || matches!(self, Self::Host(name) if named(name))
    }
}

/// What came of asking.
#[derive(Clone, Debug)]
pub enum Looked {
    /// For the addresses of a host.
    Host(Result<Found<IpAddr>, LookupError>),
    /// For those who offer a service.
    Service(Result<Found<Service>, LookupError>),
}

/// What an answer changed, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that anybody needs to know.
    None,
    /// Something else is known now.
    Changed,
    /// It answers again, and nothing else is known.
    Recovered,
    /// It cannot be found out about any more.
    Failing(String),
    /// It is empty, which is not believed yet; what was known stays.
    Distrusted(String),
    /// It is empty, which is believed: its endpoints leave.
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Hosts(Vec<IpAddr>),
    Services(Vec<Service>),
}

/// One question.
#[derive(Clone, Debug)]
struct Entry {
    answer: Option<Answer>,
    /// When that came, or was said again.
    at: Option<Instant>,
    /// When it is asked for again; `None` while it is.
    next: Option<Instant>,
    /// Failures and empty answers in a row.
    failures: u32,
    /// Empty answers in a row, and when the first came.
    empties: Option<(u32, Instant)>,
    trouble: Option<String>,
    /// When somebody needed it last.
    wanted: Instant,
}

/// What is known of a name, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// As it is configured: `hub.internal:80`, `_http._tcp.hub.internal`.
    pub name: String,
    /// In order.
    pub addresses: Vec<SocketAddr>,
    /// Since the last good answer; `None` when there never was one.
    pub age: Option<Duration>,
    /// Why there is none newer.
    pub trouble: Option<String>,
}

/// All questions with their answers.
#[derive(Debug, Default)]
pub struct Book(Mutex<BTreeMap<Query, Entry>>);

impl Book {
    /// Asks what `upstreams` need, at once for what is new, and forgets what nobody has needed for a while.
    pub fn follow<'a>(&self, upstreams: impl Iterator<Item = &'a Upstream>, now: Instant) {
        let mut entries = self.0.lock();
        let mut wanted = BTreeSet::new();
        for upstream in upstreams {
            wanted.extend(
                upstream
                    .named
                    .iter()
                    .map(|one| Query::Host(one.name.clone())),
            );
            if let Some(name) = &upstream.service {
                let service = Query::Service(name.clone());
                let targets = entries.get(&service).into_iter().flat_map(Entry::services);
                let hosts: Vec<_> = targets.map(|one| Query::Host(one.target.clone())).collect();
                wanted.extend(hosts);
                wanted.insert(service);
            }
        }
        for query in wanted {
            let entry = entries.entry(query).or_insert_with(|| Entry::new(now));
            entry.wanted = now;
        }
        entries.retain(|_, entry| now.saturating_duration_since(entry.wanted) < FORGET);
    }

    /// Up to `most` questions that are due, which are then under way until [`Book::take`].
    pub fn due(&self, most: usize, now: Instant) -> Vec<Query> {
        let mut entries = self.0.lock();
        let due = |entry: &Entry| entry.next.is_some_and(|next| next <= now);
        let due = entries
            .iter_mut()
            .filter(|(_, entry)| due(entry))
            .take(most);
        due.map(|(query, entry)| {
            entry.next = None;
            query.clone()
        })
        .collect()
    }

    /// Gives a question back that was not asked after all, to be asked again soon.
    pub fn give_back(&self, query: &Query, now: Instant) {
        if let Some(entry) = self.0.lock().get_mut(query) {
            entry.next = Some(now + FIRST_RETRY);
        }
    }

    /// Has everything asked again, as far as it is not under way: others are to be asked.
    pub fn ask_again(&self, now: Instant) {
        for entry in self.0.lock().values_mut() {
            entry.next = entry.next.map(|next| next.min(now));
        }
    }

    /// When the next question is due, of those that are not under way.
    pub fn next(&self) -> Option<Instant> {
        self.0.lock().values().filter_map(|entry| entry.next).min()
    }

    /// Whether every question has been answered, or could not be.
    pub fn is_settled(&self) -> bool {
        let entries = self.0.lock();
        let tried = |entry: &Entry| entry.at.is_some() || entry.failures > 0;
        entries.values().all(tried)
    }

    /// Takes note of an answer. `chance` is between 0 and 1.
    pub fn take(
        &self,
        query: &Query,
        looked: Looked,
        settings: &config::Resolver,
        chance: f64,
        now: Instant,
    ) -> Change {
        let mut entries = self.0.lock();
        // Forgotten meanwhile.
        let Some(entry) = entries.get_mut(query) else {
            return Change::None;
        };
        let answered = match looked {
            Looked::Host(looked) => looked.map(|mut found| {
                let unknown = found.unknown.take();
                if let Some((family, _)) = &unknown {
                    let known = entry.hosts().iter();
                    found
                        .all
                        .extend(known.filter(|address| family.has(address)));
                    found.all.sort_unstable();
                    found.all.dedup();
                }
                let trouble = unknown.map(|(_, error)| error);
                (Answer::Hosts(found.all), found.ttl, trouble)
            }),
            Looked::Service(looked) => looked.map(|mut found| {
                found.all.truncate(MOST_TARGETS);
                (Answer::Services(found.all), found.ttl, None)
            }),
        };
        match answered {
            Ok((answer, ttl, trouble)) => {
                // Sooner rather than later than it says.
                let ttl = ttl
                    .clamp(settings.min_ttl, settings.max_ttl)
                    .mul_f64(1.0 - chance / 10.0);
                entry.good(answer, ttl, trouble, now)
            }
            Err(error) => entry.bad(&error, settings, chance, now),
        }
    }

    /// The endpoints that `upstream` has by what is known, and whether there are more than it can have.
    pub fn endpoints(&self, upstream: &Upstream) -> (Vec<config::Endpoint>, bool) {
        let entries = self.0.lock();
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        let endpoints = by_names(&entries, upstream).chain(by_service(&entries, upstream));
        for endpoint in endpoints {
            if !seen.insert(endpoint.address) {
                continue;
            }
            if all.len() == MOST_ENDPOINTS {
                return (all, true);
            }
            all.push(endpoint);
        }
        (all, false)
    }

    /// What is known of the names of `upstream`.
    pub fn standings(&self, upstream: &Upstream, now: Instant) -> Vec<Standing> {
        let entries = self.0.lock();
        let of = |query: Query, name: String, addresses: Vec<SocketAddr>| {
            let entry = entries.get(&query);
            let at = entry.and_then(|entry| entry.at);
            Standing {
                name,
                addresses,
                age: at.map(|at| now.saturating_duration_since(at)),
                trouble: entry.and_then(|entry| entry.trouble.clone()),
            }
        };
        let named = upstream.named.iter().map(|one| {
            let addresses = addresses(&entries, &one.name, one.port);
            let name = format!("{}:{}", one.name, one.port);
            of(Query::Host(one.name.clone()), name, addresses.collect())
        });
        let service = upstream.service.iter().map(|name| {
            let found = by_service(&entries, upstream).filter_map(|one| one.address.ip());
            let mut standing = of(
                Query::Service(name.clone()),
                name.to_string(),
                found.collect(),
            );
            // Of a target whose addresses are not to be had.
            let targets = services(&entries, upstream).iter();
            let mut hosts = targets.filter_map(|one| entries.get(&Query::Host(one.target.clone())));
            standing.trouble = standing
                .trouble
                .or_else(|| hosts.find_map(|host| host.trouble.clone()));
            standing
        });
        named.chain(service).collect()
    }
}

impl Entry {
    fn new(now: Instant) -> Self {
        Self {
            answer: None,
            at: None,
            next: Some(now),
            failures: 0,
            empties: None,
            trouble: None,
            wanted: now,
        }
    }

    fn hosts(&self) -> &[IpAddr] {
        match &self.answer {
            Some(Answer::Hosts(hosts)) => hosts,
            _ => &[],
        }
    }

    fn services(&self) -> &[Service] {
        match &self.answer {
            Some(Answer::Services(services)) => services,
            _ => &[],
        }
    }

    fn is_empty(&self) -> bool {
        self.hosts().is_empty() && self.services().is_empty()
    }

    fn good(
        &mut self,
        answer: Answer,
        ttl: Duration,
        trouble: Option<String>,
        now: Instant,
    ) -> Change {
        let change = match (
            self.answer.as_ref() == Some(&answer),
            &self.trouble,
            &trouble,
        ) {
            (_, None, Some(error)) if self.at.is_some() => Change::Failing(error.clone()),
            (false, ..) => Change::Changed,
            (true, Some(_), None) => Change::Recovered,
            (true, ..) => Change::None,
        };
        *self = Self {
            answer: Some(answer),
            at: Some(now),
            next: Some(now + ttl),
            failures: 0,
            empties: None,
            trouble,
            wanted: self.wanted,
        };
        change
    }

    fn bad(
        &mut self,
        error: &LookupError,
        settings: &config::Resolver,
        chance: f64,
        now: Instant,
    ) -> Change {
        let retry = FIRST_RETRY * (1 << self.failures.min(5));
        let retry = retry.min(LONGEST_RETRY).mul_f64(0.8 + chance * 0.4);
        self.next = Some(now + retry);
        self.failures = self.failures.saturating_add(1);
        let text = error.to_string();
        let before = self.trouble.replace(text.clone());
        let is_news = before.as_ref() != Some(&text);
        match error {
            LookupError::Failed(_) => {
                // Nobody has said that it is empty again.
                self.empties = None;
                match is_news {
                    true => Change::Failing(text),
                    false => Change::None,
                }
            }
            LookupError::Empty(_) => {
                let (count, since) = self.empties.unwrap_or((0, now));
                let count = count.saturating_add(1);
                self.empties = Some((count, since));
                let long = now.saturating_duration_since(since) >= settings.empty_after;
                match self.is_empty() {
                    false if long && count >= EMPTIES => {
                        self.answer = None;
                        Change::Gone
                    }
                    false if is_news => Change::Distrusted(text),
                    true if is_news => Change::Failing(text),
                    _ => Change::None,
                }
            }
        }
    }
}

type Entries = BTreeMap<Query, Entry>;

fn addresses<'a>(
    entries: &'a Entries,
    name: &DnsName,
    port: u16,
) -> impl Iterator<Item = SocketAddr> + use<'a> {
    let entry = entries.get(&Query::Host(name.clone()));
    let hosts = entry.into_iter().flat_map(Entry::hosts);
    hosts.map(move |address| SocketAddr::new(*address, port))
}

fn by_names<'a>(
    entries: &'a Entries,
    upstream: &'a Upstream,
) -> impl Iterator<Item = config::Endpoint> + 'a {
    let of = move |one: &'a NamedEndpoints| {
        let endpoint = |address: SocketAddr| config::Endpoint {
            address: address.into(),
            weight: one.weight,
            backup: one.backup,
            most: one.most,
            times: one.times,
        };
        addresses(entries, &one.name, one.port).map(endpoint)
    };
    upstream.named.iter().flat_map(of)
}

fn services<'a>(entries: &'a Entries, upstream: &Upstream) -> &'a [Service] {
    let name = upstream.service.clone();
    let entry = name.and_then(|name| entries.get(&Query::Service(name)));
    entry.map_or(&[], Entry::services)
}

/// Of the records of the lowest priority the endpoints, of all others the backups.
fn by_service<'a>(
    entries: &'a Entries,
    upstream: &Upstream,
) -> impl Iterator<Item = config::Endpoint> + use<'a> {
    let all = services(entries, upstream);
    let first = all.iter().map(|one| one.priority).min();
    let heaviest = all.iter().map(|one| one.weight).max().unwrap_or_default();
    let of = move |one: &'a Service| {
        let backup = Some(one.priority) != first;
        let weight = weight(one.weight, heaviest);
        let endpoint = move |address: SocketAddr| config::Endpoint {
            address: address.into(),
            weight,
            backup,
            most: None,
            times: 1,
        };
        addresses(entries, &one.target, one.port).map(endpoint)
    };
    all.iter().flat_map(of)
}

/// A weight of 0 to 65,535 as one of 1 to 255, in the same proportion to the heaviest.
fn weight(own: u16, heaviest: u16) -> u8 {
    let most = u32::from(u8::MAX);
    let scaled = match u32::from(heaviest) {
        heaviest if heaviest > most => u32::from(own) * most / heaviest,
        _ => u32::from(own),
    };
    u8::try_from(scaled.max(1)).unwrap_or(u8::MAX)
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
