//! Follows the configuration file while the running configuration asks for it with `server.reload_on_change`.
//!
//! Only says when to look: `crate::watch` knows that something happened near the file, `control` whether its text is a
//! new one, and what becomes of it. Invariant: with the key off nothing is watched and the file is not read.

use std::sync::Arc;

use tokio::sync::Notify;

use super::control;
use super::process::Process;
use crate::watch::{Folders, next_look};

/// Reloads on change for as long as the process runs; ends when it is aborted.
pub(super) async fn follow(process: Arc<Process>) {
    loop {
        switched(&process, true).await;
        let changed = Arc::new(Notify::new());
        let mut folders = Folders::new(Arc::clone(&changed));
        while process.reloads_on_change() {
            let path = process.config_path.clone();
            // Watch first, then read: what changes in between is read, and seen again.
            let watching = tokio::task::spawn_blocking(move || {
                folders.follow(std::iter::once(path.as_path()));
                folders
            });
            let Ok(back) = watching.await else {
                return; // the runtime is going down
            };
            folders = back;
            control::reload_if_changed(&process).await;
            tokio::select! {
                () = next_look(&changed) => {}
                () = switched(&process, false) => {}
            }
        }
    }
}

/// Waits until a reload has switched the following on or off.
async fn switched(process: &Process, to: bool) {
    // An error would mean that the process is gone, and it is held here.
    drop(
        process
            .generation
            .subscribe()
            .wait_for(|_| process.reloads_on_change() == to)
            .await,
    );
}
