//! Follows the files that say whose client certificates count: authorities and their revocation lists.
//!
//! `crate::watch` says when to look, `tls::policies` whether there is something new and good. Invariants: what cannot be used
//! is told once and changes nothing; a change holds for requests on open connections too, and no session outlives it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;

use super::process::Process;
use crate::observe::reasons::with_reasons;
use crate::tls::policies::Running;
use crate::watch::{Folders, next_look};

/// Takes over what the files come to hold for as long as the process runs; ends when it is aborted.
pub(super) async fn follow(process: Arc<Process>) {
    let mut generation = process.generation.subscribe();
    let changed = Arc::new(Notify::new());
    let mut folders = Folders::new(Arc::clone(&changed));
    let mut told = Told::default();
    loop {
        let policies = process.shared.snapshot.load().tls.with_files();
        let idle = policies.is_empty();
        // Watch first, then read: what changes in between is read, and seen again.
        let looking = tokio::task::spawn_blocking(move || {
            folders.follow(policies.iter().flat_map(|policy| policy.paths()));
            told.look(&policies);
            (folders, told)
        });
        let Ok(back) = looking.await else {
            return; // the runtime is going down
        };
        (folders, told) = back;
        let reloaded = tokio::select! {
            reloaded = generation.changed() => reloaded,
            () = next_look(&changed), if !idle => Ok(()),
        };
        if reloaded.is_err() {
            return; // the process is gone
        }
    }
}

/// What was told of each `ca_file` and its lists last, and has not been mended.
#[derive(Default)]
struct Told(HashMap<PathBuf, String>);

impl Told {
    /// Takes over what is new, and tells of it.
    fn look(&mut self, policies: &[Arc<Running>]) {
        let before = std::mem::take(&mut self.0);
        for policy in policies {
            let file = policy.name();
            match policy.refresh() {
                Ok(false) => {}
                Ok(true) => {
                    tracing::info!(event = "clients.reloaded", ca_file = %file.display(), "authorities and revocation lists for client certificates reloaded");
                    for doubt in policy.doubts() {
                        tracing::warn!(event = "clients.doubtful", "{doubt}");
                    }
                }
                Err(error) => {
                    let error = with_reasons(&error);
                    if before.get(file) != Some(&error) {
                        tracing::warn!(event = "clients.kept", ca_file = %file.display(), %error, "changed files for client certificates cannot be used; what was good before stays");
                    }
                    self.0.insert(file.to_owned(), error);
                }
            }
        }
    }
}
