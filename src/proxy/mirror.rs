//! Sends requests a second time, to another route of the site, and throws away what that answers: nginx's `mirror`.
//!
//! A task of its own for each; the first request neither waits for it nor fails with it. Bounds: so many under way for a
//! route, so much of a body that waits for a slow mirror, and the mirror's own time limits. One that is left behind is
//! given up. Invariant: what was mirrored with less than its whole body is cut off, never ended.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Method, header};
use parking_lot::Mutex;
use pingora::http::RequestHeader;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::anew::{Asked, with_target};
use super::app::{App, Facts};
use super::aside::{Beside, Course, Way};
use super::checks::Checked;
use super::client::Client;
use super::filter::forwarded;
use super::filter::request::{self, Changes};
use super::filter::trailers::write_last_chunk;
use super::heads;
use super::trace::Trace;
use crate::router::Seen;
use crate::router::target::path_of;
use crate::snapshot::stream::Slot;
use crate::snapshot::{Mirror, RunningRoute, Snapshot};
use crate::transport::now;
use crate::upstream::Keys;
use crate::upstream::connect::ConnectLimits;
use crate::upstream::endpoint::Outcome;
use crate::upstream::http1::{Connection, Request, RequestBody};
use crate::upstream::pool::Pool;

/// Mirrored requests of one route at once.
const MOST: usize = 128;

/// Bytes of one body that wait for its mirror.
const WAITING: usize = 1024 * 1024;

/// What mirrors get of a request's body, while it goes where it is meant to go.
pub struct Feed(Vec<Mutex<Option<Line>>>);

struct Line {
    give: mpsc::UnboundedSender<Piece>,
    waiting: Arc<AtomicUsize>,
}

/// A piece of a body, or its end.
enum Piece {
    Bytes(Bytes),
    End,
}

impl Feed {
    /// Gives a piece on.
    pub(super) fn give(&self, piece: &Bytes) {
        for line in &self.0 {
            let mut line = line.lock();
            let Some(open) = &*line else { continue };
            let waiting = open.waiting.fetch_add(piece.len(), Ordering::Relaxed);
            let too_slow = waiting + piece.len() > WAITING;
            if too_slow || open.give.send(Piece::Bytes(piece.clone())).is_err() {
                *line = None;
            }
        }
    }

    /// Says that the body was whole.
    pub(super) fn end(&self) {
        for line in &self.0 {
            if let Some(open) = line.lock().take()
                && open.give.send(Piece::End).is_err()
            {
                tracing::debug!(event = "mirror.given_up", "the mirror is gone");
            }
        }
    }
}

impl App {
    /// Sends the request of `client` to the routes that mirror it. The rest of it is to be given to what this gives.
    pub(super) fn mirror(
        &self,
        asked: Asked<'_>,
        mirror: &Mirror,
        client: &Client,
        route: &RunningRoute,
        trace: &Trace,
    ) -> Feed {
        let head = client.head();
        let framing = match mirror.config.body && route.config.action.forwards() {
            true => request::framing(head, asked.checked.present, client.h2_has_body()),
            false => RequestBody::None,
        };
        let mut feed = Vec::new();
        for path in &mirror.config.paths {
            let Some(slot) = Slot::take(&mirror.under_way, MOST) else {
                tracing::debug!(event = "mirror.given_up", path, "too many are under way");
                continue;
            };
            let (give, take) = mpsc::unbounded_channel();
            let waiting = Arc::new(AtomicUsize::new(0));
            let task = Mirrored {
                facts: self.facts.clone(),
                snapshot: asked.snapshot.clone(),
                checked: with_target(asked.checked, asked.checked.target.to_vec()),
                id: asked.id.to_owned(),
                pool: self.pool.clone(),
                head: head_of(head, framing),
                site: trace.site,
                seen: trace.seen.clone(),
                path: path.clone(),
                framing,
                take,
                waiting: waiting.clone(),
                _slot: slot,
            };
            tokio::spawn(task.run());
            feed.push(Mutex::new(Some(Line { give, waiting })));
        }
        let feed = Feed(feed);
        if framing == RequestBody::None {
            feed.end();
        }
        feed
    }
}

/// The head that is mirrored.
fn head_of(request: &RequestHeader, framing: RequestBody) -> RequestHeader {
    let mut head = request.clone();
    head.remove_header(&header::EXPECT);
    head.remove_header(&header::UPGRADE);
    if framing == RequestBody::None {
        head.remove_header(&header::CONTENT_LENGTH);
        head.remove_header(&header::TRANSFER_ENCODING);
    }
    head
}

/// One request on its second way.
struct Mirrored {
    facts: Facts,
    snapshot: Arc<Snapshot>,
    checked: Checked,
    id: String,
    pool: Arc<Pool>,
    head: RequestHeader,
    site: Option<usize>,
    /// What variables it knows.
    seen: Option<Box<Seen>>,
    path: Box<str>,
    framing: RequestBody,
    take: mpsc::UnboundedReceiver<Piece>,
    waiting: Arc<AtomicUsize>,
    _slot: Slot,
}

impl Mirrored {
    async fn run(mut self) {
        if self.sent().await.is_none() {
            let path = &*self.path;
            tracing::debug!(
                event = "mirror.failed",
                path,
                "a mirrored request was not answered"
            );
        }
    }

    async fn sent(&mut self) -> Option<()> {
        let beside = Beside {
            facts: &self.facts,
            snapshot: &self.snapshot,
            checked: &self.checked,
            id: &self.id,
        };
        let args = path_of(&self.checked.target).1.unwrap_or_default();
        let mut course = Course::new((self.site, self.seen.take()), &self.path, args);
        let Way::To(route) = beside.lead(&self.head, &mut course).await? else {
            // Its answer would be thrown away.
            return Some(());
        };
        let special = route.special.as_deref();
        if special.is_some_and(|special| special.answered) {
            return Some(());
        }
        let request = heads::Request {
            facts: &self.facts,
            snapshot: &self.snapshot,
            checked: &self.checked,
            id: &self.id,
        };
        let own = &mut course.own;
        let mut prepared = special.map(|special| request.prepare(route, special, &self.head, own));
        if let Some(prepared) = &mut prepared
            && !prepared.meet(&self.snapshot).await
        {
            return None;
        }
        let prepared = prepared.as_deref();
        let target = beside.target(route, prepared, &course);
        let route = prepared
            .and_then(|prepared| prepared.route.as_ref())
            .unwrap_or(route);
        let trusted_proxies = &self.snapshot.config.server.trusted_proxies;
        let peer = self.facts.peer.ip();
        let client = forwarded::client_address(peer, trusted_proxies, &self.head.headers);
        let client = client.to_string();
        let origin = beside.origin(&client, self.site);
        let changes = Changes {
            target: &target,
            origin: &origin,
            present: self.checked.present,
            framing: self.framing,
            session: (route.group.config.sticky.as_ref()).map(|sticky| &*sticky.cookie),
            upgrade: None,
            own: prepared.and_then(|prepared| prepared.fields.as_ref()),
        };
        let group = &route.group;
        let endpoint = group.choose(&Keys::default(), &[], now())?;
        let limits = ConnectLimits {
            tcp: route.timeouts.connect,
            tls: route.timeouts.tls,
        };
        let line = group.connector.line(endpoint.address);
        let connected = group.connector.connect(line, limits).await;
        let Ok(mut upstream) = connected else {
            endpoint.report(Outcome::ConnectFailed, now());
            return None;
        };
        let wire = upstream.begin(Request {
            body: self.framing,
            is_head: self.head.method == Method::HEAD,
            upgrade: false,
        });
        request::write(&self.head, b"", &changes, wire);
        loop {
            let drained = poll_fn(|cx| upstream.poll_drain(cx));
            timeout(route.timeouts.idle, drained).await.ok()?.ok()?;
            // Whoever sends the body has its own limits of time.
            match self.take.recv().await? {
                Piece::End => break,
                Piece::Bytes(piece) => {
                    self.waiting.fetch_sub(piece.len(), Ordering::Relaxed);
                    let write = |cx: &mut std::task::Context<'_>| {
                        std::task::Poll::Ready(upstream.write_body(&piece, cx))
                    };
                    poll_fn(write).await.ok()?;
                }
            }
        }
        if self.framing != RequestBody::None {
            upstream.finish_body(|wire| write_last_chunk(&http::HeaderMap::new(), wire));
        }
        let answered = timeout(route.timeouts.response, answered(&mut upstream));
        answered.await.ok()??;
        if upstream.body_is_complete() && upstream.is_reusable() {
            self.pool.put(line, upstream, &group.config, now());
        }
        Some(())
    }
}

/// Waits for the head of the answer.
async fn answered(upstream: &mut Connection) -> Option<()> {
    poll_fn(|cx| upstream.poll_drain(cx)).await.ok()?;
    loop {
        poll_fn(|cx| upstream.poll_head(cx)).await.ok()?;
        if !upstream.head().status().is_informational() {
            return Some(());
        }
    }
}
