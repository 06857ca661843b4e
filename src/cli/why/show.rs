//! The words of `hubgate why`.
//!
//! Pure but for the hour. Everything a client chose is escaped: it must not be able to drive the reader's terminal.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

use super::Looked;
use crate::cli::status::table;
use crate::observe::history::{Told, ToldTry};
use crate::types::amount::format_duration;
use crate::types::moment::rfc3339;

/// One request.
pub(super) fn told(told: &Told) -> String {
    let mut out = format!("request {}\n", clean(&told.request_id));
    let mut line = |label: &str, text: &str| {
        if !text.is_empty() {
            let written = writeln!(out, "  {label:<9} {text}");
            debug_assert!(written.is_ok(), "a String takes every write");
        }
    };
    line("ended", &moment(told.ended));
    line("client", &clean(&told.client));
    line("asked", &asked(told));
    line("answered", &answered(told));
    if let Some(cause) = &told.cause {
        line("cause", cause);
        line("means", told.meaning.as_deref().unwrap_or_default());
        line("do", told.advice.as_deref().unwrap_or_default());
    } else if told.status >= 400 {
        line(
            "means",
            "The upstream gave this answer itself; hubgate passed it on as it was.",
        );
        line("do", "Look into the log of what runs at the endpoint.");
    }
    line("led to", &led_to(told));
    line("bytes", &bytes(told));
    line("source", &told.source);
    let tries = told.tries.iter().map(attempt).collect();
    table(
        &mut out,
        &["TRIED", "AT", "TOOK", "CONNECTED IN", "OUTCOME"],
        tries,
    );
    if told.tries_left_out > 0 {
        let left = told.tries_left_out;
        out.push_str(&format!("{left} more tries before these\n"));
    }
    let health = told.endpoints.iter();
    let health = health.map(|one| vec![one.endpoint.clone(), clean(&one.state)]);
    table(
        &mut out,
        &["ENDPOINT", "HEALTH AT THAT MOMENT"],
        health.collect(),
    );
    if let Some(line) = &told.line {
        out.push_str(&format!("\n{}\n", clean(line)));
    }
    out
}

fn asked(told: &Told) -> String {
    let part = |part: &Option<String>| clean(part.as_deref().unwrap_or_default());
    if told.method.is_none() {
        return "nothing that could be read as a request".to_owned();
    }
    let place = match &told.host {
        Some(host) => format!(
            "{}://{}",
            told.scheme.as_deref().unwrap_or("http"),
            clean(host)
        ),
        None => String::new(),
    };
    let mut text = format!(
        "{} {place}{} {}",
        part(&told.method),
        part(&told.target),
        part(&told.protocol)
    );
    if let Some(tls) = &told.tls {
        text.push_str(&format!(", {}", clean(tls)));
    }
    text.trim_end().to_owned()
}

fn answered(told: &Told) -> String {
    let took = told
        .took
        .map_or(String::new(), |took| format!(" after {}", seconds(took)));
    let by = match (&told.cause, told.upstream_status) {
        (Some(_), Some(upstream)) => format!("; the upstream had answered {upstream}"),
        (Some(_), None) => ", by hubgate".to_owned(),
        (None, Some(_)) => ", by the upstream".to_owned(),
        (None, None) => String::new(),
    };
    match told.status {
        499 => format!("nothing: the client had left{took}"),
        status => format!("{status}{took}{by}"),
    }
}

fn led_to(told: &Told) -> String {
    let mut parts = Vec::new();
    for (label, part) in [
        ("site", &told.site),
        ("route", &told.route),
        ("upstream", &told.upstream),
    ] {
        parts.extend(
            part.as_deref()
                .map(|part| format!("{label} {}", clean(part))),
        );
    }
    if let Some(generation) = told.generation.filter(|_| !parts.is_empty()) {
        parts.push(format!("configuration {generation}"));
    }
    parts.join(", ")
}

fn bytes(told: &Told) -> String {
    let mut text = format!("{} received, {} sent", told.bytes_received, told.bytes_sent);
    if told.tunnel_received + told.tunnel_sent > 0 {
        text.push_str(&format!(
            "; through the tunnel {} received, {} sent",
            told.tunnel_received, told.tunnel_sent
        ));
    }
    text
}

fn attempt(one: &ToldTry) -> Vec<String> {
    let time = |time: Option<f64>| time.map_or("-".to_owned(), seconds);
    let outcome = match (one.status, &one.cause) {
        (Some(status), Some(cause)) => format!("answered {status}, then {cause}"),
        (Some(status), None) => format!("answered {status}"),
        (None, Some(cause)) => cause.clone(),
        (None, None) => "no answer".to_owned(),
    };
    let connect = match (one.connect, one.status) {
        (None, Some(_)) => "open already".to_owned(),
        (connect, _) => time(connect),
    };
    vec![
        one.endpoint.clone(),
        time(one.at),
        time(one.took),
        connect,
        outcome,
    ]
}

/// Why nothing is told, and what to try.
pub(super) fn missing(asked: &str, looked: &Looked) -> String {
    if !looked.candidates.is_empty() {
        return format!(
            "hubgate why: `{asked}` could be any of these; give more of the id:\n  {}\n",
            looked.candidates.join("\n  ")
        );
    }
    let mut out = format!("hubgate why: nothing is known of `{asked}`\n");
    let mut line = |text: String| out.push_str(&format!("  {text}\n"));
    match &looked.process {
        Some(Ok(kept)) => {
            let since = match kept.since {
                Some(since) => format!(", the oldest of {}", moment(since)),
                None => String::new(),
            };
            line(format!(
                "the process remembers {} failures{since}, and {} others",
                kept.failures, kept.samples
            ));
            match kept.sample {
                0 => line("requests that did not fail are not remembered; `sample` in `[why]` keeps every n-th".to_owned()),
                n => line(format!("of requests that did not fail every {n}th is remembered: `sample` in `[why]`; more failures take more `memory` there")),
            }
        }
        Some(Err(why)) => line(format!(
            "the process could not be asked: {}",
            why.trim_end()
        )),
        None => {}
    }
    for file in &looked.logs.files {
        line(format!("it is not in {}", file.display()));
    }
    for unread in &looked.logs.unread {
        line(format!("not read: {unread}"));
    }
    for path in &looked.logs.nameless {
        line(format!(
            "{} has no request ids; write `format = \"json\"`, or a format with $request_id, in `[access_log]`",
            path.display()
        ));
    }
    if looked.logs.files.is_empty() && looked.logs.nameless.is_empty() {
        line("no access log was searched; `[access_log]` with `target = \"FILE\"` and `format = \"json\"` keeps every request".to_owned());
    }
    line("the id is the one of the error page, of `X-Request-Id` or of the access log, not the hub's own".to_owned());
    out
}

/// `2026-11-21T07:06:11.042Z, 12m 3s ago`.
fn moment(millis: u64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000);
    let Some(text) = at.ok().filter(|_| millis > 0).map(rfc3339) else {
        return String::new();
    };
    let ago = SystemTime::now().duration_since(UNIX_EPOCH + Duration::from_millis(millis));
    match ago {
        Ok(ago) => format!(
            "{text}, {} ago",
            format_duration(Duration::from_secs(ago.as_secs()))
        ),
        Err(_) => text,
    }
}

/// `1.234 s`, `0.2 ms`.
fn seconds(seconds: f64) -> String {
    match seconds {
        ..0.001 => format!("{:.2} ms", seconds * 1e3),
        ..1.0 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{seconds:.3} s"),
    }
}

/// Nothing that a terminal obeys.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::history::{Overview, ToldCondition};

    #[test]
    fn a_failure_is_told_with_its_advice_its_tries_and_the_endpoints_health() {
        let told = Told {
            request_id: "abc".to_owned(),
            ended: 1_795_244_771_042,
            took: Some(1.25),
            client: "192.0.2.7:1".to_owned(),
            method: Some("GET".to_owned()),
            host: Some("hub.example.org".to_owned()),
            target: Some("/\u{1b}[31m".to_owned()),
            protocol: Some("HTTP/2.0".to_owned()),
            upstream: Some("hub".to_owned()),
            status: 502,
            cause: Some("upstream_connect".to_owned()),
            tries: vec![ToldTry {
                endpoint: "192.0.2.1:80".to_owned(),
                at: Some(0.0),
                took: Some(0.0004),
                cause: Some("upstream_connect".to_owned()),
                ..ToldTry::default()
            }],
            endpoints: vec![ToldCondition {
                endpoint: "192.0.2.1:80".to_owned(),
                state: "resting".to_owned(),
            }],
            ..Told::default()
        };
        let text = super::told(&told.explained());
        for part in [
            "2026-11-21T07:06:11.042Z",
            "502 after 1.250 s, by hubgate",
            "No endpoint of the upstream accepted a connection.",
            "hubgate doctor",
            "192.0.2.1:80  0.00 ms  0.40 ms  -             upstream_connect",
            "192.0.2.1:80  resting",
        ] {
            assert!(text.contains(part), "no `{part}` in\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn a_request_that_is_not_found_is_told_with_what_to_try() {
        let mut looked = Looked {
            process: Some(Ok(Overview {
                sample: 100,
                ..Overview::default()
            })),
            ..Looked::default()
        };
        let text = missing("abcd", &looked);
        for part in ["every 100th", "`[access_log]`", "X-Request-Id"] {
            assert!(text.contains(part), "{text}");
        }
        looked.candidates = vec!["abcd1".to_owned(), "abcd2".to_owned()];
        assert!(missing("abcd", &looked).contains("abcd2"));
    }
}
