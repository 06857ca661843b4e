//! Directives of one block that do not go together: the same limit twice, a folder twice, servers that a method cannot have,
//! a certificate without its key, addresses without a port.
//!
//! Asked of a file that has been read whole; the sentences are nginx's. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::HashSet;

use super::addresses::Names;
use super::judge::{Kind, Url, host_of_pass, upstreams};
use super::tree::Directive;

/// The first fault in `block`, at any depth.
pub(super) fn fault(block: &Directive) -> Option<(&Directive, String)> {
    within(block, &upstreams(block))
}

fn within<'t>(
    block: &'t Directive,
    upstreams: &HashSet<String>,
) -> Option<(&'t Directive, String)> {
    limits(block)
        .or_else(|| folders(block))
        .or_else(|| places(block))
        .or_else(|| referers(block))
        .or_else(|| {
            if block.is("upstream") {
                servers(block)
            } else {
                None
            }
        })
        .or_else(|| without_port(block, upstreams))
        .or_else(|| { block.children().iter() }.find_map(|own| within(own, upstreams)))
}

/// The same zone twice.
fn limits(block: &Directive) -> Option<(&Directive, String)> {
    let mut known = HashSet::new();
    { block.children().iter() }.find_map(|own| {
        let zone = match &*own.name() {
            "limit_conn" => own.argument(0).into_owned(),
            "limit_req" => {
                let mut words = own.arguments().iter().map(super::Word::text);
                words.find_map(|word| word.strip_prefix("zone=").map(str::to_owned))?
            }
            _ => return None,
        };
        let again = !known.insert((own.name().into_owned(), zone));
        again.then(|| (own, format!("\"{}\" directive is duplicate", own.name())))
    })
}

/// Hosts that send clients here and are named twice, by all the directives of a block together.
fn referers(block: &Directive) -> Option<(&Directive, String)> {
    let mut names = Names::default();
    let own = { block.children().iter() }.filter(|own| own.is("valid_referers"));
    { own }.find_map(|own| {
        let words = own.arguments().iter().map(super::Word::text);
        let hosts = words.filter(|word| {
            !word.starts_with('~') && !matches!(&**word, "none" | "blocked" | "server_names")
        });
        { hosts }.find_map(|word| {
            let host = word.split('/').next().unwrap_or_default();
            let again = !names.take(&host.to_lowercase());
            again.then(|| (own, format!("conflicting parameter \"{host}\"")))
        })
    })
}

/// `root` and `alias`, in either order.
fn folders(block: &Directive) -> Option<(&Directive, String)> {
    if !block.is("location") {
        return None;
    }
    let mut own = { block.children().iter() }.filter(|own| own.is("root") || own.is("alias"));
    let first = own.next()?;
    let second = own.next()?;
    let (name, earlier) = (second.name(), first.name());
    let text = match name == earlier {
        true => format!("\"{name}\" directive is duplicate"),
        false => {
            format!(
                "\"{name}\" directive is duplicate, \"{earlier}\" directive was specified earlier"
            )
        }
    };
    Some((second, text))
}

/// `proxy_redirect`: `off` beside another one, and `default` where no pass says what it would be.
fn places(block: &Directive) -> Option<(&Directive, String)> {
    let (mut pass, mut off, mut any) = (None, false, false);
    { block.children().iter() }.find_map(|own| {
        if own.is("proxy_pass") {
            pass = Some(own.argument(0).contains('$'));
        }
        if !own.is("proxy_redirect") {
            return None;
        }
        let word = own.argument(0);
        let alone = own.arguments().len() == 1;
        let is_off = alone && (word == "off" || word == "false");
        if off || (is_off && any) {
            return Some((own, "\"proxy_redirect\" directive is duplicate".to_owned()));
        }
        (off, any) = (is_off, true);
        let default = alone && word == "default";
        let text = match pass.filter(|_| default) {
            Some(false) => return None,
            Some(true) => "\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables",
            None if default => "\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive",
            None => return None,
        };
        Some((own, text.to_owned()))
    })
}

/// A server that waits for others to fail, where the method knows none such.
fn servers(upstream: &Directive) -> Option<(&Directive, String)> {
    let mut knows = true;
    { upstream.children().iter() }.find_map(|own| {
        match &*own.name() {
            "ip_hash" | "hash" | "random" => knows = false,
            "least_conn" => knows = true,
            _ => {}
        }
        let waits =
            own.is("server") && own.arguments().iter().any(|word| &*word.bytes == b"backup");
        let text = "balancing method does not support parameter \"backup\"";
        (waits && !knows).then(|| (own, text.to_owned()))
    })
}

/// Where a request goes by a protocol that has no usual port.
fn without_port<'t>(
    block: &'t Directive,
    upstreams: &HashSet<String>,
) -> Option<(&'t Directive, String)> {
    { block.children().iter() }.find_map(|own| {
        if own.is("proxy_pass") && !block.is("server") || own.is("proxy_pass") && has_scheme(own) {
            return None;
        }
        let address = host_of_pass(own)?;
        let url = Url::parse(&address, Kind::Server).ok()?;
        let named = upstreams.contains(&address.to_lowercase());
        let missing = url.host.is_some() && url.port.is_none() && !named;
        missing.then(|| (own, format!("no port in upstream \"{address}\"")))
    })
}

fn has_scheme(pass: &Directive) -> bool {
    pass.argument(0).contains("://")
}
