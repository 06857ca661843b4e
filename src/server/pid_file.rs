//! The file with the number of the process that serves, `server.pid_file`.
//!
//! Replaced whole, so that a reader never finds half a number. Invariant: a process removes the file only while it holds
//! its own number, so that it stays when a successor has written its own.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file of this process, if there is to be one.
pub(super) struct PidFile(Option<PathBuf>);

impl PidFile {
    /// Writes this process's number to `path`, to be read by whom `mode` lets. What cannot be written is told: clients are served all the same.
    pub(super) fn write(path: Option<&Path>, mode: u32) -> Self {
        if let Some(path) = path
            && let Err(error) = replace(path, std::process::id(), mode)
        {
            tracing::error!(file = %path.display(), %error, "the pid file cannot be written");
        }
        Self(path.map(Path::to_owned))
    }

    /// Removes it, unless another process has written its own.
    pub(super) fn remove(&self) {
        let Some(path) = &self.0 else { return };
        let own = std::process::id().to_string();
        let gone = match fs::read_to_string(path) {
            Ok(text) if text.trim() == own => fs::remove_file(path),
            other => other.map(drop),
        };
        if let Err(error) = gone
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(file = %path.display(), %error, "the pid file cannot be removed");
        }
    }
}

fn replace(path: &Path, pid: u32, mode: u32) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{pid}"));
    let aside = PathBuf::from(aside);
    let mut open = OpenOptions::new();
    let open = open.write(true).create(true).truncate(true).mode(mode);
    let written = open.open(&aside).and_then(|mut file| {
        writeln!(file, "{pid}")?;
        fs::rename(&aside, path)
    });
    if written.is_err() && aside.exists() {
        fs::remove_file(&aside)?;
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_holds_the_number_for_its_owner_and_goes_with_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hubgate.pid");
        let file = PidFile::write(Some(&path), 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        file.remove();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_file_of_a_successor_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hubgate.pid");
        let file = PidFile::write(Some(&path), 0o600);
        fs::write(&path, "1\n").unwrap();
        file.remove();
        assert!(path.exists());
    }
}
