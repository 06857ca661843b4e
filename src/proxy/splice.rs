//! Turns an exchange that ended in a 101 into a tunnel, and runs it to its end.
//!
//! What the upstream sent behind its 101 goes first; what the client sent early still waits in its link.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use http::header;

use super::app::{App, Drain};
use super::client::Client;
use super::trace::Trace;
use super::tunnel::{Ended, Relay};
use crate::observe::cause::Cause;
use crate::observe::open::{Entry, Kind, Moved, Wait};
use crate::snapshot::RunningRoute;
use crate::upstream::http1::Connection;

/// Runs the tunnel; afterwards both connections are of no more use.
pub async fn tunnel(
    app: &App,
    entry: &Entry,
    client: &mut Client,
    upstream: Connection,
    route: &RunningRoute,
    trace: &mut Trace,
) {
    let Client::H1 {
        session: client_session,
        link,
        ..
    } = client
    else {
        return;
    };
    let _open = app.shared.metrics.tunnel_opened();
    let is_websocket = client_session
        .req_header()
        .headers
        .get(header::UPGRADE)
        .is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let (upstream, from_upstream) = upstream.into_tunnel();
    let moved = Arc::<Moved>::default();
    entry.note(|row| {
        row.kind = Kind::Tunnel;
        row.wait = Wait::End;
        row.moved = Some(Arc::clone(&moved));
    });
    let idle = route.timeouts.tunnel_idle;
    let mut relay = Relay::new(link.clone(), upstream, idle, is_websocket).telling(moved);
    let begun = poll_fn(|cx| Poll::Ready(relay.start_with(&from_upstream, cx))).await;
    let ended = match begun {
        Ok(()) => run(app, &mut relay).await,
        Err(_) => Ended::BySides,
    };
    let totals = relay.totals();
    trace.tunnel = (totals.from_client, totals.to_client);
    app.shared.metrics.tunnel_bytes_in.add(totals.from_client);
    app.shared.metrics.tunnel_bytes_out.add(totals.to_client);
    trace.cause = match ended {
        Ended::BySides => None,
        Ended::Idle => Some(Cause::TunnelIdle),
        Ended::Drain => Some(Cause::Draining),
    };
}

async fn run(app: &App, relay: &mut Relay) -> Ended {
    let mut drain = app.shared.drain.clone();
    tokio::select! {
        ended = poll_fn(|cx| relay.poll(cx)) => return ended,
        // An error means that the process is gone; the tunnel then ends with it.
        _ = drain.wait_for(|drain| *drain == Drain::Ending) => {}
    }
    let limit = app.shared.snapshot.load().config.server.drain_timeout;
    // Not all of it: what ends by itself is still counted and logged.
    relay.leave(Drain::farewell(limit) * 3 / 4);
    poll_fn(|cx| relay.poll(cx)).await
}
