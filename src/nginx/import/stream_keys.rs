//! What a server of `stream` says besides where its connections come from and go to, as keys of a `[[stream]]`.
//!
//! Inheritance is nginx's. What is not the same for every connection, where hubgate wants it to be, is told as lost.

use super::draft::{self, Draft};
use super::secured;
use super::variables::{self, Known};
use super::{Import, limits, tls};
use crate::config::AddressRule;
use crate::nginx::model::Scope;
use crate::nginx::tree::Directive;
use crate::nginx::value;

/// All but addresses, targets, variables and logs.
pub(super) fn all<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
    stream: &mut Draft,
    (tls, udp): (bool, bool),
) {
    for (name, key) in [
        ("proxy_connect_timeout", "connect_timeout"),
        ("proxy_timeout", "idle_timeout"),
    ] {
        if let Some(time) = scope.time(name).filter(|time| *time > 0) {
            stream.set(key, draft::time(time), scope.one(name));
        }
    }
    access(import, scope, stream);
    limits::of_scope(import, scope, stream);
    bind(import, scope, stream);
    if udp {
        datagrams(import, scope, stream);
        return;
    }
    if !scope.flag("proxy_half_close", false) && stream.get("upstream").is_some() {
        stream.set("half_close", "false", scope.one("proxy_half_close"));
    }
    tries(scope, stream);
    rates(import, scope, stream);
    if scope.flag("proxy_protocol", false) {
        stream.set("send_proxy_protocol", "\"v1\"", scope.one("proxy_protocol"));
    }
    if scope.flag("proxy_ssl", false) {
        stream.set("tls_to_upstream", "true", scope.one("proxy_ssl"));
    }
    if tls {
        certificate(import, scope, stream);
    }
}

/// The variables that `set` gives values.
pub(super) fn set<'t>(import: &mut Import<'t>, scope: &Scope<'t>) -> Option<String> {
    let mut entries: Vec<String> = Vec::new();
    let own: Vec<_> = scope.own().iter().filter(|own| own.is("set")).collect();
    for own in &own {
        let name = own.argument(0).trim_start_matches('$').to_ascii_lowercase();
        if !import.own.contains(&name) {
            import.own.push(name);
        }
    }
    for own in own {
        let name = own.argument(0).trim_start_matches('$').to_ascii_lowercase();
        let Some(word) = own.arguments().get(1) else {
            continue;
        };
        match variables::text(import, &word.bytes, &Known::default()) {
            Ok(text) => {
                let begins = format!("{name} = ");
                entries.retain(|entry| !entry.starts_with(&begins));
                entries.push(begins + &draft::text(&text));
            }
            Err(why) => import.ledger.lost(own, why),
        }
    }
    (!entries.is_empty()).then(|| format!("{{ {} }}", entries.join(", ")))
}

/// What a variable of `set` is worth, where that is always the same.
pub(super) fn fixed(scope: &Scope<'_>, variable: &str) -> Option<String> {
    let mut sets = scope.own().iter().filter(|own| own.is("set")).rev();
    let set = sets.find(|own| own.argument(0).strip_prefix('$') == Some(variable))?;
    let value = set.argument(1);
    (!value.contains('$')).then(|| value.into_owned())
}

/// TLS to the endpoints, as an upstream's `tls`.
pub(super) fn upstream_tls<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
    host: &str,
) -> Option<String> {
    if !scope.flag("proxy_ssl", false) {
        return None;
    }
    Some(secured::tls(import, scope, "proxy", host))
}

fn access(import: &mut Import<'_>, scope: &Scope<'_>, stream: &mut Draft) {
    let rules = scope.all_of(&["allow", "deny"]);
    let mut kept = Vec::new();
    for own in &rules {
        match AddressRule::parse(&format!("{} {}", own.name(), own.argument(0))) {
            Some(rule) => kept.push(rule.to_string()),
            None => {
                let what = "neither an address nor a network: the rule is left out";
                import.ledger.lost(own, what);
            }
        }
    }
    if !kept.is_empty() {
        stream.set("access", draft::texts(kept), rules.first().copied());
    }
}

fn bind(import: &mut Import<'_>, scope: &Scope<'_>, stream: &mut Draft) {
    let Some(own) = scope.one("proxy_bind") else {
        return;
    };
    let word = own.argument(0);
    if own.arguments().len() == 1 && word == "off" {
        return;
    }
    match word.parse::<std::net::IpAddr>() {
        Ok(address) if own.arguments().len() == 1 => {
            stream.set("bind", draft::text(&address.to_string()), Some(own));
        }
        _ => {
            let what = "connections to endpoints come from one address of this machine";
            import.ledger.lost(own, what);
        }
    }
}

fn number(own: &Directive) -> Option<i64> {
    value::number(&own.arguments().first()?.bytes)
}

fn datagrams(import: &mut Import<'_>, scope: &Scope<'_>, stream: &mut Draft) {
    for (name, key, least) in [
        ("proxy_responses", "udp_responses", 0),
        ("proxy_requests", "udp_requests", 1),
    ] {
        if let Some(own) = scope.one(name)
            && let Some(count) = number(own).filter(|count| *count >= least)
        {
            stream.set(key, count.min(1_000_000).to_string(), Some(own));
        }
    }
    for name in ["proxy_upload_rate", "proxy_download_rate", "proxy_protocol"] {
        if let Some(own) = scope
            .one(name)
            .filter(|own| !matches!(&*own.argument(0), "0" | "off"))
        {
            import.ledger.lost(own, "of connections only, not of UDP");
        }
    }
}

fn tries(scope: &Scope<'_>, stream: &mut Draft) {
    if !scope.flag("proxy_next_upstream", true) {
        stream.set("tries", "1", scope.one("proxy_next_upstream"));
    } else if let Some(own) = scope.one("proxy_next_upstream_tries")
        && let Some(most) = number(own).filter(|most| *most > 0)
    {
        stream.set("tries", most.min(1000).to_string(), Some(own));
    }
    let timeout = "proxy_next_upstream_timeout";
    if let Some(time) = scope.time(timeout).filter(|time| *time > 0) {
        stream.set("tries_timeout", draft::time(time), scope.one(timeout));
    }
}

fn rates(import: &mut Import<'_>, scope: &Scope<'_>, stream: &mut Draft) {
    for (name, key) in [
        ("proxy_upload_rate", "upload_rate"),
        ("proxy_download_rate", "download_rate"),
    ] {
        let Some(own) = scope.one(name) else {
            continue;
        };
        let word = own.arguments().first();
        match word.and_then(|word| value::size(&word.bytes)) {
            Some(0) => {}
            Some(rate) => stream.set(key, draft::size(rate), Some(own)),
            None => {
                let Some(word) = word else { continue };
                match variables::text(import, &word.bytes, &Known::default()) {
                    Ok(text) => stream.set(key, draft::text(&text), Some(own)),
                    Err(why) => import.ledger.lost(own, why),
                }
            }
        }
    }
}

/// TLS that is ended at the stream.
fn certificate<'t>(import: &mut Import<'t>, scope: &Scope<'t>, stream: &mut Draft) {
    if let Some((value, from)) = tls::pairs(import, scope, "certificates are files") {
        stream.set("certificate", value, Some(from));
    }
    if let Some(own) = scope.one("ssl_alpn") {
        let names = own.arguments().iter().map(|word| word.text());
        stream.set("alpn", draft::texts(names), Some(own));
    }
    let words = tls::policy(import, scope);
    if !words.is_empty() {
        stream.set("tls", format!("{{ {} }}", words.join(", ")), None);
    }
}

/// Who is believed about the client; nginx takes a header of anybody.
pub(super) fn believed(scope: &Scope<'_>) -> Vec<String> {
    let from = scope.all("set_real_ip_from");
    let named = from.iter().map(|own| own.argument(0).into_owned());
    named.filter(|network| network != "unix:").collect()
}
