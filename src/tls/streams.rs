//! TLS that is ended at a stream: the same certificates for whatever name is asked for, with a policy as sites have.
//!
//! Read with a snapshot; a file that cannot be used refuses it, so what runs stays. Sessions are resumed with the same
//! certificate and the same authorities only.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

use super::client::Judge;
use super::pem::{self, LoadError, Pair};
use super::policies::{self, Ground, PolicyError};
use super::server_config::{build, showing};
use super::tickets::Mark;
use crate::config::StreamTls;

/// What a stream ends TLS with.
#[derive(Debug)]
pub struct StreamServer {
    /// For handshakes.
    pub config: Arc<ServerConfig>,
    /// Says whether clients are believed; `None` where they are not asked.
    pub judge: Option<Judge>,
    /// Whether they have to be.
    pub required: bool,
}

/// Why a stream cannot end TLS.
#[derive(Debug, thiserror::Error)]
pub enum StreamTlsError {
    /// Its certificate or key.
    #[error("its certificate cannot be used")]
    Certificate(#[from] LoadError),
    /// Its policy, or whom it believes.
    #[error("its policy cannot be put to work")]
    Policy(#[from] PolicyError),
}

/// What `settings` ask for. Blocks on files.
pub fn load(settings: &StreamTls, ground: &Ground) -> Result<StreamServer, StreamTlsError> {
    let all = settings.pairs.iter().map(pem::load_files);
    let all: Vec<Pair> = all.collect::<Result<_, _>>()?;
    let clients = settings.policy.clients.as_ref();
    let judge = clients.map(policies::judge).transpose()?;
    let mut seen = Vec::new();
    for certificate in all.iter().flat_map(|pair| &pair.key.cert) {
        seen.extend_from_slice(certificate);
    }
    let verifier = match &judge {
        Some(judge) => {
            seen.extend_from_slice(&judge.mark);
            judge.asking()
        }
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let mut mark = Mark::default();
    mark.copy_from_slice(digest(&SHA256, &seen).as_ref());
    let ground = ground.with(&policies::secrets(&settings.policy)?);
    let config = build(&settings.policy, (verifier, mark), &ground).map_err(PolicyError::from)?;
    let mut config = match Pair::of(all) {
        Some(pair) => (*showing(&config, pair)).clone(),
        None => (*config).clone(),
    };
    config.alpn_protocols = settings
        .alpn
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    Ok(StreamServer {
        config: Arc::new(config),
        judge,
        required: clients.is_some_and(|clients| clients.required),
    })
}
