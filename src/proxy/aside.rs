//! Requests that hubgate makes beside a client's, to routes of the same site: whether it may go on (`ask`), and what is
//! sent twice (`mirror`).
//!
//! What the two have in common: which route a path leads to, what it asks its upstream for, and who is said to ask.

use super::app::Facts;
use super::checks::Checked;
use super::client_certificate;
use super::filter::forwarded::{self, Origin};
use super::heads::Prepared;
use super::trace::Trace;
use crate::nginx::uri::Uri;
use crate::router::RouteMatch;
use crate::snapshot::{RunningRoute, Snapshot};

/// The request that they are made beside.
#[derive(Clone, Copy)]
pub(super) struct Beside<'a> {
    pub(super) facts: &'a Facts,
    pub(super) snapshot: &'a Snapshot,
    pub(super) checked: &'a Checked,
    pub(super) id: &'a str,
    /// The query that is asked with.
    pub(super) args: &'a [u8],
}

impl<'a> Beside<'a> {
    /// The route that a path leads to on this site, internal ones too; noted in `own`.
    pub(super) fn route(
        self,
        site: Option<usize>,
        path: &str,
        own: &mut Trace,
    ) -> Option<&'a RunningRoute> {
        let running = self.snapshot.sites.get(site?)?;
        let RouteMatch::Found(found) = running.paths.find_within(path.as_bytes(), &mut own.seen)
        else {
            return None;
        };
        let seen = own.seen.get_or_insert_default();
        seen.uri = Some(Uri {
            path: path.as_bytes().to_vec(),
            args: self.args.to_vec(),
            raw: path.as_bytes().to_vec(),
            quoted: false,
            has_path: true,
        });
        let index = running.first_route as usize + found;
        (own.site, own.route) = (site, Some(index));
        self.snapshot.routes.get(index)
    }

    /// What the upstream of `route` is asked for: its own text, or else `path`.
    pub(super) fn target(
        self,
        route: &RunningRoute,
        prepared: Option<&Prepared<'_>>,
        path: &str,
    ) -> Vec<u8> {
        let special = route.special.as_deref();
        if let Some(rewrite) = special.and_then(|special| special.rewrite.as_ref()) {
            return rewrite.target(&with_args(path, self.args), None);
        }
        match (&route.config.request.target, prepared) {
            (None, _) | (_, None) => with_args(path, self.args),
            // A text that comes to nothing is the client's own target.
            (Some(_), Some(prepared)) => {
                let own = || self.checked.target.to_vec();
                prepared.target.clone().unwrap_or_else(own)
            }
        }
    }

    /// Who asks; `client` is the client's address.
    pub(super) fn origin(self, client: &'a str, site: Option<usize>) -> Origin<'a> {
        let trusted_proxies = &self.snapshot.config.server.trusted_proxies;
        let (facts, checked) = (self.facts, self.checked);
        let default_port = if facts.is_tls { 443 } else { 80 };
        Origin {
            peer: &facts.peer_text,
            usual: &facts.usual,
            client,
            trusted: forwarded::is_trusted(facts.peer.ip(), trusted_proxies),
            scheme: facts.scheme(),
            port: checked.authority.port.unwrap_or(default_port),
            host: &checked.host_value,
            request_id: self.id,
            certificate: client_certificate::lines(facts, self.snapshot, site),
        }
    }
}

/// A path of the configuration, with what the query is.
fn with_args(path: &str, args: &[u8]) -> Vec<u8> {
    match args {
        [] => path.as_bytes().to_vec(),
        args => [path.as_bytes(), b"?", args].concat(),
    }
}
