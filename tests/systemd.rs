//! The service under a real systemd, PID 1 of namespaces of its own: start, reload, upgrade, restart, activation, watchdog.
//!
//! tests/systemd/boot boots it, tests/systemd/scenario.py is what happens there. Needs root and a systemd on this machine;
//! without them each test says loudly that it shows nothing, and fails in CI.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/skip.rs"]
mod skip;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What is missing to boot a systemd in namespaces of its own.
fn missing() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("root");
    }
    if !Path::new("/lib/systemd/systemd").exists() {
        return Some("systemd (`tests/install.sh test` installs it)");
    }
    let spaces = [
        "--fork",
        "--pid",
        "--mount",
        "--cgroup",
        "--net",
        "--mount-proc",
        "true",
    ];
    let made = Command::new("unshare")
        .args(spaces)
        .stderr(Stdio::null())
        .status();
    match made {
        Ok(made) if made.success() => None,
        _ => Some("the right to make namespaces (in a container: a privileged one)"),
    }
}

#[track_caller]
fn shows(scenario: &str) {
    if !skip::can_be_shown(missing()) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let program = std::env::var_os("HUBGATE").unwrap_or(env!("CARGO_BIN_EXE_hubgate").into());
    let output = Command::new(here("tests/systemd/boot"))
        .args([dir.path().as_os_str(), "300".as_ref(), "python3".as_ref()])
        .arg("-B")
        .arg(here("tests/systemd/scenario.py"))
        .arg(scenario)
        .args([program, here("packaging/systemd").into()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

macro_rules! scenarios {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            shows(stringify!($name));
        })+
    };
}

scenarios! {
    starts_when_clients_are_served
    reload_keeps_every_connection_and_tells_why_it_was_refused
    upgrade_makes_the_successor_the_main_process
    restart_keeps_the_sockets
    socket_activation_starts_it_with_the_first_connection
    watchdog_ends_a_process_with_a_stuck_worker
    a_killed_process_is_started_again_and_nobody_is_refused
    a_process_killed_while_its_successor_is_on_trial_leaves_one_that_serves
    a_successor_that_dies_while_the_old_process_drains_is_replaced_and_nobody_is_refused
    debians_own_unit_of_nginx_runs_hubgate_in_nginxs_place
}
