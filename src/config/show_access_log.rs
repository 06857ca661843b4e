//! Access logs as keys and TOML values.
//!
//! The counterpart of `schema::access_log`: what is printed here is read there.

use super::access_log::{AccessLog, AccessLogFormat, Escape};
use super::log_target::{ErrorLog, LogTarget};
use super::show::{Entry, inline, list, path, quoted};

pub(super) fn access_log(log: &AccessLog) -> Vec<Entry> {
    let target = target(&log.target);
    let mut entries = vec![("target", target)];
    let format = match &log.format {
        AccessLogFormat::Combined => quoted("combined"),
        AccessLogFormat::Json => quoted("json"),
        AccessLogFormat::Template(text) => quoted(text),
    };
    entries.extend([("format", format), ("redact", list(&log.redact))]);
    if log.escape != Escape::Default {
        entries.push(("escape", quoted(log.escape.as_str())));
    }
    entries.extend(log.when.as_ref().map(|when| ("when", quoted(when))));
    if !log.also.is_empty() {
        let also = log.also.iter();
        let also: Vec<_> = also.map(|log| inline(&access_log(log))).collect();
        entries.push(("also", format!("[{}]", also.join(", "))));
    }
    if !log.events.is_empty() {
        entries.push(("events", events(&log.events)));
    }
    entries
}

/// Logs of events.
pub(super) fn events(logs: &[ErrorLog]) -> String {
    let logs = logs.iter().map(|log| {
        let level = quoted(log.level.as_str());
        inline(&[("target", target(&log.target)), ("level", level)])
    });
    format!("[{}]", logs.collect::<Vec<_>>().join(", "))
}

fn target(target: &LogTarget) -> String {
    match target {
        LogTarget::File(file) => path(file),
        target => quoted(target),
    }
}
