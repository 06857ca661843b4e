//! Faults and warnings about a configuration: data, in the order of the text.
//!
//! `render` turns them into what people read. Codes are stable: goldens and users' searches rely on them.

use std::cell::RefCell;
use std::fmt;

use super::render::{self, Paint};
use super::source::{Source, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration works, but probably not as meant.
    Warning,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// The kind of fault: `unknown-upstream`.
    pub code: &'static str,
    /// What is wrong, with the values in backticks.
    pub message: String,
    /// Where; `None` is the file as a whole.
    pub span: Option<Span>,
    /// What to write at the caret; may be empty.
    pub label: String,
    /// Another place that matters, and what it is: "first used here".
    pub related: Option<(Span, String)>,
    /// What to do about it.
    pub hints: Vec<String>,
}

impl Diagnostic {
    /// A fault that refuses the configuration.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            span: Some(span),
            label: String::new(),
            related: None,
            hints: Vec::new(),
        }
    }

    /// Something that works but is probably not meant.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, span, message)
        }
    }

    /// A fault of the file as a whole.
    pub fn whole(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            span: None,
            ..Self::error(code, 0..0, message)
        }
    }

    /// Adds the text at the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds "did you mean `x`?" when there is an `x`.
    #[must_use]
    pub fn did_you_mean(mut self, nearest: Option<&str>) -> Self {
        self.hints
            .extend(nearest.map(|nearest| format!("did you mean `{nearest}`?")));
        self
    }

    /// Adds another place that matters.
    #[must_use]
    pub fn related(mut self, span: Span, what: impl Into<String>) -> Self {
        self.related = Some((span, what.into()));
        self
    }
}

/// Collects what the readers and checks of one configuration find.
#[derive(Debug, Default)]
pub(super) struct Sink(RefCell<Vec<Diagnostic>>);

impl Sink {
    /// Notes one.
    pub(super) fn push(&self, diagnostic: Diagnostic) {
        self.0.borrow_mut().push(diagnostic);
    }

    /// Notes it and says "no value".
    pub(super) fn refuse<T>(&self, diagnostic: Diagnostic) -> Option<T> {
        self.push(diagnostic);
        None
    }

    /// Everything noted so far.
    pub(super) fn into_inner(self) -> Vec<Diagnostic> {
        self.0.into_inner()
    }
}

/// All that was found in one configuration, in the order of its text.
///
/// As an error it stands for a refused configuration; its `Display` is the whole text without colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    source: Source,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Takes the text and what was found in it, in any order.
    pub fn new(source: Source, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by_key(|d| (d.span.as_ref().map(|s| s.start), d.severity));
        diagnostics.dedup();
        Self {
            source,
            diagnostics,
        }
    }

    /// What was found, in the order of the text.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The text they are about.
    pub fn source_text(&self) -> &Source {
        &self.source
    }

    /// How many are errors.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many are warnings.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// Every diagnostic with its excerpt, and a closing line that counts them; empty when there are none.
    pub fn render(&self, paint: Paint) -> String {
        render::report(self, paint)
    }

    fn count(&self, severity: Severity) -> usize {
        self.diagnostics
            .iter()
            .filter(|d| d.severity == severity)
            .count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Paint::Plain).trim_end())
    }
}

impl std::error::Error for Report {}
