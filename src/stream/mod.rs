//! Connections that are passed on unopened: from the endpoint that is chosen to the line in the log.
//!
//! Which connections those are is `listener`'s to find out; moving the bytes is `copy`'s, and `datagrams` has sessions of
//! UDP. Invariant: every stream that began is counted and logged once, however it ends.

mod copy;
mod datagrams;
mod leaving;

pub use self::datagrams::Session;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use self::copy::Ended;
use self::leaving::left;
use crate::config::{Lookup, ProxyFields, ProxyVersion};
use crate::observe::access_log::Record;
use crate::observe::cause::Cause;
use crate::observe::metrics::Metrics;
use crate::observe::open::{Entry, Kind, Moved, Passed, Wait};
use crate::proxy::app::{Drain, Shared};
use crate::proxy::proxied::Alone;
use crate::proxy::request_id::RequestId;
use crate::snapshot::RunningStream;
use crate::transport::proxy_protocol::{self, Proxied};
use crate::transport::proxy_values::{ALPN, AUTHORITY, TLS, Wanted};
use crate::transport::{now, reset_on_close};
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::Keys;
use crate::upstream::admission::Place;
use crate::upstream::connect;
use crate::upstream::endpoint::Outcome;
use crate::upstream::group::Chosen;

/// A connection to pass on.
pub struct Passage {
    /// Nothing of it has been read.
    pub tcp: TcpStream,
    /// The client.
    pub peer: SocketAddr,
    /// The address it came to.
    pub local: SocketAddr,
    /// The name its TLS asks for, when it was looked at.
    pub server_name: Option<Box<str>>,
    /// What a load balancer has said of it.
    pub proxied: Option<Arc<Proxied>>,
}

impl Passage {
    /// What the endpoint is to be told, as far as it is known: the name from the TLS itself or by whoever sent it here,
    /// who alone knows of TLS that has ended there.
    fn wanted<'a>(&'a self, fields: ProxyFields, unique_id: Option<&'a [u8]>) -> Wanted<'a> {
        let said = |kind| self.proxied.as_ref()?.values.get(kind);
        let asked = self.server_name.as_deref().map(str::as_bytes);
        Wanted {
            alpn: fields.alpn.then(|| said(ALPN)).flatten(),
            authority: fields
                .authority
                .then(|| asked.or_else(|| said(AUTHORITY)))
                .flatten(),
            tls: fields.tls.then(|| said(TLS)).flatten(),
            unique_id,
            checksum: fields.checksum,
        }
    }
}

/// Passes a connection on, to its end.
pub async fn serve(passage: Passage, stream: &RunningStream, shared: &Shared, entry: &Entry) {
    let started = now();
    let _open = shared.metrics.stream_opened();
    let mut course = Course::default();
    note(entry, &passage, stream, &course.moved);
    let ran = course.run(&passage, stream, shared, entry, started);
    if let Err(cause) = ran.await {
        course.cause = Some(cause);
        // A close without a word would look like an answer that is complete.
        reset_on_close(&passage.tcp);
    }
    let (up, down) = course.moved.counts();
    shared.metrics.stream_bytes_in.add(up);
    shared.metrics.stream_bytes_out.add(down);
    if !stream.access_log.enabled() {
        return;
    }
    let fields = HeaderMap::new();
    let proxied = passage.proxied.as_deref();
    let values = proxied.map(Alone);
    stream.access_log.write(&Record {
        proxied,
        values: values.as_ref().map(|values| values as &dyn Lookup),
        protocol: "TCP",
        scheme: "tcp",
        host: passage.server_name.as_deref(),
        server_name: passage.server_name.as_deref(),
        status: course
            .cause
            .map_or(200, |cause| match course.endpoint_took_it {
                true => 200,
                false => cause.status(),
            }),
        body_received: up,
        body_sent: down,
        tunnel_in: up,
        tunnel_out: down,
        duration: now().saturating_duration_since(started),
        site: Some(&stream.name),
        upstream: Some(stream.group.name().as_str()),
        endpoint: course.endpoint,
        connect_time: course.connect_time,
        request_id: course.id.as_ref().map_or("", RequestId::as_str),
        cause: course.cause,
        ..Record::new(SystemTime::now(), passage.peer, &fields)
    });
}

/// What an operator sees of it.
fn note(entry: &Entry, passage: &Passage, stream: &RunningStream, moved: &Arc<Moved>) {
    entry.note(|row| {
        row.kind = Kind::Stream;
        row.wait = Wait::Upstream;
        row.moved = Some(Arc::clone(moved));
        row.passed = Some(Box::new(Passed {
            stream: Arc::clone(&stream.name),
            upstream: stream.group.name().clone(),
            server_name: passage.server_name.clone(),
        }));
    });
}

/// What has become of a stream so far.
#[derive(Default)]
struct Course {
    moved: Arc<Moved>,
    endpoint: Option<EndpointAddress>,
    connect_time: Option<Duration>,
    endpoint_took_it: bool,
    cause: Option<Cause>,
    /// What the endpoint knows it by.
    id: Option<RequestId>,
}

impl Course {
    async fn run(
        &mut self,
        passage: &Passage,
        stream: &RunningStream,
        shared: &Shared,
        entry: &Entry,
        started: Instant,
    ) -> Result<(), Cause> {
        let _place = place(passage, stream, &shared.metrics).await?;
        let (chosen, mut upstream) = self
            .connect(passage, stream, &shared.metrics, started)
            .await?;
        entry.note(|row| {
            row.endpoint = self.endpoint;
            row.wait = Wait::End;
        });
        if let Some(version) = stream.config.send_proxy_protocol {
            let header = match version {
                ProxyVersion::V1 => proxy_protocol::write_v1(passage.peer, passage.local),
                ProxyVersion::V2 => {
                    let fields = stream.config.proxy_fields;
                    self.id = fields.unique_id.then(RequestId::next);
                    let id = self.id.as_ref().map(|id| id.as_str().as_bytes());
                    let wanted = passage.wanted(fields, id);
                    proxy_protocol::write_v2(passage.peer, passage.local, wanted)
                }
            };
            // A new connection takes so few bytes at once.
            let sent = upstream.write_all(&header).await;
            sent.map_err(|_| Cause::UpstreamSend)?;
        }
        self.endpoint_took_it = true;
        let mut drain = shared.drain.clone();
        let ending = async {
            // An error means that the process is gone, and this task with it.
            drop(drain.wait_for(|drain| *drain == Drain::Ending).await);
        };
        let idle = stream.config.idle;
        let ended = copy::both_ways(&passage.tcp, &upstream, idle, &self.moved, ending).await;
        match ended {
            Ended::BySides => {
                chosen.report(Outcome::Served, now());
                Ok(())
            }
            Ended::Idle => Err(Cause::TunnelIdle),
            Ended::Draining => Err(Cause::Draining),
            Ended::ClientFailed => {
                reset_on_close(&upstream);
                Err(Cause::ClientGone)
            }
            Ended::UpstreamFailed => {
                chosen.report(Outcome::Reset, now());
                Err(Cause::UpstreamTruncated)
            }
        }
    }

    /// Connects to one endpoint after the other until one accepts.
    async fn connect(
        &mut self,
        passage: &Passage,
        stream: &RunningStream,
        metrics: &Metrics,
        mut at: Instant,
    ) -> Result<(Chosen, TcpStream), Cause> {
        let group = &stream.group;
        let client = passage.peer.ip().to_string();
        let keys = Keys {
            client: &client,
            ..Keys::default()
        };
        let mut tried = Vec::new();
        let mut cause = None;
        while let Some(chosen) = group.choose(&keys, &tried, at) {
            let address = chosen.address;
            self.endpoint = Some(address);
            match connect::tcp(address, stream.config.connect).await {
                Ok(upstream) => {
                    metrics.upstream_connections_opened.inc();
                    self.connect_time = Some(now().saturating_duration_since(at));
                    chosen.report(Outcome::Connected, at);
                    return Ok((chosen, upstream));
                }
                Err(error) => {
                    let (failed, outcome) = error.count(metrics);
                    cause = Some(failed);
                    at = now();
                    chosen.report(outcome, at);
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(upstream = %group.name(), stream = &*stream.name, error, "connect failed");
                    tried.push(address);
                }
            }
        }
        Err(cause.unwrap_or_else(|| group.nobody()))
    }
}

/// A place among the connections that the upstream takes at once, when they are limited. Whoever leaves gives up waiting
/// for one.
async fn place(
    passage: &Passage,
    stream: &RunningStream,
    metrics: &Metrics,
) -> Result<Option<Place>, Cause> {
    let Some(admission) = &stream.group.protection.admission else {
        return Ok(None);
    };
    let place = match admission.try_enter() {
        Some(place) => place,
        None => {
            metrics.upstream_requests_queued.inc();
            tracing::debug!(stream = &*stream.name, "a connection waits for its turn");
            // Boxed: few streams wait, and the others need not carry it.
            Box::pin(async {
                tokio::select! {
                    place = admission.wait() => place.map_err(Cause::from),
                    () = left(&passage.tcp, passage.server_name.is_some()) => Err(Cause::ClientGone),
                }
            })
            .await?
        }
    };
    Ok(Some(place.of_tunnel()))
}
