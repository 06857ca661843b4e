//! The certificates being served, by host: one table behind one swap.
//!
//! Handshakes read it without waiting; whoever gets a new pair (`watch`, `acme`, a reload) swaps it in, which no
//! handshake under way notices. Lookup by the client's server name: the exact host, then the wildcard one label above,
//! then the default site. A client that names no host gets the default site too. Without a default site both are
//! refused: answering with some other site's certificate would tell scanners what else lives here and end in a
//! confusing browser warning. The listener refuses with [`UNRECOGNIZED_NAME`]; rustls alone would say `access_denied`.
//! A site with addresses of its own has its pair under its name too, for hosts may be others' at other addresses.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pem::{Leaf, Pair};
use crate::types::host::HostPattern;
use crate::types::pause::pause;

/// A whole TLS record with the fatal alert `unrecognized_name` (RFC 6066 section 3), to be sent before the handshake.
pub const UNRECOGNIZED_NAME: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70];

/// Where a served pair came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Files the configuration names.
    Files,
    /// An authority.
    Acme,
    /// Made here because the configuration asks for it.
    SelfSigned,
    /// Made here until an authority has issued the real one.
    Placeholder,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files => "files",
            Self::Acme => "acme",
            Self::SelfSigned => "self-signed",
            Self::Placeholder => "placeholder",
        })
    }
}

/// One row of the listing for status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Whom it is served for.
    pub pattern: HostPattern,
    /// Names, dates, serial number.
    pub leaf: Arc<Leaf>,
    /// Where it came from.
    pub origin: Origin,
}

/// A change of the whole table, made ready: what is left to do is a swap.
pub struct Change {
    make: Box<dyn Fn(&Table) -> Table + Send + Sync>,
    before: Arc<Table>,
    after: Arc<Table>,
}

/// The shared table. Cheap to read, copied on write (writes are rare).
pub struct Certificates {
    table: ArcSwap<Table>,
}

#[derive(Clone, Default)]
struct Table {
    exact: HashMap<Box<str>, Row>,
    /// Keyed by the name below the star.
    wildcard: HashMap<Box<str>, Row>,
    /// For patterns of other kinds, in the order in which they are asked.
    others: Vec<Row>,
    /// By the site, not by hosts.
    of_sites: HashMap<Box<str>, Row>,
    default: Option<HostPattern>,
}

#[derive(Clone)]
struct Row {
    pattern: HostPattern,
    pair: Pair,
    origin: Origin,
}

impl Certificates {
    /// An empty table: every handshake is refused.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            table: ArcSwap::default(),
        })
    }

    /// Serves `pair` for the hosts of `pattern` from the next handshake on, in the place of what was there.
    pub fn insert(&self, pattern: HostPattern, pair: Pair, origin: Origin) {
        self.insert_all([(pattern, pair, origin)]);
    }

    /// Serves several pairs from the same moment on.
    pub fn insert_all(&self, rows: impl IntoIterator<Item = (HostPattern, Pair, Origin)>) {
        let rows: Vec<_> = rows.into_iter().collect();
        if rows.is_empty() {
            return; // a table of ten thousand is not copied for nothing
        }
        self.update(|table| {
            for (pattern, pair, origin) in &rows {
                table.insert(Row {
                    pattern: pattern.clone(),
                    pair: pair.clone(),
                    origin: *origin,
                });
            }
        });
    }

    /// Makes ready to serve `rows` beside what `keep` wants of the others, with `default` as in [`Self::set_default`].
    pub fn prepare(
        &self,
        rows: Vec<(HostPattern, Pair, Origin)>,
        keep: impl Fn(&HostPattern, Origin) -> bool + Send + Sync + 'static,
        default: Option<HostPattern>,
    ) -> Change {
        let make = move |table: &Table| {
            let mut next = Table {
                default: default.clone(),
                ..Default::default()
            };
            next.exact.reserve(rows.len());
            let all = table.rows().chain(table.of_sites.values());
            for row in all.filter(|row| keep(&row.pattern, row.origin)) {
                pause();
                next.insert(row.clone());
            }
            for (pattern, pair, origin) in &rows {
                pause();
                next.insert(Row {
                    pattern: pattern.clone(),
                    pair: pair.clone(),
                    origin: *origin,
                });
            }
            next
        };
        let before = self.table.load_full();
        Change {
            after: Arc::new(make(&before)),
            make: Box::new(make),
            before,
        }
    }

    /// Serves what was made ready. Gives it back, because to free what it holds may take a while.
    pub fn apply(&self, change: Change) -> Change {
        let found = self
            .table
            .compare_and_swap(&change.before, change.after.clone());
        if !Arc::ptr_eq(&found, &change.before) {
            // An order came between; it has a certificate more to keep.
            self.table.rcu(|table| (change.make)(table));
        }
        drop(found);
        change
    }

    /// Names the pattern whose certificate is served to clients that name no host, or none of ours; `None` refuses them.
    pub fn set_default(&self, pattern: Option<HostPattern>) {
        self.update(|table| table.default = pattern.clone());
    }

    /// Whether a client that sent this server name has a certificate to be shown.
    pub fn has(&self, server_name: Option<&str>) -> bool {
        self.table.load().asked(server_name).is_some()
    }

    /// Keeps the rows that `keep` wants.
    pub fn retain(&self, keep: impl Fn(&HostPattern, Origin) -> bool) {
        let stays = |row: &Row| keep(&row.pattern, row.origin);
        if self.table.load().rows().all(stays) {
            return; // as most reloads find it
        }
        self.update(|table| {
            table.exact.retain(|_, row| stays(row));
            table.wildcard.retain(|_, row| stays(row));
            table.others.retain(stays);
        });
    }

    /// The certificate for a client that sent this server name; `None` when the handshake is to be refused.
    pub fn find(&self, server_name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let table = self.table.load();
        let row = table.asked(server_name);
        row.map(|row| Arc::clone(&row.pair.key))
    }

    /// The certificates of the site of this name, where it has addresses of its own.
    pub fn of_site(&self, name: &str) -> Option<Pair> {
        let table = self.table.load();
        let row = table.of_sites.get(name)?;
        Some(row.pair.clone())
    }

    /// What is served for exactly this pattern.
    pub fn get(&self, pattern: &HostPattern) -> Option<Served> {
        self.table.load().get(pattern).map(Row::served)
    }

    /// For how many patterns something is served.
    pub fn count(&self) -> usize {
        let table = self.table.load();
        table.rows().count()
    }

    /// Everything being served, sorted by pattern.
    pub fn list(&self) -> Vec<Served> {
        let table = self.table.load();
        let mut rows: Vec<_> = table.rows().map(Row::served).collect();
        rows.sort_by(|a, b| a.pattern.cmp(&b.pattern));
        rows
    }

    fn update(&self, change: impl Fn(&mut Table)) {
        self.table.rcu(|table| {
            let mut next = Table::clone(table);
            change(&mut next);
            next
        });
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = self.table.load();
        let pair = &table.asked(hello.server_name())?.pair;
        Some(Arc::clone(pair.for_client(hello.signature_schemes())))
    }
}

impl Row {
    fn served(&self) -> Served {
        Served {
            pattern: self.pattern.clone(),
            leaf: Arc::clone(&self.pair.leaf),
            origin: self.origin,
        }
    }
}

impl Table {
    fn rows(&self) -> impl Iterator<Item = &Row> {
        let plain = self.exact.values().chain(self.wildcard.values());
        plain.chain(&self.others)
    }

    fn insert(&mut self, row: Row) {
        if let Some(site) = row.pattern.site() {
            self.of_sites.insert(site.into(), row);
            return;
        }
        match &row.pattern {
            HostPattern::Exact(host) => {
                self.exact.insert(host.as_str().into(), row);
            }
            HostPattern::Wildcard(host) => {
                self.wildcard.insert(host.as_str().into(), row);
            }
            _ => {
                self.others.retain(|other| other.pattern != row.pattern);
                self.others.push(row);
                self.others.sort_by_key(|row| row.pattern.precedence());
            }
        };
    }

    /// What a client gets that sent this name.
    fn asked(&self, server_name: Option<&str>) -> Option<&Row> {
        let named = server_name.and_then(|name| self.find(name));
        named.or_else(|| self.default())
    }

    fn find(&self, name: &str) -> Option<&Row> {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.find(&name.to_ascii_lowercase());
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        self.exact
            .get(name)
            .or_else(|| self.wildcard.get(name.split_once('.')?.1))
            .or_else(|| {
                self.others
                    .iter()
                    .find(|row| row.pattern.matches_name(name))
            })
    }

    fn get(&self, pattern: &HostPattern) -> Option<&Row> {
        match pattern {
            HostPattern::Exact(host) => self.exact.get(host.as_str()),
            HostPattern::Wildcard(host) => self.wildcard.get(host.as_str()),
            other => self.others.iter().find(|row| row.pattern == *other),
        }
    }

    fn default(&self) -> Option<&Row> {
        self.get(self.default.as_ref()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::self_signed;

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    fn table(patterns: &[&str]) -> Arc<Certificates> {
        let certificates = Certificates::new();
        for text in patterns {
            let pair = self_signed::generate(&[pattern(text)]).unwrap();
            certificates.insert(pattern(text), pair, Origin::SelfSigned);
        }
        certificates
    }

    fn found(certificates: &Certificates, name: Option<&str>) -> Option<String> {
        let key = certificates.find(name)?;
        Some(Leaf::parse(&key.cert[0]).unwrap().names[0].to_string())
    }

    #[test]
    fn the_exact_host_wins_over_the_wildcard() {
        let certificates = table(&["a.b.test", "*.b.test"]);
        assert_eq!(found(&certificates, Some("a.b.test")).unwrap(), "a.b.test");
        assert_eq!(found(&certificates, Some("c.b.test")).unwrap(), "*.b.test");
        assert_eq!(found(&certificates, Some("A.B.Test")).unwrap(), "a.b.test");
    }

    #[test]
    fn patterns_of_other_kinds_are_asked_after_hosts_and_wildcards() {
        let certificates = Certificates::new();
        for (text, name) in [
            ("~^r", "regex.test"),
            ("**.b.test", "below.test"),
            ("*.b.test", "one.test"),
            ("r.*", "starts.test"),
        ] {
            let pair = self_signed::generate(&[pattern(name)]).unwrap();
            let pattern = HostPattern::parse_any(text).unwrap();
            certificates.insert(pattern, pair, Origin::Files);
        }
        let found = |name: &str| found(&certificates, Some(name)).unwrap();
        assert_eq!(found("a.b.test"), "one.test");
        assert_eq!(found("c.a.b.test"), "below.test");
        assert_eq!(found("r.test"), "starts.test");
        assert_eq!(found("rx.test"), "regex.test");
        certificates.retain(|pattern, _| *pattern != HostPattern::parse_any("~^r").unwrap());
        assert_eq!(certificates.count(), 3);
    }

    #[test]
    fn wildcard_cert_does_not_match_two_labels() {
        let certificates = table(&["*.b.test"]);
        assert_eq!(found(&certificates, Some("x.a.b.test")), None);
        assert_eq!(found(&certificates, Some("b.test")), None);
    }

    #[test]
    fn unknown_and_missing_names_are_refused_without_a_default_site() {
        let certificates = table(&["a.test"]);
        assert_eq!(found(&certificates, Some("b.test")), None);
        assert_eq!(found(&certificates, None), None);
        certificates.set_default(Some(pattern("a.test")));
        assert_eq!(found(&certificates, Some("b.test")).unwrap(), "a.test");
        assert_eq!(found(&certificates, None).unwrap(), "a.test");
        certificates.set_default(None);
        assert_eq!(found(&certificates, None), None);
    }

    #[test]
    fn a_swap_replaces_only_its_own_host() {
        let certificates = table(&["a.test", "b.test"]);
        let before = certificates.list();
        certificates.insert(
            pattern("a.test"),
            self_signed::generate(&[pattern("a.test")]).unwrap(),
            Origin::Acme,
        );
        let after = certificates.list();
        assert_ne!(before[0].leaf.serial, after[0].leaf.serial);
        assert_eq!(after[0].origin, Origin::Acme);
        assert_eq!(before[1], after[1]);
    }

    #[test]
    fn retain_removes_what_is_no_longer_wanted() {
        let certificates = table(&["a.test", "*.b.test"]);
        certificates.retain(|own, _| *own != pattern("*.b.test"));
        assert_eq!(certificates.list().len(), 1);
        assert_eq!(found(&certificates, Some("x.b.test")), None);
    }

    #[test]
    fn what_changes_nothing_leaves_the_table_where_it_is() {
        let certificates = table(&["a.test", "*.b.test"]);
        let before = certificates.table.load_full();
        certificates.retain(|_, origin| origin == Origin::SelfSigned);
        certificates.insert_all([]);
        assert!(Arc::ptr_eq(&before, &certificates.table.load_full()));
    }
}
