//! One configuration generation, immutable, ready to run.
//!
//! Holds what a request needs to be served: the configuration, the compiled router, the upstreams and the open access
//! logs. A request keeps the snapshot it started with.
//! [`Snapshot::build`] carries over by name what outlives a generation: what is known about endpoints, open log files.
//!
//! With thousands of sites a request waits for memory that was not looked at for a while. So what every request reads of
//! its site and of its route is one cache line each, which those share that are alike; what is rare stands behind a
//! pointer that is not followed.

mod alike;
pub mod guard;
mod of_site;
mod special;
pub mod stream;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Instant;

pub use alike::Alike;
use http::HeaderValue;
pub use special::{Mirror, Rewrite, Special};

use self::alike::Gathering;
use self::stream::RunningStream;
use crate::config::{
    self, AccessLog, Balance, Config, Definitions, ErrorRule, FieldNames, HashOn, HttpMode,
    LogTarget, Route, RouteTimeouts, Site, Text, Variable,
};
use crate::observe::access_log::{AccessLogHandle, AccessLogs};
use crate::observe::reasons::with_reasons;
use crate::router::{PathTable, Router, StreamTable};
use crate::tls::policies::{Ground, Policies, PolicyError};
use crate::tls::streams::StreamTlsError;
use crate::types::endpoint_address::EndpointAddress;
use crate::types::name::UpstreamName;
use crate::types::pause::{drop_in_turn, pause};
use crate::upstream::connect::Connector;
use crate::upstream::endpoints_file;
use crate::upstream::group::Group;
use crate::upstream::names::Book;
use crate::upstream::tls::{ClientTls, TlsError};

/// The status that errors of plain HTTP on a port for TLS are looked for by, as in nginx.
pub const PLAIN_ON_TLS: u16 = 497;

/// What runs.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts up with every reload that changed something.
    pub generation: u64,
    /// What it was made from.
    pub config: Arc<Config>,
    /// Finds sites.
    pub router: Router,
    /// Upstreams by name.
    pub groups: BTreeMap<UpstreamName, Arc<Group>>,
    /// As `config.sites`; beside each where its routes begin in `routes`.
    pub sites: Alike<RunningSite, u32>,
    /// Names of sites, as in logs.
    pub site_names: Vec<Box<str>>,
    /// The routes of all sites, one site's after the other's.
    pub routes: Alike<RunningRoute>,
    /// What handshakes are made with.
    pub tls: Policies,
    /// Whether a text names what clients offer in handshakes.
    pub names_offered: bool,
    /// What browsers of a site are told to remember, by its index; looked for where [`RunningSite::strict`] says so.
    pub strict: HashMap<usize, HeaderValue>,
    /// What guards of routes are about.
    pub guarding: guard::Kept,
    /// Finds streams.
    pub streams: StreamTable,
    /// As `config.streams`.
    pub running_streams: Vec<Arc<RunningStream>>,
    /// For requests that belong to no site.
    pub access_log: AccessLogHandle,
    /// Whether a text names the address that clients connect to, or a site is found by it.
    pub names_local: bool,
    /// What is known of the names of endpoints; one for all generations.
    pub names: Arc<Book>,
    /// Whether a log names lines of heads.
    pub keeps: bool,
    /// Whether a site or a route has logs of events of its own.
    pub events: bool,
    /// Whether a site or a route says what its clients get.
    pub terms: bool,
    /// Whether a site says what plain HTTP gets on a port for TLS.
    pub leads_plain: bool,
}

/// A site as it runs, or several that are alike.
#[derive(Debug)]
#[repr(align(64))]
pub struct RunningSite {
    /// Finds its routes. Indices count from [`Snapshot::first_route`].
    pub paths: PathTable,
    /// What plain HTTP does for it.
    pub http: HttpMode,
    /// Whether browsers are told to come by https only.
    pub strict: bool,
    /// Whether it has rules.
    pub ruled: bool,
    /// Which fields of its requests count.
    pub fields: FieldNames,
    /// Its log.
    pub access_log: AccessLogHandle,
    /// Who gets challenge tokens that are not ours.
    pub challenge_fallback: Option<Arc<Group>>,
}

/// A route as it runs, or several that are alike.
#[derive(Debug)]
#[repr(align(64))]
pub struct RunningRoute {
    /// Its upstream.
    pub group: Arc<Group>,
    /// Time limits towards the upstream, one for all routes with the same.
    pub timeouts: Arc<RouteTimeouts>,
    /// Largest request body in bytes; [`u64::MAX`] is no limit.
    pub body_limit: u64,
    /// What it asks of requests first, if anything.
    pub guard: Option<Arc<guard::Guard>>,
    /// What most routes do not do.
    pub special: Option<Box<Special>>,
    /// Whether it has rules.
    pub ruled: bool,
    /// Whether errors of the upstream are not passed on.
    pub intercepts: bool,
    /// Its log.
    pub access_log: AccessLogHandle,
    /// What was configured, for what few requests need.
    pub config: Arc<Route>,
}

impl RunningSite {
    /// Whether `other` would do in its place.
    fn is_like(&self, other: &Self) -> bool {
        // Named one by one, so that none can be forgotten.
        let Self {
            paths,
            http,
            strict,
            ruled,
            fields,
            access_log,
            challenge_fallback,
        } = self;
        (*http, *strict, *ruled, *fields) == (other.http, other.strict, other.ruled, other.fields)
            && paths.is_like(&other.paths)
            && access_log.is_same(&other.access_log)
            && match (challenge_fallback, &other.challenge_fallback) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (a, b) => a.is_none() && b.is_none(),
            }
    }
}

impl RunningRoute {
    /// Whether `other` would do in its place. One with a guard, or with what few routes have, stands alone.
    fn is_like(&self, other: &Self) -> bool {
        let Self {
            group,
            timeouts,
            body_limit,
            guard,
            special,
            ruled,
            intercepts,
            access_log,
            config,
        } = self;
        let alone = guard.is_some() || special.is_some();
        let plain = (*body_limit, *ruled, *intercepts);
        !alone
            && other.guard.is_none()
            && other.special.is_none()
            && plain == (other.body_limit, other.ruled, other.intercepts)
            && Arc::ptr_eq(group, &other.group)
            && Arc::ptr_eq(timeouts, &other.timeouts)
            && access_log.is_same(&other.access_log)
            && *config == other.config
    }
}

/// A number that only what shares the same thing has.
fn pointed_to<T>(shared: Option<&Arc<T>>) -> usize {
    shared.map_or(0, |shared| Arc::as_ptr(shared).addr())
}

/// Why a checked configuration cannot run here.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An access log cannot be opened.
    #[error("cannot open the access log `{target}`")]
    AccessLog {
        /// Its path.
        target: String,
        /// What the system says.
        source: io::Error,
    },
    /// An upstream cannot be secured.
    #[error("upstream `{name}` cannot be used")]
    Tls {
        /// Its name.
        name: UpstreamName,
        /// Why.
        source: TlsError,
    },
    /// A stream cannot end TLS.
    #[error("stream `{name}` cannot end TLS")]
    Stream {
        /// Its name.
        name: Arc<str>,
        /// Why.
        source: StreamTlsError,
    },
    /// A TLS policy cannot be put to work.
    #[error("TLS for clients cannot be set up")]
    Policy(#[from] PolicyError),
    /// A route names an upstream that is not there, which `config` refuses.
    #[error("upstream `{name}` is not defined")]
    Upstream {
        /// The name.
        name: UpstreamName,
    },
}

impl Snapshot {
    /// The next generation for `config`, after `old`. Opens access logs; changes nothing that runs.
    pub fn build(
        config: Arc<Config>,
        old: Option<&Snapshot>,
        logs: &AccessLogs,
        ground: &Ground,
        now: Instant,
    ) -> Result<Self, BuildError> {
        let groups: BTreeMap<_, _> = config
            .upstreams
            .iter()
            .map(|(name, upstream)| {
                let known = old.and_then(|old| old.groups.get(name));
                let connector = connector(upstream, known.map(|group| &group.connector))?;
                let group = match known {
                    Some(group) if group.config == *upstream && group.connector == connector => {
                        group.clone()
                    }
                    known => {
                        let known = known.map(|group| &**group);
                        let group = Group::new(upstream.clone(), known, now);
                        let group = group.connected_by(connector);
                        look_into_file(&group, known, now);
                        Arc::new(group)
                    }
                };
                Ok((name.clone(), group))
            })
            .collect::<Result<_, BuildError>>()?;
        let names = old.map_or_else(Arc::default, |old| old.names.clone());
        for group in groups.values().filter(|group| group.config.has_names()) {
            group.take_from_names(names.endpoints(&group.config).0, now);
        }
        let nobody = config::Upstream::plain(UpstreamName::nobody(), [] as [EndpointAddress; 0]);
        let mut parts = Parts {
            gathers: config.names_body(),
            groups: &groups,
            definitions: &config.definitions,
            logs,
            open: HashMap::new(),
            timeouts: HashMap::new(),
            routes: Gathering::default(),
            guarding: guard::Kept::new(&config, old.map(|old| &old.guarding), now),
            old,
            nobody: Arc::new(Group::new(nobody, None, now)),
        };
        let mut sites = Gathering::default();
        for site in &config.sites {
            let first_route = parts.routes.len() as u32;
            let running = parts.site(site)?;
            let key = pointed_to(running.challenge_fallback.as_ref());
            sites.push((running, first_route), key, RunningSite::is_like);
        }
        let site_names = config.sites.iter().map(|site| site.name().into());
        let running_streams = config
            .streams
            .iter()
            .map(|stream| parts.stream(stream, (&config, ground)).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let access_log = parts.log(&config.access_log)?;
        let router = Router::compile(&config);
        let keeps = config.keeps_heads();
        Ok(Self {
            generation: old.map_or(1, |old| old.generation + 1),
            sites: sites.into_list(),
            site_names: site_names.collect(),
            routes: parts.routes.into_list(),
            names_offered: config.names_offered(),
            tls: Policies::build(&config, old.map(|old| &old.tls), ground)?,
            strict: strict(&config),
            guarding: parts.guarding,
            streams: StreamTable::new(&config.streams, &config.listen, &config.definitions),
            running_streams,
            access_log,
            names_local: names_local(&config) || router.needs_local(),
            router,
            groups,
            names,
            keeps,
            events: config.has_events(),
            terms: config.has_terms(),
            leads_plain: leads_plain(&config),
            config,
        })
    }
}

impl Snapshot {
    /// Frees it by pieces, for whoever lets others go before.
    pub fn take_apart(self) {
        let Self {
            config,
            sites,
            routes,
            ..
        } = self;
        drop_in_turn(sites.into_kept());
        drop_in_turn(routes.into_kept());
        if let Some(config) = Arc::into_inner(config) {
            drop_in_turn(config.sites);
        }
    }
}

fn names_local(config: &Config) -> bool {
    let mut named = config.texts().flat_map(Text::variables);
    named.any(|variable| matches!(variable, Variable::ServerAddr | Variable::ServerPort))
}

fn leads_plain(config: &Config) -> bool {
    let mut sites = config.sites.iter();
    sites.any(|site| ErrorRule::find(&site.detours.errors, PLAIN_ON_TLS).is_some())
}

fn strict(config: &Config) -> HashMap<usize, HeaderValue> {
    let sites = config.sites.iter().enumerate();
    let strict = sites.filter_map(|(index, site)| {
        let value = site.tls.hsts?.to_string();
        Some((index, HeaderValue::from_str(&value).ok()?))
    });
    strict.collect()
}

/// Takes the endpoints that are in the group's file, or those that `old` had from there. Blocks on the file.
fn look_into_file(group: &Group, old: Option<&Group>, now: Instant) {
    let Some(path) = &group.config.endpoints_file else {
        return;
    };
    let found = endpoints_file::read(path).unwrap_or_else(|fault| {
        let (upstream, error) = (group.name(), with_reasons(&fault));
        tracing::warn!(event = "upstream.endpoints.kept", %upstream, %error, "the file of endpoints cannot be used; those that are known stay");
        old.map(Group::from_file).unwrap_or_default()
    });
    group.take_from_file(found, now);
}

/// How the upstream's endpoints are connected to; `old` itself where nothing has changed. Blocks on files.
/// How endpoints of an upstream are connected to; `old` is how they were before.
pub fn connector(
    upstream: &config::Upstream,
    old: Option<&Connector>,
) -> Result<Connector, BuildError> {
    let old = old.and_then(|old| old.tls.as_ref());
    let tls = upstream.tls.as_ref();
    let tls = tls.map(|tls| ClientTls::load(tls, old));
    let tls = tls.transpose().map_err(|source| BuildError::Tls {
        name: upstream.name.clone(),
        source,
    })?;
    let http2 = upstream.protocol == config::Protocol::Http2;
    Ok(Connector { tls, http2 })
}

/// What sites and routes are put together from.
struct Parts<'a> {
    /// Whether a text names the bodies of requests.
    gathers: bool,
    groups: &'a BTreeMap<UpstreamName, Arc<Group>>,
    definitions: &'a Definitions,
    logs: &'a AccessLogs,
    /// Those that are on.
    open: HashMap<&'a AccessLog, AccessLogHandle>,
    timeouts: HashMap<&'a RouteTimeouts, Arc<RouteTimeouts>>,
    routes: Gathering<RunningRoute>,
    guarding: guard::Kept,
    old: Option<&'a Snapshot>,
    nobody: Arc<Group>,
}

impl<'a> Parts<'a> {
    fn site(&mut self, site: &'a Site) -> Result<RunningSite, BuildError> {
        pause();
        for route in &site.routes {
            let route = self.route(site, route)?;
            let key = pointed_to(Some(&route.group));
            self.routes.push((route, ()), key, RunningRoute::is_like);
        }
        Ok(RunningSite {
            paths: PathTable::of(site),
            http: site.http,
            strict: site.tls.hsts.is_some(),
            ruled: !site.detours.rules.is_empty(),
            fields: site.fields,
            access_log: self.log(&site.access_log)?,
            challenge_fallback: site
                .challenge_fallback
                .as_ref()
                .map(|name| self.group(name))
                .transpose()?,
        })
    }

    fn route(&mut self, site: &'a Site, route: &'a Arc<Route>) -> Result<RunningRoute, BuildError> {
        let group = match route.action.upstream() {
            Some(name) => self.group(name)?,
            None => self.nobody.clone(),
        };
        let hashes = match &group.config.balance {
            Balance::Hash(how) => matches!(how.on, HashOn::Text(_)),
            _ => false,
        };
        Ok(RunningRoute {
            group,
            timeouts: self.timeouts(&route.timeouts),
            body_limit: route.body_limit.map_or(u64::MAX, |limit| limit.0),
            guard: self
                .guarding
                .guard(route, self.old.map(|old| &old.guarding)),
            ruled: !route.detours.rules.is_empty(),
            intercepts: route.detours.intercepts,
            special: Special::of(
                site,
                route,
                (
                    route.access_log.keeps_heads(self.definitions),
                    self.gathers,
                    hashes,
                ),
            )
            .map(Box::new),
            access_log: self.log(&route.access_log)?,
            config: route.clone(),
        })
    }

    fn timeouts(&mut self, timeouts: &'a RouteTimeouts) -> Arc<RouteTimeouts> {
        let shared = self.timeouts.entry(timeouts);
        shared.or_insert_with(|| Arc::new(timeouts.clone())).clone()
    }

    fn group(&self, name: &UpstreamName) -> Result<Arc<Group>, BuildError> {
        self.groups
            .get(name)
            .cloned()
            .ok_or_else(|| BuildError::Upstream { name: name.clone() })
    }

    fn log(&mut self, log: &'a AccessLog) -> Result<AccessLogHandle, BuildError> {
        if log.target == LogTarget::Off && log.events.is_empty() {
            return Ok(AccessLogHandle::off());
        }
        if let Some(handle) = self.open.get(log) {
            return Ok(handle.clone());
        }
        let handle = self
            .logs
            .handle(log)
            .map_err(|source| BuildError::AccessLog {
                target: log.target.to_string(),
                source,
            })?;
        self.open.insert(log, handle.clone());
        Ok(handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_reads_of_its_site_and_of_its_route_is_a_cache_line_each() {
        assert_eq!(size_of::<RunningSite>(), 64);
        assert_eq!(size_of::<RunningRoute>(), 64);
    }
}
