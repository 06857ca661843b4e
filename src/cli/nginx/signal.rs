//! `nginx -s`: a signal to the process whose number is in the pid file.
//!
//! Which file that is, the configuration says. Faults are nginx's sentences.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::words::{Fault, system};

/// Sends what the option names.
pub(super) fn send(name: &str, pid_file: &Path) -> Result<(), Fault> {
    let error = |text: String| Fault {
        level: "error",
        text,
    };
    let file = pid_file.display();
    let text = fs::read_to_string(pid_file)
        .map_err(|cause| error(format!("open() \"{file}\" failed ({})", system(&cause))))?;
    let text = text.trim_end_matches(['\r', '\n']);
    // `Pid` panics at numbers below zero.
    let number = text.parse::<u32>().ok().filter(|_| !text.starts_with('+'));
    let number = number.and_then(|number| i32::try_from(number).ok());
    let Some(pid) = number.and_then(Pid::from_raw) else {
        return Err(error(format!(
            "invalid PID number \"{text}\" in \"{file}\""
        )));
    };
    let signal = match name {
        "stop" => Signal::TERM,
        "quit" => Signal::QUIT,
        "reopen" => Signal::USR1,
        _ => Signal::HUP,
    };
    kill_process(pid, signal).map_err(|cause| Fault {
        level: "alert",
        text: format!(
            "kill({text}, {}) failed ({})",
            signal.as_raw(),
            system(&cause.into())
        ),
    })
}
