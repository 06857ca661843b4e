//! One request and its response on a stream.
//!
//! Polled by the exchange, like a connection of HTTP/1. Flow control bounds what waits: a piece of the request's body
//! here, the response's body in its window. Invariants: the response is complete only after END_STREAM; dropped before
//! both sides have ended, the stream is reset.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;

use super::connection::Place;
use super::head;
use crate::transport::poll_room;
use crate::upstream::http1::{HeadError, Parsed, Request, RequestBody, ResponseHead};

/// Of a request's body, kept until the endpoint has answered: it may say that it has not looked at the request.
const MOST_KEPT: usize = 64 * 1024;

/// A stream of a connection to an endpoint.
pub struct Stream {
    place: Place,
    send: SendRequest<Bytes>,
    scheme: &'static str,
    request: Request,
    /// Its head, in the form of HTTP/1.1.
    request_head: Vec<u8>,
    takes_trailers: bool,
    /// `None` until the request has begun, and after the response's head.
    response: Option<ResponseFuture>,
    /// Why it could not begin.
    failed: Option<HeadError>,
    writer: Option<SendStream<Bytes>>,
    pending: VecDeque<Bytes>,
    waiting: usize,
    /// All that was given of the body; `None` when it is too much, or the endpoint has answered.
    kept: Option<Vec<Bytes>>,
    given: usize,
    /// Whether that is the whole body.
    whole: bool,
    ending: Option<HeaderMap>,
    ended: bool,
    stalled_since: Option<Instant>,
    head: Vec<u8>,
    parsed: Parsed,
    body: Option<RecvStream>,
    complete: bool,
    trailers: HeaderMap,
    sent: u64,
    received: u64,
}

impl Stream {
    pub(super) fn new(send: SendRequest<Bytes>, place: Place, scheme: &'static str) -> Self {
        Self {
            place,
            send,
            scheme,
            request: Request {
                body: RequestBody::None,
                is_head: false,
                upgrade: false,
            },
            request_head: Vec::new(),
            takes_trailers: false,
            response: None,
            failed: None,
            writer: None,
            pending: VecDeque::new(),
            waiting: 0,
            kept: Some(Vec::new()),
            given: 0,
            whole: false,
            ending: None,
            ended: false,
            stalled_since: None,
            head: Vec::new(),
            parsed: Parsed::default(),
            body: None,
            complete: false,
            trailers: HeaderMap::new(),
            sent: 0,
            received: 0,
        }
    }

    /// Begins the request. Gives the buffer to write its head into, as for HTTP/1.1. `takes_trailers` says that the
    /// client does.
    pub fn begin(&mut self, request: Request, takes_trailers: bool) -> &mut Vec<u8> {
        self.request = request;
        self.takes_trailers = takes_trailers;
        self.request_head.clear();
        &mut self.request_head
    }

    /// The request for another stream, when there is all of what was given: its head in the form of HTTP/1.1, its body,
    /// and whether that has been ended.
    pub fn take_request(&mut self) -> Option<(Vec<u8>, Vec<Bytes>, bool)> {
        let body = self.kept.take()?;
        Some((std::mem::take(&mut self.request_head), body, self.whole))
    }

    /// Gives a piece of the request's body, which is not empty.
    pub fn write_body(&mut self, piece: Bytes) {
        self.waiting += piece.len();
        self.given += piece.len();
        match &mut self.kept {
            Some(kept) if self.given <= MOST_KEPT => kept.push(piece.clone()),
            _ => self.kept = None,
        }
        self.pending.push_back(piece);
    }

    /// Ends the request.
    pub fn finish_body(&mut self, trailers: HeaderMap) {
        self.whole = true;
        if self.request.body != RequestBody::None {
            self.ending = Some(trailers);
        }
    }

    /// Bytes that wait to leave.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Bytes received and sent so far, in that order, heads not counted but for being there.
    pub fn counts(&self) -> (u64, u64) {
        (self.received, self.sent)
    }

    /// Since when the endpoint has taken nothing of what waits for it.
    pub fn stalled_since(&self) -> Option<Instant> {
        self.stalled_since
    }

    /// Ready when all that was given is on its way. Fails when the endpoint takes no more.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.writer.is_none() && self.failed.is_none() {
            self.failed = ready!(self.poll_begin(cx)).err();
        }
        let Some(writer) = &mut self.writer else {
            // Whoever waits for the response hears why the request could not begin.
            return Poll::Ready(Ok(()));
        };
        while let Some(piece) = self.pending.front_mut() {
            let room = ready!(poll_room(writer, self.waiting, &mut self.stalled_since, cx))?;
            let part = piece.split_to(room.min(piece.len()));
            if piece.is_empty() {
                self.pending.pop_front();
            }
            self.waiting -= part.len();
            self.sent += part.len() as u64;
            writer.send_data(part, false).map_err(io::Error::other)?;
        }
        if let Some(trailers) = self.ending.take() {
            self.sent += 1;
            self.ended = true;
            let ended = match trailers.is_empty() {
                true => writer.send_data(Bytes::new(), true),
                false => writer.send_trailers(trailers),
            };
            ended.map_err(io::Error::other)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Drops what waits to leave. What has come can still be read.
    pub fn abort(&mut self) {
        self.pending.clear();
        self.waiting = 0;
        self.ending = None;
        self.stalled_since = None;
    }

    /// Reads the next head; [`Self::head`] is it then. Informational heads come before the final one.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HeadError>> {
        if let Some(failed) = self.failed.take() {
            return Poll::Ready(Err(failed));
        }
        if self.writer.is_none() {
            ready!(self.poll_begin(cx))?;
        }
        let Some(response) = &mut self.response else {
            return Poll::Ready(Err(HeadError::Closed(None)));
        };
        match response.poll_informational(cx) {
            Poll::Ready(Some(Ok(informational))) => {
                let (head, ()) = informational.into_parts();
                return Poll::Ready(self.understand(&head));
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(self.head_error(error))),
            Poll::Ready(None) | Poll::Pending => {}
        }
        match ready!(Pin::new(response).poll(cx)) {
            Ok(response) => {
                self.response = None;
                self.kept = None;
                self.place.served();
                let (head, body) = response.into_parts();
                self.complete = body.is_end_stream();
                self.body = Some(body);
                Poll::Ready(self.understand(&head))
            }
            Err(error) => Poll::Ready(Err(self.head_error(error))),
        }
    }

    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HeadError>> {
        // Nothing has left yet: whatever is wrong with the connection, the request was not looked at.
        if let Err(error) = ready!(self.send.poll_ready(cx)) {
            return Poll::Ready(Err(HeadError::Unprocessed(error)));
        }
        let request = head::request(&self.request_head, self.scheme, self.takes_trailers);
        let request = request.map_err(|_| HeadError::NoForm)?;
        let end = self.request.body == RequestBody::None;
        match self.send.send_request(request, end) {
            Ok((response, writer)) => {
                self.response = Some(response);
                self.writer = Some(writer);
                self.ended = end;
                self.sent += 1;
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(HeadError::Unprocessed(error))),
        }
    }

    fn understand(&mut self, head: &http::response::Parts) -> Result<(), HeadError> {
        self.received += 1;
        self.head.clear();
        head::write_response(head.status, &head.headers, &mut self.head);
        match self.parsed.parse(&self.head)? {
            Some(_) => Ok(()),
            None => Err(HeadError::Closed(None)),
        }
    }

    fn head_error(&self, error: h2::Error) -> HeadError {
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        if refused {
            self.place.refused();
        }
        // RFC 9113 sections 6.8 and 8.7: neither has been looked at.
        if error.is_remote() && (refused || error.is_go_away()) {
            return HeadError::Unprocessed(error);
        }
        match error.is_library() {
            true => HeadError::Http2(error),
            false => HeadError::Closed(Some(io::Error::other(error))),
        }
    }

    /// The head that was read last.
    pub fn head(&self) -> ResponseHead<'_> {
        self.parsed.with(&self.head)
    }

    /// Whether the response is complete.
    pub fn body_is_complete(&self) -> bool {
        self.complete
    }

    /// The next piece of the response's body, `None` at its end, when its trailers are known.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, h2::Error>> {
        let Some(body) = self.body.as_mut().filter(|_| !self.complete) else {
            return Poll::Ready(Ok(None));
        };
        match ready!(body.poll_data(cx)) {
            Some(piece) => {
                let piece = piece?;
                // The client has room for it: the caller asks only then.
                body.flow_control().release_capacity(piece.len())?;
                self.received += piece.len() as u64;
                Poll::Ready(Ok(Some(piece)))
            }
            None => {
                self.trailers = ready!(body.poll_trailers(cx))?.unwrap_or_default();
                self.complete = true;
                Poll::Ready(Ok(None))
            }
        }
    }

    /// The trailers of a complete body.
    pub fn trailers(&self) -> &HeaderMap {
        &self.trailers
    }

    /// Whether both sides have ended as they should.
    pub fn is_over(&self) -> bool {
        self.complete && self.ended
    }
}
