//! How long an exchange may stand still, and whose fault it is.
//!
//! Only looks at when something moved last; carrying on and ending is `super`'s.

use std::time::Instant;

use super::{Downlink, Exchange, Uplink};
use crate::observe::cause::Cause;

impl Exchange<'_> {
    /// When the exchange has waited too long, and for whom.
    pub(super) fn ends_at(&self) -> (Instant, Cause) {
        let (at, cause) = self.stalls_at();
        match self.limits.total {
            Some(total) if total < at => (total, Cause::TotalTimeout),
            _ => (at, cause),
        }
    }

    fn stalls_at(&self) -> (Instant, Cause) {
        if let Some(since) = self.client.stalled_since() {
            return (since + self.limits.write, Cause::ClientStalled);
        }
        if self.uplink == Uplink::Moving && self.downlink == Downlink::Head {
            return match self.upstream.stalled_since() {
                Some(since) => (since + self.limits.idle, Cause::UpstreamSend),
                None => (self.last_up + self.limits.body_idle, Cause::BodyTimeout),
            };
        }
        match self.downlink {
            Downlink::Head if self.upstream.wants_upgrade() => (
                self.last_up + self.limits.response,
                Cause::TunnelHandshakeTimeout,
            ),
            Downlink::Head => (
                self.last_up + self.limits.response,
                Cause::UpstreamResponseTimeout,
            ),
            _ => (
                self.last_down.max(self.last_up) + self.limits.idle,
                Cause::UpstreamIdle,
            ),
        }
    }
}
