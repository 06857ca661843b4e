//! Every kind of fault, as a file and what is said about it.
//!
//! `tests/goldens/config/NAME.toml` is refused with the text in `NAME.stderr`; those in `warnings/` are accepted with
//! it. `HUBGATE_BLESS=1` writes the texts anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hubgate::config::{Paint, Report, Severity, Source, parse};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/config")
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    cases.sort();
    cases
}

/// What is said about a file, and whether it is refused.
fn judge(case: &Path) -> (Report, bool) {
    let name = case.file_name().unwrap().to_str().unwrap();
    let source = Source::new(name, "/etc/hubgate", std::fs::read_to_string(case).unwrap());
    match parse(&source) {
        Ok(loaded) => (loaded.report, false),
        Err(report) => (report, true),
    }
}

/// Compares with the text beside the file, or writes it; gives what differs.
fn compare(case: &Path, report: &Report) -> Option<String> {
    let golden = case.with_extension("stderr");
    let found = report.render(Paint::Plain);
    if std::env::var_os("HUBGATE_BLESS").is_some() {
        std::fs::write(&golden, &found).unwrap();
    }
    let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
    (wanted != found).then(|| format!("{}: wanted\n{wanted}\nfound\n{found}", case.display()))
}

#[test]
fn every_faulty_file_is_refused_with_its_text() {
    let mut wrong = Vec::new();
    for case in cases(&folder()) {
        let (report, refused) = judge(&case);
        assert!(
            refused && report.errors() > 0,
            "{} is accepted",
            case.display()
        );
        wrong.extend(compare(&case, &report));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_dubious_file_is_accepted_with_a_warning() {
    let mut wrong = Vec::new();
    for case in cases(&folder().join("warnings")) {
        let (report, refused) = judge(&case);
        assert!(!refused, "{} is refused: {report}", case.display());
        let name = case.file_stem().unwrap().to_str().unwrap();
        assert!(
            report.diagnostics().iter().any(|d| d.code == name),
            "{name}: {report}"
        );
        wrong.extend(compare(&case, &report));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn at_least_30_kinds_of_fault_are_told_apart() {
    let codes: BTreeSet<_> = cases(&folder())
        .iter()
        .flat_map(|case| judge(case).0.diagnostics().to_vec())
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(|diagnostic| diagnostic.code)
        .collect();
    assert!(codes.len() >= 30, "{}: {codes:?}", codes.len());
}

#[test]
fn every_fault_of_a_file_comes_out_in_one_run_and_in_its_order() {
    let (report, _) = judge(&folder().join("many-at-once.toml"));
    let starts: Vec<_> = report
        .diagnostics()
        .iter()
        .map(|d| d.span.as_ref().map(|span| span.start))
        .collect();
    assert!(report.errors() >= 18, "{}", report.errors());
    assert!(starts.is_sorted());
}

#[test]
fn every_fault_says_where_it_is() {
    for case in cases(&folder()) {
        let (report, _) = judge(&case);
        for diagnostic in report.diagnostics() {
            assert!(
                diagnostic.span.is_some() || diagnostic.code == "no-site",
                "{}: {diagnostic:?}",
                case.display()
            );
        }
    }
}
