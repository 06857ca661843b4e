//! Counts and logs a request when it is over.
//!
//! Nothing is formatted for a log that is off, and a request that `hubgate why` need not remember costs a branch.

use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use http::HeaderMap;

use super::app::{App, Facts, Shared};
use super::client::Client;
use super::known::Known;
use super::sentences;
use super::trace::{self, Trace};
use super::values::{self, Values, host_of};
use crate::config::LogFormat;
use crate::observe::access_log::{AccessLogHandle, ClientCertificate, Record};
use crate::observe::cause::{Cause, Situation};
use crate::observe::events;
use crate::observe::history::{self, Condition, History};
use crate::observe::metrics::{Metrics, Protocol};
use crate::snapshot::Snapshot;
use crate::tls::client::Client as ClientOfTls;
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::endpoint::Override;
use crate::upstream::group::Group;

/// A request whose head was read.
pub fn finished(app: &App, snapshot: &Snapshot, client: &Client, trace: &Trace, id: &str) {
    count(
        &app.shared.metrics,
        trace,
        if client.is_h2() {
            Protocol::H2
        } else {
            Protocol::H1
        },
    );
    let route = trace.route.map(|route| &snapshot.routes[route]);
    let site = trace.site.map(|site| &snapshot.sites[site]);
    let log: &AccessLogHandle = match (route, site) {
        (Some(route), _) => &route.access_log,
        (None, Some(site)) => &site.access_log,
        (None, None) => &snapshot.access_log,
    };
    let wrong = trace.cause.is_some() || !trace.failed().is_empty();
    if wrong && has_sentences(snapshot) {
        events::within(log.events(), || {
            sentences(app, snapshot, client, trace, id);
        });
    }
    let kept = app.shared.history.wants(trace.cause, trace.status);
    if !log.enabled() && !kept {
        return;
    }
    let head = client.head();
    let authority = host_of(head);
    let host = authority
        .as_ref()
        .map_or("", |authority| authority.host.as_str());
    let values = Values::new(
        (&app.facts, snapshot),
        (head, client.target()),
        host,
        trace.place(),
        id,
    );
    let mut values = values;
    let body = trace.tally.body_sent + trace.own_body + trace.tunnel.1;
    values.body_received = trace.tally.body_received;
    values.limited = trace.limited;
    values.known = Some(Known {
        status: trace.status,
        head: None,
        kept: trace.kept.as_deref(),
        failed: trace.failed(),
        last: trace.last(),
        over: Some(crate::transport::now()),
        whole: trace.whole,
        body,
        squeezed: trace.tally.squeezed,
    });
    let mut record = Record::new(
        SystemTime::now(),
        SocketAddr::new(values.client, values.client_port()),
        &head.headers,
    );
    record.values = Some(&values);
    fill(&mut record, &app.facts, trace, id);
    record.method = values.method;
    record.target = values.target;
    record.protocol = values::protocol(head.version);
    record.host = authority.as_ref().map(|authority| authority.host.as_str());
    record.site = trace.site.map(|site| &*snapshot.site_names[site]);
    record.route = route.map(|route| route.config.path.as_str());
    record.upstream = match &trace.upstream {
        Some(other) => Some(other.as_str()),
        None => route
            .and_then(|route| route.config.action.upstream())
            .map(|name| name.as_str()),
    };
    if log.enabled() {
        log.write(&record);
    }
    if kept {
        let secrets = match (trace.site.map(|site| &snapshot.config.sites[site]), route) {
            (_, Some(route)) => &route.config.access_log.redact,
            (Some(site), None) => &site.access_log.redact,
            (None, None) => &snapshot.config.access_log.redact,
        };
        let group = match &trace.upstream {
            Some(other) => snapshot.groups.get(other),
            None => route.map(|route| &route.group),
        };
        let conditions = group.map(|group| conditions(group, trace.endpoint));
        let conditions = conditions.unwrap_or_default();
        remember(
            &app.shared.history,
            snapshot,
            trace,
            &record,
            (secrets, &conditions),
        );
    }
}

/// Whether a log is one of nginx's form.
fn has_sentences(snapshot: &Snapshot) -> bool {
    let log = &snapshot.config.log;
    log.format == LogFormat::Nginx || !log.logs.is_empty() || snapshot.events
}

#[cold]
fn sentences(app: &App, snapshot: &Snapshot, client: &Client, trace: &Trace, id: &str) {
    let head = client.head();
    let authority = host_of(head);
    let host = authority
        .as_ref()
        .map_or("", |authority| authority.host.as_str());
    let request = (head, client.target());
    let values = Values::new((&app.facts, snapshot), request, host, trace.place(), id);
    let log = match (trace.route, trace.site) {
        (Some(route), _) => &snapshot.routes[route].config.access_log,
        (None, Some(site)) => &snapshot.config.sites[site].access_log,
        (None, None) => &snapshot.config.access_log,
    };
    sentences::tell(&values, trace, &log.redact);
}

/// A request whose head was refused before it could be read.
pub fn unread(shared: &Shared, facts: &Facts, trace: &Trace, id: &str) {
    count(&shared.metrics, trace, Protocol::H1);
    let snapshot = shared.snapshot.load();
    let none = HeaderMap::new();
    let mut record = Record::new(SystemTime::now(), facts.peer, &none);
    fill(&mut record, facts, trace, id);
    let site = trace.site.map(|site| &snapshot.sites[site].access_log);
    let log = site.unwrap_or(&snapshot.access_log);
    if log.enabled() {
        log.write(&record);
    }
    remember(&shared.history, &snapshot, trace, &record, (&[], &[]));
}

/// Keeps what there is to say about a request for `hubgate why`.
#[cold]
fn remember(
    history: &History,
    snapshot: &Snapshot,
    trace: &Trace,
    record: &Record<'_>,
    (secrets, conditions): (&[String], &[Condition]),
) {
    let since = |at: Instant| at.saturating_duration_since(trace.started);
    let over = trace.started + record.duration;
    let told = |one: trace::Try| {
        let at = since(one.begun);
        let answered = trace.tally.answered_at.filter(|_| one.ended.is_none());
        let ended = since(one.ended.or(answered).unwrap_or(over));
        history::Try {
            endpoint: one.endpoint,
            at,
            took: ended.saturating_sub(at),
            connect: one.connect_time,
            status: one.status,
            cause: one.cause,
        }
    };
    let tries: Vec<_> = trace.tries().map(told).collect();
    history.keep(record, secrets, snapshot.generation, &tries, conditions);
}

/// The endpoints' health now, that of the one tried last first; of many some.
#[cold]
fn conditions(group: &Group, tried: Option<EndpointAddress>) -> Vec<Condition> {
    let now = crate::transport::now();
    let endpoints = group.endpoints();
    let of = |was_tried: bool| {
        let endpoints = endpoints.iter();
        endpoints.filter(move |endpoint| (Some(endpoint.address) == tried) == was_tried)
    };
    of(true)
        .chain(of(false))
        .take(history::CONDITIONS)
        .map(|endpoint| Condition {
            endpoint: endpoint.address,
            state: match (endpoint.overridden(), endpoint.trouble(now)) {
                (Override::Enabled, None) => match endpoint.trial(now) {
                    None => "ready".to_owned(),
                    Some(reason) => format!("on trial: {reason}"),
                },
                (Override::Enabled, Some(reason)) => format!("left out: {reason}"),
                (Override::Draining, _) => "draining, by the operator".to_owned(),
                (Override::Disabled, _) => "disabled, by the operator".to_owned(),
            },
        })
        .collect()
}

fn count(metrics: &Metrics, trace: &Trace, protocol: Protocol) {
    metrics.request_finished(protocol, trace.status);
    if let Some(cause) = trace.cause {
        metrics.answered(cause);
    }
    if trace.tally.body_received > 0 {
        metrics.body_bytes_in.add(trace.tally.body_received);
    }
    metrics
        .body_bytes_out
        .add(trace.tally.body_sent + trace.own_body);
}

fn fill<'a>(record: &mut Record<'a>, facts: &'a Facts, trace: &'a Trace, id: &'a str) {
    record.scheme = facts.scheme();
    record.status = trace.status;
    record.body_sent = trace.tally.body_sent + trace.own_body;
    record.body_received = trace.tally.body_received;
    record.duration = tokio::time::Instant::now()
        .into_std()
        .saturating_duration_since(trace.started);
    record.request_id = id;
    record.endpoint = trace.endpoint;
    record.upstream_status = trace.tally.upstream_status;
    record.connect_time = trace.connect_time;
    record.response_time = trace.response_time();
    record.cause = trace.cause;
    record.tls_version = facts.tls_version;
    record.server_name = facts.server_name.as_ref().map(|name| name.as_str());
    record.proxied = facts.proxied.as_deref();
    if let ClientOfTls::Shown(shown) = &facts.client {
        let refused = |cause: Cause| cause.situation() == Situation::Certificate;
        record.client_certificate = Some(ClientCertificate {
            verified: !trace.cause.is_some_and(refused),
            verify: &shown.verify,
            subject: &shown.subject,
            issuer: &shown.issuer,
            serial: &shown.serial,
            fingerprint: &shown.fingerprint,
            sha1: &shown.sha1,
        });
    }
    (record.tunnel_in, record.tunnel_out) = trace.tunnel;
}
