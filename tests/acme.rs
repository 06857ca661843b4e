//! Certificates from a real authority, Debian's Pebble: issued, kept, resumed, retried.
//!
//! Port 80 is a few lines here that answer from the token map, so that only `acme` is under test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "a broken assumption should stop the test"
)]

mod support;

use std::time::{Duration, Instant};

use hubgate::acme::{Renew, State};
use hubgate::tls::Origin;
use hubgate::types::host::HostPattern;
use support::fault_proxy::{Fault, FaultProxy};
use support::orders::{Edge, HOST, hosts, mode};
use support::pebble::{Options, Pebble};
use support::{eventually, within};

#[test]
fn a_certificate_is_ordered_verified_stored_and_swapped_in() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let running = edge.run(&pebble, &[HOST, "127.0.0.1"]);
    assert_eq!(running.served(HOST).origin, Origin::Placeholder);
    let served = running.wait_for_certificate(HOST);
    running.wait_for_certificate("127.0.0.1");
    assert!(served.leaf.covers(&HostPattern::parse(HOST).unwrap()));
    eventually("status is told", || {
        running.status(HOST).state == State::Valid
    });
    let status = running.status(HOST);
    assert_eq!(status.not_after, Some(served.leaf.not_after));
    eventually("the renewal is planned", || {
        running.status(HOST).next_attempt.is_some()
    });
    let renewal = running.status(HOST).next_attempt.unwrap();
    assert!(renewal < served.leaf.not_after && renewal > served.leaf.not_before);
    eventually("tokens are gone", || edge.tokens.is_empty());
    assert_eq!(mode(&edge.file(HOST, "current/key.pem")), 0o600);
    assert_eq!(mode(&edge.file(HOST, "current")), 0o700);
    assert_eq!(mode(&edge.state.path().join("acme")), 0o700);
    assert!(!edge.file(HOST, "order.json").exists());
    assert_eq!(pebble.issued(), 2);
    let chain = std::fs::read_to_string(edge.file(HOST, "current/chain.pem")).unwrap();
    assert!(
        chain.matches("BEGIN CERTIFICATE").count() >= 2,
        "leaf and intermediate"
    );
    assert!(pebble.issuing_root().contains("BEGIN CERTIFICATE"));
}

#[test]
fn a_restart_serves_the_stored_certificate_and_orders_nothing() {
    let edge = Edge::new();
    let mut pebble = Pebble::start(edge.http_port);
    let first = edge.run(&pebble, &[HOST]).wait_for_certificate(HOST);
    let orders = pebble.orders();
    let again = edge.run(&pebble, &[HOST]);
    assert_eq!(again.served(HOST), first);
    eventually("the task has looked at it", || {
        again
            .worker
            .status()
            .iter()
            .any(|row| row.next_attempt.is_some())
    });
    assert_eq!(again.status(HOST).state, State::Valid);
    drop(again);
    assert_eq!(pebble.orders(), orders);
    pebble.down();
    assert_eq!(
        edge.run(&pebble, &[HOST]).served(HOST),
        first,
        "the authority is not needed"
    );
}

#[test]
fn fault_08_a_start_does_not_wait_for_an_authority_that_is_down_and_asks_it_again() {
    let edge = Edge::new();
    let mut pebble = Pebble::stopped(edge.http_port, Options::default());
    let start = Instant::now();
    let running = edge.run(&pebble, &[HOST]);
    assert_eq!(running.served(HOST).origin, Origin::Placeholder);
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    eventually("it has failed twice", || {
        running.worker.status().iter().any(|row| row.failures >= 2)
    });
    let error = running.status(HOST).last_error.unwrap();
    assert!(error.contains("refused"), "{error}");
    pebble.up();
    running.wait_for_certificate(HOST);
    assert_eq!(pebble.issued(), 1);
    eventually("the failures are forgotten", || {
        running.status(HOST).failures == 0
    });
    assert!(!edge.file(HOST, "backoff.json").exists());
}

#[test]
fn fault_03_an_order_cut_between_finalize_and_download_ends_with_one_certificate() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    proxy.rule("/finalize-order/", 1, Fault::HoldAnswer);
    let running = edge.run_at(&pebble, &proxy.directory_url, &[HOST]);
    eventually("the order is finalized", || {
        proxy.seen("/finalize-order/") == 1
    });
    drop(running); // as a kill would: nothing is written on the way out
    assert!(edge.file(HOST, "order.json").exists());
    let again = edge.run_at(&pebble, &proxy.directory_url, &[HOST]);
    assert_eq!(again.served(HOST).origin, Origin::Placeholder);
    again.wait_for_certificate(HOST);
    assert_eq!((pebble.orders(), pebble.issued()), (1, 1));
    assert_eq!(pebble.registrations(), 1);
}

#[test]
fn fault_10_a_worker_stopped_at_any_moment_ends_with_one_certificate() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    for moment in 0..12 {
        let host = format!("h{moment}.example.test");
        let running = edge.run(&pebble, &[&host]);
        std::thread::sleep(Duration::from_millis(moment * 12)); // not to wait for something: to stop anywhere
        drop(running);
        edge.run(&pebble, &[&host]).wait_for_certificate(&host);
        let complete = std::fs::read_dir(edge.file(&host, "")).unwrap().flatten();
        let complete = complete
            .filter(|entry| {
                entry.path().join("chain.pem").exists() && entry.file_name() != "current"
            })
            .count();
        assert_eq!(complete, 1, "{host}");
    }
    assert_eq!(pebble.issued(), 12);
    assert!(edge.tokens.is_empty());
}

#[test]
fn fault_18_an_authority_that_forgot_the_account_gets_the_same_key_again() {
    let edge = Edge::new();
    let mut pebble = Pebble::start(edge.http_port);
    edge.run(&pebble, &[HOST]).wait_for_certificate(HOST);
    let account = std::fs::read_dir(edge.state.path().join("acme/accounts"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let key = std::fs::read(account.join("key.pem")).unwrap();
    pebble.down();
    pebble.up();
    edge.run(&pebble, &[HOST, "b.example.test"])
        .wait_for_certificate("b.example.test");
    assert_eq!(pebble.registrations(), 1);
    assert_eq!(std::fs::read(account.join("key.pem")).unwrap(), key);
}

#[test]
fn a_certificate_is_renewed_before_it_ends_and_served_at_once() {
    let edge = Edge::new();
    let options = Options {
        validity: 6,
        ..Options::default()
    };
    let pebble = Pebble::start_with(edge.http_port, options);
    let running = edge.run(&pebble, &[HOST]);
    let first = running.wait_for_certificate(HOST);
    eventually("it is renewed", || {
        running.served(HOST).leaf.serial != first.leaf.serial
    });
    assert!(time::OffsetDateTime::now_utc() < first.leaf.not_after);
    assert!(
        edge.file(HOST, "g000001/chain.pem").exists(),
        "the old generation is kept"
    );
}

#[test]
fn fault_22_a_reload_adds_and_removes_hosts_and_keeps_the_others_as_they_are() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let running = edge.run(&pebble, &["a.example.test", "b.example.test"]);
    let kept = running.wait_for_certificate("a.example.test");
    running.wait_for_certificate("b.example.test");
    let settings = edge.settings(&pebble, &pebble.directory_url);
    running
        .worker
        .reconfigure(settings, hosts(&["a.example.test", "c.example.test"]));
    assert_eq!(running.served("a.example.test"), kept);
    assert!(
        running
            .certificates
            .get(&HostPattern::parse("b.example.test").unwrap())
            .is_none()
    );
    assert_eq!(running.served("c.example.test").origin, Origin::Placeholder);
    running.wait_for_certificate("c.example.test");
    assert_eq!(running.served("a.example.test"), kept);
    eventually("the status follows", || {
        let names: Vec<String> = running
            .worker
            .status()
            .iter()
            .map(|row| row.host.to_string())
            .collect();
        names == ["a.example.test", "c.example.test"]
    });
    assert_eq!(pebble.issued(), 3);
}

#[test]
fn another_authority_replaces_the_certificate_of_the_one_before() {
    let edge = Edge::new();
    let staging = Pebble::start(edge.http_port);
    let running = edge.run(&staging, &[HOST]);
    let first = running.wait_for_certificate(HOST);
    let production = Pebble::start(edge.http_port);
    running.worker.reconfigure(
        edge.settings(&production, &production.directory_url),
        hosts(&[HOST]),
    );
    assert_eq!(
        running.served(HOST),
        first,
        "served until the other has issued"
    );
    eventually("the other authority issues", || {
        running.served(HOST).leaf.serial != first.leaf.serial
    });
    assert_eq!(production.issued(), 1);
}

#[test]
fn fault_09_nothing_is_ordered_while_keys_cannot_be_saved() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let blocked = edge.state.path().join("acme");
    std::fs::write(&blocked, "in the way").unwrap();
    let running = edge.run(&pebble, &[HOST]);
    eventually("it fails again and again", || {
        running.worker.status().iter().any(|row| row.failures >= 3)
    });
    assert_eq!(pebble.orders(), 0);
    assert_eq!(running.served(HOST).origin, Origin::Placeholder);
    std::fs::remove_file(&blocked).unwrap();
    running.wait_for_certificate(HOST);
}

#[test]
fn fault_09_a_certificate_that_cannot_be_saved_is_served_and_saved_later_without_another_order() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let current = edge.file(HOST, "current");
    std::fs::create_dir_all(current.join("in the way")).unwrap();
    let running = edge.run(&pebble, &[HOST]);
    let served = running.wait_for_certificate(HOST);
    eventually("it is told", || {
        let row = running.status(HOST);
        row.state == State::Backoff
            && row
                .last_error
                .is_some_and(|error| error.contains("current"))
    });
    assert!(edge.file(HOST, "order.json").exists());
    // Between two attempts: the next one finds the pair whole on the disk, and must not order another.
    let failures = running.status(HOST).failures;
    eventually("it fails once more", || {
        running.status(HOST).failures > failures
    });
    std::fs::remove_dir_all(&current).unwrap();
    eventually("it is saved", || current.join("chain.pem").exists());
    eventually("the order is done", || {
        !edge.file(HOST, "order.json").exists()
    });
    assert_eq!(running.served(HOST), served);
    assert_eq!((pebble.orders(), pebble.issued()), (1, 1));
    eventually("the failure is forgotten", || {
        running.status(HOST).failures == 0
    });
}

#[test]
fn settings_with_unreadable_roots_are_refused() {
    let edge = Edge::new();
    let pebble = Pebble::stopped(edge.http_port, Options::default());
    let mut settings = edge.settings(&pebble, &pebble.directory_url);
    settings.check().unwrap();
    settings.authorities[0].ca_file = Some(edge.state.path().join("none.pem"));
    assert!(
        settings
            .check()
            .unwrap_err()
            .to_string()
            .contains("none.pem")
    );
}

#[test]
fn fault_01_many_bad_nonces_and_many_hosts_still_end_with_one_certificate_each() {
    let edge = Edge::new();
    let options = Options {
        bad_nonces: 30,
        reuse: 100,
        ..Options::default()
    };
    let pebble = Pebble::start_with(edge.http_port, options);
    let names: Vec<String> = (0..12).map(|n| format!("n{n}.example.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let running = edge.run(&pebble, &names);
    within(Duration::from_secs(30), "all have theirs", || {
        names
            .iter()
            .all(|name| running.served(name).origin == Origin::Acme)
    });
    assert_eq!(pebble.issued(), 12);
}

#[test]
#[ignore = "measures: cargo test --release --test acme -- --ignored --nocapture issuance"]
fn issuance_with_a_known_account_is_timed() {
    let edge = Edge::new();
    let options = Options {
        reuse: 0,
        ..Options::default()
    };
    let pebble = Pebble::start_with(edge.http_port, options);
    let running = edge.run(&pebble, &[HOST]);
    running.wait_for_certificate(HOST);
    let seconds = || running.worker.counts().order_time.sum;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut times: Vec<f64> = (0..20)
        .map(|_| {
            let before = seconds();
            let renewed = running.worker.wishes();
            runtime
                .block_on(renewed.renew(
                    &hosts(&[HOST])[0],
                    Renew {
                        force: true,
                        ..Renew::default()
                    },
                ))
                .unwrap();
            (seconds() - before) * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "issuance with a known account, ms: least {:.0}, median {:.0}, most {:.0} of {}",
        times[0],
        times[times.len() / 2],
        times[times.len() - 1],
        times.len()
    );
}
