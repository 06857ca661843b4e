//! One way of a stream: what comes as messages goes through memory, which is two calls for each, and what comes in bulk
//! inside the kernel (splice(2)).
//!
//! A side that takes nothing stops reading from the other; what waits is at most a pipe. Idle streams hold no pipes and no
//! memory: a worker keeps some for all. Invariant: bytes are delivered in order or the stream ends.

use std::cell::RefCell;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::copy::{Broken, Clock};

/// What a pipe takes, as far as the system lets it; it has 64 KiB at least unless pipes are scarce.
const PIPE: usize = 256 * 1024;
/// Empty pipes that a worker keeps.
const KEPT: usize = 32;
/// What is taken through memory at once; a side that fills it sends in bulk.
pub(super) const MESSAGE: usize = 16 * 1024;

/// One way of a stream.
pub(super) struct Way<'a> {
    pub(super) from: &'a TcpStream,
    pub(super) to: &'a TcpStream,
    /// Of bytes.
    pub(super) count: &'a AtomicU64,
    pub(super) clock: &'a Clock,
    /// Whether it is the endpoint's.
    pub(super) is_answer: bool,
}

/// What has been taken of that which waited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// All of it; so much was moved.
    All(usize),
    /// Perhaps not all.
    Some,
    /// All, and nothing more will come.
    End,
}

impl Way<'_> {
    /// Moves all there is, to its end.
    pub(super) async fn run(self) -> Result<(), Broken> {
        let mut in_bulk = false;
        loop {
            self.from.readable().await.map_err(|_| Broken::From)?;
            if !in_bulk {
                match self.message().await? {
                    Taken::All(_) => {
                        // As below.
                        tokio::task::consume_budget().await;
                        continue;
                    }
                    Taken::Some => in_bulk = true,
                    Taken::End => return self.end(),
                }
            }
            match self.bulk().await? {
                Taken::All(moved) => in_bulk = moved > MESSAGE,
                Taken::Some => {}
                Taken::End => return self.end(),
            }
        }
    }

    /// Moves what a message has, through memory.
    async fn message(&self) -> Result<Taken, Broken> {
        let taken = SPACE.with_borrow_mut(|space| {
            space.resize(MESSAGE, 0);
            let size = match self.from.try_read(space) {
                Ok(0) => return Ok(None),
                Ok(size) => size,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Some((0, Vec::new())));
                }
                Err(_) => return Err(Broken::From),
            };
            self.counts(size);
            if size < MESSAGE {
                // That was all, so what comes now is told anew (epoll(7), question 9). Before anything is waited for:
                // what has been told meanwhile must not be forgotten.
                let forgotten = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                drop(self.from.try_io(Interest::READABLE, forgotten));
            }
            let given = match self.to.try_write(&space[..size]) {
                Ok(given) => given,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(_) => return Err(Broken::To),
            };
            // Nothing, and no memory for it, as nearly always.
            Ok(Some((size, space[given..size].to_vec())))
        });
        let Some((size, left)) = taken? else {
            return Ok(Taken::End);
        };
        let mut left = &left[..];
        while !left.is_empty() {
            self.to.writable().await.map_err(|_| Broken::To)?;
            match self.to.try_write(left) {
                Ok(given) => left = &left[given..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(Broken::To),
            }
        }
        if size > 0 {
            self.clock.moved();
        }
        Ok(match size {
            MESSAGE => Taken::Some,
            size => Taken::All(size),
        })
    }

    /// Moves what waits, inside the kernel.
    async fn bulk(&self) -> Result<Taken, Broken> {
        let pipe = Pipe::take().map_err(|_| Broken::From)?;
        let mut moved = 0;
        loop {
            let read = self.from.try_io(Interest::READABLE, || {
                Ok(splice(self.from, None, &pipe.into, None, PIPE, FLAGS)?)
            });
            match read {
                Ok(0) => {
                    pipe.keep();
                    return Ok(Taken::End);
                }
                Ok(mut held) => {
                    moved += held;
                    self.counts(held);
                    while held > 0 {
                        let give = || Ok(splice(&pipe.out, None, self.to, None, held, FLAGS)?);
                        let given = self.to.async_io(Interest::WRITABLE, give).await;
                        held -= given.map_err(|_| Broken::To)?;
                    }
                    self.clock.moved();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    pipe.keep();
                    return Ok(Taken::All(moved));
                }
                Err(_) => return Err(Broken::From),
            }
            // Others of this worker have their turn, however fast the two sides are.
            tokio::task::consume_budget().await;
        }
    }

    fn counts(&self, size: usize) {
        let before = self.count.fetch_add(size as u64, Ordering::Relaxed);
        if self.is_answer {
            self.clock.answered(before);
        }
    }

    /// Passes the end on. Once both sides have ended they are closed, which says it too.
    fn end(&self) -> Result<(), Broken> {
        if self.clock.ends() {
            return Ok(());
        }
        let ended = socket2::SockRef::from(self.to).shutdown(Shutdown::Write);
        ended.map_err(|_| Broken::To)
    }
}

const FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

/// A pipe with nothing in it, or with what is on its way.
struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
}

thread_local! {
    static EMPTY: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
    /// For messages.
    static SPACE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Pipe {
    fn take() -> io::Result<Self> {
        if let Some(pipe) = EMPTY.with_borrow_mut(Vec::pop) {
            return Ok(pipe);
        }
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        if let Err(error) = fcntl_setpipe_size(&into, PIPE) {
            tracing::debug!(%error, "a pipe stays small");
        }
        Ok(Self { out, into })
    }

    /// Keeps it for the next; to be called with nothing in it.
    fn keep(self) {
        EMPTY.with_borrow_mut(|kept| {
            if kept.len() < KEPT {
                kept.push(self);
            }
        });
    }
}

/// How many pipes wait for the next stream.
#[cfg(test)]
pub(super) fn kept_pipes() -> usize {
    EMPTY.with_borrow(Vec::len)
}
