//! Follows the files that upstreams name: endpoints, roots of private authorities, client certificates.
//!
//! `named_files` says when to look, `upstream::endpoints_file` and `upstream::tls` whether there is something new and
//! good. Invariants: what cannot be used is told once and changes nothing; connections that are open go on.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::named_files::Follower;
use crate::observe::reasons::with_reasons;
use crate::snapshot::Snapshot;
use crate::types::name::UpstreamName;
use crate::upstream::endpoints_file;
use crate::upstream::group::Group;

/// What was told of an upstream's files last, and has not been mended.
#[derive(Default)]
pub(super) struct Troubles(HashMap<(UpstreamName, &'static str), String>);

impl Follower for Troubles {
    type Names = Arc<Group>;

    fn names(snapshot: &Snapshot) -> Vec<Arc<Group>> {
        let mut groups: Vec<_> = snapshot.groups.values().cloned().collect();
        groups.retain(|group| Self::paths(group).next().is_some());
        groups
    }

    fn paths(group: &Arc<Group>) -> impl Iterator<Item = &Path> {
        let tls = group.connector.tls.iter();
        let endpoints = group.config.endpoints_file.as_deref();
        endpoints.into_iter().chain(tls.flat_map(|tls| tls.paths()))
    }

    fn look(&mut self, groups: &[Arc<Group>]) {
        let before = std::mem::take(&mut self.0);
        for group in groups {
            let upstream = group.name();
            let mut kept = |what: &'static str, error: String| {
                let key = (upstream.clone(), what);
                if before.get(&key) != Some(&error) {
                    tracing::warn!(event = what, %upstream, %error, "changed files of the upstream cannot be used; what was good before stays");
                }
                self.0.insert(key, error);
            };
            if let Some(tls) = &group.connector.tls {
                match tls.refresh() {
                    Ok(false) => {}
                    Ok(true) => {
                        tracing::info!(event = "upstream.tls.reloaded", %upstream, "files for TLS to the upstream reloaded");
                    }
                    Err(error) => kept("upstream.tls.kept", with_reasons(&error)),
                }
            }
            let Some(path) = &group.config.endpoints_file else {
                continue;
            };
            match endpoints_file::read(path) {
                Ok(found) => {
                    if group.take_from_file(found, crate::transport::now()) {
                        let endpoints = group.endpoints().len();
                        tracing::info!(event = "upstream.endpoints", %upstream, file = %path.display(), endpoints, "the file of endpoints has changed");
                    }
                }
                Err(error) => kept("upstream.endpoints.kept", with_reasons(&error)),
            }
        }
    }
}
