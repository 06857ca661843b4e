//! The units in packaging/systemd: systemd takes them without a word, and they shut out what hubgate does not need.
//!
//! Asks the systemd that is installed. One too old for `Type=notify-reload` (before 253) is asked about the unit for it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a check that cannot ask systemd must fail"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tenths; `systemd-analyze security` goes from 0 to 100.
const MOST_EXPOSED: u32 = 15;

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging/systemd")
        .join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(unit(name)).unwrap()
}

/// The service units this systemd knows all of.
fn services() -> Vec<&'static str> {
    let said = Command::new("systemd-analyze").arg("--version").output();
    let said = said.unwrap_or_else(|error| {
        panic!("systemd-analyze: {error}; tests/install.sh test installs it")
    });
    let said = String::from_utf8(said.stdout).unwrap();
    let version = said.split_whitespace().nth(1).unwrap();
    let version: u32 = version.split(['.', '~']).next().unwrap().parse().unwrap();
    match version {
        ..253 => vec!["older/hubgate.service"],
        _ => vec!["hubgate.service", "older/hubgate.service"],
    }
}

#[test]
fn the_two_services_differ_only_in_how_a_reload_is_asked_for() {
    let lines = |name| -> Vec<String> {
        let text = text(name);
        let setting = |line: &&str| !line.starts_with('#') && !line.is_empty();
        text.lines().filter(setting).map(str::to_owned).collect()
    };
    let (new, old) = (lines("hubgate.service"), lines("older/hubgate.service"));
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        let missing = |line: &&String| !those.contains(line);
        these.iter().filter(missing).cloned().collect()
    };
    assert_eq!(only(&new, &old), ["Type=notify-reload"]);
    assert_eq!(
        only(&old, &new),
        ["Type=notify", "ExecReload=/usr/bin/hubgate reload"]
    );
}

#[test]
fn a_service_is_not_exposed_more_than_it_has_to_be() {
    for name in services() {
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager"])
            .arg(format!("--threshold={MOST_EXPOSED}"))
            .arg(unit(name))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}:\n{said}");
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    for name in services() {
        let dir = tempfile::tempdir().unwrap();
        // The program is not installed here; any other does.
        let here = |text: String| text.replace("/usr/bin/hubgate", "/bin/true");
        let service = dir.path().join("hubgate.service");
        fs::write(&service, here(text(name))).unwrap();
        let socket = dir.path().join("hubgate.socket");
        fs::write(&socket, text("hubgate.socket")).unwrap();
        let output = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .args([&service, &socket])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{name}: {said}");
    }
}
