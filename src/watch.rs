//! Says when to look at files again because something near them changed.
//!
//! Watches folders, not files, so that a rename over a file, a flipped symlink (Kubernetes' `..data`, certbot's `live`)
//! and a rewrite in place are all seen; once a minute is a time to look besides, for file systems that tell nothing.
//! Whether the files themselves changed, and what that means, is found out by whoever follows them: a folder's news may
//! be about its other files. Order for the user: [`Folders::follow`], then read, then [`next_look`]; so nothing is missed.
//! To follow the same paths again costs nothing while nothing has happened near them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, warn};

use crate::types::pause::{gives_way, pause};

/// Replacing two files takes a moment; reading in the middle only costs a needless warning.
const SETTLE: Duration = Duration::from_millis(200);
/// A folder that never settles (a log lies in it) is read nevertheless.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
/// The safety net.
const POLL: Duration = Duration::from_secs(60);
/// Paths looked at without a pause, by a thread that does not step back.
const AT_ONCE: usize = 16;
/// The pause.
const BREATH: Duration = Duration::from_micros(300);
/// As many symlinks as Linux follows.
const MAX_LINKS: usize = 40;

/// Waits until it is time to look again: something happened (see [`Folders::new`]) and then nothing for a moment, or a
/// minute has gone by.
pub async fn next_look(changed: &Notify) {
    if timeout(POLL, changed.notified()).await.is_ok() {
        settle(changed).await;
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

/// The folders under watch.
#[derive(Debug)]
pub struct Folders {
    /// `None`: the system gives no watches; polling remains.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    /// Whether anything has happened since the paths were last walked.
    stale: Arc<AtomicBool>,
    /// Which paths these were, and when.
    walked: Option<(u64, Instant)>,
}

impl Folders {
    /// Watches nothing yet. `changed` is told of everything that happens in the folders later followed.
    pub fn new(changed: Arc<Notify>) -> Self {
        let stale = Arc::new(AtomicBool::new(true));
        let news = Arc::clone(&stale);
        let told = move |event: notify::Result<notify::Event>| {
            let reading = matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)));
            // Our own reading is an event too; following it would never end.
            if !reading {
                news.store(true, Ordering::Release);
                changed.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(told)
            .inspect_err(|error| warn!(event = "files.watch", %error, "files are only checked once a minute"))
            .ok();
        Self {
            watcher,
            watched: BTreeSet::new(),
            stale,
            walked: None,
        }
    }

    /// Watches exactly the folders in which a change could change what these paths lead to. Blocks on the file system.
    pub fn follow<'a>(&mut self, paths: impl Iterator<Item = &'a Path>) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let now = Instant::now();
        let paths: Vec<&Path> = paths.collect();
        let which = sum(&paths);
        // What happens from here on is seen again.
        let stale = self.stale.swap(false, Ordering::AcqRel);
        let walked = self.walked.replace((which, now));
        if let Some((_, at)) = walked.filter(|(before, at)| {
            // Some file systems tell nothing.
            !stale && *before == which && now.duration_since(*at) < POLL / 2
        }) {
            self.walked = Some((which, at));
            return;
        }
        let mut wanted: BTreeSet<PathBuf> = BTreeSet::new();
        for (done, path) in paths.into_iter().enumerate() {
            pause();
            wanted.extend(folders_of(path));
            if done % AT_ONCE == AT_ONCE - 1 && !gives_way() {
                // Ten thousand paths must not keep requests waiting.
                std::thread::sleep(BREATH);
            }
        }
        for gone in self.watched.difference(&wanted) {
            // A folder that was removed has taken its watch along.
            if let Err(error) = watcher.unwatch(gone) {
                debug!(folder = %gone.display(), %error, "no longer watched");
            }
        }
        let mut watched = BTreeSet::new();
        for folder in wanted {
            pause();
            // A folder removed and made again under its name needs a new watch; adding one twice is harmless.
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(watched.insert(folder)),
                Err(error) => debug!(folder = %folder.display(), %error, "cannot be watched"),
            }
        }
        self.watched = watched;
    }
}

/// Tells lists of paths apart.
fn sum(paths: &[&Path]) -> u64 {
    let mut sum = DefaultHasher::new();
    for path in paths {
        pause();
        path.hash(&mut sum);
    }
    sum.finish()
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

    #[tokio::test]
    async fn a_link_that_comes_to_lead_elsewhere_is_followed_there_with_the_same_paths() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        for folder in ["a", "b", "at"] {
            std::fs::create_dir(root.join(folder)).unwrap();
        }
        let link = root.join("at/link");
        symlink("../a", &link).unwrap();
        let changed = Arc::new(Notify::new());
        let mut folders = Folders::new(Arc::clone(&changed));
        let path = link.join("tls.crt");
        let paths = || std::iter::once(path.as_path());
        folders.follow(paths());
        let at = folders.walked;
        folders.follow(paths());
        assert_eq!(folders.walked, at, "nothing has happened");
        folders.follow(paths().chain([root.as_path()]));
        assert_ne!(folders.walked, at, "other paths");
        folders.follow(paths());
        assert!(folders.watched.contains(&root.join("a")));
        symlink("../b", root.join("at/new")).unwrap();
        std::fs::rename(root.join("at/new"), &link).unwrap();
        timeout(Duration::from_secs(10), changed.notified())
            .await
            .unwrap();
        // The first event may have been of the new link's making.
        while !folders.watched.contains(&root.join("b")) {
            folders.follow(paths());
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_circle_of_symlinks_ends() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        assert!(folders_of(&root.path().join("a")).len() <= MAX_LINKS);
    }
}
