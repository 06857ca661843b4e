//! A timer that is cheap to move.
//!
//! Deadlines move forward with every byte; moving a timer each time would cost more than the byte. [`Deadline`] leaves
//! the armed timer where it is while it is early enough, and looks at the clock again only when it fires.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// A timer for one task, armed lazily.
#[derive(Default)]
pub struct Deadline {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Instant>,
    /// Whom it wakes.
    waker: Option<Waker>,
}

impl Deadline {
    /// Ready once `at` has passed; otherwise wakes the task at `at` or a little earlier, when it must poll again.
    pub fn poll(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let early_enough = self.armed.is_some_and(|armed| armed <= at);
            let known = |waker: &Waker| waker.will_wake(cx.waker());
            if early_enough
                && self.waker.as_ref().is_some_and(known)
                && self.sleep.as_ref().is_some_and(|sleep| !sleep.is_elapsed())
            {
                return Poll::Pending;
            }
            let sleep = match &mut self.sleep {
                Some(sleep) => {
                    if !early_enough {
                        sleep.as_mut().reset(at.into());
                        self.armed = Some(at);
                    }
                    sleep
                }
                None => {
                    self.armed = Some(at);
                    self.sleep.insert(Box::pin(sleep_until(at.into())))
                }
            };
            if sleep.as_mut().poll(cx).is_pending() {
                self.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            self.armed = None;
            if now() >= at {
                return Poll::Ready(());
            }
        }
    }
}

/// The time by the event loop's clock, which tests can pause.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moved_on_does_not_fire_at_its_old_time() {
        let start = tokio::time::Instant::now().into_std();
        let mut deadline = Deadline::default();
        let first = start + Duration::from_secs(1);
        let polled = poll_fn(|cx| Poll::Ready(deadline.poll(first, cx))).await;
        assert!(polled.is_pending());
        poll_fn(|cx| deadline.poll(first + Duration::from_secs(4), cx)).await;
        assert!(tokio::time::Instant::now().into_std() >= start + Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_moved_closer_fires_at_the_closer_time() {
        let start = tokio::time::Instant::now().into_std();
        let mut deadline = Deadline::default();
        let polled =
            poll_fn(|cx| Poll::Ready(deadline.poll(start + Duration::from_secs(60), cx))).await;
        assert!(polled.is_pending());
        poll_fn(|cx| deadline.poll(start + Duration::from_secs(1), cx)).await;
        assert!(tokio::time::Instant::now().into_std() < start + Duration::from_secs(2));
    }
}
