//! Syntax errors as faults: the TOML parser's words, made plain where they are not.
//!
//! The parser goes on after an error, but guesses; so each line, and each table that is there twice, gets one fault.

use std::ops::Range;

use super::diagnostic::Diagnostic;
use super::source::{Source, Span};

/// Errors looked at: what is no TOML at all has one at every byte.
const MOST: usize = 1000;

/// What the parser found, once per line.
pub(super) fn faults(source: &Source, errors: &[toml::de::Error]) -> Vec<Diagnostic> {
    let mut errors: Vec<_> = errors
        .iter()
        .map(|error| (error.span().unwrap_or(0..0), error.message()))
        .collect();
    // Of two at one place, an open quote is the cause of whatever else is open.
    errors.sort_by_key(|(span, message)| (span.start, !message.contains("string")));
    let mut faults: Vec<Diagnostic> = Vec::new();
    let mut last_line = 0;
    let mut doubled = 0..0;
    for (span, message) in errors.into_iter().take(MOST) {
        let line = source.position(span.start).line;
        let duplicate = message == "duplicate key";
        if line == last_line || (duplicate && doubled.contains(&span.start)) {
            continue;
        }
        last_line = line;
        if duplicate && source.line(span.start).0.trim_start().starts_with('[') {
            doubled = section(source, span.start);
        }
        faults.push(match duplicate {
            true => double(source, span),
            false => plain(source, span, message),
        });
    }
    faults
}

fn double(source: &Source, span: Span) -> Diagnostic {
    let key = source.text().get(span.clone()).unwrap_or_default();
    let head = source.line(span.start).0.trim_start().starts_with('[');
    let fault = Diagnostic::error("duplicate-key", span, format!("`{key}` is there twice"));
    match key {
        "route" => fault.hint("write each route with double brackets, `[[site.\"HOST\".route]]`"),
        _ if head => fault.hint("put all keys of a table under one head"),
        _ => fault.hint("keep one"),
    }
}

fn plain(source: &Source, span: Span, message: &str) -> Diagnostic {
    let found = source.text().get(span.clone()).unwrap_or_default();
    let fault = |message: &str| Diagnostic::error("syntax", span.clone(), message);
    if message.starts_with("string values must be quoted") {
        return match found {
            "" => fault("a value is missing"),
            found => {
                fault(&format!("`{found}` is not in quotes")).hint(format!("write `\"{found}\"`"))
            }
        };
    }
    match message {
        "invalid basic string, expected `\"`" => {
            fault("a quote is not closed").label("here at the latest")
        }
        "unclosed table, expected `]`" => {
            fault("the head of a table is not closed").label("expected `]`")
        }
        "unclosed array, expected `]`" => fault("a list is not closed").label("expected `]`"),
        message => fault(message),
    }
}

/// The lines from the `[head]` before a byte to the next one.
pub(super) fn section(source: &Source, byte: usize) -> Range<usize> {
    let text = source.text();
    let mut start = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('[') {
            if at > byte {
                return start..at;
            }
            start = at;
        }
        at += line.len();
    }
    start..text.len() + 1
}
