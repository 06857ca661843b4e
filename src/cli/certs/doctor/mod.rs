//! `hubgate certs doctor`: why a certificate does not come, found by looking from outside and from inside.
//!
//! Reads only, but for a probe file in the state directory, a token that hubgate answers for a minute where it runs, and,
//! asked for by `--dry-run`, an order at the staging directory.
//! Every finding says what to do. `host`, `caa` and `own` look at each host, `kept` at the disk, `ca` at the authority; this file asks them
//! and reports. Exit code: 0 all is well, 1 something wants attention, 2 certificates cannot be had or served like this.

mod ca;
mod caa;
mod dns;
mod host;
mod kept;
mod own;

use std::net::SocketAddr;

use self::dns::Resolver;
use super::Doctor;
use crate::cli::finding::{self, Finding, Level};
use crate::cli::{Door, client, complain, exit, print};
use crate::config::{CertificateSource, Config, Paint};
use crate::types::host::{Host, HostPattern};

/// What the looks need.
struct Look {
    config: Config,
    door: Door,
    resolver: Option<Resolver>,
    /// Where authorities ask.
    port: u16,
    /// Orders at staging as well.
    dry_run: bool,
}

/// Looks, reports, and gives the exit code.
pub(super) fn run(asked: Doctor) -> u8 {
    crate::tls::install_provider();
    let config = match crate::nginx::origin::read(&asked.file.config) {
        Ok(loaded) => loaded.config,
        Err(report) => {
            complain(&report.render(Paint::Plain));
            return exit::REFUSED;
        }
    };
    let mut hosts = acme_hosts(&config);
    if let Some(name) = &asked.host {
        hosts.retain(|host| host.as_str() == name);
        if hosts.is_empty() {
            complain(&format!(
                "hubgate certs doctor: no site with `certificate = \"acme\"` has the host `{name}`\n"
            ));
            return exit::REFUSED;
        }
    }
    let look = Look {
        door: Door {
            socket: Some(config.admin.socket.clone()),
            config: None,
        },
        config,
        resolver: asked.resolver.map(Resolver).or_else(Resolver::of_system),
        port: asked.port,
        dry_run: asked.dry_run,
    };
    let mut findings = kept::look(&look, &hosts);
    if !hosts.is_empty() {
        let identities = ca::look(&look, &mut findings);
        std::thread::scope(|scope| {
            let looks: Vec<_> = hosts
                .iter()
                .map(|host| scope.spawn(|| host::look(&look, host, &identities)))
                .collect();
            for own in looks {
                findings.extend(own.join().unwrap_or_default());
            }
        });
    }
    match asked.json {
        true => finding::print_json("hubgate certs doctor", &findings),
        false => print(&finding::told(&findings)),
    }
    finding::exit_code(&findings)
}

fn acme_hosts(config: &Config) -> Vec<Host> {
    let sites = config.sites.iter();
    let acme = sites.filter(|site| site.certificate == CertificateSource::Acme);
    acme.flat_map(|site| site.hosts.iter().filter_map(HostPattern::exact).cloned())
        .collect()
}

/// An address as in URLs.
fn at(address: SocketAddr) -> String {
    address.to_string()
}

/// What the running process says, when one runs.
fn ask(look: &Look, method: http::Method, target: &str) -> Option<String> {
    let answer = client::ask(&look.door, method, target).ok()?;
    (answer.status == http::StatusCode::OK).then_some(answer.body)
}
