//! Which certificates a configuration asks for, from which source, and putting them into service.
//!
//! Prepared completely before anything is served: files are read and checked, self-signed pairs are made, the table is
//! put together. Applying cannot fail. What ACME serves is the ACME worker's business.

use std::collections::HashSet;
use std::sync::Arc;

use super::background::sometime;
use crate::config::{CertificateSource, Config, Site};
use crate::observe::reasons::with_reasons;
use crate::tls::watch::{Eyes, FileWatch};
use crate::tls::{Certificates, Change, FileCertificates, FileSpec, Known, Origin, self_signed};
use crate::types::host::{Host, HostPattern};
use crate::types::pause::pause;

/// Everything there is to serve for one configuration.
pub(super) struct Prepared {
    files: FileCertificates,
    change: Change,
    /// Hosts whose certificates are ordered.
    pub(super) acme_hosts: Vec<Host>,
}

/// Reads and makes what `config` names. Fails with one line per fault. Self-signed pairs that are being served stay, and
/// so do those in `known` whose files have not changed.
pub(super) fn prepare(
    config: &Config,
    current: &Certificates,
    known: &Known,
) -> Result<Prepared, Vec<String>> {
    let mut faults = Vec::new();
    let mut specs = Vec::new();
    let mut own = Vec::new();
    let mut patterns = Vec::new();
    let mut acme_hosts = Vec::new();
    for site in &config.sites {
        pause();
        match &site.certificate {
            CertificateSource::None => {}
            CertificateSource::Acme => {
                acme_hosts.extend(site.hosts.iter().filter_map(HostPattern::exact).cloned());
            }
            CertificateSource::Files(files) => {
                let mut served = served(site);
                if !site.listen.is_empty() {
                    served.push(HostPattern::of_site(&site.name()));
                }
                patterns.extend(served.iter().cloned());
                specs.push(FileSpec {
                    patterns: served,
                    files: files.clone(),
                });
            }
            CertificateSource::SelfSigned => {
                let hosts = served(site);
                patterns.extend(hosts.iter().cloned());
                let is_served = |host| {
                    current
                        .get(host)
                        .is_some_and(|row| row.origin == Origin::SelfSigned)
                };
                if hosts.iter().all(is_served) {
                    continue;
                }
                match self_signed::generate(&hosts) {
                    Ok(pair) => own.extend(hosts.into_iter().map(|host| (host, pair.clone()))),
                    Err(error) => {
                        faults.push(format!("site `{}`: {}", site.name(), with_reasons(&error)))
                    }
                }
            }
        }
    }
    let default = default(config).and_then(|site| served(site).into_iter().next());
    let files = FileCertificates::load_after(specs, known).map_err(|errors| {
        faults.extend(errors.iter().map(|error| with_reasons(error)));
    });
    match files {
        Ok(files) if faults.is_empty() => {
            let rows = own
                .into_iter()
                .map(|(host, pair)| (host, pair, Origin::SelfSigned));
            let rows = rows.chain(files.rows()).inspect(|_| pause()).collect();
            let patterns = patterns.into_iter().inspect(|_| pause());
            let mut wanted: HashSet<HostPattern> = patterns.collect();
            // A host that moved from files to ACME keeps the old pair until its own comes.
            wanted.extend(acme_hosts.iter().cloned().map(HostPattern::Exact));
            let keep = move |pattern: &HostPattern, origin| match origin {
                Origin::Files | Origin::SelfSigned => wanted.contains(pattern),
                Origin::Acme | Origin::Placeholder => true,
            };
            Ok(Prepared {
                change: current.prepare(rows, keep, default),
                files,
                acme_hosts,
            })
        }
        _ => Err(faults),
    }
}

/// For whom the site's certificate is served.
fn served(site: &Site) -> Vec<HostPattern> {
    match site.hosts.is_empty() {
        true => vec![HostPattern::Nameless],
        false => site.hosts.clone(),
    }
}

/// The site whose certificate is shown to clients that name no host, or none of ours.
fn default(config: &Config) -> Option<&Site> {
    let sites = || {
        let sites = config.sites.iter();
        sites.filter(|site| site.certificate != CertificateSource::None)
    };
    let tls = |site: &Site, asks: bool| {
        let mut own = site.listen.iter();
        own.any(|one| one.tls && (one.default || site.default || !asks))
    };
    let shared = |site: &&Site| site.default && site.listen.is_empty();
    (sites().find(shared))
        .or_else(|| sites().find(|site| tls(site, true)))
        .or_else(|| sites().find(|site| tls(site, false)))
}

impl Prepared {
    /// What the operator should look at.
    pub(super) fn doubts(&self) -> Vec<String> {
        self.files.doubts()
    }

    /// Puts everything into service, takes what went out of it, and follows the files from now on, by what did so
    /// `before`. Also gives what may take a while to be freed.
    pub(super) fn apply(
        self,
        certificates: &Arc<Certificates>,
        before: Option<Eyes>,
    ) -> (FileWatch, Change) {
        let change = certificates.apply(self.change);
        self.files.warn();
        let watch = self.files.watch_by(sometime, certificates.clone(), before);
        (watch, change)
    }
}
