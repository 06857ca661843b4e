//! Asks DNS: a stub resolver that knows how long an answer holds.
//!
//! `message` is the wire (RFC 1035), `ask` puts one question to one server, `system` is what `/etc/resolv.conf` and
//! `/etc/hosts` say, [`Resolver`] puts them together. Keeps nothing: what was answered, and when to ask again, is whose who
//! asks. Everything ends in bounded time and memory, whatever a server sends.

pub mod ask;
mod message;
mod resolver;
mod system;

use std::net::SocketAddr;

pub use resolver::{Family, Found, LookupError, Resolver, Service};

/// The name servers that the system asks. Blocks on a small file.
pub fn system_servers() -> Vec<SocketAddr> {
    system::ResolvConf::of_system().servers
}
