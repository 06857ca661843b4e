//! Follows certificate files: whatever way they are replaced, the new pair is served and a bad one never is.
//!
//! When to look is `crate::watch`'s to say; here contents are compared, so that a touch changes nothing. Invariant: the
//! last good pair stays until a whole, matching one is there; each change is warned of once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{info, warn};

use super::Certificates;
use super::files::{Content, FileCertificates, FileSpec, Known, Loaded, serve, warn_of_doubts};
use crate::observe::reasons::with_reasons;
use crate::watch::{Folders, next_look};

/// So many pairs are looked at or freed without a pause; a request may wait for as long as that takes.
const AT_ONCE: usize = 8;
/// The pause.
const BREATH: Duration = Duration::from_micros(300);

/// Keeps the watch going; dropping it ends the watch at once.
#[derive(Debug)]
pub struct FileWatch {
    task: tokio::task::JoinHandle<()>,
    /// A check under way on another thread must not serve any more.
    ended: Arc<AtomicBool>,
    known: Known,
}

impl FileWatch {
    /// The pairs that are served, for a load that follows.
    pub fn known(&self) -> &Known {
        &self.known
    }
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
        let known = self.known;
        let serving = Serving {
            certificates,
            ended: Arc::clone(&ended),
            known: known.clone(),
        };
        FileWatch {
            task: tokio::spawn(run(self.loaded, serving)),
            ended,
            known,
        }
    }
}

/// Where new pairs go.
#[derive(Clone)]
struct Serving {
    certificates: Arc<Certificates>,
    ended: Arc<AtomicBool>,
    known: Known,
}

async fn run(loaded: Vec<Loaded>, serving: Serving) {
    if loaded.is_empty() {
        return;
    }
    let changed = Arc::new(Notify::new());
    let mut folders = Folders::new(Arc::clone(&changed));
    let mut files = Files {
        followed: loaded.into_iter().map(Followed::new).collect(),
        known: serving.known.clone(),
    };
    loop {
        // Watch first, then read: what changes in between is read, and seen again.
        let work = tokio::task::spawn_blocking({
            let serving = serving.clone();
            move || {
                folders.follow(files.followed.iter().flat_map(|file| file.spec.paths()));
                for some in files.followed.chunks_mut(AT_ONCE) {
                    some.iter_mut().for_each(|file| file.check(&serving));
                    breathe(some.len());
                }
                (folders, files)
            }
        });
        let Ok(done) = work.await else {
            return; // the runtime is going down
        };
        (folders, files) = done;
        next_look(&changed).await;
    }
}

/// Lets requests have the core after a piece of work, unless it was the last one and small.
fn breathe(done: usize) {
    if done == AT_ONCE {
        std::thread::sleep(BREATH);
    }
}

/// What is followed. It may be very much, so a thread that nothing waits for frees it.
struct Files {
    followed: Vec<Followed>,
    known: Known,
}

impl Drop for Files {
    fn drop(&mut self) {
        let mut followed = std::mem::take(&mut self.followed);
        let known = std::mem::take(&mut self.known);
        // Without a runtime the process is at its end.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn_blocking(move || {
                while let Some(rest) = followed.len().checked_sub(AT_ONCE) {
                    followed.truncate(rest);
                    breathe(AT_ONCE);
                }
                drop(known);
            }));
        }
    }
}

/// A pair of files and what was last seen of it.
struct Followed {
    spec: FileSpec,
    /// `Err` holds the reason why the files could not be read.
    seen: Result<Arc<Content>, String>,
}

impl Followed {
    fn new(loaded: Loaded) -> Self {
        Self {
            spec: loaded.spec,
            seen: Ok(loaded.content),
        }
    }

    /// Serves the pair if it is new and good; warns if it is new and bad.
    fn check(&mut self, serving: &Serving) {
        let now = Content::read(&self.spec).map(Arc::new);
        let loaded = match &now {
            Ok(content) if self.seen.as_ref() == Ok(content) => return,
            Ok(content) => content
                .parse(&self.spec)
                .map_err(|error| with_reasons(&error)),
            Err(error) => Err(with_reasons(error)),
        };
        let seen = now.map_err(|error| with_reasons(&error));
        if seen == self.seen || serving.ended.load(Ordering::Acquire) {
            return;
        }
        self.seen = seen;
        let chain = self.spec.chain().display();
        let key = self
            .spec
            .files
            .first()
            .map_or(Path::new(""), |files| &files.key);
        let key = key.display();
        match loaded {
            Ok(pair) => {
                warn_of_doubts(&self.spec, &pair);
                serve(&serving.certificates, &self.spec, &pair);
                if let Ok(content) = &self.seen {
                    serving.known.put(&self.spec, content, &pair);
                }
                info!(event = "certificate.reloaded", %chain, not_after = %pair.leaf.not_after, serial = pair.leaf.serial, "certificate reloaded");
            }
            Err(error) => {
                warn!(event = "certificate.kept", %chain, %key, %error, "changed certificate files cannot be used; the last good pair stays")
            }
        }
    }
}
