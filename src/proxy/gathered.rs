//! A request's body, read before the request goes on: for routes whose own body is made of it.
//!
//! Bounded as the bodies that texts name are: one that is larger is read to its end, and its text is empty, as in nginx
//! for one that does not fit in memory. Invariant: a body that did not come whole goes nowhere.

use std::future::poll_fn;
use std::time::Duration;

use tokio::time::timeout;

use super::client::{Client, ClientError};
use super::heads::MOST_GATHERED;
use super::mirror::Feed;
use super::trace::Trace;
use crate::config::{Route, Variable};
use crate::observe::cause::Cause;

/// Whether what the route sends in place of a body names the client's.
pub(super) fn is_needed(route: &Route) -> bool {
    let text = route.request.body.as_ref();
    text.is_some_and(|text| {
        let mut named = text.variables();
        named.any(|variable| matches!(variable, Variable::RequestBody))
    })
}

/// Reads the body, of at most `limit` bytes that come within `time` of one another, and has `trace` know it.
pub(super) async fn read(
    client: &mut Client,
    (limit, time): (u64, Duration),
    mirror: Option<&Feed>,
    trace: &mut Trace,
) -> Result<(), Cause> {
    client.continues(200);
    let mut body = Some(Vec::new());
    let mut length = 0;
    loop {
        let piece = timeout(time, poll_fn(|cx| client.poll_body(cx))).await;
        let piece = match piece.map_err(|_| Cause::BodyTimeout)? {
            Ok(Some(piece)) => piece,
            Ok(None) => break,
            Err(ClientError::Gone) => return Err(Cause::ClientGone),
            Err(ClientError::Malformed(_)) => return Err(Cause::BodyMalformed),
        };
        length += piece.len() as u64;
        if length > limit {
            return Err(Cause::BodyTooLarge);
        }
        if let Some(mirror) = mirror {
            mirror.give(&piece);
        }
        body = body.and_then(|mut body: Vec<u8>| {
            body.extend_from_slice(&piece);
            (body.len() <= MOST_GATHERED).then_some(body)
        });
    }
    if let Some(mirror) = mirror {
        mirror.end();
    }
    if let Some(body) = body {
        let seen = trace.seen.get_or_insert_default();
        seen.taken.push(("request_body".into(), body.into()));
    }
    Ok(())
}
