//! Addresses as nginx reads them: `host:port/path`, `[::1]:80`, `unix:/path`, and for `listen` a port alone.
//!
//! Pure: a host that is no address stays a name, which `hosts` looks up.
#![deny(clippy::disallowed_methods)]

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::nginx::table::Context;
use crate::nginx::tree::Directive;
use crate::nginx::value::number;

/// What an address is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::nginx) enum Kind {
    /// `listen`: a port alone, a range of ports and `*` count.
    Listen,
    /// Where a request goes: a path may follow.
    Pass,
    /// One of an upstream's servers, or a name server.
    Server,
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::nginx) struct Url {
    /// The host; `None` for a socket in the file system.
    pub(in crate::nginx) host: Option<Host>,
    /// The port, where one is said.
    pub(in crate::nginx) port: Option<u16>,
    /// The last port of a range.
    pub(in crate::nginx) last_port: Option<u16>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::nginx) enum Host {
    Address(IpAddr),
    Name(String),
}

impl Url {
    /// Understands an address.
    ///
    /// # Errors
    /// nginx's words for what is wrong, without the address.
    pub(in crate::nginx) fn parse(text: &str, kind: Kind) -> Result<Self, &'static str> {
        let unix = text
            .get(..5)
            .is_some_and(|head| head.eq_ignore_ascii_case("unix:"));
        if unix {
            let path = text.get(5..).unwrap_or_default();
            let path = match kind {
                Kind::Pass => path.split(':').next().unwrap_or_default(),
                _ => path,
            };
            return match path.len() {
                0 => Err("no path in the unix domain socket"),
                1..=107 => Ok(Self {
                    host: None,
                    port: None,
                    last_port: None,
                }),
                _ => Err("too long path in the unix domain socket"),
            };
        }
        match text.strip_prefix('[') {
            Some(rest) => Self::in_brackets(rest, kind),
            None => Self::plain(text, kind),
        }
    }

    fn in_brackets(rest: &str, kind: Kind) -> Result<Self, &'static str> {
        let (host, after) = rest.split_once(']').ok_or("invalid host")?;
        let after = match after.find('/') {
            Some(_) if kind != Kind::Pass => return Err("invalid host"),
            Some(at) => after.get(..at).unwrap_or_default(),
            None => after,
        };
        let (port, last_port) = match after.strip_prefix(':') {
            Some(port) => ports(port, kind)?,
            None if after.is_empty() => (None, None),
            None => return Err("invalid host"),
        };
        if host.is_empty() {
            return Err("no host");
        }
        let address: Ipv6Addr = host.parse().map_err(|_| "invalid IPv6 address")?;
        Ok(Self {
            host: Some(Host::Address(address.into())),
            port,
            last_port,
        })
    }

    fn plain(text: &str, kind: Kind) -> Result<Self, &'static str> {
        let path = match kind {
            Kind::Pass => text.find(['/', '?']),
            _ => text.find('/'),
        };
        let authority = match path {
            Some(_) if kind != Kind::Pass => return Err("invalid host"),
            Some(at) => text.get(..at).unwrap_or_default(),
            None => text,
        };
        let (host, (port, last_port)) = match authority.split_once(':') {
            Some((host, port)) => (host, ports(port, kind)?),
            None if kind == Kind::Listen => {
                let first = authority.split('-').next().unwrap_or_default();
                let alone = number(first.as_bytes()).is_some();
                let range = authority.split_once('-').map(|(_, last)| port_of(last));
                if let Some(range) = range {
                    range?;
                }
                if alone {
                    let (port, last_port) = ports(authority, kind)?;
                    return Ok(Self {
                        host: Some(Host::Address(Ipv4Addr::UNSPECIFIED.into())),
                        port,
                        last_port,
                    });
                }
                (authority, (None, None))
            }
            None => (authority, (None, None)),
        };
        let host = match host {
            "" => return Err("no host"),
            "*" if kind == Kind::Listen => Host::Address(Ipv4Addr::UNSPECIFIED.into()),
            host => match dotted(host) {
                Some(address) => Host::Address(address.into()),
                None => Host::Name(host.to_owned()),
            },
        };
        Ok(Self {
            host: Some(host),
            port,
            last_port,
        })
    }
}

/// What stands behind the colon.
fn ports(text: &str, kind: Kind) -> Result<(Option<u16>, Option<u16>), &'static str> {
    match text.split_once('-').filter(|_| kind == Kind::Listen) {
        Some((first, last)) => {
            let last = port_of(last)?;
            let first = port_of(first)?;
            match first > last {
                true => Err("invalid port range"),
                false => Ok((Some(first), Some(last))),
            }
        }
        None => Ok((Some(port_of(text)?), None)),
    }
}

fn port_of(text: &str) -> Result<u16, &'static str> {
    let port = number(text.as_bytes()).and_then(|port| u16::try_from(port).ok());
    port.filter(|port| *port > 0).ok_or("invalid port")
}

/// Four numbers; as nginx reads them, with leading zeros.
pub(super) fn dotted(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<_> = text.split('.').collect();
    let [a, b, c, d] = *parts else { return None };
    let part = |text: &str| number(text.as_bytes()).and_then(|own| u8::try_from(own).ok());
    Some(Ipv4Addr::new(part(a)?, part(b)?, part(c)?, part(d)?))
}

/// The schemes of a pass, none where it has none.
fn schemes(name: &str) -> &'static [&'static str] {
    match name {
        "proxy_pass" => &["http://", "https://"],
        "grpc_pass" => &["grpc://", "grpcs://"],
        "uwsgi_pass" => &["suwsgi://", "uwsgi://"],
        _ => &[],
    }
}

/// The upstreams of a block, in lower case: their names are not looked up.
pub(in crate::nginx) fn upstreams(block: &Directive) -> HashSet<String> {
    let own = { block.children().iter() }.filter(|own| own.is("upstream"));
    own.map(|own| own.argument(0).to_lowercase()).collect()
}

/// Whether it says where requests go.
pub(in crate::nginx) fn is_pass(name: &str) -> bool {
    const PASSES: &[&str] = &[
        "proxy_pass",
        "grpc_pass",
        "fastcgi_pass",
        "uwsgi_pass",
        "scgi_pass",
        "memcached_pass",
    ];
    PASSES.contains(&name)
}

/// The address of a pass without its scheme; `None` for other directives and for words with variables.
pub(in crate::nginx) fn host_of_pass(directive: &Directive) -> Option<String> {
    let name = directive.name();
    let word = directive.argument(0);
    if !is_pass(&name) || word.contains('$') {
        return None;
    }
    let scheme = schemes(&name).iter().find(|scheme| {
        let head = word.get(..scheme.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    });
    let rest = scheme.and_then(|scheme| word.get(scheme.len()..));
    Some(rest.unwrap_or(&word).to_owned())
}

/// Why a directive's address is refused.
pub(super) fn refusal(directive: &Directive, context: Context) -> Option<String> {
    let name = directive.name();
    let word = directive.argument(0);
    let server =
        &*name == "server" && matches!(context, Context::Upstream | Context::StreamUpstream);
    if server {
        // A word with a dollar sign is a name like any other.
        let text = Url::parse(&word, Kind::Server).map(|url| {
            let named = url.host.is_some() && url.port.is_none();
            (named && context == Context::StreamUpstream)
                .then(|| format!("no port in upstream \"{word}\""))
        });
        return match text {
            Ok(refusal) => refusal,
            Err(wrong) => Some(format!("{wrong} in upstream \"{word}\"")),
        };
    }
    let own = host_of_pass(directive)?;
    let kind = match &*name {
        "proxy_pass" if context != Context::StreamServer => Kind::Pass,
        _ => Kind::Server,
    };
    let wrong = Url::parse(&own, kind).err()?;
    Some(format!("{wrong} in upstream \"{own}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_refused_in_nginxs_words() {
        for (text, kind, said) in [
            ("127.0.0.1:0", Kind::Server, "invalid port"),
            ("a:70000/x", Kind::Pass, "invalid port"),
            ("[::1", Kind::Pass, "invalid host"),
            ("[zz]:1", Kind::Pass, "invalid IPv6 address"),
            (":80", Kind::Listen, "no host"),
            ("80-70", Kind::Listen, "invalid port range"),
            ("70000", Kind::Listen, "invalid port"),
            ("a/b", Kind::Server, "invalid host"),
            ("unix:", Kind::Server, "no path in the unix domain socket"),
        ] {
            assert_eq!(Url::parse(text, kind), Err(said), "{text}");
        }
    }

    #[test]
    fn a_host_is_an_address_or_a_name() {
        let host = |text: &str, kind| Url::parse(text, kind).unwrap().host;
        let any = Host::Address(Ipv4Addr::UNSPECIFIED.into());
        assert_eq!(host("*:80", Kind::Listen), Some(any.clone()));
        assert_eq!(host("80", Kind::Listen), Some(any));
        assert_eq!(host("80", Kind::Server), Some(Host::Name("80".to_owned())));
        assert_eq!(host("a?b", Kind::Pass), Some(Host::Name("a".to_owned())));
        assert_eq!(host("unix:/x:/y", Kind::Pass), None);
    }
}
