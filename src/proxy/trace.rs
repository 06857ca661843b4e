//! What happened to a request, gathered on the way for the access log and the metrics.
//!
//! Plain data; `record` turns it into counts and a line.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::exchange::Tally;
use crate::observe::cause::Cause;
use crate::types::name::UpstreamName;

/// The course of one request.
#[derive(Debug)]
pub struct Trace {
    /// When its head was complete.
    pub started: Instant,
    /// The status the client got.
    pub status: u16,
    /// Why hubgate answered itself or ended it.
    pub cause: Option<Cause>,
    /// Bytes and heads exchanged with the upstream.
    pub tally: Tally,
    /// Bytes of an answer of our own.
    pub own_body: u64,
    /// The site's index.
    pub site: Option<usize>,
    /// The route's index in its site.
    pub route: Option<usize>,
    /// Who was asked.
    pub upstream: Option<UpstreamName>,
    /// The endpoint tried last.
    pub endpoint: Option<SocketAddr>,
    /// Time a new connection took.
    pub connect_time: Option<Duration>,
    /// When the request's head was handed to the upstream.
    pub sent_at: Option<Instant>,
    /// Bytes from and to the client through a tunnel.
    pub tunnel: (u64, u64),
}

impl Trace {
    /// Of a request that begins now.
    pub fn begin() -> Self {
        Self {
            started: crate::transport::now(),
            status: 0,
            cause: None,
            tally: Tally::default(),
            own_body: 0,
            site: None,
            route: None,
            upstream: None,
            endpoint: None,
            connect_time: None,
            sent_at: None,
            tunnel: (0, 0),
        }
    }

    /// From the request's dispatch to the head of its answer.
    pub fn response_time(&self) -> Option<Duration> {
        Some(
            self.tally
                .answered_at?
                .saturating_duration_since(self.sent_at?),
        )
    }
}
