//! What is known about a request when it is over: the facts an access log line is made of.
//!
//! Borrowed from the request, so that nothing is copied for a log that is off.
#![deny(clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::HeaderMap;

use crate::config::Lookup;
use crate::observe::cause::Cause;
use crate::transport::proxy_protocol::Proxied;
use crate::types::endpoint_address::EndpointAddress;

/// One finished request. Text may be anything a client can send; the formats escape it.
#[derive(Clone)]
pub struct Record<'a> {
    /// When the line is made: at the request's end.
    pub time: SystemTime,
    /// The client, after `trusted_proxies` had their say.
    pub client: SocketAddr,
    /// Empty when the head was too broken to tell.
    pub method: &'a str,
    /// The raw target; empty when the head was too broken to tell.
    pub target: &'a [u8],
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: &'a str,
    /// `https` or `http`.
    pub scheme: &'a str,
    /// The host asked for, without its port.
    pub host: Option<&'a str>,
    /// The status the client got; 499 when it left before.
    pub status: u16,
    /// Bytes of the response's body sent to the client.
    pub body_sent: u64,
    /// Bytes of the request's body taken from the client.
    pub body_received: u64,
    /// From the first byte of the head to the last byte of the response, or to the tunnel's end.
    pub duration: Duration,
    /// `X-Request-Id`.
    pub request_id: &'a str,
    /// The request's fields, for the referrer, the user agent and `$http_NAME`.
    pub fields: &'a HeaderMap,
    /// The site that matched, by its name.
    pub site: Option<&'a str>,
    /// The route that matched, by its path.
    pub route: Option<&'a str>,
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// The endpoint that was tried last.
    pub endpoint: Option<EndpointAddress>,
    /// The status the upstream gave.
    pub upstream_status: Option<u16>,
    /// Time taken by a new connection to the endpoint; `None` when one was reused or none was had.
    pub connect_time: Option<Duration>,
    /// From the start of the request to the endpoint to the head of its answer.
    pub response_time: Option<Duration>,
    /// Why hubgate answered itself or ended the request.
    pub cause: Option<Cause>,
    /// `TLSv1.3` or `TLSv1.2`.
    pub tls_version: Option<&'a str>,
    /// The name asked for in the TLS handshake.
    pub server_name: Option<&'a str>,
    /// The client's certificate, when it has shown one.
    pub client_certificate: Option<ClientCertificate<'a>>,
    /// What a load balancer's PROXY header said.
    pub proxied: Option<&'a Proxied>,
    /// Bytes from the client through the tunnel.
    pub tunnel_in: u64,
    /// Bytes to the client through the tunnel.
    pub tunnel_out: u64,
    /// What a format can name besides.
    pub values: Option<&'a dyn Lookup>,
    /// Whether those count before what is said here: of streams, where names mean something else.
    pub values_first: bool,
    /// Datagrams from the client and to it, where there are such.
    pub datagrams: Option<(u64, u64)>,
}

/// A certificate that a client has shown.
#[derive(Clone, Copy, Debug)]
pub struct ClientCertificate<'a> {
    /// Whether it counts.
    pub verified: bool,
    /// As nginx says it: `SUCCESS`, or `FAILED:` with the reason.
    pub verify: &'a str,
    /// Whom it names.
    pub subject: &'a str,
    /// Who signed it.
    pub issuer: &'a str,
    /// Its number.
    pub serial: &'a str,
    /// Its SHA-256.
    pub fingerprint: &'a str,
    /// Its SHA-1.
    pub sha1: &'a str,
}

impl<'a> ClientCertificate<'a> {
    /// As nginx says it.
    pub fn verify(&self) -> &'a str {
        match self.verified {
            // What was believed in the handshake can be refused since.
            false if self.verify == "SUCCESS" => "FAILED",
            _ => self.verify,
        }
    }
}

impl<'a> Record<'a> {
    /// A record of which only these are known; the caller fills in the rest.
    pub fn new(time: SystemTime, client: SocketAddr, fields: &'a HeaderMap) -> Self {
        Self {
            time,
            client,
            method: "",
            target: b"",
            protocol: "HTTP/1.1",
            scheme: "http",
            host: None,
            status: 0,
            body_sent: 0,
            body_received: 0,
            duration: Duration::ZERO,
            request_id: "",
            fields,
            site: None,
            route: None,
            upstream: None,
            endpoint: None,
            upstream_status: None,
            connect_time: None,
            response_time: None,
            cause: None,
            tls_version: None,
            server_name: None,
            client_certificate: None,
            proxied: None,
            tunnel_in: 0,
            tunnel_out: 0,
            values: None,
            values_first: false,
            datagrams: None,
        }
    }
}
