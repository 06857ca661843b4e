//! Sends an answer whose body is read while it goes out.
//!
//! A piece is read only when the client has room for it, so a slow client holds one piece and one descriptor. Invariant:
//! an answer that was begun and cannot be completed is cut off, never ended.

use std::future::poll_fn;
use std::io;
use std::task::{Poll, ready};
use std::time::Duration;

use http::HeaderMap;

use super::super::admit::while_there;
use super::super::answer::Answer;
use super::super::client::Client;
use super::super::pace::Pace;
use super::super::recode::Recoder;
use crate::observe::cause::Cause;
use crate::transport::now;

/// Sends it, counting the bytes of the body that were given in `sent`, and gives those before and after compression. A client may take nothing for at most `limit`, and
/// gets no more than its pace, if there is one, allows.
///
/// # Errors
/// Why it was not sent whole.
pub(in crate::proxy) async fn send(
    client: &mut Client,
    answer: &Answer,
    (limit, pace): (Duration, Option<Box<Pace>>),
    sent: &mut u64,
) -> Result<(u64, u64), Cause> {
    let mut rest = answer.rest.clone();
    let mut recoder = answer.recode.clone().map(Recoder::new);
    let paced = pace.is_some();
    let limits = &mut Limits { limit, pace };
    match paced {
        true => at_once(client, |client, _| client.begin_answer(answer)).await?,
        false => at_once(client, |client, cx| client.send_answer(answer, cx)).await?,
    }
    match &mut recoder {
        None if paced => {
            *sent = 0;
            give(client, &answer.body, limits, sent).await?;
        }
        None => *sent = answer.body.len() as u64,
        Some(recoder) => recoder.take(&answer.body),
    }
    while let Some(rest) = &mut rest {
        let piece = rest.next().await.map_err(|error| {
            tracing::error!(event = "files.failed", %error, "a file could not be read to its end");
            Cause::FileFailed
        })?;
        let Some(piece) = piece else {
            break;
        };
        match &mut recoder {
            None => give(client, &piece, limits, sent).await?,
            Some(recoder) => {
                recoder.take(&piece);
                give_recoded(client, recoder, limits, sent).await?;
            }
        }
    }
    if let Some(recoder) = &mut recoder {
        recoder.end();
        give_recoded(client, recoder, limits, sent).await?;
    }
    client.finish(HeaderMap::new());
    room(client, limit, true).await?;
    Ok(recoder.map_or((0, 0), |recoder| recoder.squeezed()))
}

/// How fast an answer may go, and how slow.
struct Limits {
    limit: Duration,
    pace: Option<Box<Pace>>,
}

async fn give(
    client: &mut Client,
    mut piece: &[u8],
    limits: &mut Limits,
    sent: &mut u64,
) -> Result<(), Cause> {
    while !piece.is_empty() {
        room(client, limits.limit, false).await?;
        let mut now_due = piece;
        if let Some(pace) = &mut limits.pace {
            let due = while_there(client, poll_fn(|cx| pace.poll_room(*sent, now(), cx)));
            let due = due.await.ok_or(Cause::ClientGone)?;
            let due = usize::try_from(due).unwrap_or(usize::MAX);
            now_due = piece.get(..due).unwrap_or(piece);
        }
        at_once(client, |client, cx| client.send_body(now_due, cx)).await?;
        *sent += now_due.len() as u64;
        piece = piece.get(now_due.len()..).unwrap_or_default();
    }
    Ok(())
}

async fn give_recoded(
    client: &mut Client,
    recoder: &mut Recoder,
    limits: &mut Limits,
    sent: &mut u64,
) -> Result<(), Cause> {
    while recoder.has_more() {
        let made = recoder.make().map_err(|error| {
            tracing::error!(event = "recode.failed", %error, "an answer cannot be changed");
            Cause::Internal
        })?;
        give(client, made, limits, sent).await?;
    }
    Ok(())
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
