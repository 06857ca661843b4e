//! The upstream's side of an exchange, the same for HTTP/1.1 and HTTP/2.
//!
//! Only tells the two apart; what each does is `http1::Connection`'s and `http2::Stream`'s.

use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use super::http1::{Connection, HeadError, ResponseHead};
use super::http2::Stream;

/// What a request is sent on.
pub enum Peer {
    /// A connection of HTTP/1.1.
    H1(Box<Connection>),
    /// A stream of HTTP/2.
    H2(Box<Stream>),
}

impl Peer {
    /// Bytes that wait to leave.
    pub fn waiting(&self) -> usize {
        match self {
            Self::H1(h1) => h1.waiting(),
            Self::H2(h2) => h2.waiting(),
        }
    }

    /// Ready when all that was given is on its way.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::H1(h1) => h1.poll_drain(cx),
            Self::H2(h2) => h2.poll_drain(cx),
        }
    }

    /// Gives up sending. What has come can still be read.
    pub fn abort(&mut self) {
        match self {
            Self::H1(h1) => h1.abort(),
            Self::H2(h2) => h2.abort(),
        }
    }

    /// What was received and sent so far, in that order: larger when something moved.
    pub fn counts(&self) -> (u64, u64) {
        match self {
            Self::H1(h1) => h1.counts(),
            Self::H2(h2) => h2.counts(),
        }
    }

    /// Since when the endpoint has taken nothing of what waits for it.
    pub fn stalled_since(&self) -> Option<Instant> {
        match self {
            Self::H1(h1) => h1.stalled_since(),
            Self::H2(h2) => h2.stalled_since(),
        }
    }

    /// Whether the request asked for an upgrade.
    pub fn wants_upgrade(&self) -> bool {
        match self {
            Self::H1(h1) => h1.wants_upgrade(),
            Self::H2(_) => false,
        }
    }

    /// Reads the next head; [`Self::head`] is it then.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HeadError>> {
        match self {
            Self::H1(h1) => h1.poll_head(cx),
            Self::H2(h2) => h2.poll_head(cx),
        }
    }

    /// The head that was read last.
    pub fn head(&self) -> ResponseHead<'_> {
        match self {
            Self::H1(h1) => h1.head(),
            Self::H2(h2) => h2.head(),
        }
    }

    /// Whether the response is complete.
    pub fn body_is_complete(&self) -> bool {
        match self {
            Self::H1(h1) => h1.body_is_complete(),
            Self::H2(h2) => h2.body_is_complete(),
        }
    }

    /// Whether it may serve another request, now that this one is over. A stream serves one.
    pub fn is_reusable(&self) -> bool {
        match self {
            Self::H1(h1) => h1.is_reusable(),
            Self::H2(_) => false,
        }
    }
}
