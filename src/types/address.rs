//! Where a listener is: an IP address with a port, or a unix socket's path.
//!
//! A value; binding it is `listener`'s. Written as in configurations and logs: `0.0.0.0:443`, `unix:/run/hubgate/http.sock`.
#![deny(clippy::disallowed_methods)]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

/// Whom a client on a unix socket counts as: a program of this host, which has no port.
pub const THIS_HOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How the path of a unix socket is told from an IP address.
const UNIX: &str = "unix:";

/// Where a listener is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// An IP address and a port; port 0 lets the system choose one.
    Ip(SocketAddr),
    /// A unix socket, absolute.
    Unix(Arc<Path>),
}

impl Address {
    /// The IP address and port, unless it is a unix socket.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Unix(_) => None,
        }
    }

    /// Whether it names one place: all do but port 0, which is another each time.
    pub fn is_fixed(&self) -> bool {
        self.ip().is_none_or(|ip| ip.port() != 0)
    }

    /// Whether it stands for every address of this host.
    pub fn is_any(&self) -> bool {
        self.ip().is_some_and(|ip| ip.ip().is_unspecified())
    }

    /// The path of a unix socket in `text`, as written.
    pub fn unix_path(text: &str) -> Option<&str> {
        text.strip_prefix(UNIX)
    }
}

impl From<SocketAddr> for Address {
    fn from(ip: SocketAddr) -> Self {
        Self::Ip(ip)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither an IP address with a port nor `unix:` and an absolute path")]
pub struct NoAddress;

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        match Self::unix_path(text).map(Path::new) {
            Some(path) if path.is_absolute() => Ok(Self::Unix(path.into())),
            Some(_) => Err(NoAddress),
            None => text.parse().map(Self::Ip).map_err(|_| NoAddress),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_was_read() {
        for text in ["0.0.0.0:443", "[::1]:0", "unix:/run/a b.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["unix:run/x", "unix:", "/run/x", "a:1", ""] {
            assert_eq!(text.parse::<Address>(), Err(NoAddress), "{text}");
        }
    }

    #[test]
    fn only_port_0_is_another_place_each_time() {
        let fixed = |text: &str| text.parse::<Address>().unwrap().is_fixed();
        assert!(fixed("1.2.3.4:1") && fixed("unix:/x") && !fixed("0.0.0.0:0"));
    }
}
