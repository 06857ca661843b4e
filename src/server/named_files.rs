//! The loop that follows the files which the running configuration names, whatever they hold.
//!
//! `crate::watch` says when to look, a [`Follower`] at what and what to do with what it finds. Invariants: folders are
//! watched before files are read, so that no change falls between; the file system is never asked on a worker's thread.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;

use super::process::Process;
use crate::snapshot::Snapshot;
use crate::watch::{Folders, next_look};

/// What is followed in one such loop.
pub(super) trait Follower: Default + Send + 'static {
    /// What names files, for example an upstream.
    type Names: Send + 'static;

    /// Everything in this snapshot that names at least one file.
    fn names(snapshot: &Snapshot) -> Vec<Self::Names>;

    /// The files that it names.
    fn paths(names: &Self::Names) -> impl Iterator<Item = &Path>;

    /// Takes over what the files have come to hold, and tells of it. May block on the file system.
    fn look(&mut self, names: &[Self::Names]);
}

/// Follows the files for as long as the process runs; ends when it is aborted.
pub(super) async fn follow<F: Follower>(process: Arc<Process>) {
    let mut generation = process.generation.subscribe();
    let changed = Arc::new(Notify::new());
    let mut folders = Folders::new(Arc::clone(&changed));
    let mut follower = F::default();
    loop {
        let names = F::names(&process.shared.snapshot.load());
        let idle = names.is_empty();
        let looking = tokio::task::spawn_blocking(move || {
            folders.follow(names.iter().flat_map(F::paths));
            follower.look(&names);
            (folders, follower)
        });
        let Ok(back) = looking.await else {
            return; // the runtime is going down
        };
        (folders, follower) = back;
        let reloaded = tokio::select! {
            reloaded = generation.changed() => reloaded,
            () = next_look(&changed), if !idle => Ok(()),
        };
        if reloaded.is_err() {
            return; // the process is gone
        }
    }
}
