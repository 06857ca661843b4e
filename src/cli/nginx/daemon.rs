//! `daemon on`: the process leaves its terminal and goes on; whoever started it waits until it serves.
//!
//! Without a fork: the program starts itself again in a session of its own, with a pipe as its standard input on which
//! it says that it serves. Invariant: the first process ends with 0 only once sockets listen and the pid file is written.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::{Errno, fcntl_dupfd_cloexec};

use super::words::{Fault, append, system};
use crate::nginx::{Tree, title};

/// In the environment of the process that stays.
const MARK: &str = "HUBGATE_NGINX_DAEMON";

/// Which of the processes this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The one that was typed.
    Typed,
    /// The same, listed as nginx's master.
    Entitled,
    /// The one that has left the terminal.
    Daemon,
}

impl Stage {
    pub(super) fn of(arguments: &[OsString]) -> Self {
        let entitled = arguments.first().is_some_and(|first| title::is_set(first));
        match (entitled, env::var_os(MARK)) {
            (false, _) => Self::Typed,
            (true, None) => Self::Entitled,
            (true, Some(_)) => Self::Daemon,
        }
    }

    /// The process that stays begins a session, and keeps the way to the one that waits.
    pub(super) fn leave_terminal(self) -> io::Result<Option<Channel>> {
        if self != Self::Daemon {
            return Ok(None);
        }
        let channel = fcntl_dupfd_cloexec(io::stdin(), 3)?;
        let nothing = File::options().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdin(&nothing)?;
        match rustix::process::setsid() {
            // It leads a group already when a shell started it so; then there is no terminal to leave.
            Ok(_) | Err(Errno::PERM) => Ok(Some(Channel(channel))),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the configuration asks for it, as it does by itself.
pub(super) fn is_wanted(tree: &Tree) -> bool {
    let mut own = tree.directives.iter().filter(|own| own.is("daemon"));
    !own.any(|own| own.argument(0).eq_ignore_ascii_case("off"))
}

/// The way to the process that waits.
pub(super) struct Channel(OwnedFd);

impl Channel {
    /// Clients are served: lets the first process end, and takes leave of its terminal.
    pub(super) fn ready(self, error_log: Option<&Path>) {
        if let Err(error) = File::from(self.0).write_all(b"1") {
            tracing::warn!(%error, "whoever started this process does not wait any more");
        }
        let nothing = File::options().read(true).write(true).open("/dev/null");
        let out = nothing.and_then(|nothing| Ok(rustix::stdio::dup2_stdout(nothing)?));
        // What still goes to standard error is a matter of the error log, as in nginx.
        let err = error_log.map_or(Ok(()), |path| {
            Ok(rustix::stdio::dup2_stderr(append(path)?)?)
        });
        if let Err(error) = out.and(err) {
            let error: io::Error = error;
            tracing::warn!(%error, "the terminal is not let go");
        }
    }
}

/// This program, to be listed as nginx's master.
fn itself(arguments: &[OsString]) -> io::Result<Command> {
    let called = env::args_os().next().unwrap_or(title::NAME.into());
    let mut command = Command::new(env::current_exe()?);
    command.arg0(title::of(&called)).args(arguments);
    Ok(command)
}

/// Becomes a process that is listed as nginx's master, with the number it has; goes on as it is where that fails.
pub(super) fn entitle(stage: Stage, arguments: &[OsString]) {
    if stage == Stage::Typed
        && let Ok(mut command) = itself(arguments)
    {
        // Returns only where it has failed, and then nothing is lost but the title.
        let error = command.env_remove(MARK).exec();
        tracing::debug!(%error, "not listed as nginx's master");
    }
}

/// Starts the process that stays, with the user's arguments, and waits until it serves or has ended.
pub(super) fn start(arguments: &[OsString]) -> Result<(), Fault> {
    let failed =
        |error: io::Error| Fault::emerg(format!("cannot start the daemon ({})", system(&error)));
    let (mut ours, theirs) = io::pipe().map_err(failed)?;
    // It writes to what it was given for reading from.
    let mut command = itself(arguments).map_err(failed)?;
    command
        .env(MARK, "1")
        .stdin(Stdio::from(OwnedFd::from(theirs)));
    let mut child = command.spawn().map_err(failed)?;
    drop(command);
    let mut said = [0; 1];
    match ours.read(&mut said) {
        Ok(1) => Ok(()),
        // It has told why.
        _ => match child.wait() {
            Ok(_) => Err(Fault::told()),
            Err(error) => Err(failed(error)),
        },
    }
}
