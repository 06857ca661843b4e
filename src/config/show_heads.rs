//! What changes in heads, as keys and TOML values.
//!
//! The counterpart of `schema::heads`: what is printed here is read there.

use super::heads::{
    AddField, CookieChanges, Expires, Matcher, Replacement, RequestHeads, ResponseHeads, SetField,
};
use super::model::Site;
use super::show::{Entry, list, quoted};

/// The keys of a route.
pub(super) fn of_route(request: &RequestHeads, response: &ResponseHeads) -> Vec<Entry> {
    let mut entries = Vec::new();
    let target = request.target.as_ref();
    entries.extend(target.map(|text| ("target", quoted(text))));
    if !request.forwarded {
        entries.push(("forwarded", "false".to_owned()));
    }
    let method = request.method.as_ref();
    entries.extend(method.map(|text| ("method", quoted(text))));
    if !request.passes {
        entries.push(("client_headers", "false".to_owned()));
    }
    let body = request.body.as_ref();
    entries.extend(body.map(|text| ("body", quoted(text))));
    let bind = request.bind.as_ref();
    entries.extend(bind.map(|text| ("bind", quoted(text))));
    if response.accel {
        entries.push(("accel", "true".to_owned()));
    }
    entries.extend(of_site(&request.fields, response));
    if !response.locations.is_empty() {
        entries.push(("location_headers", replacements(&response.locations)));
    }
    if response.cookies != CookieChanges::default() {
        entries.push(("cookies", cookies(&response.cookies)));
    }
    let expires = response.expires.as_ref();
    entries.extend(expires.map(|expires| ("expires", quoted(word(expires)))));
    entries
}

/// The keys of a site.
pub(super) fn of_site(request: &[SetField], response: &ResponseHeads) -> Vec<Entry> {
    let mut entries = Vec::new();
    if !request.is_empty() {
        let fields = request.iter();
        let fields = fields.map(|one| format!("{} = {}", quoted(&one.written), quoted(&one.value)));
        let fields: Vec<_> = fields.collect();
        entries.push(("request_headers", format!("{{ {} }}", fields.join(", "))));
    }
    if !response.add.is_empty() {
        let fields: Vec<_> = response.add.iter().map(added).collect();
        entries.push(("response_headers", format!("[{}]", fields.join(", "))));
    }
    if !response.hide.is_empty() {
        entries.push(("hide_headers", list(&response.hide)));
    }
    let base = response.base.as_ref();
    entries.extend(base.map(|text| ("location_base", quoted(text))));
    entries
}

/// What answers of a site get that no route gives.
pub(super) fn unrouted(site: &Site) -> Option<Entry> {
    let (all, known) = (site.unrouted.as_ref()?, site.response.add.len());
    let fields: Vec<_> = all.add.iter().skip(known).map(added).collect();
    Some(("unrouted_headers", format!("[{}]", fields.join(", "))))
}

fn added(field: &AddField) -> String {
    let how = if field.replaces { "set" } else { "add" };
    let (name, value) = (quoted(&field.written), quoted(&field.value));
    let always = field.always;
    format!("{{ {how} = {name}, value = {value}, always = {always} }}")
}

fn pair(from: &str, to: &str) -> String {
    format!("[{from}, {to}]")
}

fn replacements(all: &[Replacement]) -> String {
    let all = all.iter();
    let all: Vec<_> = all
        .map(|one| pair(&matcher(&one.from), &quoted(&one.to)))
        .collect();
    format!("[{}]", all.join(", "))
}

fn matcher(matcher: &Matcher) -> String {
    match matcher {
        Matcher::Text(text) => quoted(text),
        Matcher::Pattern(pattern) => {
            let mark = if pattern.ignores_case() { "~*" } else { "~" };
            quoted(format_args!("{mark}{}", pattern.as_str()))
        }
    }
}

fn cookies(cookies: &CookieChanges) -> String {
    let flags: Vec<_> = cookies
        .flags
        .iter()
        .map(|(name, flags)| {
            let words: Vec<_> = flags.iter().map(|flag| flag.word()).collect();
            pair(&matcher(name), &quoted(words.join(" ")))
        })
        .collect();
    format!(
        "{{ domain = {}, path = {}, flags = [{}] }}",
        replacements(&cookies.domain),
        replacements(&cookies.path),
        flags.join(", ")
    )
}

fn word(expires: &Expires) -> String {
    match expires {
        Expires::Off => "off".to_owned(),
        Expires::Epoch => "epoch".to_owned(),
        Expires::Max => "max".to_owned(),
        Expires::After(seconds) => format!("{seconds}s"),
        Expires::Modified(seconds) => format!("modified {seconds}s"),
        Expires::Daily(seconds) => format!("@{seconds}s"),
        Expires::By(text) => text.to_string(),
    }
}
