//! What is looked at before an order, how many orders there may be, and certificates that come from elsewhere.
//!
//! The ACME worker before Debian's Pebble, as in `acme`; commands and the real listeners are in `acme_storage`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "a broken assumption should stop the test"
)]

mod support;

use std::time::Duration;

use hubgate::acme::{Listeners, Outcome, Renew, State};
use hubgate::tls::Origin;
use support::fault_proxy::FaultProxy;
use support::orders::{Edge, HOST, Running, hosts};
use support::pebble::Pebble;
use support::{events, eventually};

#[test]
fn nothing_is_ordered_while_our_own_listener_does_not_answer_challenges() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let other = support::Upstream::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let mut settings = edge.settings(&pebble, &pebble.directory_url);
    settings.listeners = Listeners {
        http: vec![other.addr],
        https: Vec::new(),
    };
    let running = edge.run_with(settings, &[HOST]);
    eventually("it has tried again and again", || {
        running.worker.status().iter().any(|row| row.failures >= 3)
    });
    let error = running.status(HOST).last_error.unwrap();
    for part in ["precheck", &*other.addr.to_string(), "404"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let line = [
        "ERROR",
        "acme.order.failed",
        "precheck",
        &*other.addr.to_string(),
        "next=",
    ];
    eventually("it is logged with the next attempt", || {
        events::count(&line) >= 3
    });
    assert_eq!((pebble.registrations(), pebble.orders()), (0, 0));
    assert_eq!(running.served(HOST).origin, Origin::Placeholder);
    // A reload that mends the listener is all it takes.
    let settings = edge.settings(&pebble, &pebble.directory_url);
    running.worker.reconfigure(settings, hosts(&[HOST]));
    running.wait_for_certificate(HOST);
    assert_eq!((pebble.orders(), pebble.issued()), (1, 1));
}

/// Wishes for another certificate, as `hubgate certs renew` does.
fn renew(running: &Running, wish: Renew) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let wishes = running.worker.wishes();
    runtime
        .unwrap()
        .block_on(wishes.renew(&hosts(&[HOST])[0], wish))
}

#[test]
fn a_fifth_certificate_in_a_week_is_the_last_but_for_replacements_in_the_authoritys_window() {
    let mut edge = Edge::new();
    edge.delays.poll = [Duration::from_millis(300), Duration::from_millis(300)];
    edge.delays.nap = Duration::from_millis(50);
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    proxy.renewal_window("2100-01-01T00:00:00Z", "2100-01-02T00:00:00Z", "21600");
    let now = time::OffsetDateTime::now_utc();
    let day = Duration::from_secs(86_400);
    let issued: Vec<_> = (1..=5u32)
        .map(|ago| {
            let at = (now - day * ago).unix_timestamp() * 1000;
            serde_json::json!({"directory": proxy.directory_url, "at_unix_ms": at})
        })
        .rev()
        .collect();
    let history = serde_json::json!({"version": 1, "issued": issued});
    std::fs::create_dir_all(edge.file(HOST, "")).unwrap();
    std::fs::write(edge.file(HOST, "history.json"), history.to_string()).unwrap();

    let running = edge.run_at(&pebble, &proxy.directory_url, &[HOST]);
    eventually("it waits", || {
        running
            .worker
            .status()
            .iter()
            .any(|row| row.state == State::Backoff)
    });
    let row = running.status(HOST);
    let wait = row.next_attempt.unwrap() - now;
    assert!(wait > day && wait < day * 3, "{wait}");
    assert!(row.last_error.unwrap().contains("within a week"));
    let line = ["WARN", "acme.week.used", HOST, "next="];
    eventually("it is logged", || events::count(&line) == 1);
    let refused = renew(&running, Renew::default()).unwrap_err();
    assert!(refused.contains("--force"), "{refused}");
    assert_eq!(proxy.orders().len(), 0);

    let force = true;
    renew(
        &running,
        Renew {
            force,
            ..Renew::default()
        },
    )
    .unwrap();
    let first = running.wait_for_certificate(HOST);
    assert_eq!(proxy.orders().len(), 1);
    let only_due = true;
    let not_due = renew(
        &running,
        Renew {
            only_due,
            ..Renew::default()
        },
    );
    assert!(not_due.unwrap().contains("not due before"));
    // What the authority itself asks for is exempt.
    proxy.renewal_window("2020-01-01T00:00:00Z", "2020-01-01T01:00:00Z", "21600");
    eventually("it is replaced", || {
        running.served(HOST).leaf.serial != first.leaf.serial
    });
    assert!(proxy.orders()[1].get("replaces").is_some());
    // But not for ever: a window that stays in the past ends at ten in a week.
    eventually("it has had ten", || proxy.orders().len() == 5);
    eventually("it waits again", || {
        running.status(HOST).state == State::Backoff
    });
    assert_eq!(proxy.orders().len(), 5);
}

#[test]
fn a_rehearsal_counts_at_staging_and_leaves_what_is_served_alone() {
    let edge = Edge::new();
    let (production, staging) = (Pebble::start(edge.http_port), Pebble::start(edge.http_port));
    let mut settings = edge.settings(&production, &production.directory_url);
    settings.authorities[0].staging = Some(staging.directory_url.clone());
    let both = edge.state.path().join("both.pem");
    let roots = [&production, &staging].map(|one| std::fs::read_to_string(&one.ca_file).unwrap());
    std::fs::write(&both, roots.concat()).unwrap();
    settings.authorities[0].ca_file = Some(both);
    let running = edge.run_with(settings, &[HOST]);
    let served = running.wait_for_certificate(HOST);
    let used = || {
        let accounts = std::fs::read_dir(edge.state.path().join("acme/accounts")).unwrap();
        let limits = accounts.flatten().map(|account| {
            let text = std::fs::read_to_string(account.path().join("limits.json")).unwrap();
            let limits: serde_json::Value = serde_json::from_str(&text).unwrap();
            limits["orders_unix_ms"].as_array().unwrap().len()
        });
        let mut used: Vec<_> = limits.collect();
        used.sort_unstable();
        used
    };
    assert_eq!(used(), [1]);
    for _ in 0..2 {
        let at_staging = true;
        let done = renew(
            &running,
            Renew {
                at_staging,
                ..Renew::default()
            },
        );
        assert!(done.unwrap().contains("would issue"));
    }
    assert_eq!(used(), [1, 2], "staging has a record of its own");
    assert_eq!((production.issued(), staging.issued()), (1, 2));
    assert_eq!(running.served(HOST), served);
}

#[test]
fn a_certificate_that_another_process_stores_is_served_without_a_reload() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let one = edge.run(&pebble, &[HOST]);
    let first = one.wait_for_certificate(HOST);
    // As if by another process: nothing but the store is shared.
    let other = edge.run(&pebble, &[HOST]);
    assert_eq!(other.served(HOST), first);
    eventually("it looks after the host", || {
        other
            .worker
            .status()
            .iter()
            .any(|row| row.next_attempt.is_some())
    });
    renew(&other, Renew::default()).unwrap();
    let second = other.served(HOST);
    assert_ne!(second, first);
    eventually("the first serves it too", || one.served(HOST) == second);
    eventually("its row says so", || {
        one.status(HOST).serial.as_ref() == Some(&second.leaf.serial)
    });
    assert_eq!(pebble.issued(), 2);
    // What is not valid now does not take the place of what is.
    let folder = edge.file(HOST, "g000009");
    std::fs::create_dir_all(&folder).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    let old = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("chain.pem"), old.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    let pointer = edge.file(HOST, "current-new");
    std::os::unix::fs::symlink("g000009", &pointer).unwrap();
    std::fs::rename(&pointer, edge.file(HOST, "current")).unwrap();
    eventually("both say so", || {
        events::count(&["WARN", "acme.kept", HOST]) >= 2
    });
    assert_eq!(
        (one.served(HOST), other.served(HOST)),
        (second.clone(), second)
    );
}
