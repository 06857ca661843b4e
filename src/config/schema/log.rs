//! `[log]`: events of the process.
//!
//! The level is a filter in tracing's language, checked more strictly than tracing does.

use super::reader::{At, Reader, value};
use super::{Key, Kind, Table, log_target};
use crate::config::diagnostic::Diagnostic;
use crate::config::model::{Log, LogFormat};
use crate::config::suggest::nearest;

const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

pub(in crate::config) static TABLE: Table = Table {
    header: "[log]",
    about: "Events of the process. Requests are in the access log.",
    keys: &[
        Key::new(
            "level",
            Kind::Text,
            "\"info\"",
            "off, error, warn, info, debug or trace; or by module: \"hubgate::acme=debug,info\".",
        ),
        Key::new(
            "format",
            Kind::Word(&["text", "json", "nginx"]),
            "\"text\"",
            "How an event looks: for people, one JSON object a line, or as in nginx's error log.",
        ),
        Key::rule(
            "file",
            Kind::Path,
            "standard error",
            "\"/var/log/hubgate/hubgate.log\"",
            "Where events go. Opened again on SIGUSR1.",
        ),
        Key::rule(
            "logs",
            Kind::Inlines,
            "one: `file`",
            "[{ target = \"all.log\", level = \"info\" }, { target = \"syslog:server=192.0.2.1:514\" }]",
            "In place of `format` and `file`: logs in the form of nginx's error log, each with its `target` (as that of [access_log]) and the least `level` (emerg, alert, crit, error, warn, notice, info, debug) of what the filter lets through.",
        ),
    ],
};

/// Reads the table.
pub(in crate::config) fn read(reader: &Reader<'_>) -> Option<Log> {
    let level = reader
        .text("level")
        .and_then(|level| level_of(reader, level));
    let format = reader.word("format");
    let file = reader.optional("file", Reader::path);
    let logs = log_target::all(reader, "logs");
    Some(Log {
        level: level?,
        format: match value(format)?.as_str() {
            "json" => LogFormat::Json,
            "nginx" => LogFormat::Nginx,
            _ => LogFormat::Text,
        },
        file: file?.map(|file| file.value),
        logs: logs?,
    })
}

/// Refuses what the filter would take for the name of a module: `level = "inof"` would show everything.
fn level_of(reader: &Reader<'_>, level: At<String>) -> Option<String> {
    for directive in level.value.split(',').map(str::trim) {
        let word = directive
            .rsplit_once('=')
            .map_or(directive, |(_, word)| word);
        if !LEVELS.contains(&word.to_ascii_lowercase().as_str()) {
            return reader.refuse(
                Diagnostic::error(
                    "bad-log-level",
                    level.span,
                    format!("`{word}` is not a log level"),
                )
                .label("off, error, warn, info, debug or trace")
                .did_you_mean(nearest(word, LEVELS.iter().copied())),
            );
        }
    }
    match tracing_subscriber::EnvFilter::builder().parse(&level.value) {
        Ok(_) => Some(level.value),
        Err(error) => reader.refuse(Diagnostic::error(
            "bad-log-level",
            level.span,
            format!("`{}` is not a log filter: {error}", level.value),
        )),
    }
}
