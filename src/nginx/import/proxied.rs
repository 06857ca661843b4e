//! Whom a `proxy_pass` or `grpc_pass` names, as `Host` and `$proxy_host` of what is sent there say it.
//!
//! Where the connection goes is `pass`'s to say. Pure: words in, names out.

use super::variables::Known;
use crate::nginx::model::{Address, Pass};
use crate::nginx::tree::Directive;

/// What the location's variables about its upstream are worth.
pub(super) fn known(pass: &Directive, stranger: bool) -> Known {
    let Some(address) = address(pass).or_else(|| fixed_host(pass)) else {
        // A variable that is all of the host: nginx sends what it is worth.
        let word = pass.argument(0).into_owned();
        let host = word
            .split_once("://$")
            .map(|(_, rest)| rest.split(['/', '$']));
        let host = host.and_then(|mut parts| parts.next().map(|name| format!("${{{name}}}")));
        let host = host.filter(|host| !host.contains(['.', ':']));
        return Known {
            proxy_host: match stranger {
                true => Some("${proxy_host}".to_owned()),
                false => host,
            },
            proxy_port: None,
        };
    };
    let default = if address.tls { "443" } else { "80" };
    let (host, port) = match address.host.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && !port.contains(']') => (host, port),
        _ => (&*address.host, default),
    };
    let header = if port == default { host } else { &address.host };
    let unix = address.host.starts_with("unix:");
    let header = if unix { "localhost" } else { header };
    Known {
        proxy_host: Some(header.to_owned()),
        proxy_port: Some(port.to_owned()),
    }
}

/// Where a `proxy_pass` goes whose variables say only what is asked for there.
fn fixed_host(pass: &Directive) -> Option<Address> {
    const TARGETS: &[&str] = &["request_uri", "uri", "document_uri", "is_args", "args"];
    let word = word(pass);
    let (scheme, rest) = word.split_once("://")?;
    let end = rest.find(['/', '$', '?']).unwrap_or(rest.len());
    let (host, after) = rest.split_at(end);
    if let Some(variable) = after.strip_prefix('$') {
        let name = variable.trim_start_matches('{');
        let end = name.find(|next: char| !next.is_ascii_alphanumeric() && next != '_');
        let name = name.get(..end.unwrap_or(name.len()))?;
        TARGETS.contains(&name).then_some(())?;
    }
    match Pass::parse(format!("{scheme}://{host}").as_bytes()) {
        Ok(Pass::Fixed(address)) if !host.is_empty() => Some(address),
        _ => None,
    }
}

/// Where a `proxy_pass` without variables goes.
pub(super) fn address(pass: &Directive) -> Option<Address> {
    match Pass::parse(word(pass).as_bytes()) {
        Ok(Pass::Fixed(address)) => Some(address),
        _ => None,
    }
}

/// A pass as one by HTTP; that of gRPC needs no scheme.
fn word(pass: &Directive) -> String {
    let word = pass.argument(0);
    match word.contains("://") {
        true => word.replacen("grpc", "http", 1),
        false => format!("http://{word}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nginx::tree::{Place, Word};

    fn host(name: &str, to: &str) -> Option<String> {
        let place = Place {
            file: 0,
            line: 1,
            column: 1,
        };
        let word = |text: &str| Word {
            bytes: text.as_bytes().into(),
            place,
        };
        let pass = Directive {
            words: vec![word(name), word(to)],
            end_line: 1,
            close_line: 1,
            block: None,
        };
        known(&pass, false).proxy_host
    }

    #[test]
    fn what_is_passed_to_is_named_with_a_scheme_and_without() {
        for (name, to, said) in [
            ("proxy_pass", "http://backend/x", "backend"),
            ("proxy_pass", "https://backend:443", "backend"),
            (
                "proxy_pass",
                "http://192.0.2.1:8080$request_uri",
                "192.0.2.1:8080",
            ),
            ("proxy_pass", "http://$backend", "${backend}"),
            ("grpc_pass", "grpc://backend:50051", "backend:50051"),
            ("grpc_pass", "192.0.2.1:50051", "192.0.2.1:50051"),
            ("grpc_pass", "backend", "backend"),
        ] {
            assert_eq!(host(name, to).as_deref(), Some(said), "{to}");
        }
    }
}
