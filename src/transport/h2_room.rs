//! Room for body bytes on an HTTP/2 stream: the peer's flow-control windows (RFC 9113, section 5.2), the same for
//! requests to an endpoint and for responses to a client.
//!
//! Leaves what is sent to whoever asks. Invariant: since when the peer gives no room is known exactly while none is given.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use h2::SendStream;

use super::now;

/// Ready with how many bytes may be sent now: at least one, `waiting` of them being wanted.
///
/// `stalled_since` is when the peer began to give no room, and none as soon as it does. Fails with
/// [`io::ErrorKind::BrokenPipe`] once the stream is closed, or with what h2 says of it.
pub fn poll_room(
    writer: &mut SendStream<Bytes>,
    waiting: usize,
    stalled_since: &mut Option<Instant>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut room = writer.capacity();
    while room == 0 {
        writer.reserve_capacity(waiting);
        let polled = writer.poll_capacity(cx);
        if polled.is_pending() {
            stalled_since.get_or_insert_with(now);
        }
        room = match ready!(polled) {
            Some(room) => room.map_err(io::Error::other)?,
            None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
    }
    *stalled_since = None;
    Poll::Ready(Ok(room))
}
