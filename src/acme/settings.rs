//! What the ACME worker works by: authorities, state directory, waits; and whether it can.
//!
//! Checked at start and reload, before anything changes: what is wrong here is a reason to refuse a configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use tracing::error;

use super::client::{Https, SettingsError};
use super::schedule::Delays;
use super::storage::{Storage, StoreError};
use crate::config::{AcmeAuthority, Config};
use crate::observe::reasons::with_reasons;
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

/// The addresses that this process listens on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listeners {
    /// For plain HTTP.
    pub http: Vec<SocketAddr>,
    /// For TLS.
    pub https: Vec<SocketAddr>,
}

impl Settings {
    /// From the checked configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            authorities: config.acme.authorities.clone(),
            state_dir: config.server.state_dir.clone(),
            listeners: Listeners {
                http: config.listen.http.clone(),
                https: config.listen.https.clone(),
            },
            delays: Delays::default(),
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
