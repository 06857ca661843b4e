//! The event log's lines as nginx writes its error log, for whoever matches those.
//!
//! `2026/11/21 20:00:00 [error] PID#TID: *CONNECTION message, client: .., server: .., request: ".."`: the message first,
//! then each field in the event's order. A field `severity` names one of nginx's levels that tracing lacks, `connection`
//! is a connection's number; `request`, `host`, `upstream` and `referrer` are quoted. Times are UTC, as in access logs.

use std::fmt;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::events;
use crate::config::LogLevel;

/// Formats events so.
#[derive(Clone, Copy, Debug)]
pub struct NginxLines;

/// What comes before a line's text: the time, the level, and who says it.
pub fn head(at: SystemTime, level: &str) -> String {
    let form = format_description!("[year]/[month]/[day] [hour]:[minute]:[second]");
    let at = OffsetDateTime::from(at).format(&form).unwrap_or_default();
    let (pid, tid) = (std::process::id(), rustix::thread::gettid());
    format!("{at} [{level}] {pid}#{}: ", tid.as_raw_nonzero())
}

impl<S, N> FormatEvent<S, N> for NginxLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // A request's own logs have it then.
        match events::has_own() {
            true => Ok(()),
            false => out.write_str(&rendered(event).1),
        }
    }
}

/// An event's line, with its end, and how grave it is.
pub(super) fn rendered(event: &Event<'_>) -> (LogLevel, String) {
    let mut parts = Parts::default();
    event.record(&mut parts);
    let normalized = event.normalized_metadata();
    let level = normalized
        .as_ref()
        .map_or(event.metadata().level(), |own| own.level());
    let level = parts.severity.as_deref().unwrap_or(word(*level));
    let mut line = head(SystemTime::now(), level);
    if let Some(connection) = &parts.connection {
        line.push_str(&format!("*{connection} "));
    }
    line.push_str(&parts.message);
    line.push_str(&parts.rest);
    line.push('\n');
    (LogLevel::parse(level).unwrap_or(LogLevel::Debug), line)
}

/// nginx's level.
fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "notice",
        _ => "debug",
    }
}

#[derive(Default)]
struct Parts {
    message: String,
    severity: Option<String>,
    connection: Option<String>,
    rest: String,
}

impl Parts {
    fn take(&mut self, name: &str, value: String) {
        match name {
            "message" => self.message = one_line(&value),
            "severity" => self.severity = Some(value),
            "connection" => self.connection = Some(value),
            // Names of events are hubgate's; what watchers match ends as nginx's lines do.
            "event" => {}
            name if name.starts_with("log.") => {}
            "request" | "host" | "upstream" | "referrer" => {
                self.rest
                    .push_str(&format!(", {name}: \"{}\"", one_line(&value)));
            }
            _ => self
                .rest
                .push_str(&format!(", {name}: {}", one_line(&value))),
        }
    }
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field.name(), format!("{value:?}"));
    }
}

/// A line stays one, whatever is told.
fn one_line(text: &str) -> String {
    let text = text.trim_end();
    match text.contains(|c: char| c.is_control()) {
        true => text.replace(|c: char| c.is_control(), " "),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_what_nginx_would_have_written() {
        let kept = Kept::default();
        let out = kept.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || out.clone())
            .event_format(NginxLines);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::error!(
                event = "limit",
                connection = 7,
                client = %"127.0.0.1",
                server = "",
                request = "GET /a HTTP/1.1",
                event = "limit",
                "limiting requests, excess: 0.5 by zone \"one\""
            );
            tracing::info!("signal 1 (SIGHUP) received, reconfiguring");
            tracing::error!(severity = "emerg", "two\nlines\n");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.lines().map(|line| &line[19..]).collect();
        let who = format!("{}#", std::process::id());
        for (line, (level, end)) in lines.iter().zip([
            ("error", ": *7 limiting requests, excess: 0.5 by zone \"one\", client: 127.0.0.1, server: , request: \"GET /a HTTP/1.1\""),
            ("notice", ": signal 1 (SIGHUP) received, reconfiguring"),
            ("emerg", ": two lines"),
        ]) {
            assert!(line.starts_with(&format!(" [{level}] {who}")), "{line}");
            assert!(line.ends_with(end), "{line}");
        }
        assert_eq!(lines.len(), 3);
    }
}
