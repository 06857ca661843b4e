//! Follows the files that upstreams name: endpoints, roots of private authorities, client certificates.
//!
//! `crate::watch` says when to look, `upstream::endpoints_file` and `upstream::tls` whether there is something new and
//! good. Invariants: what cannot be used is told once and changes nothing; connections that are open go on.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;

use super::process::Process;
use crate::observe::reasons::with_reasons;
use crate::types::name::UpstreamName;
use crate::upstream::endpoints_file;
use crate::upstream::group::Group;
use crate::watch::{Folders, next_look};

/// Takes over what the files come to hold for as long as the process runs; ends when it is aborted.
pub(super) async fn follow(process: Arc<Process>) {
    let mut generation = process.generation.subscribe();
    let changed = Arc::new(Notify::new());
    let mut folders = Folders::new(Arc::clone(&changed));
    let mut troubles = Troubles::default();
    loop {
        let groups = naming_files(&process);
        let idle = groups.is_empty();
        // Watch first, then read: what changes in between is read, and seen again.
        let looking = tokio::task::spawn_blocking(move || {
            folders.follow(groups.iter().flat_map(|group| paths(group)));
            troubles.look(&groups);
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

fn naming_files(process: &Process) -> Vec<Arc<Group>> {
    let snapshot = process.shared.snapshot.load();
    let mut groups: Vec<_> = snapshot.groups.values().cloned().collect();
    groups.retain(|group| paths(group).next().is_some());
    groups
}

fn paths(group: &Group) -> impl Iterator<Item = &Path> {
    let tls = group.connector.tls.iter();
    let endpoints = group.config.endpoints_file.as_deref();
    endpoints.into_iter().chain(tls.flat_map(|tls| tls.paths()))
}

/// What was told of an upstream's files last, and has not been mended.
#[derive(Default)]
struct Troubles(HashMap<(UpstreamName, &'static str), String>);

impl Troubles {
    /// Takes over what is new, and tells of it.
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
