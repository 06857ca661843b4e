//! What handshakes are made with: one `ServerConfig` for each policy that sites have, and which site has which.
//!
//! Built with a snapshot. Policies that stay keep their configuration, and with it the sessions it remembers. Sites with
//! equal policies share one; where all have the same, none is looked for.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::ServerConfig;

use super::Certificates;
use super::server_config::build;
use super::tickets::TicketKeys;
use crate::config::{Config, Site, TlsPolicy};

/// What every configuration is made with; the same as long as the process runs.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The certificates being served.
    pub certificates: Arc<Certificates>,
    /// What tickets are sealed with.
    pub tickets: Arc<TicketKeys>,
}

/// The configurations of one snapshot.
#[derive(Debug)]
pub struct Policies {
    /// That of `[tls]`.
    base: Arc<Running>,
    /// As `config.sites`; `None` where all have that of `[tls]`.
    sites: Option<Box<[Arc<Running>]>>,
}

/// A policy at work.
#[derive(Debug)]
struct Running {
    policy: Arc<TlsPolicy>,
    config: Arc<ServerConfig>,
}

impl Policies {
    /// Those that `config` asks for, after `old`. Fails only when the provider lacks something.
    pub fn build(
        config: &Config,
        old: Option<&Self>,
        ground: &Ground,
    ) -> Result<Self, rustls::Error> {
        let known = old.into_iter().flat_map(Self::all);
        let mut all: HashMap<Arc<TlsPolicy>, Arc<Running>> = known
            .map(|running| (Arc::clone(&running.policy), Arc::clone(running)))
            .collect();
        let mut of = |policy: &Arc<TlsPolicy>| {
            if let Some(running) = all.get(policy) {
                return Ok(Arc::clone(running));
            }
            let running = Arc::new(Running {
                policy: Arc::clone(policy),
                config: build(policy, ground)?,
            });
            all.insert(Arc::clone(policy), Arc::clone(&running));
            Ok(running)
        };
        let base = of(&config.tls.policy)?;
        let same = |site: &Site| site.tls.policy == config.tls.policy;
        let sites = match config.sites.iter().all(same) {
            true => None,
            false => {
                let sites = config.sites.iter().map(|site| of(&site.tls.policy));
                Some(sites.collect::<Result<_, rustls::Error>>()?)
            }
        };
        Ok(Self { base, sites })
    }

    /// Whether it depends on the site which one a handshake is made with.
    pub fn differ(&self) -> bool {
        self.sites.is_some()
    }

    /// What handshakes for the site with this index are made with; without a site it is that of `[tls]`.
    pub fn config(&self, site: Option<usize>) -> Arc<ServerConfig> {
        let of_site = self.sites.as_ref().zip(site);
        let of_site = of_site.and_then(|(sites, site)| sites.get(site));
        Arc::clone(&of_site.unwrap_or(&self.base).config)
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Running>> {
        let sites = self.sites.iter().flatten();
        std::iter::once(&self.base).chain(sites)
    }
}
