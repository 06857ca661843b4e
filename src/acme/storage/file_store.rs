//! The store that is a folder: `state_dir/acme`, one file per value.
//!
//! A value named `current` is a symlink, for people; everything else is a plain file, 0600, in folders of 0700; wider
//! modes are mended with a warning. Writers of all processes take turns by a lock on `locks/write`; readers need none,
//! because a file is replaced whole. A version is the content itself. A lease is a lock that ends with its process, so a
//! kill delays nobody. Blocks for as long as the disk does: for the ACME thread, the start and commands. Invariant:
//! futures of this store are ready when first polled.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::files;
use super::store::{Changes, Expect, Key, Lease, Store, StoreError, Value, Version};
use crate::watch::{Folders, next_look};

/// For another process's write to end; one takes milliseconds.
const TURN: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(5);
/// The name whose value is a symlink's target.
const POINTER: &str = "current";

/// `state_dir/acme`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStore {
    root: PathBuf,
}

impl FileStore {
    /// The store in this folder, which is made at the first write.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The file of a key.
    pub fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// Makes the folder, mends its mode, and writes, renames and removes a file in it.
    pub fn check(&self) -> Result<(), StoreError> {
        let _turn = self.turn()?;
        self.sweep();
        let probe = self.root.join("probe");
        files::replace(&probe, b"can be written\n")?;
        files::remove_if_there(&probe).map_err(files::io("remove", &probe))
    }

    fn read(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(key);
        if key.name() != POINTER {
            let content = files::read(&path)?;
            if content.is_some() {
                files::mend_mode(&path, 0o600);
                path.parent()
                    .iter()
                    .for_each(|folder| files::mend_mode(folder, 0o700));
            }
            return Ok(content);
        }
        match fs::read_link(&path) {
            Ok(target) => Ok(Some(target.to_string_lossy().into_owned().into_bytes())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(files::io("read", &path)(source)),
        }
    }

    /// Checks what a write is conditional on. To be called with the turn held.
    fn admit(
        &self,
        key: &Key,
        expect: Expect<'_>,
        lease: Option<&Lease>,
    ) -> Result<(), StoreError> {
        if let Some(lease) = lease
            && self.fence(&self.lock_path(&lease.name)) != Some(lease.fence)
        {
            return Err(StoreError::Fenced {
                lease: lease.name.clone(),
            });
        }
        let as_expected = match expect {
            Expect::Any => true,
            Expect::Absent => self.read(key)?.is_none(),
            Expect::At(version) => self.read(key)?.as_ref() == Some(&version.0),
        };
        as_expected.then_some(()).ok_or(StoreError::Conflict {
            place: self.path(key).display().to_string(),
        })
    }

    fn write(
        &self,
        key: &Key,
        bytes: &[u8],
        expect: Expect<'_>,
        lease: Option<&Lease>,
    ) -> Result<Version, StoreError> {
        let _turn = self.turn()?;
        self.admit(key, expect, lease)?;
        let path = self.path(key);
        if let Some(folder) = path.parent() {
            files::make_folders(&self.root, folder)?;
        }
        if key.name() == POINTER {
            files::point(&path, &String::from_utf8_lossy(bytes))?;
        } else {
            files::replace(&path, bytes)?;
        }
        Ok(Version(bytes.to_vec()))
    }

    fn remove(
        &self,
        key: &Key,
        expect: Expect<'_>,
        lease: Option<&Lease>,
    ) -> Result<(), StoreError> {
        if !self.root.exists() {
            return Ok(());
        }
        let _turn = self.turn()?;
        self.admit(key, expect, lease)?;
        let path = self.path(key);
        files::remove_if_there(&path).map_err(files::io("remove", &path))?;
        // Folders are no values: one that holds nothing any more goes too.
        let mut folder = path.parent();
        while let Some(empty) = folder
            && empty != self.root
            && fs::remove_dir(empty).is_ok()
        {
            folder = empty.parent();
        }
        match folder.map(|folder| File::open(folder).and_then(|folder| folder.sync_all())) {
            Some(Err(error)) if error.kind() != ErrorKind::NotFound => {
                Err(files::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    fn keys(&self, prefix: &Key) -> Result<Vec<Key>, StoreError> {
        let mut found = Vec::new();
        let mut folders = vec![prefix.clone()];
        while let Some(key) = folders.pop() {
            let folder = self.path(&key);
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(source) => return Err(files::io("read", &folder)(source)),
            };
            for entry in entries {
                let entry = entry.map_err(files::io("read", &folder))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with('.') || name.starts_with(files::ASIDE) {
                    continue;
                }
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(key.join(&name)),
                    Ok(_) => found.push(key.join(&name)),
                    Err(error) => return Err(files::io("read", &entry.path())(error)),
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Removes what a crash left unfinished. To be called with the turn held.
    fn sweep(&self) {
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            files::sweep(&folder);
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            folders.extend(
                entries
                    .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                    .map(|entry| entry.path()),
            );
        }
    }

    fn lock_path(&self, name: &str) -> PathBuf {
        self.path(&Key::of("locks").join(name))
    }

    fn open_lock(&self, path: &Path) -> Result<File, StoreError> {
        if let Some(folder) = path.parent() {
            files::make_folders(&self.root, folder)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(files::io("open", path))?;
        files::give_to_owner(path, path).map_err(files::io("open", path))?;
        Ok(file)
    }

    /// The right to write; given back when the file is closed.
    fn turn(&self) -> Result<File, StoreError> {
        let path = self.lock_path("write");
        let file = self.open_lock(&path)?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(fs::TryLockError::WouldBlock) if start.elapsed() < TURN => {
                    std::thread::sleep(RETRY);
                }
                Err(fs::TryLockError::WouldBlock) => {
                    let late = io::Error::new(
                        ErrorKind::TimedOut,
                        "another process has held it for 5 seconds",
                    );
                    return Err(files::io("lock", &path)(late));
                }
                Err(fs::TryLockError::Error(error)) => return Err(files::io("lock", &path)(error)),
            }
        }
    }

    fn take_lease(&self, name: &str) -> Result<Option<Lease>, StoreError> {
        let path = self.lock_path(name);
        let mut file = self.open_lock(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(files::io("lock", &path)(error)),
        }
        let fence = self.fence(&path).unwrap_or(0) + 1;
        // Written over itself and never shorter: at no moment, and on no full disk, is the count lost.
        let written = file
            .write_all(format!("{fence:020}\n").as_bytes())
            .and_then(|()| file.sync_all());
        written.map_err(files::io("write", &path))?;
        Ok(Some(Lease {
            name: name.to_owned(),
            fence,
            _held: Box::new(file),
        }))
    }

    fn fence(&self, path: &Path) -> Option<u64> {
        let mut text = String::new();
        let mut file = File::open(path).ok()?.take(64);
        file.read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }
}

#[async_trait]
impl Store for FileStore {
    async fn get(&self, key: &Key) -> Result<Option<Value>, StoreError> {
        Ok(self.read(key)?.map(|bytes| Value {
            version: Version(bytes.clone()),
            bytes,
        }))
    }

    async fn put(
        &self,
        key: &Key,
        bytes: &[u8],
        expect: Expect<'_>,
        lease: Option<&Lease>,
    ) -> Result<Version, StoreError> {
        self.write(key, bytes, expect, lease)
    }

    async fn list(&self, prefix: &Key) -> Result<Vec<Key>, StoreError> {
        self.keys(prefix)
    }

    async fn delete(
        &self,
        key: &Key,
        expect: Expect<'_>,
        lease: Option<&Lease>,
    ) -> Result<(), StoreError> {
        self.remove(key, expect, lease)
    }

    async fn set_aside(&self, key: &Key, reason: &str) {
        files::set_aside(&self.path(key), reason);
    }

    async fn watch(&self, keys: &[Key]) -> Box<dyn Changes> {
        let changed = Arc::new(Notify::new());
        // A folder that is not there yet is seen to come in the one above it.
        let above = |key: &Key| {
            let below_root = |path: &&Path| **path != self.root && path.starts_with(&self.root);
            let path = self.path(key);
            let all = path.ancestors().take_while(below_root);
            all.map(Path::to_owned).collect::<Vec<_>>()
        };
        let paths = keys.iter().flat_map(above).collect();
        let mut changes = FileChanges {
            folders: Folders::new(Arc::clone(&changed)),
            changed,
            paths,
        };
        changes.follow();
        Box::new(changes)
    }

    async fn lease(&self, name: &str) -> Result<Option<Lease>, StoreError> {
        self.take_lease(name)
    }
}

struct FileChanges {
    folders: Folders,
    changed: Arc<Notify>,
    paths: BTreeSet<PathBuf>,
}

impl FileChanges {
    fn follow(&mut self) {
        self.folders.follow(self.paths.iter().map(PathBuf::as_path));
    }
}

#[async_trait]
impl Changes for FileChanges {
    async fn next(&mut self) {
        next_look(&self.changed).await;
        self.follow(); // folders come and go
    }
}

#[cfg(test)]
mod tests;
