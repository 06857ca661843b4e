//! Whether a request may go to its upstream now: its circuit, its limits and its queue, and how long they make it wait.
//!
//! Only for upstreams that have one of them. A client that leaves while its request waits takes it out of the queue.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use super::client::Client;
use super::trace::Trace;
use crate::observe::cause::Cause;
use crate::observe::metrics::Metrics;
use crate::transport::now;
use crate::types::name::UpstreamName;
use crate::upstream::admission::Place;
use crate::upstream::circuit::Change;
use crate::upstream::protection::{Pass, Protection};

/// What a request was admitted with.
#[must_use = "dropped, it lets another in"]
pub(super) struct Admitted {
    /// Its part of the limits.
    pub(super) place: Place,
    pass: Option<Pass>,
}

/// Admits the request of `client`, at once or when its turn comes, at the latest at `total`.
pub(super) async fn admit(
    protection: &Protection,
    client: &mut Client,
    metrics: &Metrics,
    total: Option<Instant>,
) -> Result<Admitted, Cause> {
    let pass = match &protection.circuit {
        Some(circuit) => Some(circuit.pass(now()).ok_or(Cause::CircuitOpen)?),
        None => None,
    };
    let Some(admission) = &protection.admission else {
        let place = Place::default();
        return Ok(Admitted { place, pass });
    };
    if let Some(place) = admission.try_enter() {
        return Ok(Admitted { place, pass });
    }
    metrics.upstream_requests_queued.inc();
    match while_there(client, until(total, admission.wait())).await {
        None => Err(Cause::ClientGone),
        Some(None) => Err(Cause::TotalTimeout),
        Some(Some(Err(refused))) => Err(refused.into()),
        Some(Some(Ok(place))) => Ok(Admitted { place, pass }),
    }
}

impl Admitted {
    /// Tells the circuit how the request ended, as far as that says something about the upstream.
    pub(super) fn ended(
        self,
        name: &UpstreamName,
        result: Option<Cause>,
        trace: &Trace,
        metrics: &Metrics,
    ) -> Place {
        let failed = match result {
            None => Some(matches!(trace.tally.upstream_status, Some(502..=504))),
            Some(cause) => is_upstreams(cause).then_some(true),
        };
        if let Some((pass, failed)) = self.pass.zip(failed) {
            match pass.ended(failed, now()) {
                Some(Change::Opened) => {
                    metrics.upstream_circuits_opened.inc();
                    tracing::error!(event = "upstream.circuit.open", upstream = %name, "too many requests fail; none is sent for a while");
                }
                Some(Change::Closed) => {
                    tracing::info!(event = "upstream.circuit.close", upstream = %name, "requests succeed again");
                }
                None => {}
            }
        }
        self.place
    }
}

/// Whether the upstream is what failed.
fn is_upstreams(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::UpstreamEmpty
            | Cause::UpstreamDown
            | Cause::UpstreamUnresolved
            | Cause::UpstreamConnect
            | Cause::UpstreamConnectTimeout
            | Cause::UpstreamTls
            | Cause::UpstreamTlsTimeout
            | Cause::UpstreamSend
            | Cause::UpstreamClosed
            | Cause::UpstreamMalformed
            | Cause::UpstreamResponseTimeout
            | Cause::UpstreamReset
            | Cause::UpstreamTruncated
            | Cause::UpstreamIdle
            | Cause::TunnelHandshakeTimeout
    )
}

/// Carries `work` on for as long as the client is there; `None` when it has left.
pub(super) async fn while_there<T>(
    client: &mut Client,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => client.poll_gone(cx).map(|()| None),
    })
    .await
}

async fn until<T>(at: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match at {
        Some(at) => tokio::time::timeout_at(at.into(), work).await.ok(),
        None => Some(work.await),
    }
}
