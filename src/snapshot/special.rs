//! What few routes do: besides passing a request on as it came, or instead of it.
//!
//! Decided once when a snapshot is built, so that a request to any other route asks one pointer.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::config::{MirrorTo, Paths, Route, RouteAction, Site};
use crate::nginx::uri::Uri;
use crate::router::target;
use crate::types::path::PathPattern;

/// What is done besides passing a request on as it came.
#[derive(Debug, Default)]
pub struct Special {
    /// It is answered here, as the route's action says; the group is nobody's.
    pub answered: bool,
    /// As that, from files.
    pub files: bool,
    /// Its target changes.
    pub rewrite: Option<Rewrite>,
    /// The fields of its head change.
    pub request: bool,
    /// The head of its answer changes, or is kept.
    pub response: bool,
    /// Its log names lines of heads.
    pub keeps: bool,
    /// The request's body is kept for texts.
    pub gathers: bool,
    /// The body of its answer may change.
    pub bodies: bool,
    /// It is sent a second time.
    pub mirror: Option<Mirror>,
}

/// Where requests are sent a second time.
#[derive(Debug)]
pub struct Mirror {
    /// What was configured.
    pub config: Arc<MirrorTo>,
    /// How many are on their second way.
    pub under_way: Arc<AtomicUsize>,
}

impl Special {
    /// What a route of the site does so; `None` for most. `keeps`: its log names lines of heads;
    /// `gathers`: some text names the request's body; `hashes`: its upstream goes by a text.
    pub(super) fn of(
        site: &Site,
        route: &Route,
        (keeps, gathers, hashes): (bool, bool, bool),
    ) -> Option<Self> {
        // A route that rules enter replaces what the one around it is found by.
        let replaced = match &route.path {
            PathPattern::Named(_) => site.outer(route).unwrap_or(route),
            _ => route,
        };
        let request = &route.request;
        let chooses = matches!(route.action, RouteAction::Choose(..));
        let changes = request.changes() || hashes || chooses;
        let special = Self {
            answered: !route.action.forwards(),
            files: matches!(route.action, RouteAction::Files(_)),
            rewrite: route.rewrite_prefix.as_ref().map(|replacement| Rewrite {
                prefix: replaced.path.as_str().into(),
                replacement: replacement.clone(),
                normal: site.paths != Paths::Raw,
            }),
            request: changes,
            response: keeps || gathers || !route.response.spares_upstreams(),
            keeps,
            gathers,
            bodies: route.bodies.change(),
            mirror: route.mirror.clone().map(|config| Mirror {
                config,
                under_way: Arc::default(),
            }),
        };
        let answers = special.response || special.bodies || special.mirror.is_some();
        let plain = !special.answered && special.rewrite.is_none() && !changes && !answers;
        let named = route.action.upstream().is_some() && request.target.is_none();
        (!(plain && named)).then_some(special)
    }
}

/// Puts one prefix in the place of another.
#[derive(Debug)]
pub struct Rewrite {
    /// The bytes that go.
    pub prefix: Box<str>,
    /// The bytes that come.
    pub replacement: Box<str>,
    /// Whether that is so of the path as it was understood, and not as it was sent.
    pub normal: bool,
}

impl Rewrite {
    /// The target that goes on: `uri` is what `raw` was understood as, where it was.
    pub fn target(&self, raw: &[u8], uri: Option<&Uri>) -> Vec<u8> {
        let (prefix, replacement) = (self.prefix.as_bytes(), self.replacement.as_bytes());
        match uri.filter(|_| self.normal) {
            Some(uri) => {
                let rest = uri.path.strip_prefix(prefix).unwrap_or_default();
                [replacement, &uri.written(rest)].concat()
            }
            None => target::rewrite(raw, prefix, replacement),
        }
    }
}
