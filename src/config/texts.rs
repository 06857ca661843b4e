//! Every text with variables that a configuration has, for what is decided from the variables they name.
//!
//! A key with a text has to be here: what is not is not known to name anything.

use super::access_log::AccessLog;
use super::balancing::{Balance, HashOn, Hashing};
use super::definition::Definition;
use super::detours::Detours;
use super::model::Config;
use super::text::Text;
use super::variable::Variable;
use crate::types::pause::pause;

impl Config {
    /// The access logs of requests, whether or not they are on.
    pub fn access_logs(&self) -> impl Iterator<Item = &AccessLog> {
        let routes = self.sites.iter().flat_map(|site| &site.routes);
        let of_sites = self.sites.iter().map(|site| &*site.access_log);
        let of_routes = routes.map(|route| &*route.access_log);
        of_sites.chain(of_routes).chain([&*self.access_log])
    }

    /// Whether a site or a route has logs of events of its own.
    pub fn has_events(&self) -> bool {
        let mut logs = self.access_logs();
        logs.any(|log| !log.events.is_empty())
    }

    /// Whether a site or a route says what its clients get.
    pub fn has_terms(&self) -> bool {
        let mut sites = self.sites.iter();
        sites.any(|site| {
            site.client.is_some() || site.routes.iter().any(|route| route.client.is_some())
        })
    }

    /// Whether a log names lines of answers' heads.
    pub fn keeps_heads(&self) -> bool {
        let mut logs = self.access_logs();
        logs.any(|log| log.keeps_heads(&self.definitions))
    }

    /// Whether a text names the request's body.
    pub fn names_body(&self) -> bool {
        let mut named = self.texts().flat_map(Text::variables);
        named.any(|variable| matches!(variable, Variable::RequestBody))
    }

    /// Whether one of its texts names what clients offer in handshakes.
    pub fn names_offered(&self) -> bool {
        let mut named = self.texts().flat_map(Text::variables);
        named.any(|variable| matches!(variable, Variable::TlsCiphers | Variable::TlsCurves))
    }

    /// Every text with variables.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        let routes = self.sites.iter().flat_map(|site| &site.routes);
        let formats = self.access_logs().flat_map(AccessLog::texts);
        let of_sites = self.sites.iter().flat_map(|site| {
            let bodies = site.bodies.texts();
            let unrouted = site.unrouted.iter();
            let unrouted = unrouted.flat_map(|heads| heads.texts());
            site.response.texts().chain(unrouted).chain(bodies)
        });
        let of_routes = routes.flat_map(|route| {
            pause();
            let fields = route.request.fields.iter().map(|field| &field.value);
            let sent = fields.chain(&route.request.target);
            let sent = sent.chain(&route.request.method).chain(&route.request.body);
            let sent = sent.chain(&route.request.bind);
            let heads = sent.chain(route.response.texts());
            let access = route.access.iter().flat_map(|access| access.texts());
            let limits = route.limits.iter().flat_map(|limits| limits.texts());
            let access = access.chain(route.bodies.texts()).chain(limits);
            heads.chain(route.action.texts()).chain(access)
        });
        let rates = self.rates.values().map(|zone| &zone.key);
        let zones = rates.chain(self.concurrency.values().map(|zone| &zone.key));
        let defined = self.definitions.values().flat_map(Definition::texts);
        let detours = self.sites.iter().flat_map(|site| {
            let of_routes = site.routes.iter().map(|route| &route.detours);
            [&site.detours].into_iter().chain(of_routes)
        });
        let hashed = self.upstreams.values().filter_map(|upstream| {
            let Balance::Hash(Hashing {
                on: HashOn::Text(text),
                ..
            }) = &upstream.balance
            else {
                return None;
            };
            Some(text)
        });
        let own = zones
            .chain(hashed)
            .chain(defined)
            .chain(detours.flat_map(Detours::texts));
        formats.chain(of_sites).chain(of_routes).chain(own)
    }
}
