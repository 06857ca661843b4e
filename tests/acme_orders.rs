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

use hubgate::acme::Listeners;
use hubgate::tls::Origin;
use support::orders::{Edge, HOST, hosts};
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
