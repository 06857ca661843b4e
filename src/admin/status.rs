//! What the running process says about itself: the fields of `GET /status` and of the status page.
//!
//! [`Status`] is what the server knows (configuration, certificates), [`Traffic`] comes from the metrics, and
//! [`StatusReport`] is both in one JSON object. Field names are an interface: they are added to, never renamed.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::open::StillOpen;
use crate::config::{self, Config};
use crate::observe::cause::Cause;
use crate::observe::metrics::Metrics;

/// The configuration that runs, and the state of what it names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The configuration's number; 1 is the one at start.
    pub generation: u64,
    /// The file it was read from.
    pub config_file: String,
    /// Whether the process is stopping.
    pub draining: bool,
    /// Whether another one is about to take over; a reload waits for the end of that.
    pub upgrading: bool,
    /// Seconds until a stop that has begun ends at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_in: Option<u64>,
    /// The file that the secrets of TLS connections are written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key_log: Option<String>,
    /// Addresses clients connect to.
    pub listeners: Vec<ListenerStatus>,
    /// Sites in the order of the file.
    pub sites: Vec<SiteStatus>,
    /// Upstreams by name.
    pub upstreams: Vec<UpstreamStatus>,
    /// Certificates in use.
    pub certificates: Vec<CertificateStatus>,
}

/// An address clients connect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// `http` or `https`.
    pub kind: String,
    /// Address and port.
    pub address: String,
}

/// A site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// Its first host.
    pub name: String,
    /// All its hosts.
    pub hosts: Vec<String>,
    /// Whether it answers for hosts that no site names.
    pub default: bool,
    /// `acme`, `self-signed`, `file` or `none`.
    pub certificate: String,
    /// What plain HTTP does: `redirect` or `forward`.
    pub http: String,
    /// Its routes in the order of the file.
    pub routes: Vec<RouteStatus>,
}

/// A route of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteStatus {
    /// The path, with `= ` before an exact one.
    pub path: String,
    /// Who answers.
    pub upstream: String,
    /// `jupyterhub` or `binderhub`.
    pub preset: Option<String>,
}

/// An upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamStatus {
    /// Its name.
    pub name: String,
    /// Its endpoints in the order of the file.
    pub endpoints: Vec<EndpointStatus>,
    /// Whether none of them is up, so that all get requests.
    #[serde(default)]
    pub fails_open: bool,
    /// Requests so far.
    #[serde(default)]
    pub requests: u64,
    /// Requests and tunnels that are with its endpoints.
    #[serde(default)]
    pub in_flight: u64,
    /// How many may be; `None` without a limit.
    #[serde(default)]
    pub max_in_flight: Option<usize>,
    /// Requests that wait for their turn.
    #[serde(default)]
    pub waiting: usize,
    /// How many may.
    #[serde(default)]
    pub queue: usize,
    /// How many of the recent requests may still be sent a second time.
    #[serde(default)]
    pub retries_left: u64,
    /// `closed`, `half-open` or `open`; `None` where there is none.
    #[serde(default)]
    pub circuit: Option<String>,
    /// Seconds for which an open circuit refuses everything before it tries again.
    #[serde(default)]
    pub circuit_tries_in: Option<u64>,
    /// What is known of the names among its endpoints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<NameStatus>,
}

/// A name that endpoints are configured by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NameStatus {
    /// As it is configured: `hub.internal:80`, `_http._tcp.hub.internal`.
    pub name: String,
    /// The endpoints it stands for.
    pub addresses: Vec<String>,
    /// Seconds since the last good answer; `None` when there never was one.
    pub age: Option<u64>,
    /// Why there is none newer.
    pub error: Option<String>,
}

/// An endpoint of an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointStatus {
    /// Address and port.
    pub address: String,
    /// `up`, `down`, `draining` or `disabled`.
    pub state: String,
    /// Why it is left out, whatever the operator says.
    pub reason: Option<String>,
    /// Requests and tunnels that are with it.
    pub in_flight: u32,
    /// Its share of the requests.
    pub weight: u8,
    /// Whether it gets requests only while no other can.
    pub backup: bool,
}

/// A certificate that is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// The host or site it is for.
    pub host: String,
    /// `acme`, `self-signed`, `file`, or `placeholder` while an order is under way.
    pub source: String,
    /// The end of its validity in seconds since 1970, when it could be read.
    pub not_after: Option<i64>,
    /// What is wrong with it or with its renewal.
    pub trouble: Option<String>,
    /// The beginning of its validity in seconds since 1970.
    #[serde(default)]
    pub not_before: Option<i64>,
    /// Who signed it.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Its serial number in hexadecimal.
    #[serde(default)]
    pub serial: Option<String>,
    /// For `acme` and `placeholder`: `valid`, `expired`, `placeholder`, `ordering`, `backoff` and so on.
    #[serde(default)]
    pub state: Option<String>,
    /// When something is tried next, in seconds since 1970.
    #[serde(default)]
    pub next_attempt: Option<i64>,
    /// When it is to be renewed, failures aside, in seconds since 1970; `None` for what ACME does not look after or has not got.
    #[serde(default)]
    pub renew_at: Option<i64>,
    /// Failed attempts in a row.
    #[serde(default)]
    pub failures: u32,
    /// Whether a handshake with ourselves was shown this certificate; `None` before the first one.
    #[serde(default)]
    pub served_as_kept: Option<bool>,
}

impl CertificateStatus {
    /// Whole days from `now` (seconds since 1970) to the end of validity; negative after it.
    pub fn days_left(&self, now: i64) -> Option<i64> {
        self.not_after.map(|end| (end - now).div_euclid(86_400))
    }
}

impl Status {
    /// What can be told from the configuration alone; the server fills in the rest.
    pub fn of(config: &Config) -> Self {
        let listener = |kind: &str, one: &config::Listener| ListenerStatus {
            kind: kind.to_owned(),
            address: one.address.to_string(),
        };
        let http = config
            .listen
            .http
            .iter()
            .map(|address| listener("http", address));
        let https = config
            .listen
            .https
            .iter()
            .map(|address| listener("https", address));
        let streams = config
            .streams
            .iter()
            .map(|stream| listener("stream", &stream.listen));
        Self {
            listeners: http.chain(https).chain(streams).collect(),
            sites: config.sites.iter().map(SiteStatus::of).collect(),
            upstreams: config.upstreams.values().map(UpstreamStatus::of).collect(),
            ..Self::default()
        }
    }
}

impl SiteStatus {
    fn of(site: &config::Site) -> Self {
        let certificate = match site.certificate {
            config::CertificateSource::Acme => "acme",
            config::CertificateSource::SelfSigned => "self-signed",
            config::CertificateSource::None => "none",
            config::CertificateSource::Files(_) => "file",
        };
        let http = match site.http {
            config::HttpMode::Redirect => "redirect",
            config::HttpMode::Forward => "forward",
            config::HttpMode::ForwardAll => "forward-all",
        };
        let preset = |preset| match preset {
            config::Preset::JupyterHub => "jupyterhub".to_owned(),
            config::Preset::BinderHub => "binderhub".to_owned(),
        };
        let routes = site.routes.iter().map(|route| RouteStatus {
            path: route.path.to_string(),
            upstream: route.action.to_string(),
            preset: route.preset.map(preset),
        });
        Self {
            name: site.name(),
            hosts: site.hosts.iter().map(ToString::to_string).collect(),
            default: site.default,
            certificate: certificate.to_owned(),
            http: http.to_owned(),
            routes: routes.collect(),
        }
    }
}

impl UpstreamStatus {
    fn of(upstream: &config::Upstream) -> Self {
        let endpoints = upstream.endpoints.iter().map(|endpoint| EndpointStatus {
            address: endpoint.address.to_string(),
            weight: endpoint.weight,
            backup: endpoint.backup,
            ..EndpointStatus::default()
        });
        Self {
            name: upstream.name.to_string(),
            endpoints: endpoints.collect(),
            ..Self::default()
        }
    }
}

/// Numbers from the metrics, since the start unless they say `open` or `in_flight`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traffic {
    /// Client connections open now.
    pub connections_open: u64,
    /// Client connections accepted.
    pub connections_accepted: u64,
    /// Requests being handled now.
    pub requests_in_flight: u64,
    /// Requests finished.
    pub requests: u64,
    /// Tunnels open now.
    pub tunnels_open: u64,
    /// Tunnels opened.
    pub tunnels_opened: u64,
    /// Bytes from clients, in bodies and tunnels.
    pub bytes_in: u64,
    /// Bytes to clients, in bodies and tunnels.
    pub bytes_out: u64,
    /// Access log lines lost because a file or pipe was too slow.
    pub access_log_lines_dropped: u64,
    /// Answers made by hubgate itself and requests it ended, by cause; causes not seen are left out.
    pub causes: BTreeMap<String, u64>,
}

impl Traffic {
    /// What `metrics` say now.
    pub fn of(metrics: &Metrics) -> Self {
        let seen = |cause: Cause| (cause.code().to_owned(), metrics.answers(cause));
        Self {
            connections_open: metrics.connections_open(),
            connections_accepted: metrics.connections_accepted(),
            requests_in_flight: metrics.requests_in_flight(),
            requests: metrics.requests_finished(),
            tunnels_open: metrics.tunnels_open(),
            tunnels_opened: metrics.tunnels_opened(),
            bytes_in: metrics.body_bytes_in.get() + metrics.tunnel_bytes_in.get(),
            bytes_out: metrics.body_bytes_out.get() + metrics.tunnel_bytes_out.get(),
            access_log_lines_dropped: metrics.access_log_lines.dropped.get(),
            causes: Cause::all()
                .map(seen)
                .filter(|(_, count)| *count > 0)
                .collect(),
        }
    }
}

/// The whole answer to `GET /status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// hubgate's version.
    pub version: String,
    /// The process's number.
    pub pid: u32,
    /// When this was told, in seconds since 1970.
    pub now: i64,
    /// When the process started, in seconds since 1970.
    pub started: i64,
    /// The configuration and what it names.
    #[serde(flatten)]
    pub status: Status,
    /// What went through.
    pub traffic: Traffic,
    /// What is open, and which processes before this one still drain.
    #[serde(flatten, default)]
    pub open: StillOpen,
}

impl StatusReport {
    /// The report at `now`.
    pub fn new(status: Status, metrics: &Metrics, open: StillOpen, now: SystemTime) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            now: unix(now),
            started: unix(metrics.started()),
            status,
            traffic: Traffic::of(metrics),
            open,
        }
    }

    /// How long the process has run, in seconds.
    pub fn uptime(&self) -> u64 {
        u64::try_from(self.now - self.started).unwrap_or_default()
    }
}

fn unix(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_back_as_what_it_was() {
        let metrics = Metrics::new();
        metrics.answered(Cause::HostUnknown);
        let status = Status {
            generation: 3,
            ..Status::default()
        };
        let report = StatusReport::new(status, &metrics, StillOpen::default(), SystemTime::now());
        let text = serde_json::to_string(&report).unwrap();
        assert!(
            text.contains("\"generation\":3") && text.contains("\"causes\":{\"host_unknown\":1}"),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<StatusReport>(&text).unwrap(), report);
    }

    #[test]
    fn a_certificate_has_no_day_left_in_its_last_hour_and_fewer_after_it() {
        let certificate = |not_after| CertificateStatus {
            host: String::new(),
            source: String::new(),
            not_after: Some(not_after),
            trouble: None,
            ..CertificateStatus::default()
        };
        assert_eq!(certificate(3_600).days_left(0), Some(0));
        assert_eq!(certificate(-1).days_left(0), Some(-1));
        assert_eq!(certificate(90 * 86_400).days_left(0), Some(90));
    }
}
