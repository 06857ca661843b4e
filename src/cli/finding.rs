//! What the doctors find, how bad it is and what to do about it; how that is shown, and the exit code that says it.
//!
//! Shared by `hubgate doctor` and `hubgate certs doctor`, so that both say things alike.

use serde::Serialize;

use super::{complain, exit, print};

/// The end of a doctor's `--help`.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  all is well
  1  something wants attention, or the configuration was refused
  2  something is broken and cannot work like this, or the command line is wrong";

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    Fine,
    Unknown,
    Attention,
    Broken,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// A host, an endpoint, `state directory`, `authority`.
    pub(super) about: String,
    pub(super) found: String,
    /// What to do; empty when all is well.
    pub(super) fix: String,
}

impl Finding {
    pub(super) fn fine(about: &str, found: impl Into<String>) -> Self {
        Self::of(Level::Fine, about, found, "")
    }

    pub(super) fn of(
        level: Level,
        about: &str,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            level,
            about: about.to_owned(),
            found: found.into(),
            fix: fix.into(),
        }
    }
}

/// Each on a line of its own, with what to do below it.
pub(super) fn told(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let level = match finding.level {
            Level::Fine => "ok     ",
            Level::Unknown => "unknown",
            Level::Attention => "look   ",
            Level::Broken => "BROKEN ",
        };
        out.push_str(&format!("{level}  {}: {}\n", finding.about, finding.found));
        if !finding.fix.is_empty() {
            out.push_str(&format!("         fix: {}\n", finding.fix));
        }
    }
    out
}

/// Prints a value for scripts.
pub(super) fn print_json(command: &str, value: &(impl Serialize + ?Sized)) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&format!("{text}\n")),
        Err(error) => complain(&format!("{command}: {error}\n")),
    }
}

/// What the worst of them means.
pub(super) fn exit_code(findings: &[Finding]) -> u8 {
    match findings.iter().map(|finding| finding.level).max() {
        Some(Level::Broken) => exit::USAGE,
        Some(Level::Attention) => exit::REFUSED,
        _ => exit::OK,
    }
}
