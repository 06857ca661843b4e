//! Requests that hubgate makes beside a client's, to routes of the same site: whether it may go on (`ask`), and what is
//! sent twice (`mirror`).
//!
//! What the two have in common: which route a path leads to, by its rules and the site's; what it asks its upstream for, and
//! who is said to ask. They know the variables that the client's request has set. Invariant: they are routed at most
//! [`ROUNDS`] times.

use pingora::http::RequestHeader;

use super::anew::ROUNDS;
use super::app::Facts;
use super::checks::Checked;
use super::client_certificate;
use super::files;
use super::filter::forwarded::{self, Origin};
use super::heads::Prepared;
use super::rules::{self, Ground, Ruled};
use super::trace::Trace;
use crate::config::{Paths, Rule};
use crate::nginx::uri::{self, Uri};
use crate::router::{RouteMatch, Seen};
use crate::snapshot::{RunningRoute, Snapshot};
use crate::transport::now;

/// The request that they are made beside.
#[derive(Clone, Copy)]
pub(super) struct Beside<'a> {
    pub(super) facts: &'a Facts,
    pub(super) snapshot: &'a Snapshot,
    pub(super) checked: &'a Checked,
    pub(super) id: &'a str,
}

/// Where such a request has come to.
pub(super) struct Course {
    /// What variables and logs are told of it.
    pub(super) own: Trace,
    /// The route it enters next, where its path does not say.
    enters: Option<Box<str>>,
    rounds: u8,
}

/// What it comes to.
pub(super) enum Way<'a> {
    /// This route answers.
    To(&'a RunningRoute),
    /// A rule answers, with this status.
    Says(u16),
}

impl Course {
    /// Of a request for `path` with `args`, which knows what the client's has `seen`.
    pub(super) fn new(
        (site, seen): (Option<usize>, Option<Box<Seen>>),
        path: &str,
        args: &[u8],
    ) -> Self {
        let mut own = Trace::begin(now());
        (own.site, own.seen) = (site, seen);
        own.seen.get_or_insert_default().uri = Some(Uri {
            path: path.as_bytes().to_vec(),
            args: args.to_vec(),
            raw: path.as_bytes().to_vec(),
            quoted: false,
            plus: false,
            has_path: true,
        });
        Self {
            own,
            enters: None,
            rounds: 0,
        }
    }

    /// Goes on with another target. False when it is no path.
    pub(super) fn turn(&mut self, target: &[u8]) -> bool {
        let uri = uri::parse(target, false).ok();
        let found = uri.is_some();
        self.own.seen.get_or_insert_default().uri = uri;
        found
    }

    /// Goes on with the route of this name, which may have its `@`.
    pub(super) fn enter(&mut self, name: &str) {
        self.enters = Some(name.strip_prefix('@').unwrap_or(name).into());
    }

    /// The target, as rules have left it.
    fn target(&self) -> Vec<u8> {
        let uri = self.own.seen.as_ref().and_then(|seen| seen.uri.as_ref());
        uri.map_or_else(Vec::new, |uri| files::target(&uri.path, &uri.args))
    }
}

impl<'a> Beside<'a> {
    /// Where `course` leads on its site, to internal routes too.
    pub(super) async fn lead(self, head: &RequestHeader, course: &mut Course) -> Option<Way<'a>> {
        let site = course.own.site?;
        let running = self.snapshot.sites.get(site)?;
        if course.rounds == 0 {
            let rules = &self.snapshot.config.sites.get(site)?.detours.rules;
            match self.ruled(rules, head, course).await {
                Ruled::Answer(answer) => return Some(Way::Says(answer.status)),
                Ruled::Enter(name, _) => course.enter(&name),
                Ruled::Through | Ruled::Find | Ruled::Stay | Ruled::Query => {}
            }
        }
        while course.rounds < ROUNDS {
            course.rounds += 1;
            let own = &mut course.own;
            let found = match course.enters.take() {
                Some(name) => running.paths.named(&name)?,
                None => {
                    let path = &own.seen.as_ref()?.uri.as_ref()?.path;
                    let path = match self.snapshot.config.sites.get(site)?.paths {
                        Paths::Normal { .. } => path.clone(),
                        Paths::Raw => uri::escape(path),
                    };
                    let RouteMatch::Found(found) = running.paths.find_within(&path, &mut own.seen)
                    else {
                        return None;
                    };
                    own.detour.stayed = false;
                    found
                }
            };
            let index = self.snapshot.first_route(site) + found;
            own.route = Some(index);
            let route = self.snapshot.routes.get(index)?;
            match self.ruled(&route.config.detours.rules, head, course).await {
                Ruled::Through | Ruled::Query => return Some(Way::To(route)),
                Ruled::Stay => {
                    course.own.detour.stayed = true;
                    return Some(Way::To(route));
                }
                Ruled::Find => {}
                Ruled::Enter(name, changed) => {
                    course.own.detour.stayed = changed;
                    course.enter(&name);
                }
                Ruled::Answer(answer) => return Some(Way::Says(answer.status)),
            }
        }
        None
    }

    async fn ruled(self, rules: &[Rule], head: &RequestHeader, course: &mut Course) -> Ruled {
        if rules.is_empty() {
            return Ruled::Through;
        }
        let own = &mut course.own;
        let ground = Ground {
            facts: self.facts,
            snapshot: self.snapshot,
            head,
            target: self.checked.asked(),
            host: self.checked.authority.host.as_str(),
            at: (own.site, own.route),
            id: self.id,
            known: None,
        };
        rules::run(rules, ground, own.seen.get_or_insert_default()).await
    }

    /// What the upstream of `route` is asked for: its own text, or else the path.
    pub(super) fn target(
        self,
        route: &RunningRoute,
        prepared: Option<&Prepared<'_>>,
        course: &Course,
    ) -> Vec<u8> {
        let special = route.special.as_deref();
        let target = course.target();
        if let Some(rewrite) = special.and_then(|special| special.rewrite.as_ref()) {
            return match course.own.detour.stayed {
                true => target,
                false => rewrite.target(&target, None),
            };
        }
        match (&route.config.request.target, prepared) {
            (None, _) | (_, None) => target,
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
