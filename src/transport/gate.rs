//! What stands between a client's bytes and the engine: deadlines and bounds of request heads.
//!
//! Judges bytes as they are delivered and says until when to wait for more. Reading and closing are the link's.
//! Invariant: while a head is incomplete there is a time by which the wait for it ends.

use std::time::{Duration, Instant};

use super::head::{HeadFault, HeadLimits, HeadProgress, HeadScanner};

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
    /// The head, or the HTTP/2 preface, did not arrive in time.
    HeadTimeout,
}

/// What stands between a client's bytes and the engine.
#[derive(Debug)]
pub struct Gate {
    pub(super) limits: GateLimits,
    pub(super) phase: Phase,
    pub(super) scanner: HeadScanner,
    pub(super) fault: Option<LinkFault>,
    /// Whether the next wait for a request ends at once.
    pub(super) draining: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waiting for a request; ends quietly at this time.
    Idle(Option<Instant>),
    /// In a head, which must end by this time.
    Head(Instant),
    /// In a body or after one: the forwarder watches.
    Open,
    /// HTTP/2 before its first bytes.
    Preface(Option<Instant>),
    /// HTTP/2: the engine and the forwarder watch.
    H2,
}

impl Gate {
    /// A gate for HTTP/1, or for HTTP/2 when the client chose it.
    pub fn new(limits: GateLimits, h2: bool) -> Self {
        Self {
            limits,
            phase: if h2 {
                Phase::Preface(None)
            } else {
                Phase::Idle(None)
            },
            scanner: HeadScanner::new(limits.head),
            fault: None,
            draining: false,
        }
    }

    /// Judges bytes on their way to the engine.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Result<(), LinkFault> {
        match self.phase {
            Phase::Idle(_) => self.phase = Phase::Head(now() + self.limits.head_time),
            Phase::Head(_) => {}
            Phase::Preface(_) => {
                self.phase = Phase::H2;
                return Ok(());
            }
            Phase::Open | Phase::H2 => return Ok(()),
        }
        match self.scanner.feed(bytes) {
            Ok(HeadProgress::Partial) => Ok(()),
            Ok(HeadProgress::Complete(_)) => {
                self.phase = Phase::Open;
                Ok(())
            }
            Err(fault) => Err(self.refuse(LinkFault::Head(fault))),
        }
    }

    pub(super) fn refuse(&mut self, fault: LinkFault) -> LinkFault {
        self.fault = Some(fault);
        fault
    }

    /// When the wait for bytes ends, if it does.
    pub(super) fn waits_until(&mut self) -> Option<Instant> {
        match &mut self.phase {
            Phase::Idle(until) => {
                Some(*until.get_or_insert_with(|| now() + self.limits.keep_alive))
            }
            Phase::Preface(until) => {
                Some(*until.get_or_insert_with(|| now() + self.limits.head_time))
            }
            Phase::Head(until) => Some(*until),
            Phase::Open | Phase::H2 => None,
        }
    }
}

pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
