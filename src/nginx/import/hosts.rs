//! The words of `server_name`: hosts as hubgate writes them.
//!
//! nginx's `*.name` and `.name` stand for one label or more, so for `**.name`. A server without names has the empty one.

use super::Import;
use super::acme;
use super::draft::{self, Draft};
use crate::nginx::model::Scope;
use crate::nginx::tree::Directive;
use crate::observe::hostname::HOSTNAME;
use crate::types::host::HostPattern;

/// The word for what this machine is called.
const THIS: &str = "$hostname";

/// The names of a server that hubgate can have.
pub(super) fn of_server<'t>(import: &mut Import<'t>, scope: &Scope<'t>) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for directive in scope.own().iter().filter(|own| own.is("server_name")) {
        let mut lost = Vec::new();
        for word in directive.arguments() {
            let mut word = word.text();
            if word == THIS {
                word = HOSTNAME.to_ascii_lowercase().into();
            }
            // As people write a name that nobody has.
            if matches!(&*word, "!@#") {
                continue;
            }
            let (word, both) = match (word.strip_prefix('.'), word.strip_prefix("*.")) {
                (Some(word), _) => (word.to_owned(), true),
                // nginx's star stands for one label or more.
                (None, Some(word)) => (format!("**.{word}"), false),
                (None, None) => (word.into_owned(), false),
            };
            match HostPattern::parse_any(&word) {
                Ok(_) => hosts.push(word.clone()),
                Err(_) => lost.push(format!("`{word}`")),
            }
            hosts.extend(both.then(|| format!("**.{word}")));
        }
        if !lost.is_empty() {
            let lost = lost.join(", ");
            import
                .ledger
                .lost(directive, format!("without {lost}, which is no host"));
        }
    }
    if hosts.is_empty() {
        hosts.push(String::new());
    }
    // nginx shows one certificate for all of them, whatever the server is called: each of hubgate's is of a site's host.
    for host in acme::identifiers(scope) {
        if !hosts.contains(&host) && !is_named(&import.tree.directives, &host) {
            hosts.push(host);
        }
    }
    hosts
}

/// Whether a `server_name` has this word.
fn is_named(directives: &[Directive], host: &str) -> bool {
    directives.iter().any(|own| {
        let words = own.arguments().iter();
        let mut words = words.map(|word| word.text().to_ascii_lowercase());
        (own.is("server_name") && words.any(|word| word == host)) || is_named(own.children(), host)
    })
}

/// The names of a server that are written as `.name`.
pub(super) fn dotted(scope: &Scope<'_>) -> Vec<String> {
    let own = scope.own().iter().filter(|own| own.is("server_name"));
    let words = own.flat_map(|own| own.arguments());
    words
        .filter_map(|word| word.text().strip_prefix('.').map(str::to_owned))
        .collect()
}

/// What nginx calls a server: by its first name, whatever that is.
pub(super) fn said(scope: &Scope<'_>) -> String {
    let mut own = scope.own().iter();
    let first = own.find(|own| own.is("server_name"));
    let first = first.map(|own| own.argument(0)).unwrap_or_default();
    match first.strip_prefix('.') {
        Some(name) => name.to_ascii_lowercase(),
        None if first == THIS => HOSTNAME.to_ascii_lowercase(),
        // An expression is compared as it is.
        None if first.starts_with('~') => first.into_owned(),
        None => first.to_ascii_lowercase(),
    }
}

/// What a site with these hosts is called.
pub(super) fn name(hosts: &[String]) -> String {
    let mut named = hosts.iter().filter(|host| !host.is_empty());
    named.next().cloned().unwrap_or_default()
}

/// Writes the hosts into the table of a site that is called `name`.
pub(super) fn write(hosts: &[String], name: &str, table: &mut Draft, from: Option<&Directive>) {
    let plain = |host: &String| matches!(HostPattern::parse(host), Ok(HostPattern::Exact(_)));
    if !hosts.iter().all(plain) || hosts.first().is_none_or(|first| first != name) {
        table.set("hosts", draft::texts(hosts), from);
    } else if hosts.len() > 1 {
        table.set("aliases", draft::texts(hosts.iter().skip(1)), from);
    }
}
