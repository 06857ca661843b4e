//! Sends whole answers and ends connections so that the client gets what was meant for it.
//!
//! A connection closed while unread bytes wait is reset by the kernel, and the reset can overtake the answer; so the
//! writing side ends first and what still comes is read for a while (RFC 9112 section 9.6).

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::timeout;

use super::answer::Answer;
use super::client::Client;
use crate::config::{ClientTerms, Linger};
use crate::observe::cause::Cause;
use crate::transport::head::HeadFault;
use crate::transport::{Link, LinkFault};

/// For the last bytes to be taken.
const FINISH: Duration = Duration::from_secs(5);
/// For which what still comes is read and thrown away.
const LINGER: Duration = Duration::from_secs(5);
/// For the last bytes to be taken, and for a client to close an idle connection, while the process ends.
const BRIEFLY: Duration = Duration::from_millis(20);
const PARTING: Duration = Duration::from_millis(300);

/// Writes a whole answer and waits, at most `limit`, until it is on its way.
pub async fn send(client: &mut Client, answer: &Answer, limit: Duration) -> io::Result<()> {
    let mut begun = false;
    let sent = poll_fn(|cx| {
        if !begun {
            begun = true;
            if let Err(error) = client.send_answer(answer, cx) {
                return std::task::Poll::Ready(Err(error));
            }
        }
        client.poll_drain(cx)
    });
    timeout(limit, sent)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Ends a response with this event, and waits, at most `limit`, until it is on its way.
pub async fn with_event(client: &mut Client, event: &[u8], limit: Duration) -> io::Result<()> {
    let mut given = false;
    let ended = poll_fn(|cx| {
        if !given {
            given = true;
            if let Err(error) = client.send_body(event, cx) {
                return std::task::Poll::Ready(Err(error));
            }
            client.finish(HeaderMap::new());
        }
        client.poll_drain(cx)
    });
    timeout(limit, ended)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Waits a moment for what was given to the client to leave; a very short one when the process `ends`.
pub async fn drained(client: &mut Client, ends: bool) {
    let limit = if ends { BRIEFLY } else { FINISH };
    if let Ok(Err(error)) = timeout(limit, poll_fn(|cx| client.poll_drain(cx))).await {
        tracing::trace!(%error, "the client is gone");
    }
}

/// Ends a connection after its last answer. `linger` when the client may still be sending.
pub async fn gracefully(link: &Link, linger: bool) {
    let finished = timeout(FINISH, poll_fn(|cx| link.poll_finish(cx))).await;
    if linger && matches!(finished, Ok(Ok(()))) {
        // Past the time, or on an error, the connection is simply closed.
        if timeout(LINGER, poll_fn(|cx| link.poll_discard(cx)))
            .await
            .is_err()
        {
            tracing::trace!("the client went on sending after its answer");
        }
    }
}

/// As [`gracefully`], as its site or route says.
pub async fn after_answer(link: &Link, needed: bool, terms: Option<&ClientTerms>) {
    let Some(terms) = terms else {
        return gracefully(link, needed).await;
    };
    let lingers = match terms.linger {
        Linger::Never => false,
        Linger::Needed => needed,
        Linger::Always => true,
    };
    let finished = timeout(FINISH, poll_fn(|cx| link.poll_finish(cx))).await;
    if !lingers || !matches!(finished, Ok(Ok(()))) {
        return;
    }
    let idle = terms.linger_idle;
    let read = async { while let Ok(true) = timeout(idle, link.discard_some()).await {} };
    if timeout(terms.linger_time, read).await.is_err() {
        tracing::trace!("the client went on sending after its answer");
    }
}

/// Ends a connection that waited for a request in vain, because of a drain. A request that is on its way meanwhile meets
/// an end without an answer, not a reset: its client knows that nobody has taken it, and sends it elsewhere.
pub async fn politely(link: &Link) {
    let parted = timeout(PARTING, async {
        poll_fn(|cx| link.poll_finish(cx)).await?;
        poll_fn(|cx| link.poll_discard(cx)).await;
        io::Result::Ok(())
    });
    if let Ok(Err(error)) = parted.await {
        tracing::trace!(%error, "the client left by itself");
    }
}

/// Reads and throws away what still comes of a request's body after its answer, for a while. Some HTTP/2 clients take
/// the reset that would otherwise follow (RFC 9113 section 8.1 allows it) for a failure of the whole exchange.
pub async fn rest_of_body(client: &mut Client) {
    let rest = async { while let Ok(Some(_)) = poll_fn(|cx| client.poll_body(cx)).await {} };
    if timeout(LINGER, rest).await.is_err() {
        tracing::trace!("the client went on sending after its answer");
    }
}

/// As [`rest_of_body`], so that the next request can be read; as long as its site or route says.
pub async fn discard_body(client: &mut Client) {
    let terms = match client {
        Client::H1 { terms, .. } => terms.clone(),
        Client::H2(_) => None,
    };
    let (time, idle) = terms.map_or((LINGER, LINGER), |terms| {
        (terms.linger_time, terms.linger_idle)
    });
    let rest = async {
        while let Ok(Ok(Some(_))) = timeout(idle, poll_fn(|cx| client.poll_body(cx))).await {}
    };
    if timeout(time, rest).await.is_err() {
        tracing::trace!("the client went on sending after its answer");
    }
}

/// Why a head was refused, with a detail for the client; `None` when there is nobody to tell.
pub fn head_cause(
    fault: Option<LinkFault>,
    error: Option<&pingora::Error>,
) -> Option<(Cause, String)> {
    let cause = match fault {
        // The body began in the segment that ended the head, so the engine saw neither.
        Some(LinkFault::Body(fault)) => return Some((Cause::BodyMalformed, fault.to_string())),
        Some(LinkFault::HeadTimeout) => return Some((Cause::HeadTimeout, String::new())),
        Some(LinkFault::Head(fault)) => {
            let cause = match fault {
                HeadFault::Malformed(_) => Cause::HeadMalformed,
                HeadFault::TooLarge | HeadFault::LineTooLong => Cause::HeadTooLarge,
                HeadFault::TooManyFields => Cause::HeadTooManyFields,
                HeadFault::TargetTooLong => Cause::TargetTooLong,
                HeadFault::Version => Cause::VersionUnsupported,
                HeadFault::Coding => Cause::CodingUnsupported,
                HeadFault::HostMissing => Cause::HostMissing,
                HeadFault::HostRepeated => Cause::HostMalformed,
            };
            return Some((cause, fault.to_string()));
        }
        None => match error?.etype() {
            pingora::ErrorType::InvalidHTTPHeader => Cause::HeadMalformed,
            _ => return None,
        },
    };
    Some((cause, String::new()))
}
