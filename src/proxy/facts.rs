//! What is known of a client's connection before its first request.
//!
//! Plain data; the handshake fills it in, and every request of the connection reads it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::filter::forwarded;
use crate::observe::metrics::Metrics;
use crate::router::Arrival;
use crate::tls::client::Client as ClientCertificate;
use crate::tls::names::Offered;
use crate::transport::proxy_protocol::Proxied;
use crate::transport::{Link, connection_number, now};
use crate::types::address::Address;
use crate::types::host::Host;

/// What is known about a connection.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The other end.
    pub peer: SocketAddr,
    /// Its address alone, as text.
    pub peer_text: Box<str>,
    /// What upstreams are told of it, unless it is trusted: [`forwarded::usual`].
    pub usual: Box<str>,
    /// The address it connected to, when the configuration names it.
    pub local: Option<SocketAddr>,
    /// Its listener's address in the configuration.
    pub listener: Option<Address>,
    /// Whether there is TLS.
    pub is_tls: bool,
    /// Whether there should have been.
    pub plain_on_tls: bool,
    /// The host of the handshake, when it named one.
    pub server_name: Option<Host>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub tls_version: Option<&'static str>,
    /// The cipher suite, as OpenSSL names it.
    pub cipher: Option<&'static str>,
    /// The group of the key exchange, as OpenSSL names it.
    pub curve: Option<&'static str>,
    /// What the client offered, where a text names it.
    pub offered: Option<Arc<Offered>>,
    /// Whether its session was resumed.
    pub resumed: bool,
    /// The protocol that was agreed on in the handshake.
    pub alpn: Option<&'static str>,
    /// Its certificate.
    pub client: ClientCertificate,
    /// What a load balancer has said of it.
    pub proxied: Option<Arc<Proxied>>,
    /// Its number among all of the process.
    pub number: u64,
    /// When it began.
    pub began: Instant,
    /// Its bytes, once there are requests.
    pub link: Option<Arc<Link>>,
    /// What all connections are counted in.
    pub metrics: Option<Arc<Metrics>>,
}

impl Facts {
    /// Of a connection that has said nothing yet.
    pub fn new(peer: SocketAddr, local: Option<SocketAddr>, is_tls: bool) -> Self {
        let peer_text = peer.ip().to_string();
        Self {
            peer,
            usual: forwarded::usual(&peer_text, scheme(is_tls)).into(),
            peer_text: peer_text.into(),
            local,
            listener: None,
            is_tls,
            plain_on_tls: false,
            server_name: None,
            tls_version: None,
            cipher: None,
            curve: None,
            offered: None,
            resumed: false,
            alpn: None,
            client: ClientCertificate::Unasked,
            proxied: None,
            number: connection_number(),
            began: now(),
            link: None,
            metrics: None,
        }
    }

    /// How it came in, as sites are found by it.
    pub fn arrival(&self) -> Arrival<'_> {
        Arrival {
            listener: self.listener.as_ref(),
            local: self.local.map(|local| local.ip()),
        }
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        scheme(self.is_tls)
    }
}

fn scheme(is_tls: bool) -> &'static str {
    if is_tls { "https" } else { "http" }
}
