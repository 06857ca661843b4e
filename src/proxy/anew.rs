//! Requests that files answer, and those that are routed anew because of what was found there, or of `detours`.
//!
//! A part of `app`: what is rare in the course of a request, and boxed for that reason. A request is routed at most
//! [`ROUNDS`] times over, as nginx does. Invariant: a path is served by the route that its normal form belongs to, however
//! it was written.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::answer::Answer;
use super::answered;
use super::app::{App, Left};
use super::checks::Checked;
use super::client::Client;
use super::close;
use super::decide::{self, Decision};
use super::detours::error_rule;
use super::exchange::Tally;
use super::files::{self, Request, Served};
use super::led::{self, Led};
use super::pace::Pace;
use super::trace::Trace;
use crate::config::{Paths, RouteAction};
use crate::nginx::uri::{self, Uri};
use crate::observe::cause::Cause;
use crate::observe::open::Entry;
use crate::router::{RouteMatch, target};
use crate::snapshot::{RunningRoute, Snapshot};
use crate::transport::now;
use crate::types::path::PathPattern;

/// Times that one request is routed anew.
pub(super) const ROUNDS: u8 = 10;

/// What becomes of a request, once it is known.
pub(super) type Leaving<'a> = Pin<Box<dyn Future<Output = Left> + Send + 'a>>;

/// How a request has strayed from its first route; nothing for most.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detour {
    /// Times it was routed anew.
    rounds: u8,
    /// Whether limits have counted it.
    pub(super) counted: bool,
    /// Whether the rules of its route have been carried out.
    pub(super) ruled: bool,
    /// Whether a rule has changed its path, and it stays with its route all the same.
    pub(super) stayed: bool,
    /// Whether a rule has changed its path before it entered the route it is led to.
    pub(super) changed: bool,
    /// Whether it is the page of an error.
    pub(super) in_place: bool,
    /// Whether errors on the way there have no page.
    pub(super) last_page: bool,
    /// The status that its answer gets.
    pub(super) status: Option<StatusCode>,
    /// The upstream's status that was not passed on.
    pub(super) intercepted: Option<u16>,
}

/// What a request comes with.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) snapshot: &'a Arc<Snapshot>,
    pub(super) checked: &'a Checked,
    /// Whether its peer is believed.
    pub(super) trusted: bool,
    pub(super) id: &'a str,
    pub(super) entry: &'a Entry,
}

impl App {
    /// Answers with files.
    pub(super) async fn files(
        &self,
        asked: Asked<'_>,
        route: &RunningRoute,
        client: &mut Client,
        trace: &mut Trace,
    ) -> Left {
        let (snapshot, id) = (asked.snapshot, asked.id);
        let merge_slashes = merges(snapshot, trace);
        let served = match (
            &route.config.action,
            uri::parse(&asked.checked.target, merge_slashes),
        ) {
            (RouteAction::Files(_), Err(_)) => Served::Refuse(Cause::HeadMalformed),
            (RouteAction::Files(_), Ok(uri)) if strays(snapshot, trace, asked.checked, &uri) => {
                Served::Refuse(Cause::RouteMissing)
            }
            (RouteAction::Files(files), Ok(uri)) => {
                let checked = asked.checked;
                // A route that rules enter has files where the one around it has its path.
                let site = trace.site.and_then(|site| snapshot.config.sites.get(site));
                let around = match &route.config.path {
                    PathPattern::Named(_) => site.and_then(|site| site.outer(&route.config)),
                    _ => None,
                };
                let pattern = around.map_or(&route.config.path, |around| &around.path);
                let request = Request {
                    head: client.head(),
                    prefix: match &files.below {
                        Some(below) => below.len().min(uri.path.len()),
                        None => prefix(pattern, &uri),
                    },
                    uri,
                    values: answered::values(self, snapshot, client, checked, id, trace),
                    plain: !trace.detour.in_place,
                    bodies: Some(&route.config.bodies).filter(|bodies| bodies.change()),
                };
                files::serve(files, request).await
            }
            _ => Served::Refuse(Cause::Internal),
        };
        match served {
            Served::Answer(answer) => self.answer(snapshot, client, answer, id, trace).await,
            Served::Refuse(cause) => self.answer_cause(snapshot, client, cause, id, trace).await,
            Served::Find(target) => self.anew(asked, target, client, trace).await,
            Served::Route(name) => self.named(asked, &name, client, trace).await,
            Served::Status(status) => self.bare(asked, status, client, trace).await,
        }
    }

    /// An answer that is nothing but a status.
    pub(super) async fn bare(
        &self,
        asked: Asked<'_>,
        status: u16,
        client: &mut Client,
        trace: &mut Trace,
    ) -> Left {
        let (snapshot, id) = (asked.snapshot, asked.id);
        if status >= 400 {
            // In place of another error, this one counts.
            trace.detour.status = None;
        }
        let cause = match status {
            404 => Cause::FileMissing,
            403 => Cause::FileForbidden,
            _ => {
                if let Some(rule) = error_rule(snapshot, trace, status) {
                    let instead = self.instead(snapshot, rule, status, client, id, trace);
                    if let Some(left) = instead.await {
                        return left;
                    }
                }
                let code = StatusCode::from_u16(status).unwrap_or_default();
                let reason = code.canonical_reason().unwrap_or("Error");
                let body = match status {
                    _ if snapshot.pages(trace.site).bare => Vec::new(),
                    400.. => format!("{status} {reason}\n").into_bytes(),
                    _ => Vec::new(),
                };
                let answer = Answer::text(status, body, None);
                return self.answer(snapshot, client, answer, id, trace).await;
            }
        };
        self.answer_cause(snapshot, client, cause, id, trace).await
    }

    /// No answer at all: the connection ends.
    pub(super) fn silent(&self, client: &mut Client, trace: &mut Trace) -> Left {
        trace.status = 444;
        client.abort();
        Left::Broken
    }

    /// Routes a request once more, for this target, which is in its normal form.
    pub(super) fn anew<'a>(
        &'a self,
        asked: Asked<'a>,
        target: Vec<u8>,
        client: &'a mut Client,
        trace: &'a mut Trace,
    ) -> Leaving<'a> {
        Box::pin(async move {
            let (snapshot, id) = (asked.snapshot, asked.id);
            // What a request leads to is no target of a client's: its slashes are meant.
            let uri = uri::parse(&target, false);
            let (uri, site) = match (uri, trace.site, trace.detour.next_round()) {
                (Ok(uri), Some(site), true) => (uri, site),
                (uri, ..) => {
                    // What is no path leads nowhere.
                    let cause = match uri {
                        Err(_) => Cause::RouteMissing,
                        Ok(_) => Cause::RouteLoop,
                    };
                    return self.answer_cause(snapshot, client, cause, id, trace).await;
                }
            };
            let path = match snapshot.config.sites[site].paths {
                Paths::Normal { .. } => uri.path.clone(),
                Paths::Raw => uri::escape(&uri.path),
            };
            let found = snapshot.sites[site]
                .paths
                .find_within(&path, &mut trace.seen);
            trace.seen.get_or_insert_default().uri = Some(uri);
            let checked = with_target(asked.checked, target);
            let asked = Asked {
                checked: &checked,
                ..asked
            };
            self.follow(asked, found, client, trace).await
        })
    }

    /// Goes where an upstream leads a request by `X-Accel-Redirect`.
    pub(super) async fn led(
        &self,
        asked: Asked<'_>,
        led: Led,
        client: &mut Client,
        trace: &mut Trace,
    ) -> Left {
        if !client.body_is_done() {
            // What is left of it is for nobody.
            close::rest_of_body(client).await;
        }
        client.becomes_get();
        trace.settles(now());
        trace.tally = Tally::default();
        trace.led = led.fields;
        trace.said = Some(led.said);
        let to = String::from_utf8_lossy(&led.to).into_owned();
        if to.starts_with('@') {
            return self.named(asked, &to, client, trace).await;
        }
        let Some(to) = led::safe(&led.to) else {
            let (snapshot, id) = (asked.snapshot, asked.id);
            let refused = self.answer_cause(snapshot, client, Cause::RouteMissing, id, trace);
            return refused.await;
        };
        let target = files::split(&to);
        let ruled = trace.site.is_some_and(|site| {
            let rules = &asked.snapshot.config.sites[site].detours.rules;
            !rules.is_empty()
        });
        if !ruled || !trace.detour.next_round() {
            return self.anew(asked, target, client, trace).await;
        }
        // As nginx does, the site's rules see the new path as well.
        let uri = uri::parse(&target, merges(asked.snapshot, trace)).ok();
        trace.seen.get_or_insert_default().uri = uri;
        let checked = with_target(asked.checked, target);
        let asked = Asked {
            checked: &checked,
            ..asked
        };
        Box::pin(self.site_rules(asked, client, trace)).await
    }

    /// Takes the route with this name, which may have its `@`.
    pub(super) fn named<'a>(
        &'a self,
        asked: Asked<'a>,
        name: &'a str,
        client: &'a mut Client,
        trace: &'a mut Trace,
    ) -> Leaving<'a> {
        Box::pin(async move {
            let name = name.strip_prefix('@').unwrap_or(name);
            let site = trace.site.map(|site| &asked.snapshot.sites[site]);
            let found = site.and_then(|site| site.paths.named(name));
            match found.filter(|_| trace.detour.next_round()) {
                Some(route) => {
                    let found = RouteMatch::Found(route);
                    self.follow(asked, found, client, trace).await
                }
                None => {
                    let (snapshot, id) = (asked.snapshot, asked.id);
                    self.answer_cause(snapshot, client, Cause::RouteLoop, id, trace)
                        .await
                }
            }
        })
    }

    /// Goes where a path leads.
    pub(super) async fn follow(
        &self,
        asked: Asked<'_>,
        found: RouteMatch,
        client: &mut Client,
        trace: &mut Trace,
    ) -> Left {
        let (snapshot, id) = (asked.snapshot, asked.id);
        let Some(site) = trace.site else {
            return self
                .answer_cause(snapshot, client, Cause::Internal, id, trace)
                .await;
        };
        let head = client.head();
        let request = (&head.method, &head.headers, asked.checked);
        let uri = trace.seen.as_ref().and_then(|seen| seen.uri.as_ref());
        match decide::follow(snapshot, site, found, request, uri) {
            Decision::Forward { route } => {
                trace.route = Some(route);
                self.forward(asked, route, client, trace).await
            }
            Decision::Slash { route, answer } => {
                trace.route = Some(route);
                self.answer(snapshot, client, answer, id, trace).await
            }
            Decision::Answer(answer) => self.answer(snapshot, client, answer, id, trace).await,
            Decision::TooLarge { route } => {
                trace.route = Some(route);
                let cause = Cause::BodyTooLarge;
                self.answer_cause(snapshot, client, cause, id, trace).await
            }
            Decision::Refuse(cause) => self.answer_cause(snapshot, client, cause, id, trace).await,
            Decision::ChallengeFallback(_) | Decision::Rules => {
                self.answer_cause(snapshot, client, Cause::RouteLoop, id, trace)
                    .await
            }
        }
    }
}

impl Detour {
    /// Counts a round; false when there were enough. The route's own rules are yet to come.
    fn next_round(&mut self) -> bool {
        self.rounds += 1;
        (self.ruled, self.stayed) = (false, std::mem::take(&mut self.changed));
        self.rounds <= ROUNDS
    }

    /// Whether there were too many.
    pub(super) fn is_lost(&self) -> bool {
        self.rounds > ROUNDS
    }
}

/// Sends an answer that is read while it goes out, and notes how far that went.
pub(super) async fn send_large(
    client: &mut Client,
    answer: &Answer,
    limits: (Duration, Option<Box<Pace>>),
    trace: &mut Trace,
) -> Left {
    match files::send::send(client, answer, limits, &mut trace.own_body).await {
        Ok(squeezed) => {
            trace.tally.squeezed = squeezed;
            Left::Whole
        }
        Err(cause) => {
            trace.cause = Some(cause);
            client.abort();
            match cause {
                Cause::ClientGone | Cause::ClientStalled => {
                    trace.status = cause.status();
                    Left::Gone
                }
                _ => Left::Broken,
            }
        }
    }
}

/// A request with another target.
pub(super) fn with_target(checked: &Checked, target: Vec<u8>) -> Checked {
    Checked {
        authority: checked.authority.clone(),
        host_value: checked.host_value.clone(),
        target: target.into(),
        replaced: Some(checked.asked().into()),
        upgrade: checked.upgrade.clone(),
        present: checked.present,
    }
}

/// Whether several slashes are one where the request is.
pub(super) fn merges(snapshot: &Snapshot, trace: &Trace) -> bool {
    let site = trace.site.map(|site| snapshot.config.sites[site].paths);
    !matches!(
        site,
        Some(Paths::Normal {
            merge_slashes: false
        })
    )
}

/// Whether a path was routed by a form that is not its normal one, to a route that the normal one does not belong to:
/// what another route keeps to itself must not be reached by another spelling.
fn strays(snapshot: &Snapshot, trace: &Trace, checked: &Checked, uri: &Uri) -> bool {
    let (Some(site), Some(route)) = (trace.site, trace.route) else {
        return true;
    };
    if snapshot.config.sites[site].paths != Paths::Raw {
        return false;
    }
    let normal = uri::escape(&uri.path);
    let (raw, _) = target::path_of(&checked.target);
    let own = RouteMatch::Found(route - snapshot.first_route(site));
    normal != raw && snapshot.sites[site].paths.find(&normal) != own
}

/// How much of a path its route stands for.
pub(super) fn prefix(pattern: &PathPattern, uri: &Uri) -> usize {
    let whole = uri.path.len();
    let Some(pattern) = pattern.path() else {
        return whole;
    };
    if uri.path.starts_with(pattern.as_bytes()) {
        return pattern.len();
    }
    // A pattern of raw paths is escaped.
    let pattern = uri::parse(pattern.as_bytes(), true).map(|pattern| pattern.path);
    let pattern = pattern.unwrap_or_default();
    if uri.path.starts_with(&pattern) {
        pattern.len()
    } else {
        whole
    }
}
