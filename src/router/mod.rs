//! Which site and which route a request belongs to, and which stream a connection.
//!
//! Pure: takes a host and a raw path, gives indices into `Config::sites` and `Site::routes`. What is done with a
//! match is `proxy`'s business. Invariant: what is forwarded is never decoded by being matched.
//!
//! # Precedence, one order
//!
//! 1. the site with exactly this host; 2. the site with `*.` and the host's parent; 3. the site with `default = true`.
//!
//! Before 3. come the longest `**.`, the longest `.*` and the first regex, where sites have such. An address with sites of its
//! own asks only those; the first of them is its default.
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

use std::collections::HashMap;
use std::net::IpAddr;

use crate::config::Config;
use crate::types::address::Address;
use crate::types::host::Host;
pub use paths::{PathTable, Seen};
use sites::{Member, SiteTable};
pub use streams::{Here, StreamTable};

/// What a path leads to inside a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteMatch {
    /// The route with this index in `Site::routes`.
    Found(usize),
    /// No route for the path itself, but this prefix route for the path and a slash: redirect there.
    AddSlash(usize),
    /// Nothing is served at this path.
    None,
    /// What is asked for is no path, where paths are decoded: 400.
    Invalid,
}

/// The sites of one configuration, ready to be looked up. Their routes are in a [`PathTable`] each.
#[derive(Debug)]
pub struct Router {
    /// Those of the addresses in `[listen]`.
    shared: SiteTable,
    /// Those with addresses of their own, by the listener.
    own: HashMap<Address, Vec<Part>>,
}

/// The sites of one listener that ask for the same local address.
#[derive(Debug)]
struct Part {
    local: Option<IpAddr>,
    sites: SiteTable,
}

/// How a connection came in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrival<'a> {
    /// Its listener's address in the configuration.
    pub listener: Option<&'a Address>,
    /// The address it came to, where [`Router::needs_local`] asks for it.
    pub local: Option<IpAddr>,
}

impl Router {
    /// Takes a checked configuration. Of two equal patterns, which `config` refuses, the first in the file counts.
    pub fn compile(config: &Config) -> Self {
        Self {
            shared: SiteTable::new(&config.sites),
            own: own(config),
        }
    }

    /// The index in `Config::sites` of the site that answers for `host` on such a connection; `None` when no site does
    /// (421). Notes in `seen` what a regex took.
    pub fn site_at(
        &self,
        arrival: Arrival<'_>,
        host: &Host,
        seen: &mut Option<Box<Seen>>,
    ) -> Option<usize> {
        self.sites_at(arrival).seek(host, seen)
    }

    /// The index of the site that answers connections that name no host.
    pub fn default_at(&self, arrival: Arrival<'_>) -> Option<usize> {
        self.sites_at(arrival).default_site()
    }

    /// The index of a site that answers for `host`, wherever.
    pub fn site(&self, host: &Host) -> Option<usize> {
        let own = || {
            let mut parts = self.own.values().flatten();
            parts.find_map(|part| part.sites.named(host))
        };
        self.shared.seek(host, &mut None).or_else(own)
    }

    /// Whether sites have addresses of their own.
    pub fn has_own(&self) -> bool {
        !self.own.is_empty()
    }

    /// Whether it has to be known which address a connection came to.
    pub fn needs_local(&self) -> bool {
        let mut parts = self.own.values().flatten();
        parts.any(|part| part.local.is_some())
    }

    fn sites_at(&self, arrival: Arrival<'_>) -> &SiteTable {
        if self.own.is_empty() {
            return &self.shared;
        }
        let parts = arrival.listener.and_then(|listener| self.own.get(listener));
        let part = |local: Option<IpAddr>| {
            let mut parts = parts.into_iter().flatten();
            parts.find(|part| part.local == local)
        };
        let part = arrival.local.and_then(|local| part(Some(local)));
        let part = part.or_else(|| parts?.iter().find(|part| part.local.is_none()));
        part.map_or(&self.shared, |part| &part.sites)
    }
}

/// Those of a listener while they are gathered.
type Gathered<'a> = Vec<(Option<IpAddr>, Vec<Member<'a>>)>;

/// The sites with addresses of their own.
fn own(config: &Config) -> HashMap<Address, Vec<Part>> {
    let mut own: HashMap<Address, Gathered<'_>> = HashMap::new();
    for (index, site) in config.sites.iter().enumerate() {
        for at in &site.listen {
            let Some((listener, local)) = config.listen.of_site(at) else {
                continue;
            };
            let parts = own.entry(listener.address.clone()).or_default();
            let member = Member {
                index,
                site,
                default: at.default || site.default,
            };
            match parts.iter_mut().find(|(known, _)| *known == local) {
                Some((_, members)) if members.iter().any(|one| one.index == index) => {}
                Some((_, members)) => members.push(member),
                None => parts.push((local, vec![member])),
            }
        }
    }
    let part = |(local, members): (_, Vec<Member<'_>>)| Part {
        local,
        sites: SiteTable::of(&members),
    };
    let own = own.into_iter();
    own.map(|(listener, parts)| (listener, parts.into_iter().map(part).collect()))
        .collect()
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

    fn site_of(router: &Router, host: &str) -> Option<usize> {
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
            site_of(&router, "a.test").unwrap(),
            site_of(&router, "b.test").unwrap(),
        );
        assert_eq!((a, b), (1, 0));
        let paths =
            |site: usize| PathTable::new(config.sites[site].routes.iter().map(|route| &route.path));
        assert_eq!(paths(b).find(b"/two/x"), RouteMatch::Found(0));
        assert_eq!(paths(b).find(b"/one"), RouteMatch::Found(1));
        assert_eq!(paths(b).find(b"/two"), RouteMatch::AddSlash(0));
        assert_eq!(paths(b).find(b"/three"), RouteMatch::None);
        assert_eq!(paths(a).find(b"/two"), RouteMatch::Found(0));
    }

    #[test]
    fn an_address_with_sites_of_its_own_asks_only_those() {
        let site = |name: &str, more: &str| {
            format!(
                "[site.{name}]\ncertificate = \"none\"\n{more}\n[[site.{name}.route]]\npath = \"/\"\nupstream = \"up\"\n"
            )
        };
        let config = parsed(
            &[
                "listen.http = [\"0.0.0.0:80\", \"127.0.0.1:8080\"]\nlisten.https = []\n",
                &site("\"a.test\"", ""),
                &site("one", "hosts = [\"a.test\"]\nlisten = [\"127.0.0.1:8080\", \"192.0.2.1:80\"]"),
                &site("two", "hosts = [\"b.test\"]\nlisten = [{ address = \"127.0.0.1:8080\", default = true }]"),
            ]
            .concat(),
        );
        assert_eq!(config.listen.http.len(), 2);
        let router = Router::compile(&config);
        assert!(router.needs_local());
        let at = |listener: &str, local: &str, host: &str| {
            let listener: Address = listener.parse().unwrap();
            let arrival = Arrival {
                listener: Some(&listener),
                local: local.parse().ok(),
            };
            router.site_at(arrival, &Host::parse(host).unwrap(), &mut None)
        };
        assert_eq!(at("0.0.0.0:80", "192.0.2.9", "a.test"), Some(0));
        assert_eq!(at("0.0.0.0:80", "192.0.2.9", "b.test"), None);
        assert_eq!(at("0.0.0.0:80", "192.0.2.1", "b.test"), Some(1));
        assert_eq!(at("127.0.0.1:8080", "127.0.0.1", "a.test"), Some(1));
        assert_eq!(at("127.0.0.1:8080", "127.0.0.1", "c.test"), Some(2));
        assert_eq!(site_of(&router, "b.test"), Some(2));
    }

    #[test]
    fn a_host_that_no_site_names_has_none() {
        let router = Router::compile(&parsed(
            "[[site.\"a.test\".route]]
path = \"/\"
upstream = \"up\"
",
        ));
        assert_eq!(router.default_at(Arrival::default()), None);
        assert_eq!(site_of(&router, "b.test"), None);
    }
}
