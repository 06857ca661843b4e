//! What leads a request elsewhere: rules before it is answered, somebody else in place of an error.
//!
//! A part of `app`, boxed as `anew` is, which routes what comes of it. Invariant: an error on the way to an error's page is
//! told as it is, unless its route has `errors` count again, and then so many times at most.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::StatusCode;

use super::anew::{Asked, Leaving, merges, with_target};
use super::answer::Answer;
use super::app::{App, Facts, Left};
use super::checks::Checked;
use super::client::Client;
use super::client_address;
use super::files;
use super::filter::forwarded;
use super::rules::{self, Ground, Ruled};
use super::terms::leaves_body;
use super::trace::Trace;
use super::{answered, close};
use crate::config::{Detours, ErrorRule, ErrorStatus, ErrorTarget, Rule, Text};
use crate::nginx::uri;
use crate::observe::cause::Cause;
use crate::router::target;
use crate::snapshot::Snapshot;
use crate::transport::now;

impl App {
    /// Carries out the rules of a site, then finds the route.
    pub(super) async fn site_rules(
        &self,
        asked: Asked<'_>,
        client: &mut Client,
        trace: &mut Trace,
    ) -> Left {
        let Some(site) = trace.site else {
            let (snapshot, id) = (asked.snapshot, asked.id);
            return self
                .answer_cause(snapshot, client, Cause::Internal, id, trace)
                .await;
        };
        let rules = &asked.snapshot.config.sites[site].detours.rules;
        match self.ruling(asked, rules, client, trace).await {
            Ok((Ruled::Through, _)) => {
                let (path, _) = target::path_of(&asked.checked.target);
                let path = if path == b"*" { &b"/"[..] } else { path };
                let paths = &asked.snapshot.sites[site].paths;
                let found = paths.seek(path, &asked.checked.target, &mut trace.seen);
                self.follow(asked, found, client, trace).await
            }
            // Where rules of a site end, its routes begin.
            Ok((Ruled::Find | Ruled::Stay | Ruled::Query, target)) => {
                self.anew(asked, target, client, trace).await
            }
            other => self.ruled_so(asked, other, client, trace).await,
        }
    }

    /// Carries out the rules of a route, then goes on there or elsewhere.
    pub(super) fn route_rules<'a>(
        &'a self,
        asked: Asked<'a>,
        route: usize,
        client: &'a mut Client,
        trace: &'a mut Trace,
    ) -> Leaving<'a> {
        Box::pin(async move {
            let running = &asked.snapshot.routes[route];
            let rules = &running.config.detours.rules;
            trace.detour.ruled = true;
            let guard = running.guard.as_ref();
            if guard.is_some_and(|guard| guard.is_for_others(&client.head().method)) {
                // They are a part of what those methods are kept from.
                return self.forward(asked, route, client, trace).await;
            }
            match self.ruling(asked, rules, client, trace).await {
                Ok((Ruled::Through, _)) => self.forward(asked, route, client, trace).await,
                Ok((ruled @ (Ruled::Stay | Ruled::Query), target)) => {
                    trace.detour.stayed = matches!(ruled, Ruled::Stay);
                    let checked = with_target(asked.checked, target);
                    let asked = Asked {
                        checked: &checked,
                        ..asked
                    };
                    self.forward(asked, route, client, trace).await
                }
                other => self.ruled_so(asked, other, client, trace).await,
            }
        })
    }

    /// What rules come to, and the target as they left it.
    async fn ruling(
        &self,
        asked: Asked<'_>,
        rules: &[Rule],
        client: &Client,
        trace: &mut Trace,
    ) -> Result<(Ruled, Vec<u8>), Cause> {
        let mut seen = trace.seen.take().unwrap_or_default();
        if seen.uri.is_none() {
            let target = match &*asked.checked.target {
                b"*" => b"/",
                target => target,
            };
            let uri = uri::parse(target, merges(asked.snapshot, trace));
            seen.uri = Some(uri.map_err(|_| Cause::HeadMalformed)?);
        }
        let ground = Ground {
            facts: &self.facts,
            snapshot: asked.snapshot,
            head: client.head(),
            target: asked.checked.asked(),
            host: asked.checked.authority.host.as_str(),
            at: (trace.site, trace.route),
            id: asked.id,
            known: trace.known(),
        };
        let ruled = rules::run(rules, ground, &mut seen).await;
        let uri = seen.uri.as_ref();
        let target = uri.map(|uri| files::target(&uri.path, &uri.args));
        trace.seen = Some(seen);
        Ok((ruled, target.unwrap_or_default()))
    }

    async fn ruled_so(
        &self,
        asked: Asked<'_>,
        ruled: Result<(Ruled, Vec<u8>), Cause>,
        client: &mut Client,
        trace: &mut Trace,
    ) -> Left {
        let (snapshot, id) = (asked.snapshot, asked.id);
        match ruled {
            Ok((Ruled::Answer(answer), _)) => match *answer {
                answer if answer.status == 444 => self.silent(client, trace),
                answer if answer.status >= 400 && answer.body.is_empty() => {
                    self.bare(asked, answer.status, client, trace).await
                }
                answer => self.answer(snapshot, client, answer, id, trace).await,
            },
            Ok((Ruled::Enter(name, false), _)) => self.named(asked, &name, client, trace).await,
            Ok((Ruled::Enter(name, true), target)) => {
                trace.detour.changed = true;
                let checked = with_target(asked.checked, target);
                let asked = Asked {
                    checked: &checked,
                    ..asked
                };
                self.named(asked, &name, client, trace).await
            }
            Ok((Ruled::Find | Ruled::Stay | Ruled::Query | Ruled::Through, target)) => {
                self.anew(asked, target, client, trace).await
            }
            Err(cause) => self.answer_cause(snapshot, client, cause, id, trace).await,
        }
    }

    /// Sends a request elsewhere in place of an error, as `rule` says. `None` when that cannot be.
    pub(super) fn instead<'a>(
        &'a self,
        snapshot: &'a Arc<Snapshot>,
        rule: &'a ErrorRule,
        status: u16,
        client: &'a mut Client,
        id: &'a str,
        trace: &'a mut Trace,
    ) -> Pin<Box<dyn Future<Output = Option<Left>> + Send + 'a>> {
        Box::pin(async move {
            if snapshot.pages(trace.site).bare && !leaves_body(status) {
                client.close_after_answer();
            }
            let checked = self.check_head(snapshot, client);
            let checked = checked.unwrap_or_else(|_| Checked::of_none(client.head()));
            let named = matches!(rule.to, ErrorTarget::Route(_));
            let untouched = trace.tally.body_received == 0;
            if !(client.body_is_done() || named && untouched) {
                // What is left of the body is for nobody.
                close::rest_of_body(client).await;
                if !client.body_is_done() {
                    return None;
                }
            }
            if named && !untouched {
                // It cannot be sent a second time.
                return None;
            }
            keep_client(snapshot, &self.facts, client, trace);
            trace.detour.in_place = true;
            let (of_route, of_site) = detours(snapshot, trace);
            let here = of_route.or(of_site);
            trace.detour.last_page = !here.is_some_and(|here| here.again);
            trace.detour.status = match rule.status {
                ErrorStatus::Same => StatusCode::from_u16(status).ok(),
                ErrorStatus::OfAnswer => None,
                ErrorStatus::Fixed(status) => StatusCode::from_u16(status).ok(),
            };
            // Of one that failed without an answer it is what its client would have got.
            trace.tally.upstream_status.get_or_insert(status);
            trace.settles(now());
            trace.tally = super::exchange::Tally::default();
            let value = |text: &Text, client: &Client, trace: &Trace| {
                let values = answered::values(self, snapshot, client, &checked, id, trace);
                text.value(&values).into_owned()
            };
            let peer = self.facts.peer.ip();
            let asked = Asked {
                snapshot,
                checked: &checked,
                trusted: forwarded::is_trusted(peer, &snapshot.config.server.trusted_proxies),
                id,
                entry: &self.entry,
            };
            let to = match &rule.to {
                ErrorTarget::Route(name) => {
                    return Some(self.named(asked, name, client, trace).await);
                }
                ErrorTarget::Path(to) | ErrorTarget::Elsewhere(to) => value(to, client, trace),
            };
            // One that begins with a variable is known by what came of it.
            Some(match to.starts_with(b"/") {
                false => {
                    let status = match rule.status {
                        ErrorStatus::Fixed(status @ (301 | 302 | 303 | 307 | 308)) => status,
                        _ => 302,
                    };
                    trace.detour.status = None;
                    let answer = Answer::redirect(status, &to, None);
                    self.answer(snapshot, client, answer, id, trace).await
                }
                true => {
                    let target = files::split(&to);
                    client.becomes_get();
                    self.anew(asked, target, client, trace).await
                }
            })
        })
    }
}

/// What a request's route and its site say.
fn detours<'s>(
    snapshot: &'s Snapshot,
    trace: &Trace,
) -> (Option<&'s Detours>, Option<&'s Detours>) {
    let route = trace.route.map(|route| &snapshot.routes[route].config);
    let site = trace.site.map(|site| &snapshot.config.sites[site]);
    (
        route.map(|route| &route.detours),
        site.map(|site| &site.detours),
    )
}

/// Keeps whom a route with a word of its own takes for the client, as nginx does from there on.
fn keep_client(snapshot: &Snapshot, facts: &Facts, client: &Client, trace: &mut Trace) {
    let route = trace.route.and_then(|route| snapshot.routes.get(route));
    if route.is_none_or(|route| route.config.client_address.is_none()) {
        return;
    }
    let places = (trace.site, trace.route);
    let fields = &client.head().headers;
    let address = client_address::of(snapshot, places, facts, fields);
    let seen = trace.seen.get_or_insert_default();
    seen.client.get_or_insert(address);
}

/// What is to be done about an error with this status where the request is; nothing about the page of another one.
pub(super) fn error_rule<'s>(
    snapshot: &'s Snapshot,
    trace: &Trace,
    status: u16,
) -> Option<&'s ErrorRule> {
    if trace.detour.last_page || trace.detour.is_lost() {
        return None;
    }
    let (of_route, of_site) = detours(snapshot, trace);
    let mut rules = of_route.into_iter().chain(of_site).map(|own| &*own.errors);
    rules.find_map(|rules| ErrorRule::find(rules, status))
}
