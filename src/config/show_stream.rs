//! A stream's keys as TOML: what `explain` prints and `diff` compares of it.
//!
//! What is printed loads to an equal value. Its access log is `show`'s.

use super::action::Strangers;
use super::show::{Entry, duration, inline, list, pairs, quoted, tls_policy};
use super::show_limit::limits;
use super::show_listener::listener;
use super::stream::{ProxyVersion, Stream, StreamAction, StreamMore};

/// A stream's own keys, without its access log.
pub(super) fn stream(stream: &Stream) -> Vec<Entry> {
    let version = stream.send_proxy_protocol;
    let protocol = if stream.udp.is_some() { "udp" } else { "tcp" };
    let mut entries = vec![
        ("listen", listener(&stream.listen)),
        ("protocol", quoted(protocol)),
        ("sni", list(&stream.sni)),
        match &stream.action {
            StreamAction::Forward(name) => ("upstream", quoted(name)),
            StreamAction::Choose(text, _) => ("upstream", quoted(text)),
            StreamAction::Respond(text) => ("respond", quoted(text)),
        },
        ("connect_timeout", duration(stream.connect)),
        ("idle_timeout", duration(stream.idle)),
        (
            "send_proxy_protocol",
            quoted(version.map_or("off", ProxyVersion::as_str)),
        ),
        (
            "proxy_protocol_fields",
            list(&stream.proxy_fields.words().collect::<Vec<_>>()),
        ),
    ];
    if let StreamAction::Choose(_, strangers) = &stream.action
        && *strangers != Strangers::None
    {
        entries.push(("strangers", quoted(strangers.as_str())));
    }
    if let Some(udp) = &stream.udp {
        entries.push(("udp_sessions", udp.sessions.to_string()));
        let responses = udp.responses.map(|count| count.to_string());
        entries.extend(responses.map(|count| ("udp_responses", count)));
        let requests = udp.requests.map(|count| count.to_string());
        entries.extend(requests.map(|count| ("udp_requests", count)));
    }
    entries.extend(stream.more.iter().flat_map(|more| rest(more)));
    entries
}

fn rest(more: &StreamMore) -> Vec<Entry> {
    let mut entries = Vec::new();
    if !more.set.is_empty() {
        let set = more.set.iter();
        let set: Vec<_> = set
            .map(|(name, text)| format!("{name} = {}", quoted(text)))
            .collect();
        entries.push(("set", format!("{{ {} }}", set.join(", "))));
    }
    if !more.access.is_empty() {
        entries.push(("access", list(&more.access)));
    }
    entries.extend(more.limits.as_deref().map(limits));
    for (key, rate) in [
        ("upload_rate", &more.upload),
        ("download_rate", &more.download),
    ] {
        entries.extend(rate.as_ref().map(|rate| (key, quoted(rate))));
    }
    if let Some(tls) = &more.tls {
        entries.push(("certificate", pairs(&tls.pairs)));
        entries.push(("alpn", list(&tls.alpn)));
        entries.push(("tls", inline(&tls_policy(&tls.policy))));
    }
    if more.tls_to_upstream {
        entries.push(("tls_to_upstream", "true".to_owned()));
    }
    entries.extend(more.bind.map(|address| ("bind", quoted(address))));
    entries.extend(more.tries.map(|most| ("tries", most.to_string())));
    let time = more.tries_time.map(duration);
    entries.extend(time.map(|time| ("tries_timeout", time)));
    if more.blind {
        entries.push(("preread", "false".to_owned()));
    }
    if more.ends_with_endpoint {
        entries.push(("half_close", "false".to_owned()));
    }
    entries
}
