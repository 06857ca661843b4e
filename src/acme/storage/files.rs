//! Whole files or none: how the state directory is written and read.
//!
//! Knows nothing of accounts and certificates. Blocks.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink,
};
use std::path::Path;

use time::OffsetDateTime;
use tracing::warn;

use super::store::StoreError;

/// Larger files are not ours.
const MAX_FILE: u64 = 1 << 20;
/// Begins the names of files that are not complete yet.
const UNFINISHED: &str = ".new-";
/// Begins the names of what is damaged.
pub(super) const ASIDE: &str = "bad-";
/// So many damaged files are kept in one folder, the newest.
const KEEP_ASIDE: usize = 5;

/// Makes a folder and those above it up to `root` (and above, where `root` is missing), 0700, all on the disk when this
/// returns; mends those that others can enter.
pub(super) fn make_folders(root: &Path, folder: &Path) -> Result<(), StoreError> {
    let missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|folder| !folder.exists())
        .collect();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(io("create", folder))?;
    for made in missing.into_iter().rev() {
        give_to_owner(made, made)
            .and_then(|()| sync_folder_of(made))
            .map_err(io("create", made))?;
    }
    folder
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .for_each(|folder| mend_mode(folder, 0o700));
    Ok(())
}

/// Writes a file so that at any moment the old or the new content is there, whole; 0600.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let write = || -> io::Result<()> {
        let unfinished = unfinished_name(path)?;
        remove_if_there(&unfinished)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        abort_if_asked();
        let written = give_to_owner(path, &unfinished)
            .and_then(|()| file.write_all(content))
            .and_then(|()| file.sync_all());
        abort_if_asked();
        if let Err(error) = written.and_then(|()| fs::rename(&unfinished, path)) {
            // A full disk is no place for half a file.
            remove_if_there(&unfinished)?;
            return Err(error);
        }
        abort_if_asked();
        sync_folder_of(path)
    };
    write().map_err(io("write", path))
}

/// Makes `path` a symlink to `target`, in the place of what it was, in one step.
pub(super) fn point(path: &Path, target: &str) -> Result<(), StoreError> {
    let write = || -> io::Result<()> {
        let unfinished = unfinished_name(path)?;
        remove_if_there(&unfinished)?;
        symlink(target, &unfinished)?;
        abort_if_asked();
        fs::rename(&unfinished, path)?;
        abort_if_asked();
        sync_folder_of(path)
    };
    write().map_err(io("write", path))
}

/// Reads a file; `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let mut content = Vec::new();
    let result = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut content));
    match result {
        Ok(_) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io("read", path)(source)),
    }
}

/// Renames something damaged to `bad-NAME-TIME` beside it and says so; what cannot be renamed is left alone.
pub(super) fn set_aside(path: &Path, reason: &str) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!(
        "{ASIDE}{name}-{}",
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
    if let Some(folder) = path.parent() {
        forget_oldest(folder);
    }
}

/// Removes the oldest of what was set aside, so that whatever damages files again and again does not fill the disk.
fn forget_oldest(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut aside: Vec<(u128, std::path::PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let time = name.strip_prefix(ASIDE)?.rsplit_once('-')?.1.parse();
            Some((time.ok()?, entry.path()))
        })
        .collect();
    aside.sort_unstable();
    let old = aside.len().saturating_sub(KEEP_ASIDE);
    for (_, path) in aside.drain(..old) {
        let removed = match path.is_dir() {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
        if let Err(error) = removed {
            warn!(event = "acme.store.error", path = %path.display(), %error, "an old damaged file cannot be removed");
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

/// Gives what was made for `path` to whoever owns the folder it is in: what root writes by a command, the service reads.
pub(super) fn give_to_owner(path: &Path, made: &Path) -> io::Result<()> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    let (folder, own) = (fs::metadata(folder)?, fs::metadata(made)?);
    if folder.uid() == own.uid() {
        return Ok(());
    }
    chown(made, Some(folder.uid()), Some(folder.gid()))
}

/// For the tests of a sudden end: ends a debug build at the step of all writing whose number `HUBGATE_ABORT_AT` gives.
#[cfg(debug_assertions)]
fn abort_if_asked() {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    static AT: LazyLock<Option<u32>> =
        LazyLock::new(|| std::env::var("HUBGATE_ABORT_AT").ok()?.parse().ok());
    static STEP: AtomicU32 = AtomicU32::new(1);
    if AT.is_some() && *AT == Some(STEP.fetch_add(1, Ordering::Relaxed)) {
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
fn abort_if_asked() {}

/// Puts a folder's names on the disk.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// An error of the system about `path`.
pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let place = path.display().to_string();
    move |source| StoreError::Io {
        action,
        place,
        source,
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
        make_folders(root.path(), &folder).unwrap();
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
    fn the_newest_of_what_was_set_aside_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.json");
        for number in 0..9 {
            fs::write(&path, number.to_string()).unwrap();
            set_aside(&path, "a test");
        }
        let entries = fs::read_dir(root.path()).unwrap().flatten();
        let mut left: Vec<_> = entries
            .map(|entry| fs::read_to_string(entry.path()).unwrap())
            .collect();
        left.sort_unstable();
        assert_eq!(left, ["4", "5", "6", "7", "8"]);
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
