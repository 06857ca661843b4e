//! `[upstream.NAME]`: endpoints that serve the same thing.
//!
//! As typed: names, empty lists and doubles are for `validate`.

use std::time::Duration;

use super::balancing::{self, Balancing};
use super::health::{self, Health};
use super::protection;
use super::reader::{At, Context, Reader};
use super::upstream_tls::{self, Tls};
use super::{Key, Kind, Table};
use crate::config::protection::Protection;

pub(in crate::config) static TABLE: Table = Table {
    header: "[upstream.hub]",
    about: "Endpoints that serve the same thing; the name is what routes point at.",
    keys: &[
        balancing::ENDPOINTS,
        balancing::ENDPOINTS_SRV,
        balancing::ENDPOINTS_FILE,
        balancing::BALANCE,
        balancing::HASH_ON,
        balancing::HASH_BOUND,
        balancing::STICKY,
        balancing::SLOW_START,
        balancing::OUTLIER,
        health::HEALTH,
        Key::new(
            "keep_alive",
            Kind::Count(0, 65_535),
            "128",
            "Idle connections kept per endpoint and worker; 0 keeps none. After a burst more are kept for a second or two.",
        ),
        Key::new(
            "keep_alive_idle",
            Kind::Duration(1),
            "\"4s\"",
            "How long a connection stays idle before it is closed. Keep it below the upstream's own limit: configurable-http-proxy closes at 6 s.",
        ),
        Key::rule(
            "keep_alive_requests",
            Kind::Count(1, 4_294_967_295),
            "none",
            "1000",
            "A connection of HTTP/1.1 is closed after so many requests.",
        ),
        Key::rule(
            "keep_alive_age",
            Kind::Duration(1),
            "none",
            "\"1h\"",
            "A connection of HTTP/1.1 is closed after a request that ends when it is older.",
        ),
        protection::RETRY_ON,
        protection::RETRY_BUDGET,
        protection::RETRY_DEADLINE,
        protection::RETRY_TRIES,
        protection::MAX_CONNECTIONS,
        protection::MAX_IN_FLIGHT,
        protection::QUEUE,
        protection::QUEUE_TIMEOUT,
        protection::CIRCUIT,
        Key::new(
            "protocol",
            Kind::Word(&["http1", "h2", "h2c"]),
            "\"http1\"",
            "What is spoken: HTTP/1.1; HTTP/2, which needs `tls`; or HTTP/2 without TLS. gRPC needs one of the latter. Upgrades (WebSockets) go by HTTP/1.1 to the same endpoints in any case.",
        ),
        Key::rule(
            "tls",
            Kind::Tls,
            "plain TCP",
            "{ server_name = \"hub.internal\" }",
            "TLS to the endpoints. `server_name`: whom their certificates must name, a host or \"endpoint\" for each endpoint's own address. `ca_file`: the roots of a private authority, in place of the public ones. `client_certificate` and `client_key` (with `client_passwords`, if it is encrypted): shown to endpoints that ask who connects. `verify = false` takes every certificate. `sni = false` keeps the name from them; `depth` has chains and names judged by OpenSSL's rules, with `crl_files`; `version` is the only one spoken, `cipher_suites` are those that are offered. Files are PEM, relative to this file's folder, and read again on change. Also as a table, [upstream.hub.tls].",
        ),
    ],
};

/// The table as typed.
#[derive(Debug)]
pub(in crate::config) struct Upstream {
    pub(in crate::config) balancing: Option<Balancing>,
    /// `None` has a fault, `Some(None)` is what the routes say.
    pub(in crate::config) health: Option<Option<Health>>,
    pub(in crate::config) keep_alive: Option<At<usize>>,
    pub(in crate::config) keep_alive_idle: Option<At<Duration>>,
    /// `None` has a fault, `Some(None)` is without bounds, as below.
    pub(in crate::config) keep_alive_requests: Option<Option<At<usize>>>,
    pub(in crate::config) keep_alive_age: Option<Option<At<Duration>>>,
    pub(in crate::config) protection: Option<Protection>,
    pub(in crate::config) protocol: Option<At<String>>,
    /// `None` has a fault, `Some(None)` is plain TCP.
    pub(in crate::config) tls: Option<Option<Tls>>,
    /// Of the table's head.
    pub(in crate::config) span: crate::config::source::Span,
}

/// Reads one upstream.
pub(in crate::config) fn read(reader: &Reader<'_>, context: Context<'_>) -> Upstream {
    Upstream {
        balancing: balancing::read(reader, context),
        health: health::read(reader, context),
        keep_alive: reader.count("keep_alive"),
        keep_alive_idle: reader.duration("keep_alive_idle"),
        keep_alive_requests: reader
            .optional("keep_alive_requests", |reader, key| reader.count(key)),
        keep_alive_age: reader.optional("keep_alive_age", |reader, key| reader.duration(key)),
        protection: protection::read(reader, context),
        protocol: reader.word("protocol"),
        tls: upstream_tls::read(reader, context),
        span: reader.span(),
    }
}
