//! How nginx speaks before it has a configuration: to standard error and to its first error log.
//!
//! Warnings and worse reach both, notices the log only; without a log, standard error gets the log's lines. Invariant: a
//! log that cannot be opened is told of once and is no reason to stop.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use super::options::Options;
use crate::cli::complain;
use crate::observe::nginx_lines::head;

/// Why nothing comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// nginx's level.
    pub(super) level: &'static str,
    pub(super) text: String,
}

impl Fault {
    pub(super) fn emerg(text: impl Into<String>) -> Self {
        Self {
            level: "emerg",
            text: text.into(),
        }
    }

    /// One that the process which had it has told already.
    pub(super) fn told() -> Self {
        Self::emerg("")
    }
}

/// Where to speak.
pub(super) struct Words {
    log: Option<File>,
}

impl Words {
    /// Opens the first error log.
    pub(super) fn open(options: &Options) -> Self {
        let path = options.error_log();
        let log = path.and_then(|path| match append(&path) {
            Ok(file) => Some(file),
            Err(error) => {
                complain(&format!(
                    "nginx: [alert] could not open error log file: open() \"{}\" failed ({})\n",
                    path.display(),
                    system(&error)
                ));
                None
            }
        });
        Self { log }
    }

    /// Logs, and tells who is there if it is grave.
    pub(super) fn say(&self, level: &str, text: &str) {
        let line = format!("{}{text}\n", head(SystemTime::now(), level));
        let Some(mut log) = self.log.as_ref() else {
            return complain(&line);
        };
        if level != "notice" {
            complain(&format!("nginx: [{level}] {text}\n"));
        }
        if let Err(error) = log.write_all(line.as_bytes()) {
            complain(&format!(
                "nginx: [alert] write() to the error log failed ({error})\n"
            ));
        }
    }

    /// Tells whoever typed the command.
    pub(super) fn tell(&self, text: &str) {
        complain(&format!("nginx: {text}\n"));
    }
}

/// Opens a log.
pub(super) fn append(path: &Path) -> io::Result<File> {
    let mut open = OpenOptions::new();
    open.append(true).create(true).mode(0o644).open(path)
}

/// `2: No such file or directory`
pub(super) fn system(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(code) => {
            let words = text.strip_suffix(&format!(" (os error {code})"));
            format!("{code}: {}", words.unwrap_or(&text))
        }
        None => text,
    }
}

/// hubgate's refusal as one sentence; nginx's own about addresses.
pub(super) fn of_refusal(text: &str) -> String {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let error = lines.clone().find(|line| line.starts_with("error"));
    let line = error.or_else(|| lines.next()).unwrap_or("it did not start");
    let line =
        line.split_once(": ")
            .map_or(line, |(before, rest)| match before.starts_with("error") {
                true => rest,
                false => line,
            });
    let line = line.strip_prefix("nginx: [emerg] ").unwrap_or(line);
    bind(line).unwrap_or_else(|| line.to_owned())
}

/// `bind() to 127.0.0.1:80 failed (98: Address already in use)`
fn bind(line: &str) -> Option<String> {
    let (address, rest) = line.strip_prefix("cannot listen on `")?.split_once('`')?;
    let (_, code) = rest.split_once("(os error ")?;
    let code = code.split(')').next()?.parse().ok()?;
    let error = io::Error::from_raw_os_error(code);
    Some(format!("bind() to {address} failed ({})", system(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_told_as_nginx_tells_it() {
        let text = "error: cannot listen on `127.0.0.1:80`: Address already in use (os error 98)\nhint: x\n";
        assert_eq!(
            of_refusal(text),
            "bind() to 127.0.0.1:80 failed (98: Address already in use)"
        );
        let text = "error[unknown-upstream]: route `a`: no\n  --> x\n";
        assert_eq!(of_refusal(text), "route `a`: no");
        let text = "error[nginx]: nginx: [emerg] unexpected \"}\" in /a:3\n";
        assert_eq!(of_refusal(text), "unexpected \"}\" in /a:3");
    }
}
