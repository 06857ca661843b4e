//! How `hubgate status` shows what is still open and for whom, here and in processes that were relieved and drain.
//!
//! Decides the layout and nothing else.

use std::time::Duration;

use super::status::table;
use crate::admin::{Draining, OpenConnection, OpenConnections, StatusReport};
use crate::types::amount::format_duration;

/// So many are shown one by one when nobody said how many.
pub(super) const USUAL: usize = 20;

/// The line of numbers: `3 http1, 1 tunnel`.
pub(super) fn kinds(open: &OpenConnections) -> String {
    let kinds = open
        .kinds
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"));
    let mut text = kinds.collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        text.push_str("nothing");
    }
    if !open.silent_workers.is_empty() {
        let silent = open.silent_workers.join(", ");
        text.push_str(&format!("; {silent} did not answer"));
    }
    text
}

/// One line for each process before this one.
pub(super) fn before(report: &StatusReport) -> String {
    let mut out = String::new();
    for draining in all(&report.open.predecessors) {
        let open = match &draining.open {
            None => "does not answer".to_owned(),
            Some(open) => format!("{} open ({})", open.count(), kinds(open)),
        };
        let ends = draining.ends_in.map(seconds);
        let ends = ends.map(|ends| format!(", ends within {ends}"));
        let (pid, ends) = (draining.pid, ends.unwrap_or_default());
        out.push_str(&format!(
            "draining       process {pid}, before this one: {open}{ends}\n"
        ));
    }
    out
}

/// The tables of single connections: this process's if `own`, and those of processes that drain.
pub(super) fn tables(report: &StatusReport, own: bool) -> String {
    let mut out = String::new();
    if own {
        one_by_one(&mut out, &report.open.open);
    }
    for draining in all(&report.open.predecessors) {
        if let Some(open) = draining
            .open
            .as_ref()
            .filter(|open| !open.oldest.is_empty())
        {
            out.push_str(&format!("\nprocess {}:", draining.pid));
            one_by_one(&mut out, open);
        }
    }
    out
}

fn all(draining: &[Draining]) -> Vec<&Draining> {
    let mut found = Vec::new();
    for one in draining {
        found.push(one);
        found.extend(all(&one.predecessors));
    }
    found
}

fn one_by_one(out: &mut String, open: &OpenConnections) {
    let head = [
        "CLIENT",
        "KIND",
        "AGE",
        "WAITS FOR",
        "FOR",
        "SITE",
        "ROUTE",
        "UPSTREAM",
        "ENDPOINT",
        "IN",
        "OUT",
    ];
    table(out, &head, open.oldest.iter().map(row).collect());
    let left = open.count().saturating_sub(open.oldest.len() as u64);
    if left > 0 && !open.oldest.is_empty() {
        out.push_str(&format!("and {left} younger ones\n"));
    }
}

fn row(one: &OpenConnection) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or("-".to_owned());
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    vec![
        one.client.clone(),
        one.kind.clone(),
        seconds(one.age),
        one.waits_for.clone(),
        one.request_age.map_or("-".to_owned(), seconds),
        text(&one.site),
        text(if one.server_name.is_some() {
            &one.server_name
        } else {
            &one.route
        }),
        text(&one.upstream),
        text(&one.endpoint),
        number(one.bytes_in),
        number(one.bytes_out),
    ]
}

fn seconds(seconds: u64) -> String {
    format_duration(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::admin::{Status, StillOpen};
    use crate::observe::metrics::Metrics;

    #[test]
    fn a_process_before_this_one_is_shown_with_what_it_still_has_and_until_when() {
        let open = OpenConnections {
            kinds: [("tunnel".to_owned(), 2)].into(),
            oldest: vec![OpenConnection {
                client: "192.0.2.7:4711".to_owned(),
                kind: "tunnel".to_owned(),
                site: Some("hub.example".to_owned()),
                ..OpenConnection::default()
            }],
            silent_workers: Vec::new(),
        };
        let oldest = Draining {
            pid: 7,
            ..Draining::default()
        };
        let before_it = Draining {
            pid: 8,
            ends_in: Some(12),
            open: Some(open),
            predecessors: vec![oldest],
        };
        let still = StillOpen {
            predecessors: vec![before_it],
            ..StillOpen::default()
        };
        let report =
            StatusReport::new(Status::default(), &Metrics::new(), still, SystemTime::now());
        let lines = before(&report);
        assert!(
            lines.contains("process 8, before this one: 2 open (2 tunnel), ends within 12s"),
            "{lines}"
        );
        assert!(
            lines.contains("process 7, before this one: does not answer"),
            "{lines}"
        );
        let tables = tables(&report, false);
        assert!(
            tables.contains("192.0.2.7:4711  tunnel") && tables.contains("and 1 younger"),
            "{tables}"
        );
    }
}
