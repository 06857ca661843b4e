//! A session of datagrams: one client, one endpoint, from the first datagram to the line in the log.
//!
//! Whose datagrams belong together is `listener`'s to know. A session holds one socket towards its endpoint, so that
//! answers find their client; nothing waits in it. Invariant: a session that ran is counted and logged once.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, watch};

use super::special::{admit, chosen};
use super::values::{Known, Number, Values};
use crate::config::{Balance, StreamAction, Text, Udp};
use crate::limits::concurrency::Place as InLimit;
use crate::observe::access_log::Record;
use crate::observe::cause::Cause;
use crate::observe::open::{Entry, Kind, Passed, Wait};
use crate::proxy::app::Shared;
use crate::snapshot::stream::RunningStream;
use crate::transport::datagrams::{DatagramSocket, Ends, LONGEST};
use crate::transport::now;
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::Keys;
use crate::upstream::admission::Place;
use crate::upstream::endpoint::Outcome;
use crate::upstream::group::{Chosen, Group};

/// What a session has left once its listener is gone, for answers that are on their way.
const LAST_CALL: Duration = Duration::from_secs(1);

/// An endpoint's host that says that nobody is there gives something to read to nobody.
const ANSWER_OR_ERROR: Interest = Interest::READABLE.add(Interest::ERROR);

/// Datagrams, and their bytes.
#[derive(Debug, Default)]
struct Lane {
    datagrams: AtomicU64,
    bytes: AtomicU64,
}

impl Lane {
    fn add(&self, bytes: usize) {
        self.datagrams.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn counts(&self) -> (u64, u64) {
        (
            self.datagrams.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }
}

/// What becomes of a client's first datagram.
#[derive(Debug)]
pub enum Begun {
    /// It goes to an endpoint, and so do those that follow.
    Session(Box<Session>),
    /// It gets this answer, as any other does.
    Answered(Vec<u8>),
}

/// One client's datagrams to one endpoint, and back.
#[derive(Debug)]
pub struct Session {
    client: SocketAddr,
    local: SocketAddr,
    upstream: UdpSocket,
    group: Arc<Group>,
    number: Number,
    /// Variables of the stream's own, with their values.
    set: Vec<(Box<str>, Vec<u8>)>,
    chosen: Chosen,
    begun: Instant,
    requests: Option<u32>,
    up: Lane,
    down: Lane,
    /// Told of each datagram.
    sent: Notify,
    /// Milliseconds since it began, when something moved last.
    last: AtomicU64,
    /// Kept for their drop.
    _places: (Option<Place>, Vec<InLimit>),
}

thread_local! {
    /// Where answers are read; each is sent on before another is read.
    static SPACE: RefCell<Vec<u8>> = RefCell::new(vec![0; LONGEST]);
}

impl Session {
    /// A session for `client`, which sends to `local`, with an endpoint that is chosen for it, or the answer that it gets
    /// here. Fails when it is not let in, when there is nobody, or no room at the upstream.
    pub fn begin(
        client: SocketAddr,
        local: SocketAddr,
        stream: &RunningStream,
    ) -> Result<Begun, Cause> {
        let begun = now();
        let (mut set, number) = (Vec::new(), Number::default());
        let (mut group, mut in_limits) = (stream.group.clone(), Vec::new());
        if let Some(special) = stream.special.as_deref() {
            let value = |set: &[_], text: &Text| {
                let values = values((client, local), &number, set, stream, None);
                text.value(&values).into_owned()
            };
            let from = (client.ip(), false);
            let admitted = admit(stream, special, |text| value(&[], text), from);
            in_limits = admitted.map_err(|refused| refused.cause)?;
            let own = stream.config.more.iter().flat_map(|more| &more.set);
            for (name, text) in own {
                let worth = value(&set, text);
                set.push((name.clone(), worth));
            }
            match &stream.config.action {
                StreamAction::Forward(_) => {}
                StreamAction::Choose(by, _) => group = chosen(stream, special, &value(&set, by))?,
                StreamAction::Respond(answer) => return Ok(Begun::Answered(value(&set, answer))),
            }
        }
        // A datagram does not wait.
        let place = match &group.protection.admission {
            Some(admission) => Some(admission.try_enter().ok_or(Cause::QueueFull)?),
            None => None,
        };
        let hash = match &group.config.balance {
            Balance::Hash(_) => {
                group.hashed_by(&values((client, local), &number, &set, stream, None))
            }
            _ => None,
        };
        let (chosen, upstream) = reach((client, hash), &group, stream, begun)?;
        Ok(Begun::Session(Box::new(Self {
            client,
            local,
            upstream,
            group,
            number,
            set,
            chosen,
            begun,
            requests: stream.config.udp.and_then(|udp| udp.requests),
            up: Lane::default(),
            down: Lane::default(),
            sent: Notify::new(),
            last: AtomicU64::new(0),
            _places: (place.map(Place::of_tunnel), in_limits),
        })))
    }

    /// Whether the client's next datagram begins another session.
    pub fn is_spent(&self) -> bool {
        self.requests
            .is_some_and(|most| self.up.counts().0 >= u64::from(most))
    }

    /// Writes down what an operator sees of it.
    pub fn note(&self, entry: &Entry, stream: &RunningStream) {
        entry.note(|row| {
            row.kind = Kind::Datagrams;
            row.wait = Wait::End;
            row.endpoint = Some(self.chosen.address);
            row.passed = Some(Box::new(Passed {
                stream: Arc::clone(&stream.name),
                upstream: self.group.name().clone(),
                server_name: None,
            }));
        });
    }

    /// Passes a datagram of the client on; false when the system did not take it.
    pub fn send(&self, bytes: &[u8]) -> bool {
        self.moved();
        // An error of an earlier datagram may come with this one: whoever waits for answers hears of it too.
        let sent = send(&self.upstream, bytes, SendFlags::DONTWAIT);
        self.up.add(bytes.len());
        self.sent.notify_one();
        sent.is_ok()
    }

    /// Passes answers to the client until nothing has moved for the idle time, all that are expected have come, the
    /// endpoint turns out not to be there, or a while after `closing` has ended.
    pub async fn run(
        &self,
        (client, ends): (&DatagramSocket, Ends),
        stream: &RunningStream,
        shared: &Shared,
        mut closing: watch::Receiver<()>,
    ) {
        let _open = shared.metrics.stream_opened();
        let udp = stream.config.udp;
        let over = async {
            // Fails, once whoever sends is no more; nothing is ever sent.
            while closing.changed().await.is_ok() {}
            tokio::time::sleep(LAST_CALL).await;
        };
        let ended = tokio::select! {
            cause = self.answers(client, ends, udp, shared) => cause,
            () = self.silence(stream.config.idle) => None,
            () = self.unanswered(udp) => None,
            () = over => None,
        };
        let cause = ended.or_else(|| self.owes(udp));
        if let Some(outcome) = cause.map(outcome_of) {
            self.chosen.report(outcome, now());
        }
        self.tell(cause, stream, shared);
    }

    /// Ends with the cause, if there is one.
    async fn answers(
        &self,
        client: &DatagramSocket,
        ends: Ends,
        udp: Option<Udp>,
        shared: &Shared,
    ) -> Option<Cause> {
        loop {
            let pass = || {
                SPACE.with_borrow_mut(|space| {
                    let (size, _) = recv(&self.upstream, &mut space[..], RecvFlags::DONTWAIT)?;
                    if client.answer(&space[..size], ends).is_err() {
                        shared.metrics.datagrams_lost.inc();
                    }
                    Ok(size)
                })
            };
            match self.upstream.async_io(ANSWER_OR_ERROR, pass).await {
                Ok(size) => {
                    self.down.add(size);
                    self.moved();
                    if self.down.counts().0 == 1 {
                        self.chosen.report(Outcome::Connected, now());
                    }
                    if udp.and_then(|udp| udp.responses).is_some_and(|each| {
                        each > 0 && self.down.counts().0 >= self.up.counts().0 * u64::from(each)
                    }) {
                        return None;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The endpoint's host says by ICMP that nobody is there.
                Err(error) => {
                    tracing::debug!(endpoint = %self.chosen.address, %error, "datagrams are not taken");
                    return Some(Cause::UpstreamConnect);
                }
            }
            tokio::task::consume_budget().await;
        }
    }

    /// Over once all is sent that no answer is expected to.
    async fn unanswered(&self, udp: Option<Udp>) {
        if udp.and_then(|udp| udp.responses) != Some(0) {
            return std::future::pending().await;
        }
        loop {
            let sent = self.sent.notified();
            let came = self.up.counts().0;
            if came > 0 && self.requests.is_none_or(|most| came >= u64::from(most)) {
                return;
            }
            sent.await;
        }
    }

    async fn silence(&self, idle: Duration) {
        loop {
            let ends = self.begun + Duration::from_millis(self.last.load(Ordering::Relaxed)) + idle;
            if ends <= now() {
                return;
            }
            tokio::time::sleep_until(ends.into()).await;
        }
    }

    /// Whether answers are missing of those that were expected.
    fn owes(&self, udp: Option<Udp>) -> Option<Cause> {
        let each = u64::from(udp?.responses?);
        let missing = self.down.counts().0 < self.up.counts().0 * each;
        missing.then_some(Cause::UpstreamResponseTimeout)
    }

    fn moved(&self) {
        let since = now().saturating_duration_since(self.begun).as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.last.store(since, Ordering::Relaxed);
    }

    fn tell(&self, cause: Option<Cause>, stream: &RunningStream, shared: &Shared) {
        let (came, bytes_in) = self.up.counts();
        let (went, bytes_out) = self.down.counts();
        let metrics = &shared.metrics;
        metrics.stream_bytes_in.add(bytes_in);
        metrics.stream_bytes_out.add(bytes_out);
        metrics.datagrams_in.add(came);
        metrics.datagrams_out.add(went);
        if !stream.access_log.enabled() {
            return;
        }
        let answered = went > 0;
        let fields = HeaderMap::new();
        let status = match cause {
            Some(cause) if !answered => cause.status(),
            _ => 200,
        };
        let duration = now().saturating_duration_since(self.begun);
        let known = Known {
            status,
            up: bytes_in,
            down: bytes_out,
            duration,
            endpoint: Some(self.chosen.address),
            connect_time: Some(Duration::ZERO),
            first_byte: None,
            with_endpoint: Some(duration),
        };
        let values = values(
            (self.client, self.local),
            &self.number,
            &self.set,
            stream,
            Some(known),
        );
        stream.access_log.write(&Record {
            protocol: "UDP",
            scheme: "udp",
            status,
            body_received: bytes_in,
            body_sent: bytes_out,
            tunnel_in: bytes_in,
            tunnel_out: bytes_out,
            datagrams: Some((came, went)),
            duration,
            site: Some(&stream.name),
            upstream: Some(self.group.name().as_str()),
            endpoint: Some(self.chosen.address),
            cause,
            values: Some(&values),
            values_first: true,
            ..Record::new(SystemTime::now(), self.client, &fields)
        });
    }
}

fn values<'a>(
    (peer, local): (SocketAddr, SocketAddr),
    number: &'a Number,
    set: &'a [(Box<str>, Vec<u8>)],
    stream: &'a RunningStream,
    known: Option<Known>,
) -> Values<'a> {
    Values {
        peer,
        local,
        protocol: "UDP",
        hello: None,
        proxied: None,
        secured: None,
        number,
        set,
        definitions: &stream.definitions,
        known,
        tried: &[],
        at_socket: None,
        asked: "",
    }
}

/// A socket to an endpoint that is chosen for `client`.
fn reach(
    (client, hash): (SocketAddr, Option<u64>),
    group: &Group,
    stream: &RunningStream,
    begun: Instant,
) -> Result<(Chosen, UdpSocket), Cause> {
    let text = client.ip().to_string();
    let keys = Keys {
        client: &text,
        hash,
        ..Keys::default()
    };
    let from = stream.config.more.as_ref().and_then(|more| more.bind);
    let mut tried = Vec::new();
    while let Some(chosen) = group.choose(&keys, &tried, begun) {
        match connect(chosen.address, from) {
            Ok(upstream) => return Ok((chosen, upstream)),
            Err(error) => {
                tracing::warn!(upstream = %group.name(), endpoint = %chosen.address, %error, "no socket for datagrams");
                chosen.report(Outcome::ConnectFailed, begun);
                tried.push(chosen.address);
            }
        }
    }
    Err(match tried.is_empty() {
        true => Cause::UpstreamEmpty,
        false => Cause::UpstreamConnect,
    })
}

fn outcome_of(cause: Cause) -> Outcome {
    match cause {
        Cause::UpstreamConnect => Outcome::ConnectFailed,
        _ => Outcome::TimedOut,
    }
}

/// A socket that takes datagrams from `endpoint` alone.
fn connect(endpoint: EndpointAddress, from: Option<IpAddr>) -> io::Result<UdpSocket> {
    // The configuration has none here.
    let endpoint = endpoint.ip().ok_or(io::ErrorKind::Unsupported)?;
    let any: IpAddr = match endpoint {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((from.unwrap_or(any), 0))?;
    socket.connect(endpoint)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}
