//! `hubgate certs list` and `show`: the running process's certificates, as a table, as lines, or as JSON.
//!
//! Shows what `GET /status` told; decides nothing but the layout. Where no process runs, `status` says how to reach one.

use time::OffsetDateTime;

use crate::admin::{CertificateStatus, StatusReport};
use crate::cli::status::table;
use crate::cli::{Door, client, complain, exit, print};
use crate::types::moment::rfc3339;

/// What the running process knows, or the exit code after the user was told why that is not to be had.
pub(super) fn report(door: &Door) -> Result<StatusReport, u8> {
    client::status("hubgate certs", door)
}

/// Prints all certificates, or one host's. Gives the exit code.
pub(super) fn run(door: &Door, host: Option<&str>, json: bool) -> u8 {
    let report = match report(door) {
        Ok(report) => report,
        Err(code) => return code,
    };
    let now = report.now;
    let mut rows = report.status.certificates;
    rows.sort_by_key(|row| (row.not_after, row.host.clone()));
    match host {
        None if json => print_json(&rows),
        None if rows.is_empty() => print("no certificate is served\n"),
        None => print(&listed(&rows, now)),
        Some(host) => match rows.iter().find(|row| row.host == host) {
            Some(row) if json => print_json(row),
            Some(row) => print(&shown(row, now)),
            None => {
                let known: Vec<_> = rows.iter().map(|row| row.host.as_str()).collect();
                complain(&format!(
                    "hubgate certs: no certificate is served for `{host}`; there are: {}\n",
                    known.join(", ")
                ));
                return exit::REFUSED;
            }
        },
    }
    exit::OK
}

fn print_json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&format!("{text}\n")),
        Err(error) => complain(&format!("hubgate certs: {error}\n")),
    }
}

fn listed(rows: &[CertificateStatus], now: i64) -> String {
    let mut out = String::new();
    let cells = |row: &CertificateStatus| {
        vec![
            row.host.clone(),
            row.issuer.clone().unwrap_or_default(),
            row.not_after.map(date).unwrap_or_default(),
            left(row, now),
            state(row).to_owned(),
            row.next_attempt.map(date).unwrap_or_default(),
            row.trouble.clone().unwrap_or_default(),
        ]
    };
    table(
        &mut out,
        &[
            "HOST",
            "ISSUER",
            "NOT AFTER",
            "LEFT",
            "STATE",
            "NEXT ACTION",
            "LAST ERROR",
        ],
        rows.iter().map(cells).collect(),
    );
    out.trim_start().to_owned()
}

fn shown(row: &CertificateStatus, now: i64) -> String {
    let as_kept = match row.served_as_kept {
        Some(true) => "yes, a handshake with ourselves was shown it",
        Some(false) => "no",
        None => "not looked at yet",
    };
    let lines = [
        ("host", row.host.clone()),
        ("source", row.source.clone()),
        ("state", state(row).to_owned()),
        ("issuer", row.issuer.clone().unwrap_or_default()),
        ("serial", row.serial.clone().unwrap_or_default()),
        ("not before", row.not_before.map(date).unwrap_or_default()),
        ("not after", row.not_after.map(date).unwrap_or_default()),
        ("life left", left(row, now)),
        ("served", as_kept.to_owned()),
        (
            "next action",
            row.next_attempt.map(date).unwrap_or_default(),
        ),
        ("failures", row.failures.to_string()),
        ("last error", row.trouble.clone().unwrap_or_default()),
    ];
    lines
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:<11}  {value}\n"))
        .collect()
}

/// Where ACME has nothing to do, the source says more.
fn state(row: &CertificateStatus) -> &str {
    row.state.as_deref().unwrap_or(&row.source)
}

/// The part of the life that is left, in whole percents.
fn left(row: &CertificateStatus, now: i64) -> String {
    match (row.not_before, row.not_after) {
        (_, Some(end)) if end <= now => "expired".to_owned(),
        (Some(begin), Some(end)) if end > begin => {
            format!("{} %", (end - now).min(end - begin) * 100 / (end - begin))
        }
        _ => String::new(),
    }
}

fn date(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds).map_or_else(|_| seconds.to_string(), rfc3339)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> CertificateStatus {
        CertificateStatus {
            host: "a.example".to_owned(),
            source: "acme".to_owned(),
            not_before: Some(0),
            not_after: Some(100_000),
            state: Some("backoff".to_owned()),
            trouble: Some("validate: no".to_owned()),
            ..CertificateStatus::default()
        }
    }

    #[test]
    fn the_life_left_is_told_in_percents_and_an_expired_one_says_so() {
        assert_eq!(left(&row(), 25_000), "75 %");
        assert_eq!(left(&row(), 100_000), "expired");
        assert_eq!(left(&row(), -5), "100 %");
    }

    #[test]
    fn a_line_tells_state_and_error() {
        let text = listed(&[row()], 25_000);
        assert!(text.starts_with("HOST"), "{text}");
        for part in [
            "a.example",
            "1970-01-02T03:46:40Z",
            "75 %",
            "backoff",
            "validate: no",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(shown(&row(), 25_000).contains("last error   validate: no"));
    }
}
