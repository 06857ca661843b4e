//! Whole files or none: how the state directory is written and read.
//!
//! Knows nothing of accounts and certificates. Blocks.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use tracing::warn;

use super::StorageError;

/// Larger files are not ours.
const MAX_FILE: u64 = 1 << 20;
/// Begins the names of files that are not complete yet.
const UNFINISHED: &str = ".new-";

/// Makes a folder and its parents, 0700; mends an existing one that others can enter.
pub(super) fn make_folder(path: &Path) -> Result<(), StorageError> {
    let failed = |source| StorageError {
        action: "create",
        path: path.to_owned(),
        source,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed)?;
    mend_mode(path, 0o700);
    Ok(())
}

/// Writes a file so that at any moment the old or the new content is there, whole; 0600.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), StorageError> {
    let write = || -> io::Result<()> {
        let unfinished = unfinished_name(path)?;
        remove_if_there(&unfinished)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        let written = file.write_all(content).and_then(|()| file.sync_all());
        if let Err(error) = written.and_then(|()| fs::rename(&unfinished, path)) {
            // A full disk is no place for half a file.
            remove_if_there(&unfinished)?;
            return Err(error);
        }
        sync_folder_of(path)
    };
    write().map_err(|source| StorageError {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// Makes `path` a symlink to `target`, in the place of what it was, in one step.
pub(super) fn point(path: &Path, target: &str) -> Result<(), StorageError> {
    let write = || -> io::Result<()> {
        let unfinished = unfinished_name(path)?;
        remove_if_there(&unfinished)?;
        symlink(target, &unfinished)?;
        fs::rename(&unfinished, path)?;
        sync_folder_of(path)
    };
    write().map_err(|source| StorageError {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// Reads a file; `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
    let mut content = Vec::new();
    let result = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut content));
    match result {
        Ok(_) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StorageError {
            action: "read",
            path: path.to_owned(),
            source,
        }),
    }
}

/// Reads a JSON file; `None` when there is none, or when it was damaged and is set aside now.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StorageError> {
    let Some(content) = read(path)? else {
        return Ok(None);
    };
    match serde_json::from_slice(&content) {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            set_aside(path, &error.to_string());
            Ok(None)
        }
    }
}

/// Writes a JSON file, for people to read too.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), StorageError> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| StorageError {
        action: "write",
        path: path.to_owned(),
        source: error.into(),
    })?;
    replace(path, &text)
}

/// Renames something damaged to `bad-NAME-TIME` beside it and says so; what cannot be renamed is left alone.
pub(super) fn set_aside(path: &Path, reason: &str) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!(
        "bad-{name}-{}",
        OffsetDateTime::now_utc().unix_timestamp_nanos()
    ));
    match fs::rename(path, &aside) {
        Ok(()) => {
            warn!(event = "acme.store.damaged", path = %path.display(), aside = %aside.display(), reason, "set a damaged file aside")
        }
        Err(error) => {
            warn!(event = "acme.store.damaged", path = %path.display(), reason, %error, "a damaged file cannot be set aside")
        }
    }
}

/// Removes a file or symlink; none there is fine.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Takes rights from group and others, with a warning, where they have any.
pub(super) fn mend_mode(path: &Path, mode: u32) {
    let Ok(metadata) = fs::metadata(path) else {
        return;
    };
    let found = metadata.permissions().mode() & 0o777;
    if found & 0o077 == 0 {
        return;
    }
    match fs::set_permissions(path, Permissions::from_mode(mode)) {
        Ok(()) => {
            warn!(event = "acme.store.mode", path = %path.display(), "others had rights here (mode {found:03o}); changed to {mode:03o}")
        }
        Err(error) => {
            warn!(event = "acme.store.mode", path = %path.display(), %error, "others have rights here (mode {found:03o}), which cannot be changed")
        }
    }
}

/// Removes what a crash left unfinished.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED)
            && let Err(error) = remove_if_there(&entry.path())
        {
            warn!(event = "acme.store.error", path = %entry.path().display(), %error, "cannot remove an unfinished file");
        }
    }
}

/// Puts a folder's names on the disk.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn unfinished_name(path: &Path) -> io::Result<std::path::PathBuf> {
    let name = path
        .file_name()
        .ok_or(ErrorKind::InvalidInput)?
        .to_string_lossy();
    Ok(path.with_file_name(format!("{UNFINISHED}{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_is_readable_by_its_owner_only_and_leaves_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        make_folder(&folder).unwrap();
        replace(&folder.join("x"), b"1").unwrap();
        replace(&folder.join("x"), b"2").unwrap();
        assert_eq!(read(&folder.join("x")).unwrap().unwrap(), b"2");
        assert_eq!(
            fs::metadata(folder.join("x")).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn damaged_json_is_set_aside_and_counts_as_none() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.json");
        fs::write(&path, "{\"a\":").unwrap();
        assert_eq!(read_json::<serde_json::Value>(&path).unwrap(), None);
        assert!(!path.exists());
        let left = fs::read_dir(root.path()).unwrap().next().unwrap().unwrap();
        assert!(
            left.file_name()
                .to_string_lossy()
                .starts_with("bad-x.json-")
        );
    }

    #[test]
    fn what_a_crash_left_unfinished_is_replaced_and_swept() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(".new-x"), "half").unwrap();
        fs::write(root.path().join(".new-y"), "half").unwrap();
        replace(&root.path().join("x"), b"whole").unwrap();
        sweep(root.path());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
