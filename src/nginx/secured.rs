//! TLS that is asked for and has nothing to show: `listen .. ssl` and `ssl on` without a certificate or its key.
//!
//! Told where it is asked for. Asked of a block that has been read whole; the sentences are nginx's. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::HashMap;

use super::model::Scope;
use super::table::Context;
use super::tree::Directive;

const OF_LISTEN: &str = "for the \"listen ... ssl\" directive";

/// The first such server, or the directive that asks for it.
pub(super) fn fault(block: &Directive) -> Option<(&Directive, String)> {
    match block.is("stream") {
        true => streams(block),
        false => switched(block).or_else(|| certificates(block.children())),
    }
}

fn says_ssl(listen: &&Directive) -> bool {
    listen.arguments().iter().any(|word| &*word.bytes == b"ssl")
}

/// Servers of `stream`: each shows what it has itself.
fn streams(block: &Directive) -> Option<(&Directive, String)> {
    let outermost = Scope::outermost(Context::Stream, block.children());
    let mut servers = block.children().iter().filter(|own| own.is("server"));
    servers.find_map(|server| {
        let listen = { server.children().iter() }.filter(|own| own.is("listen"));
        let listen = { listen }.rfind(says_ssl)?;
        let scope = outermost.inner(Context::StreamServer, server.children());
        let lacking = lacking(&scope)?;
        Some((listen, format!("no \"{lacking}\" is defined {OF_LISTEN}")))
    })
}

/// `ssl on`, of a server or of all.
fn switched(block: &Directive) -> Option<(&Directive, String)> {
    let outermost = Scope::outermost(Context::Http, block.children());
    let mut servers = block.children().iter().filter(|own| own.is("server"));
    servers.find_map(|server| {
        let scope = outermost.inner(Context::Server, server.children());
        let on = scope.one("ssl").filter(|_| scope.flag("ssl", false))?;
        let lacking = lacking(&scope)?;
        let text = format!("no \"{lacking}\" is defined for the \"ssl\" directive");
        Some((on, text))
    })
}

fn lacking(scope: &Scope<'_>) -> Option<&'static str> {
    let mut needed = ["ssl_certificate", "ssl_certificate_key"].into_iter();
    needed.find(|name| scope.one(name).is_none())
}

/// Addresses of TLS whose default server has nothing to show; where that one rejects all, any of the others.
fn certificates(block: &[Directive]) -> Option<(&Directive, String)> {
    let has = |own: &[Directive], name: &str| own.iter().any(|own| own.is(name));
    let rejects = |own: &[Directive]| {
        let mut said = own.iter().filter(|own| own.is("ssl_reject_handshake"));
        said.any(|own| own.argument(0).eq_ignore_ascii_case("on"))
    };
    if has(block, "ssl_certificate") || rejects(block) {
        return None;
    }
    let mut servers: HashMap<String, Vec<(&Directive, bool)>> = HashMap::new();
    let mut tls: Vec<String> = Vec::new();
    for server in block.iter().filter(|own| own.is("server")) {
        for listen in server.children().iter().filter(|own| own.is("listen")) {
            let address = listen.argument(0).into_owned();
            let says = |word: &str| {
                let mut words = listen.arguments().iter();
                words.any(|own| &*own.bytes == word.as_bytes())
            };
            if says("ssl") && !tls.contains(&address) {
                tls.push(address.clone());
            }
            let default = says("default_server") || says("default");
            servers.entry(address).or_default().push((server, default));
        }
    }
    let text = "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive";
    tls.iter().find_map(|address| {
        let all = servers.get(address)?;
        let default = all.iter().find(|(_, default)| *default).or(all.first())?.0;
        let shows = |own: &Directive| has(own.children(), "ssl_certificate");
        let lacks = match shows(default) {
            true => None,
            false if !rejects(default.children()) => Some(default),
            false => { all.iter().map(|(own, _)| *own) }
                .find(|own| !shows(own) && !rejects(own.children())),
        };
        lacks.map(|own| (own, text.to_owned()))
    })
}
