//! Hosts that come and go, and reloads, while orders are under way: fault 22. (Handing the listeners over to a new process
//! comes with the upgrade; its part of this fault is shown there.)

use std::time::Duration;

use crate::support::fault_proxy::Fault;
use crate::support::gate::Scene;
use crate::support::orders::HOST;
use crate::support::{PATIENCE, eventually, within};

const A: &str = "a.example.test";

/// Two hosts; the order of [`A`] is held at the request to `path` until the reload.
fn held_at(path: &'static str) -> Scene {
    let scene = Scene::new(&[A, HOST]);
    scene.proxy.rule(path, 1, Fault::HoldAnswer);
    scene
}

#[test]
fn fault_22_a_host_removed_during_its_order_gets_nothing_served_and_the_order_goes_on_when_it_is_back()
 {
    let scene = held_at("/finalize-order/");
    let (pebble, directory) = (&scene.pebble, &scene.proxy.directory_url);
    let running = scene.gate.run();
    within(PATIENCE, "the order is held", || {
        scene.proxy.seen("/finalize-order/") >= 1
    });
    let held = scene.gate.file_of(A, "order.json").exists();
    let (gone, stays) = if held { (A, HOST) } else { (HOST, A) };
    scene.gate.sites(pebble, directory, &[stays]);
    scene.gate.reload();
    scene.gate.wait_served_for(stays);
    assert_eq!(scene.gate.served_for(gone), None);
    assert!(scene.gate.file_of(gone, "order.json").exists());
    let line = format!("\"host\":\"{gone}\"");
    assert!(running.events("acme.issued", &[&line]).is_empty());
    scene.gate.sites(pebble, directory, &[A, HOST]);
    scene.gate.reload();
    scene.gate.wait_served_for(gone);
    running.wait_event("acme.order.resume", &[&line], 1);
    assert_eq!((pebble.orders(), pebble.issued()), (2, 2));
}

#[test]
fn fault_22_reloads_during_an_order_neither_end_it_nor_its_tokens() {
    // The authority asks for the token some seconds after the reloads.
    let options = crate::support::pebble::Options {
        sleep: 6,
        ..crate::support::pebble::Options::default()
    };
    let scene = Scene::with(&[HOST], options);
    let running = scene.gate.run();
    within(PATIENCE, "the authority is told", || {
        scene.proxy.seen("/chalZ/") >= 1
    });
    for _ in 0..5 {
        scene.gate.reload();
    }
    scene.gate.wait_served();
    assert!(running.events("acme.order.failed", &[]).is_empty());
    assert_eq!((scene.pebble.orders(), scene.pebble.issued()), (1, 1));
}

#[test]
fn fault_22_a_reload_by_signal_that_changes_the_authority_during_an_order_orders_there() {
    let scene = held_at("/finalize-order/");
    let other = crate::support::pebble::Pebble::start(scene.gate.http.port());
    let running = scene.gate.run();
    within(PATIENCE, "an order is held", || {
        scene.proxy.seen("/finalize-order/") >= 1
    });
    scene.gate.sites(&other, &other.directory_url, &[A, HOST]);
    let pid = running.child.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-HUP", &pid])
        .status();
    assert!(sent.unwrap().success());
    within(PATIENCE, "both have theirs from the other", || {
        other.issued() == 2
    });
    eventually("both are served", || {
        [A, HOST]
            .iter()
            .all(|host| scene.gate.served_for(host).is_some())
    });
    assert!(
        running
            .events("acme.order.failed", &["\"input\""])
            .is_empty()
    );
    std::thread::sleep(Duration::from_millis(500)); // there is nothing to wait for
    assert_eq!(other.issued(), 2);
}
