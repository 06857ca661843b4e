//! One request and its response on two connections, both bodies moving at the same time.
//!
//! Polled, not awaited: in each turn whatever can move moves, in either direction, and nothing waits for anything
//! else. Bodies are never collected: at most [`HIGH_WATER`] bytes and one piece wait on either side. Invariants: a
//! truncated response never ends clean; a response that comes before the request's body has ended is passed on; an
//! answer ends the exchange even when the rest of the request has not been sent. Choosing the endpoint, retrying and
//! answering for failures is `forward`'s.

mod events;
mod failure;
mod limits;
mod patience;
mod recoded;
mod settings;
mod tally;

use std::future::Future;
use std::mem::MaybeUninit;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use tokio::io::ReadBuf;

use events::Place;
pub use failure::Failure;
use failure::failure;
pub use limits::ExchangeLimits;
pub use tally::Tally;

use super::client::{Client, ClientError, HIGH_WATER};
use super::filter::response::Own;
use super::filter::trailers::write_last_chunk;
use super::filter::{hop_by_hop, response};
use super::heads::Edits;
use super::mirror::Feed;
use super::pace::{Pace, paced};
use super::recode::Recoder;
use crate::observe::cause::Cause;
use crate::observe::open::Entry;
use crate::transport::now;
use crate::upstream::http1::{BodyError, BodyProgress, Connection, Request, ResponseHead};
use crate::upstream::peer::Peer;

/// Read of a response's body at once.
const PIECE: usize = 64 * 1024;

/// Says of an upstream's final status, and of what has been exchanged by then, whether the answer is thrown away because
/// the request is tried again.
pub type Decline<'a> = dyn Fn(&ResponseHead<'_>, &Tally) -> bool + Send + Sync + 'a;

/// How an exchange ended.
pub enum End {
    /// The response has been given to the client whole. The connection, when it can serve another request and nobody
    /// else keeps it, and when its last byte came.
    Complete(Option<Box<Connection>>, Instant),
    /// The upstream answered 101, the client has it, and the connection is now a tunnel.
    Upgraded(Box<Connection>),
}

/// A request of which the endpoint got nothing, as far as it was taken from the client.
pub struct Undelivered {
    /// Its head, and with HTTP/1.1 what there was of its body, framed.
    wire: Vec<u8>,
    /// What there was of its body with HTTP/2.
    body: Vec<Bytes>,
    /// Whether that is all of it.
    complete: bool,
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
    upstream: Peer,
    limits: ExchangeLimits,
    uplink: Uplink,
    downlink: Downlink,
    last_up: Instant,
    last_down: Instant,
    received_before: u64,
    sent_before: u64,
    tally: &'a mut Tally,
    /// Whether a head has come, be it an informational one.
    informed: bool,
    event_stream: bool,
    /// For the client.
    own: Own<'a>,
    /// What changes in the answer's head.
    edits: Option<&'a Edits<'a>>,
    decline: Option<&'a Decline<'a>>,
    /// What an operator sees of it.
    entry: &'a Entry,
    undelivered: Option<Undelivered>,
    /// How fast the response may go.
    pace: Option<Box<Pace>>,
    /// Where the response stands, if it is an event stream without an announced end.
    events: Option<Place>,
    /// Who else gets the request's body.
    mirror: Option<&'a Feed>,
    /// What is sent in place of the client's body.
    body: Option<Bytes>,
    /// What changes the response's body.
    recoder: Option<Box<Recoder>>,
}

impl<'a> Exchange<'a> {
    /// An exchange whose request head has been written to `upstream` at `start`. How far it is is told in the tally and
    /// the entry.
    pub fn new(
        (client, client_view): (&'a mut Client, response::Client),
        upstream: Peer,
        limits: ExchangeLimits,
        (tally, entry): (&'a mut Tally, &'a Entry),
        start: Instant,
    ) -> Self {
        Self {
            client,
            client_view,
            received_before: upstream.counts().0,
            sent_before: upstream.counts().1,
            upstream,
            limits,
            uplink: Uplink::Moving,
            downlink: Downlink::Head,
            last_up: start,
            last_down: start,
            tally,
            informed: false,
            event_stream: false,
            decline: None,
            entry,
            edits: None,
            own: Own::default(),
            undelivered: None,
            pace: None,
            events: None,
            recoder: None,
            mirror: None,
            body: None,
        }
    }

    /// Goes on with a request that another endpoint got nothing of, in place of its head.
    pub fn again(&mut self, request: Request, undelivered: Undelivered) {
        if undelivered.complete {
            self.uplink = Uplink::Complete;
        }
        match &mut self.upstream {
            Peer::H1(h1) => {
                h1.begin_again(request, undelivered.wire);
            }
            Peer::H2(h2) => {
                let takes_trailers = hop_by_hop::takes_trailers(&self.client.head().headers);
                *h2.begin(request, takes_trailers) = undelivered.wire;
                for piece in undelivered.body {
                    h2.write_body(piece);
                }
                if undelivered.complete {
                    h2.finish_body(self.client.body_trailers());
                }
            }
        }
    }

    /// Carries the exchange to its end. It stays where it is: large as it is, it is not moved into the future.
    pub fn run(&mut self) -> impl Future<Output = Result<(), Failure>> {
        std::future::poll_fn(move |cx| self.poll(cx))
    }

    /// What it came to, once it has run. A failure comes with the request, when the endpoint got nothing of it.
    pub fn ended(self, ran: Result<(), Failure>) -> Result<End, (Failure, Option<Undelivered>)> {
        let (received, sent) = self.upstream.counts();
        self.tally.bytes = (
            received.saturating_sub(self.received_before),
            sent.saturating_sub(self.sent_before),
        );
        if let Err(failure) = ran {
            self.tally.between_events = self.events.is_some_and(Place::is_between);
            return Err((failure, self.undelivered));
        }
        let reusable = self.uplink == Uplink::Complete
            && self.downlink == Downlink::Complete
            && self.upstream.is_reusable();
        Ok(match self.upstream {
            Peer::H1(h1) if self.downlink == Downlink::Upgraded => End::Upgraded(h1),
            Peer::H1(h1) if reusable => End::Complete(Some(h1), self.last_down),
            _ => End::Complete(None, self.last_down),
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let mut begun = false;
        // What moves up can let more move up; what moves down goes as far as it can.
        while self.move_up(cx)? || !begun {
            begun = true;
            self.move_down(cx)?;
            if matches!(self.downlink, Downlink::Complete | Downlink::Upgraded) {
                if self.drain_client(cx)? {
                    return Poll::Ready(Ok(()));
                }
                self.waits_for_end();
            }
        }
        // While a body is read, its reads tell that the client has left.
        if self.uplink != Uplink::Moving && self.client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(failure(Cause::ClientGone)));
        }
        let (at, cause) = self.ends_at();
        std::task::ready!(self.client.poll_deadline(at, cx));
        if self.event_stream && self.client.is_over() && self.ends_early(cx) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Err(self.timed_out(cause)))
    }

    /// From the client to the upstream; true when something moved.
    fn move_up(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let mut moved = false;
        if let Some(body) = self.body.take() {
            self.send_own(body, cx);
            moved = true;
        }
        while self.uplink == Uplink::Moving && self.upstream.waiting() < HIGH_WATER {
            match self.client.poll_body(cx) {
                Poll::Ready(Ok(Some(piece))) => {
                    moved = true;
                    self.last_up = now();
                    self.tally.body_received += piece.len() as u64;
                    if self.tally.body_received > self.limits.body {
                        return Err(failure(Cause::BodyTooLarge));
                    }
                    if let Some(mirror) = self.mirror {
                        mirror.give(&piece);
                    }
                    if let Some(edits) = self.edits {
                        edits.gather(&piece);
                    }
                    match &mut self.upstream {
                        Peer::H1(h1) => {
                            if h1.write_body(&piece, cx).is_err() {
                                self.uplink = Uplink::Dead;
                            }
                        }
                        Peer::H2(h2) => h2.write_body(piece),
                    }
                }
                Poll::Ready(Ok(None)) => {
                    moved = true;
                    if self.tally.body_received > 0 {
                        self.last_up = now();
                    }
                    if let Some(mirror) = self.mirror {
                        mirror.end();
                    }
                    let client = &self.client;
                    match &mut self.upstream {
                        Peer::H1(h1) => {
                            h1.finish_body(|wire| write_last_chunk(&client.body_trailers(), wire));
                        }
                        Peer::H2(h2) => h2.finish_body(client.body_trailers()),
                    }
                    self.uplink = Uplink::Complete;
                }
                Poll::Ready(Err(ClientError::Gone)) => return Err(failure(Cause::ClientGone)),
                Poll::Ready(Err(ClientError::Malformed(_))) => {
                    return Err(failure(Cause::BodyMalformed));
                }
                Poll::Pending => break,
            }
        }
        let before = self.upstream.counts().1;
        if let Poll::Ready(Err(_)) = self.upstream.poll_drain(cx) {
            let complete = self.uplink == Uplink::Complete;
            let undelivered = match &mut self.upstream {
                Peer::H1(h1) => h1.take_undelivered(),
                // What the endpoint says of it comes in place of the response's head.
                Peer::H2(_) => None,
            };
            self.undelivered = undelivered.map(|wire| Undelivered {
                wire,
                body: Vec::new(),
                complete,
            });
            // It may have answered before it closed; what it said is still to be read.
            self.upstream.abort();
            if self.uplink != Uplink::Dead {
                self.uplink = Uplink::Dead;
                moved = true;
            }
        }
        Ok(moved || self.upstream.counts().1 != before)
    }

    /// From the upstream to the client, until one of them has to be waited for.
    fn move_down(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        loop {
            while self.client.is_writable() {
                let step = match self.downlink {
                    Downlink::Head => self.read_head(cx)?,
                    Downlink::Body if self.has_recoded() => self.give_recoded(cx)?,
                    Downlink::Body => self.read_body(cx)?,
                    Downlink::Complete | Downlink::Upgraded => false,
                };
                if !step {
                    return self.drain_client(cx).map(drop);
                }
            }
            self.drain_client(cx)?;
            if !self.client.is_writable() {
                return Ok(());
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
        match self.upstream.poll_head(cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Err(self.head_failure(&error)),
        }
        self.informed = true;
        self.last_down = now();
        let head = self.upstream.head();
        let view = self.client_view;
        let status = head.status();
        let upgraded = status == StatusCode::SWITCHING_PROTOCOLS;
        if upgraded && !self.upstream.wants_upgrade() {
            return Err(failure(Cause::UpstreamMalformed));
        }
        if status.is_informational() && !upgraded {
            let asked = &self.client.head().headers;
            let wanted = view.version >= http::Version::HTTP_11
                && (status != StatusCode::CONTINUE || asked.contains_key(http::header::EXPECT));
            if wanted {
                let given =
                    self.client
                        .relay_head((head, self.last_down), view, false, &Own::default());
                given.map_err(|_| failure(Cause::ClientGone))?;
            }
            return Ok(true);
        }
        if head.is_event_stream() {
            self.event_stream = true;
            self.limits.idle = self.limits.idle.max(self.limits.event_stream_idle);
            self.events = head.length().is_none().then(Place::default);
        }
        if let Some(decline) = self.decline
            && decline(&head, self.tally)
        {
            return Err(self.declined(status.as_u16()));
        }
        if let Some(edits) = self.edits
            && edits.is_led_elsewhere(&head)
        {
            return Err(self.declined(status.as_u16()));
        }
        self.tally.upstream_status = Some(status.as_u16());
        self.tally.answered_at = Some(self.last_down);
        self.tally.response_begun = true;
        let end = !upgraded && self.upstream.body_is_complete();
        if let Some(edits) = self.edits {
            paced(&mut self.pace, edits.rate(&head));
            let (lines, plan) = edits.answer(self.client.head(), &head, end && !view.is_head);
            self.own.lines = Some(lines);
            if let Some(plan) = plan {
                self.own.recoded = true;
                // Answers to HEAD say what they would be.
                self.recoder = (!end).then(|| Box::new(Recoder::new(plan)));
                // An event of our own could not follow what is compressed.
                self.events = None;
            }
        }
        let given = self
            .client
            .relay_head((head, self.last_down), view, end, &self.own);
        given.map_err(|_| failure(Cause::ClientGone))?;
        if upgraded {
            self.downlink = Downlink::Upgraded;
            return Ok(true);
        }
        self.downlink = Downlink::Body;
        match &self.upstream {
            // What came of it together with its head.
            Peer::H1(_) => self.give(cx, |h1, take| h1.take_early_body(take))?,
            Peer::H2(h2) if h2.body_is_complete() => self.body_moved(Ok(BodyProgress::Complete))?,
            Peer::H2(_) => {}
        }
        // Most answers come whole with their head, and nobody can see them wait.
        if self.downlink == Downlink::Body {
            self.waits_for_end();
        }
        Ok(true)
    }

    fn read_body(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let Some(room) = self.room(cx) else {
            return Ok(false);
        };
        let h1 = match &mut self.upstream {
            Peer::H1(h1) => h1,
            Peer::H2(_) => return self.read_frames(cx),
        };
        let mut scratch = [const { MaybeUninit::<u8>::uninit() }; PIECE];
        let mut scratch = ReadBuf::uninit(&mut scratch[..room]);
        match h1.poll_read(cx, &mut scratch) {
            Poll::Pending => return self.give_paused(cx),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Err(failure(Cause::UpstreamReset)),
        }
        self.last_down = now();
        let bytes = scratch.filled();
        self.give(cx, |h1, take| h1.take_body(bytes, take))?;
        Ok(true)
    }

    /// As [`Self::read_body`], of HTTP/2.
    fn read_frames(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let Peer::H2(h2) = &mut self.upstream else {
            return Ok(false);
        };
        let piece = match h2.poll_body(cx) {
            Poll::Pending => return self.give_paused(cx),
            Poll::Ready(Ok(piece)) => piece,
            Poll::Ready(Err(error)) if error.is_io() => {
                return Err(failure(Cause::UpstreamTruncated));
            }
            Poll::Ready(Err(_)) => return Err(failure(Cause::UpstreamReset)),
        };
        self.last_down = now();
        let Some(piece) = piece else {
            self.body_moved(Ok(BodyProgress::Complete))?;
            return Ok(true);
        };
        if let Some(recoder) = &mut self.recoder {
            recoder.take(&piece);
            return Ok(true);
        }
        self.tally.body_sent += piece.len() as u64;
        self.events = self.events.map(|place| place.after(&piece));
        let given = self.client.send_body(&piece, cx);
        given.map_err(|_| failure(Cause::ClientGone))?;
        Ok(true)
    }

    /// Gives to the client what `decode` finds of the body, which HTTP/1.1 frames.
    fn give(
        &mut self,
        cx: &mut Context<'_>,
        decode: impl FnOnce(&mut Connection, &mut dyn FnMut(&[u8])) -> Result<BodyProgress, BodyError>,
    ) -> Result<(), Failure> {
        let Peer::H1(upstream) = &mut self.upstream else {
            return Ok(());
        };
        let (client, sent) = (&mut *self.client, &mut self.tally.body_sent);
        let (events, recoder) = (&mut self.events, &mut self.recoder);
        let mut given = Ok(());
        let progress = decode(upstream, &mut |piece| {
            if let Some(recoder) = recoder {
                return recoder.take(piece);
            }
            *sent += piece.len() as u64;
            *events = events.map(|place| place.after(piece));
            if given.is_ok() {
                given = client.send_body(piece, cx);
            }
        });
        given.map_err(|_| failure(Cause::ClientGone))?;
        self.body_moved(progress)
    }
}
