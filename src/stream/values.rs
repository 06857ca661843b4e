//! The values of variables for one stream: what its texts, its log and the configuration's definitions name as `$name`.
//!
//! By name rather than by kind: nearly every one means something else than of a request, or nothing. What is only known at
//! the end is empty before. Computes nothing before it is asked.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::special::Secured;
use crate::config::{Definitions, Lookup, Variable};
use crate::nginx::UNDERSTOOD;
use crate::observe::access_log::{Clock, epoch};
use crate::observe::hostname::HOSTNAME;
use crate::proxy::connection_values::certificate;
use crate::proxy::proxied;
use crate::transport::connection_number;
use crate::transport::proxy_protocol::Proxied;
use crate::types::address::Address;
use crate::types::endpoint_address::EndpointAddress;

/// What a ClientHello says that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The name it asks for, in lower case; `None` when it has none, or one that is no text.
    pub server_name: Option<Box<str>>,
    /// The protocols it offers, with commas between them.
    pub alpn: Box<str>,
    /// The highest version it offers, as on the wire.
    pub version: u16,
}

impl Hello {
    fn version(&self) -> &'static str {
        match self.version {
            0x0002 => "SSLv2",
            0x0300 => "SSLv3",
            0x0301 => "TLSv1",
            0x0302 => "TLSv1.1",
            0x0303 => "TLSv1.2",
            0x0304 => "TLSv1.3",
            _ => "",
        }
    }
}

/// A connection's number, given when it is first asked for.
#[derive(Debug, Default)]
pub(super) struct Number(AtomicU64);

impl Number {
    fn get(&self) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            0 => {
                let own = connection_number();
                self.0.store(own, Ordering::Relaxed);
                own
            }
            own => own,
        }
    }
}

/// What is known at the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) status: u16,
    pub(super) up: u64,
    pub(super) down: u64,
    pub(super) duration: Duration,
    pub(super) endpoint: Option<EndpointAddress>,
    pub(super) connect_time: Option<Duration>,
    pub(super) first_byte: Option<Duration>,
    /// Since the endpoint had accepted.
    pub(super) with_endpoint: Option<Duration>,
}

/// One stream, as variables see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    /// `TCP` or `UDP`.
    pub(super) protocol: &'static str,
    pub(super) hello: Option<&'a Hello>,
    /// What a load balancer has said.
    pub(super) proxied: Option<&'a Proxied>,
    /// The TLS that was ended here.
    pub(super) secured: Option<&'a Secured>,
    pub(super) number: &'a Number,
    /// Variables of the stream's own that have values by now.
    pub(super) set: &'a [(Box<str>, Vec<u8>)],
    pub(super) definitions: &'a Definitions,
    pub(super) known: Option<Known>,
    /// Endpoints that did not accept.
    pub(super) tried: &'a [EndpointAddress],
    /// The socket in the file system that it came in by, where nobody has an address.
    pub(super) at_socket: Option<&'a Address>,
    /// Its upstream's name.
    pub(super) asked: &'a str,
}

impl Lookup for Values<'_> {
    fn append(&self, variable: &Variable, out: &mut Vec<u8>) {
        if let Variable::Own(name) = variable {
            let mut set = self.set.iter().rev();
            match set.find(|(own, _)| own == name) {
                Some((_, value)) => out.extend_from_slice(value),
                None => {
                    if let Some(defined) = self.definitions.get(name) {
                        defined.append(self, out);
                    }
                }
            }
            return;
        }
        if let Variable::ProxyProtocol(fact) = variable {
            if let Some(proxied) = self.proxied {
                proxied::append(proxied, *fact, out);
            }
            return;
        }
        let shown = self.secured.and_then(Secured::shown);
        if shown.is_some_and(|shown| certificate(shown, variable, out)) {
            return;
        }
        let name = variable.to_string();
        match &*name {
            "binary_remote_addr" => match self.peer.ip() {
                IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
                IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
            },
            "time_local" => Clock::default().common(SystemTime::now(), out),
            "time_iso8601" => Clock::default().iso(SystemTime::now(), out),
            "msec" => epoch(SystemTime::now(), out),
            "hostname" => out.extend_from_slice(HOSTNAME.to_lowercase().as_bytes()),
            name => {
                let text = self.of_connection(name);
                let text = text.or_else(|| self.of_tls(name));
                let text = text.or_else(|| self.at_end(name));
                out.extend_from_slice(text.unwrap_or_default().as_bytes());
            }
        }
    }
}

impl Values<'_> {
    /// Who has connected, for whomever.
    fn sender(&self) -> SocketAddr {
        self.proxied.map_or(self.peer, |proxied| proxied.sender)
    }

    fn of_connection(&self, name: &str) -> Option<String> {
        Some(match name {
            "remote_addr" | "realip_remote_addr"
                if self.at_socket.is_some() && self.proxied.is_none() =>
            {
                "unix:".to_owned()
            }
            "server_addr" if self.at_socket.is_some() => self.at_socket?.to_string(),
            "remote_port" | "server_port" if self.at_socket.is_some() && self.proxied.is_none() => {
                String::new()
            }
            "remote_addr" => self.peer.ip().to_string(),
            "remote_port" => self.peer.port().to_string(),
            "server_addr" => self.local.ip().to_string(),
            "server_port" => self.local.port().to_string(),
            "realip_remote_addr" => self.sender().ip().to_string(),
            "realip_remote_port" => self.sender().port().to_string(),
            "protocol" => self.protocol.to_owned(),
            "connection" => self.number.get().to_string(),
            "nginx_version" => UNDERSTOOD.to_owned(),
            "pid" => std::process::id().to_string(),
            _ => return None,
        })
    }

    fn of_tls(&self, name: &str) -> Option<String> {
        if let Some(name) = name.strip_prefix("ssl_preread_") {
            let hello = self.hello?;
            return match name {
                "server_name" => Some(hello.server_name.as_deref()?.to_owned()),
                "alpn_protocols" => Some(hello.alpn.to_string()),
                "protocol" => Some(hello.version().to_owned()),
                _ => None,
            };
        }
        let secured = self.secured?;
        let shown = secured.certificate();
        Some(match name {
            "ssl_protocol" => secured.version.to_owned(),
            "ssl_cipher" => secured.cipher.to_owned(),
            "ssl_curve" => secured.group.to_owned(),
            "ssl_server_name" => secured.server_name.as_deref()?.to_owned(),
            "ssl_alpn_protocol" => secured.alpn.clone(),
            "ssl_session_reused" => if secured.resumed { "r" } else { "." }.to_owned(),
            "ssl_client_verify" => shown.map_or("NONE", |shown| shown.verify()).to_owned(),
            "ssl_client_s_dn" => shown?.subject.to_owned(),
            "ssl_client_i_dn" => shown?.issuer.to_owned(),
            "ssl_client_serial" => shown?.serial.to_owned(),
            "ssl_client_fingerprint" => shown?.sha1.to_owned(),
            "ssl_client_fingerprint_sha256" => shown?.fingerprint.to_owned(),
            _ => return None,
        })
    }

    /// `none` for each endpoint that did not accept, and the last one's own, with commas between.
    fn of_tries(&self, none: &str, last: Option<String>) -> String {
        let connected = self.known.is_some_and(|known| known.connect_time.is_some());
        let last = connected.then(|| last.unwrap_or_else(|| "-".to_owned()));
        let tries = self.tried.iter().map(|_| none.to_owned());
        let all: Vec<_> = tries.chain(last).collect();
        all.join(", ")
    }

    fn at_end(&self, name: &str) -> Option<String> {
        let Some(known) = &self.known else {
            // Nothing has gone either way.
            return matches!(name, "bytes_sent" | "bytes_received").then(|| "0".to_owned());
        };
        let reached = known.endpoint.is_some();
        Some(match name {
            "status" => known.status.to_string(),
            "bytes_sent" => known.down.to_string(),
            "bytes_received" => known.up.to_string(),
            "session_time" => seconds(known.duration),
            "upstream_addr" if reached => {
                let last = known.connect_time.and(known.endpoint);
                let all = self.tried.iter().copied().chain(last);
                let all: Vec<_> = all.map(|address| address.to_string()).collect();
                all.join(", ")
            }
            // Nobody was left to be asked.
            "upstream_addr" if matches!(known.status, 502) && !self.asked.is_empty() => {
                self.asked.to_owned()
            }
            "upstream_bytes_sent" if reached => self.of_tries("0", Some(known.up.to_string())),
            "upstream_bytes_received" if reached => {
                self.of_tries("0", Some(known.down.to_string()))
            }
            "upstream_connect_time" if reached => {
                self.of_tries("-", known.connect_time.map(seconds))
            }
            "upstream_first_byte_time" if reached => {
                let first = known.connect_time.zip(known.first_byte);
                self.of_tries("-", first.map(|(one, other)| seconds(one + other)))
            }
            "upstream_session_time" if reached => {
                let whole = known.connect_time.zip(known.with_endpoint);
                self.of_tries("0.000", whole.map(|(one, other)| seconds(one + other)))
            }
            _ => return None,
        })
    }
}

fn seconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}
