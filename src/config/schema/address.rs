//! Addresses: to listen on, to connect to, to trust.
//!
//! Names, schemes, paths and missing ports are told apart, because each has its own remedy.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::value::Field;
use crate::config::diagnostic::Diagnostic;
use crate::config::source::Source;
use crate::types::address::Address;
use crate::types::dns_name::DnsName;
use crate::types::endpoint_address::EndpointAddress;

/// Where to connect to.
pub(in crate::config) enum Target {
    /// Exactly there.
    Address(EndpointAddress),
    /// At this port of every address of the host.
    Name(DnsName, u16),
}

impl Field<'_> {
    /// An IP address with a port to listen on; port 0 lets the system choose.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let text = self.text_as("an address in quotes, as in `\"0.0.0.0:443\"`", None)?;
        let hint = match text.parse() {
            Ok(address) => return Some(address),
            Err(_) => listen_hint(text),
        };
        self.refuse(
            "bad-address",
            format!("`{text}` is not an IP address with a port"),
            Some(hint),
        )
    }

    /// An address to listen on: as [`Field::address`], or `unix:` and the path of a socket.
    pub(super) fn listen_address(&self, source: &Source) -> Option<Address> {
        let text = self.text_as("an address in quotes, as in `\"0.0.0.0:443\"`", None)?;
        match Address::unix_path(text) {
            None => self.address().map(Address::Ip),
            Some("") => self.refuse("bad-address", format!("`{text}` names no file"), None),
            Some(path) => Some(Address::Unix(source.resolve(path).into())),
        }
    }

    /// An IP address, or a name, with a port to connect to; or `unix:` and the path of a socket.
    pub(super) fn endpoint(&self, source: &Source) -> Option<Target> {
        let text = self.text_as("an address in quotes, as in `\"192.0.2.10:80\"`", None)?;
        if let Some(path) = Address::unix_path(text) {
            return match path {
                "" => self.refuse("bad-endpoint", format!("`{text}` names no file"), None),
                path => Some(Target::Address(EndpointAddress::unix(
                    &source.resolve(path),
                ))),
            };
        }
        if let Some((name, port)) = named(text) {
            return Some(Target::Name(name, port));
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() == 0 => {
                self.refuse("bad-endpoint", format!("endpoint `{text}` has port 0, which nothing answers on"), None)
            }
            Ok(address) if address.ip().is_unspecified() => self.refuse(
                "bad-endpoint",
                format!("endpoint `{text}` is the address for listening on all interfaces, not one to connect to"),
                Some(format!("for this host write `127.0.0.1:{}`", address.port())),
            ),
            Ok(address) => Some(Target::Address(address.into())),
            Err(_) => {
                let (code, message, hint) = endpoint_fault(text);
                self.refuse(code, message, Some(hint))
            }
        }
    }

    /// A network, or an address that stands for itself alone.
    pub(super) fn network(&self) -> Option<IpNet> {
        let text = self.text_as("a network in quotes, as in `\"10.0.0.0/8\"`", None)?;
        let parsed = text
            .parse::<IpNet>()
            .ok()
            .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let Some(network) = parsed else {
            let hint = Some(
                "write an address or a network with its prefix length, as in `10.0.0.0/8`"
                    .to_owned(),
            );
            return self.refuse(
                "bad-network",
                format!("`{text}` is not an IP network"),
                hint,
            );
        };
        if network.prefix_len() == 0 {
            self.sink.push(
                Diagnostic::warning("trusts-everyone", self.span(), format!("`{text}` trusts every client"))
                    .hint("anyone can then pretend to come from any address; name the proxies in front of this host"),
            );
        } else if network != network.trunc() {
            self.sink.push(Diagnostic::warning(
                "network-bits",
                self.span(),
                format!(
                    "`{text}` has bits set past its prefix; it stands for `{}`",
                    network.trunc()
                ),
            ));
        }
        Some(network.trunc())
    }
}

fn listen_hint(text: &str) -> String {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    match bare.parse() {
        Ok(IpAddr::V4(ip)) => return format!("add the port, as in `{ip}:443`"),
        Ok(IpAddr::V6(ip)) => return format!("add the port, as in `[{ip}]:443`"),
        Err(_) => {}
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    match (host, port.parse::<u16>()) {
        ("localhost", Ok(port)) => format!("write `127.0.0.1:{port}`, and `[::1]:{port}` for IPv6"),
        ("" | "*", Ok(port)) => {
            format!(
                "for every IPv4 address write `0.0.0.0:{port}`, for every IPv6 address `[::]:{port}`"
            )
        }
        (name, Ok(_))
            if name.contains(|c: char| c.is_ascii_alphabetic()) && !name.contains(':') =>
        {
            format!(
                "names are not supported: write the address of this host that `{name}` stands for"
            )
        }
        _ => "as in `0.0.0.0:443` or `[::]:443`".to_owned(),
    }
}

fn endpoint_fault(text: &str) -> (&'static str, String, String) {
    if let Some((scheme, rest)) = text.split_once("://") {
        let address = rest.split('/').next().unwrap_or(rest);
        let hint = match scheme {
            "https" => format!(
                "write the address alone, `{address}`, and `tls = {{ server_name = \"NAME\" }}` in the same table, where NAME is a name in the endpoint's certificate"
            ),
            _ => format!("write the address alone: `{address}`"),
        };
        return (
            "endpoint-scheme",
            format!("endpoint `{text}` has a scheme; an endpoint is IP:port"),
            hint,
        );
    }
    if let Some((address, path)) = text.split_once('/') {
        let hint = format!(
            "write `{address}`; the path is passed on as the client sent it, or changed by the route's `rewrite_prefix`"
        );
        return (
            "bad-endpoint",
            format!("endpoint `{text}` has the path `/{path}`; an endpoint is IP:port"),
            hint,
        );
    }
    match text.parse() {
        Ok(IpAddr::V4(ip)) => {
            let message = format!("endpoint `{text}` has no port");
            return ("bad-endpoint", message, format!("as in `{ip}:80`"));
        }
        Ok(IpAddr::V6(_)) => {
            let message = format!("endpoint `{text}` has no port");
            let hint = "brackets go around an IPv6 address, as in `[2001:db8::10]:80`".to_owned();
            return ("bad-endpoint", message, hint);
        }
        Err(_) => {}
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && let Ok(name) = DnsName::parse(host)
    {
        if name.as_str().starts_with('_') {
            let message = format!("`{name}` is a service, whose ports are in DNS");
            return (
                "bad-endpoint",
                message,
                format!("write `endpoints_srv = \"{name}\"`"),
            );
        }
        let message = format!("`{port}` is not a port of endpoint `{text}`");
        return ("bad-endpoint", message, format!("as in `{name}:80`"));
    }
    if DnsName::parse(text).is_ok() {
        let message = format!("endpoint `{text}` has no port");
        return ("bad-endpoint", message, format!("as in `{text}:80`"));
    }
    (
        "bad-endpoint",
        format!("endpoint `{text}` is not IP:port, nor a name with a port"),
        "as in `192.0.2.10:80`, `[2001:db8::10]:80` or `hub.internal:80`".to_owned(),
    )
}

/// A name with a port. What begins with `_` names a service, which has ports of its own.
fn named(text: &str) -> Option<(DnsName, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let name = DnsName::parse(host).ok()?;
    (!name.as_str().starts_with('_')).then_some((name, port))
}
