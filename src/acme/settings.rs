//! What the ACME worker works by: authorities, state directory, waits; and whether it can.
//!
//! Checked at start and reload, before anything changes: what is wrong here is a reason to refuse a configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use tracing::error;

use super::client::{Https, SettingsError};
use super::schedule::Delays;
use super::stop::nap;
use super::storage::{Storage, StoreError};
use crate::config::{AcmeAuthority, Config, Listen, Listener};
use crate::observe::reasons::with_reasons;
use crate::types::address::Address;
use crate::types::host::Host;

/// Where certificates come from and where they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// In the order they are asked; never empty.
    pub authorities: Vec<AcmeAuthority>,
    /// `[server] state_dir`.
    pub state_dir: PathBuf,
    /// Where challenges come in on this machine.
    pub listeners: Listeners,
    /// Waits after failures; the default is what authorities advise.
    pub delays: Delays,
}

/// The addresses that this process listens on, as far as it can ask itself there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listeners {
    /// For plain HTTP.
    pub http: Vec<SocketAddr>,
    /// For TLS.
    pub https: Vec<SocketAddr>,
}

impl Listeners {
    /// All but unix sockets and those where only a load balancer is answered, which this process is not.
    pub fn new(listen: &Listen) -> Self {
        let required = &listen.proxy_protocol.required;
        let open = |listeners: &[Listener]| {
            let open = listeners.iter().map(|one| &one.address);
            let open = open.filter(|one| !required.contains(one));
            open.filter_map(Address::ip).collect()
        };
        Self {
            http: open(&listen.http),
            https: open(&listen.https),
        }
    }
}

impl Settings {
    /// From the checked configuration.
    pub fn new(config: &Config) -> Self {
        let mut delays = Delays::default();
        delays.nap = nap(delays.nap);
        Self {
            authorities: config.acme.authorities.clone(),
            state_dir: config.server.state_dir.clone(),
            listeners: Listeners::new(&config.listen),
            delays,
        }
    }

    /// Fails when a `ca_file` cannot be read or holds no certificate. For start and reload, before anything changes.
    pub fn check(&self) -> Result<(), SettingsError> {
        for authority in &self.authorities {
            Https::new(authority.ca_file.as_deref())?;
        }
        Ok(())
    }

    /// Fails when nothing can be kept in the state directory, so that no host of `hosts` could ever get a certificate.
    ///
    /// A directory that holds certificates for them is good enough to start with, however full or read-only the disk
    /// is: they are served, and the log says what is wrong. Without hosts there is nothing to keep.
    pub fn check_storage(&self, hosts: &[Host]) -> Result<(), StoreError> {
        if hosts.is_empty() {
            return Ok(());
        }
        let storage = Storage::new(&self.state_dir);
        match storage.check() {
            Err(error)
                if error.may_pass()
                    || hosts.iter().any(|host| storage.load_now(host).is_some()) =>
            {
                error!(event = "acme.store.error", error = %with_reasons(&error), "certificates cannot be kept; the ones there are served, new ones are not ordered");
                Ok(())
            }
            outcome => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, parse};

    #[test]
    fn a_listener_that_wants_a_load_balancers_header_is_not_asked_by_ourselves() {
        let text = "[listen]\nhttp = [\"127.0.0.1:80\", \"192.0.2.1:80\"]\nhttps = [\"127.0.0.1:443\"]\n\
                    proxy_protocol_from = [\"10.0.0.0/8\"]\nproxy_protocol_required = [\"192.0.2.1:80\"]\n\
                    [acme]\ncontact = [\"ops@example.org\"]\n[site.\"hub.example.org\"]\n";
        let loaded = parse(&Source::new("x.toml", "/", text)).unwrap_or_else(|report| {
            panic!("{}", report.render(crate::config::Paint::Plain));
        });
        let listeners = Settings::new(&loaded.config).listeners;
        assert_eq!(listeners.http, ["127.0.0.1:80".parse().unwrap()]);
    }
}
