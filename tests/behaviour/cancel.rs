//! A client that leaves takes its upstream connection with it, within a second.

use std::time::Duration;

use crate::support::hubgate::HOST;
use crate::support::{Client, Conn, Fault, Hubgate, Upstream, eventually, within};

const SOON: Duration = Duration::from_secs(1);

/// Takes the request and then says nothing until the peer leaves.
fn silent(conn: &mut Conn) {
    if conn.request().is_some() {
        let _ = conn.closes_within(Duration::from_secs(20));
    }
}

/// Sends a first event and then nothing until the peer leaves.
fn one_event(conn: &mut Conn) {
    if conn.request().is_some() {
        conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n");
        let _ = conn.closes_within(Duration::from_secs(20));
    }
}

#[track_caller]
fn upstream_is_left_soon(upstream: &Upstream) {
    within(
        SOON,
        "the upstream is closed after the client has left",
        || upstream.open() == 0,
    );
}

#[test]
fn a_client_that_closes_while_waiting_for_the_head_cancels_the_upstream() {
    let upstream = Upstream::start(silent);
    let hubgate = Hubgate::before(upstream.addr);
    for (i, mut client) in [hubgate.plain(), hubgate.tls()].into_iter().enumerate() {
        client.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
        upstream.wait_requests(i + 1);
        drop(client);
        upstream_is_left_soon(&upstream);
    }
}

#[test]
fn a_client_that_resets_while_waiting_for_the_head_cancels_the_upstream() {
    let upstream = Upstream::start(silent);
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    client.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    upstream.wait_requests(1);
    client.0.reset();
    upstream_is_left_soon(&upstream);
}

fn reading_one_event(mut client: Client) -> Client {
    client.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    assert_eq!(client.head().unwrap().status(), 200);
    assert_eq!(
        client.chunk(&mut Vec::new()).unwrap().unwrap(),
        b"data: 1\n\n"
    );
    client
}

#[test]
fn a_client_that_leaves_an_event_stream_cancels_the_upstream() {
    let upstream = Upstream::start(one_event);
    let hubgate = Hubgate::before(upstream.addr);
    drop(reading_one_event(hubgate.plain()));
    upstream_is_left_soon(&upstream);
    drop(reading_one_event(hubgate.tls()));
    upstream_is_left_soon(&upstream);
    reading_one_event(hubgate.plain()).0.reset();
    upstream_is_left_soon(&upstream);
}

#[test]
fn an_http2_reset_cancels_the_upstream_before_and_after_the_head() {
    let silent = Upstream::start(silent);
    let events = Upstream::start(one_event);
    let toml = crate::support::hubgate::one_site(silent.addr, "")
        + &format!(
            "[[site.\"{HOST}\".route]]\npath = \"/events\"\nupstream = \"events\"\n[upstream.events]\nendpoints = [\"{}\"]\n",
            events.addr
        );
    let hubgate = Hubgate::start(&toml);
    let mut h2 = hubgate.h2();
    let stream = h2.open(h2.request("GET", "/"), true);
    silent.wait_requests(1);
    stream.cancel();
    upstream_is_left_soon(&silent);
    let mut stream = h2.open(h2.request("GET", "/events"), true);
    assert_eq!(stream.head().unwrap().0, 200);
    assert_eq!(stream.chunk().unwrap().unwrap(), "data: 1\n\n");
    stream.cancel();
    upstream_is_left_soon(&events);
}

#[test]
fn an_http2_connection_that_vanishes_cancels_all_its_upstreams() {
    let upstream = Upstream::start(one_event);
    let hubgate = Hubgate::before(upstream.addr);
    let mut h2 = hubgate.h2();
    let mut streams: Vec<_> = (0..5)
        .map(|_| h2.open(h2.request("GET", "/"), true))
        .collect();
    for stream in &mut streams {
        assert_eq!(stream.head().unwrap().0, 200);
    }
    h2.vanish();
    upstream_is_left_soon(&upstream);
    drop(streams);
}

#[test]
fn an_upload_its_client_gave_up_is_never_whole_at_the_upstream() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut expected = 0;
    for (framing, part) in [
        ("Content-Length: 10", "abc"),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n"),
        ("Transfer-Encoding: chunked", "9\r\nabc"),
    ] {
        for mut client in [hubgate.plain(), hubgate.tls()] {
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: hub.test\r\n{framing}\r\n\r\n{part}"
            ));
            expected += 1;
            upstream.wait_requests(expected);
            drop(client);
            upstream_is_left_soon(&upstream);
        }
    }
    let mut h2 = hubgate.h2();
    let mut stream = h2.open(h2.request("POST", "/"), false);
    stream.send("abc", false);
    upstream.wait_requests(expected + 1);
    stream.cancel();
    upstream_is_left_soon(&upstream);
    for request in upstream.requests() {
        assert!(
            matches!(request.complete, Some(Err(Fault::Closed(_)))),
            "{:?}",
            request.complete
        );
    }
}

#[test]
fn a_client_that_leaves_during_a_download_cancels_the_upstream() {
    let upstream = Upstream::start(|conn| {
        if conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(65536));
            while conn.try_send(&chunk).is_ok() {}
        }
    });
    let hubgate = Hubgate::before(upstream.addr);
    for mut client in [hubgate.plain(), hubgate.tls()] {
        client.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
        client.exactly(500_000).unwrap();
        drop(client);
        upstream_is_left_soon(&upstream);
    }
    let mut h2 = hubgate.h2();
    let mut stream = h2.open(h2.request("GET", "/"), true);
    stream.head().unwrap();
    stream.chunk().unwrap().unwrap();
    stream.cancel();
    upstream_is_left_soon(&upstream);
}

#[test]
fn cancelled_requests_leave_no_descriptor_behind() {
    let upstream = Upstream::start(silent);
    let hubgate = Hubgate::before(upstream.addr);
    let mut warm = hubgate.plain();
    warm.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    upstream.wait_requests(1);
    drop(warm);
    upstream_is_left_soon(&upstream);
    let before = hubgate.descriptors();
    for i in 0..20 {
        let mut client = hubgate.plain();
        client.send("POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 3\r\n\r\nabc");
        upstream.wait_requests(i + 2);
    }
    eventually("the descriptors are given back", || {
        hubgate.descriptors() <= before
    });
}
