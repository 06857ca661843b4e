//! Keeps a panic within the request that it came up in.
//!
//! What it leaves behind belongs to that request, which ends, and to guards.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use super::app::Left;
#[cfg(debug_assertions)]
use super::client::Client;

/// The end of a request, or `None` when it panicked.
pub(super) async fn contained(mut request: Pin<&mut impl Future<Output = Left>>) -> Option<Left> {
    poll_fn(|cx| {
        let poll = AssertUnwindSafe(|| request.as_mut().poll(cx));
        match catch_unwind(poll) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

/// A defect for tests of how one is contained, in debug builds only: for requests that have this field.
#[cfg(debug_assertions)]
#[expect(clippy::panic, reason = "that is what it is for")]
pub(super) fn defect(client: &Client) {
    if client.head().headers.contains_key("x-hubgate-defect") {
        panic!("a defect on demand");
    }
}
