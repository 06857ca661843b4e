//! Authorities that do not answer, or answer nonsense: faults 7 and 8.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::gate::{Clock, Gate, Scene, authority};
use crate::support::orders::{Edge, HOST};
use crate::support::pebble::{Options, Pebble};
use crate::support::{PATIENCE, eventually, tls, within};

/// So many seconds of hubgate's are one of ours.
const FAST: u32 = 10;

/// Whatever is asked for meets a fault until the authority counts as down; then it is there again.
#[track_caller]
fn is_down_for_a_while(set: impl Fn(&FaultProxy), hangs: bool) {
    let scene = Scene::new(&[HOST, "b.example.test"]);
    set(&scene.proxy);
    // A request that hangs ends after 30 s, of which nobody waits for more than some.
    let clock = if hangs {
        Clock::Fast(FAST)
    } else {
        Clock::Moved
    };
    let running = scene.gate.run_by(clock);
    let closed = if hangs {
        running.wait_event("acme.ca.closed", &[], 1)
    } else {
        // Both hosts wait half a minute after each failure.
        within(PATIENCE, "the authority counts as down", || {
            scene.gate.pass(Duration::from_secs(31));
            std::thread::sleep(Duration::from_millis(200)); // a few looks at the clock
            !running.events("acme.ca.closed", &[]).is_empty()
        });
        running.wait_event("acme.ca.closed", &[], 1)
    };
    assert_eq!(closed.text("class"), "ca_unavailable");
    for failure in running.events("acme.order.failed", &[]) {
        assert_eq!(failure.text("class"), "ca_unavailable", "{failure:?}");
    }
    // While it is down, it is tried by one host at a time.
    let tries = scene.proxy.hits().len();
    assert!(tries <= 8, "{tries} requests");
    scene.proxy.mend();
    if hangs {
        scene.gate.wait_served();
    } else {
        within(PATIENCE, "it is asked again", || {
            scene.gate.pass(Duration::from_secs(31));
            std::thread::sleep(Duration::from_millis(200)); // a few looks at the clock
            scene.gate.served().is_some()
        });
        running.wait_event("acme.ca.up", &[], 1);
    }
    scene.gate.wait_stored();
    // The name is not to blame: nothing was counted against it.
    assert!(!scene.gate.file("backoff.json").exists());
    assert_eq!(
        running
            .events("acme.order.failed", &["\"validation\""])
            .len(),
        0
    );
    assert!(scene.pebble.orders() <= 2);
}

#[test]
fn fault_07_an_authority_that_answers_503_in_html_is_left_alone_until_it_recovers() {
    let html = Fault::Answer {
        head: "503 Service Unavailable\r\nContent-Type: text/html\r\n".to_owned(),
        body: "<html>down for maintenance</html>".to_owned(),
    };
    is_down_for_a_while(|proxy| proxy.rule("/", 1000, html.clone()), false);
}

#[test]
fn fault_07_an_authority_that_answers_500_is_left_alone_until_it_recovers() {
    let problem = Fault::problem(500, "serverInternal", "");
    is_down_for_a_while(|proxy| proxy.rule("/", 1000, problem.clone()), false);
}

#[test]
fn fault_07_an_authority_that_resets_connections_is_left_alone_until_it_recovers() {
    is_down_for_a_while(|proxy| proxy.rule("/", 1000, Fault::Reset), false);
}

#[test]
fn fault_07_an_authority_that_does_not_speak_tls_is_left_alone_until_it_recovers() {
    is_down_for_a_while(|proxy| proxy.break_tls(1000), false);
}

#[test]
fn fault_07_an_authority_that_hangs_for_a_minute_is_left_alone_until_it_recovers() {
    is_down_for_a_while(|proxy| proxy.rule("/", 1000, Fault::Hang), true);
}

#[test]
fn fault_07_orders_and_signing_requests_that_hang_once_lead_to_one_order() {
    let scene = Scene::new(&[HOST]);
    for path in ["/order-plz", "/finalize-order/"] {
        scene.proxy.rule(path, 1, Fault::Hang);
    }
    let running = scene.gate.run_by(Clock::Fast(FAST));
    scene.gate.wait_served();
    for failure in running.events("acme.order.failed", &[]) {
        assert_eq!(failure.text("class"), "ca_unavailable", "{failure:?}");
        assert!(failure.text("detail").contains("30 s"), "{failure:?}");
    }
    assert_eq!((scene.pebble.orders(), scene.pebble.issued()), (1, 1));
}

#[test]
fn fault_07_connections_that_are_cut_and_refused_do_no_harm() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    for path in [
        "/dir",
        "/nonce-plz",
        "/sign-me-up",
        "/order-plz",
        "/authZ/",
        "/chalZ/",
        "/certZ/",
    ] {
        proxy.rule(path, 1, Fault::Reset);
    }
    let running = edge.run_at(&pebble, &proxy.directory_url, &[HOST]);
    running.wait_for_certificate(HOST);
    assert_eq!((pebble.orders(), pebble.issued()), (1, 1));
}

#[test]
fn fault_07_an_authority_that_fails_is_left_alone_by_every_host_at_once() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    proxy.rule("/dir", 1000, Fault::problem(500, "serverInternal", "60"));
    let names: Vec<String> = (0..20).map(|n| format!("h{n}.example.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let running = edge.run_at(&pebble, &proxy.directory_url, &names);
    eventually("it has been asked", || proxy.seen("/dir") >= 1);
    eventually("all have heard", || {
        let now = time::OffsetDateTime::now_utc();
        let waits = |at: time::OffsetDateTime| at - now > Duration::from_secs(45);
        let rows = running.worker.status();
        rows.len() == 20 && rows.iter().all(|row| row.next_attempt.is_some_and(waits))
    });
    let seen = proxy.seen("/dir");
    assert!(seen <= 4, "{seen} requests for 20 hosts");
}

#[test]
fn fault_08_a_directory_that_is_down_at_the_start_delays_nothing_and_is_found_within_a_minute() {
    let (mut pebble, http) = authority(Options::default());
    pebble.down();
    let gate = Gate::new(&pebble, http);
    let running = gate.run_by(Clock::Fast(FAST));
    running.wait_failure(HOST, 1);
    // The placeholder is served.
    assert!(tls::handshake(gate.https, HOST, tls::config(&[])).is_ok());
    pebble.up();
    let up = Instant::now();
    gate.wait_served();
    let seconds = up.elapsed().as_secs() * u64::from(FAST);
    // A minute, and what a busy machine takes for one order.
    assert!(seconds < 60 + 100, "{seconds} s");
    let failures = running.events("acme.order.failed", &[]);
    assert!(failures.len() <= 3, "{failures:?}");
}

#[test]
fn fault_08_a_stored_certificate_is_served_at_once_while_the_directory_is_down() {
    let (mut pebble, http) = authority(Options::default());
    let gate = Gate::new(&pebble, http);
    let stored = gate.prepare();
    pebble.down();
    // The best of three: this machine may have other things to do.
    let took = (0..3).map(|_| {
        let start = Instant::now();
        let _running = gate.run();
        eventually("it listens", || TcpStream::connect(gate.https).is_ok());
        let took = start.elapsed();
        assert_eq!(gate.served().as_ref(), Some(&stored));
        took
    });
    let took = took.min().unwrap();
    assert!(took < Duration::from_secs(1), "{took:?}");
}
