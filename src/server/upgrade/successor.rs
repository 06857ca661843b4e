//! The new process's side of an upgrade: takes what the old one gives, and says how far it is.
//!
//! Started with `--successor` and one end of the conversation as standard input. The rest of the start is `run`'s.
//! Invariant: nothing that the old process also does (accepting, orders, speaking to the service manager) is begun before
//! the old process has said so.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::carried::Carried;
use super::handover::{Answer, Channel, Opening, PROTOCOL, Word};
use super::questions::Predecessor;
use super::sockets::{Kind, Sockets};
use crate::server::start_error::StartError;
use crate::transport::now;

/// For the old process to say something that it has ready.
const PATIENCE: Duration = Duration::from_secs(30);

/// The way to the old process.
pub(in crate::server) struct Successor {
    channel: Channel,
    stderr: Option<OwnedFd>,
    /// The old process.
    pub(in crate::server) pid: u32,
}

impl Successor {
    /// Takes everything from the process that started this one: its sockets, and what it knows.
    pub(in crate::server) fn meet() -> Result<(Self, Sockets, Carried), StartError> {
        Self::try_meet().map_err(|error| {
            StartError::Unavailable(format!(
                "error: `--successor` is for hubgate itself, at an upgrade: {error}\nhint: `hubgate upgrade` asks the running process for one\n"
            ))
        })
    }

    fn try_meet() -> io::Result<(Self, Sockets, Carried)> {
        let deadline = now() + PATIENCE;
        let mut channel = Channel::of(io::stdin().as_fd().try_clone_to_owned()?);
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        let opening: Opening = channel.hear(deadline)?;
        if opening.protocol != PROTOCOL {
            return Err(io::Error::other(format!(
                "version {} hands over in another way",
                opening.version
            )));
        }
        let count = opening.slots.iter().map(|slot| slot.count).sum();
        let descriptors = channel.take(count, deadline)?;
        let mut sockets = Sockets::new(opening.slots, descriptors);
        let stderr = sockets.take(&Kind::Stderr, "").pop();
        let successor = Self {
            channel,
            stderr,
            pid: opening.pid,
        };
        Ok((successor, sockets, opening.carried))
    }

    /// Says why this process cannot serve. The old one tells whoever asked, so the error that is left says nothing more.
    pub(in crate::server) fn refuse(mut self, error: StartError) -> StartError {
        let (text, code) = (error.message().to_owned(), error.exit_code());
        match self
            .channel
            .say(&Answer::Refused { text, code }, now() + PATIENCE)
        {
            Ok(()) => StartError::Told { code },
            Err(_) => error,
        }
    }

    /// Says that all is prepared, and waits for the word to begin. Standard error is this process's own from then on.
    pub(in crate::server) fn ready(&mut self) -> Result<Carried, StartError> {
        let left = |error: io::Error| {
            StartError::Unavailable(format!(
                "error: the old process {} did not let this one begin: {error}\n",
                self.pid
            ))
        };
        self.channel
            .say(&Answer::Ready, now() + PATIENCE)
            .map_err(left)?;
        let Word::Go(carried) = self.channel.hear(now() + PATIENCE).map_err(left)? else {
            return Err(left(io::ErrorKind::InvalidData.into()));
        };
        if let Some(stderr) = self.stderr.take() {
            rustix::stdio::dup2_stderr(stderr).map_err(|error| left(error.into()))?;
        }
        Ok(*carried)
    }

    /// Says that clients are served, and waits until the work is this process's alone. Blocks. Gives the way to the old
    /// process, while it is there. Fails when that one dies before: it is the one that its service manager knows, and will
    /// start again.
    pub(in crate::server) fn settle(mut self) -> Result<Option<Predecessor>, StartError> {
        if let Err(error) = self.channel.say(&Answer::Serving, now() + PATIENCE) {
            tracing::warn!(%error, "the old process does not hear that this one serves");
        }
        match self.channel.hear(now() + PATIENCE) {
            Ok(Word::Settled) => return Ok(Some(Predecessor::new(self.pid, self.channel))),
            Ok(Word::Go(_)) => tracing::warn!("the old process says the same twice"),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(StartError::Unavailable(format!(
                    "error: the old process {} ended before it let go; ending with it, so that there is one hubgate when it is started again\n",
                    self.pid
                )));
            }
            // It is there and says nothing: clients are served all the same.
            Err(error) => tracing::warn!(%error, pid = self.pid, "the old process does not let go"),
        }
        Ok(None)
    }
}
