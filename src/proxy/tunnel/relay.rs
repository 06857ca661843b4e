//! Copies bytes between two connections until both sides have ended.
//!
//! Either side may end first (half-close is passed on); an idle tunnel holds no buffers; what one side does not take
//! stops reading from the other. Invariant: bytes are delivered in order or the tunnel ends.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::ReadBuf;

use super::frames::{FrameScanner, going_away_to_client, going_away_to_server};
use crate::observe::open::Moved;
use crate::transport::{Deadline, Link, now};

/// What is kept for the slower side.
const HIGH_WATER: usize = 64 * 1024;
/// Read at once.
const PIECE: usize = 16 * 1024;

/// Why a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Both sides had ended, or one was reset.
    BySides,
    /// Nothing moved for the idle time.
    Idle,
    /// The drain was over.
    Drain,
}

/// Bytes that went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// From the client.
    pub from_client: u64,
    /// To the client.
    pub to_client: u64,
}

/// One direction.
struct Lane {
    from: Arc<Link>,
    to: Arc<Link>,
    frames: Option<FrameScanner>,
    bytes: u64,
    ended: bool,
    finished: bool,
}

/// A tunnel under way.
pub struct Relay {
    up: Lane,
    down: Lane,
    idle: Duration,
    last: Instant,
    leaving: Option<Instant>,
    goodbyes: (bool, bool),
    deadline: Deadline,
    moved: Arc<Moved>,
}

impl Lane {
    fn new(from: Arc<Link>, to: Arc<Link>, websocket: bool) -> Self {
        Self {
            from,
            to,
            frames: websocket.then(FrameScanner::default),
            bytes: 0,
            ended: false,
            finished: false,
        }
    }

    fn give(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> std::io::Result<()> {
        self.bytes += bytes.len() as u64;
        if let Some(frames) = &mut self.frames {
            frames.feed(bytes);
        }
        self.to.write(cx, bytes)
    }

    /// True when something moved.
    fn poll(&mut self, cx: &mut Context<'_>) -> std::io::Result<bool> {
        let mut moved = false;
        let mut scratch = [const { MaybeUninit::<u8>::uninit() }; PIECE];
        while !self.ended && self.to.buffered() < HIGH_WATER {
            let mut buf = ReadBuf::uninit(&mut scratch);
            match self.from.poll_read(cx, &mut buf) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Ready(Ok(())) if buf.filled().is_empty() => {
                    self.ended = true;
                    moved = true;
                }
                Poll::Ready(Ok(())) => {
                    moved = true;
                    self.give(buf.filled(), cx)?;
                }
            }
        }
        if self.ended && !self.finished {
            match self.to.poll_finish(cx) {
                Poll::Ready(Ok(())) => {
                    self.finished = true;
                    moved = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {}
            }
            return Ok(moved);
        }
        let before = self.to.buffered();
        if let Poll::Ready(drained) = self.to.poll_drain(cx) {
            drained?;
            self.to.trim();
        }
        Ok(moved || self.to.buffered() != before)
    }

    /// Whether a close frame of our own may go out.
    fn may_close(&self) -> bool {
        self.frames
            .as_ref()
            .is_some_and(|frames| frames.is_between_frames() && !frames.is_closed())
    }
}

impl Relay {
    /// A tunnel between two connections. `websocket` lets a drain end it with 1001.
    pub fn new(client: Arc<Link>, upstream: Arc<Link>, idle: Duration, websocket: bool) -> Self {
        Self {
            up: Lane::new(client.clone(), upstream.clone(), websocket),
            down: Lane::new(upstream, client, websocket),
            idle,
            last: now(),
            leaving: None,
            goodbyes: (false, false),
            deadline: Deadline::default(),
            moved: Arc::default(),
        }
    }

    /// Has `moved` say meanwhile what went through.
    pub fn telling(mut self, moved: Arc<Moved>) -> Self {
        self.moved = moved;
        self
    }

    /// Gives the client what the upstream sent before the tunnel began.
    pub fn start_with(
        &mut self,
        from_upstream: &[u8],
        cx: &mut Context<'_>,
    ) -> std::io::Result<()> {
        self.down.give(from_upstream, cx)
    }

    /// What went through so far.
    pub fn totals(&self) -> Totals {
        Totals {
            from_client: self.up.bytes,
            to_client: self.down.bytes,
        }
    }

    /// Begins the end. Close frames go out as soon as no frame would be cut, within `farewell`, which is also the sides'
    /// time to answer; what is no WebSocket ends at once.
    pub fn leave(&mut self, farewell: Duration) {
        let farewell = match self.down.frames {
            Some(_) => farewell,
            None => Duration::ZERO,
        };
        self.leaving.get_or_insert_with(|| now() + farewell);
    }

    /// Carries the tunnel on; ready at its end.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            let (Ok(up), Ok(down)) = (self.up.poll(cx), self.down.poll(cx)) else {
                return Poll::Ready(if self.leaving.is_some() {
                    Ended::Drain
                } else {
                    Ended::BySides
                });
            };
            if self.up.finished && self.down.finished {
                return Poll::Ready(if self.leaving.is_some() {
                    Ended::Drain
                } else {
                    Ended::BySides
                });
            }
            if !(up || down || self.say_goodbye(cx)) {
                break;
            }
            self.last = now();
        }
        self.moved.up.store(self.up.bytes, Ordering::Relaxed);
        self.moved.down.store(self.down.bytes, Ordering::Relaxed);
        match self.leaving {
            Some(end) => {
                ready!(self.deadline.poll(end, cx));
                Poll::Ready(Ended::Drain)
            }
            None => {
                ready!(self.deadline.poll(self.last + self.idle, cx));
                Poll::Ready(Ended::Idle)
            }
        }
    }

    /// True when a close frame was written now.
    fn say_goodbye(&mut self, cx: &mut Context<'_>) -> bool {
        if self.leaving.is_none() {
            return false;
        }
        let mut said = false;
        if !self.goodbyes.0 && self.down.may_close() {
            self.goodbyes.0 = true;
            said |= self.down.give(&going_away_to_client(), cx).is_ok();
        }
        if !self.goodbyes.1 && self.up.may_close() {
            self.goodbyes.1 = true;
            let mask = fastrand::u32(..).to_be_bytes();
            said |= self.up.give(&going_away_to_server(mask), cx).is_ok();
        }
        said
    }
}
