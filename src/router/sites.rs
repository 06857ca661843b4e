//! The sites of an address by host: the best pattern, then the default.
//!
//! What patterns cost is `patterns`' business.
#![deny(clippy::disallowed_methods)]

use super::Seen;
use super::patterns::PatternTable;
use crate::config::Site;
use crate::types::host::Host;

/// Every host of every site.
#[derive(Debug)]
pub(super) struct SiteTable {
    hosts: PatternTable,
    default: Option<usize>,
    /// Whether the default answers requests that name no host, too.
    of_own_address: bool,
}

/// A site at an address of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    pub(super) index: usize,
    pub(super) site: &'a Site,
    /// Whether it asks to be the default there.
    pub(super) default: bool,
}

impl SiteTable {
    /// Takes the sites in the order of the file, of which those without addresses of their own count; values are their
    /// indices.
    pub(super) fn new(sites: &[Site]) -> Self {
        let shared = (0..).zip(sites).filter(|(_, site)| site.listen.is_empty());
        let hosts = shared
            .clone()
            .flat_map(|(index, site)| site.hosts.iter().map(move |pattern| (pattern, index)));
        let mut defaults = shared.filter(|(_, site)| site.default);
        Self {
            hosts: PatternTable::new(hosts),
            default: defaults.next().map(|(index, _)| index as usize),
            of_own_address: false,
        }
    }

    /// The sites of one address of their own, in the order of the file. The first is the default unless another asks to be.
    pub(super) fn of(members: &[Member<'_>]) -> Self {
        // A configuration with 2^32 sites fits no memory.
        let hosts = members.iter().flat_map(|member| {
            let hosts = member.site.hosts.iter();
            hosts.map(|pattern| (pattern, member.index as u32))
        });
        let default = members.iter().find(|member| member.default);
        Self {
            hosts: PatternTable::new(hosts),
            default: default.or(members.first()).map(|member| member.index),
            of_own_address: true,
        }
    }

    /// The site for `host`. Notes in `seen` what a regex took.
    pub(super) fn seek(&self, host: &Host, seen: &mut Option<Box<Seen>>) -> Option<usize> {
        let default = || {
            let answers = self.of_own_address || !host.is_nameless();
            self.default.filter(|_| answers)
        };
        self.hosts.seek(host, seen).or_else(default)
    }

    /// The site that names `host`.
    pub(super) fn named(&self, host: &Host) -> Option<usize> {
        self.hosts.find(host)
    }

    pub(super) fn default_site(&self) -> Option<usize> {
        self.default
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AccessLog, CertificateSource, HttpMode, ResponseHeads};
    use crate::types::host::HostPattern;

    fn site(hosts: &[&str], default: bool) -> Site {
        Site {
            label: None,
            server_name: None,
            listen: Vec::new(),
            hosts: hosts
                .iter()
                .map(|text| HostPattern::parse(text).unwrap())
                .collect(),
            default,
            certificate: CertificateSource::None,
            http: HttpMode::Forward,
            redirect_status: None,
            challenge_fallback: None,
            detours: Default::default(),
            fields: Default::default(),
            paths: Default::default(),
            routes: Vec::new(),
            request: Vec::new(),
            response: ResponseHeads::default(),
            unrouted: None,
            bodies: Default::default(),
            referers: None,
            client_address: None,
            client: None,
            limits: None,
            access: None,
            access_log: std::sync::Arc::new(AccessLog::off()),
            error_pages: std::sync::Arc::default(),
            tls: std::sync::Arc::default(),
        }
    }

    fn find(table: &SiteTable, host: &str) -> Option<usize> {
        table.seek(&Host::parse(host).unwrap(), &mut None)
    }

    #[test]
    fn an_exact_host_wins_over_a_wildcard_wherever_it_stands() {
        for sites in [
            [
                site(&["*.example.org"], false),
                site(&["hub.example.org"], false),
            ],
            [
                site(&["hub.example.org"], false),
                site(&["*.example.org"], false),
            ],
        ] {
            let table = SiteTable::new(&sites);
            let exact = sites.iter().position(|s| s.hosts[0].exact().is_some());
            assert_eq!(find(&table, "hub.example.org"), exact);
            assert_eq!(
                find(&table, "other.example.org"),
                exact.map(|index| 1 - index)
            );
        }
    }

    #[test]
    fn a_wildcard_wins_over_the_default_site() {
        let table = SiteTable::new(&[site(&["a.test"], true), site(&["*.example.org"], false)]);
        assert_eq!(find(&table, "x.example.org"), Some(1));
        assert_eq!(find(&table, "x.y.example.org"), Some(0));
        assert_eq!(find(&table, "192.0.2.1"), Some(0));
    }

    #[test]
    fn at_an_address_of_its_own_the_first_site_is_the_default_unless_another_asks_to_be() {
        let sites = [site(&["a.test"], false), site(&["b.test"], false)];
        let of = |asks: [bool; 2]| {
            let members = sites.iter().zip(asks).enumerate();
            let members = members.map(|(index, (site, default))| Member {
                index,
                site,
                default,
            });
            SiteTable::of(&members.collect::<Vec<_>>())
        };
        let first = of([false, false]);
        assert_eq!(find(&first, "b.test"), Some(1));
        assert_eq!(find(&first, "c.test"), Some(0));
        assert_eq!(first.seek(&Host::nameless(), &mut None), Some(0));
        assert_eq!(find(&of([false, true]), "c.test"), Some(1));
        assert_eq!(first.named(&Host::parse("c.test").unwrap()), None);
    }

    #[test]
    fn without_a_default_site_an_unknown_host_has_none() {
        let table = SiteTable::new(&[site(&["a.test", "*.b.test"], false)]);
        assert_eq!(find(&table, "b.test"), None);
        assert_eq!(find(&table, "x.a.test"), None);
        assert_eq!(table.default_site(), None);
    }

    #[test]
    fn aliases_case_and_a_trailing_dot_lead_to_the_same_site() {
        let table = SiteTable::new(&[site(&["a.test", "::1", "BÜCHER.example"], false)]);
        for host in ["A.TEST.", "[::1]", "xn--bcher-kva.example"] {
            assert_eq!(find(&table, host), Some(0), "{host}");
        }
    }

    #[test]
    fn every_one_of_ten_thousand_hosts_finds_its_own_site() {
        let sites: Vec<Site> = (0..10_000)
            .map(|n| site(&[&format!("h{n}.example.org")], false))
            .collect();
        let table = SiteTable::new(&sites);
        for n in [0, 1, 4_999, 9_999] {
            assert_eq!(find(&table, &format!("h{n}.example.org")), Some(n));
        }
    }
}
