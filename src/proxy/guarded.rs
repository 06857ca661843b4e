//! A request at its route's guard, and what whoever does not pass it is told; and how any cause is answered.
//!
//! What the guard asks is `guard`'s; the answer's looks are `page`'s. Sending it is `app`'s.

use std::sync::Arc;

use super::admit::while_there;
use super::answer::Answer;
use super::app::{App, Left};
use super::ask::Question;
use super::checks::Checked;
use super::client::Client;
use super::detours::error_rule;
use super::guard::{self, Asking, Next, Refusal};
use super::page;
use super::tell::status_of;
use super::trace::Trace;
use super::values::Values;
use crate::limits::concurrency::Place;
use crate::observe::cause::Cause;
use crate::snapshot::Snapshot;
use crate::transport::now;

impl App {
    /// Asks the route's guard, if it has one; whoever is asked for a password waits as long as its route says.
    pub(super) async fn guarded(
        &self,
        snapshot: &Snapshot,
        route: usize,
        client: &mut Client,
        checked: &Checked,
        id: &str,
        trace: &mut Trace,
    ) -> Result<Vec<Place>, Refusal> {
        let asked = self.asked(snapshot, route, client, checked, id, trace);
        let refusal = match asked.await {
            Err(refusal) if refusal.answers() == 401 => refusal,
            other => return other,
        };
        let guard = snapshot.routes[route].guard.as_ref();
        let entry = guard.and_then(|guard| guard.entry(&client.head().method));
        if let Some(delay) = entry.and_then(|entry| entry.config.delay) {
            tracing::info!(event = "access.delayed", "delaying unauthorized request");
            let waited = while_there(client, tokio::time::sleep(delay)).await;
            waited.ok_or_else(|| Refusal::of(Cause::ClientGone))?;
        }
        Err(refusal)
    }

    async fn asked(
        &self,
        snapshot: &Snapshot,
        route: usize,
        client: &mut Client,
        checked: &Checked,
        id: &str,
        trace: &mut Trace,
    ) -> Result<Vec<Place>, Refusal> {
        let route = &snapshot.routes[route];
        let Some(guard) = &route.guard else {
            return Ok(Vec::new());
        };
        let asking = {
            let values = Values::new(
                (&self.facts, snapshot),
                (client.head(), checked.asked()),
                checked.authority.host.as_str(),
                trace.place(),
                id,
            );
            Asking::of(guard, route, &client.head().method, &values)
        };
        let (places, next) = {
            let said = (trace.detour.counted, &mut trace.limited);
            guard::admit(guard, &asking, client, said).await?
        };
        let ask = guard
            .entry(&client.head().method)
            .and_then(|entry| entry.config.ask.as_ref());
        let (Next::Ask(before), Some(ask)) = (next, ask) else {
            return Ok(places);
        };
        let question = Question {
            app: self,
            snapshot,
            checked,
            id,
            told: &asking.told,
        };
        match question.ask(ask, client, trace).await {
            Ok(()) => Ok(places),
            // Whoever may be let in by a password is asked for one.
            Err(refusal) if refusal.cause == Cause::AskRefused => Err(before
                .filter(|before| before.field.is_some())
                .unwrap_or(refusal)),
            Err(refusal) => Err(refusal),
        }
    }

    /// Answers a request that its route's guard does not let in.
    pub(super) async fn turned_away(
        &self,
        snapshot: &Arc<Snapshot>,
        client: &mut Client,
        refusal: Refusal,
        id: &str,
        trace: &mut Trace,
    ) -> Left {
        if refusal.cause.status() == 499 {
            return self
                .failed(snapshot, client, refusal.cause, id, trace)
                .await;
        }
        let status = refusal.answers();
        if let Some(rule) = error_rule(snapshot, trace, status) {
            // Whoever is asked for a password is asked by the answer that there is instead, as with nginx.
            let before = trace.led.len();
            trace.led.extend(refusal.field.clone());
            let instead = self.instead(snapshot, rule, status, client, id, trace);
            if let Some(left) = instead.await {
                return left;
            }
            trace.led.truncate(before);
        }
        trace.detour.status = None;
        let mut answer = self.answer_for(snapshot, client, refusal.cause, id, trace);
        answer.status = refusal.status.unwrap_or(answer.status);
        answer.fields.extend(refusal.field);
        self.answer(snapshot, client, answer, id, trace).await
    }

    /// The answer that tells of a cause.
    pub(super) fn answer_for(
        &self,
        snapshot: &Snapshot,
        client: &Client,
        cause: Cause,
        id: &str,
        trace: &Trace,
    ) -> Answer {
        let pages = match trace.site {
            Some(site) => &snapshot.config.sites[site].error_pages,
            None => &snapshot.config.error_pages,
        };
        let route = trace.route.map(|route| &snapshot.routes[route].config);
        let facts = page::Facts {
            cause,
            request_id: id,
            launch: route.is_some_and(|route| page::launch::is_launch(route, client.target())),
            pages,
        };
        let mut answer = Answer::of_cause(&facts, Some(client.head()));
        if cause == Cause::CircuitOpen
            && let Some(circuit) = trace
                .route
                .and_then(|route| snapshot.routes[route].group.protection.circuit.as_ref())
            && let (_, Some(wait)) = circuit.standing(now())
        {
            answer = answer.again_in(wait);
        }
        if cause == Cause::UpstreamDown {
            answer.status = status_of(cause, snapshot.pages(trace.site).bare);
        }
        answer
    }
}
