//! One configuration generation, immutable, ready to run.
//!
//! Holds what a request needs to be served: the configuration, the compiled router, the upstreams and the open access
//! logs, with indices that agree with `Config::sites` and `Site::routes`. A request keeps the snapshot it started with.
//! [`Snapshot::build`] carries over by name what outlives a generation: what is known about endpoints, open log files.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::config::{AccessLogTarget, Config, Route, Site};
use crate::observe::access_log::{AccessLogHandle, AccessLogs};
use crate::router::Router;
use crate::types::name::UpstreamName;
use crate::upstream::group::Group;

/// What runs.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts up with every reload that changed something.
    pub generation: u64,
    /// What it was made from.
    pub config: Arc<Config>,
    /// Finds sites and routes.
    pub router: Router,
    /// Upstreams by name.
    pub groups: BTreeMap<UpstreamName, Arc<Group>>,
    /// As `config.sites`.
    pub sites: Vec<RunningSite>,
    /// For requests that belong to no site.
    pub access_log: AccessLogHandle,
}

/// A site as it runs.
#[derive(Debug)]
pub struct RunningSite {
    /// Its name, as in logs.
    pub name: Box<str>,
    /// Who gets challenge tokens that are not ours.
    pub challenge_fallback: Option<Arc<Group>>,
    /// As `Site::routes`.
    pub routes: Vec<RunningRoute>,
    /// Its log.
    pub access_log: AccessLogHandle,
}

/// A route as it runs.
#[derive(Debug)]
pub struct RunningRoute {
    /// What was configured.
    pub config: Arc<Route>,
    /// Its upstream.
    pub group: Arc<Group>,
    /// Its log.
    pub access_log: AccessLogHandle,
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
        now: Instant,
    ) -> Result<Self, BuildError> {
        let groups: BTreeMap<_, _> = config
            .upstreams
            .iter()
            .map(|(name, upstream)| {
                let known = old.and_then(|old| old.groups.get(name));
                let group = match known {
                    Some(group) if group.config == *upstream => group.clone(),
                    known => Arc::new(Group::new(upstream.clone(), known.map(|g| &**g), now)),
                };
                (name.clone(), group)
            })
            .collect();
        let parts = Parts {
            groups: &groups,
            logs,
        };
        let sites = config
            .sites
            .iter()
            .map(|site| parts.site(site))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            generation: old.map_or(1, |old| old.generation + 1),
            router: Router::compile(&config),
            sites,
            access_log: parts.log(&config.access_log)?,
            groups,
            config,
        })
    }
}

/// What sites and routes are put together from.
struct Parts<'a> {
    groups: &'a BTreeMap<UpstreamName, Arc<Group>>,
    logs: &'a AccessLogs,
}

impl Parts<'_> {
    fn site(&self, site: &Site) -> Result<RunningSite, BuildError> {
        Ok(RunningSite {
            name: site.name().into(),
            challenge_fallback: site
                .challenge_fallback
                .as_ref()
                .map(|name| self.group(name))
                .transpose()?,
            routes: site
                .routes
                .iter()
                .map(|route| self.route(route))
                .collect::<Result<_, _>>()?,
            access_log: self.log(&site.access_log)?,
        })
    }

    fn route(&self, route: &Arc<Route>) -> Result<RunningRoute, BuildError> {
        Ok(RunningRoute {
            config: route.clone(),
            group: self.group(&route.upstream)?,
            access_log: self.log(&route.access_log)?,
        })
    }

    fn group(&self, name: &UpstreamName) -> Result<Arc<Group>, BuildError> {
        self.groups
            .get(name)
            .cloned()
            .ok_or_else(|| BuildError::Upstream { name: name.clone() })
    }

    fn log(&self, log: &crate::config::AccessLog) -> Result<AccessLogHandle, BuildError> {
        self.logs
            .handle(log)
            .map_err(|source| BuildError::AccessLog {
                target: match &log.target {
                    AccessLogTarget::File(path) => path.display().to_string(),
                    AccessLogTarget::Stdout => "stdout".to_owned(),
                    AccessLogTarget::Off => "off".to_owned(),
                },
                source,
            })
    }
}
