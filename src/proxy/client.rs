//! The client's side of an exchange, the same for HTTP/1 and HTTP/2.
//!
//! Everything here polls: the exchange moves both directions in one task, and neither may hold the other up. Writes
//! never wait; [`Client::is_writable`] says when to stop giving more. Invariant: a response that was not finished is
//! never made to look finished.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::header::{EXPECT, SET_COOKIE, STRICT_TRANSPORT_SECURITY};
use http::{HeaderMap, StatusCode};
use pingora::http::RequestHeader;
use pingora::protocols::http::v1::server::HttpSession as H1Session;

use super::answer::Answer;
use super::date;
use super::filter::response::{self, Afterwards, Framing};
use super::filter::trailers::{allowed, passing, write_last_chunk};
use super::h2::stream::Stream;
use super::terms::leaves_body;
use crate::config::{ClientTerms, FieldNames};
use crate::transport::chunks::write_size;
use crate::transport::{Link, now};
use crate::upstream::http1::ResponseHead;

/// What is kept for a client that is slower than the upstream, before the upstream is left waiting.
pub const HIGH_WATER: usize = 64 * 1024;

/// A request's client.
pub enum Client {
    /// HTTP/1.0 or 1.1.
    H1 {
        /// The engine's session. Boxed: it is large and moves.
        session: Box<H1Session>,
        /// Its connection.
        link: Arc<Link>,
        /// The target, when the engine saw it masked.
        odd_target: Option<Box<[u8]>>,
        /// How the response's body goes on; `None` until its head has been written.
        framing: Option<Framing>,
        /// Whether anything was given since the link was last seen empty: most questions to it can then be spared.
        given: bool,
        /// What its site or route says that it gets.
        terms: Option<Arc<ClientTerms>>,
    },
    /// A stream of HTTP/2.
    H2(Box<Stream>),
}

/// What a client did to its own request.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It left.
    #[error("the client has left")]
    Gone,
    /// Its body is not framed as its head says.
    #[error("the request body is malformed")]
    Malformed(#[source] Box<pingora::Error>),
}

impl Client {
    /// A client over an HTTP/1 session whose request has been read.
    pub fn h1(session: Box<H1Session>, link: Arc<Link>) -> Self {
        Self::H1 {
            session,
            odd_target: link.odd_target(),
            link,
            framing: None,
            given: false,
            terms: None,
        }
    }

    /// A client over a stream of HTTP/2.
    pub fn h2(stream: Box<Stream>) -> Self {
        Self::H2(stream)
    }

    /// The request's head.
    pub fn head(&self) -> &RequestHeader {
        match self {
            Self::H1 { session, .. } => session.req_header(),
            Self::H2(h2) => h2.head(),
        }
    }

    /// The bytes that the head was read from; none on HTTP/2.
    pub fn source(&self) -> Bytes {
        match self {
            Self::H1 { session, .. } => session.get_headers_raw_bytes(),
            Self::H2(_) => Bytes::new(),
        }
    }

    /// The request target as received.
    pub fn target(&self) -> &[u8] {
        match self {
            Self::H1 {
                odd_target: Some(target),
                ..
            } => target,
            other => other.head().raw_path(),
        }
    }

    /// Makes the request a GET without a body, which has been read; HEAD stays.
    pub fn becomes_get(&mut self) {
        let head = match self {
            Self::H1 { session, .. } => session.req_header_mut(),
            Self::H2(h2) => h2.head_mut(),
        };
        if head.method != http::Method::HEAD {
            head.set_method(http::Method::GET);
        }
        head.remove_header(&http::header::CONTENT_LENGTH);
        head.remove_header(&http::header::TRANSFER_ENCODING);
    }

    /// Leaves out the fields whose names do not count.
    pub(super) fn leave_out(&mut self, names: FieldNames) {
        let all = self.head().headers.keys();
        let odd = all.filter(|name| !names.admit(name.as_str()));
        let odd: Vec<_> = odd.cloned().collect();
        let head = match self {
            Self::H1 { session, .. } => session.req_header_mut(),
            Self::H2(h2) => h2.head_mut(),
        };
        for name in &odd {
            head.remove_header(name);
        }
    }

    /// Whether this is HTTP/2.
    pub fn is_h2(&self) -> bool {
        matches!(self, Self::H2(_))
    }

    /// Whether an HTTP/2 request goes on after its head.
    pub fn h2_has_body(&self) -> bool {
        match self {
            Self::H1 { .. } => false,
            Self::H2(h2) => h2.has_body(),
        }
    }

    /// Whether the request's body has been read to its end.
    pub fn body_is_done(&mut self) -> bool {
        match self {
            Self::H1 { session, .. } => session.is_body_done(),
            Self::H2(h2) => !h2.has_body(),
        }
    }

    /// The next piece of the request's body, `None` at its end. Pieces are never empty.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ClientError>> {
        loop {
            let piece = match self {
                Self::H1 { session, link, .. } => {
                    // Most requests have none, and to ask for it is dear.
                    if session.is_body_done() {
                        return Poll::Ready(Ok(None));
                    }
                    match ready!(pin!(session.read_body_bytes()).poll(cx)) {
                        Ok(piece) => piece,
                        Err(error) => {
                            return Poll::Ready(Err(body_error(error, link.fault().is_some())));
                        }
                    }
                }
                Self::H2(h2) => match ready!(h2.poll_body(cx)) {
                    Some(Ok(piece)) => Some(piece),
                    Some(Err(_)) => return Poll::Ready(Err(ClientError::Gone)),
                    None => None,
                },
            };
            match piece {
                Some(piece) if piece.is_empty() => continue,
                other => return Poll::Ready(Ok(other)),
            }
        }
    }

    /// Writes an answer of hubgate's own, without its body when the request was HEAD. What is too large to be held, and all
    /// of a body that changes on its way, is left for [`Self::send_body`] and [`Self::finish`].
    pub fn send_answer(&mut self, answer: &Answer, cx: &mut Context<'_>) -> io::Result<()> {
        self.begin_answer(answer)?;
        let bodiless = self.has_no_body(answer);
        if answer.recode.is_some() && !bodiless {
            return Ok(());
        }
        let body = if bodiless { &[][..] } else { &answer.body[..] };
        let length = if bodiless { 0 } else { answer.length() };
        self.send_body(body, cx)?;
        if length == body.len() as u64 {
            self.finish(HeaderMap::new());
        }
        Ok(())
    }

    fn has_no_body(&self, answer: &Answer) -> bool {
        self.head().method == http::Method::HEAD || matches!(answer.status, 204 | 304)
    }

    /// Writes the head of an answer of hubgate's own; all of its body is left for [`Self::send_body`] and [`Self::finish`].
    pub fn begin_answer(&mut self, answer: &Answer) -> io::Result<()> {
        let bodiless = self.has_no_body(answer);
        let length = if bodiless { 0 } else { answer.length() };
        match self {
            Self::H1 {
                session,
                link,
                framing,
                given,
                terms,
                ..
            } => {
                *given = true;
                let whole = match bodiless {
                    true => Framing::Length(0),
                    false => answer.framing(session.req_header().version),
                };
                let ends = whole == Framing::UntilClose
                    || !session.is_body_done() && !leaves_body(answer.status);
                let after = afterwards(session, link, terms.as_deref(), ends);
                let date = date::at(now());
                link.append(|wire| answer.write_head(&date, whole, after, wire));
                *framing = Some(whole);
            }
            Self::H2(h2) => {
                h2.send_head(answer.status(), answer.fields(), now(), length == 0)?;
            }
        }
        Ok(())
    }

    /// Writes the client's form of the upstream's `head`, which came `at` a moment ago; `end` when no body follows.
    /// Informational heads may come first.
    pub fn relay_head(
        &mut self,
        (head, at): (ResponseHead<'_>, Instant),
        view: response::Client,
        end: bool,
        own: &response::Own<'_>,
    ) -> io::Result<()> {
        let (session, link, framing, terms) = match self {
            Self::H1 {
                session,
                link,
                framing,
                given,
                terms,
                ..
            } => {
                *given = true;
                (session, link, framing, terms)
            }
            Self::H2(h2) => {
                let mut fields = response::fields(&head, own).map_err(io::Error::other)?;
                if head.status().is_informational() {
                    return h2.send_informational(head.status(), fields);
                }
                if let Some(cookie) = &own.cookie {
                    fields.append(SET_COOKIE, (**cookie).clone());
                }
                if let Some(strict) = own.strict {
                    fields.insert(STRICT_TRANSPORT_SECURITY, strict.clone());
                }
                return h2.send_head(own.status.unwrap_or(head.status()), fields, at, end);
            }
        };
        if head.status().is_informational() {
            if head.status() == StatusCode::SWITCHING_PROTOCOLS {
                *framing = Some(Framing::UntilClose);
            }
            link.append(|wire| response::write_informational(&head, own, wire));
            return Ok(());
        }
        let body = response::framing(&head, view, own.recoded);
        // A client that waits for 100 may never send what is left of its body.
        let unread = !session.is_body_done()
            && (!leaves_body(own.status.unwrap_or(head.status()).as_u16())
                || session.req_header().headers.contains_key(EXPECT));
        let ends = body == Framing::UntilClose || unread;
        let after = afterwards(session, link, terms.as_deref(), ends);
        link.append(|wire| response::write(&head, body, after, &date::at(at), own, wire));
        *framing = Some(body);
        Ok(())
    }

    /// Whether more of the body may be given now.
    pub fn is_writable(&self) -> bool {
        match self {
            Self::H1 { link, given, .. } => !given || link.buffered() < HIGH_WATER,
            Self::H2(h2) => h2.is_writable(),
        }
    }

    /// Gives a piece of the response's body. Call only when [`Self::is_writable`].
    pub fn send_body(&mut self, piece: &[u8], cx: &mut Context<'_>) -> io::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        match self {
            Self::H1 {
                link,
                framing,
                given,
                ..
            } => {
                *given = true;
                write_framed(link, framing, piece, cx)
            }
            Self::H2(h2) => {
                h2.give(piece);
                Ok(())
            }
        }
    }

    /// Says that the body is complete, with its trailers.
    pub fn finish(&mut self, trailers: HeaderMap) {
        match self {
            Self::H1 {
                link,
                framing,
                given,
                ..
            } => {
                if *framing == Some(Framing::Chunked) {
                    *given = true;
                    link.append(|wire| write_last_chunk(&trailers, wire));
                }
            }
            Self::H2(h2) => h2.finish(trailers),
        }
    }

    /// The trailers of the request's body, which has been read to its end.
    pub fn body_trailers(&self) -> HeaderMap {
        match self {
            Self::H1 { link, .. } => allowed(&link.request_trailers()),
            Self::H2(h2) => passing(h2.body_trailers()),
        }
    }

    /// Has the connection closed after the answer, because what follows on it cannot be told apart.
    pub fn close_after_answer(&mut self) {
        if let Self::H1 { session, .. } = self {
            session.set_server_keepalive(None);
        }
    }

    /// Ready when all that was given is on its way.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::H1 { given: false, .. } => Poll::Ready(Ok(())),
            Self::H1 { link, given, .. } => {
                ready!(link.poll_drain(cx))?;
                *given = false;
                Poll::Ready(Ok(()))
            }
            Self::H2(h2) => h2.poll_drain(cx),
        }
    }

    /// Since when the client takes nothing of what waits for it.
    pub fn stalled_since(&self) -> Option<Instant> {
        match self {
            Self::H1 { given: false, .. } => None,
            Self::H1 { link, .. } => link.stalled_since(),
            Self::H2(h2) => h2.stalled_since(),
        }
    }

    /// Ready once `at` has passed. On HTTP/1 the connection's own timer serves all its requests.
    pub fn poll_deadline(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::H1 { link, .. } => link.poll_deadline(at, cx),
            Self::H2(h2) => h2.poll_deadline(at, cx),
        }
    }

    /// Ready when the client has left. On HTTP/1 an end of its side counts, as it does for nginx.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::H1 { link, .. } => link.poll_closed(cx),
            Self::H2(h2) => h2.poll_gone(cx),
        }
    }

    /// Ends a response whose body has no end of its own, an event stream, as if that were its end. False when its length
    /// was told.
    pub fn finish_early(&mut self) -> bool {
        if let Self::H1 {
            framing: Some(Framing::Length(_)),
            ..
        } = self
        {
            return false;
        }
        self.close_after_answer();
        self.finish(HeaderMap::new());
        true
    }

    /// Whether the process ends and no more can be waited for.
    pub fn is_over(&self) -> bool {
        match self {
            Self::H1 { link, .. } => link.is_over(),
            Self::H2(h2) => h2.is_over(),
        }
    }

    /// Ends a response that cannot be completed so that the client knows: a reset stream, a closed connection.
    pub fn abort(&mut self) {
        match self {
            Self::H1 {
                session,
                link,
                framing,
                ..
            } => {
                session.set_server_keepalive(None);
                if matches!(framing, None | Some(Framing::UntilClose)) {
                    // Its end is the connection's: only a reset tells it from a complete one.
                    link.abort();
                }
            }
            Self::H2(h2) => h2.abort(),
        }
    }
}

/// Writes a piece of a body as its framing asks.
fn write_framed(
    link: &Link,
    framing: &mut Option<Framing>,
    piece: &[u8],
    cx: &mut Context<'_>,
) -> io::Result<()> {
    match framing {
        Some(Framing::Length(left)) => {
            let count = usize::try_from(*left)
                .unwrap_or(usize::MAX)
                .min(piece.len());
            *left -= count as u64;
            link.write(cx, &piece[..count])
        }
        Some(Framing::Chunked) => {
            let size = |wire: &mut Vec<u8>| write_size(piece.len(), wire);
            link.write_between(cx, size, piece, b"\r\n")
        }
        Some(Framing::UntilClose) => link.write(cx, piece),
        Some(Framing::None) | None => Ok(()),
    }
}

/// Whether the connection goes on after the response, whose head is written now, unless that `ends` it, or a drain.
fn afterwards(
    session: &mut H1Session,
    link: &Link,
    terms: Option<&ClientTerms>,
    ends: bool,
) -> Afterwards {
    if ends || link.is_leaving() {
        session.set_server_keepalive(None);
    }
    match (session.will_keepalive(), terms.and_then(|terms| terms.told)) {
        (false, _) => Afterwards::Close,
        (true, None) => Afterwards::Keep,
        (true, Some(told)) => Afterwards::KeepFor(told.as_secs()),
    }
}

fn body_error(error: Box<pingora::Error>, refused: bool) -> ClientError {
    match error.etype() {
        _ if refused => ClientError::Malformed(error),
        pingora::ErrorType::ConnectionClosed | pingora::ErrorType::ReadError => ClientError::Gone,
        _ => ClientError::Malformed(error),
    }
}
