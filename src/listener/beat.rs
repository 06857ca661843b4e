//! The sign of life of one accept loop: it answers only when the loop itself is run again.
//!
//! Asking costs the loop nothing but being woken, and answering is a store. Who asks, and what becomes of one that does not
//! answer, is the server's. Invariant: a loop that is not polled never answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;

use futures_util::task::AtomicWaker;

/// See above.
#[derive(Debug, Default)]
pub struct Beat {
    asked: AtomicU64,
    answered: AtomicU64,
    waker: AtomicWaker,
}

impl Beat {
    /// Has the loop woken for a `round`, which counts up from 1.
    pub fn ask(&self, round: u64) {
        self.asked.store(round, Ordering::Release);
        self.waker.wake();
    }

    /// Whether the loop was asked in `round` and has not answered. One that began since was not asked.
    pub fn is_late(&self, round: u64) -> bool {
        self.asked.load(Ordering::Acquire) >= round && self.answered.load(Ordering::Acquire) < round
    }

    /// The loop runs.
    pub fn answer(&self, cx: &Context<'_>) {
        // First: whoever asks after the look at the round wakes the loop again.
        self.waker.register(cx.waker());
        let asked = self.asked.load(Ordering::Acquire);
        self.answered.store(asked, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn a_loop_answers_when_it_runs_and_not_before() {
        let beat = Arc::new(Beat::default());
        assert!(!beat.is_late(1), "nobody has asked");
        let own = beat.clone();
        tokio::spawn(poll_fn(move |cx| {
            own.answer(cx);
            Poll::<()>::Pending
        }));
        tokio::task::yield_now().await;
        beat.ask(1);
        assert!(beat.is_late(1), "it has had no time to run");
        tokio::task::yield_now().await;
        assert!(!beat.is_late(1));
    }
}
