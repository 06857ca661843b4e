//! Asks one of the site's own routes whether a request may go on, as nginx's `auth_request` does.
//!
//! A GET with the request's own fields and no body; the route is found as for a path of a client, internal ones too, and
//! neither its limits nor its access count. Of the answer its status counts, and what variables take of its head; its body is
//! not read. A pooled connection that turns out to be closed is replaced. Bounded by the route's own time limits.

use std::future::poll_fn;

use http::header::{self, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use pingora::http::RequestHeader;
use tokio::time::timeout;

use super::admit::while_there;
use super::anew::prefix;
use super::answer::Answer;
use super::app::App;
use super::aside::{Beside, Course, Way};
use super::checks::Checked;
use super::client::Client;
use super::detours::error_rule;
use super::files::{self, Served};
use super::filter::forwarded;
use super::filter::request::{self, Changes};
use super::guard::Refusal;
use super::heads;
use super::known::{Kept, Known};
use super::trace::{Trace, Try};
use super::values::Values;
use crate::config::{Ask, ErrorStatus, ErrorTarget, RouteAction};
use crate::observe::cause::Cause;
use crate::snapshot::{RunningRoute, Snapshot};
use crate::transport::now;
use crate::upstream::Keys;
use crate::upstream::connect::ConnectLimits;
use crate::upstream::endpoint::Outcome;
use crate::upstream::http1::{BodyProgress, Connection, Request, RequestBody};

/// Endpoints and connections that are tried.
const TRIES: usize = 3;

/// A request that is asked about.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) app: &'a App,
    pub(super) snapshot: &'a Snapshot,
    pub(super) checked: &'a Checked,
    pub(super) id: &'a str,
    /// How its sentences in the log end.
    pub(super) told: &'a str,
}

/// What was said.
#[derive(Debug)]
struct Said {
    status: StatusCode,
    challenge: Option<HeaderValue>,
    /// The lines of its head, where variables are given values.
    kept: Kept,
    /// Who said it.
    tried: Option<Try>,
}

impl Said {
    /// A status, and nothing else.
    fn bare(status: u16) -> Option<Self> {
        Some(Self {
            status: StatusCode::from_u16(status).ok()?,
            challenge: None,
            kept: Kept::default(),
            tried: None,
        })
    }
}

impl Question<'_> {
    /// Whether the request of `client` may go on; what is taken of the answer is kept in `trace`.
    pub(super) async fn ask(
        self,
        ask: &Ask,
        client: &mut Client,
        trace: &mut Trace,
    ) -> Result<(), Refusal> {
        // Variables are about the request that is asked about, its method and length too.
        let head = client.head().clone();
        let mut course = Course::new((trace.site, trace.seen.clone()), &ask.path, b"");
        let asking = Box::pin(self.said(ask, head, &mut course));
        let Some(said) = while_there(client, asking).await else {
            return Err(Refusal::of(Cause::ClientGone));
        };
        if let Some(seen) = course.own.seen
            && !seen.captures.named.is_empty()
        {
            // Variables are those of both.
            trace.seen.get_or_insert_default().captures.named = seen.captures.named;
        }
        let told = self.told;
        if let Some(said) = said.as_ref().filter(|_| !ask.take.is_empty()) {
            let taken = self.taken(ask, said, client.head(), trace);
            trace.seen.get_or_insert_default().taken = taken;
        }
        match said {
            Some(said) if said.status.is_success() => Ok(()),
            Some(said) if matches!(said.status.as_u16(), 401 | 403) => Err(Refusal {
                status: Some(said.status.as_u16()),
                field: said.challenge.map(|value| (WWW_AUTHENTICATE, value)),
                ..Refusal::of(Cause::AskRefused)
            }),
            Some(said) => {
                let status = said.status.as_u16();
                tracing::error!(
                    event = "access.ask",
                    connection = self.app.facts.number,
                    "auth request unexpected status: {status}{told}"
                );
                Err(Refusal::of(Cause::AskFailed))
            }
            None => {
                let path = &ask.path;
                tracing::error!(
                    event = "access.ask",
                    connection = self.app.facts.number,
                    "auth request to \"{path}\" was not answered{told}"
                );
                Err(Refusal::of(Cause::AskFailed))
            }
        }
    }

    /// What variables are worth now that this was said.
    fn taken(
        self,
        ask: &Ask,
        said: &Said,
        head: &RequestHeader,
        trace: &Trace,
    ) -> Vec<(Box<str>, Box<[u8]>)> {
        let host = self.checked.authority.host.as_str();
        let request = (head, self.checked.asked());
        let place = trace.place();
        let own = (&self.app.facts, self.snapshot);
        let mut values = Values::new(own, request, host, place, self.id);
        values.known = Some(Known {
            status: said.status.as_u16(),
            kept: Some(&said.kept),
            last: said.tried,
            ..Known::default()
        });
        let taken = ask.take.iter();
        let taken = taken.map(|(name, text)| (name.clone(), text.value(&values).into()));
        taken.collect()
    }

    /// What is said in the end: where the route that is asked has somebody else answer for an error of hubgate's own, by
    /// them. Errors on the way there have nobody.
    async fn said(self, ask: &Ask, head: RequestHeader, course: &mut Course) -> Option<Said> {
        let first = self.once(ask, head.clone(), course).await;
        let (status, of_upstream) = match &first {
            Some(said) => (said.status.as_u16(), said.tried.is_some()),
            None => (Cause::UpstreamConnect.status(), false),
        };
        if of_upstream || status < 300 {
            return first;
        }
        let Some(rule) = error_rule(self.snapshot, &course.own, status) else {
            return first;
        };
        match &rule.to {
            ErrorTarget::Route(name) => course.enter(name),
            ErrorTarget::Elsewhere(_) => return first,
            ErrorTarget::Path(path) => {
                let host = self.checked.authority.host.as_str();
                let request = (&head, self.checked.asked());
                let own = (&self.app.facts, self.snapshot);
                let values = Values::new(own, request, host, course.own.place(), self.id);
                let target = path.value(&values);
                if !course.turn(&target) {
                    return first;
                }
            }
        }
        let second = Box::pin(self.once(ask, head, course)).await?;
        let failed = second.tried.is_none() && second.status.as_u16() >= 300;
        let status = match rule.status {
            // An error has its own status, whatever the rule says.
            _ if failed => return Some(second),
            ErrorStatus::OfAnswer => return Some(second),
            ErrorStatus::Same => status,
            ErrorStatus::Fixed(status) => status,
        };
        Some(Said {
            challenge: second.challenge,
            ..Said::bare(status)?
        })
    }

    /// What the route says; `None` when there is none or nobody answers.
    async fn once(self, ask: &Ask, head: RequestHeader, course: &mut Course) -> Option<Said> {
        let (facts, snapshot, id) = (&self.app.facts, self.snapshot, self.id);
        let beside = Beside {
            facts,
            snapshot,
            checked: self.checked,
            id,
        };
        let host = self.checked.authority.host.as_str();
        let target = self.checked.asked();
        let route = loop {
            let route = match beside.lead(&head, course).await? {
                Way::To(route) => route,
                Way::Says(status) => return Said::bare(status),
            };
            let place = course.own.place();
            let values = Values::new((facts, snapshot), (&head, target), host, place, id);
            if let RouteAction::Files(files) = &route.config.action {
                let uri = course.own.seen.as_ref()?.uri.clone()?;
                let get = sent(head.clone());
                let request = files::Request {
                    head: &get,
                    prefix: prefix(&route.config.path, &uri),
                    uri,
                    values,
                    plain: false,
                    bodies: None,
                };
                match files::serve(files, request).await {
                    Served::Answer(answer) => return Said::bare(answer.status),
                    Served::Refuse(cause) => return Said::bare(cause.status()),
                    Served::Status(status) => return Said::bare(status),
                    Served::Find(target) if course.turn(&target) => continue,
                    Served::Find(_) => return None,
                    Served::Route(name) => course.enter(&name),
                }
                continue;
            }
            if route
                .special
                .as_deref()
                .is_some_and(|special| special.answered)
            {
                let answer = Answer::of_route(&route.config.action, &values);
                return Said::bare(answer.status().as_u16());
            }
            break route;
        };
        let special = route.special.as_deref();
        let request = heads::Request {
            facts,
            snapshot,
            checked: self.checked,
            id,
        };
        let own = &mut course.own;
        let mut prepared = special.map(|special| request.prepare(route, special, &head, own));
        if let Some(prepared) = &mut prepared
            && !prepared.meet(snapshot).await
        {
            return None;
        }
        let prepared = prepared.as_deref();
        let target = beside.target(route, prepared, course);
        let route = prepared
            .and_then(|prepared| prepared.route.as_ref())
            .unwrap_or(route);
        let trusted_proxies = &snapshot.config.server.trusted_proxies;
        let client = forwarded::client_address(facts.peer.ip(), trusted_proxies, &head.headers);
        let client = client.to_string();
        let origin = beside.origin(&client, course.own.site);
        let changes = Changes {
            target: &target,
            origin: &origin,
            present: self.checked.present,
            framing: RequestBody::None,
            session: (route.group.config.sticky.as_ref()).map(|sticky| &*sticky.cookie),
            upgrade: None,
            own: prepared.and_then(|prepared| prepared.fields.as_ref()),
        };
        let limit = route.timeouts.connect + route.timeouts.tls + route.timeouts.response;
        let head = sent(head);
        let tries = self.tries(ask, route, &head, &changes);
        timeout(limit, tries).await.ok().flatten()
    }

    async fn tries(
        self,
        ask: &Ask,
        route: &RunningRoute,
        head: &RequestHeader,
        changes: &Changes<'_>,
    ) -> Option<Said> {
        let (group, pool) = (&route.group, &self.app.pool);
        let limits = ConnectLimits {
            tcp: route.timeouts.connect,
            tls: route.timeouts.tls,
        };
        let mut tried = Vec::new();
        for _ in 0..TRIES {
            let endpoint = group.choose(&Keys::default(), &tried, now())?;
            let address = endpoint.address;
            let line = group.connector.line(address);
            let pooled = pool.take(&line, now(), false);
            let reused = pooled.is_some();
            let begun = Try::begun(address, now());
            let connection = match pooled {
                Some(connection) => connection,
                None => match group.connector.connect(line, limits).await {
                    Ok(connection) => connection,
                    Err(error) => {
                        let reason: &dyn std::error::Error = &error;
                        tracing::warn!(upstream = %group.name(), error = reason, "connect failed");
                        endpoint.report(Outcome::ConnectFailed, now());
                        tried.push(address);
                        continue;
                    }
                },
            };
            match exchange(connection, ask, head, changes).await {
                Some((mut said, connection)) => {
                    said.tried = Some(Try {
                        status: Some(said.status.as_u16()),
                        answered_at: Some(now()),
                        ended: Some(now()),
                        ..begun
                    });
                    if let Some(connection) = connection {
                        pool.put(line, connection, &group.config, now());
                    }
                    return Some(said);
                }
                // It was closed while it waited.
                None if reused => {}
                None => tried.push(address),
            }
        }
        None
    }
}

/// What is sent of a head.
fn sent(mut head: RequestHeader) -> RequestHeader {
    head.set_method(Method::GET);
    for name in [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::EXPECT,
        header::UPGRADE,
    ] {
        head.remove_header(&name);
    }
    head
}

/// The answer, and the connection if it can be used again.
async fn exchange(
    mut upstream: Box<Connection>,
    ask: &Ask,
    head: &RequestHeader,
    changes: &Changes<'_>,
) -> Option<(Said, Option<Box<Connection>>)> {
    let wire = upstream.begin(Request {
        body: RequestBody::None,
        is_head: false,
        upgrade: false,
    });
    request::write(head, b"", changes, wire);
    poll_fn(|cx| upstream.poll_drain(cx)).await.ok()?;
    loop {
        poll_fn(|cx| upstream.poll_head(cx)).await.ok()?;
        if !upstream.head().status().is_informational() {
            break;
        }
    }
    let response = upstream.head();
    let field = |wanted: &str| {
        let mut fields = response.fields();
        let found = fields.find(|field| field.name.eq_ignore_ascii_case(wanted.as_bytes()));
        found.map(|field| field.value)
    };
    let lines = response.fields().filter(|_| !ask.take.is_empty());
    let lines = lines.map(|field| (field.name.to_vec(), field.value.to_vec()));
    let said = Said {
        status: response.status(),
        challenge: field("www-authenticate")
            .filter(|_| response.status() == StatusCode::UNAUTHORIZED)
            .and_then(|value| HeaderValue::from_bytes(value).ok()),
        kept: Kept {
            upstream: lines.collect(),
            sent: Vec::new(),
        },
        tried: None,
    };
    let whole = upstream.body_is_complete()
        || matches!(upstream.take_early_body(|_| {}), Ok(BodyProgress::Complete));
    let kept = whole && upstream.is_reusable();
    Some((said, kept.then_some(upstream)))
}
