//! The checked configuration as the rest of the program reads it.
//!
//! Plain data. Made only by `validate`; defaults are already in place, so no field is "unset" unless that means
//! something.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::access::Access;
use super::access_log::AccessLog;
pub use super::acme::{Acme, AcmeAuthority, ChallengeKind, ExternalAccount};
use super::action::RouteAction;
use super::balancing::{Balance, Endpoint, Outlier, Sticky};
use super::bodies::Bodies;
use super::client_address::ClientAddress;
use super::client_terms::ClientTerms;
use super::connection::{Protocol, UpstreamTls};
use super::definition::Definitions;
use super::detours::Detours;
use super::discovery::{NamedEndpoints, Resolver};
use super::error_pages::ErrorPages;
use super::field_names::FieldNames;
use super::heads::{RequestHeads, ResponseHeads, SetField};
use super::health::Health;
use super::limit::{ConcurrencyZone, RateZone, RouteLimits};
use super::listener::Listener;
use super::log_target::ErrorLog;
use super::mirror::MirrorTo;
use super::protection::Protection;
use super::referers::Referers;
pub use super::site_place::{Paths, SiteListen};
use super::stream::{ProxyProtocol, Stream};
use super::tls::{PairFiles, Tls};
use super::why::Why;
use crate::types::address::Address;
use crate::types::amount::ByteSize;
use crate::types::dns_name::DnsName;
use crate::types::endpoint_address::EndpointAddress;
use crate::types::host::HostPattern;
use crate::types::name::UpstreamName;
use crate::types::path::PathPattern;

/// One whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[listen]`
    pub listen: Listen,
    /// `[limits]`
    pub limits: Limits,
    /// `[timeouts]`
    pub timeouts: ClientTimeouts,
    /// `[tls]`: what sites inherit.
    pub tls: Arc<Tls>,
    /// `[log]`
    pub log: Log,
    /// `[access_log]`: what sites and routes inherit.
    pub access_log: Arc<AccessLog>,
    /// `[error_pages]`: what sites inherit.
    pub error_pages: Arc<ErrorPages>,
    /// `[admin]`
    pub admin: Admin,
    /// `[why]`
    pub why: Why,
    /// `[acme]`
    pub acme: Acme,
    /// `[site."HOST"]`, in the order of the file.
    pub sites: Vec<Site>,
    /// `[rate.NAME]`
    pub rates: BTreeMap<Box<str>, RateZone>,
    /// `[concurrency.NAME]`
    pub concurrency: BTreeMap<Box<str>, ConcurrencyZone>,
    /// `[[stream]]`, in the order of the file.
    pub streams: Vec<Stream>,
    /// `[upstream.NAME]`
    pub upstreams: BTreeMap<UpstreamName, Upstream>,
    /// `[resolver]`
    pub resolver: Resolver,
    /// `[map.NAME]`, `[geo.NAME]`, `[split.NAME]`
    pub definitions: Arc<Definitions>,
}

/// `[server]`: the process.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Worker threads; 0 means one per core. Takes effect at start.
    pub workers: usize,
    /// Where accounts and certificates are kept. Takes effect at start.
    pub state_dir: PathBuf,
    /// Peers whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a stop waits for requests and tunnels.
    pub drain_timeout: Duration,
    /// How long a successor may take until it could serve.
    pub upgrade_timeout: Duration,
    /// The account to run as when started by root. Takes effect at start.
    pub user: Option<String>,
    /// Its group, instead of the account's own. Takes effect at start.
    pub group: Option<String>,
    /// The account of the threads that serve clients, when the process is root's. Takes effect at start.
    pub worker_user: Option<String>,
    /// Its group, instead of the account's own. Takes effect at start.
    pub worker_group: Option<String>,
    /// Where the number of the process that serves is written. Takes effect at start.
    pub pid_file: Option<PathBuf>,
    /// Whether the process reloads by itself when its configuration file changes.
    pub reload_on_change: bool,
}

/// `[listen]`: addresses every site answers on.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// Plain HTTP: challenges, redirects, sites with `http = "forward"`.
    pub http: Vec<Listener>,
    /// TLS.
    pub https: Vec<Listener>,
    /// The port put into redirects to https. `None` leaves it out.
    pub redirect_port: Option<u16>,
    /// Where load balancers say whom they speak for.
    pub proxy_protocol: ProxyProtocol,
    /// Where HTTP/2 may come without TLS, its preface first.
    pub h2c: Vec<Address>,
}

impl Listen {
    /// The TLS listener at `address`.
    pub fn https_at(&self, address: &Address) -> Option<&Listener> {
        self.https.iter().find(|https| https.address == *address)
    }
}

/// `[limits]`: bounds on what clients may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open client connections in total.
    pub connections: usize,
    /// Open connections per client address (IPv6: per /64).
    pub connections_per_client: usize,
    /// Bytes of a request head.
    pub head_size: ByteSize,
    /// Fields of a request head.
    pub head_fields: usize,
    /// Streams at once on one HTTP/2 connection.
    pub h2_streams: u32,
    /// Whether lines of a request head may end with LF alone.
    pub bare_lf: bool,
    /// Whether a request's host is taken as nginx takes it.
    pub lenient_hosts: bool,
}

/// `[timeouts]`: what a client gets before its connection is ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// From the accept to the end of the TLS handshake.
    pub handshake: Duration,
    /// From a request's first byte to the end of its head.
    pub head: Duration,
    /// Between requests on a connection; for HTTP/2 without open streams.
    pub keep_alive: Duration,
    /// Between two bytes of a request body.
    pub body: Duration,
    /// While the client takes nothing of what is there for it.
    pub write: Duration,
}

/// `[log]`: events of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A filter in tracing's language: `info`, `hubgate=debug,info`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
    /// Where lines go; `None` is standard error.
    pub file: Option<PathBuf>,
    /// Logs in nginx's form, in place of `format` and `file` where there are any.
    pub logs: Vec<ErrorLog>,
}

/// How an event looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// As nginx's error log.
    Nginx,
}

/// `[admin]`: where the running process is asked and told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The unix socket, mode 0600. Takes effect at start.
    pub socket: PathBuf,
    /// Status page and metrics over HTTP, read only.
    pub listen: Option<SocketAddr>,
}

/// `[site."HOST"]`: a set of hosts served alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The table's key where that is no host; the site's name.
    pub label: Option<Box<str>>,
    /// The table's key, or `hosts`, and its aliases; without a label the first is the site's name.
    pub hosts: Vec<HostPattern>,
    /// What `$server_name` says, where that is not its name.
    pub server_name: Option<Box<str>>,
    /// Where it answers; empty for the addresses of `[listen]`.
    pub listen: Vec<SiteListen>,
    /// Also answers for hosts no site names.
    pub default: bool,
    /// Where its certificate comes from.
    pub certificate: CertificateSource,
    /// What plain HTTP does for it.
    pub http: HttpMode,
    /// The status of redirects to https; `None`: 301 for GET and HEAD, 308 otherwise.
    pub redirect_status: Option<u16>,
    /// Who gets challenge tokens that are not ours.
    pub challenge_fallback: Option<UpstreamName>,
    /// What sends its requests elsewhere.
    pub detours: Detours,
    /// Which fields of its requests count.
    pub fields: FieldNames,
    /// What routes are matched with.
    pub paths: Paths,
    /// `[[site."HOST".route]]`, in the order of the file, those within a route right after it.
    pub routes: Vec<Arc<Route>>,
    /// Fields that all its routes send on.
    pub request: Vec<SetField>,
    /// What changes in answers that no route gives; its routes have it too.
    pub response: ResponseHeads,
    /// As that, and more, where there is more that its routes do not have.
    pub unrouted: Option<Box<ResponseHeads>>,
    /// What happens to the bodies of its answers; what its routes inherit.
    pub bodies: Bodies,
    /// Where its requests may come from.
    pub referers: Option<Arc<Referers>>,
    /// Whose word for clients' addresses is taken; a route's where its site's finds nothing.
    pub client_address: Option<Arc<ClientAddress>>,
    /// What its clients get, where it says so; what its routes inherit.
    pub client: Option<Arc<ClientTerms>>,
    /// How much of it is served; what its routes inherit.
    pub limits: Option<Arc<RouteLimits>>,
    /// Who is let in; what its routes inherit.
    pub access: Option<Arc<Access>>,
    /// What its routes inherit; where that is what it inherits itself, one for all.
    pub access_log: Arc<AccessLog>,
    /// What people are told when something goes wrong.
    pub error_pages: Arc<ErrorPages>,
    /// How its connections are secured.
    pub tls: Arc<Tls>,
}

impl Site {
    /// The route that `route` is within.
    pub fn outer(&self, route: &Route) -> Option<&Route> {
        let outer = self.routes.get(route.outer?)?;
        Some(outer)
    }

    /// What changes in answers that no route gives.
    pub fn own_heads(&self) -> &ResponseHeads {
        self.unrouted.as_deref().unwrap_or(&self.response)
    }

    /// The site's name in logs and messages: its label, or its first host.
    pub fn name(&self) -> String {
        let host = || self.hosts.first().map(ToString::to_string);
        let label = self.label.as_ref().map(ToString::to_string);
        label.or_else(host).unwrap_or_default()
    }
}

/// Where a site's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// Ordered from the authorities in `[acme]`, one certificate per host.
    Acme,
    /// Made here at start; for trials.
    SelfSigned,
    /// None: plain HTTP only.
    None,
    /// Chains and their keys, one at least, of different kinds; watched and read again on change.
    Files(Vec<PairFiles>),
}

/// What plain HTTP does for a site, after challenges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMode {
    /// Redirects to https.
    Redirect,
    /// Forwards as https would.
    Forward,
    /// As that, challenge tokens that nobody here knows too.
    ForwardAll,
}

/// `[[site."HOST".route]]`: what happens to a part of a site's paths.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Which paths.
    pub path: PathPattern,
    /// The index in `Site::routes` of the route that this one is within: it is asked when that one is the best.
    pub outer: Option<usize>,
    /// Whether no regex is asked when it is the longest that begins so.
    pub is_final: bool,
    /// Whether only requests that were led here by another route may come.
    pub internal: bool,
    /// What answers.
    pub action: RouteAction,
    /// What sends its requests elsewhere.
    pub detours: Detours,
    /// Values taken from a preset.
    pub preset: Option<Preset>,
    /// Replaces exactly the bytes of a prefix pattern; `None` forwards the raw target.
    pub rewrite_prefix: Option<Box<str>>,
    /// What changes in the head that goes to the upstream.
    pub request: RequestHeads,
    /// What changes in the head that comes back.
    pub response: ResponseHeads,
    /// What happens to the bodies of its answers: its own, or the site's.
    pub bodies: Bodies,
    /// Where its requests may come from.
    pub referers: Option<Arc<Referers>>,
    /// Whose word for clients' addresses is taken; a route's where its site's finds nothing.
    pub client_address: Option<Arc<ClientAddress>>,
    /// Where its requests are sent a second time.
    pub mirror: Option<Arc<MirrorTo>>,
    /// Largest request body; `None` is no limit.
    pub body_limit: Option<ByteSize>,
    /// Time limits towards the upstream.
    pub timeouts: RouteTimeouts,
    /// What its clients get, where it or its site says so.
    pub client: Option<Arc<ClientTerms>>,
    /// How much of it is served: its own, or the site's.
    pub limits: Option<Arc<RouteLimits>>,
    /// Who is let in: its own, or the site's.
    pub access: Option<Arc<Access>>,
    /// Its own log, or the site's.
    pub access_log: Arc<AccessLog>,
}

/// A set of documented values for a kind of upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// JupyterHub behind configurable-http-proxy.
    JupyterHub,
    /// BinderHub.
    BinderHub,
}

/// Time limits of a route towards its upstream. None but `total` counts a whole upload, download or event stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteTimeouts {
    /// To connect to one endpoint.
    pub connect: Duration,
    /// For the TLS handshake that follows.
    pub tls: Duration,
    /// From the end of the request to the head of the response.
    pub response: Duration,
    /// Between two bytes, in either direction, once the response has begun.
    pub idle: Duration,
    /// While the upstream takes nothing of a body; `None`: as `idle`.
    pub send: Option<Duration>,
    /// From an upgrade request to its 101.
    pub tunnel_handshake: Duration,
    /// Without a byte in either direction on a tunnel.
    pub tunnel_idle: Duration,
    /// From the request's head to the end of its response, whatever moves; `None` does not count it. Not of a tunnel.
    pub total: Option<Duration>,
}

/// `[upstream.NAME]`: endpoints that serve the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name.
    pub name: UpstreamName,
    /// Addresses, in the order of the file. Not empty, unless one of the next three says more.
    pub endpoints: Vec<Endpoint>,
    /// Hosts, in the order of the file, each of which stands for all its addresses.
    pub named: Vec<NamedEndpoints>,
    /// A service that names further ones.
    pub service: Option<DnsName>,
    /// A file with further ones, followed.
    pub endpoints_file: Option<PathBuf>,
    /// Who gets the next request.
    pub balance: Balance,
    /// How long an endpoint that joins or comes back takes to its full share; zero is at once.
    pub slow_start: Duration,
    /// When an endpoint is left out because of what requests met there.
    pub outlier: Outlier,
    /// Whether a browser stays with its endpoint.
    pub sticky: Option<Sticky>,
    /// How its endpoints are checked.
    pub health: Option<Health>,
    /// Idle connections kept per endpoint and worker, a moment after a burst aside; 0 keeps none.
    pub keep_alive: usize,
    /// How long a connection stays idle before it is closed; below the upstream's own limit.
    pub keep_alive_idle: Duration,
    /// The request of a connection of HTTP/1 after which it is closed.
    pub keep_alive_requests: Option<u64>,
    /// The age of a connection of HTTP/1 at which it is closed after a request.
    pub keep_alive_age: Option<Duration>,
    /// What spares it and saves its requests.
    pub protection: Protection,
    /// TLS to its endpoints; `None` is plain TCP.
    pub tls: Option<UpstreamTls>,
    /// What is spoken on it.
    pub protocol: Protocol,
}

impl Upstream {
    /// Whether DNS says what endpoints it has.
    pub fn has_names(&self) -> bool {
        !self.named.is_empty() || self.service.is_some()
    }

    /// An upstream that has nothing but endpoints; all else as by default.
    pub fn plain(
        name: UpstreamName,
        endpoints: impl IntoIterator<Item: Into<EndpointAddress>>,
    ) -> Self {
        let endpoints = endpoints.into_iter().map(|one| Endpoint::from(one.into()));
        Self {
            name,
            endpoints: endpoints.collect(),
            named: Vec::new(),
            service: None,
            endpoints_file: None,
            balance: Balance::RoundRobin,
            slow_start: Duration::ZERO,
            outlier: Outlier::default(),
            sticky: None,
            health: None,
            keep_alive: 128,
            keep_alive_idle: Duration::from_secs(4),
            keep_alive_requests: None,
            keep_alive_age: None,
            protection: Protection::default(),
            tls: None,
            protocol: Protocol::Http1,
        }
    }
}
