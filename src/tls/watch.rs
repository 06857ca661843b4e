//! Follows certificate files: whatever way they are replaced, the new pair is served and a bad one never is.
//!
//! Watches the folders, not the files, so that a rename over a file, a flipped symlink (Kubernetes' `..data`, certbot's
//! `live`) and a rewrite in place are all seen; compares contents once a minute besides, for file systems that tell
//! nothing. Invariant: the last good pair stays until a whole, matching one is there; each change is warned of once.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, info, warn};

use super::Certificates;
use super::files::{Content, FileCertificates, FileSpec, Loaded, serve, warn_of_doubts};

/// Replacing two files takes a moment; reading in the middle only costs a needless warning.
const SETTLE: Duration = Duration::from_millis(200);
/// A folder that never settles (a log lies in it) is read nevertheless.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
/// The safety net.
const POLL: Duration = Duration::from_secs(60);
/// As many symlinks as Linux follows.
const MAX_LINKS: usize = 40;

/// Keeps the watch going; dropping it ends the watch at once.
#[derive(Debug)]
pub struct FileWatch {
    task: tokio::task::JoinHandle<()>,
    /// A check under way on another thread must not serve any more.
    ended: Arc<AtomicBool>,
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        self.task.abort();
    }
}

impl FileCertificates {
    /// Watches the files for change and serves what they come to hold, until the handle is dropped.
    ///
    /// Must be called on a tokio runtime. Serves nothing by itself at first: see [`Self::insert_into`].
    pub fn watch(self, certificates: Arc<Certificates>) -> FileWatch {
        let ended = Arc::new(AtomicBool::new(false));
        FileWatch {
            task: tokio::spawn(run(self.loaded, certificates, Arc::clone(&ended))),
            ended,
        }
    }
}

async fn run(loaded: Vec<Loaded>, certificates: Arc<Certificates>, ended: Arc<AtomicBool>) {
    if loaded.is_empty() {
        return;
    }
    let changed = Arc::new(Notify::new());
    let mut folders = Folders::new(Arc::clone(&changed));
    let mut files: Vec<Followed> = loaded.into_iter().map(Followed::new).collect();
    loop {
        // Watch first, then read: what changes in between is read, and seen again.
        let work = tokio::task::spawn_blocking({
            let certificates = Arc::clone(&certificates);
            let ended = Arc::clone(&ended);
            move || {
                folders.follow(
                    files
                        .iter()
                        .flat_map(|file| [&*file.spec.chain, &*file.spec.key]),
                );
                for file in &mut files {
                    file.check(&certificates, &ended);
                }
                (folders, files)
            }
        });
        let Ok(done) = work.await else {
            return; // the runtime is going down
        };
        (folders, files) = done;
        if timeout(POLL, changed.notified()).await.is_ok() {
            settle(&changed).await;
        }
    }
}

/// Waits until nothing has happened for a moment.
async fn settle(changed: &Notify) {
    let limit = Instant::now() + SETTLE_LIMIT;
    loop {
        let quiet = sleep(SETTLE);
        tokio::select! {
            () = quiet => return,
            more = timeout_at(limit, changed.notified()) => if more.is_err() { return },
        }
    }
}

/// A pair of files and what was last seen of it.
struct Followed {
    spec: FileSpec,
    /// `Err` holds the reason why the files could not be read.
    seen: Result<Content, String>,
}

impl Followed {
    fn new(loaded: Loaded) -> Self {
        Self {
            spec: loaded.spec,
            seen: Ok(loaded.content),
        }
    }

    /// Serves the pair if it is new and good; warns if it is new and bad.
    fn check(&mut self, certificates: &Certificates, ended: &AtomicBool) {
        let now = Content::read(&self.spec);
        let loaded = match &now {
            Ok(content) if self.seen.as_ref() == Ok(content) => return,
            Ok(content) => content.parse(&self.spec).map_err(|error| chain_of(&error)),
            Err(error) => Err(chain_of(error)),
        };
        let seen = now.map_err(|error| chain_of(&error));
        if seen == self.seen || ended.load(Ordering::Acquire) {
            return;
        }
        self.seen = seen;
        let (chain, key) = (self.spec.chain.display(), self.spec.key.display());
        match loaded {
            Ok(pair) => {
                warn_of_doubts(&self.spec, &pair);
                serve(certificates, &self.spec, &pair);
                info!(event = "certificate.reloaded", %chain, not_after = %pair.leaf.not_after, serial = pair.leaf.serial, "certificate reloaded");
            }
            Err(error) => {
                warn!(event = "certificate.kept", %chain, %key, %error, "changed certificate files cannot be used; the last good pair stays")
            }
        }
    }
}

fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The folders under watch.
struct Folders {
    /// `None`: the system gives no watches; polling remains.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Folders {
    fn new(changed: Arc<Notify>) -> Self {
        let told = move |event: notify::Result<notify::Event>| {
            let reading = matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)));
            // Our own reading is an event too; following it would never end.
            if !reading {
                changed.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(told)
            .inspect_err(|error| warn!(event = "certificate.watch", %error, "certificate files are only checked once a minute"))
            .ok();
        Self {
            watcher,
            watched: BTreeSet::new(),
        }
    }

    /// Watches exactly the folders in which a change could change what these paths lead to.
    fn follow<'a>(&mut self, paths: impl Iterator<Item = &'a Path>) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let wanted: BTreeSet<PathBuf> = paths.flat_map(folders_of).collect();
        for gone in self.watched.difference(&wanted) {
            // A folder that was removed has taken its watch along.
            if let Err(error) = watcher.unwatch(gone) {
                debug!(folder = %gone.display(), %error, "no longer watched");
            }
        }
        let mut watched = BTreeSet::new();
        for folder in wanted {
            // A folder removed and made again under its name needs a new watch; adding one twice is harmless.
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(watched.insert(folder)),
                Err(error) => debug!(folder = %folder.display(), %error, "cannot be watched"),
            }
        }
        self.watched = watched;
    }
}

/// The folders that hold the file, and every symlink on the way to it.
fn folders_of(path: &Path) -> BTreeSet<PathBuf> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut folders = BTreeSet::new();
    let mut rest: Vec<OsString> = components(&path);
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(next) = rest.pop() {
        if next == ".." {
            at.pop();
            continue;
        }
        let step = at.join(&next);
        match std::fs::read_link(&step) {
            Ok(target) if links < MAX_LINKS => {
                links += 1;
                folders.insert(at.clone());
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                rest.extend(components(&target));
            }
            _ => at = step,
        }
    }
    if let Some(parent) = at.parent() {
        folders.insert(parent.to_owned());
    }
    folders
}

/// The names of a path, last one first.
fn components(path: &Path) -> Vec<OsString> {
    path.components()
        .rev()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_folder_with_a_symlink_on_the_way_is_watched() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        for folder in ["mount/..1", "other"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::write(root.join("mount/..1/tls.crt"), "x").unwrap();
        symlink("..1", root.join("mount/..data")).unwrap();
        symlink("..data/tls.crt", root.join("mount/tls.crt")).unwrap();
        symlink(root.join("mount"), root.join("other/link")).unwrap();
        let found = folders_of(&root.join("other/link/tls.crt"));
        let wanted: BTreeSet<_> = ["other", "mount", "mount/..1"].map(|f| root.join(f)).into();
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_circle_of_symlinks_ends() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        assert!(folders_of(&root.path().join("a")).len() <= MAX_LINKS);
    }
}
