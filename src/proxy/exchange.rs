//! One request and its response on two connections, both bodies moving at the same time.
//!
//! Polled, not awaited: in each turn whatever can move moves, in either direction, and nothing waits for anything
//! else. Bodies are never collected: at most [`HIGH_WATER`] bytes and one piece wait on either side. Invariants: a
//! truncated response never ends clean; a response that comes before the request's body has ended is passed on; an
//! answer ends the exchange even when the rest of the request has not been sent. Choosing the endpoint, retrying and
//! answering for failures is `forward`'s.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::StatusCode;
use pingora::protocols::http::v1::client::HttpSession as UpstreamSession;

use super::client::{Client, ClientError, HIGH_WATER, at_once};
use super::filter::response;
use super::filter::trailers::{allowed, last_chunk};
use crate::observe::cause::Cause;
use crate::transport::{Link, now};

/// Time and size limits of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeLimits {
    /// Bytes of the request's body.
    pub body: Option<u64>,
    /// Between two bytes of the request's body, before the response begins.
    pub body_idle: Duration,
    /// While the client takes nothing.
    pub write: Duration,
    /// From the request's end to the response's head.
    pub response: Duration,
    /// Between two bytes once the response has begun, and while the upstream takes nothing.
    pub idle: Duration,
    /// As `idle`, for event streams.
    pub event_stream_idle: Duration,
}

/// How an exchange ended.
pub enum End {
    /// The response has been given to the client whole.
    Complete,
    /// The upstream answered 101, the client has it, and the connection is now a tunnel.
    Upgraded(Box<UpstreamSession>),
}

/// How an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// Whether the upstream ended the connection before it answered anything, as a stale one does.
    pub stale: bool,
}

/// What has happened so far; also what there is to say after a failure.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Bytes of the request's body taken from the client.
    pub body_received: u64,
    /// Bytes of the response's body given to the client.
    pub body_sent: u64,
    /// The upstream's final status.
    pub upstream_status: Option<u16>,
    /// When its head came.
    pub answered_at: Option<Instant>,
    /// Whether a final head has been given to the client.
    pub response_begun: bool,
    /// Whether the request's body had been read to its end when the exchange ended.
    pub body_complete: bool,
    /// Whether the upstream's connection can serve another request.
    pub reusable: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Uplink {
    Moving,
    Complete,
    /// The upstream takes no more; its answer may still come.
    Dead,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Downlink {
    Head,
    Body,
    Complete,
    Upgraded,
}

/// An exchange under way.
pub struct Exchange<'a> {
    client: &'a mut Client,
    client_view: response::Client,
    expects_continue: bool,
    wants_upgrade: bool,
    upstream: Box<UpstreamSession>,
    link: Arc<Link>,
    limits: ExchangeLimits,
    uplink: Uplink,
    downlink: Downlink,
    last_up: Instant,
    last_down: Instant,
    received_before: u64,
    /// Bytes of all heads of the response.
    heads: usize,
    tally: &'a mut Tally,
}

fn failure(cause: Cause) -> Failure {
    Failure {
        cause,
        stale: false,
    }
}

impl<'a> Exchange<'a> {
    /// An exchange whose request head has been written to `upstream` (over `link`).
    pub fn new(
        client: &'a mut Client,
        client_view: response::Client,
        upstream: Box<UpstreamSession>,
        link: Arc<Link>,
        limits: ExchangeLimits,
        tally: &'a mut Tally,
    ) -> Self {
        let start = now();
        let expects_continue = client.head().headers.contains_key(http::header::EXPECT);
        Self {
            client,
            client_view,
            expects_continue,
            wants_upgrade: upstream.is_upgrade_req(),
            upstream,
            received_before: link.counts().0,
            heads: 0,
            link,
            limits,
            uplink: Uplink::Moving,
            downlink: Downlink::Head,
            last_up: start,
            last_down: start,
            tally,
        }
    }

    /// Carries the exchange to its end.
    pub async fn run(mut self) -> Result<End, Failure> {
        std::future::poll_fn(|cx| self.poll(cx)).await?;
        if self.downlink == Downlink::Upgraded {
            return Ok(End::Upgraded(self.upstream));
        }
        self.tally.body_complete = self.uplink == Uplink::Complete;
        // A connection on which an upgrade was refused may be closed without a word: never used again.
        if self.tally.body_complete && !self.wants_upgrade {
            self.upstream.respect_keepalive();
            self.tally.reusable =
                self.upstream.will_keepalive() && self.upstream.reuse().await.is_some();
        }
        Ok(End::Complete)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            let mut moved = self.move_up(cx)?;
            moved |= self.move_down(cx)?;
            let ended = matches!(self.downlink, Downlink::Complete | Downlink::Upgraded);
            if ended && self.drain_client(cx)? {
                return Poll::Ready(Ok(()));
            }
            if !moved {
                break;
            }
        }
        // While a body is read, its reads tell that the client has left.
        if self.uplink != Uplink::Moving && self.client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(failure(Cause::ClientGone)));
        }
        let (at, cause) = self.ends_at();
        std::task::ready!(self.client.poll_deadline(at, cx));
        Poll::Ready(Err(failure(cause)))
    }

    /// From the client to the upstream; true when something moved.
    fn move_up(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let mut moved = false;
        while self.uplink == Uplink::Moving && self.link.buffered() < HIGH_WATER {
            match self.client.poll_body(cx) {
                Poll::Ready(Ok(Some(piece))) => {
                    moved = true;
                    self.last_up = now();
                    self.tally.body_received += piece.len() as u64;
                    if self
                        .limits
                        .body
                        .is_some_and(|limit| self.tally.body_received > limit)
                    {
                        return Err(failure(Cause::BodyTooLarge));
                    }
                    if !matches!(at_once(self.upstream.write_body(&piece), cx), Ok(Ok(_))) {
                        self.uplink = Uplink::Dead;
                    }
                }
                Poll::Ready(Ok(None)) => {
                    moved = true;
                    self.last_up = now();
                    self.uplink = self.finish_request(cx);
                }
                Poll::Ready(Err(ClientError::Gone)) => return Err(failure(Cause::ClientGone)),
                Poll::Ready(Err(ClientError::Malformed(_))) => {
                    return Err(failure(Cause::BodyMalformed));
                }
                Poll::Pending => break,
            }
        }
        let before = self.link.counts().1;
        if let Poll::Ready(Err(_)) = self.link.poll_drain(cx) {
            // It may have answered before it closed; what it said is still to be read.
            self.link.abort();
            if self.uplink != Uplink::Dead {
                self.uplink = Uplink::Dead;
                moved = true;
            }
        }
        Ok(moved || self.link.counts().1 != before)
    }

    fn finish_request(&mut self, cx: &mut Context<'_>) -> Uplink {
        let trailers = self.client.body_trailers();
        if !trailers.is_empty() {
            self.link.push(&last_chunk(&trailers));
            return Uplink::Complete;
        }
        match at_once(self.upstream.finish_body(), cx) {
            Ok(Ok(_)) => Uplink::Complete,
            _ => Uplink::Dead,
        }
    }

    /// From the upstream to the client; true when something moved.
    fn move_down(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let mut moved = false;
        loop {
            while self.client.is_writable() {
                let step = match self.downlink {
                    Downlink::Head => self.read_head(cx)?,
                    Downlink::Body => self.read_body(cx)?,
                    Downlink::Complete | Downlink::Upgraded => false,
                };
                if !step {
                    self.drain_client(cx)?;
                    return Ok(moved);
                }
                moved = true;
            }
            self.drain_client(cx)?;
            if !self.client.is_writable() {
                return Ok(moved);
            }
            // There is room again, and nothing else will wake this task for the upstream.
        }
    }

    fn drain_client(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        match self.client.poll_drain(cx) {
            Poll::Ready(Ok(())) => Ok(true),
            Poll::Ready(Err(_)) => Err(failure(Cause::ClientGone)),
            Poll::Pending => Ok(false),
        }
    }

    fn read_head(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let read = pin!(self.upstream.read_response()).poll(cx);
        match read {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(size)) => self.heads += size,
            Poll::Ready(Err(error)) => return Err(self.head_failure(&error)),
        }
        self.last_down = now();
        let end = self.upstream.is_body_done();
        let Some(head) = self.upstream.resp_header() else {
            return Err(failure(Cause::UpstreamMalformed));
        };
        let view = self.client_view;
        let status = head.status;
        let upgraded = status == StatusCode::SWITCHING_PROTOCOLS;
        if upgraded && !self.wants_upgrade {
            return Err(failure(Cause::UpstreamMalformed));
        }
        if status.is_informational() && !upgraded {
            let wanted = view.version == http::Version::HTTP_11
                && (status != StatusCode::CONTINUE || self.expects_continue);
            if wanted {
                let given = self.client.relay_head(head, view, false, cx);
                given.map_err(|_| failure(Cause::ClientGone))?;
            }
            return Ok(true);
        }
        let chunked = response::chunked(head).ok_or(failure(Cause::UpstreamMalformed))?;
        self.link.tap_body(self.heads, chunked && !upgraded);
        if response::is_event_stream(head) {
            self.limits.idle = self.limits.idle.max(self.limits.event_stream_idle);
        }
        self.tally.upstream_status = Some(status.as_u16());
        self.tally.answered_at = Some(self.last_down);
        self.tally.response_begun = true;
        let given = self.client.relay_head(head, view, end && !upgraded, cx);
        given.map_err(|_| failure(Cause::ClientGone))?;
        self.downlink = match upgraded {
            true => Downlink::Upgraded,
            false => Downlink::Body,
        };
        if end && !upgraded {
            self.finish(cx)?;
        }
        Ok(true)
    }

    fn read_body(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let piece = match pin!(self.upstream.read_body_ref()).poll(cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(piece)) => piece,
            Poll::Ready(Err(_)) => return Err(failure(Cause::UpstreamTruncated)),
        };
        if let Some(piece) = piece {
            self.last_down = now();
            self.tally.body_sent += piece.len() as u64;
            // An empty piece would be the last chunk; `send_body` leaves it out.
            self.client
                .send_body(piece, cx)
                .map_err(|_| failure(Cause::ClientGone))?;
            if !self.upstream.is_body_done() {
                return Ok(true);
            }
        }
        self.finish(cx)?;
        Ok(true)
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        self.downlink = Downlink::Complete;
        let trailers = allowed(&self.link.response_trailers());
        self.client
            .finish(trailers, cx)
            .map_err(|_| failure(Cause::ClientGone))
    }

    fn head_failure(&self, error: &pingora::Error) -> Failure {
        let ended = matches!(
            error.etype(),
            pingora::ErrorType::ConnectionClosed | pingora::ErrorType::ReadError
        );
        match ended {
            false => failure(Cause::UpstreamMalformed),
            true => Failure {
                cause: if self.uplink == Uplink::Dead {
                    Cause::UpstreamSend
                } else {
                    Cause::UpstreamClosed
                },
                stale: self.link.counts().0 == self.received_before,
            },
        }
    }

    /// When the exchange has waited too long, and for whom.
    fn ends_at(&self) -> (Instant, Cause) {
        if let Some(since) = self.client.stalled_since() {
            return (since + self.limits.write, Cause::ClientStalled);
        }
        if self.uplink == Uplink::Moving && self.downlink == Downlink::Head {
            return match self.link.stalled_since() {
                Some(since) => (since + self.limits.idle, Cause::UpstreamSend),
                None => (self.last_up + self.limits.body_idle, Cause::BodyTimeout),
            };
        }
        match self.downlink {
            Downlink::Head if self.wants_upgrade => (
                self.last_up + self.limits.response,
                Cause::TunnelHandshakeTimeout,
            ),
            Downlink::Head => (
                self.last_up + self.limits.response,
                Cause::UpstreamResponseTimeout,
            ),
            _ => (
                self.last_down.max(self.last_up) + self.limits.idle,
                Cause::UpstreamIdle,
            ),
        }
    }
}
