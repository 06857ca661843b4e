//! Limits of routes and what they count by, as TOML: what `explain` prints and `diff` compares of them.
//!
//! What is printed loads to an equal value.

use super::limit::{ConcurrencyZone, RateZone, RouteLimits};
use super::show::{Entry, inline, quoted};

/// `[rate.NAME]`
pub(super) fn rate(zone: &RateZone) -> Vec<Entry> {
    vec![
        ("key", quoted(&zone.key)),
        ("rate", quoted(zone.rate)),
        ("keys", zone.keys.to_string()),
    ]
}

/// `[concurrency.NAME]`
pub(super) fn concurrency(zone: &ConcurrencyZone) -> Vec<Entry> {
    vec![("key", quoted(&zone.key)), ("keys", zone.keys.to_string())]
}

/// `limits`, whole.
pub(super) fn limits(limits: &RouteLimits) -> Entry {
    let status = |status: Option<u16>| status.map(|status| ("status", status.to_string()));
    let rates = limits.rates.iter().map(|used| {
        let mut entries = vec![
            ("rate", quoted(&used.rate)),
            ("burst", used.burst.to_string()),
            ("delay", used.delay.to_string()),
        ];
        entries.extend(status(used.status));
        inline(&entries)
    });
    let concurrency = limits.concurrency.iter().map(|used| {
        let mut entries = vec![("of", quoted(&used.of)), ("most", used.most.to_string())];
        entries.extend(status(used.status));
        entries.extend(used.log.map(|log| ("log", quoted(log.as_str()))));
        entries.extend(used.dry_run.map(|dry_run| ("dry_run", dry_run.to_string())));
        inline(&entries)
    });
    let list = |all: Vec<String>| format!("[{}]", all.join(", "));
    let mut entries = vec![
        ("rates", list(rates.collect())),
        ("concurrency", list(concurrency.collect())),
        ("status", limits.status.to_string()),
        ("log", quoted(limits.log.as_str())),
        ("dry_run", limits.dry_run.to_string()),
    ];
    entries.extend(
        limits
            .bandwidth
            .iter()
            .map(|bytes| ("bandwidth", quoted(bytes))),
    );
    entries.push(("after", quoted(&limits.after)));
    ("limits", inline(&entries))
}
