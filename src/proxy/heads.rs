//! Carries out what a route changes in heads: the request's before it is sent, the answer's when it has come.
//!
//! Made only for routes that change something. Values are computed for the request at hand; those that cannot stand where
//! they are to go are left out, so that nothing a client sends can end a line.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderName, HeaderValue, Method};
use parking_lot::Mutex;
use pingora::http::RequestHeader;

use super::answer::Answer;
use super::app::Facts;
use super::checks::Checked;
use super::client::Client;
use super::filter::edit::{self, Line};
use super::filter::request::OwnFields;
use super::known::{Kept, Known};
use super::led::Led;
use super::recode::{self, Asker, Plan, Recoder};
use super::strangers::{Stranger, split};
use super::trace::{LimitedBy, Trace, Try};
use super::values::{Place, Values, host_of};
use crate::config::{Bodies, Lookup, ResponseHeads, RouteAction, Strangers, Text};
use crate::router::Seen;
use crate::snapshot::{RunningRoute, Snapshot, Special};
use crate::types::name::UpstreamName;
use crate::upstream::http1::ResponseHead;

/// What a request to such a route is sent with.
pub(super) struct Prepared<'a> {
    /// The target, where it changes.
    pub(super) target: Option<Vec<u8>>,
    /// Fields in the place of others.
    pub(super) fields: Option<OwnFields<'a>>,
    /// The route with the upstream that this request goes to, where a text names it.
    pub(super) route: Option<RunningRoute>,
    /// Who that is, where no upstream has the name.
    pub(super) stranger: Option<Stranger>,
    /// What changes in the answer.
    pub(super) edits: Option<Edits<'a>>,
}

/// Of a request's body, for texts.
pub(super) const MOST_GATHERED: usize = 64 * 1024;

/// What changes in an answer, and what its values are computed from.
pub struct Edits<'a> {
    pub(super) heads: &'a ResponseHeads,
    /// What happens to the body, if anything may.
    bodies: Option<&'a Bodies>,
    facts: &'a Facts,
    snapshot: &'a Snapshot,
    target: &'a [u8],
    host: &'a str,
    place: (Option<usize>, Option<usize>),
    /// What finding the route told.
    seen: Option<Box<Seen>>,
    id: &'a str,
    /// The tries before the one under way, and that.
    tries: Mutex<(Vec<Try>, Option<Try>)>,
    /// Fields of an answer that led here.
    brought: Vec<(HeaderName, HeaderValue)>,
    /// The status that the client gets, if it is not the upstream's.
    instead: Option<u16>,
    limited: LimitedBy,
    /// Whether a log names lines of heads.
    keeps: bool,
    /// Those.
    kept: Mutex<Option<Box<Kept>>>,
    /// What there is of the request's body, where a text names it; `None` once it is too large.
    pub(super) gathered: Option<Mutex<Option<Vec<u8>>>>,
    /// Where the upstream leads the request.
    pub(super) led: Mutex<Option<Led>>,
}

/// A request on its way.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) facts: &'a Facts,
    pub(super) snapshot: &'a Snapshot,
    pub(super) checked: &'a Checked,
    pub(super) id: &'a str,
}

impl<'a> Request<'a> {
    /// What it is sent with by this route.
    pub(super) fn prepare(
        self,
        route: &'a RunningRoute,
        special: &'a Special,
        head: &RequestHeader,
        trace: &mut Trace,
    ) -> Box<Prepared<'a>> {
        let values = Values::new(
            (self.facts, self.snapshot),
            (head, self.checked.asked()),
            self.checked.authority.host.as_str(),
            trace.place(),
            self.id,
        );
        let config = &route.config;
        let uri = trace.seen.as_ref().and_then(|seen| seen.uri.as_ref());
        let prefix = special.rewrite.as_ref();
        let prefix = prefix.map(|rewrite| rewrite.target(&self.checked.target, uri));
        let text = config.request.target.as_ref();
        let mut values = values;
        let (mut asked, mut stranger) = (None, None);
        let chosen = match &config.action {
            RouteAction::Choose(by, strangers) => {
                let said = by.value(&values).into_owned();
                let (tls, who, what) = match strangers {
                    Strangers::None => (false, &said[..], &b""[..]),
                    _ => split(&said),
                };
                let who = String::from_utf8_lossy(who).into_owned();
                asked = (!what.is_empty()).then(|| what.to_vec());
                let (chosen, found) = self.choose(route, &who);
                if !found && *strangers != Strangers::None {
                    let names = *strangers == Strangers::Names;
                    stranger = Some(Stranger {
                        address: who.clone(),
                        tls,
                        names,
                        port: if tls { 443 } else { 80 },
                    });
                }
                values.proxied_to = Some(who.into());
                Some(chosen)
            }
            _ => None,
        };
        let prepared = Prepared {
            target: prefix.or_else(|| match (text, asked) {
                (Some(text), _) => wanted(text, &values, &self.checked.target),
                (None, Some(asked)) => Some(written(&asked)),
                (None, None) => None,
            }),
            stranger,
            fields: special.request.then(|| OwnFields {
                forwarded: config.request.forwarded,
                method: config.request.method.as_ref().and_then(|text| {
                    let said = Method::from_bytes(&text.value(&values)).ok()?;
                    let alike = (said == Method::HEAD) == (head.method == Method::HEAD);
                    alike.then_some(said)
                }),
                passes: config.request.passes,
                from: (config.request.bind.as_ref())
                    .and_then(|text| address(str::from_utf8(&text.value(&values)).ok()?)),
                hash: chosen.as_ref().unwrap_or(route).group.hashed_by(&values),
                body: (config.request.body.as_ref())
                    .map(|text| Bytes::from(text.value(&values).into_owned())),
                fields: (config.request.fields.iter())
                    .map(|field| (field, field.value.value(&values)))
                    .filter(|(_, value)| HeaderValue::from_bytes(value).is_ok())
                    .collect(),
            }),
            route: chosen,
            edits: (special.response || special.bodies || !trace.led.is_empty()).then(|| Edits {
                heads: &config.response,
                bodies: special.bodies.then_some(&config.bodies),
                facts: self.facts,
                snapshot: self.snapshot,
                target: self.checked.asked(),
                host: self.checked.authority.host.as_str(),
                place: (trace.site, trace.route),
                seen: trace.seen.clone(),
                id: self.id,
                tries: Mutex::default(),
                brought: trace.led.clone(),
                instead: trace.detour.status.map(|status| status.as_u16()),
                limited: trace.limited,
                keeps: special.keeps,
                kept: Mutex::default(),
                gathered: special.gathers.then(|| Mutex::new(Some(Vec::new()))),
                led: Mutex::default(),
            }),
        };
        if config.action.upstream().is_none() {
            let chosen = prepared.route.as_ref();
            trace.upstream = chosen.map(|route| route.group.config.name.clone());
        }
        Box::new(prepared)
    }

    /// The route with the upstream of this name, and whether there is one; with nobody's where there is none.
    fn choose(self, route: &RunningRoute, name: &str) -> (RunningRoute, bool) {
        let name = UpstreamName::parse(name).ok();
        let group = name
            .as_ref()
            .and_then(|name| self.snapshot.groups.get(name));
        let chosen = RunningRoute {
            group: Arc::clone(group.unwrap_or(&route.group)),
            timeouts: route.timeouts.clone(),
            body_limit: route.body_limit,
            guard: route.guard.clone(),
            special: None,
            ruled: false,
            intercepts: route.intercepts,
            access_log: route.access_log.clone(),
            config: route.config.clone(),
        };
        (chosen, group.is_some())
    }
}

/// The target that a text stands for; `None` when it is empty, which is the client's own.
fn wanted(text: &Text, values: &Values<'_>, own: &[u8]) -> Option<Vec<u8>> {
    let value = text.value(values);
    if value.is_empty() || *value == *own {
        return None;
    }
    Some(written(&value))
}

/// An address, perhaps with a port, which does not count.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = text.parse::<SocketAddr>().map(|address| address.ip());
    with_port.or_else(|_| text.parse()).ok()
}

/// A target as it can be sent.
fn written(value: &[u8]) -> Vec<u8> {
    let mut target = Vec::with_capacity(value.len() + 1);
    if value.first() != Some(&b'/') {
        target.push(b'/');
    }
    for byte in value {
        match byte {
            // They would end the request line, or the line itself.
            0..=b' ' | 0x7f => target.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            byte => target.push(*byte),
        }
    }
    target
}

impl Edits<'_> {
    /// Notes the try that begins now, and those before it.
    pub(super) fn asks(&self, trace: &Trace) {
        *self.tries.lock() = (trace.failed().to_vec(), trace.last());
    }

    /// Keeps a piece of the request's body.
    pub(super) fn gather(&self, piece: &[u8]) {
        let Some(gathered) = &self.gathered else {
            return;
        };
        let mut gathered = gathered.lock();
        *gathered = gathered.take().and_then(|mut body| {
            body.extend_from_slice(piece);
            (body.len() <= MOST_GATHERED).then_some(body)
        });
    }

    /// What there is of the request's body.
    pub(super) fn body(&self) -> Option<Vec<u8>> {
        self.gathered.as_ref()?.lock().clone()
    }

    /// Leaves to `trace` what logs and later texts name.
    pub(super) fn leave(&self, trace: &mut Trace) {
        trace.kept = self.kept();
        if let Some(body) = self.body().filter(|body| !body.is_empty()) {
            let seen = trace.seen.get_or_insert_default();
            seen.taken.push(("request_body".into(), body.into()));
        }
    }

    /// The lines that a log names.
    fn kept(&self) -> Option<Box<Kept>> {
        self.kept.lock().take()
    }

    /// The lines of an upstream's answer as the client gets them, and what is done to its body, unless that is `empty`.
    pub(super) fn answer(
        &self,
        request: &RequestHeader,
        head: &ResponseHead<'_>,
        empty: bool,
    ) -> (Box<[Line]>, Option<Plan>) {
        let answered = head.status().as_u16();
        let status = self.instead.unwrap_or(answered);
        let tries = self.tries.lock();
        let (failed, last) = &*tries;
        let last = last.map(|last| Try {
            status: Some(answered),
            answered_at: Some(crate::transport::now()),
            ..last
        });
        let known = Known {
            status,
            head: Some(*head),
            failed,
            last,
            ..Known::default()
        };
        let mut values = Values::new(
            (self.facts, self.snapshot),
            (request, self.target),
            self.host,
            Place {
                site: self.place.0,
                route: self.place.1,
                seen: self.seen.as_deref(),
            },
            self.id,
        );
        values.known = Some(known);
        values.limited = self.limited;
        values.body = self.body().filter(|body| !body.is_empty());
        let now = SystemTime::now();
        let mut lines = edit::lines(head, self.heads, &values, (status, now));
        let said;
        if self.heads.names_sent() {
            said = Kept {
                upstream: (head.fields())
                    .map(|field| (field.name.to_vec(), field.value.to_vec()))
                    .collect(),
                sent: with_length(lines, head.length()),
            };
            values.known = values.known.map(|known| Known {
                kept: Some(&said),
                ..known
            });
            lines = edit::lines(head, self.heads, &values, (status, now));
        }
        for (name, value) in &self.brought {
            let is = |(own, _): &Line| own.eq_ignore_ascii_case(name.as_str().as_bytes());
            if *name == SET_COOKIE || !lines.iter().any(is) {
                lines.push((name.as_str().into(), value.as_bytes().to_vec()));
            }
        }
        let plan = self.bodies.filter(|_| !empty).and_then(|bodies| {
            let of = (head.status().as_u16(), head.length());
            recode::judge(bodies, asker(request), of, (now, &values), &mut lines)
        });
        if self.keeps {
            let upstream = head.fields();
            let length = head.length().filter(|_| plan.is_none());
            *self.kept.lock() = Some(Box::new(Kept {
                upstream: upstream
                    .map(|field| (field.name.to_vec(), field.value.to_vec()))
                    .collect(),
                sent: with_length(lines.clone(), length),
            }));
        }
        (lines.into(), plan)
    }
}

/// Who asks, as far as bodies depend on it.
pub(super) fn asker(request: &RequestHeader) -> Asker<'_> {
    Asker {
        fields: &request.headers,
        version: request.version,
    }
}

/// Does to the body of an answer of hubgate's own what its route or site does to all: at once where it is held.
pub(super) fn recode(
    answer: &mut Answer,
    (facts, snapshot): (&Facts, &Snapshot),
    client: &Client,
    (trace, id): (&mut Trace, &str),
) {
    let bodies = match (trace.route, trace.site) {
        (Some(route), _) => &snapshot.routes[route].config.bodies,
        (None, Some(site)) => &snapshot.config.sites[site].bodies,
        (None, None) => return,
    };
    if !bodies.change() {
        return;
    }
    let mut lines = own_lines(answer);
    let of = (answer.status, Some(answer.length()));
    let head = client.head();
    let host = host_of(head);
    let host = host.as_ref().map_or("", |host| host.host.as_str());
    let values = Values::new(
        (facts, snapshot),
        (head, client.target()),
        host,
        trace.place(),
        id,
    );
    let given = (SystemTime::now(), &values as &dyn Lookup);
    let Some(plan) = recode::judge(bodies, asker(head), of, given, &mut lines) else {
        return answer.take_lines(&lines);
    };
    if answer.rest.is_some() {
        answer.recode = Some(plan);
        return answer.take_lines(&lines);
    }
    match Recoder::whole(plan, &answer.body) {
        Ok((body, squeezed)) => {
            answer.body = body;
            trace.tally.squeezed = squeezed;
            answer.take_lines(&lines);
        }
        Err(error) => tracing::error!(event = "recode.failed", %error, "an answer goes as it is"),
    }
}

/// These lines and the one that says how long the body is.
fn with_length(mut lines: Vec<Line>, length: Option<u64>) -> Vec<Line> {
    let line = |length: u64| (b"Content-Length".to_vec(), length.to_string().into_bytes());
    lines.extend(length.map(line));
    lines
}

/// The lines of an answer of hubgate's own, where a log names such.
pub(super) fn keep(answer: &Answer, snapshot: &Snapshot, trace: &mut Trace) {
    if !snapshot.keeps {
        return;
    }
    let length = Some(answer.length());
    let sent = with_length(own_lines(answer), length);
    trace.kept = Some(Box::new(Kept {
        upstream: Vec::new(),
        sent,
    }));
}

fn own_lines(answer: &Answer) -> Vec<Line> {
    let fields = answer.fields.iter();
    fields
        .map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}

/// Adds to an answer of hubgate's own what its route or site adds to all.
pub(super) fn add_to(
    answer: &mut Answer,
    (facts, snapshot): (&Facts, &Snapshot),
    (head, target): (&RequestHeader, &[u8]),
    (trace, id): (&Trace, &str),
) {
    let heads = match (trace.route, trace.site) {
        (Some(route), _) => &snapshot.routes[route].config.response,
        (None, Some(site)) => snapshot.config.sites[site].own_heads(),
        (None, None) => return,
    };
    let located = |answer: &Answer| answer.fields.iter().any(|(name, _)| *name == LOCATION);
    if heads.spares_own() || heads.only_completes() && !located(answer) {
        return;
    }
    let host = host_of(head);
    let host = host.as_ref().map_or("", |host| host.host.as_str());
    let mut values = Values::new((facts, snapshot), (head, target), host, trace.place(), id);
    let mut lines = own_lines(answer);
    let kept = Kept {
        upstream: Vec::new(),
        sent: with_length(lines.clone(), Some(answer.length())),
    };
    values.limited = trace.limited;
    values.known = Some(Known {
        status: answer.status,
        kept: Some(&kept),
        failed: trace.failed(),
        last: trace.last(),
        ..Known::default()
    });
    for (name, value) in &mut lines {
        if name.eq_ignore_ascii_case(b"location") {
            edit::complete(value, heads, &values);
        }
    }
    let (before, now) = (lines.clone(), SystemTime::now());
    edit::add(&mut lines, heads, answer.status, &values, now);
    let sent;
    if heads.names_sent() {
        // Those before a field are sent when it is made; made twice, it has them all.
        sent = Kept {
            upstream: Vec::new(),
            sent: with_length(std::mem::replace(&mut lines, before), Some(answer.length())),
        };
        values.known = values.known.map(|known| Known {
            kept: Some(&sent),
            ..known
        });
        edit::add(&mut lines, heads, answer.status, &values, now);
    }
    let written = heads.add.iter().map(|field| field.written.clone());
    answer.written = written.collect();
    let own = std::mem::take(&mut answer.fields);
    answer.take_lines(&lines);
    answer.leave_out_twins(&own);
}
