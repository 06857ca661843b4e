//! One HTTP/2 connection in one task: its frames and all its streams.
//!
//! Streams move first, then the connection: what all of them had to say in a turn of the event loop leaves in one TLS
//! record. Decides which heads are no requests at all and when the connection ends. Invariants: every stream that was
//! accepted is carried to its end, also when the connection dies under it; an idle connection ends by its deadline.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Request, request};
use pingora::server::ShutdownWatch;
use tokio::sync::watch;

use super::rooms::Rooms;
use super::stream::{Ended, Stream};
use super::timers::{Timer, Timers};
use crate::config::HeadBuffers;
use crate::proxy::app::{App, Drain as Stopping};
use crate::proxy::client::Client;
use crate::proxy::close;
use crate::transport::{Deadline, EngineStream, now};

/// What one stream, and one connection, may send ahead of its reader.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// One frame of a client. More than the 16 KiB that everybody must take (RFC 9113 section 4.2), for a head that is let in by
/// the usual `limits.head_size` may come in one frame; not more, for what of a frame has come waits here for the rest of it.
const FRAME: u32 = 64 * 1024;
/// For a client to answer the first GOAWAY, before a connection without streams is closed all the same.
const LAST_CALL: Duration = Duration::from_millis(500);
/// Malformed heads that a connection may send before it is closed.
const MALFORMED: usize = 32;

/// Requests that a client may give up beyond those that it lets come to their end: each one was work for the upstream that no
/// limit on requests at once counts (CVE-2023-44487).
const GIVEN_UP: u64 = 500;

/// Bounds of a connection.
#[derive(Clone, Copy, Debug)]
pub struct H2Limits {
    /// Requests at once.
    pub streams: u32,
    /// Bytes of a request's head.
    pub head_size: u32,
    /// Room for heads where the connection came to: of the longest name or value, and of all together.
    pub head_buffers: Option<HeadBuffers>,
    /// Before the first request.
    pub first: Duration,
    /// Without a request.
    pub idle: Duration,
}

/// Serves a connection to its end. Once `shutdown` says so, the client is told to send no new streams (GOAWAY with the
/// highest id, RFC 9113 section 6.8); those on their way are served, and then it is told which was the last.
pub async fn serve(app: Arc<App>, limits: H2Limits, stream: EngineStream, shutdown: ShutdownWatch) {
    let handshake = Builder::new()
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.head_size)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .handshake::<_, Bytes>(stream)
        .await;
    let connection = match handshake {
        Ok(connection) => connection,
        Err(error) => {
            tracing::debug!(peer = %app.facts.peer, %error, "no HTTP/2 preface");
            return;
        }
    };
    let (stop, link) = (app.shared.drain.clone(), app.link.clone());
    let (change, stopping) = (shutdown.clone(), shutdown.clone());
    let mut shutdown = shutdown;
    let drain = pin!(async move {
        // An error means that the process is gone.
        drop(shutdown.wait_for(|draining| *draining).await);
    });
    let mut driver = Driver {
        connection: Some(connection),
        streams: Rooms::default(),
        open: move |client| {
            let app = app.clone();
            app.link.count_request();
            async move { app.serve_stream(client).await }
        },
        drain: Some(drain),
        shutdown: change,
        asked: false,
        winding_up: false,
        begun: false,
        malformed: 0,
        given_up: 0,
        carried_out: 0,
        limits,
        idle_since: None,
        idle: Deadline::default(),
        closing: false,
        timers: Timers::default(),
        stop,
        ending: None,
        deadline: Deadline::default(),
    };
    poll_fn(|cx| driver.poll(cx)).await;
    if *stopping.borrow() {
        close::politely(&link).await;
    }
}

struct Driver<Open, Served, Drain> {
    /// `None` once it is closed.
    connection: Option<Connection<EngineStream, Bytes>>,
    streams: Rooms<Served>,
    open: Open,
    drain: Option<Drain>,
    /// Says that there is something new to ask `drain` for.
    shutdown: ShutdownWatch,
    asked: bool,
    winding_up: bool,
    /// Whether a request has come.
    begun: bool,
    malformed: usize,
    given_up: u64,
    carried_out: u64,
    limits: H2Limits,
    idle_since: Option<Instant>,
    idle: Deadline,
    /// Whether it is closed because it was idle.
    closing: bool,
    timers: Timers,
    /// Where the process is with stopping, and the wait for its end once it drains.
    stop: watch::Receiver<Stopping>,
    ending: Option<BoxFuture<'static, ()>>,
    /// For the earliest of `timers`.
    deadline: Deadline,
}

impl<Open, Served, Drain> Driver<Open, Served, Pin<&mut Drain>>
where
    Open: FnMut(Client) -> Served,
    Served: Future<Output = Ended>,
    Drain: Future<Output = ()>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_drain(cx) {
            self.drain = None;
            self.wind_up();
            let mut stop = self.stop.clone();
            let ending = async move { drop(stop.wait_for(|stop| *stop == Stopping::Ending).await) };
            self.ending = Some(Box::pin(ending));
        }
        if let Some(ending) = &mut self.ending
            && ending.as_mut().poll(cx).is_ready()
        {
            self.ending = None;
            self.timers.end();
        }
        loop {
            while let Poll::Ready(Some(ended)) = self.streams.poll_next(cx) {
                self.ended(ended.given_up);
                if ended.last && !self.winding_up {
                    self.wind_up();
                }
            }
            let Some(connection) = &mut self.connection else {
                return match self.streams.is_empty() {
                    true => Poll::Ready(()),
                    false => {
                        self.timers.poll(&mut self.deadline, cx);
                        Poll::Pending
                    }
                };
            };
            // All that have come, before any of them is begun: their answers may leave together.
            let mut accepted = false;
            loop {
                match connection.poll_accept(cx) {
                    Poll::Ready(Some(Ok((request, respond)))) => {
                        (accepted, self.begun) = (true, true);
                        let (limits, malformed) = (&self.limits, &mut self.malformed);
                        let timer = self.timers.timer();
                        if let Some(client) =
                            Self::judge((limits, malformed), connection, request, respond, timer)
                        {
                            self.streams.push(|| (self.open)(client));
                        }
                    }
                    Poll::Ready(end) => {
                        if let Some(Err(error)) = end {
                            // Clients often just close the connection.
                            tracing::debug!(%error, "an HTTP/2 connection ended");
                        }
                        // Dropped now, so that its streams hear of it.
                        self.connection = None;
                        break;
                    }
                    Poll::Pending if accepted => break,
                    Poll::Pending => return self.poll_idle(cx),
                }
            }
        }
    }

    /// Tells the client to send its next requests elsewhere. Those that are on their way are served.
    fn wind_up(&mut self) {
        self.winding_up = true;
        if let Some(connection) = &mut self.connection {
            connection.graceful_shutdown();
        }
        self.limits.idle = self.limits.idle.min(LAST_CALL);
        self.idle_since = None;
    }

    /// A stream has ended. A client that gives up most of what it asks for is sent away.
    fn ended(&mut self, given_up: bool) {
        self.carried_out += u64::from(!given_up);
        self.given_up += u64::from(given_up);
        if given_up
            && self.given_up > GIVEN_UP + self.carried_out
            && let Some(connection) = &mut self.connection
        {
            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        }
    }

    /// Whether the drain begins now. Asking for it takes a lock, so it is asked for once, and again only when something
    /// has changed.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(drain) = &mut self.drain else {
            return false;
        };
        if self.asked && !self.shutdown.has_changed().unwrap_or(true) {
            return false;
        }
        self.asked = true;
        drain.as_mut().poll(cx).is_ready()
    }

    /// The stream, unless its head is malformed: then it is reset (RFC 9113 section 8.1.1), and a connection that goes on
    /// so is closed; one that sends too much is closed at once.
    fn judge(
        (limits, malformed): (&H2Limits, &mut usize),
        connection: &mut Connection<EngineStream, Bytes>,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        timer: Timer,
    ) -> Option<Client> {
        let (head, body) = request.into_parts();
        if limits
            .head_buffers
            .is_some_and(|room| !has_room(&room, &head))
        {
            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            return None;
        }
        if !is_malformed(&head) {
            return Some(Client::h2(Stream::new(head, body, respond, timer)));
        }
        respond.send_reset(Reason::PROTOCOL_ERROR);
        *malformed += 1;
        if *malformed == MALFORMED {
            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        }
        None
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.streams.is_empty() {
            self.idle_since = None;
            self.timers.poll(&mut self.deadline, cx);
            return Poll::Pending;
        }
        let since = *self.idle_since.get_or_insert_with(now);
        let most = match self.begun || self.winding_up || self.closing {
            false => self.limits.first,
            true => self.limits.idle,
        };
        ready!(self.idle.poll(since + most, cx));
        match &mut self.connection {
            // Told which stream was the last, its client knows that a later one was not served.
            Some(connection) if !self.closing => {
                self.closing = true;
                self.idle_since = None;
                self.limits.idle = self.limits.idle.min(LAST_CALL);
                connection.abrupt_shutdown(Reason::NO_ERROR);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }
}

/// Whether a head keeps within such buffers: each name and value in one, all together in all of them.
fn has_room(room: &HeadBuffers, head: &request::Parts) -> bool {
    let uri = &head.uri;
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let pseudo = [
        (":method", head.method.as_str()),
        (":scheme", uri.scheme_str().unwrap_or("https")),
        (":path", target),
        (
            ":authority",
            uri.authority().map_or("", |host| host.as_str()),
        ),
    ];
    let pseudo = pseudo.iter().map(|(name, value)| (name.len(), value.len()));
    let fields = head.headers.iter();
    let fields = fields.map(|(name, value)| (name.as_str().len(), value.len()));
    let mut left = room.more.saturating_mul(room.size);
    pseudo.chain(fields).all(|(name, value)| {
        let rest = left.checked_sub(name + value);
        left = rest.unwrap_or_default();
        rest.is_some() && name.max(value) <= room.size
    })
}

/// Whether a head cannot be passed on as one request: bytes that would end a line or a field of HTTP/1.1 in its target,
/// or a length that is not one number.
fn is_malformed(head: &request::Parts) -> bool {
    let target = head
        .uri
        .path_and_query()
        .map_or("", |target| target.as_str());
    let splits = |byte: &u8| matches!(byte, 0 | b'\n' | b'\r' | b' ');
    let mut lengths = 0;
    let mut fields = head.headers.iter();
    let unclear = fields.any(|(name, value)| match *name {
        TRANSFER_ENCODING => true,
        CONTENT_LENGTH => {
            lengths += 1;
            lengths > 1 || !value.as_bytes().iter().all(u8::is_ascii_digit)
        }
        _ => false,
    });
    unclear || target.as_bytes().iter().any(splits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> request::Parts {
        let request = fields
            .iter()
            .fold(Request::get("/"), |head, (name, value)| {
                head.header(*name, *value)
            });
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_length_that_is_not_one_number_is_malformed() {
        assert!(!is_malformed(&head(&[])));
        assert!(!is_malformed(&head(&[("content-length", "12")])));
        assert!(is_malformed(&head(&[("content-length", "1, 1")])));
        assert!(is_malformed(&head(&[("content-length", "+1")])));
        assert!(is_malformed(&head(&[
            ("content-length", "1"),
            ("content-length", "1")
        ])));
        assert!(is_malformed(&head(&[("transfer-encoding", "chunked")])));
    }
}
