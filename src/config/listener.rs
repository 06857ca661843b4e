//! Listeners: where connections come in, and how their sockets are made.
//!
//! Values only; `schema` and `validate` make them, `listener` binds them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::types::address::Address;

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: Address,
    /// How; one for all listeners that ask for nothing special.
    pub options: Arc<SocketOptions>,
    /// Who may send a PROXY header here; `None` for those of `listen.proxy_protocol_from`.
    pub proxy_from: Option<Arc<[IpNet]>>,
}

/// How the sockets of an address are made. Those that do not apply to its kind keep their defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Connections that wait for an accept; the system cuts it to `net.core.somaxconn`.
    pub backlog: u32,
    /// The network interface that connections must come in by.
    pub interface: Option<Box<str>>,
    /// Probes on silent connections, beside those that the system sends by default: none.
    pub tcp_keep_alive: Option<TcpKeepAlive>,
    /// Connections whose first bytes came with the SYN (RFC 7413) that may wait for their handshake's end; `None` is off.
    pub fast_open: Option<u32>,
    /// A socket for each worker, among which the kernel spreads connections; otherwise one that all wait for.
    pub reuse_port: bool,
    /// Whether an IPv6 socket takes IPv6 only.
    pub ipv6_only: bool,
    /// Permissions of a unix socket.
    pub mode: u32,
    /// Who gets a unix socket: a user, a group, both.
    pub owner: Owner,
}

/// An owner by names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user's name; `None` leaves the one that hubgate runs as.
    pub user: Option<Box<str>>,
    /// The group's.
    pub group: Option<Box<str>>,
}

/// TCP's own probes of a silent connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpKeepAlive {
    /// Silence before the first.
    pub idle: Duration,
    /// Between two.
    pub interval: Duration,
    /// Without an answer, until the connection is given up.
    pub probes: u32,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            backlog: 4096,
            interface: None,
            tcp_keep_alive: None,
            fast_open: None,
            reuse_port: true,
            ipv6_only: true,
            mode: 0o660,
            owner: Owner::default(),
        }
    }
}

impl SocketOptions {
    /// Whether sockets made with `other` can be given these while they are in use.
    pub fn can_follow(&self, other: &Self) -> bool {
        (&self.interface, self.reuse_port, self.ipv6_only)
            == (&other.interface, other.reuse_port, other.ipv6_only)
    }
}

impl Listener {
    /// Whether it takes what comes to `other` too, were that not listened on by itself.
    pub fn takes_in(&self, other: SocketAddr) -> bool {
        self.address.ip().is_some_and(|own| {
            let family =
                own.is_ipv4() == other.is_ipv4() || (own.is_ipv6() && !self.options.ipv6_only);
            own.port() == other.port() && own.ip().is_unspecified() && family
        })
    }
}

impl From<Address> for Listener {
    fn from(address: Address) -> Self {
        Self {
            address,
            options: Arc::default(),
            proxy_from: None,
        }
    }
}
