//! Follows the files that secure connections to upstreams: roots of private authorities, client certificates.
//!
//! `crate::watch` says when to look, `upstream::tls` whether there is something new and good. Invariants: what cannot be
//! used is told once and changes nothing; connections that are open go on.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;

use super::process::Process;
use crate::observe::reasons::with_reasons;
use crate::types::name::UpstreamName;
use crate::upstream::tls::ClientTls;
use crate::watch::{Folders, next_look};

type Secured = Vec<(UpstreamName, Arc<ClientTls>)>;

/// Takes over what the files come to hold for as long as the process runs; ends when it is aborted.
pub(super) async fn follow(process: Arc<Process>) {
    let mut generation = process.generation.subscribe();
    let changed = Arc::new(Notify::new());
    let mut folders = Folders::new(Arc::clone(&changed));
    let mut troubles = Troubles::default();
    loop {
        let secured = secured(&process);
        let idle = secured.iter().all(|(_, tls)| tls.paths().next().is_none());
        // Watch first, then read: what changes in between is read, and seen again.
        let looking = tokio::task::spawn_blocking(move || {
            let paths: Vec<PathBuf> = secured
                .iter()
                .flat_map(|(_, tls)| tls.paths().map(PathBuf::from))
                .collect();
            folders.follow(paths.iter().map(PathBuf::as_path));
            troubles.look(secured);
            (folders, troubles)
        });
        let Ok(back) = looking.await else {
            return; // the runtime is going down
        };
        (folders, troubles) = back;
        let reloaded = tokio::select! {
            reloaded = generation.changed() => reloaded,
            () = next_look(&changed), if !idle => Ok(()),
        };
        if reloaded.is_err() {
            return; // the process is gone
        }
    }
}

fn secured(process: &Process) -> Secured {
    let snapshot = process.shared.snapshot.load();
    let groups = snapshot.groups.iter();
    groups
        .filter_map(|(name, group)| Some((name.clone(), group.connector.tls.clone()?)))
        .collect()
}

/// What was told of each upstream's files last, and has not been mended.
#[derive(Default)]
struct Troubles(HashMap<UpstreamName, String>);

impl Troubles {
    /// Takes over what is new, and tells of it.
    fn look(&mut self, secured: Secured) {
        let before = std::mem::take(&mut self.0);
        for (upstream, tls) in secured {
            match tls.refresh() {
                Ok(false) => {}
                Ok(true) => {
                    tracing::info!(event = "upstream.tls.reloaded", %upstream, "files for TLS to the upstream reloaded");
                }
                Err(error) => {
                    let error = with_reasons(&error);
                    if before.get(&upstream) != Some(&error) {
                        tracing::warn!(event = "upstream.tls.kept", %upstream, %error, "changed files for TLS to the upstream cannot be used; the last good ones stay");
                    }
                    self.0.insert(upstream, error);
                }
            }
        }
    }
}
