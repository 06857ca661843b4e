//! A process that ends after any step of an order, as by SIGKILL or a power cut: fault 10.
//!
//! `HUBGATE_ACME_STOP_AT` ends a debug build after the step; every single write is tried in `acme_storage`.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use crate::support::gate::{Gate, authority};
use crate::support::orders::HOST;
use crate::support::pebble::Options;
use crate::support::{PATIENCE, within};

/// Every step of a first order, in its order.
const STEPS: [&str; 15] = [
    "precheck",
    "lease",
    "account",
    "key",
    "order",
    "authorize",
    "tokens",
    "ready",
    "validate",
    "finalize",
    "issue",
    "download",
    "verify",
    "store",
    "swap",
];
const SIGABRT: i32 = 6;

/// Runs it until it ends itself after `step`.
#[track_caller]
fn stopped_at(gate: &Gate, step: &str) {
    let mut command = gate.command(&["run"]);
    let mut running = gate.start(command.env("HUBGATE_ACME_STOP_AT", step));
    let status = running.ended();
    assert_eq!(status.signal(), Some(SIGABRT), "{step}: {}", running.log());
}

fn account_url(gate: &Gate) -> String {
    let text = fs::read_to_string(gate.account().join("account.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["url"].as_str().unwrap().to_owned()
}

#[test]
fn fault_10_a_kill_after_any_step_costs_no_second_order_account_or_key() {
    let (pebble, http) = authority(Options::default());
    for step in STEPS {
        let gate = Gate::new(&pebble, http);
        let (orders, issued) = (pebble.orders(), pebble.issued());
        stopped_at(&gate, step);
        let known = gate.account_known().then(|| account_url(&gate));
        let _again = gate.run();
        let served = gate.wait_served();
        assert_eq!(gate.wait_stored(), served, "{step}");
        // An authority that asks for the token while nobody is there ends the order itself; another is all that is left.
        let most = match step {
            "ready" | "validate" => 2,
            _ => 1,
        };
        let orders = pebble.orders() - orders;
        assert!(orders <= most, "{orders} orders after a kill at {step}");
        assert_eq!(pebble.issued() - issued, 1, "{step}");
        assert!(known.is_none_or(|url| url == account_url(&gate)), "{step}");
        assert!(
            most > 1 || !gate.file("g000002").exists(),
            "{step}: a second key"
        );
    }
}

#[test]
fn fault_10_a_process_that_is_killed_after_every_step_in_turn_ends_with_one_order() {
    let (pebble, http) = authority(Options::default());
    let gate = Gate::new(&pebble, http);
    // Not after the authority has been told, as it would find nobody.
    for step in [
        "lease",
        "account",
        "key",
        "order",
        "resume",
        "authorize",
        "tokens",
        "finalize",
        "download",
        "verify",
        "store",
    ] {
        stopped_at(&gate, step);
        assert!(pebble.orders() <= 1, "a second order at {step}");
    }
    let _again = gate.run();
    let served = gate.wait_served();
    assert_eq!(gate.wait_stored(), served);
    assert_eq!((pebble.orders(), pebble.issued()), (1, 1));
    assert_eq!(pebble.registrations(), 1);
}

#[test]
fn fault_10_a_kill_during_a_renewal_leaves_a_whole_certificate_to_be_served() {
    let (pebble, http) = authority(Options::default());
    for step in STEPS.into_iter().filter(|step| *step != "account") {
        let gate = Gate::new(&pebble, http);
        let first = gate.prepare();
        let mut command = gate.command(&["run"]);
        let mut running = gate.start(command.env("HUBGATE_ACME_STOP_AT", step));
        running.wait_ready();
        gate.wait_served();
        // It ends before it can answer.
        let (code, text) = gate.call(&["certs", "renew", HOST, "--force"]);
        assert_ne!(code, 0, "{step}: {text}");
        assert_eq!(running.ended().signal(), Some(SIGABRT), "{step}");
        let _again = gate.run();
        within(PATIENCE, "something is served", || gate.served().is_some());
        let (served, stored) = (gate.served().unwrap(), gate.stored().unwrap());
        assert_eq!(served, stored, "{step}");
        let stays = !["store", "swap"].contains(&step);
        assert_eq!(served == first, stays, "{step}");
    }
}
