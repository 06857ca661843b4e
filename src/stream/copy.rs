//! Moves bytes between two TCP connections inside the kernel (splice(2)) until both sides have ended.
//!
//! Either side may end first: half-closes are passed on. A side that takes nothing stops reading from the other; what
//! waits is at most a pipe. Idle streams hold no pipes: a worker keeps a few for all. Invariant: bytes are delivered in
//! order or the stream ends.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::observe::open::Moved;
use crate::transport::now;

/// What a pipe takes, as far as the system lets it; it has 64 KiB at least unless pipes are scarce.
const PIPE: usize = 256 * 1024;
/// Empty pipes that a worker keeps.
const KEPT: usize = 32;

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Both sides had ended.
    BySides,
    /// Nothing moved for the idle time.
    Idle,
    /// The drain was over.
    Draining,
    /// The client's connection broke.
    ClientFailed,
    /// The endpoint's did.
    UpstreamFailed,
}

/// How a stream went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// How it ended.
    pub(super) ended: Ended,
    /// From its beginning to the endpoint's first byte.
    pub(super) first_byte: Option<Duration>,
}

/// When something moved last.
pub(super) struct Clock {
    begun: Instant,
    /// Milliseconds since then.
    last: AtomicU64,
    /// As that, until when nothing may move.
    rest: AtomicU64,
    /// As that, of the endpoint's first byte, and one more; 0 before.
    first: AtomicU64,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            begun: now(),
            last: AtomicU64::new(0),
            rest: AtomicU64::new(0),
            first: AtomicU64::new(0),
        }
    }

    fn since(&self) -> u64 {
        let since = now().saturating_duration_since(self.begun).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    pub(super) fn moved(&self) {
        self.last.store(self.since(), Ordering::Relaxed);
    }

    /// Nothing moves for so long because it may not.
    pub(super) fn rests(&self, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let ends = self.since().saturating_add(time);
        self.rest.fetch_max(ends, Ordering::Relaxed);
    }

    /// Something of the endpoint's came, perhaps for the first time.
    pub(super) fn answered(&self, before: u64) {
        if before == 0 {
            self.first.store(self.since() + 1, Ordering::Relaxed);
        }
    }

    fn last(&self) -> Instant {
        let last = self.last.load(Ordering::Relaxed);
        let last = last.max(self.rest.load(Ordering::Relaxed));
        self.begun + Duration::from_millis(last)
    }

    fn run(&self, ended: Ended) -> Run {
        let first = self.first.load(Ordering::Relaxed);
        Run {
            ended,
            first_byte: first.checked_sub(1).map(Duration::from_millis),
        }
    }
}

/// Which end broke.
pub(super) enum Broken {
    From,
    To,
}

/// Moves bytes both ways until both sides have ended, or `upstream` has where that is enough, nothing has moved for
/// `idle`, or `ending` is over.
pub(super) async fn both_ways(
    client: &TcpStream,
    upstream: &TcpStream,
    (idle, enough): (Duration, bool),
    moved: &Moved,
    ending: impl Future<Output = ()>,
) -> Run {
    let clock = Clock::new();
    let up = one_way(client, upstream, &moved.up, &clock, false);
    let down = one_way(upstream, client, &moved.down, &clock, true);
    until(together(up, down, enough), idle, &clock, ending).await
}

/// Both ways, until both sides have ended, or the endpoint's where that is `enough`.
pub(super) async fn together(
    up: impl Future<Output = Result<(), Broken>>,
    down: impl Future<Output = Result<(), Broken>>,
    enough: bool,
) -> Result<(), Ended> {
    let up = async { up.await.map_err(|broken| side(broken, true)) };
    let down = async {
        down.await.map_err(|broken| side(broken, false))?;
        match enough {
            true => Err(Ended::BySides),
            false => Ok(()),
        }
    };
    tokio::try_join!(up, down).map(drop)
}

/// Runs `both` until it is over, nothing has moved for `idle`, or `ending` is over.
pub(super) async fn until(
    both: impl Future<Output = Result<(), Ended>>,
    idle: Duration,
    clock: &Clock,
    ending: impl Future<Output = ()>,
) -> Run {
    let silence = async {
        loop {
            let ends = clock.last() + idle;
            if ends <= now() {
                return;
            }
            tokio::time::sleep_until(ends.into()).await;
        }
    };
    clock.run(tokio::select! {
        ended = both => match ended {
            Ok(()) => Ended::BySides,
            Err(ended) => ended,
        },
        () = silence => Ended::Idle,
        () = ending => Ended::Draining,
    })
}

fn side(broken: Broken, upwards: bool) -> Ended {
    match (broken, upwards) {
        (Broken::From, true) | (Broken::To, false) => Ended::ClientFailed,
        (Broken::To, true) | (Broken::From, false) => Ended::UpstreamFailed,
    }
}

async fn one_way(
    from: &TcpStream,
    to: &TcpStream,
    count: &AtomicU64,
    clock: &Clock,
    is_answer: bool,
) -> Result<(), Broken> {
    loop {
        from.readable().await.map_err(|_| Broken::From)?;
        let pipe = Pipe::take().map_err(|_| Broken::From)?;
        loop {
            let read = from.try_io(Interest::READABLE, || {
                Ok(splice(from, None, &pipe.into, None, PIPE, FLAGS)?)
            });
            match read {
                Ok(0) => {
                    pipe.keep();
                    let ended = socket2::SockRef::from(to).shutdown(Shutdown::Write);
                    return ended.map_err(|_| Broken::To);
                }
                Ok(mut held) => {
                    let before = count.fetch_add(held as u64, Ordering::Relaxed);
                    if is_answer {
                        clock.answered(before);
                    }
                    while held > 0 {
                        let give = || Ok(splice(&pipe.out, None, to, None, held, FLAGS)?);
                        let given = to.async_io(Interest::WRITABLE, give).await;
                        held -= given.map_err(|_| Broken::To)?;
                    }
                    clock.moved();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Err(Broken::From),
            }
            // Others of this worker have their turn, however fast the two sides are.
            tokio::task::consume_budget().await;
        }
        pipe.keep();
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    async fn run(idle: Duration, client: TcpStream, upstream: TcpStream) -> (Ended, (u64, u64)) {
        let moved = Moved::default();
        let never = std::future::pending();
        let run = both_ways(&client, &upstream, (idle, false), &moved, never).await;
        (run.ended, moved.counts())
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_side_that_has_ended_still_gets_what_the_other_says() {
        let (mut client, near) = pair().await;
        let (far, mut upstream) = pair().await;
        let passed = run(LONG, near, far);
        let talk = async {
            client.write_all(b"question").await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = Vec::new();
            upstream.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"question");
            upstream.write_all(b"long answer").await.unwrap();
            upstream.shutdown().await.unwrap();
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"long answer");
        };
        let (ended, ()) = tokio::join!(passed, talk);
        assert_eq!(ended, (Ended::BySides, (8, 11)));
    }

    #[tokio::test]
    async fn many_megabytes_arrive_in_order_through_a_side_that_reads_late() {
        let (mut client, near) = pair().await;
        let (far, mut upstream) = pair().await;
        let passed = run(LONG, near, far);
        let sent: Vec<u8> = (0..8_000_000u32).map(|n| (n % 251) as u8).collect();
        let talk = async {
            let write = async {
                client.write_all(&sent).await.unwrap();
                client.shutdown().await.unwrap();
            };
            let read = async {
                tokio::task::yield_now().await;
                let mut heard = Vec::new();
                upstream.read_to_end(&mut heard).await.unwrap();
                upstream.shutdown().await.unwrap();
                heard
            };
            tokio::join!(write, read).1
        };
        let (ended, heard) = tokio::join!(passed, talk);
        assert!(heard == sent, "{} bytes arrived", heard.len());
        assert_eq!(ended, (Ended::BySides, (8_000_000, 0)));
    }

    #[tokio::test]
    async fn a_reset_is_told_from_an_end_and_by_whom() {
        for (client_breaks, expected) in
            [(true, Ended::ClientFailed), (false, Ended::UpstreamFailed)]
        {
            let (client, near) = pair().await;
            let (far, upstream) = pair().await;
            let (breaks, stays) = match client_breaks {
                true => (client, upstream),
                false => (upstream, client),
            };
            socket2::SockRef::from(&breaks)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
            drop(breaks);
            let (ended, _) = run(LONG, near, far).await;
            assert_eq!(ended, expected);
            drop(stays);
        }
    }

    #[tokio::test]
    async fn a_silent_stream_ends_after_the_idle_time_and_one_that_moves_does_not() {
        let idle = Duration::from_millis(300);
        let (mut client, near) = pair().await;
        let (far, mut upstream) = pair().await;
        let begun = Instant::now();
        let passed = run(idle, near, far);
        let talk = async {
            let mut byte = [0];
            for _ in 0..4 {
                tokio::time::sleep(idle / 2).await;
                client.write_all(b"x").await.unwrap();
                upstream.read_exact(&mut byte).await.unwrap();
            }
        };
        let ((ended, counts), ()) = tokio::join!(passed, talk);
        assert_eq!((ended, counts.0), (Ended::Idle, 4));
        assert!(begun.elapsed() >= idle * 3);
        let empty = EMPTY.with_borrow(Vec::len);
        assert!(empty <= 2, "pipes are used again: {empty}");
    }
}
