//! What stands between a client's bytes and the engine: deadlines and bounds of request heads.
//!
//! Judges bytes as they are delivered and says until when to wait for more. Reading and closing are the link's.
//! Invariant: while a head is incomplete there is a time by which the wait for it ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::chunks::{ChunkFault, ChunkProgress, ChunkScanner};
use super::deadline::now;
use super::head::{HeadFault, HeadLimits, HeadProgress, HeadScanner, is_plain};

/// Bytes of HTTP/2's connection preface (RFC 9113 section 3.4).
const PREFACE: usize = 24;
/// Stands for a byte the engine's parser would refuse.
pub(super) const MASK: u8 = b'_';

/// Connections whose next request's head is there in part.
static READING: AtomicU64 = AtomicU64::new(0);

/// How many connections are in the middle of a request's head now.
pub fn heads_begun() -> u64 {
    READING.load(Ordering::Relaxed)
}

/// One of them; no longer when dropped.
#[derive(Debug)]
struct Reading;

impl Reading {
    #[cold]
    fn begin() -> Self {
        READING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        READING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Limits of a [`Gate`].
#[derive(Clone, Copy, Debug)]
pub struct GateLimits {
    /// Bounds of a request head.
    pub head: HeadLimits,
    /// From a head's first byte to its end.
    pub head_time: Duration,
    /// Between requests.
    pub keep_alive: Duration,
    /// While the peer takes nothing (HTTP/2; the forwarder watches HTTP/1).
    pub write: Duration,
}

/// Why the gate ended a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkFault {
    /// The head was refused.
    Head(HeadFault),
    /// The chunks of the body were refused.
    Body(ChunkFault),
    /// The head, or the HTTP/2 preface, did not arrive in time.
    HeadTimeout,
}

/// What stands between a client's bytes and the engine.
#[derive(Debug)]
pub struct Gate {
    pub(super) limits: GateLimits,
    pub(super) phase: Phase,
    pub(super) scanner: HeadScanner,
    pub(super) chunks: ChunkScanner,
    pub(super) fault: Option<LinkFault>,
    /// Whether the process is stopping.
    pub(super) draining: bool,
    reading: Option<Reading>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waiting for a request; ends quietly at this time.
    Idle(Option<Instant>),
    /// In a head, which must end by this time.
    Head(Instant),
    /// In a chunked body: its framing is read along.
    Chunked,
    /// In another body or after one: the forwarder watches.
    Open,
    /// HTTP/2 before its preface is complete.
    Preface {
        until: Option<Instant>,
        received: usize,
    },
    /// HTTP/2: the engine and the forwarder watch.
    H2,
}

impl Gate {
    /// A gate for HTTP/1, or for HTTP/2 when the client chose it.
    pub fn new(limits: GateLimits, h2: bool) -> Self {
        Self {
            limits,
            phase: if h2 {
                Phase::Preface {
                    until: None,
                    received: 0,
                }
            } else {
                Phase::Idle(None)
            },
            scanner: HeadScanner::new(limits.head),
            chunks: ChunkScanner::default(),
            fault: None,
            draining: false,
            reading: None,
        }
    }

    /// Judges bytes on their way to the engine. Bytes of the request line that the engine's parser would refuse are
    /// masked; [`HeadScanner::odd_target`] keeps what they were. Gives how many may be delivered now: after a head that
    /// asks for an upgrade the rest waits, since it may be none of the engine's business.
    pub(super) fn pass(&mut self, bytes: &mut [u8]) -> Result<usize, LinkFault> {
        match &mut self.phase {
            Phase::Idle(_) | Phase::Head(_) => {}
            Phase::Preface { received, .. } => {
                *received += bytes.len();
                if *received >= PREFACE {
                    self.phase = Phase::H2;
                }
                return Ok(bytes.len());
            }
            Phase::Chunked => return self.pass_chunks(bytes).map(|()| bytes.len()),
            Phase::Open | Phase::H2 => return Ok(bytes.len()),
        }
        let in_line = self.scanner.in_request_line();
        let progress = self.scanner.feed(bytes);
        if in_line && !self.scanner.has_plain_line() {
            mask_request_line(bytes, self.scanner.hides_target());
        }
        match progress {
            Ok(HeadProgress::Partial) => {
                // Most heads come in one piece, and then nobody asks the clock.
                if let Phase::Idle(_) = self.phase {
                    self.phase = Phase::Head(now() + self.limits.head_time);
                    self.reading = Some(Reading::begin());
                }
                Ok(bytes.len())
            }
            Ok(HeadProgress::Complete(end)) if self.scanner.is_chunked() => {
                self.reading = None;
                self.phase = Phase::Chunked;
                self.chunks = ChunkScanner::default();
                self.pass_chunks(&bytes[end..]).map(|()| bytes.len())
            }
            Ok(HeadProgress::Complete(end)) => {
                self.reading = None;
                self.phase = Phase::Open;
                Ok(match self.scanner.may_upgrade() {
                    true => end,
                    false => bytes.len(),
                })
            }
            Err(fault) => Err(self.refuse(LinkFault::Head(fault))),
        }
    }

    fn pass_chunks(&mut self, bytes: &[u8]) -> Result<(), LinkFault> {
        match self.chunks.feed(bytes) {
            Ok(ChunkProgress::Partial) => Ok(()),
            Ok(ChunkProgress::Complete(_)) => {
                self.phase = Phase::Open;
                Ok(())
            }
            Err(fault) => Err(self.refuse(LinkFault::Body(fault))),
        }
    }

    /// Has every wait for a request end after `wait` at most.
    pub(super) fn last_call(&mut self, wait: Duration) {
        self.draining = true;
        self.limits.keep_alive = self.limits.keep_alive.min(wait);
        if let Phase::Idle(Some(until)) = &mut self.phase {
            *until = (*until).min(now() + wait);
        }
    }

    pub(super) fn refuse(&mut self, fault: LinkFault) -> LinkFault {
        self.reading = None;
        self.fault = Some(fault);
        fault
    }

    /// When the wait for bytes ends, if it does.
    pub(super) fn waits_until(&mut self) -> Option<Instant> {
        match &mut self.phase {
            Phase::Idle(until) => {
                Some(*until.get_or_insert_with(|| now() + self.limits.keep_alive))
            }
            Phase::Preface { until, .. } => {
                Some(*until.get_or_insert_with(|| now() + self.limits.head_time))
            }
            Phase::Head(until) => Some(*until),
            Phase::Chunked | Phase::Open | Phase::H2 => None,
        }
    }
}

/// Replaces what the engine's parser would refuse, up to the line's end, byte for byte; where it `hides` a host, what
/// makes it one as well.
fn mask_request_line(bytes: &mut [u8], hides: bool) {
    let line = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    for byte in &mut bytes[..line] {
        let hidden = hides && *byte == b':';
        if hidden || !is_plain(*byte) && !matches!(*byte, b' ' | b'\r') {
            *byte = MASK;
        }
    }
}
