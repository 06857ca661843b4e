//! The key that sticky sessions are sealed with: `session.key` in the state directory, mode 0600.
//!
//! Made when an upstream first needs it, and the same after a restart. Where it cannot be kept, sessions last until the
//! process ends, which is told. Invariant: a file that holds something else is neither used nor replaced.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::snapshot::Snapshot;
use crate::upstream::SessionKey;

const FILE: &str = "session.key";

/// The process's key, once it is needed.
#[derive(Debug, Default)]
pub(super) struct SessionKeys(OnceLock<Option<Arc<SessionKey>>>);

impl SessionKeys {
    /// Gives the key to the upstreams of `snapshot` that have sessions.
    pub(super) fn give_to(&self, snapshot: &Snapshot) {
        let mut sticky = snapshot
            .groups
            .values()
            .filter(|group| group.config.sticky.is_some());
        let folder = &snapshot.config.server.state_dir;
        sticky.try_for_each(|group| {
            let key = self.0.get_or_init(|| key(folder)).as_ref()?;
            group.seal_sessions_with(key);
            Some(())
        });
    }
}

fn key(folder: &Path) -> Option<Arc<SessionKey>> {
    let path = folder.join(FILE);
    let bytes = match kept(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::warn!(event = "sessions.unkept", file = %path.display(), %error, "the key of sticky sessions cannot be kept; they last until hubgate ends");
            random()?
        }
    };
    SessionKey::new(&bytes).map(Arc::new)
}

/// The key in the file, or a new one that is in it now.
fn kept(path: &Path) -> io::Result<[u8; SessionKey::LENGTH]> {
    if let Some(bytes) = read(path)? {
        return Ok(bytes);
    }
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let bytes = random().ok_or_else(|| io::Error::other("no random bytes"))?;
    let mut open = OpenOptions::new();
    let aside = path.with_extension("key.new");
    let mut file = open
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    // Not over one that another process has made meanwhile.
    match std::fs::hard_link(&aside, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    std::fs::remove_file(&aside)?;
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
    read(path)?.ok_or_else(|| io::Error::other("it went away"))
}

fn read(path: &Path) -> io::Result<Option<[u8; SessionKey::LENGTH]>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(SessionKey::LENGTH as u64 + 1)
        .read_to_end(&mut bytes)?;
    match bytes.try_into() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(_) => Err(io::Error::new(
            ErrorKind::InvalidData,
            "it does not hold a key; remove it to have a new one made",
        )),
    }
}

fn random() -> Option<[u8; SessionKey::LENGTH]> {
    let mut bytes = [0; SessionKey::LENGTH];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_key_is_the_same_the_second_time_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state").join(FILE);
        let first = kept(&path).unwrap();
        assert_eq!(kept(&path).unwrap(), first);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
    }

    #[test]
    fn a_file_that_holds_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::fs::write(&path, "too short").unwrap();
        assert!(kept(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"too short");
    }
}
