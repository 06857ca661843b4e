//! Access logs as keys and TOML values.
//!
//! The counterpart of `schema::access_log`: what is printed here is read there.

use super::access_log::{AccessLog, AccessLogFormat, AccessLogTarget, Escape};
use super::show::{Entry, inline, list, path, quoted};

pub(super) fn access_log(log: &AccessLog) -> Vec<Entry> {
    let target = match &log.target {
        AccessLogTarget::Off => quoted("off"),
        AccessLogTarget::Stdout => quoted("stdout"),
        AccessLogTarget::File(file) => path(file),
    };
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
    entries
}
