//! The course of a request, top to bottom: read, check, decide, answer or forward, log, keep or close the connection.
//!
//! One [`App`] serves one connection; what all share is in [`Shared`]. pingora-core reads
//! HTTP/1 requests, one after the other; `h2` gives the streams of HTTP/2. Invariant: every request that began is counted and logged once,
//! whatever becomes of it; a panic ends one request with 500, and nothing else.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use pingora::protocols::http::ReusableHttpStream;
use pingora::protocols::http::v1::server::HttpSession as H1Session;
use pingora::server::ShutdownWatch;

use super::anew::Asked;
use super::answered::{answered, is_too_large};
use super::checks::Checked;
use super::client::Client;
use super::contained::contained;
#[cfg(debug_assertions)]
use super::contained::defect;
use super::decide::{Decision, decide};
pub use super::facts::Facts;
use super::filter::forwarded::{self, Origin};
use super::filter::request::{self, Changes};
use super::forward::{Forward, Forwarded};
use super::h2::stream::Ended;
use super::heads::Edits;
use super::request_id::RequestId;
pub use super::shared::{Drain, Shared};
use super::strangers::introduce;
use super::trace::Trace;
use super::{client_certificate, close, fallback, gathered, heads, pace, record, refuse, splice};
use crate::config::{CertificateSource, FieldNames};
use crate::observe::cause::Cause;
use crate::observe::events;
use crate::observe::open::{Entry, Kind, Place, Wait};
use crate::snapshot::Snapshot;
use crate::transport::{EngineStream, Link, now};
use crate::types::header::X_REQUEST_ID;
use crate::upstream::pool::Pool;

/// Serves one connection.
pub struct App {
    /// What all connections share.
    pub shared: Arc<Shared>,
    /// The worker's idle connections to endpoints.
    pub pool: Arc<Pool>,
    /// This connection.
    pub facts: Facts,
    /// Its bytes.
    pub link: Arc<Link>,
    /// What an operator sees of it.
    pub entry: Entry,
}

/// How a request left its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// Answered whole.
    Whole,
    /// Not to be used again.
    Broken,
    /// As broken, and it was the client that left.
    Gone,
}

impl App {
    /// Serves the requests of an HTTP/1 connection, one after the other, to its end.
    pub async fn serve_requests(&self, stream: EngineStream, shutdown: &ShutdownWatch) {
        let mut stream: pingora::protocols::Stream = Box::new(stream);
        let mut pipelined = None;
        loop {
            if pipelined.is_none() {
                poll_fn(|cx| self.link.poll_request(cx)).await;
            }
            // Boxed, so that a connection that waits for its next request is small; made where it stays.
            let room = Box::new_uninit();
            let served = Box::write(room, self.serve_request(stream, pipelined, shutdown));
            let served = Box::into_pin(served).await;
            let Some(reusable) = served else {
                return;
            };
            (stream, pipelined) = reusable.into_parts();
            self.link
                .await_request(pipelined.as_deref_mut().unwrap_or_default());
        }
    }

    /// Serves one request. Gives the stream back when another may follow it.
    async fn serve_request(
        &self,
        stream: pingora::protocols::Stream,
        pipelined: Option<BytesMut>,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusableHttpStream> {
        // Boxed at once, and made where it stays: it is large, and moves from hand to hand.
        let mut session = Box::write(Box::new_uninit(), H1Session::new(stream));
        // The link's gate watches the waits; the engine's own timers would only cost.
        session.set_read_timeout(None);
        session.set_server_keepalive(Some(0));
        session.set_pipelining_enabled(true);
        if let Some(pipelined) = pipelined {
            session.set_pipelined_prefix(pipelined);
        }
        match session.read_request().await {
            Ok(Some(_)) => {}
            Ok(None) => {
                if self.link.fault().is_some() {
                    self.refuse_head(None).await;
                } else if self.link.is_leaving() {
                    close::politely(&self.link).await;
                }
                return None;
            }
            Err(error) => {
                self.refuse_head(Some(&error)).await;
                return None;
            }
        }
        // The value is behind a lock, that it is a new one is not.
        if shutdown.has_changed().unwrap_or(true) && *shutdown.borrow() {
            session.set_server_keepalive(None);
        }
        let mut client = Client::h1(session, self.link.clone());
        let left = self.serve(&mut client, &self.entry, now()).await;
        self.entry.note(|row| {
            row.kind = Kind::Http1;
            row.wait = Wait::Request;
        });
        let kept = client.will_keepalive();
        if kept && left == Left::Whole && !client.body_is_done() {
            // Boxed, for most have none.
            Box::pin(close::discard_body(&mut client)).await;
        }
        let Client::H1 {
            mut session, terms, ..
        } = client
        else {
            return None;
        };
        if left != Left::Whole {
            return None;
        }
        let body_done = session.is_body_done();
        if !session.will_keepalive() || !body_done {
            // What did not come in time does not come later.
            close::after_answer(&self.link, !body_done && !kept, terms.as_deref()).await;
            return None;
        }
        session.reuse().await.ok().flatten()
    }

    /// Serves a stream of HTTP/2. Says what became of it.
    pub async fn serve_stream(&self, mut client: Client) -> Ended {
        let begun = now();
        let entry = self.entry.request(begun);
        let left = self.serve(&mut client, &entry, begun).await;
        match left {
            Left::Broken | Left::Gone => client.abort(),
            // Dropped now, the stream would be reset, and the reset can cost the client its answer.
            Left::Whole if !client.body_is_done() => close::rest_of_body(&mut client).await,
            Left::Whole => {}
        }
        Ended {
            given_up: left == Left::Gone,
            last: client.is_last(),
        }
    }

    /// Answers a head that never became a request.
    async fn refuse_head(&self, error: Option<&pingora::Error>) {
        let Some((cause, detail)) = close::head_cause(self.link.fault(), error) else {
            return;
        };
        let answer = refuse::unread(&self.shared, &self.facts, cause, &detail);
        self.link.append(|wire| wire.extend_from_slice(&answer));
        close::gracefully(&self.link, true).await;
    }

    async fn serve(&self, client: &mut Client, entry: &Entry, begun: Instant) -> Left {
        let snapshot = self.shared.snapshot.load_full();
        let in_flight = self.shared.metrics.request_started();
        let mut trace = Trace::begin(begun);
        let trusted = forwarded::is_trusted(
            self.facts.peer.ip(),
            &snapshot.config.server.trusted_proxies,
        );
        let given = trusted.then(|| client.head().headers.get(X_REQUEST_ID));
        let given = given.flatten().map(http::HeaderValue::as_bytes);
        let id = given
            .and_then(RequestId::given)
            .unwrap_or_else(RequestId::next);
        let id = id.as_str();
        let left = match self.check(&snapshot, client) {
            Ok(checked) => {
                let served = {
                    // Pinned where it is made: it is too large to be moved.
                    let dispatched = pin!(self.dispatch(
                        &snapshot,
                        client,
                        &checked,
                        trusted,
                        id,
                        (&mut trace, entry),
                    ));
                    match snapshot.events {
                        false => contained(dispatched).await,
                        true => contained(pin!(events::scoped(dispatched))).await,
                    }
                };
                match served {
                    Some(left) => left,
                    None => {
                        client.close_after_answer();
                        self.failed(&snapshot, client, Cause::Internal, id, &mut trace)
                            .await
                    }
                }
            }
            Err(cause) => {
                trace.site = self.site_of_refused(&snapshot, client, cause);
                self.answer_cause(&snapshot, client, cause, id, &mut trace)
                    .await
            }
        };
        drop(in_flight);
        trace.whole = left == Left::Whole;
        record::finished(self, &snapshot, client, &trace, id);
        left
    }

    async fn dispatch(
        &self,
        snapshot: &Arc<Snapshot>,
        client: &mut Client,
        checked: &Checked,
        trusted: bool,
        id: &str,
        (trace, entry): (&mut Trace, &Entry),
    ) -> Left {
        #[cfg(debug_assertions)]
        defect(client);
        let head = client.head();
        let tokens = &self.shared.tokens;
        let (site, decision) = decide(
            snapshot,
            tokens,
            &self.facts,
            &head.method,
            &head.headers,
            checked,
            &mut trace.seen,
        );
        trace.site = site;
        if let Some(site) = site.filter(|_| snapshot.events) {
            events::enter(snapshot.sites[site].access_log.events());
        }
        if let Some(site) = site
            && snapshot.sites[site].fields != FieldNames::All
        {
            client.leave_out(snapshot.sites[site].fields);
        }
        let decision = match site {
            Some(site) if self.facts.is_tls && snapshot.tls.ask() => {
                let found = (decision, &mut *trace);
                client_certificate::admit(&self.facts, snapshot, site, checked, found)
            }
            _ => decision,
        };
        let place = Place {
            generation: snapshot.generation,
            site,
            route: match &decision {
                Decision::Forward { route } => Some(*route),
                _ => None,
            },
            since: trace.started,
        };
        entry.note(|row| {
            row.wait = Wait::Upstream;
            row.endpoint = None;
            row.place = Some(place);
        });
        let asked = Asked {
            snapshot,
            checked,
            trusted,
            id,
            entry,
        };
        match (site, decision) {
            (_, Decision::Forward { route }) => {
                trace.route = Some(route);
                self.forward(asked, route, client, trace).await
            }
            // Boxed, as every detour.
            (_, Decision::Rules) => Box::pin(self.site_rules(asked, client, trace)).await,
            (site, Decision::ChallengeFallback(group)) => {
                let asking = fallback::Asking {
                    handed_on: &self.shared.handed_on,
                    client: forwarded::client_address(
                        self.facts.peer.ip(),
                        &snapshot.config.server.trusted_proxies,
                        &client.head().headers,
                    ),
                    also_ours: site.is_some_and(|site| {
                        snapshot.config.sites[site].certificate == CertificateSource::Acme
                    }),
                };
                // Boxed: rare, and four times as large as all the rest of a request's state.
                let asked = fallback::ask(&group, asking, client.head(), checked, trace);
                match Box::pin(asked).await {
                    Ok(answer) => self.answer(snapshot, client, answer, id, trace).await,
                    Err(cause) => self.answer_cause(snapshot, client, cause, id, trace).await,
                }
            }
            (_, Decision::Answer(answer)) => self.answer(snapshot, client, answer, id, trace).await,
            (_, Decision::Slash { route, answer }) => {
                trace.route = Some(route);
                self.answer(snapshot, client, answer, id, trace).await
            }
            (_, Decision::TooLarge { route }) => {
                trace.route = Some(route);
                let cause = Cause::BodyTooLarge;
                self.answer_cause(snapshot, client, cause, id, trace).await
            }
            (_, Decision::Refuse(cause)) => {
                self.answer_cause(snapshot, client, cause, id, trace).await
            }
        }
    }

    pub(super) async fn forward(
        &self,
        asked: Asked<'_>,
        route: usize,
        client: &mut Client,
        trace: &mut Trace,
    ) -> Left {
        let Asked {
            snapshot,
            checked,
            trusted,
            id,
            entry,
        } = asked;
        let index = route;
        let route = &snapshot.routes[route];
        if snapshot.events {
            events::enter(route.access_log.events());
        }
        if snapshot.terms {
            self.agree(snapshot, client, trace);
        }
        if route.ruled && !trace.detour.ruled {
            return self.route_rules(asked, index, client, trace).await;
        }
        let mut _held = Vec::new();
        if route.guard.is_some() {
            // Boxed, as all that few routes have.
            let guarded = self.guarded(snapshot, index, client, checked, id, trace);
            match Box::pin(guarded).await {
                // Until the request, or the tunnel it becomes, is over.
                Ok(places) => {
                    trace.detour.counted = true;
                    _held = places;
                }
                Err(refusal) => {
                    let answered = self.turned_away(snapshot, client, refusal, id, trace);
                    return Box::pin(answered).await;
                }
            }
        }
        let mirror = route.special.as_deref();
        let mirror = mirror.and_then(|special| special.mirror.as_ref());
        let feed = mirror.map(|mirror| self.mirror(asked, mirror, client, route, trace));
        let prepared = match route.special.as_deref() {
            None => None,
            Some(special) if special.answered && is_too_large(client, route.body_limit) => {
                let refused = self.answer_cause(snapshot, client, Cause::BodyTooLarge, id, trace);
                return Box::pin(refused).await;
            }
            Some(special) if special.files => {
                return Box::pin(self.files(asked, route, client, trace)).await;
            }
            Some(special) if special.answered => {
                let answer = answered(self, snapshot, route, client, checked, id, trace);
                return match answer.status {
                    444 => self.silent(client, trace),
                    400.. if answer.body.is_empty() => {
                        Box::pin(self.bare(asked, answer.status, client, trace)).await
                    }
                    _ => self.answer(snapshot, client, answer, id, trace).await,
                };
            }
            Some(special) => {
                if special.gathers && gathered::is_needed(&route.config) {
                    let time = snapshot.times(trace.site, trace.route).body;
                    let limits = (route.body_limit, time);
                    let read = gathered::read(client, limits, feed.as_ref(), trace);
                    if let Err(cause) = Box::pin(read).await {
                        return Box::pin(self.failed(snapshot, client, cause, id, trace)).await;
                    }
                }
                let request = heads::Request {
                    facts: &self.facts,
                    snapshot,
                    checked,
                    id,
                };
                let mut prepared = request.prepare(route, special, client.head(), trace);
                if trace.detour.stayed && special.rewrite.is_some() {
                    prepared.target = None;
                }
                if prepared.stranger.is_some() {
                    let found = introduce(&mut prepared, snapshot, client, trace);
                    if let Err(cause) = Box::pin(found).await {
                        return Box::pin(self.failed(snapshot, client, cause, id, trace)).await;
                    }
                }
                Some(prepared)
            }
        };
        let prepared = prepared.as_deref();
        let route = prepared
            .and_then(|prepared| prepared.route.as_ref())
            .unwrap_or(route);
        let peer = &*self.facts.peer_text;
        let said = trusted.then(|| {
            let trusted_proxies = &snapshot.config.server.trusted_proxies;
            let headers = &client.head().headers;
            forwarded::client_address(self.facts.peer.ip(), trusted_proxies, headers).to_string()
        });
        let origin = Origin {
            peer,
            usual: &self.facts.usual,
            client: said.as_deref().unwrap_or(peer),
            trusted,
            scheme: self.facts.scheme(),
            port: checked
                .authority
                .port
                .unwrap_or(if self.facts.is_tls { 443 } else { 80 }),
            host: &checked.host_value,
            request_id: id,
            certificate: client_certificate::lines(&self.facts, snapshot, trace.site),
        };
        let own = prepared.and_then(|prepared| prepared.fields.as_ref());
        let framing = request::framing(client.head(), checked.present, client.h2_has_body());
        if own.is_some_and(|own| own.body.is_some()) && !client.body_is_done() {
            Box::pin(close::rest_of_body(client)).await;
        }
        let request = (client.head(), checked.asked());
        let target = prepared.and_then(|prepared| prepared.target.as_deref());
        let forward = Forward {
            pace: pace::of_request(route, (&self.facts, snapshot), request, (trace, id)),
            strict: snapshot.strict_transport(self.facts.is_tls, trace.site),
            pool: &self.pool,
            entry,
            metrics: &self.shared.metrics,
            route,
            timeouts: snapshot.times(trace.site, trace.route),
            changes: Changes {
                target: target.unwrap_or(&checked.target),
                origin: &origin,
                present: checked.present,
                framing: own.map_or(framing, |own| own.framing(framing)),
                session: (route.group.config.sticky.as_ref()).map(|sticky| &*sticky.cookie),
                upgrade: checked.upgrade.clone(),
                own,
            },
            edits: prepared.and_then(|prepared| prepared.edits.as_ref()),
            mirror: feed.as_ref(),
        };
        let forwarded = forward.run(client, trace).await;
        if let Some(edits) = forward.edits {
            edits.leave(trace);
        }
        match forwarded {
            Ok(Forwarded::Response) => {
                if checked.upgrade.is_some() && trace.status >= 400 {
                    trace.cause = Some(Cause::TunnelRefused);
                }
                Left::Whole
            }
            Ok(Forwarded::Tunnel(upstream, _held)) => {
                // Boxed, as what follows: rare, and larger than the exchange.
                Box::pin(splice::tunnel(self, entry, client, *upstream, route, trace)).await;
                Left::Broken
            }
            Err(cause) => match forward.edits.and_then(Edits::led) {
                Some(led) => Box::pin(self.led(asked, led, client, trace)).await,
                None => Box::pin(self.failed(snapshot, client, cause, id, trace)).await,
            },
        }
    }
}
