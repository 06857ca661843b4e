//! The checked configuration as keys and TOML values, section by section.
//!
//! What `explain` prints is what `diff` compares, so nothing can change without being told. The keys are those of
//! `schema`, which a test checks.

use std::fmt::Display;
use std::path::Path;

use super::action::{RouteAction, Strangers};
use super::connection::{Protocol, ServerName, UpstreamTls};
use super::error_pages::ErrorPages;
use super::field_names::FieldNames;
use super::model::{
    Acme, AcmeAuthority, Admin, CertificateSource, ClientTimeouts, HttpMode, Limits, Listen, Log,
    LogFormat, Paths, Route, Server, Site, Upstream,
};
use super::protection::{Circuit, Protection};
use super::show_access::access;
pub(super) use super::show_access_log::{access_log, events};
use super::show_balancing::balancing;
pub(super) use super::show_balancing::resolver;
use super::show_bodies;
use super::show_client_terms::client;
use super::show_detours::detours;
use super::show_files::{files, media_types};
use super::show_heads;
use super::show_limit::limits as limits_of;
pub(super) use super::show_limit::{concurrency, rate};
use super::show_listener::{listeners, site_listen};
pub(super) use super::show_stream::stream;
pub(super) use super::show_tls::{pairs, tls, tls_policy};
use super::tls::CipherSuite;
use super::why::Why;
use crate::types::amount::{ByteSize, format_duration};
use crate::types::path::PathPattern;

/// A key and its value as TOML.
pub(super) type Entry = (&'static str, String);

pub(super) fn server(server: &Server) -> Vec<Entry> {
    let mut entries = vec![
        ("workers", server.workers.to_string()),
        ("state_dir", path(&server.state_dir)),
        ("trusted_proxies", list(&server.trusted_proxies)),
        ("drain_timeout", duration(server.drain_timeout)),
        ("upgrade_timeout", duration(server.upgrade_timeout)),
        ("reload_on_change", server.reload_on_change.to_string()),
    ];
    let texts = [
        ("user", &server.user),
        ("group", &server.group),
        ("worker_user", &server.worker_user),
        ("worker_group", &server.worker_group),
    ];
    entries.extend(texts.iter().filter_map(|(key, name)| {
        let name = name.as_ref()?;
        Some((*key, format!("{name:?}")))
    }));
    let pid_file = server.pid_file.as_ref();
    entries.extend(pid_file.map(|file| ("pid_file", path(file))));
    entries
}

pub(super) fn listen(listen: &Listen) -> Vec<Entry> {
    vec![
        ("http", listeners(&listen.http)),
        ("https", listeners(&listen.https)),
        (
            "redirect_port",
            listen.redirect_port.unwrap_or(443).to_string(),
        ),
        ("proxy_protocol_from", list(&listen.proxy_protocol.from)),
        (
            "proxy_protocol_optional",
            list(&listen.proxy_protocol.optional),
        ),
        (
            "proxy_protocol_required",
            list(&listen.proxy_protocol.required),
        ),
        (
            "proxy_protocol_from_anybody",
            listen.proxy_protocol.anybody.to_string(),
        ),
        ("h2c", list(&listen.h2c)),
    ]
}

pub(super) fn limits(limits: &Limits) -> Vec<Entry> {
    vec![
        ("connections", limits.connections.to_string()),
        (
            "connections_per_client",
            limits.connections_per_client.to_string(),
        ),
        ("head_size", quoted(limits.head_size)),
        ("head_fields", limits.head_fields.to_string()),
        ("h2_streams", limits.h2_streams.to_string()),
        ("bare_lf", limits.bare_lf.to_string()),
        ("lenient_hosts", limits.lenient_hosts.to_string()),
    ]
}

pub(super) fn timeouts(timeouts: &ClientTimeouts) -> Vec<Entry> {
    vec![
        ("handshake", duration(timeouts.handshake)),
        ("head", duration(timeouts.head)),
        ("keep_alive", duration(timeouts.keep_alive)),
        ("body", duration(timeouts.body)),
        ("write", duration(timeouts.write)),
    ]
}

pub(super) fn log(log: &Log) -> Vec<Entry> {
    let format = match log.format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
        LogFormat::Nginx => "nginx",
    };
    let mut entries = vec![("level", quoted(&log.level)), ("format", quoted(format))];
    entries.extend(log.file.as_ref().map(|file| ("file", path(file))));
    if !log.logs.is_empty() {
        entries.push(("logs", events(&log.logs)));
    }
    entries
}

pub(super) fn error_pages(own: &ErrorPages) -> Vec<Entry> {
    let mut entries = vec![("language", quoted(own.language.code()))];
    entries.extend(own.contact.as_ref().map(|to| ("contact", quoted(to))));
    entries.push(("bare", own.bare.to_string()));
    let pages = own.pages.iter();
    entries.extend(pages.map(|(shown, page)| (shown.key(), path(&page.file))));
    entries
}

pub(super) fn admin(admin: &Admin) -> Vec<Entry> {
    let mut entries = vec![("socket", path(&admin.socket))];
    entries.extend(admin.listen.map(|address| ("listen", quoted(address))));
    entries
}

pub(super) fn why(why: &Why) -> Vec<Entry> {
    vec![
        ("memory", quoted(why.memory)),
        ("sample", why.sample.to_string()),
    ]
}

pub(super) fn acme(acme: &Acme) -> Vec<Entry> {
    match acme.authorities.as_slice() {
        [only] => acme_authority(only),
        several => {
            let tables: Vec<_> = several
                .iter()
                .map(|one| inline(&acme_authority(one)))
                .collect();
            vec![("ca", format!("[{}]", tables.join(", ")))]
        }
    }
}

fn acme_authority(authority: &AcmeAuthority) -> Vec<Entry> {
    let mut entries = vec![
        ("name", quoted(&authority.name)),
        ("directory", quoted(&authority.directory)),
        ("contact", list(&authority.contact)),
        ("challenge", quoted(authority.challenge.as_str())),
    ];
    let file = authority.ca_file.as_ref();
    entries.extend(file.map(|file| ("ca_file", path(file))));
    if let Some(profile) = &authority.profile {
        entries.push(("profile", quoted(profile)));
    }
    let required = authority.profile_required.to_string();
    entries.push(("profile_required", required));
    if let Some(external) = &authority.external_account {
        entries.push(("eab_key_id", quoted(&external.key_id)));
        entries.push(("eab_hmac_file", path(&external.hmac_file)));
    }
    let staging = authority.staging.as_ref();
    entries.extend(staging.map(|url| ("staging", quoted(url))));
    entries
}

pub(super) fn inline(entries: &[Entry]) -> String {
    let entries: Vec<_> = entries
        .iter()
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    format!("{{ {} }}", entries.join(", "))
}

/// A site's own keys, without its routes and its access log.
pub(super) fn site(site: &Site) -> Vec<Entry> {
    let certificate = match &site.certificate {
        CertificateSource::Acme => quoted("acme"),
        CertificateSource::SelfSigned => quoted("self-signed"),
        CertificateSource::None => quoted("none"),
        CertificateSource::Files(files) => pairs(files),
    };
    let http = match site.http {
        HttpMode::Redirect => "redirect",
        HttpMode::Forward => "forward",
        HttpMode::ForwardAll => "forward-all",
    };
    let named = match site.label {
        Some(_) => ("hosts", list(&site.hosts)),
        None => ("aliases", list(site.hosts.get(1..).unwrap_or_default())),
    };
    let mut entries = vec![
        named,
        ("default", site.default.to_string()),
        ("certificate", certificate),
        ("http", quoted(http)),
    ];
    if !site.listen.is_empty() {
        let own: Vec<_> = site.listen.iter().map(site_listen).collect();
        entries.push(("listen", format!("[{}]", own.join(", "))));
    }
    if site.fields != FieldNames::All {
        entries.push(("fields", quoted(site.fields.as_str())));
    }
    if let Paths::Normal { merge_slashes } = site.paths {
        entries.push(("paths", quoted("normal")));
        entries.push(("merge_slashes", merge_slashes.to_string()));
    }
    entries.extend(
        site.redirect_status
            .map(|status| ("redirect_status", status.to_string())),
    );
    entries.extend(
        site.challenge_fallback
            .as_ref()
            .map(|name| ("challenge_fallback", quoted(name))),
    );
    entries.extend(
        site.server_name
            .as_ref()
            .map(|name| ("server_name", quoted(name))),
    );
    entries.extend(show_heads::of_site(&site.request, &site.response));
    entries.extend(show_heads::unrouted(site));
    entries.extend(show_bodies::of_site(site));
    entries.extend(site.client.as_deref().map(client));
    entries.extend(site.limits.as_deref().map(limits_of));
    entries.extend(site.access.as_deref().map(access));
    entries.extend(detours(&site.detours));
    entries
}

/// A route's own keys, without its access log.
pub(super) fn route(route: &Route) -> Vec<Entry> {
    let mut entries = vec![match &route.path {
        PathPattern::Prefix(path) => ("path", quoted(path)),
        PathPattern::Exact(path) => ("exact", quoted(path)),
        PathPattern::Begins(path) => ("begins", quoted(path)),
        PathPattern::Regex(regex) => ("regex", quoted(regex)),
        PathPattern::Named(name) => ("name", quoted(name)),
    }];
    for (key, is) in [("final", route.is_final), ("internal", route.internal)] {
        entries.extend(is.then(|| (key, is.to_string())));
    }
    entries.push(action(&route.action));
    if let RouteAction::Choose(_, strangers @ (Strangers::Addresses | Strangers::Names)) =
        &route.action
    {
        entries.push(("strangers", quoted(strangers.as_str())));
    }
    entries.extend(detours(&route.detours));
    entries.extend(route.preset.map(|preset| ("preset", quoted(preset.name()))));
    entries.extend(
        route
            .rewrite_prefix
            .as_ref()
            .map(|prefix| ("rewrite_prefix", quoted(prefix))),
    );
    entries.extend(show_heads::of_route(&route.request, &route.response));
    entries.extend(show_bodies::of_route(route));
    entries.extend(preset_keys(route.body_limit, &route.timeouts));
    let total = route.timeouts.total;
    entries.extend(total.map(|total| ("total_timeout", duration(total))));
    let send = route.timeouts.send;
    entries.extend(send.map(|send| ("send_timeout", duration(send))));
    entries.extend(route.client.as_deref().map(client));
    entries.extend(route.limits.as_deref().map(limits_of));
    entries.extend(route.access.as_deref().map(access));
    entries
}

pub(super) fn action(action: &RouteAction) -> Entry {
    match action {
        RouteAction::Forward(upstream) => ("upstream", quoted(upstream)),
        RouteAction::Choose(name, _) => ("upstream", quoted(name)),
        RouteAction::Respond(respond) => {
            let (status, body) = (respond.status, quoted(&respond.body));
            let kind = quoted(&respond.kind);
            let mut table = format!("status = {status}, body = {body}, type = {kind}");
            if respond.by_extension {
                table += ", by_extension = true";
            }
            if let Some(types) = &respond.types {
                table += &format!(", types = {}", media_types(types));
            }
            ("respond", format!("{{ {table} }}"))
        }
        RouteAction::Redirect(redirect) => {
            let (to, status) = (quoted(&redirect.to), redirect.status);
            ("redirect", format!("{{ to = {to}, status = {status} }}"))
        }
        RouteAction::Own(own) => ("answer", quoted(own.as_str())),
        RouteAction::Files(own) => ("files", inline(&files(own))),
    }
}

/// The keys of a route that a preset can set.
pub(super) fn preset_keys(
    body_limit: Option<ByteSize>,
    timeouts: &super::model::RouteTimeouts,
) -> Vec<Entry> {
    vec![
        (
            "body_limit",
            body_limit.map_or_else(|| quoted("none"), quoted),
        ),
        ("connect_timeout", duration(timeouts.connect)),
        ("tls_timeout", duration(timeouts.tls)),
        ("response_timeout", duration(timeouts.response)),
        ("idle_timeout", duration(timeouts.idle)),
        (
            "tunnel_handshake_timeout",
            duration(timeouts.tunnel_handshake),
        ),
        ("tunnel_idle_timeout", duration(timeouts.tunnel_idle)),
    ]
}

pub(super) fn upstream(upstream: &Upstream) -> Vec<Entry> {
    let mut entries = balancing(upstream);
    entries.extend([
        ("keep_alive", upstream.keep_alive.to_string()),
        ("keep_alive_idle", duration(upstream.keep_alive_idle)),
    ]);
    let requests = upstream.keep_alive_requests;
    entries.extend(requests.map(|most| ("keep_alive_requests", most.to_string())));
    let age = upstream.keep_alive_age;
    entries.extend(age.map(|most| ("keep_alive_age", duration(most))));
    let protocol = match (upstream.protocol, &upstream.tls) {
        (Protocol::Http1, _) => "http1",
        (Protocol::Http2, Some(_)) => "h2",
        (Protocol::Http2, None) => "h2c",
    };
    entries.push(("protocol", quoted(protocol)));
    let tls = upstream.tls.as_ref();
    entries.extend(tls.map(|tls| ("tls", inline(&upstream_tls(tls)))));
    entries.extend(protection(&upstream.protection));
    entries
}

fn protection(protection: &Protection) -> Vec<Entry> {
    let (retries, limits) = (protection.retries, protection.limits);
    let on: Vec<_> = retries.on.words().collect();
    let mut entries = vec![
        ("retry_on", list(&on)),
        ("retry_budget", percent(retries.budget)),
        ("retry_deadline", duration(retries.deadline)),
    ];
    let tries = retries.tries;
    entries.extend(tries.map(|tries| ("retry_tries", tries.to_string())));
    let most = limits.connections;
    entries.extend(most.map(|most| ("max_connections", most.to_string())));
    let most = limits.in_flight;
    entries.extend(most.map(|most| ("max_in_flight", most.to_string())));
    entries.push(("queue", limits.queue.to_string()));
    entries.push(("queue_timeout", duration(limits.queue_timeout)));
    let circuit = protection.circuit.as_ref();
    entries.extend(circuit.map(|one| ("circuit", inline(&circuit_keys(one)))));
    entries
}

fn circuit_keys(circuit: &Circuit) -> Vec<Entry> {
    vec![
        ("failure_rate", percent(circuit.failure_rate)),
        ("window", duration(circuit.window)),
        ("min_requests", circuit.min_requests.to_string()),
        ("open_for", duration(circuit.open_for)),
        ("trials", circuit.trials.to_string()),
    ]
}

fn upstream_tls(tls: &UpstreamTls) -> Vec<Entry> {
    let name = match &tls.server_name {
        ServerName::Fixed(host) => quoted(host),
        ServerName::Endpoint => quoted("endpoint"),
    };
    let mut entries = vec![("server_name", name)];
    entries.extend(tls.ca_file.as_ref().map(|file| ("ca_file", path(file))));
    if let Some(client) = &tls.client {
        entries.push(("client_certificate", path(&client.chain)));
        entries.push(("client_key", path(&client.key)));
        let passwords = client.passwords.as_deref();
        entries.extend(passwords.map(|file| ("client_passwords", path(file))));
    }
    entries.push(("verify", tls.verify.to_string()));
    if !tls.says_name {
        entries.push(("sni", "false".to_owned()));
    }
    entries.extend(tls.depth.map(|depth| ("depth", depth.to_string())));
    if !tls.crl_files.is_empty() {
        let files = tls.crl_files.iter().map(|file| file.display());
        entries.push(("crl_files", list(&files.collect::<Vec<_>>())));
    }
    let version = tls.version;
    entries.extend(version.map(|version| ("version", quoted(version.as_str()))));
    if !tls.cipher_suites.is_empty() {
        let suites = tls.cipher_suites.iter().map(|one| CipherSuite::name(*one));
        entries.push(("cipher_suites", list(&suites.collect::<Vec<_>>())));
    }
    entries
}

pub(super) fn percent(percent: u8) -> String {
    quoted(format_args!("{percent}%"))
}

/// A value as a TOML string in double quotes.
pub(super) fn quoted(value: impl Display) -> String {
    let mut out = String::from("\"");
    for c in value.to_string().chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

pub(super) fn list<T: Display>(values: &[T]) -> String {
    let values: Vec<_> = values.iter().map(quoted).collect();
    format!("[{}]", values.join(", "))
}

pub(super) fn path(path: &Path) -> String {
    quoted(path.display())
}

pub(super) fn duration(duration: std::time::Duration) -> String {
    quoted(format_duration(duration))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_quoted_text_is_the_same_text_in_toml(text in "\\PC*|[\\x00-\\x20\"\\\\]{0,9}") {
            let document = format!("key = {}", quoted(&text));
            let table: toml::Table = document.parse().unwrap();
            prop_assert_eq!(table["key"].as_str(), Some(text.as_str()));
        }
    }
}
