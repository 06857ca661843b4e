//! Connections to upstreams that are kept: which are used again, which never, and what is tried twice.

use std::time::{Duration, Instant};

use crate::support::hubgate::{HOST, one_site};
use crate::support::{Hubgate, Upstream, eventually};

/// Answers the first request of its first connection; that connection dies on its second request.
fn dies_on_reuse() -> Upstream {
    Upstream::start(|conn| {
        conn.answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
        if conn.number == 0 {
            conn.request();
            return;
        }
        while conn
            .answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain")
            .is_some()
        {}
    })
}

#[test]
fn a_get_on_a_kept_connection_that_died_is_tried_once_on_a_fresh_one() {
    let upstream = dies_on_reuse();
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    assert_eq!(client.get(HOST, "/a").text(), "first");
    assert_eq!(client.get(HOST, "/b").text(), "first");
    let got: Vec<_> = upstream
        .requests()
        .iter()
        .map(|r| (r.connection, String::from_utf8(r.head.target()).unwrap()))
        .collect();
    assert_eq!(
        got,
        [
            (0, "/a".to_owned()),
            (0, "/b".to_owned()),
            (1, "/b".to_owned())
        ]
    );
}

#[test]
fn a_post_on_a_kept_connection_that_died_is_not_sent_twice() {
    let upstream = dies_on_reuse();
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    assert_eq!(client.get(HOST, "/a").text(), "first");
    let response =
        client.exchange("POST /b HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(response.status, 502);
    assert_eq!(
        upstream
            .requests()
            .iter()
            .filter(|r| r.head.target() == b"/b")
            .count(),
        1
    );
}

#[test]
fn a_connection_the_upstream_closed_while_idle_is_not_used_for_a_post() {
    let upstream = Upstream::start(|conn| {
        conn.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    for _ in 0..20 {
        let response =
            client.exchange("POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(response.text(), "ok");
        eventually("the upstream has closed", || upstream.open() == 0);
    }
}

#[test]
fn connections_are_kept_and_given_up_after_their_idle_time() {
    let upstream = Upstream::saying("ok");
    let toml = one_site(upstream.addr, "") + "keep_alive_idle = \"2s\"\n";
    let hubgate = Hubgate::start(&toml);
    for _ in 0..5 {
        assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
    }
    assert_eq!(upstream.connections(), 1, "clients share a kept connection");
    let start = Instant::now();
    eventually("the idle connection is closed", || upstream.open() == 0);
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
}

#[test]
fn an_upstream_that_asks_to_close_gets_no_second_request() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    for i in 0..3 {
        let response = client.get(HOST, "/");
        assert_eq!(response.text(), "ok");
        assert!(
            !response.head.lists("connection", "close"),
            "the upstream's wish is not the client's"
        );
        assert_eq!(upstream.last_request().connection, i);
    }
}

#[test]
fn bytes_after_an_answers_end_are_never_taken_for_the_next_answer() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    );
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    for _ in 0..5 {
        let response = client.get(HOST, "/");
        assert_eq!(
            (response.text().as_str(), response.complete),
            ("ok", Ok(()))
        );
    }
}

#[test]
fn a_connection_on_which_an_upgrade_was_refused_is_never_used_again() {
    let upstream = Upstream::start(|conn| {
        while let Some(head) = conn.request() {
            let status = if head.has("upgrade") {
                "403 Forbidden"
            } else {
                "200 OK"
            };
            conn.send(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok"));
        }
    });
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    for _ in 0..5 {
        let refused = client.exchange(crate::support::websocket::handshake_request(HOST, "/", ""));
        assert_eq!(refused.status, 403);
        let tainted = upstream.last_request().connection;
        // The client's connection may be closed too; what counts is the upstream's.
        client = hubgate.plain();
        assert_eq!(
            client
                .exchange("POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 1\r\n\r\nx")
                .status,
            200
        );
        assert_ne!(upstream.last_request().connection, tainted);
    }
}
