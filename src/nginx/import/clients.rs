//! How long clients are waited for, and how their connections are kept and ended: `client` of sites and routes.
//!
//! What `http` says of times is `[timeouts]` already, so a site says what is other; a location that says anything has all
//! of it, as it inherits it.

use super::Import;
use super::draft::{self, Draft};
use super::settings::streams;
use crate::nginx::model::Scope;
use crate::nginx::table::Context;
use crate::nginx::tree::Directive;
use crate::nginx::value;

/// What `client` of a route is made of.
const WORDS: &[&str] = &[
    "client_body_timeout",
    "keepalive_disable",
    "keepalive_requests",
    "keepalive_time",
    "keepalive_timeout",
    "lingering_close",
    "lingering_time",
    "lingering_timeout",
    "reset_timedout_connection",
    "send_timeout",
];

/// What a client has sent of a request before it is known whose it is.
const HEAD_BUFFERS: &[&str] = &["client_header_buffer_size", "large_client_header_buffers"];

/// A key, what it is, and where that was said.
type Said<'t> = (&'static str, String, &'t Directive);

/// Sets `client` of a site.
pub(super) fn of_site<'t>(import: &Import<'t>, scope: &Scope<'t>, table: &mut Draft) {
    let of_http = |key: &str, value: &str| {
        let mut times = import
            .tables
            .iter()
            .filter(|own| own.header == "[timeouts]");
        times.any(|own| own.get(key) == Some(value))
    };
    let mut said = common(scope);
    said.extend(time(scope, "client_header_timeout", "head"));
    said.retain(|(key, value, _)| !of_http(key, value));
    // Where nothing is said nginx's own bounds, 4 buffers of 8 KiB, are not taken: a hub's cookies grow beyond them.
    if let Some(own) = scope.all_of(HEAD_BUFFERS).first() {
        said.push(("head_buffers", buffers(scope), own));
    }
    if let Some(own) = scope.all_within("http2_max_concurrent_streams").first() {
        said.push(("h2_streams", streams(own), own));
    }
    if import.asked.habits.is_some()
        && let Some((_, _, own)) = said.first()
        && !said.iter().any(|(key, _, _)| *key == "not_kept")
    {
        said.push(("not_kept", "[\"msie6\"]".to_owned(), own));
    }
    write(&said, table);
}

/// Sets `client` of a route.
pub(super) fn of_scope(scope: &Scope<'_>, route: &mut Draft) {
    let says = |kind| scope.says_within(kind, WORDS);
    if says(Context::Location) || says(Context::LocationIf) {
        write(&common(scope), route);
    }
}

fn write(said: &[Said<'_>], table: &mut Draft) {
    let Some((_, _, from)) = said.first() else {
        return;
    };
    let words: Vec<_> = said
        .iter()
        .map(|(key, value, _)| format!("{key} = {value}"))
        .collect();
    table.set("client", format!("{{ {} }}", words.join(", ")), Some(from));
}

/// What locations may say.
fn common<'t>(scope: &Scope<'t>) -> Vec<Said<'t>> {
    let mut said = Vec::new();
    if let Some(own) = scope.one("keepalive_timeout") {
        let kept = scope.time("keepalive_timeout").unwrap_or_default();
        said.push(("keep_alive", draft::time(kept), own));
    }
    // nginx inherits its two words one by one.
    let mut told = scope.outward("keepalive_timeout");
    if let Some((own, told)) = told.find_map(|own| Some((own, own.arguments().get(1)?))) {
        let seconds = value::seconds(&told.bytes).unwrap_or(0);
        said.push(("told", draft::time(seconds * 1000), own));
    }
    if let Some(own) = scope.one("keepalive_requests") {
        let most = own.arguments().first();
        let most = most.and_then(|word| value::number(&word.bytes));
        said.push(("requests", most.unwrap_or(1000).max(1).to_string(), own));
    }
    said.extend(time(scope, "keepalive_time", "age"));
    if let Some(own) = scope.one("keepalive_disable") {
        let words = own.arguments().iter().map(|word| word.text());
        let words = words.filter(|word| *word != "none");
        said.push(("not_kept", draft::texts(words), own));
    }
    said.extend(time(scope, "client_body_timeout", "body"));
    said.extend(time(scope, "send_timeout", "write"));
    if let Some(own) = scope.one("lingering_close") {
        let word = match &*own.argument(0) {
            "off" => "never",
            "always" => "always",
            _ => "needed",
        };
        said.push(("linger", draft::text(word), own));
    }
    said.extend(time(scope, "lingering_time", "linger_time"));
    said.extend(time(scope, "lingering_timeout", "linger_idle"));
    if let Some(own) = scope.one("reset_timedout_connection") {
        let on = scope.flag("reset_timedout_connection", false);
        said.push(("reset", on.to_string(), own));
    }
    said
}

/// A time above zero.
fn time<'t>(scope: &Scope<'t>, name: &str, key: &'static str) -> Option<Said<'t>> {
    let time = scope.time(name).filter(|time| *time > 0)?;
    Some((key, draft::time(time), scope.one(name)?))
}

/// nginx's own sizes where none is said.
fn buffers(scope: &Scope<'_>) -> String {
    let bound = |bytes: i64| bytes.clamp(1, 1 << 20);
    let first = scope.size("client_header_buffer_size").unwrap_or(1024);
    let words = scope.one("large_client_header_buffers");
    let words = words.map_or(&[][..], Directive::arguments);
    let (more, size) = match words {
        [more, size] => (value::number(&more.bytes), value::size(&size.bytes)),
        _ => (None, None),
    };
    format!(
        "{{ first = {}, more = {}, size = {} }}",
        draft::size(bound(first)),
        more.unwrap_or(4).clamp(1, 1024),
        draft::size(bound(size.unwrap_or(8192)))
    )
}
