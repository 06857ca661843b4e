//! The metrics: every count a named field of one struct.
//!
//! Owned by the server and handed down in an `Arc`; there is no global. Callers count through the fields (`inc`,
//! `add`) or, for what has labels or is open for a while (requests, connections, tunnels), through the methods below.
//! `page` prints them for Prometheus and has every metric's name.

mod acme;
mod carry;
mod page;
mod upstreams;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

pub use acme::{AcmeFacts, AcmeHost, Histogram};
pub use upstreams::{EndpointFacts, NameFacts, UpstreamFacts};

use super::cause::Cause;
use super::count::{Counter, Gauge, GaugeGuard, Raised};
use super::sink::LineCounts;

/// Keeps one of the gauges of [`Metrics`] raised.
pub type MetricsGuard = GaugeGuard<Metrics>;

/// What is counted of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The beginning of its validity, in seconds since 1970.
    pub not_before: i64,
    /// The end of its validity, in seconds since 1970.
    pub not_after: i64,
    /// Whether a handshake with ourselves was shown it; `None` before the first one.
    pub served_as_kept: Option<bool>,
}

/// What kind of listener a connection came in on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenerKind {
    /// Plain HTTP.
    Http,
    /// TLS.
    Https,
    /// Connections that are passed on, and nothing else.
    Stream,
    /// Datagrams that are passed on; a session counts as a connection.
    Udp,
}

/// What a request was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 and HTTP/1.1.
    H1,
    /// HTTP/2.
    H2,
}

impl ListenerKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Http, Self::Https, Self::Stream, Self::Udp];
}

const LISTENERS: [&str; 4] = ["http", "https", "stream", "udp"];
const PROTOCOLS: [&str; 2] = ["h1", "h2"];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const CAUSES: usize = Cause::Internal as usize + 1;

/// What came of PROXY headers.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "`page` says in words what each field counts")]
pub struct ProxyHeaders {
    pub taken: Counter,
    pub absent: Counter,
    pub missing: Counter,
    pub untrusted: Counter,
    pub malformed: Counter,
    pub too_long: Counter,
    pub timed_out: Counter,
}

/// Why TLS handshakes with clients came to nothing.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "`page` says in words what each field counts")]
pub struct TlsRefused {
    pub not_tls: Counter,
    pub malformed: Counter,
    pub no_name: Counter,
    pub unknown_name: Counter,
    pub no_agreement: Counter,
    pub by_client: Counter,
    pub left: Counter,
}

/// Everything hubgate counts.
#[derive(Debug)]
#[allow(missing_docs, reason = "`page` says in words what each field counts")]
pub struct Metrics {
    started: SystemTime,
    connections_accepted: [Counter; 4],
    connections_open: [Gauge; 4],
    pub connections_refused_total_cap: Counter,
    pub connections_refused_client_cap: Counter,
    pub accepts_failed: Counter,
    pub proxy_headers: ProxyHeaders,
    pub tls_handshakes_done: Counter,
    pub tls_handshakes_failed: Counter,
    pub tls_handshakes_timed_out: Counter,
    pub tls_refused: TlsRefused,
    requests: [[Counter; 5]; 2],
    requests_in_flight: Gauge,
    answers: [Counter; CAUSES],
    pub body_bytes_in: Counter,
    pub body_bytes_out: Counter,
    streams_opened: Counter,
    streams_open: Gauge,
    pub streams_refused: Counter,
    pub stream_bytes_in: Counter,
    pub stream_bytes_out: Counter,
    pub datagrams_in: Counter,
    pub datagrams_out: Counter,
    pub datagrams_refused: Counter,
    pub datagrams_lost: Counter,
    tunnels_opened: Counter,
    tunnels_open: Gauge,
    pub tunnel_bytes_in: Counter,
    pub tunnel_bytes_out: Counter,
    pub upstream_connections_opened: Counter,
    pub upstream_connections_reused: Counter,
    pub upstream_connections_failed: Counter,
    pub upstream_connections_timed_out: Counter,
    pub upstream_connections_untrusted: Counter,
    pub upstream_retries: Counter,
    pub upstream_retries_unaffordable: Counter,
    pub upstream_requests_queued: Counter,
    pub upstream_circuits_opened: Counter,
    pub access_log_lines: Arc<LineCounts>,
    pub log_lines: Arc<LineCounts>,
    pub reloads_done: Counter,
    pub reloads_refused: Counter,
    pub upgrades_done: Counter,
    pub upgrades_refused: Counter,
    pub config_generation: Gauge,
    certificates: Mutex<BTreeMap<String, CertificateFacts>>,
    acme: Mutex<AcmeFacts>,
    upstreams: Mutex<Vec<UpstreamFacts>>,
    pub panics: Counter,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            started: SystemTime::now(),
            connections_accepted: Default::default(),
            connections_open: Default::default(),
            connections_refused_total_cap: Counter::default(),
            connections_refused_client_cap: Counter::default(),
            accepts_failed: Counter::default(),
            proxy_headers: ProxyHeaders::default(),
            tls_handshakes_done: Counter::default(),
            tls_handshakes_failed: Counter::default(),
            tls_handshakes_timed_out: Counter::default(),
            tls_refused: TlsRefused::default(),
            requests: Default::default(),
            requests_in_flight: Gauge::default(),
            answers: std::array::from_fn(|_| Counter::default()),
            body_bytes_in: Counter::default(),
            body_bytes_out: Counter::default(),
            streams_opened: Counter::default(),
            streams_open: Gauge::default(),
            streams_refused: Counter::default(),
            stream_bytes_in: Counter::default(),
            stream_bytes_out: Counter::default(),
            datagrams_in: Counter::default(),
            datagrams_out: Counter::default(),
            datagrams_refused: Counter::default(),
            datagrams_lost: Counter::default(),
            tunnels_opened: Counter::default(),
            tunnels_open: Gauge::default(),
            tunnel_bytes_in: Counter::default(),
            tunnel_bytes_out: Counter::default(),
            upstream_connections_opened: Counter::default(),
            upstream_connections_reused: Counter::default(),
            upstream_connections_failed: Counter::default(),
            upstream_connections_timed_out: Counter::default(),
            upstream_connections_untrusted: Counter::default(),
            upstream_retries: Counter::default(),
            upstream_retries_unaffordable: Counter::default(),
            upstream_requests_queued: Counter::default(),
            upstream_circuits_opened: Counter::default(),
            access_log_lines: Arc::default(),
            log_lines: Arc::default(),
            reloads_done: Counter::default(),
            reloads_refused: Counter::default(),
            upgrades_done: Counter::default(),
            upgrades_refused: Counter::default(),
            config_generation: Gauge::default(),
            certificates: Mutex::default(),
            acme: Mutex::default(),
            upstreams: Mutex::default(),
            panics: Counter::default(),
        })
    }

    /// Counts an accepted connection, and holds it as open until the guard is dropped.
    pub fn connection_opened(self: &Arc<Self>, kind: ListenerKind) -> MetricsGuard {
        self.connections_accepted[kind as usize].inc();
        GaugeGuard::new(
            Arc::clone(self),
            match kind {
                ListenerKind::Http => |metrics| &metrics.connections_open[0],
                ListenerKind::Https => |metrics| &metrics.connections_open[1],
                ListenerKind::Stream => |metrics| &metrics.connections_open[2],
                ListenerKind::Udp => |metrics| &metrics.connections_open[3],
            },
        )
    }

    /// Holds a request as in flight until the guard is dropped.
    pub fn request_started(&self) -> Raised<'_> {
        self.requests_in_flight.raise()
    }

    /// Counts a finished request; a status outside 100 to 599 counts as 5xx.
    pub fn request_finished(&self, protocol: Protocol, status: u16) {
        let class = match status {
            100..=599 => usize::from(status / 100 - 1),
            _ => CLASSES.len() - 1,
        };
        self.requests[protocol as usize][class].inc();
    }

    /// Counts an answer that hubgate made itself, or a request it had to end.
    pub fn answered(&self, cause: Cause) {
        self.answers[cause as usize].inc();
    }

    /// How often hubgate answered for this cause.
    pub fn answers(&self, cause: Cause) -> u64 {
        self.answers[cause as usize].get()
    }

    /// Counts an opened tunnel, and holds it as open until the guard is dropped.
    pub fn tunnel_opened(self: &Arc<Self>) -> MetricsGuard {
        self.tunnels_opened.inc();
        GaugeGuard::new(Arc::clone(self), |metrics| &metrics.tunnels_open)
    }

    /// Counts a connection that is passed on unopened, and holds it as open until the guard is dropped.
    pub fn stream_opened(self: &Arc<Self>) -> MetricsGuard {
        self.streams_opened.inc();
        GaugeGuard::new(Arc::clone(self), |metrics| &metrics.streams_open)
    }

    /// Replaces what is known about certificates being ordered.
    pub fn set_acme(&self, facts: AcmeFacts) {
        *self.acme.lock().unwrap_or_else(PoisonError::into_inner) = facts;
    }

    /// Replaces what is known about upstreams.
    pub fn set_upstreams(&self, facts: Vec<UpstreamFacts>) {
        *(self.upstreams.lock()).unwrap_or_else(PoisonError::into_inner) = facts;
    }

    /// Replaces what is known about certificates, by host.
    pub fn set_certificates(
        &self,
        not_after: impl IntoIterator<Item = (String, CertificateFacts)>,
    ) {
        *self
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = not_after.into_iter().collect();
    }

    /// When these metrics began: the start of the process.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// Connections open now, over all listeners.
    pub fn connections_open(&self) -> u64 {
        self.connections_open.iter().map(Gauge::get).sum()
    }

    /// Connections accepted so far, over all listeners.
    pub fn connections_accepted(&self) -> u64 {
        self.connections_accepted.iter().map(Counter::get).sum()
    }

    /// Requests finished so far.
    pub fn requests_finished(&self) -> u64 {
        self.requests.iter().flatten().map(Counter::get).sum()
    }

    /// Requests being handled now.
    pub fn requests_in_flight(&self) -> u64 {
        self.requests_in_flight.get()
    }

    /// Tunnels open now.
    pub fn tunnels_open(&self) -> u64 {
        self.tunnels_open.get()
    }

    /// Tunnels opened so far.
    pub fn tunnels_opened(&self) -> u64 {
        self.tunnels_opened.get()
    }
}
