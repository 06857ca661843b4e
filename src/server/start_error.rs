//! Why a start failed, in words for the operator, and the exit code that goes with it.
//!
//! Finding out is `run`'s. Invariant: a message says what was tried, with what, and why it failed.

use std::io;

use crate::observe::reasons::with_reasons;

/// Why the process did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration was refused; the text says everything, for a terminal.
    Refused(String),
    /// Something the process needs is not to be had.
    Unavailable(String),
    /// One of these, which whoever asked has been told.
    Told {
        /// The exit code.
        code: u8,
    },
}

impl StartError {
    /// The exit code it stands for.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Unavailable(_) => 3,
            Self::Told { code } => *code,
        }
    }

    /// What to tell a person.
    pub fn message(&self) -> &str {
        match self {
            Self::Refused(text) | Self::Unavailable(text) => text,
            Self::Told { .. } => "",
        }
    }
}

/// Something that is not to be had, with what led to it and what to do about it.
pub(super) fn unavailable(what: &str, error: &(dyn std::error::Error + 'static)) -> StartError {
    let reasons = with_reasons(error);
    StartError::Unavailable(format!("error: {what}: {reasons}\n{}", hint(error)))
}

/// What to do about a file, folder or socket that is not to be had.
fn hint(error: &(dyn std::error::Error + 'static)) -> &'static str {
    let mut cause = Some(error);
    let mut kind = None;
    while let (Some(error), None) = (cause, kind) {
        kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        cause = error.source();
    }
    match kind {
        Some(io::ErrorKind::NotFound) => "hint: make the folder it is in first\n",
        Some(io::ErrorKind::PermissionDenied) => {
            "hint: the account that hubgate runs as has to own the folder it is in, or be allowed to write there\n"
        }
        Some(io::ErrorKind::StorageFull) => "hint: the disk is full\n",
        _ => "",
    }
}
