//! How long an exchange may take, and how much of it may come.
//!
//! Plain data; `patience` counts the times, the exchange itself the bytes.

use std::time::{Duration, Instant};

/// Time and size limits of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeLimits {
    /// Bytes of the request's body.
    pub body: u64,
    /// Between two bytes of the request's body, before the response begins.
    pub body_idle: Duration,
    /// While the client takes nothing.
    pub write: Duration,
    /// From the request's end to the response's head.
    pub response: Duration,
    /// While the upstream takes nothing.
    pub send: Duration,
    /// Between two bytes once the response has begun.
    pub idle: Duration,
    /// As `idle`, for event streams.
    pub event_stream_idle: Duration,
    /// When it ends, whatever moves.
    pub total: Option<Instant>,
}
