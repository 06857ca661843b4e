//! Follows certificate files: whatever way they are replaced, the new pair is served and a bad one never is.
//!
//! When to look is `crate::watch`'s to say; here contents are compared, so that a touch changes nothing. Invariant: the
//! last good pair stays until a whole, matching one is there; each change is warned of once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tracing::{info, warn};

use super::Certificates;
use super::files::{Content, FileCertificates, FileSpec, Known, Loaded, serve, warn_of_doubts};
use crate::observe::reasons::with_reasons;
use crate::types::pause::{drop_in_turn, pause};
use crate::watch::{Folders, next_look};

/// Who does the work that blocks: looking at files, and freeing what is known of them.
pub type Worker = fn(Box<dyn FnOnce() + Send>);

/// The folders under watch, handed from one watch to the next, and what tells of news.
#[derive(Clone, Debug)]
pub struct Eyes {
    folders: Arc<Mutex<Folders>>,
    changed: Arc<Notify>,
}

/// Keeps the watch going; dropping it ends the watch at once.
#[derive(Debug)]
pub struct FileWatch {
    task: tokio::task::JoinHandle<()>,
    /// A check under way on another thread must not serve any more.
    ended: Arc<AtomicBool>,
    known: Known,
    eyes: Eyes,
}

impl FileWatch {
    /// The pairs that are served, for a load that follows.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Ends it. What watches the folders is for the watch that follows.
    pub fn end(self) -> Eyes {
        self.eyes.clone()
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
        // Nobody waits for a piece of work by itself.
        let worker: Worker = |work| drop(tokio::task::spawn_blocking(work));
        self.watch_by(worker, certificates, None)
    }

    /// As [`Self::watch`], with the work done by `worker`, and what watched the folders before.
    pub fn watch_by(
        self,
        worker: Worker,
        certificates: Arc<Certificates>,
        before: Option<Eyes>,
    ) -> FileWatch {
        let eyes = before.unwrap_or_else(|| {
            let changed = Arc::new(Notify::new());
            let folders = Folders::new(Arc::clone(&changed));
            let folders = Arc::new(Mutex::new(folders));
            Eyes { folders, changed }
        });
        let ended = Arc::new(AtomicBool::new(false));
        let known = self.known;
        let serving = Serving {
            certificates,
            ended: Arc::clone(&ended),
            known: known.clone(),
            worker,
        };
        FileWatch {
            task: tokio::spawn(run(self.loaded, serving, eyes.clone())),
            ended,
            known,
            eyes,
        }
    }
}

/// Where new pairs go.
#[derive(Clone)]
struct Serving {
    certificates: Arc<Certificates>,
    ended: Arc<AtomicBool>,
    known: Known,
    worker: Worker,
}

async fn run(loaded: Vec<Loaded>, serving: Serving, eyes: Eyes) {
    if loaded.is_empty() {
        return;
    }
    let mut files = Files {
        followed: loaded.into_iter().map(Followed::new).collect(),
        known: serving.known.clone(),
        worker: serving.worker,
    };
    loop {
        let (tell, told) = oneshot::channel();
        let (serving, own) = (serving.clone(), eyes.clone());
        // Watch first, then read: what changes in between is read, and seen again.
        (serving.worker)(Box::new(move || {
            let paths = files.followed.iter().flat_map(|file| file.spec.paths());
            own.folders.lock().follow(paths);
            for file in &mut files.followed {
                pause();
                file.check(&serving);
            }
            // Freed here where nobody waits for it any more.
            drop(tell.send(files));
        }));
        let Ok(done) = told.await else {
            return; // the runtime is going down
        };
        files = done;
        next_look(&eyes.changed).await;
    }
}

/// What is followed. It may be very much, so a thread that nothing waits for frees it.
struct Files {
    followed: Vec<Followed>,
    known: Known,
    worker: Worker,
}

impl Drop for Files {
    fn drop(&mut self) {
        let followed = std::mem::take(&mut self.followed);
        let known = std::mem::take(&mut self.known);
        // Without a runtime the process is at its end.
        if tokio::runtime::Handle::try_current().is_ok() {
            (self.worker)(Box::new(move || {
                drop_in_turn(followed);
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
        if let Ok(seen) = &self.seen
            && seen.holds(&self.spec)
        {
            return;
        }
        let now = Content::read(&self.spec, SystemTime::now()).map(Arc::new);
        let loaded = match (&now, &self.seen) {
            (Ok(content), Ok(seen)) if content.says_as(seen) => {
                // It may have a stamp by now.
                self.seen = now.map_err(|error| with_reasons(&error));
                return;
            }
            (Ok(content), _) => content
                .parse(&self.spec)
                .map_err(|error| with_reasons(&error)),
            (Err(error), _) => Err(with_reasons(error)),
        };
        let seen = now.map_err(|error| with_reasons(&error));
        let same = matches!((&seen, &self.seen), (Err(now), Err(before)) if now == before);
        if same || serving.ended.load(Ordering::Acquire) {
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
                serve(&serving.certificates, &self.spec, &pair);
                if let Ok(content) = &self.seen {
                    warn_of_doubts(&self.spec, &pair, content);
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
