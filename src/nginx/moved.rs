//! Listeners of an nginx configuration that are to be somewhere else, so that hubgate can run beside the nginx it is to
//! replace.
//!
//! Values only; `import` asks them for each `listen`. Written `80=8080`, or `127.0.0.1:80=127.0.0.1:8080`. Invariant: a
//! text stands for what it was made of.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::types::address::Address;

/// What listens somewhere in nginx, and where it is to listen instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Moved {
    /// A port, at whatever IP address.
    Port(u16, u16),
    /// One address.
    Address(Address, Address),
}

impl Moved {
    /// Where it sends `address`; `None` for one that it does not speak of.
    pub fn sends(&self, address: &Address) -> Option<Address> {
        match self {
            Self::Port(from, to) => {
                let mut ip = address.ip().filter(|ip| ip.port() == *from)?;
                ip.set_port(*to);
                Some(ip.into())
            }
            Self::Address(from, to) => (from == address).then(|| to.clone()),
        }
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(from, to) => write!(f, "{from}={to}"),
            Self::Address(from, to) => write!(f, "{from}={to}"),
        }
    }
}

impl FromStr for Moved {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once('=').ok_or("a `=` is missing")?;
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
        if let (Some(from), Some(to)) = (port(from), port(to)) {
            return Ok(Self::Port(from, to));
        }
        let address = |text: &str| {
            let wrong = |_| format!("`{text}` is no port and no address with a port");
            text.parse::<Address>().map_err(wrong)
        };
        Ok(Self::Address(address(from)?, address(to)?))
    }
}

impl TryFrom<String> for Moved {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Moved> for String {
    fn from(moved: Moved) -> Self {
        moved.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_moved_at_every_address_and_an_address_alone() {
        for (moved, address, expected) in [
            ("80=8080", "0.0.0.0:80", Some("0.0.0.0:8080")),
            ("80=8080", "[::]:80", Some("[::]:8080")),
            ("80=8080", "0.0.0.0:8080", None),
            ("80=8080", "unix:/run/80", None),
            (
                "127.0.0.1:80=127.0.0.2:81",
                "127.0.0.1:80",
                Some("127.0.0.2:81"),
            ),
            ("127.0.0.1:80=127.0.0.2:81", "0.0.0.0:80", None),
            (
                "unix:/run/a=unix:/run/b",
                "unix:/run/a",
                Some("unix:/run/b"),
            ),
        ] {
            let parsed: Moved = moved.parse().unwrap();
            assert_eq!(parsed.to_string(), moved);
            let sent = parsed.sends(&address.parse().unwrap());
            assert_eq!(
                sent.map(|sent| sent.to_string()).as_deref(),
                expected,
                "{moved} {address}"
            );
        }
    }

    #[test]
    fn what_is_no_pair_of_ports_or_addresses_is_refused() {
        for (text, expected) in [
            ("80", "a `=` is missing"),
            ("80=0", "`80` is no port and no address with a port"),
            (
                "127.0.0.1:80=8080",
                "`8080` is no port and no address with a port",
            ),
        ] {
            assert_eq!(text.parse::<Moved>().unwrap_err(), expected);
        }
    }
}
