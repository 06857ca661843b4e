//! `hubgate check` answers with its exit code, for scripts and for systemd.
//!
//! Runs the binary itself; what it says about each fault is in `config_faults`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn check(file: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hubgate"))
        .args(["check", "-c"])
        .arg(file)
        .args(more)
        .output()
        .unwrap()
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn a_good_file_exits_0_and_is_summed_up() {
    let output = check(&at("conf/examples/ska.toml"), &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("1 site, 2 routes, 2 upstreams"),
        "{output:?}"
    );
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_refused_file_exits_1_and_says_where() {
    let output = check(&at("tests/goldens/config/unknown-upstream.toml"), &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("unknown-upstream.toml:5:12") && said.contains("did you mean `api-v2`?"),
        "{said}"
    );
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn warnings_alone_exit_0_and_are_said() {
    let output = check(
        &at("tests/goldens/config/warnings/unused-upstream.toml"),
        &[],
    );
    assert_eq!(output.status.code(), Some(0));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("warning[unused-upstream]"),
        "{output:?}"
    );
}

#[test]
fn a_missing_file_exits_1() {
    let output = check(Path::new("/nonexistent/hubgate.toml"), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("cannot read"),
        "{output:?}"
    );
}

#[test]
fn what_explain_prints_passes_the_check_again() {
    let output = check(&at("conf/examples/two-hosts.toml"), &["--explain"]);
    assert_eq!(output.status.code(), Some(0));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("explained.toml");
    std::fs::write(&file, &output.stdout).unwrap();
    let again = check(&file, &["--explain"]);
    assert_eq!(again.stdout, output.stdout);
}
