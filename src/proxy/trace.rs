//! What happened to a request, gathered on the way for the access log and the metrics.
//!
//! Plain data; `record` turns it into counts and a line.

use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue};

use super::anew::Detour;
use super::exchange::Tally;
use super::known::{Kept, Known};
use super::values::Place;
use crate::observe::cause::Cause;
use crate::router::Seen;
use crate::types::endpoint_address::EndpointAddress;
use crate::types::name::UpstreamName;

/// Failed tries that are kept of one request: the first ones.
const MOST_TRIES: usize = 8;

/// One try of a request at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// Where.
    pub endpoint: EndpointAddress,
    /// Since when, connecting included.
    pub begun: Instant,
    /// Time a new connection took; `None` on one that was open already, and where none could be made.
    pub connect_time: Option<Duration>,
    /// The status it answered with, if it did.
    pub status: Option<u16>,
    /// Why it was no answer, or not a whole one.
    pub cause: Option<Cause>,
    /// When another try took its place; `None` for the last one.
    pub ended: Option<Instant>,
    /// When its request was given to a connection.
    pub sent_at: Option<Instant>,
    /// When the head of its answer came.
    pub answered_at: Option<Instant>,
    /// Bytes of its answer's body.
    pub body: u64,
    /// All bytes from and to it.
    pub bytes: (u64, u64),
    /// Whether another route, or the same one anew, asked it.
    pub anew: bool,
    /// What the system said of a connection that could not be made.
    pub errno: Option<i32>,
}

impl Try {
    /// One that begins.
    pub fn begun(endpoint: EndpointAddress, begun: Instant) -> Self {
        Self {
            endpoint,
            begun,
            connect_time: None,
            status: None,
            cause: None,
            ended: None,
            sent_at: None,
            answered_at: None,
            body: 0,
            bytes: (0, 0),
            anew: false,
            errno: None,
        }
    }
}

/// What limits said of a request, in nginx's words.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitedBy {
    /// Those of rates.
    pub rate: Option<&'static str>,
    /// Those of how many at once.
    pub concurrency: Option<&'static str>,
}

/// The course of one request.
#[derive(Debug)]
pub struct Trace {
    /// When its head was complete.
    pub started: Instant,
    /// The status the client got.
    pub status: u16,
    /// Why hubgate answered itself or ended it.
    pub cause: Option<Cause>,
    /// Bytes and heads exchanged with the upstream.
    pub tally: Tally,
    /// Bytes of an answer of our own.
    pub own_body: u64,
    /// The site's index.
    pub site: Option<usize>,
    /// The route's index in the snapshot.
    pub route: Option<usize>,
    /// How it has strayed from its first route.
    pub detour: Detour,
    /// What finding the route told; `None` on most sites.
    pub seen: Option<Box<Seen>>,
    /// Who was asked, if not the route's.
    pub upstream: Option<UpstreamName>,
    /// The endpoint tried last.
    pub endpoint: Option<EndpointAddress>,
    /// Time a new connection to it took.
    pub connect_time: Option<Duration>,
    /// When the try under way began.
    begun: Option<Instant>,
    /// Whether it is the first since a detour.
    anew: bool,
    /// What the system said of its connection, which could not be made.
    pub errno: Option<i32>,
    /// Those before it; empty, and without memory of its own, for most requests.
    failed: Vec<Try>,
    /// When the request's head was handed to the upstream.
    pub sent_at: Option<Instant>,
    /// Bytes from and to the client through a tunnel.
    pub tunnel: (u64, u64),
    /// Whether the client got all of the answer.
    pub whole: bool,
    /// What limits said.
    pub limited: LimitedBy,
    /// Lines of heads that a log names.
    pub kept: Option<Box<Kept>>,
    /// The head of an answer that led elsewhere.
    pub said: Option<Box<Kept>>,
    /// Fields of an answer that led elsewhere, for the answer from there.
    pub led: Vec<(HeaderName, HeaderValue)>,
}

impl Trace {
    /// Where the request has come to.
    pub fn place(&self) -> Place<'_> {
        Place {
            site: self.site,
            route: self.route,
            seen: self.seen.as_deref(),
        }
    }

    /// What upstreams have said so far; `None` where none was asked.
    pub fn known(&self) -> Option<Known<'_>> {
        let (failed, last) = (self.failed(), self.last());
        let asked = !failed.is_empty() || last.is_some();
        // Of an error's page it is the error's.
        let error = self.detour.status.map(|status| status.as_u16());
        (asked || error.is_some()).then(|| Known {
            status: error.unwrap_or(self.status),
            kept: self.said.as_deref().or(self.kept.as_deref()),
            failed,
            last,
            over: last.and_then(|last| last.answered_at),
            ..Known::default()
        })
    }

    /// Of a request that begins now.
    pub fn begin(now: Instant) -> Self {
        Self {
            started: now,
            status: 0,
            cause: None,
            tally: Tally::default(),
            own_body: 0,
            site: None,
            route: None,
            detour: Detour::default(),
            seen: None,
            upstream: None,
            endpoint: None,
            connect_time: None,
            begun: None,
            anew: false,
            errno: None,
            failed: Vec::new(),
            sent_at: None,
            tunnel: (0, 0),
            whole: false,
            limited: LimitedBy::default(),
            kept: None,
            said: None,
            led: Vec::new(),
        }
    }

    /// Notes that an upstream is asked, perhaps after another was.
    pub fn asks(&mut self, at: Instant) {
        self.settles(at);
        self.anew = !self.failed.is_empty();
    }

    /// Notes that the try under way is over, for something else answers.
    pub fn settles(&mut self, at: Instant) {
        if self.begun.is_some() {
            self.try_failed(None, at);
        }
    }

    /// Notes that `endpoint` is tried from `at` on.
    pub fn try_begins(&mut self, endpoint: EndpointAddress, at: Instant) {
        self.endpoint = Some(endpoint);
        self.begun = Some(at);
        self.connect_time = None;
        self.sent_at = None;
        self.errno = None;
    }

    /// Notes that the try under way failed, and that another may follow. Without a cause it is its status that failed.
    pub fn try_failed(&mut self, cause: Option<Cause>, at: Instant) {
        if let Some(failed) = self.current(cause, Some(at))
            && self.failed.len() < MOST_TRIES
        {
            self.failed.push(failed);
        }
        self.begun = None;
        self.anew = false;
    }

    /// The tries before the last one.
    pub fn failed(&self) -> &[Try] {
        &self.failed
    }

    /// The last try, or the one under way.
    pub fn last(&self) -> Option<Try> {
        self.current(self.cause, None)
    }

    /// Every try at an endpoint, in order; the last is the one that answered, unless it has a cause.
    pub fn tries(&self) -> impl Iterator<Item = Try> {
        self.failed.iter().copied().chain(self.last())
    }

    fn current(&self, cause: Option<Cause>, ended: Option<Instant>) -> Option<Try> {
        Some(Try {
            endpoint: self.endpoint?,
            begun: self.begun?,
            connect_time: self.connect_time,
            status: self.tally.upstream_status,
            cause,
            ended,
            sent_at: self.sent_at,
            answered_at: self.tally.answered_at,
            body: self.tally.body_sent,
            bytes: self.tally.bytes,
            anew: self.anew,
            errno: self.errno,
        })
    }

    /// From the request's dispatch to the head of its answer.
    pub fn response_time(&self) -> Option<Duration> {
        Some(
            self.tally
                .answered_at?
                .saturating_duration_since(self.sent_at?),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_try_is_told_once_and_the_last_with_how_the_request_ended() {
        let mut trace = Trace::begin(Instant::now());
        let at = trace.started;
        let [a, b] = [1, 2].map(|port| std::net::SocketAddr::from(([127, 0, 0, 1], port)).into());
        assert_eq!((trace.tries().count(), trace.failed.capacity()), (0, 0));
        trace.try_begins(a, at);
        trace.try_failed(Some(Cause::UpstreamConnect), at + Duration::from_secs(1));
        assert_eq!(trace.tries().count(), 1);
        trace.try_begins(b, at + Duration::from_secs(1));
        trace.connect_time = Some(Duration::from_millis(3));
        trace.cause = Some(Cause::UpstreamIdle);
        let tries: Vec<_> = trace.tries().collect();
        assert_eq!(tries.len(), 2);
        assert_eq!(
            (tries[0].endpoint, tries[0].cause),
            (a, Some(Cause::UpstreamConnect))
        );
        assert_eq!(
            (tries[1].endpoint, tries[1].cause),
            (b, Some(Cause::UpstreamIdle))
        );
        assert_eq!((tries[0].connect_time, tries[1].ended), (None, None));
        for _ in 0..100 {
            trace.try_begins(a, at);
            trace.try_failed(Some(Cause::UpstreamConnect), at);
        }
        assert_eq!(trace.tries().count(), MOST_TRIES);
    }
}
