//! `hubgate run`: the server in the foreground, until a signal ends it.
//!
//! Says on standard error why it did not start; everything later goes to the event log.

use std::path::Path;

use super::{complain, exit};

/// Runs the configuration at `file`. Gives the exit code.
pub(super) fn run(file: &Path) -> u8 {
    run_and_tell(file, || {})
}

/// As [`run`]; calls `ready` once clients are served.
pub(super) fn run_and_tell(file: &Path, ready: impl FnOnce()) -> u8 {
    match crate::server::run(file, ready) {
        Ok(()) => exit::OK,
        Err(error) => {
            complain(error.message());
            if !error.message().ends_with('\n') {
                complain("\n");
            }
            error.exit_code()
        }
    }
}
