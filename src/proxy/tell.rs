//! What a request is told in the end: the answers that hubgate makes itself, and failures after which there is none.
//!
//! A part of `app`. What stands on a page is `page`'s, what else an answer says the route's (`heads`), and who answers in
//! place of an error is `detours`'. Invariant: the trace says what the client got.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::LAST_MODIFIED;
use http::header::SET_COOKIE;

use super::answer::{self, Answer};
use super::app::{App, Drain, Left};
use super::client::Client;
use super::page::bare;
use super::terms::leaves_body;
use super::trace::Trace;
use super::{anew, close, detours, heads, last_event, pace};
use crate::observe::cause::{Cause, Situation};
use crate::snapshot::{PLAIN_ON_TLS, Snapshot};

impl App {
    /// After a forward that failed: an error page while nothing has been sent, an end that cannot be mistaken else.
    pub(super) async fn failed(
        &self,
        snapshot: &Arc<Snapshot>,
        client: &mut Client,
        cause: Cause,
        id: &str,
        trace: &mut Trace,
    ) -> Left {
        let ends = || *self.shared.drain.borrow() == Drain::Ending;
        let cause = match cause.situation() {
            // A wait that nothing but the process's end cut short.
            Situation::Late | Situation::Slow if ends() => Cause::ShuttingDown,
            _ => cause,
        };
        let gone = cause.status() == 499;
        if cause == Cause::BodyTimeout && client.resets(cause) {
            trace.cause = Some(cause);
            trace.status = cause.status();
            return Left::Broken;
        }
        if gone || trace.tally.response_begun {
            trace.cause = Some(cause);
            trace.status = match (gone, trace.tally.upstream_status) {
                (false, Some(status)) => status,
                _ => cause.status(),
            };
            if let Some(event) = last_event::of(snapshot, client.target(), cause, id, trace) {
                let limit = snapshot.times(trace.site, trace.route).write;
                return match close::with_event(client, &event, limit).await {
                    Ok(()) => Left::Whole,
                    Err(_) => Left::Broken,
                };
            }
            client.abort();
            if client.resets(cause) {
                return Left::Broken;
            }
            if !gone {
                // What came before the cut still belongs to the client.
                close::drained(client, ends()).await;
            }
            return if gone { Left::Gone } else { Left::Broken };
        }
        self.answer_cause(snapshot, client, cause, id, trace).await
    }

    pub(super) async fn answer_cause(
        &self,
        snapshot: &Arc<Snapshot>,
        client: &mut Client,
        cause: Cause,
        id: &str,
        trace: &mut Trace,
    ) -> Left {
        if matches!(
            cause,
            Cause::BodyMalformed | Cause::BodyTimeout | Cause::BodyTooLarge | Cause::MethodRefused
        ) || cause.situation() == Situation::Certificate
        {
            // On another connection the client is asked for its certificate again.
            client.close_after_answer();
        }
        let usual = status_of(cause, snapshot.pages(trace.site).bare);
        let intercepted = trace.detour.intercepted.take();
        let status = intercepted.unwrap_or(usual);
        let own = told_as(cause).and_then(|own| detours::error_rule(snapshot, trace, own));
        if let Some(rule) = own.or_else(|| detours::error_rule(snapshot, trace, status)) {
            let instead = self.instead(snapshot, rule, status, client, id, trace);
            if let Some(left) = instead.await {
                return left;
            }
        }
        let mut answer = self.answer_for(snapshot, client, cause, id, trace);
        if let Some(status) = intercepted.filter(|status| *status >= 400) {
            answer.status = status;
        }
        self.answer(snapshot, client, answer, id, trace).await
    }

    pub(super) async fn answer(
        &self,
        snapshot: &Arc<Snapshot>,
        client: &mut Client,
        mut answer: Answer,
        id: &str,
        trace: &mut Trace,
    ) -> Left {
        if snapshot.terms {
            self.agree(snapshot, client, trace);
        }
        let strict = snapshot.strict_transport(self.facts.is_tls, trace.site);
        let bare = snapshot.pages(trace.site).bare;
        let is_page = bare && bare::is_page(&answer);
        if is_page && !leaves_body(answer.status) {
            client.close_after_answer();
        }
        if let Some(status) = trace.detour.status.take()
            && answer.cause.is_none()
            && !(300..400).contains(&answer.status)
        {
            answer.status = status.as_u16();
            if !matches!(answer.status, 200 | 206) {
                // It is about the page, not about what was asked for.
                answer.fields.retain(|(name, _)| *name != LAST_MODIFIED);
            }
        }
        for (name, value) in std::mem::take(&mut trace.led) {
            // Several cookies are several fields; of the others there is one.
            if name != SET_COOKIE {
                answer.fields.retain(|(own, _)| *own != name);
            }
            answer.fields.push((name, value));
        }
        if bare {
            client.continues(answer.status);
        }
        answer.name_cause(id);
        if bare {
            bare::dress(&mut answer, is_page);
        }
        // What came of the last try is its cause's status.
        trace.cause = answer.cause;
        // To what the answer is by now: conditions and values are about its status and its page.
        let asked = (client.head(), client.target());
        heads::add_to(&mut answer, (&self.facts, snapshot), asked, (trace, id));
        answer.fields.extend(strict.map(answer::strict));
        heads::recode(
            &mut answer,
            (&self.facts, snapshot),
            client,
            (&mut *trace, id),
        );
        heads::keep(&answer, snapshot, trace);
        trace.status = answer.status;
        trace.cause = answer.cause;
        let is_head = client.head().method == Method::HEAD;
        trace.own_body = if is_head { 0 } else { answer.body.len() as u64 };
        let limit: Duration = snapshot.times(trace.site, trace.route).write;
        let request = (client.head(), client.target());
        let route = trace.route.filter(|_| answer.length() > 0);
        let route = route.map(|route| &snapshot.routes[route]);
        let pace = route.and_then(|route| {
            pace::of_request(route, (&self.facts, snapshot), request, (trace, id))
        });
        if (answer.rest.is_some() || pace.is_some()) && !is_head {
            return Box::pin(anew::send_large(client, &answer, (limit, pace), trace)).await;
        }
        match close::send(client, &answer, limit).await {
            Ok(()) => Left::Whole,
            Err(error) => {
                if error.kind() == io::ErrorKind::TimedOut {
                    client.resets(Cause::ClientStalled);
                }
                Left::Broken
            }
        }
    }
}

/// What a client gets for a cause. Where its pages are nginx's so is the status: 502 when there is nobody to ask.
pub(super) fn status_of(cause: Cause, bare: bool) -> u16 {
    match cause {
        Cause::UpstreamDown if bare => 502,
        Cause::HeadTooLarge | Cause::HeadTooManyFields if bare => 400,
        cause => cause.status(),
    }
}

/// The status that pages are looked for by, where nginx has one of its own for a cause.
fn told_as(cause: Cause) -> Option<u16> {
    match cause {
        Cause::PlainOnTls => Some(PLAIN_ON_TLS),
        Cause::ClientCertificateMissing => Some(496),
        cause if cause.situation() == Situation::Certificate => Some(495),
        _ => None,
    }
}
