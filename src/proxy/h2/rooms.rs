//! Where the streams of a connection are carried out: memory that one after the other has, made once.
//!
//! A request's state is some kilobytes. Made anew for each stream it was copied twice on its way to memory that had
//! gone cold. Here it is made where it stays, in a room that another stream of its connection has just left. Invariant: a
//! stream that has ended leaves nothing in its room, and no more than [`SPARE`] rooms are kept, none of them by a connection
//! without streams: what a connection keeps while it waits goes cold, and others could use it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::stream::{FuturesUnordered, StreamExt};

/// Rooms that are kept for the next streams. Few more than a browser has streams at once.
const SPARE: usize = 32;

type Room<Served> = Pin<Box<Option<Served>>>;

/// The streams of a connection.
pub struct Rooms<Served> {
    taken: FuturesUnordered<Guest<Served>>,
    spare: Vec<Room<Served>>,
}

/// A stream in its room, which it gives back.
struct Guest<Served>(Option<Room<Served>>);

impl<Served> Default for Rooms<Served> {
    fn default() -> Self {
        Self {
            taken: FuturesUnordered::new(),
            spare: Vec::new(),
        }
    }
}

impl<Served: Future> Rooms<Served> {
    /// Takes a stream in: what `serve` gives, made in its room.
    #[inline]
    pub fn push(&mut self, serve: impl FnOnce() -> Served) {
        let mut room = self
            .spare
            .pop()
            .unwrap_or_else(|| Box::into_pin(Box::write(Box::new_uninit(), None)));
        room.set(Some(serve()));
        self.taken.push(Guest(Some(room)));
    }

    /// What the next stream that ends comes to; none while there are none.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Served::Output>> {
        let Some((ended, room)) = ready!(self.taken.poll_next_unpin(cx)) else {
            self.spare = Vec::new();
            return Poll::Ready(None);
        };
        if self.spare.len() < SPARE {
            self.spare.extend(room);
        }
        Poll::Ready(Some(ended))
    }

    /// Whether there is no stream.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}

impl<Served: Future> Future for Guest<Served> {
    type Output = (Served::Output, Option<Room<Served>>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let served = self.0.as_mut().and_then(|room| room.as_mut().as_pin_mut());
        let Some(served) = served else {
            // It has ended, and is not asked again.
            return Poll::Pending;
        };
        let ended = ready!(served.poll(cx));
        let mut room = self.0.take();
        if let Some(room) = &mut room {
            room.set(None);
        }
        Poll::Ready((ended, room))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;
    use std::task::Waker;

    struct Stream {
        number: usize,
        ready: Rc<Cell<usize>>,
        left: Rc<Cell<usize>>,
    }

    impl Future for Stream {
        type Output = usize;

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
            cx.waker().wake_by_ref();
            match self.number < self.ready.get() {
                true => Poll::Ready(self.number),
                false => Poll::Pending,
            }
        }
    }

    impl Drop for Stream {
        fn drop(&mut self) {
            self.left.set(self.left.get() + 1);
        }
    }

    #[test]
    fn rooms_are_empty_when_left_are_used_again_and_are_not_kept_without_streams() {
        let (ready, left) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let mut rooms = Rooms::default();
        let mut cx = Context::from_waker(Waker::noop());
        let stream = |number| Stream {
            number,
            ready: ready.clone(),
            left: left.clone(),
        };
        for number in 0..SPARE + 8 {
            rooms.push(|| stream(number));
        }
        assert!(rooms.poll_next(&mut cx).is_pending());
        ready.set(SPARE + 4);
        // Those that are not ready yet ask to be polled again, and have their turns in between.
        let mut next = |rooms: &mut Rooms<Stream>| loop {
            if let Poll::Ready(ended) = rooms.poll_next(&mut cx) {
                return ended;
            }
        };
        for ended in 1..=SPARE + 4 {
            assert!(next(&mut rooms).is_some());
            assert_eq!(left.get(), ended, "what has ended is dropped at once");
        }
        assert_eq!(rooms.spare.len(), SPARE);
        let address = |room: &Room<Stream>| std::ptr::from_ref(&**room);
        let last = rooms.spare.last().map(address);
        rooms.push(|| stream(0));
        assert_eq!(rooms.spare.len(), SPARE - 1);
        assert_eq!(next(&mut rooms), Some(0));
        assert_eq!(rooms.spare.last().map(address), last, "the same memory");
        ready.set(usize::MAX);
        while next(&mut rooms).is_some() {}
        assert!(rooms.is_empty() && rooms.spare.capacity() == 0);
    }
}
