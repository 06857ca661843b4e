//! Writes the secrets of connections to a file, in the format that Wireshark reads (`SSLKEYLOGFILE`).
//!
//! For looking into a trial, and only when the command line asks for it: whoever has the file reads every connection. The
//! environment is not looked at, so that nothing inherited turns it on.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use parking_lot::Mutex;

/// An open file of secrets.
#[derive(Debug)]
pub struct KeyLog(Mutex<File>);

impl KeyLog {
    /// Appends to the file at `path`, which only its owner can read if it is made here.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut open = OpenOptions::new();
        let file = open.append(true).create(true).mode(0o600).open(path)?;
        Ok(Self(Mutex::new(file)))
    }
}

impl rustls::KeyLog for KeyLog {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut line = String::from(label);
        for bytes in [client_random, secret] {
            line.push(' ');
            for byte in bytes {
                // Writing to a string cannot fail.
                let _written = write!(line, "{byte:02x}");
            }
        }
        line.push('\n');
        if let Err(error) = self.0.lock().write_all(line.as_bytes()) {
            tracing::debug!(%error, "a secret could not be written to the TLS key log");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::KeyLog as _;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_a_line_that_only_the_owner_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        for _ in 0..2 {
            let log = KeyLog::open(&path).unwrap();
            log.log("CLIENT_RANDOM", &[1, 0xab], &[0]);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "CLIENT_RANDOM 01ab 00\n".repeat(2));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
