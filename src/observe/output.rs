//! Files, pipes and standard streams as ends of a log.
//!
//! Files are appended to and made with mode 0640. Named pipes are opened without waiting for a reader; one without a
//! reader, or whose reader takes nothing for [`PATIENCE`], loses lines. Invariant: a batch that was cut short by an
//! error is followed by a line end, so the next line is whole.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a full pipe may hold up its own log.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at a full pipe.
const PAUSE: Duration = Duration::from_millis(20);

/// Where batches of whole lines go. Called by one writer thread.
pub trait Output: Send {
    /// Writes all of `batch`, or says why not; then all of it counts as lost.
    fn write(&mut self, batch: &[u8]) -> io::Result<()>;
    /// Opens the file at its path again (it was renamed away); keeps the old one when that fails.
    fn reopen(&mut self);
    /// For messages.
    fn name(&self) -> String;
}

/// A file or a named pipe.
#[derive(Debug)]
pub struct FileOutput {
    path: PathBuf,
    /// `None`: a pipe that nobody reads at the moment.
    file: Option<File>,
    cut_short: bool,
}

impl FileOutput {
    /// Opens `path` for appending and makes it when it is missing; its folder must exist.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: open(path)?,
            cut_short: false,
        })
    }

    fn write_all(&mut self, mut rest: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        let whole = rest.len();
        let mut moved = Instant::now();
        while !rest.is_empty() {
            let error = match file.write(rest) {
                Ok(0) => ErrorKind::WriteZero.into(),
                Ok(n) => {
                    rest = &rest[n..];
                    moved = Instant::now();
                    continue;
                }
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock if moved.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                _ => {
                    self.cut_short |= rest.len() < whole;
                    if error.kind() == ErrorKind::BrokenPipe {
                        self.file = None;
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl Output for FileOutput {
    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.file = open(&self.path)?;
        }
        if self.cut_short {
            self.write_all(b"\n")?;
            self.cut_short = false;
        }
        self.write_all(batch)
    }

    fn reopen(&mut self) {
        match open(&self.path) {
            Ok(file) => {
                self.file = file;
                self.cut_short = false;
            }
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "cannot reopen the log; the old file is still written to");
            }
        }
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// `None` for a pipe without a reader, which is not a reason to refuse a configuration.
fn open(path: &Path) -> io::Result<Option<File>> {
    let opened = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if is_pipe(path) && error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_pipe(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|data| data.file_type().is_fifo())
}

/// Standard output or standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandardStream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Output for StandardStream {
    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        match self {
            Self::Out => {
                let mut stream = io::stdout().lock();
                stream.write_all(batch)?;
                stream.flush()
            }
            Self::Err => io::stderr().lock().write_all(batch),
        }
    }

    fn reopen(&mut self) {}

    fn name(&self) -> String {
        match self {
            Self::Out => "standard output".to_owned(),
            Self::Err => "standard error".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_new_file_is_not_for_everybody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        FileOutput::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o037, 0);
    }

    #[test]
    fn a_pipe_without_a_reader_opens_and_refuses_lines_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        let mut output = FileOutput::open(&path).unwrap();
        assert!(output.write(b"line\n").is_err());
    }

    #[test]
    fn a_file_in_a_missing_folder_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(FileOutput::open(&dir.path().join("none/a.log")).is_err());
    }
}
