//! How fast an answer may go to its client: so many bytes at full speed, then so many in a second, as nginx's
//! `limit_rate` and `limit_rate_after`.
//!
//! What a rule says of a request counts before what its route says, and what the upstream says before both. Counts from
//! the first byte of the body; a second's worth may go ahead. Who asks [`Pace::poll_room`] gives no more than it says, a
//! piece that came with the head aside.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pingora::http::RequestHeader;
use tokio::time::Sleep;

use super::facts::Facts;
use super::trace::Trace;
use super::values::{Values, host_of};
use crate::config::{Amount, LIMIT_RATE, said as bytes};
use crate::router::Seen;
use crate::snapshot::{RunningRoute, Snapshot};

/// Room is waited for until there is so much, or a quarter of a second's.
const PIECE: u64 = 16 * 1024;

/// For what the clock cannot say.
const LONG: Duration = Duration::from_secs(86_400);

/// How fast the answer of a route to this request may go, and how much of it before; `None` for as fast as can be.
pub(super) fn of_request(
    route: &RunningRoute,
    (facts, snapshot): (&Facts, &Snapshot),
    (head, target): (&RequestHeader, &[u8]),
    (trace, id): (&Trace, &str),
) -> Option<Box<Pace>> {
    let limits = &route.guard.as_ref()?.limits.as_ref()?.config;
    let bandwidth = limits.bandwidth.as_ref()?;
    let (rate, after) = match (set(trace.seen.as_deref()), bandwidth, &limits.after) {
        (None, Amount::Fixed(rate), Amount::Fixed(after)) => (rate.0, after.0),
        (set, bandwidth, after) => {
            let host = host_of(head);
            let host = host.as_ref().map_or("", |host| host.host.as_str());
            let of = (facts, snapshot);
            let values = Values::new(of, (head, target), host, trace.place(), id);
            let rate = set.unwrap_or_else(|| bandwidth.value(&values));
            (rate, after.value(&values))
        }
    };
    (rate > 0).then(|| Box::new(Pace::new(rate, after)))
}

/// How many bytes in a second a rule has said.
pub(super) fn set(seen: Option<&Seen>) -> Option<u64> {
    bytes(seen?.own(LIMIT_RATE)?)
}

/// Has an answer go at the pace that its upstream says, if it does: 0 is as fast as can be.
pub(super) fn paced(pace: &mut Option<Box<Pace>>, rate: Option<u64>) {
    if let Some(rate) = rate {
        let after = pace.as_ref().map_or(0, |own| own.after);
        *pace = (rate > 0).then(|| Box::new(Pace::new(rate, after)));
    }
}

/// The pace of one answer.
pub(super) struct Pace {
    rate: u64,
    after: u64,
    begun: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    waits: bool,
}

impl Pace {
    /// `rate` bytes in a second, the first `after` aside.
    pub(super) fn new(rate: u64, after: u64) -> Self {
        Self {
            rate: rate.max(1),
            after,
            begun: None,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            waits: false,
        }
    }

    /// The same for another try.
    pub(super) fn again(&self) -> Self {
        Self::new(self.rate, self.after)
    }

    /// Whether the answer waits for its pace, not for its upstream.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// How many bytes may go now that `sent` have gone; wakes the task when there are some.
    pub(super) fn poll_room(&mut self, sent: u64, now: Instant, cx: &mut Context<'_>) -> Poll<u64> {
        let begun = *self.begun.get_or_insert(now);
        let until = match self.room(sent, now.saturating_duration_since(begun)) {
            Ok(room) => {
                self.waits = false;
                return Poll::Ready(room);
            }
            Err(until) => until,
        };
        self.waits = true;
        let at = begun.checked_add(until).unwrap_or(now + LONG);
        self.timer.as_mut().reset(at.into());
        match self.timer.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            // The clock is coarse: what is due has come.
            Poll::Ready(()) => Poll::Ready(1),
        }
    }

    /// The room after `passed`, or when there is some.
    fn room(&self, sent: u64, passed: Duration) -> Result<u64, Duration> {
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let paced = u128::from(self.rate).saturating_mul(u128::from(millis) + 1000) / 1000;
        let allowed = paced.saturating_add(self.after.into());
        match u64::try_from(allowed.saturating_sub(u128::from(sent))) {
            Ok(0) => Err(self.due(sent)),
            Ok(room) => Ok(room),
            Err(_) => Ok(u64::MAX),
        }
    }

    /// When there is a piece's room, from the beginning.
    fn due(&self, sent: u64) -> Duration {
        let piece = (self.rate / 4).clamp(1, PIECE);
        let paced = u128::from(sent.saturating_sub(self.after)) + u128::from(piece);
        let millis = (paced * 1000)
            .div_ceil(u128::from(self.rate))
            .saturating_sub(1000);
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_goes_ahead_and_then_each_byte_has_its_time() {
        let pace = Pace::new(1000, 0);
        let at = Duration::from_millis;
        assert_eq!(pace.room(0, at(0)), Ok(1000));
        assert_eq!(pace.room(1000, at(0)), Err(at(250)));
        assert_eq!(pace.room(1000, at(250)), Ok(250));
        assert_eq!(pace.room(1500, at(100)), Err(at(750)));
        let after = Pace::new(1000, 5000);
        assert_eq!(after.room(4000, at(0)), Ok(2000));
        assert_eq!(after.room(6000, at(0)), Err(at(250)));
        let fast = Pace::new(u64::MAX, u64::MAX);
        assert_eq!(fast.room(0, at(u64::MAX)), Ok(u64::MAX));
    }
}
