//! Answers before the request has ended: 1xx, `Expect`, and final answers that do not wait for the body.

use std::time::Duration;

use crate::support::hubgate::HOST;
use crate::support::{Conn, Hubgate, Upstream, eventually};

#[test]
fn expect_100_continue_waits_for_the_upstreams_word() {
    let upstream = Upstream::start(|conn| {
        let head = conn.request_head().unwrap();
        if head.has("expect") {
            conn.send("HTTP/1.1 100 Continue\r\n\r\n");
        }
        conn.request_body(&head).unwrap();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    client.send(
        "PUT / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    );
    let go = client.head().expect("100 before the body is sent");
    assert_eq!(go.status(), 100);
    client.send("hello");
    let response = client.response();
    assert_eq!((response.text().as_str(), response.early.len()), ("ok", 0));
    assert_eq!(upstream.only_request().body.bytes, b"hello");
}

#[test]
fn a_refusal_instead_of_100_reaches_a_client_that_sent_no_body() {
    let upstream = Upstream::start(|conn| {
        conn.request_head().unwrap();
        conn.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        let _ = conn.rest();
    });
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    client.send(
        "PUT / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    );
    let response = client.response();
    assert_eq!(
        (
            response.status,
            response.text().as_str(),
            response.early.len()
        ),
        (403, "no", 0)
    );
}

const HINTED: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn early_hints_pass_to_http11_clients_and_not_to_http10_ones() {
    let upstream = Upstream::answering(HINTED);
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    for _ in 0..2 {
        let response = client.get(HOST, "/");
        assert_eq!((response.text().as_str(), response.early.len()), ("ok", 1));
        assert_eq!(response.early[0].status(), 103);
        assert_eq!(response.early[0].one("link"), "</a.css>; rel=preload");
    }
    let response = hubgate
        .plain()
        .exchange("GET / HTTP/1.0\r\nHost: hub.test\r\n\r\n");
    assert_eq!((response.text().as_str(), response.early.len()), ("ok", 0));
}

#[test]
fn early_hints_pass_to_http2_clients() {
    let upstream = Upstream::answering(HINTED);
    let hubgate = Hubgate::before(upstream.addr);
    let mut h2 = hubgate.h2();
    let mut stream = h2.open(h2.request("GET", "/"), true);
    let hint = stream.informational();
    assert_eq!(
        (hint.status().as_u16(), hint.headers()["link"].as_bytes()),
        (103, &b"</a.css>; rel=preload"[..])
    );
    assert_eq!(stream.whole().unwrap().text(), "ok");
}

#[test]
fn an_http2_client_that_waits_for_a_100_gets_the_upstreams() {
    let upstream = Upstream::start(|conn| {
        let head = conn.request_head().unwrap();
        assert_eq!(head.one("expect"), "100-continue");
        conn.send("HTTP/1.1 100 Continue\r\n\r\n");
        conn.request_body(&head).unwrap();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let hubgate = Hubgate::before(upstream.addr);
    let mut h2 = hubgate.h2();
    let request = h2.request("PUT", "/").header("expect", "100-continue");
    let mut stream = h2.open(request, false);
    assert_eq!(stream.informational().status().as_u16(), 100);
    stream.send("body", true);
    assert_eq!(stream.whole().unwrap().text(), "ok");
}

/// Answers 413 as soon as the head is there, and then takes the body for as long as it comes.
fn refuse_early(conn: &mut Conn) {
    while let Some(head) = conn.request_head() {
        conn.send("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nfull");
        if conn.request_body(&head).is_err() {
            return;
        }
    }
}

#[test]
fn an_answer_before_the_bodys_end_is_delivered_and_the_rest_is_not_a_request() {
    let upstream = Upstream::start(refuse_early);
    let hubgate = Hubgate::before(upstream.addr);
    for mut client in [hubgate.plain(), hubgate.tls()] {
        let before = upstream.requests().len();
        client.send("POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 100\r\n\r\n0123456789");
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (413, "full"));
        let smuggled = format!("{:<90}", "GET /smuggled HTTP/1.1\r\nHost: hub.test\r\n\r\n");
        let _ = client.try_send(smuggled);
        let _ = client.try_send("GET /honest HTTP/1.1\r\nHost: hub.test\r\n\r\n");
        let _ = client.try_response(false);
        for request in upstream.requests().iter().skip(before) {
            assert_ne!(request.head.target(), b"/smuggled");
        }
    }
}

#[test]
fn after_an_early_answer_the_rest_of_the_body_is_read_and_the_connection_goes_on() {
    let upstream = Upstream::start(|conn| {
        while let Some(head) = conn.request_head() {
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
            if conn.request_body(&head).is_err() {
                return;
            }
        }
    });
    let hubgate = Hubgate::before(upstream.addr);
    for (framing, begun, rest) in [
        ("Content-Length: 10", "01234", "56789"),
        (
            "Transfer-Encoding: chunked",
            "5\r\n01234\r\n",
            "5\r\n56789\r\n0\r\n\r\n",
        ),
    ] {
        let mut client = hubgate.plain();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: hub.test\r\n{framing}\r\n\r\n{begun}"
        ));
        let answer = client.response();
        assert_eq!((answer.status, answer.text().as_str()), (200, "early"));
        assert!(!answer.head.lists("connection", "close"));
        client.send(rest);
        assert_eq!(client.get(HOST, "/next").text(), "early");
        assert_eq!(upstream.last_request().head.target(), b"/next");
    }
    // Who waits for a 100 may never send its body.
    let answer = hubgate.plain().exchange(
        "POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    );
    assert!(answer.head.lists("connection", "close"));
}

#[test]
fn an_upstream_connection_with_an_unfinished_upload_is_not_used_again() {
    let upstream = Upstream::start(refuse_early);
    let hubgate = Hubgate::before(upstream.addr);
    for i in 0..5 {
        let mut client = hubgate.plain();
        client.send("POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 100\r\n\r\n0123456789");
        assert_eq!(client.response().status, 413);
        assert_eq!(upstream.last_request().connection, i);
    }
}

#[test]
fn a_client_that_keeps_sending_still_gets_the_early_answer() {
    let upstream = Upstream::start(refuse_early);
    let hubgate = Hubgate::before(upstream.addr);
    for mut client in [hubgate.plain(), hubgate.tls()] {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 1000000\r\n\r\n{}",
            "x".repeat(1_000_000)
        );
        let response = client.exchange(request);
        assert_eq!((response.status, response.text().as_str()), (413, "full"));
    }
}

#[test]
fn an_upstream_that_answers_and_closes_during_the_upload_is_heard() {
    let upstream = Upstream::start(|conn| {
        conn.request_head().unwrap();
        conn.send("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfull");
        conn.finish_sending();
        let _ = conn.closes_within(Duration::from_secs(10));
    });
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 3000000\r\n\r\n{}",
        "x".repeat(3_000_000)
    );
    let response = client.exchange(request);
    assert_eq!((response.status, response.text().as_str()), (413, "full"));
}

#[test]
fn an_early_answer_on_http2_ends_its_stream_and_leaves_the_others() {
    let upstream = Upstream::start(refuse_early);
    let hubgate = Hubgate::before(upstream.addr);
    let mut h2 = hubgate.h2();
    for i in 1..=3 {
        let mut stream = h2.open(h2.request("POST", "/"), false);
        stream.send("0123456789", false);
        let response = stream.whole().expect("an answer");
        assert_eq!(
            (response.status, response.text().as_str(), response.complete),
            (413, "full", Ok(()))
        );
        eventually("each came on its own connection", || {
            upstream.connections() == i
        });
    }
    eventually("unfinished uploads hold no connection", || {
        upstream.open() == 0
    });
}

#[test]
fn an_http2_client_that_sends_its_whole_body_after_the_answer_is_not_reset() {
    let upstream = Upstream::start(refuse_early);
    let hubgate = Hubgate::before(upstream.addr);
    let mut h2 = hubgate.h2();
    let mut stream = h2.open(h2.request("POST", "/"), false);
    stream.send("0123456789", false);
    assert_eq!(stream.head().expect("an answer").0, 413);
    while let Some(piece) = stream.chunk() {
        piece.expect("a whole answer");
    }
    for _ in 0..200 {
        let taken = stream.try_send(vec![b'x'; 16 * 1024], false);
        assert!(taken, "curl takes a reset for a failure");
    }
    assert!(stream.try_send("the end", true));
}
