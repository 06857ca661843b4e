//! What all connections are doing now, as nginx's `stub_status` and its variables tell it.
//!
//! A request of HTTP/2 counts as a connection that is written to, as there.

use crate::observe::metrics::Metrics;
use crate::transport::heads_begun;

/// How many connections there are, and at what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// Open.
    pub(super) active: u64,
    /// In the middle of a request's head.
    pub(super) reading: u64,
    /// With a request whose answer is not over.
    pub(super) writing: u64,
    /// Without a request.
    pub(super) waiting: u64,
}

impl Standing {
    pub(super) fn of(metrics: &Metrics) -> Self {
        let (active, reading) = (metrics.connections_open(), heads_begun());
        let writing = metrics.requests_in_flight();
        Self {
            active,
            reading,
            writing,
            waiting: active.saturating_sub(writing + reading),
        }
    }
}
