//! Connections that are passed on as bytes: from the endpoint that is chosen to the line in the log.
//!
//! Which connections those are is `listener`'s to find out; moving the bytes is `copy`'s, one way of them `way`'s, and
//! `relay`'s where TLS or a rate needs them in memory; `special` does what most streams do not ask for, `values` has what
//! texts name, `told` what the endpoint is told, `sentences` what the log is; `datagrams` has sessions of UDP. Invariant:
//! every stream that began is counted and logged once, however it ends.

mod copy;
mod datagrams;
mod leaving;
mod relay;
mod sentences;
mod special;
mod told;
mod values;
mod way;

pub use self::datagrams::{Begun, Session};
pub use self::values::Hello;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use self::copy::{Ended, Run};
use self::leaving::left;
use self::special::{Secured, Special};
use self::values::{Known, Number, Values};
use crate::config::Balance;
use crate::observe::access_log::Record;
use crate::observe::cause::Cause;
use crate::observe::events;
use crate::observe::metrics::Metrics;
use crate::observe::open::{Entry, Kind, Moved, Passed, Wait};
use crate::proxy::app::{Drain, Shared};
use crate::proxy::request_id::RequestId;
use crate::snapshot::stream::RunningStream;
use crate::transport::proxy_protocol::Proxied;
use crate::transport::{Socket, now, reset_on_close};
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::Keys;
use crate::upstream::admission::Place;
use crate::upstream::connect::{self, ConnectError};
use crate::upstream::endpoint::Outcome;
use crate::upstream::group::{Chosen, Group};

/// A connection to pass on.
pub struct Passage {
    /// Nothing of it has been read.
    pub tcp: TcpStream,
    /// What is known of it.
    pub facts: Arrived,
}

/// What is known of a connection that is to be passed on.
#[derive(Debug)]
pub struct Arrived {
    /// The client.
    pub peer: SocketAddr,
    /// The address it came to.
    pub local: SocketAddr,
    /// What its TLS asks for, when it was looked at.
    pub hello: Option<Hello>,
    /// Whether it came in by a unix socket, where nobody has an address.
    pub on_unix_socket: bool,
    /// What a load balancer has said of it.
    pub proxied: Option<Arc<Proxied>>,
}

impl Arrived {
    fn server_name(&self) -> Option<&str> {
        self.hello.as_ref()?.server_name.as_deref()
    }
}

/// Passes a connection on, to its end.
pub async fn serve(passage: Passage, stream: &RunningStream, shared: &Shared, entry: &Entry) {
    let events = stream.access_log.events();
    if !events.is_own() {
        return serve_it(passage, stream, shared, entry).await;
    }
    // Boxed: few streams have logs of their own.
    Box::pin(events::scoped(async {
        events::enter(events);
        serve_it(passage, stream, shared, entry).await;
    }))
    .await;
}

async fn serve_it(passage: Passage, stream: &RunningStream, shared: &Shared, entry: &Entry) {
    let started = now();
    let _open = shared.metrics.stream_opened();
    let Passage { tcp, facts } = passage;
    let mut course = Course::default();
    note(entry, &facts, stream, &course.moved);
    sentences::came(&facts, stream);
    let ran = match &stream.special {
        None => {
            let to = (stream, &stream.group);
            let ran = course.run(&tcp, &facts, to, shared, entry, started).await;
            let more = stream.config.more.as_deref();
            if ran.is_err() && !more.is_some_and(|more| more.ends_with_endpoint) {
                // A close without a word would look like an answer that is complete.
                reset_on_close(&tcp);
            }
            ran
        }
        // Boxed: few streams are such, and the others need not carry it.
        Some(special) => {
            let special = Special {
                facts: &facts,
                stream,
                special,
                shared,
                entry,
                started,
            };
            Box::pin(special.run(&mut course, tcp)).await
        }
    };
    sentences::over(&course);
    course.tell(&facts, stream, shared, (started, ran.err()));
}

/// What an operator sees of it.
fn note(entry: &Entry, facts: &Arrived, stream: &RunningStream, moved: &Arc<Moved>) {
    entry.note(|row| {
        row.kind = Kind::Stream;
        row.wait = Wait::Upstream;
        row.moved = Some(Arc::clone(moved));
        row.passed = Some(Box::new(Passed {
            stream: Arc::clone(&stream.name),
            upstream: stream.group.name().clone(),
            server_name: facts.server_name().map(Into::into),
        }));
    });
}

/// What has become of a stream so far.
#[derive(Default)]
struct Course {
    moved: Arc<Moved>,
    /// Where that is not the stream's own.
    group: Option<Arc<Group>>,
    endpoint: Option<EndpointAddress>,
    /// Those that did not accept.
    tried: Vec<EndpointAddress>,
    connect_time: Option<Duration>,
    /// When the endpoint had accepted.
    connected: Option<Instant>,
    first_byte: Option<Duration>,
    endpoint_took_it: bool,
    /// In place of what the cause says.
    status: Option<u16>,
    /// What the endpoint knows it by.
    id: Option<RequestId>,
    number: Number,
    /// The TLS that was ended here.
    secured: Option<Box<Secured>>,
    /// Variables of the stream's own, with their values.
    set: Vec<(Box<str>, Vec<u8>)>,
}

impl Course {
    async fn run(
        &mut self,
        tcp: &TcpStream,
        facts: &Arrived,
        (stream, group): (&RunningStream, &Arc<Group>),
        shared: &Shared,
        entry: &Entry,
        started: Instant,
    ) -> Result<(), Cause> {
        let in_tls = facts.hello.is_some();
        let _place = place((tcp, in_tls), (stream, group), &shared.metrics).await?;
        let (chosen, upstream) = self
            .connect(facts, (stream, group), &shared.metrics, started)
            .await?;
        self.began(entry);
        let ending = ending(shared);
        let (until, upstream) = (until(stream), upstream.tcp());
        let run = copy::both_ways(tcp, upstream, until, &self.moved, ending).await;
        if run.ended == Ended::ClientFailed {
            reset_on_close(upstream);
        }
        self.over(run, &chosen)
    }

    /// The endpoint has it.
    fn began(&mut self, entry: &Entry) {
        self.endpoint_took_it = true;
        entry.note(|row| {
            row.endpoint = self.endpoint;
            row.wait = Wait::End;
        });
    }

    /// What the end means for the endpoint, and for the log.
    fn over(&mut self, run: Run, chosen: &Chosen) -> Result<(), Cause> {
        self.first_byte = run.first_byte;
        match run.ended {
            Ended::BySides => {
                chosen.report(Outcome::Served, now());
                Ok(())
            }
            Ended::Idle => Err(Cause::TunnelIdle),
            Ended::Draining => Err(Cause::Draining),
            Ended::ClientFailed => Err(Cause::ClientGone),
            Ended::UpstreamFailed => {
                chosen.report(Outcome::Reset, now());
                Err(Cause::UpstreamTruncated)
            }
        }
    }

    /// Connects to one endpoint after the other until one accepts, and has been told of the client where it is to be.
    async fn connect(
        &mut self,
        facts: &Arrived,
        (stream, group): (&RunningStream, &Arc<Group>),
        metrics: &Metrics,
        mut at: Instant,
    ) -> Result<(Chosen, Socket), Cause> {
        let client = facts.peer.ip().to_string();
        let hash = match &group.config.balance {
            Balance::Hash(_) => group.hashed_by(&self.values(facts, stream, None)),
            _ => None,
        };
        let keys = Keys {
            client: &client,
            hash,
            ..Keys::default()
        };
        let config = &stream.config;
        self.id = told::has_id(config).then(RequestId::next);
        let header = told::header(facts, config, self.id.as_ref(), self.secured.as_deref());
        let more = stream.config.more.as_deref();
        let most = more.and_then(|more| more.tries).unwrap_or(u32::MAX) as usize;
        let until = more.and_then(|more| Some(at + more.tries_time?));
        let mut cause = None;
        while let Some(chosen) = group.choose(&keys, &self.tried, at) {
            let address = chosen.address;
            self.endpoint = Some(address);
            match reach(address, (stream, group), &header).await {
                Ok(upstream) => {
                    metrics.upstream_connections_opened.inc();
                    self.connected = Some(now());
                    self.connect_time = Some(now().saturating_duration_since(at));
                    chosen.report(Outcome::Connected, at);
                    return Ok((chosen, upstream));
                }
                Err(error) => {
                    let (failed, outcome) = error.count(metrics);
                    cause = Some(failed);
                    at = now();
                    chosen.report(outcome, at);
                    let error: &(dyn std::error::Error + 'static) = &error;
                    sentences::unreachable((facts, stream), address, error);
                    tracing::warn!(upstream = %group.name(), stream = &*stream.name, error, "connect failed");
                    self.tried.push(address);
                }
            }
            if self.tried.len() >= most || until.is_some_and(|until| at >= until) {
                break;
            }
        }
        if cause.is_none() {
            sentences::nobody((facts, stream), group.name().as_str());
        }
        Err(cause.unwrap_or_else(|| group.nobody()))
    }

    /// Counts and logs what has become of it.
    fn tell(
        &self,
        facts: &Arrived,
        stream: &RunningStream,
        shared: &Shared,
        (started, cause): (Instant, Option<Cause>),
    ) {
        let (up, down) = self.moved.counts();
        shared.metrics.stream_bytes_in.add(up);
        shared.metrics.stream_bytes_out.add(down);
        if !stream.access_log.enabled() {
            return;
        }
        let ended = now();
        let duration = ended.saturating_duration_since(started);
        let of_cause = cause.map_or(200, |cause| match self.endpoint_took_it {
            true => 200,
            // What an HTTP client may try again is gone here, as with nginx.
            false if matches!(cause, Cause::UpstreamDown | Cause::UpstreamEmpty) => 502,
            false => cause.status(),
        });
        let status = self.status.unwrap_or(of_cause);
        let known = Known {
            status,
            up,
            down,
            duration,
            endpoint: self.endpoint,
            connect_time: self.connect_time,
            first_byte: self.first_byte,
            with_endpoint: self.connected.map(|at| ended.saturating_duration_since(at)),
        };
        let values = self.values(facts, stream, Some(known));
        let group = self.group.as_ref().unwrap_or(&stream.group);
        let secured = self.secured.as_deref();
        let server_name = facts.server_name();
        let server_name = server_name.or_else(|| secured?.server_name.as_deref());
        let fields = HeaderMap::new();
        stream.access_log.write(&Record {
            proxied: facts.proxied.as_deref(),
            protocol: "TCP",
            scheme: "tcp",
            host: server_name,
            server_name,
            status,
            body_received: up,
            body_sent: down,
            tunnel_in: up,
            tunnel_out: down,
            duration,
            site: Some(&stream.name),
            upstream: Some(group.name().as_str()),
            endpoint: self.endpoint,
            connect_time: self.connect_time,
            request_id: self.id.as_ref().map_or("", RequestId::as_str),
            tls_version: secured.map(|secured| secured.version),
            client_certificate: secured.and_then(Secured::certificate),
            cause,
            values: Some(&values),
            values_first: true,
            ..Record::new(SystemTime::now(), facts.peer, &fields)
        });
    }

    fn values<'a>(
        &'a self,
        facts: &'a Arrived,
        stream: &'a RunningStream,
        known: Option<Known>,
    ) -> Values<'a> {
        Values {
            peer: facts.peer,
            local: facts.local,
            protocol: "TCP",
            hello: facts.hello.as_ref(),
            proxied: facts.proxied.as_deref(),
            secured: self.secured.as_deref(),
            number: &self.number,
            set: &self.set,
            definitions: &stream.definitions,
            known,
            tried: &self.tried,
            at_socket: facts
                .on_unix_socket
                .then_some(&stream.config.listen.address),
            asked: (self.group.as_ref().unwrap_or(&stream.group))
                .name()
                .as_str(),
        }
    }
}

/// A connection to one endpoint, secured and with the PROXY header `header` said where that is asked for.
async fn reach(
    address: EndpointAddress,
    (stream, group): (&RunningStream, &Arc<Group>),
    header: &[u8],
) -> Result<Socket, ConnectError> {
    let (limit, more) = (stream.config.connect, stream.config.more.as_deref());
    let mut tcp = match more.and_then(|more| more.bind) {
        None => connect::tcp(address, limit).await?,
        Some(from) => Box::pin(connect::tcp_from(from, address, limit)).await?,
    };
    if !header.is_empty() {
        // A new connection takes so few bytes at once.
        let sent = tcp.write_all(header).await;
        sent.map_err(|source| ConnectError::Refused { address, source })?;
    }
    match more.is_some_and(|more| more.tls_to_upstream) {
        false => Ok(Socket::Plain(tcp)),
        true => {
            let secured = group.connector.stream_socket(tcp, address, limit);
            Box::pin(secured).await
        }
    }
}

/// How long nothing may move, and whether the endpoint's end is enough.
fn until(stream: &RunningStream) -> (Duration, bool) {
    let more = stream.config.more.as_deref();
    let enough = more.is_some_and(|more| more.ends_with_endpoint);
    (stream.config.idle, enough)
}

/// Over when the drain is.
async fn ending(shared: &Shared) {
    let mut drain = shared.drain.clone();
    // An error means that the process is gone, and this task with it.
    drop(drain.wait_for(|drain| *drain == Drain::Ending).await);
}

/// A place among the connections that the upstream takes at once, when they are limited. Whoever leaves gives up waiting
/// for one.
async fn place(
    (tcp, in_tls): (&TcpStream, bool),
    (stream, group): (&RunningStream, &Arc<Group>),
    metrics: &Metrics,
) -> Result<Option<Place>, Cause> {
    let Some(admission) = &group.protection.admission else {
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
                    () = left(tcp, in_tls) => Err(Cause::ClientGone),
                }
            })
            .await?
        }
    };
    Ok(Some(place.of_tunnel()))
}
