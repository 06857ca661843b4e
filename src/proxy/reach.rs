//! Reaches an endpoint of a request's upstream: a pooled connection or a new one, and the next endpoint when none can be
//! made.
//!
//! Nothing is sent here, so trying on is always safe. A client that leaves meanwhile ends it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::admit::while_there;
use super::client::Client;
use super::forward::{Course, Forward};
use super::trace::Trace;
use crate::config::Retryable;
use crate::observe::cause::Cause;
use crate::observe::open::Wait;
use crate::transport::now;
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::connect::{ConnectError, ConnectLimits, Line};
use crate::upstream::endpoint::Outcome;
use crate::upstream::group::Chosen;
use crate::upstream::peer::Peer;

/// An endpoint, and a connection to it or a stream of one.
pub(super) struct Reached {
    pub(super) peer: Peer,
    /// What a connection may stand in for.
    pub(super) line: Line,
    /// Whether it has served a request before.
    pub(super) reused: bool,
    pub(super) endpoint: Chosen,
}

impl Forward<'_> {
    /// A connection to an endpoint, pooled or new.
    pub(super) async fn reach(
        &self,
        client: &mut Client,
        course: &mut Course,
        trace: &mut Trace,
    ) -> Result<Reached, Cause> {
        let group = &self.route.group;
        let retries = &group.config.protection.retries;
        let mut cause = None;
        while let Some(endpoint) = course.next.take().or_else(|| self.choose(client, course)) {
            let address = endpoint.address;
            trace.try_begins(address, course.at);
            let mut line = group.connector.line(address);
            line.from = self.changes.own.and_then(|own| own.from);
            let by_h2 = group.connector.http2 && self.changes.upgrade.is_none();
            if !by_h2
                && !course.fresh
                && let Some(connection) = self.pool.take(&line, course.at, !self.repeats(client))
            {
                self.metrics.upstream_connections_reused.inc();
                self.note(address, Wait::Answer);
                return Ok(Reached {
                    peer: Peer::H1(connection),
                    line,
                    reused: true,
                    endpoint,
                });
            }
            self.note(address, Wait::Upstream);
            let begun = now();
            let limits = self.within(course, begun);
            let connected = match by_h2 {
                // Boxed: larger than all the rest, and most requests find a connection.
                false => Box::pin(while_there(client, group.connector.connect(line, limits)))
                    .await
                    .map(|connected| Ok((Peer::H1(connected.map_err(Arc::new)?), false, true))),
                true => {
                    let taking = self.stream(line, limits, course.fresh);
                    Box::pin(while_there(client, taking)).await
                }
            };
            course.at = now();
            match connected {
                None => return Err(Cause::ClientGone),
                Some(Ok((peer, reused, opened))) => {
                    if opened {
                        self.metrics.upstream_connections_opened.inc();
                        trace.connect_time = Some(course.at.saturating_duration_since(begun));
                        endpoint.report(Outcome::Connected, begun);
                    } else {
                        self.metrics.upstream_connections_reused.inc();
                    }
                    self.note(address, Wait::Answer);
                    return Ok(Reached {
                        peer,
                        line,
                        reused,
                        endpoint,
                    });
                }
                Some(Err(_)) if course.is_over() => return Err(Cause::TotalTimeout),
                Some(Err(error)) => {
                    let (failed, outcome) = error.count(self.metrics);
                    cause = Some(failed);
                    let reason: &dyn std::error::Error = &*error;
                    tracing::warn!(upstream = %group.name(), error = reason, "connect failed");
                    trace.errno = error.errno();
                    trace.try_failed(cause, course.at);
                    endpoint.report(outcome, course.at);
                    course.tried.push(address);
                }
            }
            if !retries.on.has(Retryable::Connect) || !course.is_in_time(retries.deadline) {
                break;
            }
        }
        Err(cause.unwrap_or_else(|| group.nobody()))
    }

    fn note(&self, endpoint: EndpointAddress, wait: Wait) {
        self.entry.note(|row| {
            row.endpoint = Some(endpoint);
            row.wait = wait;
        });
    }

    /// A stream of HTTP/2, whether its connection has served a request before, and whether it was made for this one.
    async fn stream(
        &self,
        line: Line,
        limits: ConnectLimits,
        fresh: bool,
    ) -> Result<(Peer, bool, bool), Arc<ConnectError>> {
        let group = &self.route.group;
        let idle = group.config.keep_alive_idle;
        let pool = &self.pool.http2;
        let taken = pool.take(line, &group.connector, limits, idle, fresh);
        let taken = taken.await?;
        Ok((Peer::H2(taken.stream), taken.reused, taken.opened))
    }

    /// The time limits of connecting, none beyond the end of all.
    fn within(&self, course: &Course, begun: Instant) -> ConnectLimits {
        let timeouts = &self.route.timeouts;
        let left = course
            .total
            .map(|total| total.saturating_duration_since(begun));
        let most = |limit: Duration| left.map_or(limit, |left| limit.min(left));
        ConnectLimits {
            tcp: most(timeouts.connect),
            tls: most(timeouts.tls),
        }
    }
}
