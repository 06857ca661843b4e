//! Forwards one request to one of its upstream's endpoints.
//!
//! Chooses the endpoint, takes a pooled connection or makes one, tries the next endpoint when a connect fails, and
//! repeats a request once when a reused connection turns out to have been closed: only when it is idempotent (RFC 9110
//! section 9.2.2), nothing of a body was taken and nothing was answered. Moving the bytes is `exchange`'s.

use std::time::Instant;

use http::Method;

use super::client::Client;
use super::exchange::{End, Exchange, ExchangeLimits, Tally};
use super::filter::request::{self, Changes};
use super::filter::response;
use super::trace::Trace;
use crate::config::ClientTimeouts;
use crate::observe::cause::Cause;
use crate::observe::metrics::Metrics;
use crate::snapshot::RunningRoute;
use crate::transport::now;
use crate::upstream::Keys;
use crate::upstream::connect::{ConnectError, ConnectLimits, Line};
use crate::upstream::endpoint::Outcome;
use crate::upstream::group::{Chosen, Group};
use crate::upstream::http1::{Connection, Request};
use crate::upstream::pool::Pool;

/// What a request is forwarded with.
pub struct Forward<'a> {
    /// The worker's idle connections.
    pub pool: &'a Pool,
    /// Where connections are counted.
    pub metrics: &'a Metrics,
    /// Where it goes.
    pub route: &'a RunningRoute,
    /// What the client may take.
    pub timeouts: &'a ClientTimeouts,
    /// How its head changes.
    pub changes: Changes<'a>,
}

/// What a forwarded request turned into.
pub enum Forwarded {
    /// A complete response.
    Response,
    /// A tunnel: the upstream's connection after its 101.
    /// The endpoint counts it as in flight as long as it is open.
    Tunnel(Box<Connection>, Chosen),
}

impl Forward<'_> {
    /// Forwards the request of `client`. A failure says why; `trace.tally` says whether the client has seen a head.
    pub async fn run(&self, client: &mut Client, trace: &mut Trace) -> Result<Forwarded, Cause> {
        let upgrade = self.changes.upgrade.is_some();
        let mut fresh = upgrade;
        // The clock is asked again only after a wait.
        let mut at = trace.started;
        loop {
            let taken = self.connection(client, fresh, at, trace).await?;
            let (mut upstream, reused, (chosen, line)) = taken;
            if !reused {
                at = now();
            }
            self.write_head(client, &mut upstream);
            trace.sent_at = Some(at);
            trace.tally = Tally::default();
            let view = response::Client::of(&client.head().method, client.head().version);
            let limits = self.limits(upgrade);
            let exchange = Exchange::new(client, view, upstream, limits, &mut trace.tally, at);
            match exchange.run().await {
                Ok(End::Complete(upstream, ended)) => {
                    if let Some(upstream) = upstream {
                        let config = &self.route.group.config;
                        self.pool.put(line, upstream, config, ended);
                    }
                    chosen.report(answered(trace), ended);
                    trace.status = trace.tally.upstream_status.unwrap_or(0);
                    return Ok(Forwarded::Response);
                }
                Ok(End::Upgraded(upstream)) => {
                    trace.status = 101;
                    chosen.report(answered(trace), now());
                    return Ok(Forwarded::Tunnel(upstream, chosen));
                }
                Err(failure) => {
                    let repeatable = failure.stale
                        && reused
                        && !fresh
                        && trace.tally.body_received == 0
                        && is_idempotent(&client.head().method);
                    if let Some(outcome) = blamed(failure.cause).filter(|_| !failure.stale) {
                        chosen.report(outcome, now());
                    }
                    if !repeatable {
                        return Err(failure.cause);
                    }
                    self.metrics.upstream_retries.inc();
                    fresh = true;
                    at = now();
                    trace.try_failed(failure.cause, at);
                }
            }
        }
    }

    /// A connection to an endpoint, whether it was used before, and the endpoint with its line.
    async fn connection(
        &self,
        client: &Client,
        fresh: bool,
        mut at: Instant,
        trace: &mut Trace,
    ) -> Result<(Box<Connection>, bool, (Chosen, Line)), Cause> {
        let group: &Group = &self.route.group;
        let keys = Keys {
            client: self.changes.origin.client,
            headers: Some(&client.head().headers),
        };
        let mut tried = Vec::new();
        let mut cause = Cause::UpstreamEmpty;
        while let Some(endpoint) = group.choose(&keys, &tried, at) {
            let address = endpoint.address;
            trace.try_begins(address, at);
            let line = group.connector.line(address);
            if !fresh && let Some(connection) = self.pool.take(&line, at) {
                self.metrics.upstream_connections_reused.inc();
                return Ok((connection, true, (endpoint, line)));
            }
            let begun = now();
            let timeouts = &self.route.timeouts;
            let limits = ConnectLimits {
                tcp: timeouts.connect,
                tls: timeouts.tls,
            };
            match group.connector.connect(address, limits).await {
                Ok(connection) => {
                    self.metrics.upstream_connections_opened.inc();
                    trace.connect_time = Some(now().saturating_duration_since(begun));
                    endpoint.report(Outcome::Connected, begun);
                    return Ok((connection, false, (endpoint, line)));
                }
                Err(error) => {
                    let outcome = match error {
                        ConnectError::Refused { .. } | ConnectError::Tls { .. } => {
                            Outcome::ConnectFailed
                        }
                        ConnectError::TimedOut { .. } | ConnectError::TlsTimedOut { .. } => {
                            Outcome::ConnectTimedOut
                        }
                    };
                    cause = self.count(&error);
                    let reason: &dyn std::error::Error = &error;
                    tracing::warn!(upstream = %group.name(), error = reason, "connect failed");
                    at = now();
                    trace.try_failed(cause, at);
                    endpoint.report(outcome, at);
                    tried.push(address);
                }
            }
        }
        Err(cause)
    }

    fn count(&self, error: &ConnectError) -> Cause {
        match error {
            ConnectError::Refused { .. } => {
                self.metrics.upstream_connections_failed.inc();
                Cause::UpstreamConnect
            }
            ConnectError::TimedOut { .. } => {
                self.metrics.upstream_connections_timed_out.inc();
                Cause::UpstreamConnectTimeout
            }
            ConnectError::Tls { .. } => {
                self.metrics.upstream_connections_untrusted.inc();
                Cause::UpstreamTls
            }
            ConnectError::TlsTimedOut { .. } => {
                self.metrics.upstream_connections_timed_out.inc();
                Cause::UpstreamTlsTimeout
            }
        }
    }

    /// Writes the head into the connection's buffer, from where it leaves together with the first of the body.
    fn write_head(&self, client: &Client, upstream: &mut Connection) {
        let head = client.head();
        let wire = upstream.begin(Request {
            body: self.changes.framing,
            is_head: head.method == Method::HEAD,
            upgrade: self.changes.upgrade.is_some(),
        });
        request::write(head, &self.changes, wire);
    }

    fn limits(&self, upgrade: bool) -> ExchangeLimits {
        let timeouts = &self.route.timeouts;
        ExchangeLimits {
            body: self.route.body_limit.map(|limit| limit.0),
            body_idle: self.timeouts.body,
            write: self.timeouts.write,
            response: if upgrade {
                timeouts.tunnel_handshake
            } else {
                timeouts.response
            },
            idle: timeouts.idle,
            event_stream_idle: timeouts.tunnel_idle,
        }
    }
}

/// What the endpoint did in an exchange that went well.
fn answered(trace: &Trace) -> Outcome {
    Outcome::Answered {
        status: trace.tally.upstream_status.unwrap_or(0),
        latency: trace.response_time().unwrap_or_default(),
    }
}

/// What the endpoint did when an exchange failed for this cause; `None` when it was not its doing.
fn blamed(cause: Cause) -> Option<Outcome> {
    match cause {
        Cause::UpstreamClosed | Cause::UpstreamTruncated | Cause::UpstreamSend => {
            Some(Outcome::Reset)
        }
        Cause::UpstreamResponseTimeout | Cause::UpstreamIdle => Some(Outcome::TimedOut),
        Cause::UpstreamMalformed => Some(Outcome::Malformed),
        _ => None,
    }
}

fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}
