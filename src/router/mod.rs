//! Which site and which route a request belongs to, and which stream a connection.
//!
//! Pure: takes a host and a raw path, gives indices into `Config::sites` and `Site::routes`. What is done with a
//! match is `proxy`'s business. Invariant: what is forwarded is never decoded by being matched.
//!
//! # Precedence, one order
//!
//! 1. the site with exactly this host; 2. the site with `*.` and the host's parent; 3. the site with `default = true`.
//!
//! Inside the site: 4. the route whose `exact` is the path; 5. the prefix route that is the whole path (`/x` for
//! `/x`); 6. the slash is added when a prefix route is the path and a slash (`/x/` for `/x`); 7. the longest prefix
//! that ends at a segment. The order of the file never matters. A site with regexes, `begins`, names, routes within routes
//! or normalised paths has nginx's order instead, which is the same for all else: after 5. come regexes in the file's order.
#![deny(clippy::disallowed_methods)]

mod hosts;
mod paths;
mod patterns;
mod sites;
mod streams;
pub mod target;

use crate::config::Config;
use crate::types::host::Host;
pub use paths::{PathTable, Seen};
use sites::SiteTable;
pub use streams::{Here, StreamTable};

/// What a path leads to inside a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteMatch {
    /// The route with this index in `Site::routes`.
    Found(usize),
    /// No route for the path itself, but a prefix route for the path and a slash: redirect there.
    AddSlash,
    /// Nothing is served at this path.
    None,
    /// What is asked for is no path, where paths are decoded: 400.
    Invalid,
}

/// The sites of one configuration, ready to be looked up. Their routes are in a [`PathTable`] each.
#[derive(Debug)]
pub struct Router {
    sites: SiteTable,
}

impl Router {
    /// Takes a checked configuration. Of two equal patterns, which `config` refuses, the first in the file counts.
    pub fn compile(config: &Config) -> Self {
        Self {
            sites: SiteTable::new(&config.sites),
        }
    }

    /// The index in `Config::sites` of the site that answers for `host`; `None` when no site does (421).
    pub fn site(&self, host: &Host) -> Option<usize> {
        self.sites.find(host)
    }

    /// The index of the site with `default = true`, which also answers connections that name no host.
    pub fn default_site(&self) -> Option<usize> {
        self.sites.default_site()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, parse};

    fn parsed(text: &str) -> Config {
        let text = format!(
            "acme.contact = [\"a@example.org\"]\nupstream.up.endpoints = [\"192.0.2.1:80\"]\n{text}"
        );
        parse(&Source::new("it", "/", text)).unwrap().config
    }

    fn site(router: &Router, host: &str) -> Option<usize> {
        router.site(&Host::parse(host).unwrap())
    }

    #[test]
    fn indices_are_those_of_the_configuration() {
        let config = parsed(
            "[[site.\"b.test\".route]]\npath = \"/two/\"\nupstream = \"up\"\n\
             [[site.\"b.test\".route]]\nexact = \"/one\"\nupstream = \"up\"\n\
             [[site.\"a.test\".route]]\npath = \"/\"\nupstream = \"up\"\n",
        );
        let router = Router::compile(&config);
        let (a, b) = (
            site(&router, "a.test").unwrap(),
            site(&router, "b.test").unwrap(),
        );
        assert_eq!((a, b), (1, 0));
        let paths =
            |site: usize| PathTable::new(config.sites[site].routes.iter().map(|route| &route.path));
        assert_eq!(paths(b).find(b"/two/x"), RouteMatch::Found(0));
        assert_eq!(paths(b).find(b"/one"), RouteMatch::Found(1));
        assert_eq!(paths(b).find(b"/two"), RouteMatch::AddSlash);
        assert_eq!(paths(b).find(b"/three"), RouteMatch::None);
        assert_eq!(paths(a).find(b"/two"), RouteMatch::Found(0));
    }

    #[test]
    fn a_host_that_no_site_names_has_none() {
        let router = Router::compile(&parsed(
            "[[site.\"a.test\".route]]
path = \"/\"
upstream = \"up\"
",
        ));
        assert_eq!(router.default_site(), None);
        assert_eq!(site(&router, "b.test"), None);
    }
}
