//! Endpoints that are known by name: what to ask DNS for, whom to ask, and how far its answers are trusted.
//!
//! Values only; `schema` and `validate` make them, `dns` asks, and `upstream::names` keeps what was answered.

use std::net::SocketAddr;
use std::time::Duration;

use crate::types::dns_name::DnsName;

/// Endpoints that are all addresses of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedEndpoints {
    /// The host.
    pub name: DnsName,
    /// Where each address listens.
    pub port: u16,
    /// Each address's share of the requests, 1 to 255.
    pub weight: u8,
    /// Whether they get requests only while no other endpoint can.
    pub backup: bool,
    /// Requests and tunnels that each has at once; `None` is no limit.
    pub most: Option<u32>,
    /// How many endpoints each counts as when a request is tried again.
    pub times: u8,
}

/// `[resolver]`: how names of endpoints are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// Name servers; empty: those of the system, with its search domains.
    pub servers: Vec<SocketAddr>,
    /// One server's time for one question.
    pub timeout: Duration,
    /// An answer holds at least so long.
    pub min_ttl: Duration,
    /// And at most so long.
    pub max_ttl: Duration,
    /// Empty answers are believed after so long, and not before three of them.
    pub empty_after: Duration,
    /// Whether IPv6 addresses are asked for.
    pub ipv6: bool,
}

impl Default for Resolver {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(2),
            min_ttl: Duration::from_secs(5),
            max_ttl: Duration::from_secs(300),
            empty_after: Duration::from_secs(300),
            ipv6: true,
        }
    }
}
