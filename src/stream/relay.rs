//! Moves bytes between two connections of which one has TLS, or is not to be faster than so much, through memory.
//!
//! As `copy` otherwise: half-closes are passed on, a side that takes nothing stops reading from the other, and what waits is
//! at most one buffer each way. A rate counts from the beginning, by nginx's measure: what was not used is made up for.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};

use super::copy::{Broken, Clock, Ended, Run, together, until};
use crate::observe::open::Moved;
use crate::transport::{Socket, now};

/// Of each way.
const BUFFER: usize = 16 * 1024;

/// Bytes in a second, where they are bounded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rates {
    /// From the client.
    pub(super) up: Option<u64>,
    /// To it.
    pub(super) down: Option<u64>,
}

impl Rates {
    /// Whether either is.
    pub(super) fn is_bounded(self) -> bool {
        self.up.is_some() || self.down.is_some()
    }
}

/// A connection as tokio reads and writes it.
pub(super) struct Side(pub(super) Socket);

impl AsyncRead for Side {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buf)
    }
}

impl AsyncWrite for Side {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

/// As [`super::copy::both_ways`]; a connection that it ends itself is reset on both sides.
pub(super) async fn both_ways(
    client: Socket,
    upstream: Socket,
    ((idle, enough), rates): ((Duration, bool), Rates),
    moved: &Moved,
    ending: impl Future<Output = ()>,
) -> Run {
    let clock = Clock::new();
    let (mut client_out, mut client_in) = tokio::io::split(Side(client));
    let (mut upstream_out, mut upstream_in) = tokio::io::split(Side(upstream));
    let run = {
        let up = one_way(
            &mut client_out,
            &mut upstream_in,
            (&moved.up, rates.up),
            &clock,
            false,
        );
        let down = (&moved.down, rates.down);
        let down = one_way(&mut upstream_out, &mut client_in, down, &clock, true);
        until(together(up, down, enough), idle, &clock, ending).await
    };
    let (client, upstream) = (
        client_out.unsplit(client_in),
        upstream_out.unsplit(upstream_in),
    );
    match run.ended {
        Ended::BySides => {}
        Ended::ClientFailed => upstream.0.reset_on_close(),
        Ended::Idle | Ended::Draining | Ended::UpstreamFailed => client.0.reset_on_close(),
    }
    run
}

async fn one_way(
    from: &mut ReadHalf<Side>,
    to: &mut WriteHalf<Side>,
    (count, rate): (&AtomicU64, Option<u64>),
    clock: &Clock,
    is_answer: bool,
) -> Result<(), Broken> {
    let mut buffer = vec![0; BUFFER];
    let begun = now();
    loop {
        let most = match rate {
            None => BUFFER,
            Some(rate) => allowance(rate, begun, count, clock).await,
        };
        let read = from.read(&mut buffer[..most]).await;
        let read = read.map_err(|_| Broken::From)?;
        if read == 0 {
            return to.shutdown().await.map_err(|_| Broken::To);
        }
        let before = count.fetch_add(read as u64, Ordering::Relaxed);
        if is_answer {
            clock.answered(before);
        }
        let given = async {
            to.write_all(&buffer[..read]).await?;
            to.flush().await
        };
        given.await.map_err(|_| Broken::To)?;
        clock.moved();
        if let Some(rate) = rate {
            pause(read as u64, rate, clock).await;
        }
        tokio::task::consume_budget().await;
    }
}

/// Waits until more may be read; how much that is.
async fn allowance(rate: u64, begun: Instant, count: &AtomicU64, clock: &Clock) -> usize {
    loop {
        let seconds = now().saturating_duration_since(begun).as_secs() + 1;
        let passed = count.load(Ordering::Relaxed);
        match rate.saturating_mul(seconds).checked_sub(passed) {
            Some(left @ 1..) => return usize::try_from(left).unwrap_or(BUFFER).min(BUFFER),
            Some(0) => pause(1, rate, clock).await,
            None => pause(passed - rate.saturating_mul(seconds), rate, clock).await,
        }
    }
}

/// The time that so many bytes take; nobody is idle meanwhile.
async fn pause(bytes: u64, rate: u64, clock: &Clock) {
    let time = Duration::from_millis(bytes.saturating_mul(1000) / rate);
    if !time.is_zero() {
        clock.rests(time);
        tokio::time::sleep(time).await;
    }
}
