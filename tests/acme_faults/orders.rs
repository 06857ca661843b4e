//! Orders that take long, answers that are lost or wrong: faults 1, 2, 3 and 14.

use std::time::Duration;

use hubgate::tls::self_signed::generate_pem;
use hubgate::types::host::HostPattern;

use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::gate::{Clock, Scene};
use crate::support::orders::{Edge, HOST};
use crate::support::pebble::{Options, Pebble};
use crate::support::{PATIENCE, events, eventually, within};

#[test]
fn fault_01_every_second_nonce_refused_costs_no_second_order() {
    let edge = Edge::new();
    let options = Options {
        bad_nonces: 50,
        ..Options::default()
    };
    let pebble = Pebble::start_with(edge.http_port, options);
    let running = edge.run(&pebble, &[HOST]);
    running.wait_for_certificate(HOST);
    assert_eq!(pebble.issued(), 1);
}

#[test]
fn fault_01_a_nonce_refused_three_times_is_only_another_try_of_the_same_step() {
    let scene = Scene::new(&[HOST]);
    let bad = Fault::problem(400, "badNonce", "");
    scene.proxy.rule("/order-plz", 3, bad);
    let running = scene.gate.run();
    scene.gate.wait_served();
    assert_eq!(running.events("acme.order.failed", &[]).len(), 0);
    assert_eq!(scene.proxy.seen("/order-plz"), 4);
    assert_eq!((scene.pebble.orders(), scene.pebble.issued()), (1, 1));
}

#[test]
fn fault_01_a_step_is_tried_five_times_at_most_however_often_its_nonce_is_refused() {
    let scene = Scene::new(&[HOST]);
    let bad = Fault::problem(400, "badNonce", "");
    scene.proxy.rule("/order-plz", 1000, bad);
    let running = scene.gate.run_by(Clock::Moved);
    let failure = running.wait_failure(HOST, 1);
    assert_eq!(failure.text("class"), "ca_unavailable");
    let tries = scene.proxy.seen("/order-plz");
    assert!((2..=5).contains(&tries), "{tries} tries");
    scene.proxy.mend();
    scene.gate.pass_until(failure.next(), Duration::ZERO);
    scene.gate.wait_served();
    assert_eq!((scene.pebble.orders(), scene.pebble.issued()), (1, 1));
}

/// An order that the authority says is in this state for longer than anybody waits.
fn an_order_that_stays(state: &'static str, retry_after: Option<u32>, path: &'static str) {
    /// So many seconds of hubgate's are one of ours.
    const FAST: u32 = 10;
    let scene = Scene::new(&[HOST]);
    let stays = match retry_after {
        Some(seconds) => Fault::StatusFor(state, seconds),
        None => Fault::Status(state),
    };
    scene.proxy.rule(path, 1000, stays.clone());
    if path != "/my-order/" {
        scene.proxy.rule("/my-order/", 1, Fault::Status("ready"));
        scene.proxy.rule("/my-order/", 1000, stays);
    }
    let running = scene.gate.run_by(Clock::Fast(FAST));
    let failure = running.wait_failure(HOST, 1);
    assert_eq!(failure.text("class"), "ca_unavailable");
    let detail = failure.text("detail");
    assert!(
        detail.contains(&format!("still {state} after 90 s")),
        "{detail}"
    );
    let hits = scene.proxy.hits();
    let looks: Vec<_> = hits
        .iter()
        .filter(|hit| hit.path.starts_with("/my-order/"))
        .collect();
    let waits: Vec<f64> = looks
        .windows(2)
        .map(|pair| pair[1].begun.duration_since(pair[0].ended).as_secs_f64() * f64::from(FAST))
        .collect();
    let whole: f64 = waits.iter().sum();
    assert!(whole > 75.0 && waits.len() < 30, "{waits:?}");
    if let Some(seconds) = retry_after {
        // What the authority says counts, within what anybody waits.
        let least = f64::from(seconds.min(8)) - 1.0;
        assert!(waits[1..].iter().all(|wait| *wait > least), "{waits:?}");
    }
    assert!(scene.gate.file("order.json").exists());
    assert_eq!(scene.pebble.orders(), 1);
    drop(running);
    scene.proxy.mend();
    let again = scene.gate.run();
    scene.gate.wait_served();
    again.wait_event("acme.order.resume", &[HOST], 1);
    scene.gate.wait_stored();
    assert_eq!((scene.pebble.orders(), scene.pebble.issued()), (1, 1));
}

#[test]
fn fault_02_an_order_that_stays_pending_is_given_up_after_90_seconds_and_resumed_later() {
    an_order_that_stays("pending", None, "/my-order/");
}

#[test]
fn fault_02_a_pending_order_with_retry_after_600_is_looked_at_every_8_seconds_for_90() {
    an_order_that_stays("pending", Some(600), "/my-order/");
}

#[test]
fn fault_02_an_authority_that_takes_fifteen_seconds_to_validate_is_waited_for() {
    let options = Options {
        sleep: 15,
        ..Options::default()
    };
    let scene = Scene::with(&[HOST], options);
    let running = scene.gate.run();
    scene.gate.wait_served();
    assert_eq!(running.events("acme.order.failed", &[]).len(), 0);
    let looks = scene.proxy.seen("/my-order/");
    assert!(looks < 20, "{looks} looks");
}

#[test]
fn fault_03_an_order_that_stays_processing_is_resumed_with_the_key_on_disk() {
    an_order_that_stays("processing", Some(5), "/finalize-order/");
}

#[test]
fn fault_03_an_order_that_is_processed_for_long_ends_with_its_certificate() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    proxy.rule("/finalize-order/", 1, Fault::Status("processing"));
    let running = edge.run_at(&pebble, &proxy.directory_url, &[HOST]);
    within(PATIENCE, "it is finalized", || {
        proxy.seen("/finalize-order/") == 1
    });
    proxy.rule("/my-order/", 3, Fault::Status("processing"));
    running.wait_for_certificate(HOST);
    assert_eq!((pebble.orders(), pebble.issued()), (1, 1));
}

#[test]
fn fault_03_a_lost_answer_to_finalize_does_not_lose_the_certificate() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    proxy.rule("/finalize-order/", 1, Fault::LoseAnswer);
    let running = edge.run_at(&pebble, &proxy.directory_url, &[HOST]);
    running.wait_for_certificate(HOST);
    assert_eq!((pebble.orders(), pebble.issued()), (1, 1));
}

#[test]
fn fault_14_a_chain_that_is_cut_or_not_ours_is_never_stored_and_asked_for_again() {
    // All tests of this binary share their log.
    const OWN: &str = "chain.example.test";
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    let foreign = generate_pem(&[HostPattern::parse(OWN).unwrap()]);
    proxy.rule("/certZ/", 1, Fault::Cut);
    proxy.rule("/certZ/", 1, Fault::Body(foreign.unwrap().chain));
    let running = edge.run_at(&pebble, &proxy.directory_url, &[OWN]);
    running.wait_for_certificate(OWN);
    let line = ["acme.order.failed", "step=\"verify\"", OWN];
    eventually("both are told", || events::count(&line) == 2);
    assert_eq!((pebble.orders(), pebble.issued()), (1, 1));
}

#[test]
fn fault_14_a_certificate_for_another_host_is_not_served_even_if_the_authority_made_it() {
    let scene = Scene::new(&["a.example.test"]);
    let other = {
        let _running = scene.gate.run();
        scene.gate.wait_served_for("a.example.test");
        let chain = scene.gate.file_of("a.example.test", "current/chain.pem");
        eventually("it is stored", || chain.exists());
        std::fs::read_to_string(chain).unwrap()
    };
    scene.proxy.rule("/certZ/", 1000, Fault::Body(other));
    let directory = &scene.proxy.directory_url;
    scene.gate.sites(&scene.pebble, directory, &[HOST]);
    let running = scene.gate.run();
    assert_eq!(running.wait_failure(HOST, 1).text("step"), "verify");
    assert_eq!(scene.gate.served(), None);
    assert!(!scene.gate.file("current").exists());
}
