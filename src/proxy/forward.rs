//! Forwards one request to its upstream: which endpoint is asked, and whether another one is when that fails.
//!
//! What may be tried again is `upstream::retry`'s to say; this carries it out: on another endpoint, within the deadline
//! and the budget. Taking a pooled connection or making one is `reach`'s, moving the bytes `exchange`'s. Invariant: a
//! request that may have reached an endpoint is sent again only if its method may be repeated.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Method};
use parking_lot::Mutex;

use super::admit::{Admitted, admit};
use super::client::Client;
use super::exchange::{Decline, End, Exchange, ExchangeLimits, Failure, Tally, Undelivered};
use super::filter::request::{self, Changes};
use super::filter::response::Own;
use super::filter::{hop_by_hop, response};
use super::heads::Edits;
use super::known::Kept;
use super::mirror::Feed;
use super::outcome::{answered, asks_who, blamed};
use super::pace::Pace;
use super::reach::Reached;
use super::trace::Trace;
use crate::config::{ClientTimeouts, ErrorRule, Retryable, Sticky};
use crate::observe::cause::Cause;
use crate::observe::metrics::Metrics;
use crate::observe::open::Entry;
use crate::snapshot::RunningRoute;
use crate::transport::now;
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::admission::Place;
use crate::upstream::group::Chosen;
use crate::upstream::http1::{Connection, Request, ResponseHead};
use crate::upstream::peer::Peer;
use crate::upstream::pool::Pool;
use crate::upstream::retry::{Tried, Verdict, is_idempotent};
use crate::upstream::{CookieScope, Keys};

/// What a request is forwarded with.
pub struct Forward<'a> {
    /// The worker's idle connections.
    pub pool: &'a Pool,
    /// What an operator sees of the request.
    pub entry: &'a Entry,
    /// Where connections are counted.
    pub metrics: &'a Metrics,
    /// Where it goes.
    pub route: &'a RunningRoute,
    /// What the client may take.
    pub timeouts: &'a ClientTimeouts,
    /// How its head changes.
    pub changes: Changes<'a>,
    /// What browsers are told to remember of the site.
    pub strict: Option<&'a HeaderValue>,
    /// What changes in the answer's head.
    pub edits: Option<&'a Edits<'a>>,
    /// Who else gets the request's body.
    pub mirror: Option<&'a Feed>,
    /// How fast its answer may go.
    pub(super) pace: Option<Box<Pace>>,
}

/// What a forwarded request turned into.
pub enum Forwarded {
    /// A complete response.
    Response,
    /// A tunnel: the upstream's connection after its 101.
    Tunnel(Box<Connection>, Held),
}

/// What a tunnel takes at its upstream for as long as it is open.
#[must_use = "dropped, another takes it"]
pub struct Held {
    _endpoint: Chosen,
    _place: Option<Place>,
}

/// How far a request has come with its tries.
pub(super) struct Course {
    /// The clock, which is asked again only after a wait.
    pub(super) at: Instant,
    /// When the first try began.
    begun: Instant,
    /// How often somebody has been asked.
    tries: u32,
    /// When all of it ends.
    pub(super) total: Option<Instant>,
    /// Endpoints that are not tried again.
    pub(super) tried: Vec<EndpointAddress>,
    /// Whether only a new connection will do.
    pub(super) fresh: bool,
    /// Who comes next, when that is known already.
    pub(super) next: Option<Chosen>,
    /// What goes out in place of a newly written head.
    undelivered: Option<Undelivered>,
}

impl Forward<'_> {
    /// Forwards the request of `client`. A failure says why; `trace.tally` says whether the client has seen a head.
    pub async fn run(&self, client: &mut Client, trace: &mut Trace) -> Result<Forwarded, Cause> {
        trace.asks(trace.started);
        let protection = &self.route.group.protection;
        protection.count();
        match protection.asks() {
            false => self.tries(client, trace, trace.started).await,
            // Boxed: few upstreams ask, and the others need not carry its state.
            true => Box::pin(self.admitted(client, trace)).await,
        }
    }

    async fn admitted(&self, client: &mut Client, trace: &mut Trace) -> Result<Forwarded, Cause> {
        let group = &self.route.group;
        let total = self.total(trace);
        let admitted: Admitted = admit(&group.protection, client, self.metrics, total).await?;
        let mut forwarded = self.tries(client, trace, now()).await;
        let cause = forwarded.as_ref().err().copied();
        let place = admitted.ended(group.name(), cause, trace, self.metrics);
        if let Ok(Forwarded::Tunnel(_, held)) = &mut forwarded {
            held._place = Some(place.of_tunnel());
        }
        forwarded
    }

    async fn tries(
        &self,
        client: &mut Client,
        trace: &mut Trace,
        begun: Instant,
    ) -> Result<Forwarded, Cause> {
        let upgrade = self.changes.upgrade.is_some();
        let mut course = Course {
            at: begun,
            begun,
            tries: 0,
            total: self.total(trace),
            tried: Vec::new(),
            fresh: upgrade,
            next: None,
            undelivered: None,
        };
        loop {
            let Reached {
                mut peer,
                line,
                reused,
                endpoint: chosen,
            } = self.reach(client, &mut course, trace).await?;
            course.tries += 1;
            let undelivered = course.undelivered.take();
            if undelivered.is_none() {
                self.write_head(client, &mut peer);
            }
            trace.sent_at = Some(course.at);
            let body_received = undelivered.as_ref().map(|_| trace.tally.body_received);
            trace.tally = Tally {
                body_received: body_received.unwrap_or(0),
                ..Tally::default()
            };
            let view = response::Client::of(&client.head().method, client.head().version);
            let limits = self.limits(upgrade, course.total);
            let next = Mutex::new(None);
            // While the exchange has the client, its head cannot be asked for the key.
            let declines = self.declines(client);
            let intercepts = self.intercepts();
            let placed = trace.detour.last_page;
            trace.said = None;
            let intercepted = AtomicU16::new(0);
            let challenge = Mutex::new(None);
            let decline = (declines || intercepts.is_some()).then(|| {
                let hash = self.route.group.hashed(&self.keys(client));
                let (course, chosen, next) = (&course, &chosen, &next);
                let (intercepted, challenge) = (&intercepted, &challenge);
                move |head: &ResponseHead<'_>, tally: &Tally| {
                    let status = head.status().as_u16();
                    if declines {
                        *next.lock() = self.instead(status, tally, course, chosen, hash);
                    }
                    let thrown = next.lock().is_some();
                    let rules = intercepts.filter(|_| !thrown);
                    let kept = rules
                        .and_then(|rules| ErrorRule::find(rules, status))
                        .filter(|_| status >= 400 || !placed);
                    if kept.is_some() {
                        intercepted.store(status, Ordering::Relaxed);
                        *challenge.lock() = Some((asks_who(head), Box::new(Kept::of(head))));
                    }
                    thrown || kept.is_some()
                }
            });
            let decline = decline.as_ref().map(|decline| decline as &Decline<'_>);
            if let Some(edits) = self.edits {
                edits.asks(trace);
            }
            let request = self.request(&client.head().method);
            let instead = trace.detour.status;
            let mut exchange = Exchange::new(
                (client, view),
                peer,
                limits,
                (&mut trace.tally, self.entry),
                course.at,
            );
            exchange.decline(decline);
            exchange.edit(self.edits);
            exchange.pace(self.pace.as_ref().map(|pace| Box::new(pace.again())));
            exchange.mirror_to(self.mirror);
            if let Some(own) = self.changes.own
                && undelivered.is_none()
            {
                exchange.replace_body(own.body.clone());
            }
            exchange.set(Own {
                cookie: self.cookie(&chosen),
                strict: self.strict,
                lines: None,
                status: instead,
                recoded: false,
            });
            if let Some(undelivered) = undelivered {
                exchange.again(request, undelivered);
            }
            let ran = exchange.run().await;
            let (failure, undelivered) = match exchange.ended(ran) {
                Ok(End::Complete(upstream, ended)) => {
                    if let Some(upstream) = upstream {
                        let config = &self.route.group.config;
                        self.pool.put(line, upstream, config, ended);
                    }
                    chosen.report(answered(trace), ended);
                    let status = instead.map(|status| status.as_u16());
                    trace.status = status.or(trace.tally.upstream_status).unwrap_or(0);
                    if trace.tally.ended_early {
                        trace.cause = Some(Cause::Draining);
                    }
                    return Ok(Forwarded::Response);
                }
                Ok(End::Upgraded(upstream)) => {
                    chosen.report(answered(trace), now());
                    trace.status = 101;
                    let held = Held {
                        _endpoint: chosen,
                        _place: None,
                    };
                    return Ok(Forwarded::Tunnel(upstream, held));
                }
                Err(failed) => failed,
            };
            if self.edits.is_some_and(Edits::leads) {
                chosen.report(answered(trace), now());
                return Err(Cause::UpstreamError);
            }
            let intercepted = intercepted.into_inner();
            if intercepted > 0 {
                trace.detour.intercepted = Some(intercepted);
                let (challenge, said) = challenge.into_inner().unzip();
                let line = challenge.flatten();
                trace.led.extend(line.map(|line| (WWW_AUTHENTICATE, line)));
                trace.said = said;
                chosen.report(answered(trace), now());
                return Err(Cause::UpstreamError);
            }
            course.next = next.into_inner();
            course.undelivered = undelivered;
            self.judge(client, &failure, reused, chosen, &mut course, trace)?;
        }
    }

    /// Whether the request is tried again after a failed exchange, on `course`; else its cause.
    fn judge(
        &self,
        client: &Client,
        failure: &Failure,
        reused: bool,
        chosen: Chosen,
        course: &mut Course,
        trace: &mut Trace,
    ) -> Result<(), Cause> {
        course.at = now();
        let retries = &self.route.group.config.protection.retries;
        let verdict = match failure.fault {
            Some(fault) => Tried {
                fault,
                undelivered: course.undelivered.is_some(),
                whole: course.undelivered.is_some() || trace.tally.body_received == 0,
                idempotent: self.repeats(client),
                // One that says that it has not looked at the request may be asked once more, as after a stale one.
                reused: (reused || failure.unprocessed && !course.fresh) && failure.silent,
            }
            .verdict(retries.on),
            None => Verdict::Fail,
        };
        // With `next` the budget has paid already, and the endpoint's answer was thrown away.
        let declined = course.next.is_some();
        let stale = matches!(
            verdict,
            Verdict::Again {
                same_endpoint: true,
                ..
            }
        );
        match blamed(failure.cause) {
            _ if declined => chosen.report(answered(trace), course.at),
            Some(outcome) if !stale => chosen.report(outcome, course.at),
            _ => {}
        }
        let Verdict::Again {
            same_endpoint,
            counted,
        } = verdict
        else {
            return Err(failure.cause);
        };
        if same_endpoint {
            course.fresh = true;
            course.next = Some(chosen);
        } else {
            course.tried.push(chosen.address);
            if !declined {
                course.next = self.choose(client, course);
            }
        }
        let again = declined
            || course.next.is_some()
                && course.is_in_time(retries.deadline)
                && course.has_tries(retries.tries)
                && (!counted || self.take_retry(course.at));
        if !again {
            return Err(failure.cause);
        }
        self.metrics.upstream_retries.inc();
        trace.try_failed((!declined).then_some(failure.cause), course.at);
        Ok(())
    }

    /// Who is asked next.
    pub(super) fn choose(&self, client: &Client, course: &Course) -> Option<Chosen> {
        let group = &self.route.group;
        group.choose(&self.keys(client), &course.tried, course.at)
    }

    fn keys<'c>(&'c self, client: &'c Client) -> Keys<'c> {
        Keys {
            client: self.changes.origin.client,
            headers: Some(&client.head().headers),
            unix: self.sessions().map_or(0, |_| unix_now()),
            hash: self.changes.own.and_then(|own| own.hash),
        }
    }

    fn sessions(&self) -> Option<&Sticky> {
        self.route.group.config.sticky.as_ref()
    }

    /// What keeps the browser with its endpoint, when there is something to set.
    fn cookie(&self, chosen: &Chosen) -> Option<Box<HeaderValue>> {
        self.sessions()?;
        let scope = CookieScope {
            path: self.route.config.path.as_str(),
            secure: self.changes.origin.scheme == "https",
        };
        let random = || std::array::from_fn(|_| fastrand::u8(..));
        let cookie = (self.route.group).session_cookie(chosen, scope, unix_now(), random)?;
        Some(Box::new(cookie))
    }

    /// Whether answers of the upstream may be thrown away to ask another endpoint.
    fn declines(&self, client: &Client) -> bool {
        let on = self.route.group.config.protection.retries.on;
        on.has_statuses() && self.changes.upgrade.is_none() && self.repeats(client)
    }

    /// What is done about errors of the upstream, where they are not passed on.
    fn intercepts(&self) -> Option<&[ErrorRule]> {
        // In place of another error they may have no page of their own, and yet are not passed on.
        (self.route.intercepts).then(|| &*self.route.config.detours.errors)
    }

    /// Who is asked in place of an endpoint that answered with `status`; `None` when that answer is passed on.
    fn instead(
        &self,
        status: u16,
        tally: &Tally,
        course: &Course,
        chosen: &Chosen,
        hash: Option<u64>,
    ) -> Option<Chosen> {
        let retries = &self.route.group.config.protection.retries;
        let wanted = Retryable::of_status(status).is_some_and(|kind| retries.on.has(kind));
        let at = now();
        let late = at.saturating_duration_since(course.begun) >= retries.deadline;
        let late = late || !course.has_tries(retries.tries);
        if !wanted || tally.body_received > 0 || late {
            return None;
        }
        let tried = [&course.tried[..], &[chosen.address]].concat();
        let keys = Keys {
            hash,
            ..Keys::default()
        };
        let next = self.route.group.choose(&keys, &tried, at)?;
        self.take_retry(at).then_some(next)
    }

    /// Whether the request may be sent twice.
    pub(super) fn repeats(&self, client: &Client) -> bool {
        let own = self.changes.own.and_then(|own| own.method.as_ref());
        let retries = &self.route.group.config.protection.retries;
        is_idempotent(&client.head().method) && own.is_none_or(is_idempotent)
            || retries.on.has(Retryable::AnyMethod)
    }

    fn take_retry(&self, at: Instant) -> bool {
        let group = &self.route.group;
        let taken = group
            .protection
            .take_retry(group.config.protection.retries.budget, at);
        if !taken {
            self.metrics.upstream_retries_unaffordable.inc();
        }
        taken
    }

    /// Writes the head into the connection's buffer, from where it leaves together with the first of the body.
    fn write_head(&self, client: &Client, peer: &mut Peer) {
        let head = client.head();
        let request = self.request(&head.method);
        let wire = match peer {
            Peer::H1(h1) => h1.begin(request),
            Peer::H2(h2) => h2.begin(request, hop_by_hop::takes_trailers(&head.headers)),
        };
        request::write(head, &client.source(), &self.changes, wire);
    }

    fn request(&self, method: &Method) -> Request {
        Request {
            body: self.changes.framing,
            is_head: *method == Method::HEAD,
            upgrade: self.changes.upgrade.is_some(),
        }
    }

    fn total(&self, trace: &Trace) -> Option<Instant> {
        self.route.timeouts.total.map(|total| trace.started + total)
    }

    fn limits(&self, upgrade: bool, total: Option<Instant>) -> ExchangeLimits {
        let timeouts = &self.route.timeouts;
        ExchangeLimits {
            body: self.route.body_limit,
            body_idle: self.timeouts.body,
            write: self.timeouts.write,
            response: if upgrade {
                timeouts.tunnel_handshake
            } else {
                timeouts.response
            },
            send: timeouts.send.unwrap_or(timeouts.idle),
            idle: timeouts.idle,
            event_stream_idle: timeouts.tunnel_idle,
            total,
        }
    }
}

impl Course {
    /// Whether one more try is allowed.
    fn has_tries(&self, most: Option<u32>) -> bool {
        most.is_none_or(|most| self.tries < most)
    }

    /// Whether another try may begin.
    pub(super) fn is_in_time(&self, deadline: Duration) -> bool {
        self.at.saturating_duration_since(self.begun) < deadline
    }

    /// Whether all time is over.
    pub(super) fn is_over(&self) -> bool {
        self.total.is_some_and(|total| total <= self.at)
    }
}

/// Seconds since 1970.
fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
