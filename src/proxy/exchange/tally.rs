//! What an exchange has come to, for logs, counts and whoever decides about another try.
//!
//! Plain data, kept by the request and written by the exchange.

use std::time::Instant;

/// What has happened so far; also what there is to say after a failure.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Bytes of the request's body taken from the client.
    pub body_received: u64,
    /// Bytes of the response's body given to the client.
    pub body_sent: u64,
    /// All bytes that came from the upstream, and that went to it.
    pub bytes: (u64, u64),
    /// The upstream's final status.
    pub upstream_status: Option<u16>,
    /// When its head came.
    pub answered_at: Option<Instant>,
    /// Whether a final head has been given to the client.
    pub response_begun: bool,
    /// Whether what the client has is an event stream without an announced end, between two events.
    pub between_events: bool,
    /// Whether it was an event stream that the end of a drain ended.
    pub ended_early: bool,
    /// Bytes of the response's body before it was compressed and after; none of one that was not.
    pub squeezed: (u64, u64),
}
