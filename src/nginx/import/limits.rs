//! `limit_req`, `limit_conn` and `limit_rate` as `[rate.NAME]`, `[concurrency.NAME]` and a route's `limits`.
//!
//! A zone's size becomes a number of keys: nginx takes 128 bytes for one that is counted by rate, 64 for one that is
//! counted at once. What counts where is nginx's inheritance.

use super::Import;
use super::draft::{self, Draft};
use super::upstream::quoted;
use super::variables::{self, Known};
use crate::config::Rate;
use crate::nginx::model::Scope;
use crate::nginx::tree::Directive;
use crate::nginx::value;

/// A status nginx gives where none is said.
const STATUS: &str = "503";

/// `limit_req_zone` and `limit_conn_zone` of `http` or `stream`.
pub(super) fn zones<'t>(import: &mut Import<'t>, http: &'t [Directive]) {
    for own in http {
        let (table, bytes) = match &*own.name() {
            "limit_req_zone" => ("rate", 128),
            "limit_conn_zone" => ("concurrency", 64),
            _ => continue,
        };
        let key = own.argument(0).into_owned();
        let word = |name: &str| {
            let mut words = own.arguments().iter().map(|word| word.text().into_owned());
            words.find_map(|word| Some(word.strip_prefix(name)?.to_owned()))
        };
        let zone = word("zone=").unwrap_or_default();
        let (name, size) = zone.split_once(':').unwrap_or((&zone, "10m"));
        let Ok(text) = variables::text(import, key.as_bytes(), &Known::default()) else {
            let what =
                format!("hubgate does not know what `{key}` stands for: nothing is counted by it");
            import.ledger.lost(own, what);
            continue;
        };
        let mut draft = Draft::new(format!("[{table}.{}]", quoted(name)), Some(own));
        draft.set("key", draft::text(&text), None);
        if let Some(rate) = word("rate=") {
            if Rate::parse(&rate).is_none() {
                import.ledger.lost(own, format!("`{rate}` is no rate"));
                continue;
            }
            draft.set("rate", draft::text(&rate), None);
        }
        if import.zones.contains(&draft.header) {
            let what =
                format!("`{name}` of `http` and of `stream` would be one: name it otherwise");
            import.ledger.lost(own, what);
            continue;
        }
        let keys = value::size(size.as_bytes()).unwrap_or(10 << 20) / bytes;
        draft.set("keys", keys.clamp(1, 10_000_000).to_string(), None);
        import
            .ledger
            .carried(own, format!("`[{table}.{}]`", quoted(name)));
        import.zones.insert(draft.header.clone());
        import.tables.push(draft);
    }
}

/// What a block limits, as a key of its route.
pub(super) fn of_scope(import: &mut Import<'_>, scope: &Scope<'_>, route: &mut Draft) {
    let rates = scope.all("limit_req");
    let concurrency = scope.all("limit_conn");
    let first = |name: &str, default: &str| {
        let own = scope.one(name).map(|own| own.argument(0).into_owned());
        own.unwrap_or_else(|| default.to_owned())
    };
    let family = if rates.is_empty() {
        "limit_conn"
    } else {
        "limit_req"
    };
    let said = |what: &str, default: &str| first(&format!("{family}_{what}"), default);
    let (status, log) = (said("status", STATUS), said("log_level", "error"));
    let dry_run = said("dry_run", "off");
    let mut words = Vec::new();
    let kept: Vec<_> = rates.iter().filter_map(|own| rate(import, own)).collect();
    if !kept.is_empty() {
        words.push(format!("rates = [{}]", kept.join(", ")));
    }
    let other = |what: &str, default: &str, as_all: &str, key: &str| {
        let own = first(&format!("limit_conn_{what}"), default);
        match own == as_all {
            true => String::new(),
            false => format!(", {key} = {}", said_as(&own)),
        }
    };
    let others = [
        other("status", STATUS, &status, "status"),
        other("log_level", "error", &log, "log"),
        other("dry_run", "off", &dry_run, "dry_run"),
    ]
    .concat();
    let kept = concurrency.iter();
    let kept: Vec<_> = kept
        .filter_map(|own| at_once(import, own, &others))
        .collect();
    if !kept.is_empty() {
        words.push(format!("concurrency = [{}]", kept.join(", ")));
    }
    if !words.is_empty() {
        words.push(format!("status = {status}, log = \"{log}\""));
        if dry_run == "on" {
            words.push("dry_run = true".to_owned());
        }
    }
    words.extend(bandwidth(import, scope));
    if !words.is_empty() {
        let from = rates.first().or(concurrency.first()).copied();
        let from = from.or(scope.one("limit_rate"));
        let from = from.or(scope.one("proxy_limit_rate"));
        route.set("limits", format!("{{ {} }}", words.join(", ")), from);
    } else if scope.mentions(&["limit_rate", "proxy_limit_rate"]) {
        let from = scope.one("limit_rate");
        let from = from.or(scope.one("proxy_limit_rate"));
        route.set("limits", "{}", from);
    }
}

/// How fast a block answers that limits nothing else.
pub(super) fn speed(import: &mut Import<'_>, scope: &Scope<'_>, route: &mut Draft) {
    if let Some(words) = bandwidth(import, scope) {
        route.set("limits", format!("{{ {words} }}"), scope.one("limit_rate"));
    }
}

fn bandwidth(import: &mut Import<'_>, scope: &Scope<'_>) -> Option<String> {
    // What rules set counts where there is a `bandwidth`.
    let is_set = import.own.iter().any(|own| own == "limit_rate");
    let any = || is_set.then(|| "bandwidth = \"$limit_rate\"".to_owned());
    let own = (scope.one("limit_rate")).or_else(|| scope.one("proxy_limit_rate"));
    let Some(own) = own else { return any() };
    let mut words = match amount(import, own)? {
        none if none == draft::size(0) => any()?,
        rate => format!("bandwidth = {rate}"),
    };
    if let Some(after) = scope.one("limit_rate_after") {
        words.extend(amount(import, after).map(|after| format!(", after = {after}")));
    }
    Some(words)
}

/// Bytes, or a text that says how many.
fn amount(import: &mut Import<'_>, own: &Directive) -> Option<String> {
    let word = own.arguments().first()?;
    if let Some(bytes) = value::size(&word.bytes) {
        return Some(draft::size(bytes));
    }
    match variables::text(import, &word.bytes, &Known::default()) {
        Ok(text) => Some(draft::text(&text)),
        Err(unknown) => {
            import.ledger.lost(own, unknown);
            None
        }
    }
}

fn rate(import: &mut Import<'_>, own: &Directive) -> Option<String> {
    let (mut zone, mut burst, mut delay) = (String::new(), 0, 0);
    let mut nodelay = false;
    for word in own.arguments() {
        let word = word.text();
        let number = |text: &str| value::number(text.as_bytes()).unwrap_or_default();
        match word.split_once('=').unwrap_or((&word, "")) {
            ("zone", name) => zone = name.to_owned(),
            ("burst", count) => burst = number(count),
            ("delay", count) => delay = number(count),
            _ => nodelay |= word == "nodelay",
        }
    }
    known(import, own, "rate", &zone)?;
    let mut words = format!("{{ rate = {}", draft::text(&zone));
    let most = 1_000_000;
    if burst > 0 {
        words.push_str(&format!(", burst = {}", burst.min(most)));
    }
    let delay = if nodelay { burst } else { delay };
    if delay > 0 {
        words.push_str(&format!(", delay = {}", delay.min(most)));
    }
    Some(words + " }")
}

/// A word of nginx's as a value of hubgate's.
fn said_as(word: &str) -> String {
    match word {
        "on" => "true".to_owned(),
        "off" => "false".to_owned(),
        status if status.bytes().all(|byte| byte.is_ascii_digit()) => status.to_owned(),
        level => draft::text(level),
    }
}

/// `others`: what is not as that of all.
fn at_once(import: &mut Import<'_>, own: &Directive, others: &str) -> Option<String> {
    let (zone, most) = (own.argument(0), own.argument(1));
    known(import, own, "concurrency", &zone)?;
    let zone = draft::text(&zone);
    Some(format!("{{ of = {zone}, most = {most}{others} }}"))
}

fn known(import: &mut Import<'_>, own: &Directive, table: &str, zone: &str) -> Option<()> {
    let header = format!("[{table}.{}]", quoted(zone));
    if import.zones.contains(&header) {
        return Some(());
    }
    let what = format!("`{zone}` is not carried, so nothing is limited by it");
    import.ledger.lost(own, what);
    None
}
