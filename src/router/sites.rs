//! Sites by host: exact, then wildcard, then the default.
//!
//! Two lookups at most, whatever the number of hosts.
#![deny(clippy::disallowed_methods)]

use super::patterns::PatternTable;
use crate::config::Site;
use crate::types::host::Host;

/// Every host of every site.
#[derive(Debug)]
pub(super) struct SiteTable {
    hosts: PatternTable,
    default: Option<usize>,
}

impl SiteTable {
    /// Takes the sites in the order of the file; values are their indices.
    pub(super) fn new(sites: &[Site]) -> Self {
        let hosts = (0..)
            .zip(sites)
            .flat_map(|(index, site)| site.hosts.iter().map(move |pattern| (pattern, index)));
        Self {
            hosts: PatternTable::new(hosts),
            default: sites.iter().position(|site| site.default),
        }
    }

    pub(super) fn find(&self, host: &Host) -> Option<usize> {
        self.hosts.find(host).or(self.default)
    }

    pub(super) fn default_site(&self) -> Option<usize> {
        self.default
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        AccessLog, AccessLogFormat, AccessLogTarget, CertificateSource, HttpMode, ResponseHeads,
    };
    use crate::types::host::HostPattern;

    fn site(hosts: &[&str], default: bool) -> Site {
        Site {
            hosts: hosts
                .iter()
                .map(|text| HostPattern::parse(text).unwrap())
                .collect(),
            default,
            certificate: CertificateSource::None,
            http: HttpMode::Forward,
            redirect_status: None,
            challenge_fallback: None,
            paths: Default::default(),
            routes: Vec::new(),
            request: Vec::new(),
            response: ResponseHeads::default(),
            limits: None,
            access: None,
            access_log: AccessLog {
                target: AccessLogTarget::Off,
                format: AccessLogFormat::Combined,
                redact: Vec::new(),
            },
            error_pages: std::sync::Arc::default(),
            tls: std::sync::Arc::default(),
        }
    }

    fn find(table: &SiteTable, host: &str) -> Option<usize> {
        table.find(&Host::parse(host).unwrap())
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
