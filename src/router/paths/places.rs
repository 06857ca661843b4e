//! The routes of a site that matches as nginx does: regexes, names, routes within routes, normalised paths.
//!
//! Where a path leads is found by `nginx::model`'s own places, so the answer is nginx's. Keeps what a path was taken for and
//! what regexes took, which texts can name. A lookup allocates; sites without any of this have the other tables.
#![deny(clippy::disallowed_methods)]

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::config::{Paths, Route, RouteAction, Site};
use crate::nginx::model::{Found, Kind, Place, Places};
use crate::nginx::uri::{self, Uri};
use crate::router::RouteMatch;
use crate::types::path::PathPattern;
use crate::types::pattern::Captures;

/// What finding a route told besides which.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The target as it was understood; `None` where paths are matched as they were sent.
    pub uri: Option<Uri>,
    /// What the regex that matched last took.
    pub captures: Captures,
    /// Values that were taken from another route's answer.
    pub taken: Vec<(Box<str>, Box<[u8]>)>,
    /// Whom a route that the request has left took for its client.
    pub client: Option<IpAddr>,
}

/// The routes of one site.
#[derive(Debug)]
pub(super) struct Nested {
    places: Places<Node>,
    paths: Paths,
    named: HashMap<Box<str>, usize>,
}

/// A route, as far as it is found by its path.
#[derive(Debug)]
struct Node {
    kind: Kind,
    redirects: bool,
    route: usize,
    internal: bool,
    inner: Places<Self>,
}

impl Place for Node {
    fn kind(&self) -> &Kind {
        &self.kind
    }

    fn inner(&self) -> &Places<Self> {
        &self.inner
    }

    fn redirects(&self) -> bool {
        self.redirects
    }
}

impl Nested {
    /// The routes of `site`; `None` when it has nothing of all this.
    pub(super) fn of(site: &Site) -> Option<Self> {
        let special = |route: &Route| {
            let plain = matches!(route.path, PathPattern::Exact(_) | PathPattern::Prefix(_));
            !plain || route.outer.is_some() || route.internal
        };
        let is_special = site.paths != Paths::Raw || site.routes.iter().any(|route| special(route));
        is_special.then(|| Self {
            places: Builder::new(site).places(None),
            paths: site.paths,
            named: named(site),
        })
    }

    /// What `path` leads to, which is that of `target`. Notes in `seen` what texts may name.
    pub(super) fn find(
        &self,
        path: &[u8],
        target: &[u8],
        seen: &mut Option<Box<Seen>>,
    ) -> RouteMatch {
        let Paths::Normal { merge_slashes } = self.paths else {
            return self.within(path, false, seen);
        };
        // What is asked of the server as a whole has no path.
        let target = if target == b"*" { &b"/"[..] } else { target };
        let Ok(uri) = uri::parse(target, merge_slashes) else {
            return RouteMatch::Invalid;
        };
        let found = self.within(&uri.path, false, seen);
        seen.get_or_insert_default().uri = Some(uri);
        found
    }

    /// What a path leads to that is matched as it is: one that a client sent, or one that hubgate itself asks for, to which
    /// internal routes answer too.
    pub(super) fn within(
        &self,
        path: &[u8],
        internally: bool,
        seen: &mut Option<Box<Seen>>,
    ) -> RouteMatch {
        match self.places.find(path) {
            Found::Place(node, _) if node.internal && !internally => RouteMatch::None,
            Found::Place(node, captures) => {
                if !captures.groups.is_empty() {
                    seen.get_or_insert_default().take(captures);
                }
                RouteMatch::Found(node.route)
            }
            Found::Slash(node) => RouteMatch::AddSlash(node.route),
            Found::None => RouteMatch::None,
        }
    }

    /// The route with this name.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.named.get(name).copied()
    }
}

impl Seen {
    /// The value of a name that the configuration gives.
    pub fn own(&self, name: &str) -> Option<&[u8]> {
        let mut taken = self.taken.iter();
        let found = taken.find(|(own, _)| **own == *name);
        found
            .map(|(_, value)| &**value)
            .or_else(|| self.captures.named(name))
    }

    /// Notes what a regex took: numbers are those of the last one, names stay.
    pub fn take(&mut self, captures: Captures) {
        let old = std::mem::replace(&mut self.captures, captures);
        for (name, value) in old.named {
            if self.captures.named(&name).is_none() {
                self.captures.named.push((name, value));
            }
        }
    }
}

fn named(site: &Site) -> HashMap<Box<str>, usize> {
    let named = site.routes.iter().enumerate();
    let named = named.filter_map(|(index, route)| match &route.path {
        PathPattern::Named(name) => Some((name.clone(), index)),
        _ => None,
    });
    named.collect()
}

/// Makes places of a site's routes.
struct Builder<'a> {
    site: &'a Site,
    /// Routes by the one they are within.
    within: HashMap<Option<usize>, Vec<usize>>,
}

impl<'a> Builder<'a> {
    fn new(site: &'a Site) -> Self {
        let mut within: HashMap<_, Vec<_>> = HashMap::new();
        for (index, route) in site.routes.iter().enumerate() {
            within.entry(route.outer).or_default().push(index);
        }
        Self { site, within }
    }

    /// The routes within the one with the index `outer`, or those of the site itself.
    fn places(&self, outer: Option<usize>) -> Places<Node> {
        let own = self.within.get(&outer).into_iter().flatten();
        let mut nodes: Vec<(u8, Node)> = own.flat_map(|index| self.of(*index)).collect();
        // Of two for one path, which only `path` beside `exact` or `begins` makes, the plainer one counts.
        nodes.sort_by_key(|(rank, _)| *rank);
        let mut taken = HashSet::new();
        nodes.retain(|(_, node)| {
            let exact = matches!(node.kind, Kind::Exact(_));
            let path = node.kind.path();
            path.is_none_or(|path| taken.insert((exact, path.to_vec())))
        });
        let nodes = nodes.into_iter().map(|(_, node)| node).collect();
        // Doubles are gone.
        Places::of(nodes).unwrap_or_default()
    }

    /// A route as places with their ranks: `path` is a whole path and what is below it.
    fn of(&self, index: usize) -> Vec<(u8, Node)> {
        let Some(route) = self.site.routes.get(index) else {
            return Vec::new();
        };
        let node = |kind: Kind, redirects: bool, inner: Places<Node>| Node {
            kind,
            redirects,
            route: index,
            internal: route.internal,
            inner,
        };
        let bytes = |path: &str| path.as_bytes().to_vec();
        let inner = || self.places(Some(index));
        let passes = matches!(route.action, RouteAction::Forward(_));
        match &route.path {
            PathPattern::Exact(path) => {
                // nginx does so; where paths stay raw, an exact one is no other.
                let redirects = passes && path.ends_with('/') && self.site.paths != Paths::Raw;
                let kind = Kind::Exact(bytes(path));
                vec![(0, node(kind, redirects, Places::default()))]
            }
            PathPattern::Begins(path) => {
                let kind = Kind::Prefix(bytes(path), route.is_final);
                vec![(0, node(kind, passes && path.ends_with('/'), inner()))]
            }
            PathPattern::Prefix(path) if path.ends_with('/') => {
                let kind = Kind::Prefix(bytes(path), route.is_final);
                // There is nothing before the first slash.
                vec![(1, node(kind, path.len() > 1, inner()))]
            }
            PathPattern::Prefix(path) => {
                let whole = node(Kind::Exact(bytes(path)), false, Places::default());
                let below = Kind::Prefix([path.as_bytes(), b"/"].concat(), route.is_final);
                vec![(1, whole), (2, node(below, false, inner()))]
            }
            PathPattern::Regex(regex) => {
                vec![(0, node(Kind::Pattern(regex.clone()), false, inner()))]
            }
            PathPattern::Named(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, parse};

    fn nested(text: &str) -> (Site, Nested) {
        let text = format!(
            "upstream.u.endpoints = [\"192.0.2.1:80\"]\n[site.\"a.test\"]\ncertificate = \"none\"\n{text}"
        );
        let config = parse(&Source::new("it", "/", text)).unwrap().config;
        let site = config.sites[0].clone();
        let nested = Nested::of(&site).unwrap();
        (site, nested)
    }

    fn route(key: &str, text: &str) -> String {
        format!("[[site.\"a.test\".route]]\n{key} = '{text}'\nupstream = \"u\"\n")
    }

    fn shown((site, nested): &(Site, Nested), target: &str) -> String {
        let mut seen = None;
        let found = nested.find(
            target.split('?').next().unwrap().as_bytes(),
            target.as_bytes(),
            &mut seen,
        );
        match found {
            RouteMatch::Found(route) => {
                let taken = seen.map(|seen| seen.captures.group(1).to_vec());
                let taken = String::from_utf8(taken.unwrap_or_default()).unwrap();
                format!("{} {taken}", site.routes[route].path)
                    .trim()
                    .to_owned()
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn an_exact_path_comes_before_regexes_and_these_before_the_longest_prefix_unless_it_is_final() {
        let site = nested(
            &[
                route("path", "/a"),
                route("begins", "/ab"),
                route("exact", "/a.png"),
                route("regex", r"^/(.*)\.png$"),
                route("begins", "/f/") + "final = true\n",
            ]
            .concat(),
        );
        assert_eq!(shown(&site, "/a.png"), "= /a.png");
        assert_eq!(shown(&site, "/a/x.png"), r"~ ^/(.*)\.png$ a/x");
        assert_eq!(shown(&site, "/f/x.png"), "/f/...");
        assert_eq!(shown(&site, "/f"), "AddSlash(4)");
        assert_eq!(shown(&site, "/a"), "/a");
        assert_eq!(shown(&site, "/a/b"), "/a");
        assert_eq!(shown(&site, "/abc"), "/ab...");
        assert_eq!(shown(&site, "/b"), "None");
    }

    #[test]
    fn a_route_within_another_is_asked_when_that_one_is_the_best() {
        let within = "[[site.\"a.test\".route.route]]\nregex = 'x$'\nupstream = \"u\"\n";
        let site = nested(&[&route("begins", "/a/"), within, &route("regex", "y$")].concat());
        assert_eq!(site.0.routes[1].outer, Some(0));
        assert_eq!(shown(&site, "/a/x"), "~ x$");
        assert_eq!(shown(&site, "/a/y"), "~ y$");
        assert_eq!(shown(&site, "/b/x"), "None");
    }

    #[test]
    fn a_normal_path_is_decoded_and_resolved_and_one_that_cannot_be_is_refused() {
        let normal = |merge: &str| {
            nested(&["paths = \"normal\"\n", merge, &route("begins", "/a b/")].concat())
        };
        let site = normal("");
        assert_eq!(shown(&site, "/x/..//a%20b/c?d"), "/a b/...");
        assert_eq!(shown(&site, "/a b"), "Invalid");
        assert_eq!(shown(&site, "/.."), "Invalid");
        assert_eq!(shown(&site, "/a%20b?c"), "AddSlash(0)");
        assert_eq!(
            shown(&normal("merge_slashes = false\n"), "//a%20b/"),
            "None"
        );
    }

    #[test]
    fn internal_routes_and_names_are_not_found_from_outside() {
        let site = nested(
            &[
                route("path", "/i/") + "internal = true\n",
                route("name", "app"),
            ]
            .concat(),
        );
        assert_eq!(shown(&site, "/i/x"), "None");
        assert_eq!(
            site.1.within(b"/i/x", true, &mut None),
            RouteMatch::Found(0)
        );
        assert_eq!(site.1.named("app"), Some(1));
        assert_eq!(site.1.named("a"), None);
    }
}
