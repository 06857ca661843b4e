//! Moves bytes between two TCP connections until both sides have ended, nothing has moved for too long, or a drain is over.
//!
//! Either side may end first: half-closes are passed on. How the bytes of one way move is `way`'s. Invariant: a stream that is
//! silent ends by its idle time, and one that moves does not.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::way::Way;
use crate::observe::open::Moved;
use crate::transport::now;

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
    /// Whether one side has ended.
    ended: AtomicBool,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            begun: now(),
            last: AtomicU64::new(0),
            rest: AtomicU64::new(0),
            first: AtomicU64::new(0),
            ended: AtomicBool::new(false),
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

    /// One side has ended: whether the other had before.
    pub(super) fn ends(&self) -> bool {
        self.ended.swap(true, Ordering::Relaxed)
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
    let up = Way {
        from: client,
        to: upstream,
        count: &moved.up,
        clock: &clock,
        is_answer: false,
    };
    let down = Way {
        from: upstream,
        to: client,
        count: &moved.down,
        clock: &clock,
        is_answer: true,
    };
    until(together(up.run(), down.run(), enough), idle, &clock, ending).await
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

#[cfg(test)]
mod tests {
    use super::super::way::{MESSAGE, kept_pipes};
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
        assert!((1..=2).contains(&kept_pipes()), "pipes are used again");
        assert_eq!(ended, (Ended::BySides, (8_000_000, 0)));
    }

    #[tokio::test]
    async fn messages_of_any_size_arrive_both_ways_and_no_end_is_missed() {
        let (mut client, near) = pair().await;
        let (far, mut upstream) = pair().await;
        let passed = run(LONG, near, far);
        let talk = async {
            let mut total = (0, 0);
            // Around what goes through memory at once, and back to less of it.
            for size in [1, 100, MESSAGE - 1, MESSAGE, MESSAGE + 1, 3 * MESSAGE, 7] {
                let sent = vec![b'x'; size];
                client.write_all(&sent).await.unwrap();
                let mut heard = vec![0; size];
                upstream.read_exact(&mut heard).await.unwrap();
                assert!(heard == sent, "{size}");
                total.0 += size as u64;
                let sent = vec![b'y'; size];
                upstream.write_all(&sent).await.unwrap();
                let mut heard = vec![0; size];
                client.read_exact(&mut heard).await.unwrap();
                assert!(heard == sent, "{size}");
                total.1 += size as u64;
            }
            // Its last words and its end may come as one.
            upstream.write_all(b"end").await.unwrap();
            drop(upstream);
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"end");
            drop(client);
            (total.0, total.1 + 3)
        };
        let (ended, total) = tokio::join!(passed, talk);
        assert_eq!(ended, (Ended::BySides, total));
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
    }
}
