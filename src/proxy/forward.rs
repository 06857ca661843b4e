//! Forwards one request to one of its upstream's endpoints.
//!
//! Chooses the endpoint, takes a pooled connection or makes one, tries the next endpoint when a connect fails, and
//! repeats a request once when a reused connection turns out to have been closed: only when it is idempotent (RFC 9110
//! section 9.2.2), nothing of a body was taken and nothing was answered. Moving the bytes is `exchange`'s.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Method;
use pingora::protocols::http::v1::client::HttpSession as UpstreamSession;

use super::client::Client;
use super::exchange::{End, Exchange, ExchangeLimits, Tally};
use super::filter::request::{self, Changes};
use super::filter::response;
use super::trace::Trace;
use crate::config::ClientTimeouts;
use crate::observe::cause::Cause;
use crate::observe::metrics::Metrics;
use crate::snapshot::RunningRoute;
use crate::transport::{EngineStream, Link, now};
use crate::upstream::connect::{ConnectError, connect};
use crate::upstream::group::Group;
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
    /// A tunnel: the upstream's session after its 101 and its connection.
    Tunnel(Box<UpstreamSession>, Arc<Link>),
}

impl Forward<'_> {
    /// Forwards the request of `client`. A failure says why; `trace.tally` says whether the client has seen a head.
    pub async fn run(&self, client: &mut Client, trace: &mut Trace) -> Result<Forwarded, Cause> {
        let upgrade = self.changes.upgrade.is_some();
        trace.upstream = Some(self.route.group.name().clone());
        let mut fresh = upgrade;
        loop {
            let (link, reused, endpoint) = self.connection(fresh, trace).await?;
            let upstream = self.send_head(client, &link).await?;
            trace.sent_at = Some(now());
            trace.tally = Tally::default();
            let view = response::Client::of(&client.head().method, client.head().version);
            let limits = self.limits(upgrade);
            let exchange = Exchange::new(
                client,
                view,
                upstream,
                link.clone(),
                limits,
                &mut trace.tally,
            );
            match exchange.run().await {
                Ok(End::Complete) => {
                    if trace.tally.reusable {
                        self.pool
                            .put(endpoint, link, &self.route.group.config, now());
                    }
                    trace.status = trace.tally.upstream_status.unwrap_or(0);
                    return Ok(Forwarded::Response);
                }
                Ok(End::Upgraded(session)) => {
                    trace.status = 101;
                    return Ok(Forwarded::Tunnel(session, link));
                }
                Err(failure) => {
                    let repeatable = failure.stale
                        && reused
                        && !fresh
                        && trace.tally.body_received == 0
                        && is_idempotent(&client.head().method);
                    if !repeatable {
                        return Err(failure.cause);
                    }
                    self.metrics.upstream_retries.inc();
                    fresh = true;
                }
            }
        }
    }

    /// A connection to an endpoint: the link, whether it was used before, and the endpoint's address.
    async fn connection(
        &self,
        fresh: bool,
        trace: &mut Trace,
    ) -> Result<(Arc<Link>, bool, SocketAddr), Cause> {
        let group: &Group = &self.route.group;
        let mut tried = Vec::new();
        let mut cause = Cause::UpstreamEmpty;
        while let Some(endpoint) = group.next(&tried, now()) {
            let address = endpoint.address;
            trace.endpoint = Some(address);
            if !fresh && let Some(link) = self.pool.take(&address, now()) {
                self.metrics.upstream_connections_reused.inc();
                return Ok((link, true, address));
            }
            let begun = now();
            match connect(address, self.route.config.timeouts.connect).await {
                Ok(link) => {
                    self.metrics.upstream_connections_opened.inc();
                    trace.connect_time = Some(now().saturating_duration_since(begun));
                    group.works(endpoint);
                    return Ok((link, false, address));
                }
                Err(error) => {
                    cause = self.count(&error);
                    let reason: &dyn std::error::Error = &error;
                    tracing::warn!(upstream = %group.name(), error = reason, "connect failed");
                    group.failed(endpoint, now());
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
        }
    }

    /// Writes the head into the link's buffer, from where it leaves together with the first of the body.
    async fn send_head(
        &self,
        client: &Client,
        link: &Arc<Link>,
    ) -> Result<Box<UpstreamSession>, Cause> {
        let frame =
            request::frame(client.head(), &self.changes).map_err(|_| Cause::HeadMalformed)?;
        let stream = EngineStream::new(link.clone(), None, false);
        let mut session = Box::new(UpstreamSession::new(Box::new(stream)));
        session
            .write_request_header(frame)
            .await
            .map_err(|_| Cause::HeadMalformed)?;
        // The engine knows the framing now; what it wrote is only a stand-in.
        link.rewrite(|wire| request::write(client.head(), &self.changes, wire));
        link.tap_head();
        Ok(session)
    }

    fn limits(&self, upgrade: bool) -> ExchangeLimits {
        let timeouts = &self.route.config.timeouts;
        ExchangeLimits {
            body: self.route.config.body_limit.map(|limit| limit.0),
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

fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}
