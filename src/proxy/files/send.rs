//! Sends an answer whose body is read while it goes out.
//!
//! A piece is read only when the client has room for it, so a slow client holds one piece and one descriptor. Invariant:
//! an answer that was begun and cannot be completed is cut off, never ended.

use std::future::poll_fn;
use std::io;
use std::task::{Poll, ready};
use std::time::Duration;

use http::HeaderMap;

use super::super::answer::Answer;
use super::super::client::Client;
use crate::observe::cause::Cause;
use crate::transport::now;

/// Sends it, counting the bytes of the body that were given in `sent`. A client may take nothing for at most `limit`.
///
/// # Errors
/// Why it was not sent whole.
pub async fn send(
    client: &mut Client,
    answer: &Answer,
    limit: Duration,
    sent: &mut u64,
) -> Result<(), Cause> {
    let mut rest = answer.rest.clone();
    at_once(client, |client, cx| client.send_answer(answer, cx)).await?;
    *sent = answer.body.len() as u64;
    while let Some(rest) = &mut rest {
        let piece = rest.next().await.map_err(|error| {
            tracing::error!(event = "files.failed", %error, "a file could not be read to its end");
            Cause::FileFailed
        })?;
        let Some(piece) = piece else {
            break;
        };
        room(client, limit, false).await?;
        at_once(client, |client, cx| client.send_body(&piece, cx)).await?;
        *sent += piece.len() as u64;
    }
    client.finish(HeaderMap::new());
    room(client, limit, true).await
}

/// Gives something to a client that has room for it.
async fn at_once(
    client: &mut Client,
    mut give: impl FnMut(&mut Client, &mut std::task::Context<'_>) -> io::Result<()>,
) -> Result<(), Cause> {
    let given = poll_fn(|cx| Poll::Ready(give(client, cx))).await;
    given.map_err(|_| Cause::ClientGone)
}

/// Waits until there is room for more; with `all`, until everything is on its way.
async fn room(client: &mut Client, limit: Duration, all: bool) -> Result<(), Cause> {
    poll_fn(|cx| {
        match client.poll_drain(cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Cause::ClientGone)),
            Poll::Pending if !all && client.is_writable() => return Poll::Ready(Ok(())),
            Poll::Pending => {}
        }
        let since = client.stalled_since().unwrap_or_else(now);
        ready!(client.poll_deadline(since + limit, cx));
        Poll::Ready(Err(Cause::ClientStalled))
    })
    .await
}
