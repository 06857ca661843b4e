//! Names that DNS is asked for: of hosts, and of services (RFC 2782).
//!
//! A [`DnsName`] is a [`Host`] that is no address, and whether it was written as the whole name, with a dot at its end
//! (RFC 1034 section 3.1): only others are looked for in search domains.

use std::fmt;

use super::host::{Host, HostError};

/// A name in lower-case ASCII.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName {
    host: Host,
    absolute: bool,
}

/// Why a text is no name to ask for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsNameError {
    /// No host either.
    #[error(transparent)]
    Host(#[from] HostError),
    /// An address, or what was meant as one: no name ends in a label of digits alone.
    #[error("`{0}` is not a name")]
    Address(String),
}

impl DnsName {
    /// Takes a name, with a dot at its end or without. Unicode is turned to its IDNA form.
    pub fn parse(text: &str) -> Result<Self, DnsNameError> {
        let host = Host::parse(text)?;
        let last = host.as_str().rsplit('.').next().unwrap_or_default();
        if host.ip().is_some() || last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DnsNameError::Address(text.chars().take(80).collect()));
        }
        let absolute = text.ends_with('.');
        Ok(Self { host, absolute })
    }

    /// The name without a dot at its end.
    pub fn as_str(&self) -> &str {
        self.host.as_str()
    }

    /// Whether it is the whole name, so that no search domain is tried.
    pub fn is_absolute(&self) -> bool {
        self.absolute
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        f.write_str(if self.absolute { "." } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_and_services_are_taken_and_addresses_are_not() {
        for (text, name) in [
            ("Hub.Internal", "hub.internal"),
            ("localhost", "localhost"),
            ("_http._tcp.hub.internal.", "_http._tcp.hub.internal."),
            ("bücher.example", "xn--bcher-kva.example"),
            ("3com.example", "3com.example"),
        ] {
            assert_eq!(DnsName::parse(text).unwrap().to_string(), name);
        }
        for text in [
            "",
            ".",
            "a..b",
            "192.0.2.1",
            "192.0.2.300",
            "::1",
            "7",
            "a b",
        ] {
            assert!(DnsName::parse(text).is_err(), "{text:?}");
        }
        assert!(DnsName::parse(&format!("{}.example", "a".repeat(64))).is_err());
        assert!(DnsName::parse(&"a.".repeat(127)).is_ok());
        assert!(DnsName::parse(&"a.".repeat(128)).is_err());
    }

    #[test]
    fn a_dot_at_the_end_is_another_name_to_ask_for() {
        let (whole, part) = (DnsName::parse("hub."), DnsName::parse("hub"));
        assert!(whole.unwrap().is_absolute() && !part.unwrap().is_absolute());
    }
}
