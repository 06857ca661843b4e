//! Follows the files that say whose client certificates count: authorities and their revocation lists.
//!
//! `named_files` says when to look, `tls::policies` whether there is something new and good. Invariants: what cannot be used
//! is told once and changes nothing; a change holds for requests on open connections too, and no session outlives it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::named_files::Follower;
use crate::observe::reasons::with_reasons;
use crate::snapshot::Snapshot;
use crate::tls::policies::Running;

/// What was told of each `ca_file` and its lists last, and has not been mended.
#[derive(Default)]
pub(super) struct Told(HashMap<PathBuf, String>);

impl Follower for Told {
    type Names = Arc<Running>;

    fn names(snapshot: &Snapshot) -> Vec<Arc<Running>> {
        snapshot.tls.with_files()
    }

    fn paths(policy: &Arc<Running>) -> impl Iterator<Item = &Path> {
        policy.paths()
    }

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
