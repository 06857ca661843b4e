//! Where lines of logs go, as written: `target` of access logs, and tables of logs of events.
//!
//! Bare words that are none are refused, as slips of the pen; what a target does is `observe`'s.

use super::reader::{At, Reader};
use super::{Key, Kind, Table};
use crate::config::diagnostic::Diagnostic;
use crate::config::log_target::{ErrorLog, LogLevel, LogTarget, Syslog};
use crate::config::text::Text;

const HINT: &str = "\"off\", \"stdout\", \"stderr\" or a file's path";

/// One log of events.
static EVENTS: Table = Table {
    header: "a log of events",
    about: "Where what goes wrong is told, in the form of nginx's error log.",
    keys: &[
        Key::required(
            "target",
            Kind::Text,
            "\"errors.log\"",
            "As `target` of [access_log], without variables.",
        ),
        Key::new(
            "level",
            Kind::Word(&[
                "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug",
            ]),
            "\"error\"",
            "The least grave that is told.",
        ),
    ],
};

/// The logs of events of a table's key.
pub(super) fn all(reader: &Reader<'_>, key: &'static str) -> Option<Vec<ErrorLog>> {
    let tables = reader.tables(key)?.into_iter();
    let read = tables.map(|(table, span)| {
        let name = format!("`{key}` of {}", reader.name());
        let reader = reader.inner(&EVENTS, name, (table, span));
        let target = reader.text("target")?;
        let span = target.span.clone();
        let level = reader.word("level")?;
        // Of no request: a dollar sign is one.
        let of_file = target.value.contains(['/', '.']) && target.value.contains('$');
        let target = match of_file && !target.value.starts_with("syslog:") {
            true => LogTarget::File(reader.resolve(&target.value)),
            false => self::target(&reader, target)?,
        };
        let log = ErrorLog {
            target,
            level: LogLevel::parse(&level.value).unwrap_or(LogLevel::Error),
        };
        match &log.target {
            LogTarget::Chosen(_) | LogTarget::Gzip(_) => {
                let what = "a log of events is one for all, and plain";
                reader.refuse(Diagnostic::error("bad-log-target", span, what))
            }
            _ => Some(log),
        }
    });
    read.collect()
}

/// Where lines go.
pub(super) fn target(reader: &Reader<'_>, text: At<String>) -> Option<LogTarget> {
    let fault = |message: String| Diagnostic::error("bad-log-target", text.span.clone(), message);
    match text.value.as_str() {
        "off" => Some(LogTarget::Off),
        "stdout" => Some(LogTarget::Stdout),
        "stderr" => Some(LogTarget::Stderr),
        "" => reader.refuse(fault("the log's target is empty".to_owned()).label(HINT)),
        path => {
            if let Some(words) = path.strip_prefix("syslog:") {
                return match Syslog::parse(words) {
                    Ok(syslog) => Some(LogTarget::Syslog(syslog)),
                    Err(why) => reader.refuse(fault(why)),
                };
            }
            // `of`, `stdot`, `/dev/stdout`: a bare word is far more often a slip than a file beside the configuration.
            if !path.contains(['/', '.']) {
                let hint =
                    format!("for a file of that name beside the configuration write `./{path}`");
                let fault = fault(format!("`{path}` is not a log target"));
                return reader.refuse(fault.label(HINT).hint(hint));
            }
            if let Some(path) = path.strip_prefix("gzip:") {
                return Some(LogTarget::Gzip(reader.resolve(path)));
            }
            let path = reader.resolve(path);
            let whole = path.to_string_lossy();
            match whole.contains('$') {
                false => Some(LogTarget::File(path)),
                true => match Text::parse_with(&whole, reader.own()) {
                    Ok(text) => Some(LogTarget::Chosen(text)),
                    Err(error) => reader.refuse(fault(error.to_string())),
                },
            }
        }
    }
}
