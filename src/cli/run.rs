//! `hubgate run`: the server in the foreground, until a signal ends it.
//!
//! Says on standard error why it did not start; everything later goes to the event log.

use std::path::Path;

use super::{complain, exit};
use crate::server::How;

/// Runs the configuration at `file`, as the successor of the process that started this one or on its own. Gives the exit
/// code.
pub(super) fn run(file: &Path, successor: bool, key_log: Option<&Path>) -> u8 {
    let how = match successor {
        true => How::Successor,
        false => How::Fresh,
    };
    run_and_tell(file, how, key_log, || {})
}

/// As [`run`]; calls `ready` once clients are served.
pub(super) fn run_and_tell(
    file: &Path,
    how: How,
    key_log: Option<&Path>,
    ready: impl FnOnce(),
) -> u8 {
    match crate::server::run(file, how, key_log, ready) {
        Ok(()) => exit::OK,
        Err(error) => {
            complain(error.message());
            if !error.message().is_empty() && !error.message().ends_with('\n') {
                complain("\n");
            }
            error.exit_code()
        }
    }
}
