//! Every configuration that is shipped loads without a warning, and means what it says.
//!
//! An example added to `conf/examples` is loaded without a change here.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};

use hubgate::config::{self, CertificateSource, Config, HttpMode, Preset};
use hubgate::types::host::HostPattern;

fn conf(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("conf")
        .join(name)
}

fn load(name: &str) -> Config {
    let loaded = config::read(&conf(name)).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.report.is_empty(), "{name}: {}", loaded.report);
    loaded.config
}

#[test]
fn every_example_conf_loads() {
    let mut names: Vec<_> = std::fs::read_dir(conf("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for wanted in ["minimal.toml", "ska.toml", "two-hosts.toml"] {
        assert!(
            names.iter().any(|name| name == wanted),
            "{wanted} is missing"
        );
    }
    for name in names {
        load(&format!("examples/{name}"));
    }
}

#[test]
fn the_default_configuration_loads_as_it_is_shipped() {
    let config = load("hubgate.toml");
    assert_eq!(config.sites[0].certificate, CertificateSource::Acme);
    assert_eq!(config.sites[0].http, HttpMode::Redirect);
}

#[test]
fn the_minimal_configuration_has_12_lines() {
    assert_eq!(
        std::fs::read_to_string(conf("examples/minimal.toml"))
            .unwrap()
            .lines()
            .count(),
        12
    );
}

#[test]
fn the_ska_example_forwards_two_paths_without_rewriting() {
    let config = load("examples/ska.toml");
    let site = &config.sites[0];
    let paths: Vec<_> = site
        .routes
        .iter()
        .map(|route| (route.path.as_str(), route.preset))
        .collect();
    assert_eq!(
        paths,
        [
            ("/binderhub/", Some(Preset::BinderHub)),
            ("/jupyterhub/", Some(Preset::JupyterHub))
        ]
    );
    assert!(
        site.routes
            .iter()
            .all(|route| route.rewrite_prefix.is_none() && route.body_limit.is_none())
    );
    assert_ne!(
        site.routes[0].access_log.target,
        site.routes[1].access_log.target
    );
}

#[test]
fn the_two_hosts_example_orders_a_certificate_for_each() {
    let config = load("examples/two-hosts.toml");
    let hosts: Vec<_> = config
        .sites
        .iter()
        .flat_map(|site| &site.hosts)
        .map(HostPattern::to_string)
        .collect();
    assert_eq!(hosts, ["binder.example.com", "hub.binder.example.com"]);
    assert!(config.sites.iter().all(
        |site| site.certificate == CertificateSource::Acme && site.challenge_fallback.is_some()
    ));
}
