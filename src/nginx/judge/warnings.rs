//! What nginx warns of in a directive, and takes all the same.
//!
//! The sentences are nginx's; where they are told is `read`'s affair. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use super::url::dotted;
use super::words;
use crate::nginx::table::Context;
use crate::nginx::tree::Directive;

/// Directives of HTTP/2 that others have taken the place of.
const OBSOLETE: &[(&str, &str)] = &[
    ("http2_idle_timeout", "keepalive_timeout"),
    ("http2_max_field_size", "large_client_header_buffers"),
    ("http2_max_header_size", "large_client_header_buffers"),
    ("http2_max_requests", "keepalive_requests"),
    ("http2_recv_timeout", "client_header_timeout"),
];

/// What is warned of, in its order.
pub(in crate::nginx) fn of(directive: &Directive, context: Context) -> Vec<String> {
    let name = directive.name();
    if let Some((_, instead)) = OBSOLETE.iter().find(|(own, _)| *own == name) {
        return vec![format!(
            "the \"{name}\" directive is obsolete, use the \"{instead}\" directive instead"
        )];
    }
    let all = || directive.arguments().iter().map(|word| word.text());
    match &*name {
        "ssl" if matches!(context, Context::Http | Context::Server) => vec![
            "the \"ssl\" directive is deprecated, use the \"listen ... ssl\" directive instead"
                .to_owned(),
        ],
        "server_name" => {
            let suspicious = all().filter(|word| word.contains('/'));
            let told =
                suspicious.map(|word| format!("server name \"{word}\" has suspicious symbols"));
            told.collect()
        }
        "listen" if context == Context::Server => { all() }
            .filter(|word| word.starts_with("accept_filter="))
            .map(|word| {
                format!("accept filters \"{word}\" are not supported on this platform, ignored")
            })
            .collect(),
        "proxy_upstream_buffer" | "proxy_downstream_buffer" => vec![format!(
            "the \"{name}\" directive is deprecated, use the \"proxy_buffer_size\" directive instead"
        )],
        _ if name.ends_with("send_lowat") => {
            vec![format!("\"{name}\" is not supported, ignored")]
        }
        "allow" | "deny" | "set_real_ip_from" | "debug_connection" => { all() }
            .take(1)
            .filter(|word| has_low_bits(word))
            .map(|word| format!("low address bits of {word} are meaningless"))
            .collect(),
        _ if name.ends_with("_types") && !name.starts_with("xslt") => {
            let mut known = vec!["text/html".to_owned()];
            let mut told = Vec::new();
            for word in all().filter(|word| *word != "*") {
                let word = word.to_lowercase();
                match known.contains(&word) {
                    true => told.push(format!("duplicate MIME type \"{word}\"")),
                    false => known.push(word),
                }
            }
            told
        }
        _ => words::twice(directive, context),
    }
}

/// An address whose bits behind the prefix are not all zero.
pub(super) fn has_low_bits(word: &str) -> bool {
    let Some((address, length)) = word.split_once('/') else {
        return false;
    };
    let Ok(length) = length.parse::<u32>() else {
        return false;
    };
    let address = dotted(address).map(IpAddr::V4);
    let six = || {
        word.split('/')
            .next()
            .and_then(|own| own.parse::<Ipv6Addr>().ok())
    };
    match address.or_else(|| six().map(IpAddr::V6)) {
        Some(IpAddr::V4(own)) => u32::from(own).checked_shl(length).unwrap_or(0) != 0,
        Some(IpAddr::V6(own)) => u128::from(own).checked_shl(length).unwrap_or(0) != 0,
        None => false,
    }
}

/// The same of a table's rows.
pub(in crate::nginx) fn of_rows(table: &Directive) -> Vec<(&Directive, String)> {
    let mut told = Vec::new();
    let rows = table.children().iter();
    if table.is("types") {
        let mut known: HashMap<String, String> = HashMap::new();
        for row in rows {
            for word in row.arguments() {
                let (extension, kind) = (word.text().to_lowercase(), row.name().into_owned());
                if let Some(old) = known.insert(extension.clone(), kind.clone()) {
                    told.push((row, format!(
                        "duplicate extension \"{extension}\", content type: \"{kind}\", previous content type: \"{old}\""
                    )));
                }
            }
        }
    } else if table.is("geo") {
        told.extend(super::geo::table(table).warnings);
    }
    told
}

/// An upstream that says twice how it balances.
pub(in crate::nginx) fn of_upstream(upstream: &Directive) -> Vec<(&Directive, String)> {
    const METHODS: &[&str] = &["ip_hash", "least_conn", "hash", "random"];
    let mut said = false;
    let mut told = Vec::new();
    for own in upstream.children() {
        let method = METHODS.iter().any(|name| own.is(name));
        if method && said {
            told.push((own, "load balancing method redefined".to_owned()));
        }
        said |= method || own.is("keepalive");
    }
    told
}
