//! `[access_log]` of the whole, a site or a route: one line a request.
//!
//! Knows inheritance key by key; format strings are `text`'s job, writing lines is `observe`'s.

use std::sync::Arc;

use super::action::text;
use super::reader::{At, Reader};
use super::{Key, Kind, Table, log_target};
use crate::config::access_log::{AccessLog, AccessLogFormat, Escape};
use crate::config::diagnostic::Diagnostic;
use crate::config::log_target::{ErrorLog, LogTarget};
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
            "\"off\", \"stdout\", \"stderr\", a file's path, which may have $variables, \"gzip:PATH\", or \"syslog:server=ADDRESS\" with facility=, severity=, tag= and nohostname as in nginx. Files are opened again on SIGUSR1.",
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
        Key::new(
            "escape",
            Kind::Word(&["default", "json", "none"]),
            "\"default\"",
            "How a format's $variables are written: \"default\" is \\xHH for what is not plain, and - for nothing; \"json\" as in a string of JSON; \"none\" as they are, but for line breaks. It belongs to `target`, as `when` and `also` do: where a `target` is written these are not inherited.",
        ),
        Key::rule(
            "when",
            Kind::Text,
            "every request",
            "\"$http_x_log\"",
            "Only requests for which this text is neither empty nor 0.",
        ),
        Key::rule(
            "also",
            Kind::Inlines,
            "none",
            "[{ target = \"errors.log\", format = \"combined\", when = \"$http_x_log\" }]",
            "Further logs of the same requests, with keys of this table.",
        ),
        Key::rule(
            "events",
            Kind::Inlines,
            "as [log]",
            "[{ target = \"site-errors.log\", level = \"warn\" }]",
            "Where what goes wrong with the same requests is told, in the form of nginx's error log: each `target` with the least `level` (emerg, alert, crit, error, warn, notice, info, debug). Where [log] has that form, they are not told there too.",
        ),
    ],
};

/// What one table says; `None` inherits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::config) struct Overlay {
    target: Option<LogTarget>,
    format: Option<AccessLogFormat>,
    redact: Option<Vec<String>>,
    escape: Option<Escape>,
    when: Option<Text>,
    also: Option<Vec<Overlay>>,
    events: Option<Vec<ErrorLog>>,
}

impl Overlay {
    /// What is in force where this table stands: what is inherited itself, where nothing is said.
    pub(in crate::config) fn over(self, inherited: &Arc<AccessLog>) -> Arc<AccessLog> {
        match self == Self::default() {
            true => inherited.clone(),
            false => Arc::new(self.filled(inherited)),
        }
    }

    fn filled(self, inherited: &AccessLog) -> AccessLog {
        let whole = AccessLog::off();
        let rest = match self.target {
            Some(_) => &whole,
            None => inherited,
        };
        let mut log = AccessLog {
            escape: self.escape.unwrap_or(rest.escape),
            when: self.when.or_else(|| rest.when.clone()),
            also: Vec::new(),
            events: self.events.unwrap_or_else(|| inherited.events.clone()),
            target: self.target.unwrap_or_else(|| inherited.target.clone()),
            format: self.format.unwrap_or_else(|| inherited.format.clone()),
            redact: self.redact.unwrap_or_else(|| inherited.redact.clone()),
        };
        log.also = match self.also {
            Some(also) => also
                .into_iter()
                .map(|one| AccessLog {
                    events: Vec::new(),
                    ..one.filled(&log)
                })
                .collect(),
            None => rest.also.clone(),
        };
        log
    }
}

/// Reads the table of the whole file, where defaults fill the gaps.
pub(in crate::config) fn read(reader: &Reader<'_>) -> Option<AccessLog> {
    let target = reader
        .text("target")
        .and_then(|text| log_target::target(reader, text));
    let format = reader
        .text("format")
        .and_then(|text| format_of(reader, text));
    let redact = reader
        .texts("redact")
        .and_then(|texts| redact_of(reader, texts));
    let further = further(reader);
    let log = AccessLog {
        target: target?,
        format: format?,
        redact: redact?,
        ..AccessLog::off()
    };
    let overlay = Overlay {
        target: Some(log.target.clone()),
        ..further?
    };
    Some(overlay.filled(&log))
}

/// What belongs to a target.
fn further(reader: &Reader<'_>) -> Option<Overlay> {
    let escape = reader.optional("escape", |reader, key| {
        let word = reader.word(key)?;
        Some(match &*word.value {
            "json" => Escape::Json,
            "none" => Escape::None,
            _ => Escape::Default,
        })
    });
    let when = reader.optional("when", |reader, key| {
        reader.field(key, |field| {
            text(field, Text::parse_with(field.text()?, reader.own()))
        })
    });
    let also: Vec<_> = reader
        .tables("also")?
        .into_iter()
        .map(|(table, span)| {
            let name = format!("`also` of {}", reader.name());
            let reader = reader.inner(&TABLE, name, (table, span));
            let overlay = read_overlay(&reader)?;
            match (
                &overlay.target,
                overlay.also.is_none() && overlay.events.is_none(),
            ) {
                (Some(_), true) => Some(overlay),
                (None, _) => reader.refuse(Diagnostic::error(
                    "bad-log-target",
                    reader.span(),
                    "a further log has no `target`",
                )),
                (_, false) => reader.refuse(Diagnostic::error(
                    "bad-log-target",
                    reader.span(),
                    "a further log has no further ones",
                )),
            }
        })
        .collect();
    let also: Option<Vec<_>> = also.into_iter().collect();
    let events = log_target::all(reader, "events")?;
    Some(Overlay {
        escape: escape?,
        when: when?.map(|at| at.value),
        also: Some(also?).filter(|also| !also.is_empty()),
        events: reader.typed("events").map(|_| events),
        ..Overlay::default()
    })
}

/// Reads the table of a site or a route, where what is missing is inherited.
pub(in crate::config) fn read_overlay(reader: &Reader<'_>) -> Option<Overlay> {
    let target = reader.optional("target", |r, key| {
        r.text(key).and_then(|text| log_target::target(r, text))
    });
    let format = reader.optional("format", |r, key| {
        r.text(key).and_then(|text| format_of(r, text))
    });
    let redact = reader.optional("redact", |r, key| {
        r.texts(key).and_then(|texts| redact_of(r, texts))
    });
    let further = further(reader);
    Some(Overlay {
        target: target?,
        format: format?,
        redact: redact?,
        ..further?
    })
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
