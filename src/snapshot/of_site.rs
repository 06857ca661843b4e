//! What a generation has for a site, or for whoever means one: pages, handshakes, what browsers are to remember.
//!
//! Looks up, and changes nothing.

use std::sync::Arc;

use http::HeaderValue;

use super::Snapshot;
use crate::config::{ClientTerms, ClientTimeouts, ErrorPages};
use crate::router::Arrival;
use crate::tls::policies::Current;
use crate::types::host::Host;

impl Snapshot {
    /// Where the routes of a site begin in [`Self::routes`].
    pub fn first_route(&self, site: usize) -> usize {
        self.sites.beside(site).unwrap_or_default() as usize
    }

    /// What browsers are told with an answer for this site; nothing by plain HTTP.
    pub fn strict_transport(&self, is_tls: bool, site: Option<usize>) -> Option<&HeaderValue> {
        let site = site.filter(|site| is_tls && self.sites[*site].strict)?;
        self.strict.get(&site)
    }

    /// What people are told on a site when something goes wrong.
    pub fn pages(&self, site: Option<usize>) -> &ErrorPages {
        let of_site = site.map(|site| &self.config.sites[site].error_pages);
        of_site.unwrap_or(&self.config.error_pages)
    }

    /// What clients get at a route, or else at a site; `None` where neither says anything.
    pub fn terms(&self, site: Option<usize>, route: Option<usize>) -> Option<&Arc<ClientTerms>> {
        if !self.terms {
            return None;
        }
        match (route, site) {
            (Some(route), _) => self.routes[route].config.client.as_ref(),
            (None, Some(site)) => self.config.sites[site].client.as_ref(),
            (None, None) => None,
        }
    }

    /// How long a client is waited for there.
    pub fn times(&self, site: Option<usize>, route: Option<usize>) -> &ClientTimeouts {
        let terms = self.terms(site, route);
        terms.map_or(&self.config.timeouts, |terms| &terms.times)
    }

    /// What clients get before they have asked for anything.
    pub fn terms_at(
        &self,
        arrival: Arrival<'_>,
        server_name: Option<&Host>,
    ) -> Option<&Arc<ClientTerms>> {
        if !self.terms {
            return None;
        }
        let named = server_name.and_then(|name| self.router.site_at(arrival, name, &mut None));
        let site = named.or_else(|| self.router.default_at(arrival));
        self.terms(site, None)
    }

    /// The site with addresses of its own that a client means who sent this server name.
    pub fn own_site(&self, arrival: Arrival<'_>, server_name: Option<&Host>) -> Option<usize> {
        if !self.router.has_own() {
            return None;
        }
        let site = match server_name {
            Some(name) => self.router.site_at(arrival, name, &mut None),
            None => self.router.default_at(arrival),
        };
        site.filter(|site| !self.config.sites[*site].listen.is_empty())
    }

    /// What a connection is made with whose client sent this server name.
    pub fn server_tls(&self, arrival: Arrival<'_>, server_name: Option<&Host>) -> Arc<Current> {
        let site = || match server_name {
            Some(name) => self.router.site_at(arrival, name, &mut None),
            None => self.router.default_at(arrival),
        };
        let site = self.tls.differ().then(site).flatten();
        self.tls.current(site)
    }
}
