//! The deadlines of a connection's streams, on one timer.
//!
//! A timer of its own for each stream was an allocation and two visits to the event loop's timer wheel per request, for
//! deadlines that hardly ever pass. Here a stream notes its deadline; the connection waits for the earliest. Invariant:
//! the connection never waits longer than the earliest deadline of a stream that is still there.

use std::cell::{RefCell, RefMut};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use fragile::Fragile;

use crate::transport::{Deadline, now};

/// The deadlines of one connection.
#[derive(Clone)]
pub struct Timers(Arc<Fragile<RefCell<State>>>);

impl Default for Timers {
    fn default() -> Self {
        Self(Arc::new(Fragile::new(RefCell::default())))
    }
}

#[derive(Default)]
struct State {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    /// No deadline is earlier; streams that have ended may leave it too early.
    earliest: Option<Instant>,
    /// Every deadline has come.
    over: bool,
}

struct Slot {
    at: Instant,
    waker: Waker,
    fired: bool,
}

/// One stream's deadline.
pub struct Timer {
    timers: Timers,
    slot: Option<usize>,
}

impl Timers {
    fn state(&self) -> RefMut<'_, State> {
        self.0.get().borrow_mut()
    }

    /// A timer for one stream.
    pub fn timer(&self) -> Timer {
        Timer {
            timers: self.clone(),
            slot: None,
        }
    }

    /// Wakes the streams whose time has come, and the connection's task when the next one may have come. Polled after
    /// the streams, whose deadlines it has to know.
    pub fn poll(&self, deadline: &mut Deadline, cx: &mut Context<'_>) {
        loop {
            let Some(earliest) = self.state().earliest else {
                return;
            };
            if deadline.poll(earliest, cx).is_pending() {
                return;
            }
            self.fire(now());
        }
    }

    /// Has every deadline come now, because the process ends.
    pub fn end(&self) {
        let mut state = self.state();
        state.over = true;
        for slot in state.slots.iter().flatten() {
            slot.waker.wake_by_ref();
        }
    }

    fn fire(&self, now: Instant) {
        let mut state = self.state();
        let mut earliest: Option<Instant> = None;
        for slot in state.slots.iter_mut().flatten().filter(|slot| !slot.fired) {
            if slot.at <= now {
                slot.fired = true;
                slot.waker.wake_by_ref();
            } else {
                earliest = Some(earliest.map_or(slot.at, |earliest| earliest.min(slot.at)));
            }
        }
        state.earliest = earliest;
    }
}

impl Timer {
    /// Ready once `at` has passed; otherwise the task of the stream is woken then.
    pub fn poll(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.timers.state();
        let state = &mut *state;
        if state.over {
            return Poll::Ready(());
        }
        let known = self.slot.and_then(|slot| state.slots[slot].as_mut());
        match known {
            Some(slot) => {
                if slot.fired && at <= now() {
                    return Poll::Ready(());
                }
                slot.fired = false;
                slot.at = at;
                slot.waker.clone_from(cx.waker());
            }
            None => {
                let slot = Slot {
                    at,
                    waker: cx.waker().clone(),
                    fired: false,
                };
                let index = state.free.pop().unwrap_or(state.slots.len());
                match state.slots.get_mut(index) {
                    Some(free) => *free = Some(slot),
                    None => state.slots.push(Some(slot)),
                }
                self.slot = Some(index);
            }
        }
        if state.earliest.is_none_or(|earliest| at < earliest) {
            state.earliest = Some(at);
        }
        Poll::Pending
    }
}

impl Timer {
    /// Whether every deadline has come because the process ends.
    pub fn is_over(&self) -> bool {
        self.timers.0.get().borrow().over
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(index) = self.slot {
            let mut state = self.timers.state();
            state.slots[index] = None;
            state.free.push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    /// When each of two timers became ready, in seconds.
    async fn ready_at(wants: [Duration; 2]) -> [u64; 2] {
        let (timers, mut deadline) = (Timers::default(), Deadline::default());
        let start = now();
        let mut streams = [timers.timer(), timers.timer()];
        let mut ready = [None; 2];
        poll_fn(|cx| {
            for (i, timer) in streams.iter_mut().enumerate() {
                if ready[i].is_none() && timer.poll(start + wants[i], cx).is_ready() {
                    ready[i] = Some((now() - start).as_secs());
                }
            }
            if let [Some(one), Some(two)] = ready {
                return Poll::Ready([one, two]);
            }
            timers.poll(&mut deadline, cx);
            Poll::Pending
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn each_stream_has_its_own_deadline_on_the_one_timer() {
        let (soon, late) = (Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(ready_at([soon, late]).await, [1, 60]);
        assert_eq!(ready_at([late, soon]).await, [60, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moved_on_does_not_fire_at_its_old_time() {
        let (timers, mut deadline) = (Timers::default(), Deadline::default());
        let start = now();
        let mut timer = timers.timer();
        let mut at = start + Duration::from_secs(1);
        poll_fn(|cx| {
            let ready = timer.poll(at, cx);
            at = start + Duration::from_secs(5);
            timers.poll(&mut deadline, cx);
            ready
        })
        .await;
        assert!(now() >= start + Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn streams_that_ended_leave_their_places_to_others() {
        let timers = Timers::default();
        for _ in 0..3 {
            let mut timer = timers.timer();
            let polled = poll_fn(|cx| Poll::Ready(timer.poll(now() + Duration::from_secs(1), cx)));
            assert!(polled.await.is_pending());
        }
        assert_eq!(timers.state().slots.len(), 1);
    }
}
