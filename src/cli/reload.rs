//! `hubgate reload`: has the running process read its configuration again, and says what became of it.
//!
//! The faults it prints are the process's own: what counts is what it found in its file, not what is found here.

use http::{Method, StatusCode};

use super::client::{Answer, Failure};
use super::{Door, complain, exit, patience, print};
use crate::admin::{ReloadReport, StatusReport};

/// Reloads, or with `plan` says what a reload would change. Gives the exit code.
pub(super) fn run(door: &Door, plan: bool) -> u8 {
    let target = if plan { "/reload?plan=1" } else { "/reload" };
    let answer = match ask(door, target) {
        Ok(answer) => answer,
        Err(failure) => {
            complain(&format!("hubgate reload: {}", failure.text));
            return failure.code;
        }
    };
    match answer.status {
        StatusCode::OK => {
            let report = serde_json::from_str(&answer.body);
            match report {
                Ok(report) => {
                    let (out, warnings) = told(&report, plan);
                    complain(&warnings);
                    print(&out);
                }
                // Of another version; the reload itself went well.
                Err(_) => print(&answer.body),
            }
            exit::OK
        }
        StatusCode::UNPROCESSABLE_ENTITY => {
            complain(&answer.body);
            complain("hubgate reload: refused; what ran before still runs\n");
            exit::REFUSED
        }
        status => {
            complain(&format!(
                "hubgate reload: the process answered {status}: {}\n",
                answer.body.trim_end()
            ));
            exit::UNREACHABLE
        }
    }
}

/// Asks, and asks the process that has taken over meanwhile.
fn ask(door: &Door, target: &str) -> Result<Answer, Failure> {
    let answer = patience::ask(door, Method::POST, target, waits)?;
    match answer.status {
        StatusCode::CONFLICT => patience::ask(door, Method::POST, target, waits),
        _ => Ok(answer),
    }
}

/// What is said to whoever waits.
fn waits(status: &StatusReport) {
    complain(match status.status.upgrading {
        true => "hubgate reload: waiting: an upgrade is under way, the reload comes after it\n",
        false => "hubgate reload: waiting: the process is at work on it\n",
    });
}

/// The report for standard output, and its warnings for standard error.
fn told(report: &ReloadReport, plan: bool) -> (String, String) {
    let generation = report.generation;
    let mut out = match (plan, report.changes.is_empty()) {
        (false, false) => format!("reloaded: generation {generation} runs\n"),
        (false, true) => format!("reloaded: nothing changed, generation {generation} runs\n"),
        (true, false) => "a reload would change:\n".to_owned(),
        (true, true) => "a reload would change nothing\n".to_owned(),
    };
    for change in &report.changes {
        out.push_str(&format!("  {change}\n"));
    }
    let warnings = report.warnings.iter();
    // The process renders some as whole diagnostics, which say themselves that they are warnings.
    let warnings = warnings.map(|text| match text.starts_with("warning") {
        true => format!("{}\n", text.trim_end()),
        false => format!("warning: {}\n", text.trim_end()),
    });
    (out, warnings.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_without_changes_says_so() {
        let report = ReloadReport {
            generation: 4,
            ..ReloadReport::default()
        };
        assert_eq!(
            told(&report, false).0,
            "reloaded: nothing changed, generation 4 runs\n"
        );
        assert_eq!(told(&report, true).0, "a reload would change nothing\n");
    }

    #[test]
    fn changes_and_warnings_go_to_different_streams() {
        let report = ReloadReport {
            generation: 5,
            changes: vec!["site `a` is new".to_owned()],
            warnings: vec![
                "key is readable by others".to_owned(),
                "warning[x]: y\n".to_owned(),
            ],
        };
        let (out, warnings) = told(&report, false);
        assert_eq!(out, "reloaded: generation 5 runs\n  site `a` is new\n");
        assert_eq!(
            warnings,
            "warning: key is readable by others\nwarning[x]: y\n"
        );
    }
}
