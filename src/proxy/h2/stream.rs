//! A stream of HTTP/2 as the client of an exchange.
//!
//! Everything polls; a piece of the body waits here until the client's windows have room for it. Invariant: a stream
//! whose response was not finished is never ended as if it were.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::DATE;
use http::{HeaderMap, Response, StatusCode, request};
use pingora::http::RequestHeader;

use super::timers::Timer;
use crate::proxy::date;
use crate::transport::poll_room;

/// A stream of HTTP/2.
pub struct Stream {
    head: RequestHeader,
    /// `None` once it has been read to its end.
    body: Option<RecvStream>,
    /// What came after it.
    body_trailers: HeaderMap,
    respond: SendResponse<Bytes>,
    /// After the head of the response.
    writer: Option<SendStream<Bytes>>,
    /// Of the body, what the client's windows have had no room for; nearly always one piece at most, and then nothing
    /// is in `more`.
    pending: Bytes,
    more: Vec<u8>,
    finish: bool,
    trailers: Option<HeaderMap>,
    finished: bool,
    stalled_since: Option<Instant>,
    timer: Timer,
    last: bool,
}

/// How a stream left its connection.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Its client gave it up.
    pub given_up: bool,
    /// No more is wanted of the connection.
    pub last: bool,
}

impl Stream {
    /// A stream whose head has been read, made where it stays.
    pub fn new(
        head: request::Parts,
        body: RecvStream,
        respond: SendResponse<Bytes>,
        timer: Timer,
    ) -> Box<Self> {
        let stream = Self {
            head: head.into(),
            body: (!body.is_end_stream()).then_some(body),
            body_trailers: HeaderMap::new(),
            respond,
            writer: None,
            pending: Bytes::new(),
            more: Vec::new(),
            finish: false,
            trailers: None,
            finished: false,
            stalled_since: None,
            timer,
            last: false,
        };
        Box::write(Box::new_uninit(), stream)
    }

    /// Has the connection wound up after this stream.
    pub fn be_last(&mut self) {
        self.last = true;
    }

    /// Whether the connection is to be wound up.
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// The request's head.
    pub fn head(&self) -> &RequestHeader {
        &self.head
    }

    /// The same, to be changed.
    pub fn head_mut(&mut self) -> &mut RequestHeader {
        &mut self.head
    }

    /// Whether the request goes on.
    pub fn has_body(&self) -> bool {
        self.body.as_ref().is_some_and(|body| !body.is_end_stream())
    }

    /// The next piece of the request's body, `None` at its end, when its trailers are known.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        match ready!(body.poll_data(cx)) {
            Some(Ok(piece)) => {
                let released = body.flow_control().release_capacity(piece.len());
                Poll::Ready(Some(released.map(|()| piece)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => {
                match ready!(body.poll_trailers(cx)) {
                    Ok(trailers) => self.body_trailers = trailers.unwrap_or_default(),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                }
                self.body = None;
                Poll::Ready(None)
            }
        }
    }

    /// The trailers of the request's body, which has been read to its end.
    pub fn body_trailers(&self) -> &HeaderMap {
        &self.body_trailers
    }

    /// Writes an informational head.
    pub fn send_informational(&mut self, status: StatusCode, fields: HeaderMap) -> io::Result<()> {
        let mut head = Response::new(());
        *head.status_mut() = status;
        *head.headers_mut() = fields;
        self.respond
            .send_informational(head)
            .map_err(io::Error::other)
    }

    /// Writes the final head, at `now`; `end` when no body follows. `Date` is the edge's own, as with nginx.
    pub fn send_head(
        &mut self,
        status: StatusCode,
        mut fields: HeaderMap,
        now: Instant,
        end: bool,
    ) -> io::Result<()> {
        fields.insert(DATE, date::value_at(now));
        let mut head = Response::new(());
        *head.status_mut() = status;
        *head.headers_mut() = fields;
        let writer = self.respond.send_response(head, end);
        self.writer = Some(writer.map_err(io::Error::other)?);
        self.finished = end;
        Ok(())
    }

    /// Whether more of the body may be given.
    pub fn is_writable(&self) -> bool {
        self.pending.is_empty()
    }

    /// Gives a piece of the body. Only when [`Self::is_writable`], or as a further piece of one read, which is what bounds
    /// it.
    pub fn give(&mut self, piece: &[u8]) {
        match self.pending.is_empty() {
            true => self.pending = Bytes::copy_from_slice(piece),
            false => self.more.extend_from_slice(piece),
        }
    }

    /// Says that the body is complete, with its trailers.
    pub fn finish(&mut self, trailers: HeaderMap) {
        self.finish = true;
        self.trailers = (!trailers.is_empty()).then_some(trailers);
    }

    /// Ready when all that was given is on its way.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(writer) = &mut self.writer else {
            return Poll::Ready(Ok(()));
        };
        while !self.pending.is_empty() {
            let room = ready!(poll_room(
                writer,
                self.pending.len(),
                &mut self.stalled_since,
                cx
            ))?;
            let piece = match room < self.pending.len() {
                true => self.pending.split_to(room),
                false => {
                    std::mem::replace(&mut self.pending, std::mem::take(&mut self.more).into())
                }
            };
            let end = self.finish && self.trailers.is_none() && self.pending.is_empty();
            writer.send_data(piece, end).map_err(io::Error::other)?;
            self.finished |= end;
        }
        if self.finish && !self.finished {
            let ended = match self.trailers.take() {
                Some(trailers) => writer.send_trailers(trailers),
                None => writer.send_data(Bytes::new(), true),
            };
            ended.map_err(io::Error::other)?;
            self.finished = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Since when the client takes nothing of what waits for it.
    pub fn stalled_since(&self) -> Option<Instant> {
        self.stalled_since
    }

    /// Ready once `at` has passed.
    pub fn poll_deadline(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.poll(at, cx)
    }

    /// Whether every deadline has come because the process ends.
    pub fn is_over(&self) -> bool {
        self.timer.is_over()
    }

    /// Ready when the client has reset the stream or left, while there is something to give to it.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.finished {
            return Poll::Pending;
        }
        match &mut self.writer {
            Some(writer) => writer.poll_reset(cx).map(|_| ()),
            None => self.respond.poll_reset(cx).map(|_| ()),
        }
    }

    /// Resets the stream, unless the response is complete.
    pub fn abort(&mut self) {
        match &mut self.writer {
            Some(writer) if !self.finished => writer.send_reset(Reason::INTERNAL_ERROR),
            Some(_) => {}
            None => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}
