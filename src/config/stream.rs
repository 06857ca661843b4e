//! `[[stream]]`: connections that are passed on unopened; and what listeners and endpoints are told by PROXY headers.
//!
//! Values only; `schema` and `validate` make them, `snapshot` and `stream` act on them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::model::{AccessLog, Listen};
use crate::types::host::HostPattern;
use crate::types::name::UpstreamName;

/// One `[[stream]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// Where its connections come in.
    pub listen: SocketAddr,
    /// The names whose TLS connections it takes; empty for all connections that no other stream takes.
    pub sni: Vec<HostPattern>,
    /// Who gets them.
    pub upstream: UpstreamName,
    /// To connect to one endpoint.
    pub connect: Duration,
    /// Without a byte in either direction.
    pub idle: Duration,
    /// Whether the endpoint is told of the client by a PROXY header.
    pub send_proxy_protocol: Option<ProxyVersion>,
    /// Its log, one line a connection.
    pub access_log: AccessLog,
}

/// The keys of `[listen]` about PROXY headers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProxyProtocol {
    /// Who is believed.
    pub from: Vec<IpNet>,
    /// Addresses of `http` and `https` where a header may come.
    pub optional: Vec<SocketAddr>,
    /// Where it has to.
    pub required: Vec<SocketAddr>,
}

/// A form of the PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// Text.
    V1,
    /// Binary.
    V2,
}

impl ProxyVersion {
    /// As in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

impl Stream {
    /// The listener its connections come in by, and the local address they must have come to where the listener takes
    /// those of others too: one of `https` on all addresses and the same port. Otherwise a listener of its own.
    pub fn listener(&self, listen: &Listen) -> (SocketAddr, Option<IpAddr>) {
        let whole = |https: &&SocketAddr| {
            https.port() == self.listen.port()
                && https.ip().is_unspecified()
                && https.is_ipv4() == self.listen.is_ipv4()
        };
        if listen.https.contains(&self.listen) {
            return (self.listen, None);
        }
        match listen.https.iter().find(whole) {
            Some(https) if !self.listen.ip().is_unspecified() => (*https, Some(self.listen.ip())),
            _ => (self.listen, None),
        }
    }

    /// Where it listens and for whom, as in messages.
    pub fn name(&self) -> String {
        let mut name = self.listen.to_string();
        for pattern in &self.sni {
            name.push(' ');
            name.push_str(&pattern.to_string());
        }
        name
    }
}
