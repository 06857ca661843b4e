//! One connection to an endpoint, for one request after the other.
//!
//! Polled by the exchange: request bytes go out as they come, heads and bodies come in as they arrive. Invariant: it is
//! reusable only after a request and a response that were both complete, with nothing behind them.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::StatusCode;
use tokio::io::ReadBuf;

use super::body::{BodyError, BodyProgress, BodyReader};
use super::head::{HeadFault, Parsed, ResponseHead};
use crate::transport::chunks::ChunkScanner;
use crate::transport::{BufferedSocket, Link, Socket, now};

/// What an idle connection keeps to read into; nearly every head fits.
const INPUT: usize = 4 * 1024;
/// The largest head.
const LARGEST_HEAD: usize = 256 * 1024;

/// How a request's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// No body.
    None,
    /// As many bytes as `Content-Length` says.
    Length,
    /// Chunks (RFC 9112 section 7.1).
    Chunked,
}

/// What the connection must know of a request to understand its response.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// How its body is framed.
    pub body: RequestBody,
    /// Whether it is HEAD: the response then has no body.
    pub is_head: bool,
    /// Whether it asks for an upgrade.
    pub upgrade: bool,
}

/// Why there is no response head.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The connection ended, or failed, before the head was complete.
    #[error("the connection ended before the response's head")]
    Closed(#[source] Option<io::Error>),
    /// It is malformed.
    #[error("the response is malformed: {0}")]
    Malformed(#[from] HeadFault),
    /// It is too large.
    #[error("the response's head is larger than {LARGEST_HEAD} bytes")]
    TooLarge,
    /// The endpoint has not looked at the request, and says so (HTTP/2 only).
    #[error("the endpoint did not take the request")]
    Unprocessed(#[source] h2::Error),
    /// It breaks the rules of HTTP/2.
    #[error("the response is not HTTP/2 as it should be")]
    Http2(#[source] h2::Error),
    /// The request cannot be said in HTTP/2; the endpoint got nothing.
    #[error("the request has no form in HTTP/2")]
    NoForm,
}

/// A connection to an endpoint.
#[derive(Debug)]
pub struct Connection {
    wire: BufferedSocket,
    /// What was read with heads: up to `filled`, taken up to `taken`, the latest head from `head`.
    input: Vec<u8>,
    filled: usize,
    taken: usize,
    head: usize,
    parsed: Parsed,
    body: BodyReader,
    request: Request,
    /// What had left before the request.
    sent_before: u64,
    /// Whether the response said so, and nothing since forbids it.
    keep_alive: bool,
    made: Instant,
    requests: u64,
}

impl Connection {
    /// Over a socket that has just been connected.
    pub fn new(socket: Socket) -> Self {
        Self {
            wire: BufferedSocket::new(socket),
            input: vec![0; INPUT],
            filled: 0,
            taken: 0,
            head: 0,
            parsed: Parsed::default(),
            body: BodyReader::Complete,
            request: Request {
                body: RequestBody::None,
                is_head: false,
                upgrade: false,
            },
            sent_before: 0,
            keep_alive: false,
            made: now(),
            requests: 0,
        }
    }

    /// When it was made.
    pub fn made(&self) -> Instant {
        self.made
    }

    /// Counts a request that is over. Gives the number of them.
    pub fn count_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// Begins a request. Gives the buffer to write its head into, from where it leaves with the first of its body.
    pub fn begin(&mut self, request: Request) -> &mut Vec<u8> {
        (self.filled, self.taken, self.head) = (0, 0, 0);
        self.request = request;
        self.keep_alive = false;
        self.body = BodyReader::Complete;
        self.sent_before = self.wire.counts().1;
        self.wire.out()
    }

    /// After a write that failed: the request as far as it was given, when it is certain that the endpoint has got none
    /// of it.
    pub fn take_undelivered(&mut self) -> Option<Vec<u8>> {
        self.wire.take_undelivered(self.sent_before)
    }

    /// Begins a request again that [`Self::take_undelivered`] gave back from another connection.
    pub fn begin_again(&mut self, request: Request, undelivered: Vec<u8>) {
        *self.begin(request) = undelivered;
    }

    /// Gives a piece of the request's body. Fails when the peer is gone.
    pub fn write_body(&mut self, piece: &[u8], cx: &mut Context<'_>) -> io::Result<()> {
        if self.request.body != RequestBody::Chunked {
            return self.wire.write(cx, piece);
        }
        if piece.is_empty() {
            return Ok(());
        }
        crate::transport::chunks::write_size(piece.len(), self.wire.out());
        let written = self.wire.write(cx, piece);
        // Also after a failure: what waits stays well framed.
        self.wire.out().extend_from_slice(b"\r\n");
        written
    }

    /// Ends the request; a chunked body with what `last_chunk` writes, trailers included.
    pub fn finish_body(&mut self, last_chunk: impl FnOnce(&mut Vec<u8>)) {
        if self.request.body == RequestBody::Chunked {
            last_chunk(self.wire.out());
        }
    }

    /// Bytes that wait to leave.
    pub fn waiting(&self) -> usize {
        self.wire.waiting()
    }

    /// Ready when all that was given is on its way.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_drain(cx)
    }

    /// Drops what waits to leave and makes the close a reset. What has come can still be read.
    pub fn abort(&mut self) {
        self.wire.abort();
    }

    /// Bytes read from and written to the endpoint so far, in that order.
    pub fn counts(&self) -> (u64, u64) {
        self.wire.counts()
    }

    /// Since when the endpoint has taken nothing of what waits for it.
    pub fn stalled_since(&self) -> Option<Instant> {
        self.wire.stalled_since()
    }

    /// Whether the request asked for an upgrade.
    pub fn wants_upgrade(&self) -> bool {
        self.request.upgrade
    }

    /// Reads the next head; [`Self::head`] is it then. Informational heads come before the final one.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HeadError>> {
        loop {
            if self.filled > self.taken
                && let Some(size) = self.parsed.parse(&self.input[self.taken..self.filled])?
            {
                self.head = self.taken;
                self.taken += size;
                self.begin_body();
                return Poll::Ready(Ok(()));
            }
            self.make_room()?;
            let mut buf = ReadBuf::new(&mut self.input[self.filled..]);
            let read = ready!(self.wire.poll_read(cx, &mut buf));
            let count = buf.filled().len();
            match read {
                Ok(()) if count > 0 => self.filled += count,
                ended => return Poll::Ready(Err(HeadError::Closed(ended.err()))),
            }
        }
    }

    fn make_room(&mut self) -> Result<(), HeadError> {
        if self.taken > 0 {
            self.input.copy_within(self.taken..self.filled, 0);
            self.filled -= self.taken;
            self.taken = 0;
        }
        if self.filled >= LARGEST_HEAD {
            return Err(HeadError::TooLarge);
        }
        if self.filled == self.input.len() {
            self.input.resize(self.input.len() * 2, 0);
        }
        Ok(())
    }

    /// The head that was read last.
    pub fn head(&self) -> ResponseHead<'_> {
        self.parsed.with(&self.input[self.head..self.filled])
    }

    fn begin_body(&mut self) {
        let status = self.parsed.status;
        if status.is_informational() {
            return;
        }
        let bodiless = self.request.is_head
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        self.body = match self.parsed.length {
            _ if bodiless => BodyReader::Complete,
            _ if self.parsed.chunked => BodyReader::Chunked(ChunkScanner::default()),
            Some(length) => BodyReader::Length(length),
            None => BodyReader::UntilClose,
        };
        self.keep_alive = self.parsed.keep_alive && !matches!(self.body, BodyReader::UntilClose);
    }

    /// Whether the response is complete.
    pub fn body_is_complete(&self) -> bool {
        self.body.is_complete()
    }

    /// Gives to `take` what came of the body together with the head. Ask once, before [`Self::take_body`].
    pub fn take_early_body(&mut self, take: impl FnMut(&[u8])) -> Result<BodyProgress, BodyError> {
        let early = &self.input[self.taken..self.filled];
        if !early.is_empty() {
            let used = self.body.decode(early, take)?;
            self.keep_alive &= used == early.len();
            self.taken = self.filled;
        }
        Ok(self.progress())
    }

    /// Reads on into `scratch`, once, for [`Self::take_body`]. Nothing read means that the endpoint has ended.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.wire.poll_read(cx, scratch)
    }

    /// Takes what was read, and gives the data in it to `take`.
    pub fn take_body(
        &mut self,
        bytes: &[u8],
        take: impl FnMut(&[u8]),
    ) -> Result<BodyProgress, BodyError> {
        if bytes.is_empty() {
            if self.wire.was_cut() {
                return Err(BodyError::Truncated);
            }
            self.body.end()?;
        } else {
            let used = self.body.decode(bytes, take)?;
            self.keep_alive &= used == bytes.len();
        }
        Ok(self.progress())
    }

    fn progress(&self) -> BodyProgress {
        match self.body.is_complete() {
            true => BodyProgress::Complete,
            false => BodyProgress::Partial,
        }
    }

    /// The trailer lines of a complete body, each with its CR LF; empty when there are none.
    pub fn trailers(&self) -> &[u8] {
        self.body.trailers()
    }

    /// Whether the connection may serve another request, now that this one is over. Not after an upgrade was asked for:
    /// some servers then close without a word.
    pub fn is_reusable(&self) -> bool {
        self.keep_alive && !self.request.upgrade && self.body.is_complete() && self.wire.is_idle()
    }

    /// Whether a connection that waits in a pool can still be used: nothing has come.
    pub fn is_idle(&self) -> bool {
        self.wire.is_idle()
    }

    /// As that, and the kernel knows of nothing either that the event loop has not met yet.
    pub fn is_idle_now(&self) -> bool {
        self.wire.is_idle_now()
    }

    /// Gives back memory that a large exchange needed, before the connection waits.
    pub fn trim(&mut self) {
        self.wire.trim();
        if self.input.len() > INPUT {
            self.input = vec![0; INPUT];
        }
    }

    /// As a tunnel's side, after a 101: the link, and what has come behind the head.
    pub fn into_tunnel(self) -> (Arc<Link>, Vec<u8>) {
        let early = self.input[self.taken..self.filled].to_vec();
        (Arc::new(Link::over(self.wire, None)), early)
    }
}
