//! Memory in which requests are carried out, one after the other.
//!
//! A request's state is some kilobytes, and to come by as many costs as much as to find its route and its endpoint. Whoever
//! serves requests keeps a room from one to the next, and gives it back when none has come for [`REST`]. Invariant:
//! between two requests a room is empty.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use crate::transport::Link;

/// Room for one request.
pub(super) type Room<Served> = Pin<Box<Option<Served>>>;

/// How long a room is kept while no request comes.
pub(super) const REST: Duration = Duration::from_secs(1);

/// A room that is made where it stays.
pub(super) fn room<Served>() -> Room<Served> {
    Box::into_pin(Box::write(Box::new_uninit(), None))
}

/// The room of a connection that serves one request after the other.
pub(super) struct Kept<Served>(Option<Room<Served>>);

impl<Served: Future> Kept<Served> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(None)
    }

    /// Waits for the next request, as [`Link::poll_request`].
    pub(super) async fn wait(&mut self, link: &Link) {
        poll_fn(|cx| {
            loop {
                if link.poll_request(cx).is_ready() {
                    return Poll::Ready(());
                }
                if self.0.is_none() || link.poll_rest(REST, cx).is_pending() {
                    return Poll::Pending;
                }
                // The wait goes on without it, on the same timer.
                self.0 = None;
            }
        })
        .await;
    }

    /// Carries out the request that `begin` gives, made in its room.
    pub(super) async fn serve(&mut self, begin: impl FnOnce() -> Served) -> Served::Output {
        let request = self.0.get_or_insert_with(room);
        request.set(Some(begin()));
        let served = poll_fn(|cx| match request.as_mut().as_pin_mut() {
            Some(request) => request.poll(cx),
            None => Poll::Pending,
        })
        .await;
        request.set(None);
        served
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::head::HeadLimits;
    use crate::transport::{Gate, GateLimits, Socket};
    use tokio::net::{TcpListener, TcpStream};

    /// A link whose peer sends nothing, and the peer.
    async fn waiting_link(wait: Duration) -> (Link, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let head = HeadLimits {
            size: 8192,
            fields: 100,
            bare_lf: false,
            as_nginx: false,
            buffers: None,
        };
        let limits = GateLimits {
            head,
            head_time: wait,
            keep_alive: wait,
            write: wait,
        };
        let gate = Gate::new(limits, false);
        let link = Link::new(Socket::Plain(near.unwrap()), Some(gate));
        (link, far.unwrap().0)
    }

    #[tokio::test(start_paused = true)]
    async fn a_room_is_kept_for_a_request_that_comes_soon_and_the_wait_ends_in_time_all_the_same() {
        let wait = Duration::from_secs(60);
        let (link, _peer) = waiting_link(wait).await;
        let mut kept = Kept::new();
        assert_eq!(kept.serve(|| async { 1 }).await, 1);
        assert!(kept.0.as_ref().is_some_and(|room| room.is_none()), "empty");
        let begun = tokio::time::Instant::now();
        {
            let mut waits = std::pin::pin!(kept.wait(&link));
            let soon = tokio::time::timeout(REST / 2, waits.as_mut()).await;
            assert!(soon.is_err());
        }
        assert!(kept.0.is_some());
        kept.wait(&link).await;
        assert_eq!(begun.elapsed().as_secs(), wait.as_secs());
        assert!(kept.0.is_none());
    }
}
