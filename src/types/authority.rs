//! A host with a port, as requests name it (RFC 9110 section 7.2): strictly, or as nginx takes it.
//!
//! Pure. Which hosts there are is `host`'s to say. Invariant: what was parsed strictly has a host that is one.

use super::host::{Host, HostError};

/// A host with the port a client wrote after it: the `Host` field or `:authority` (RFC 9110 section 7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The host, normalised.
    pub host: Host,
    /// The port, when one was written.
    pub port: Option<u16>,
}

impl Authority {
    /// Of a request that names no host.
    pub fn nameless() -> Self {
        Self {
            host: Host::nameless(),
            port: None,
        }
    }

    /// As [`Self::parse`], for a text that most likely names `known`, which is a name and no address: then only what
    /// follows it is looked at.
    pub fn parse_near(text: &str, known: Option<&Host>) -> Result<Self, HostError> {
        let host = known.filter(|known| text.starts_with(known.as_str()));
        let rest = host.and_then(|host| text.get(host.as_str().len()..));
        match (host, rest.map(|rest| (rest, rest.strip_prefix(':')))) {
            (Some(host), Some(("", _))) => Ok(Self {
                host: host.clone(),
                port: None,
            }),
            (Some(host), Some((_, Some(port)))) => Ok(Self {
                host: host.clone(),
                port: parse_port(Some(port))?,
            }),
            _ => Self::parse(text),
        }
    }

    /// Takes `host`, `host:port`, `[v6]` or `[v6]:port`. An empty port (`host:`) counts as none (RFC 3986 section 3.2.3).
    ///
    /// Fails on user information, white space, a bare IPv6 address and a port that is not 1 to 65535.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let Some((inner, after)) = rest.split_once(']') else {
                    return Err(HostError::malformed(text));
                };
                let host = Host::parse(&text[..inner.len() + 2])?;
                match after.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if after.is_empty() => (host, None),
                    None => return Err(HostError::malformed(text)),
                }
            }
            None => match text.split_once(':') {
                Some((host, port)) => (Host::parse(host)?, Some(port)),
                None => (Host::parse(text)?, None),
            },
        };
        Ok(Self {
            host,
            port: parse_port(port)?,
        })
    }
}

impl Authority {
    /// As nginx takes it: what [`Self::parse`] refuses is a host all the same, up to its first colon, unless it has a
    /// slash or two dots in a row; what follows that is no port is none.
    pub fn parse_leniently(text: &str) -> Result<Self, HostError> {
        // Addresses stay as they are written.
        if !text.starts_with('[')
            && let Ok(authority) = Self::parse(text)
        {
            return Ok(authority);
        }
        let literal = text.starts_with('[').then(|| text.find(']')).flatten();
        let end = match literal {
            Some(end) => end + 1,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (host, rest) = text.split_at(end);
        let odd = |c: char| c == '/' || c <= ' ' || c == '\x7f';
        if text.contains(odd) || text.contains("..") {
            return Err(HostError::malformed(text));
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.is_empty() {
            return Err(HostError::Empty);
        }
        let port = parse_port(rest.strip_prefix(':'));
        Ok(Self {
            host: Host::of_any_characters(host),
            port: port.unwrap_or_default(),
        })
    }
}

/// The digits after a colon; none, or no colon, is no port.
fn parse_port(port: Option<&str>) -> Result<Option<u16>, HostError> {
    let fault = |text: &str| HostError::Port {
        found: text.chars().take(80).collect(),
    };
    match port {
        None | Some("") => Ok(None),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse::<u16>() {
            Ok(port) if port > 0 => Ok(Some(port)),
            _ => Err(fault(digits)),
        },
        Some(other) => Err(fault(other)),
    }
}
