//! Where an endpoint is: an IP address with a port, or a unix socket's path. A value that is copied from hand to hand.
//!
//! Paths are kept once each, for as long as the process runs: they come from configurations, so there are few, and every
//! request would otherwise count references to them. Written as in configurations and logs: `192.0.2.1:80`,
//! `unix:/run/app.sock`.
#![deny(clippy::disallowed_methods)]

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::address::{Address, NoAddress};

/// Where an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointAddress {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A unix socket, absolute.
    Unix(&'static Path),
}

/// Every path there has been.
static PATHS: Mutex<Vec<&'static Path>> = Mutex::new(Vec::new());

impl EndpointAddress {
    /// The unix socket at `path`.
    pub fn unix(path: &Path) -> Self {
        let mut paths = PATHS.lock();
        let known = paths.iter().find(|known| **known == path).copied();
        Self::Unix(known.unwrap_or_else(|| {
            let kept: &'static Path = Box::leak(path.into());
            paths.push(kept);
            kept
        }))
    }

    /// The IP address and port, unless it is a unix socket.
    pub fn ip(self) -> Option<SocketAddr> {
        match self {
            Self::Ip(ip) => Some(ip),
            Self::Unix(_) => None,
        }
    }

    /// The port; 0 of a unix socket.
    pub fn port(self) -> u16 {
        self.ip().map_or(0, |ip| ip.port())
    }

    /// The same place at another port; a unix socket has none.
    #[must_use]
    pub fn at_port(self, port: u16) -> Self {
        match self {
            Self::Ip(ip) => Self::Ip(SocketAddr::new(ip.ip(), port)),
            unix @ Self::Unix(_) => unix,
        }
    }

    /// What `Host` says of it when nothing else is to be said.
    pub fn host(self) -> String {
        match self {
            Self::Ip(ip) => ip.to_string(),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }

    /// A short stand-in of a fixed size. That of a path is made of its hash, in a network where nobody is (RFC 6666).
    pub fn digest(self) -> SocketAddr {
        match self {
            Self::Ip(ip) => ip,
            Self::Unix(path) => {
                let digest = digest(&SHA256, path.as_os_str().as_bytes());
                let first = digest
                    .as_ref()
                    .first_chunk()
                    .map_or(0, |first| u64::from_be_bytes(*first));
                let bits = (0x0100_u128 << 112) | u128::from(first);
                SocketAddr::new(IpAddr::V6(Ipv6Addr::from_bits(bits)), 0)
            }
        }
    }
}

/// In as few steps as there can be: every request looks for its connection by it.
impl Hash for EndpointAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Ip(SocketAddr::V4(v4)) => {
                let port = u64::from(v4.port());
                state.write_u64(u64::from(v4.ip().to_bits()) << 16 | port);
            }
            Self::Ip(SocketAddr::V6(v6)) => {
                state.write_u128(v6.ip().to_bits());
                state.write_u16(v6.port());
            }
            Self::Unix(path) => path.hash(state),
        }
    }
}

impl From<SocketAddr> for EndpointAddress {
    fn from(ip: SocketAddr) -> Self {
        Self::Ip(ip)
    }
}

impl From<&Address> for EndpointAddress {
    fn from(address: &Address) -> Self {
        match address {
            Address::Ip(ip) => Self::Ip(*ip),
            Address::Unix(path) => Self::unix(path),
        }
    }
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for EndpointAddress {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        text.parse::<Address>().map(|address| Self::from(&address))
    }
}

impl Serialize for EndpointAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EndpointAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_was_read_and_a_path_is_kept_once() {
        for text in ["192.0.2.1:80", "[::1]:80", "unix:/run/app.sock"] {
            let address = text.parse::<EndpointAddress>().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(text.parse::<EndpointAddress>().unwrap(), address);
            let json = serde_json::to_string(&address).unwrap();
            assert_eq!(
                serde_json::from_str::<EndpointAddress>(&json).unwrap(),
                address
            );
        }
        let [a, b] = [1, 2].map(|_| EndpointAddress::unix(Path::new("/run/once.sock")));
        let (EndpointAddress::Unix(a), EndpointAddress::Unix(b)) = (a, b) else {
            panic!("no paths");
        };
        assert!(std::ptr::eq(a, b));
        assert!("app.sock".parse::<EndpointAddress>().is_err());
    }

    #[test]
    fn digests_of_paths_differ_and_are_no_address_of_anybody() {
        let digest = |path: &str| EndpointAddress::unix(Path::new(path)).digest();
        assert_ne!(digest("/run/a.sock"), digest("/run/b.sock"));
        assert!(digest("/run/a.sock").to_string().starts_with("[100::"));
    }
}
