//! How long an exchange may stand still, and whose fault it is.
//!
//! Looks at when something moved last, and ends event streams that nothing is waited for any more; all else is `super`'s.

use std::task::{Context, Poll};
use std::time::Instant;

use super::{Downlink, Exchange, PIECE, Uplink};
use crate::observe::cause::Cause;
use crate::observe::open::{Kind, Wait};
use crate::proxy::pace::Pace;
use crate::transport::now;

impl Exchange<'_> {
    /// Tells the book that only the response's end is waited for.
    pub(super) fn waits_for_end(&self) {
        self.entry.note(|row| {
            row.wait = Wait::End;
            if self.event_stream {
                row.kind = Kind::EventStream;
            }
        });
    }

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
                Some(since) => (since + self.limits.send, Cause::UpstreamSend),
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
            // It is made to wait here, not by its upstream.
            _ if self.pace.as_ref().is_some_and(|pace| pace.waits()) => {
                (now() + self.limits.idle, Cause::UpstreamIdle)
            }
            _ => (
                self.last_down.max(self.last_up) + self.limits.idle,
                Cause::UpstreamIdle,
            ),
        }
    }

    /// Gives the client the answer's body no faster than this.
    pub(in crate::proxy) fn pace(&mut self, pace: Option<Box<Pace>>) {
        self.pace = pace;
    }

    /// How much of the response may be read at once; `None` while it is made to wait.
    pub(super) fn room(&mut self, cx: &mut Context<'_>) -> Option<usize> {
        let Some(pace) = &mut self.pace else {
            return Some(PIECE);
        };
        let waited = pace.waits();
        match pace.poll_room(self.tally.body_sent, now(), cx) {
            Poll::Pending => None,
            Poll::Ready(room) => {
                if waited {
                    self.last_down = now();
                }
                Some(usize::try_from(room).unwrap_or(PIECE).min(PIECE))
            }
        }
    }

    /// Ends an event stream whose client has taken all of it so far: it then connects again, and asks for what it missed.
    pub(super) fn ends_early(&mut self, cx: &mut Context<'_>) -> bool {
        if self.downlink != Downlink::Body || self.client.stalled_since().is_some() {
            return false;
        }
        if self.ends_recoded(cx).is_err() {
            return false;
        }
        self.tally.ended_early =
            self.client.finish_early() && matches!(self.client.poll_drain(cx), Poll::Ready(Ok(())));
        self.tally.ended_early
    }
}
