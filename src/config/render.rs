//! Diagnostics as people read them: the place, an excerpt, a caret, advice.
//!
//! With colour for a terminal, plain for everything else. Control characters from the file are shown, never sent:
//! a configuration under test must not be able to drive the reader's terminal.

use std::fmt::Write as _;

use super::diagnostic::{Diagnostic, Report, Severity};
use super::source::{Source, Span};

/// Characters of a line shown around the caret.
const WIDTH: usize = 140;

/// Diagnostics shown; a file with more is not a configuration.
const MOST: usize = 100;

/// Whether the text carries terminal colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// No escape codes.
    Plain,
    /// ANSI colours.
    Color,
}

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Color => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }

    fn blue(self, text: &str) -> String {
        self.wrap("1;34", text)
    }

    fn severity(self, severity: Severity, text: &str) -> String {
        let code = match severity {
            Severity::Error => "1;31",
            Severity::Warning => "1;33",
        };
        self.wrap(code, text)
    }
}

/// The whole report.
pub(super) fn report(report: &Report, paint: Paint) -> String {
    let mut out = String::new();
    for diagnostic in report.diagnostics().iter().take(MOST) {
        one(&mut out, diagnostic, report.source_text(), paint);
        out.push('\n');
    }
    if let Some(more) = report
        .diagnostics()
        .len()
        .checked_sub(MOST)
        .filter(|more| *more > 0)
    {
        push(&mut out, format_args!("... and {more} more, not shown\n\n"));
    }
    let counts: Vec<String> = [(report.errors(), "error"), (report.warnings(), "warning")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}{}", if count == 1 { "" } else { "s" }))
        .collect();
    if !counts.is_empty() {
        let name = printable(report.source_text().name());
        out.push_str(&paint.wrap("1", &format!("{name}: {}", counts.join(", "))));
        out.push('\n');
    }
    out
}

fn one(out: &mut String, diagnostic: &Diagnostic, source: &Source, paint: Paint) {
    let word = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let head = paint.severity(diagnostic.severity, &format!("{word}[{}]", diagnostic.code));
    let message = paint.wrap("1", &printable(&diagnostic.message));
    push(out, format_args!("{head}: {message}\n"));
    match &diagnostic.span {
        Some(span) => excerpt(out, diagnostic, span, source, paint),
        None => push(
            out,
            format_args!("  {} {}\n", paint.blue("-->"), printable(source.name())),
        ),
    }
    if let Some((span, what)) = &diagnostic.related {
        let place = place(source, span);
        push(
            out,
            format_args!(
                "{}: {} at {place}\n",
                paint.wrap("1;32", "note"),
                printable(what)
            ),
        );
    }
    for hint in &diagnostic.hints {
        push(
            out,
            format_args!("{}: {}\n", paint.wrap("1;36", "hint"), printable(hint)),
        );
    }
}

fn excerpt(out: &mut String, diagnostic: &Diagnostic, span: &Span, source: &Source, paint: Paint) {
    let number = source.position(span.start).line.to_string();
    let margin = " ".repeat(number.len());
    let (line, place_of_line) = source.line(span.start);
    let from = span.start.clamp(place_of_line.start, place_of_line.end) - place_of_line.start;
    let to = span.end.clamp(place_of_line.start, place_of_line.end) - place_of_line.start;
    let (shown, before, marked) = window(line, from, to.max(from));
    let caret = paint.severity(diagnostic.severity, &"^".repeat(marked.max(1)));
    let label = match diagnostic.label.as_str() {
        "" => String::new(),
        label => format!(
            " {}",
            paint.severity(diagnostic.severity, &printable(label))
        ),
    };
    let bar = paint.blue("|");
    push(
        out,
        format_args!("{margin}{} {}\n", paint.blue("-->"), place(source, span)),
    );
    push(out, format_args!("{margin} {bar}\n"));
    push(out, format_args!("{} {bar} {shown}\n", paint.blue(&number)));
    push(
        out,
        format_args!("{margin} {bar} {}{caret}{label}\n", " ".repeat(before)),
    );
}

fn place(source: &Source, span: &Span) -> String {
    let position = source.position(span.start);
    format!(
        "{}:{}:{}",
        printable(source.name()),
        position.line,
        position.column
    )
}

/// The part of a line around `from..to`, made printable; how many characters come before the caret, and how many
/// carets there are.
fn window(line: &str, from: usize, to: usize) -> (String, usize, usize) {
    let (head, rest) = line.split_at_checked(from).unwrap_or((line, ""));
    let (marked, tail) = rest.split_at_checked(to - from).unwrap_or((rest, ""));
    let (head, mut marked, tail) = (printable(head), printable(marked), printable(tail));
    let mut shown = head.clone();
    let count = head.chars().count();
    if count > WIDTH / 2 {
        shown = format!(
            "…{}",
            head.chars().skip(count - WIDTH / 2).collect::<String>()
        );
    }
    let before = shown.chars().count();
    if marked.chars().count() > WIDTH {
        marked = marked.chars().take(WIDTH).collect();
    }
    let carets = marked.chars().count();
    shown.push_str(&marked);
    let room = WIDTH.saturating_sub(shown.chars().count());
    shown.extend(tail.chars().take(room));
    if tail.chars().count() > room {
        shown.push('…');
    }
    (shown, before, carets)
}

/// The text with tabs as spaces and other control characters as escapes.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str("    "),
            c if c.is_control() || is_bidi(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Characters that reorder the text around them.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    if out.write_fmt(arguments).is_err() {
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, diagnostic: Diagnostic) -> String {
        Report::new(
            Source::new("conf/edge.toml", "conf", text),
            vec![diagnostic],
        )
        .render(Paint::Plain)
    }

    #[test]
    fn the_caret_stands_under_the_value() {
        let text = "\n\nupstream = \"api\"\n";
        let found = shown(
            text,
            Diagnostic::error("unknown-upstream", 13..18, "no upstream `api`")
                .label("defined: `app`")
                .hint("look"),
        );
        assert_eq!(
            found,
            "error[unknown-upstream]: no upstream `api`\n --> conf/edge.toml:3:12\n  |\n3 | upstream = \"api\"\n  |            ^^^^^ defined: `app`\nhint: look\n\nconf/edge.toml: 1 error\n"
        );
    }

    #[test]
    fn escape_codes_in_the_file_do_not_reach_the_terminal() {
        let text = "a = \"\u{1b}[2J\"";
        assert!(!shown(text, Diagnostic::error("x", 0..1, text)).contains('\u{1b}'));
    }

    #[test]
    fn a_very_long_line_is_cut_around_the_caret() {
        let text = format!("{}X{}", "a".repeat(5000), "b".repeat(5000));
        let found = shown(&text, Diagnostic::error("x", 5000..5001, "long"));
        assert!(
            found.lines().all(|line| line.chars().count() < 200),
            "{found}"
        );
        assert!(found.contains("aX"));
    }

    #[test]
    fn a_report_without_end_is_cut_and_says_so() {
        let many = (0..MOST + 3)
            .map(|at| Diagnostic::error("x", at..at, "m"))
            .collect();
        let found = Report::new(Source::new("a", "", " ".repeat(200)), many).render(Paint::Plain);
        assert_eq!(found.matches("error[x]").count(), MOST);
        assert!(
            found.contains("and 3 more") && found.contains("103 errors"),
            "{found}"
        );
    }

    #[test]
    fn a_tab_before_the_caret_does_not_shift_it() {
        let found = shown("\tkey = 1", Diagnostic::error("x", 1..4, "m"));
        assert!(found.contains("1 |     key = 1\n  |     ^^^\n"), "{found}");
    }
}
