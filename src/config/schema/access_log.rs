//! `[access_log]` of the whole, a site or a route: one line a request.
//!
//! Knows inheritance key by key; format strings are `text`'s job, writing lines is `observe`'s.

use super::reader::{At, Reader};
use super::{Key, Kind, Table};
use crate::config::diagnostic::Diagnostic;
use crate::config::model::{AccessLog, AccessLogFormat, AccessLogTarget};
use crate::config::suggest::nearest;
use crate::config::text::Text;

pub(in crate::config) static TABLE: Table = Table {
    header: "[access_log]",
    about: "One line a request. Also `[site.\"HOST\".access_log]` and `[site.\"HOST\".route.access_log]`: there each key overrides what is inherited.",
    keys: &[
        Key::new(
            "target",
            Kind::Text,
            "\"off\"",
            "\"off\", \"stdout\", or a file's path. Files are opened again on SIGUSR1.",
        ),
        Key::new(
            "format",
            Kind::Text,
            "\"combined\"",
            "\"combined\", \"json\", or a text with $variables (listed at the end).",
        ),
        Key::new(
            "redact",
            Kind::Texts,
            "[\"token\"]",
            "Query parameters whose values are replaced by REDACTED.",
        ),
    ],
};

/// What one table says; `None` inherits.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Overlay {
    target: Option<AccessLogTarget>,
    format: Option<AccessLogFormat>,
    redact: Option<Vec<String>>,
}

impl Overlay {
    /// What is in force where this table stands.
    pub(in crate::config) fn over(self, inherited: &AccessLog) -> AccessLog {
        AccessLog {
            target: self.target.unwrap_or_else(|| inherited.target.clone()),
            format: self.format.unwrap_or_else(|| inherited.format.clone()),
            redact: self.redact.unwrap_or_else(|| inherited.redact.clone()),
        }
    }
}

/// Reads the table of the whole file, where defaults fill the gaps.
pub(in crate::config) fn read(reader: &Reader<'_>) -> Option<AccessLog> {
    let target = reader
        .text("target")
        .and_then(|text| target_of(reader, text));
    let format = reader
        .text("format")
        .and_then(|text| format_of(reader, text));
    let redact = reader
        .texts("redact")
        .and_then(|texts| redact_of(reader, texts));
    Some(AccessLog {
        target: target?,
        format: format?,
        redact: redact?,
    })
}

/// Reads the table of a site or a route, where what is missing is inherited.
pub(in crate::config) fn read_overlay(reader: &Reader<'_>) -> Option<Overlay> {
    let target = reader.optional("target", |r, key| {
        r.text(key).and_then(|text| target_of(r, text))
    });
    let format = reader.optional("format", |r, key| {
        r.text(key).and_then(|text| format_of(r, text))
    });
    let redact = reader.optional("redact", |r, key| {
        r.texts(key).and_then(|texts| redact_of(r, texts))
    });
    Some(Overlay {
        target: target?,
        format: format?,
        redact: redact?,
    })
}

fn target_of(reader: &Reader<'_>, text: At<String>) -> Option<AccessLogTarget> {
    match text.value.as_str() {
        "off" => Some(AccessLogTarget::Off),
        "stdout" => Some(AccessLogTarget::Stdout),
        "" => reader.refuse(
            Diagnostic::error(
                "bad-log-target",
                text.span,
                "the access log's target is empty",
            )
            .label("\"off\", \"stdout\" or a file's path"),
        ),
        path => {
            // `of`, `stdot`, `/dev/stdout`: a bare word is far more often a slip than a file beside the configuration.
            if !path.contains(['/', '.']) {
                return reader.refuse(
                    Diagnostic::error(
                        "bad-log-target",
                        text.span.clone(),
                        format!("`{path}` is not a log target"),
                    )
                    .label("\"off\", \"stdout\" or a file's path")
                    .hint(format!(
                        "for a file of that name beside the configuration write `./{path}`"
                    )),
                );
            }
            Some(AccessLogTarget::File(reader.resolve(path)))
        }
    }
}

fn format_of(reader: &Reader<'_>, text: At<String>) -> Option<AccessLogFormat> {
    match text.value.as_str() {
        "combined" => Some(AccessLogFormat::Combined),
        "json" => Some(AccessLogFormat::Json),
        other => {
            let fault =
                |message: String| Diagnostic::error("bad-log-format", text.span.clone(), message);
            match Text::parse_line(other, reader.own()) {
                Ok(_) if other.is_empty() => {
                    reader.refuse(fault("the access log's format is empty".to_owned()))
                }
                // A text without a variable says the same for every request.
                Ok(format) if format.as_constant().is_some() => {
                    let nearest = nearest(other, ["combined", "json"]);
                    let message = format!(
                        "`{other}` is not an access log format: neither \"combined\" nor \"json\", and without a $variable"
                    );
                    reader.refuse(fault(message).did_you_mean(nearest))
                }
                Ok(format) => Some(AccessLogFormat::Template(format)),
                Err(error) => {
                    let nearest = error.nearest();
                    reader.refuse(fault(error.to_string()).did_you_mean(nearest.as_deref()))
                }
            }
        }
    }
}

fn redact_of(reader: &Reader<'_>, texts: Vec<At<String>>) -> Option<Vec<String>> {
    let mut all = Vec::new();
    for text in texts {
        if text.value.is_empty() || text.value.contains(['=', '&', '?', '#', ' ']) {
            return reader.refuse(
                Diagnostic::error(
                    "bad-parameter",
                    text.span,
                    format!("`{}` is not the name of a query parameter", text.value),
                )
                .hint("the bare name, as in `token`"),
            );
        }
        let name = text.value.to_lowercase();
        if !all.contains(&name) {
            all.push(name);
        }
    }
    Some(all)
}
