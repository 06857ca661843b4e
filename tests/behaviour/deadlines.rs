//! How long a client may take for each step, and that whoever is served is not cut.

use std::time::{Duration, Instant};

use crate::support::h2_frames::{self, END_STREAM, HEADERS, frame};
use crate::support::hubgate::{HOST, one_site};
use crate::support::{Client, Hubgate, Upstream, eventually};

fn with(upstream: &Upstream, more: &str) -> Hubgate {
    Hubgate::start(&(one_site(upstream.addr, "") + more))
}

#[test]
fn a_head_that_drips_gets_408_when_its_time_is_up_however_steadily_it_comes() {
    let upstream = Upstream::saying("no");
    let hubgate = with(&upstream, "[timeouts]\nhead = \"500ms\"\n");
    for connect in [Hubgate::plain, Hubgate::tls] {
        let mut client = connect(&hubgate);
        let start = Instant::now();
        for byte in
            b"GET / HTTP/1.1\r\nHost: hub.test\r\nX-Slow: abcdefghijklmnopqrstuvwxyz".chunks(1)
        {
            if client.try_send(byte).is_err() || start.elapsed() > Duration::from_millis(400) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20)); // the drip is what is tested
        }
        let response = client.response();
        assert_eq!(response.status, 408);
        assert!(
            response.text().contains("head_timeout"),
            "{}",
            response.text()
        );
        assert!(client.closes_within(Duration::from_secs(2)));
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
    }
}

#[test]
fn the_time_for_a_head_begins_anew_with_each_request() {
    let upstream = Upstream::saying("ok");
    let hubgate = with(
        &upstream,
        "[timeouts]\nhead = \"600ms\"\nkeep_alive = \"5s\"\n",
    );
    let mut client = hubgate.plain();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(400)); // idle, not part of a head
        client.send("GET / HTTP/1.1\r\n");
        std::thread::sleep(Duration::from_millis(300)); // within the head's time
        client.send("Host: hub.test\r\n\r\n");
        assert_eq!(client.response().text(), "ok");
    }
    client.send("GET / HTTP/1.1\r\n");
    assert_eq!(client.response().status, 408);
}

#[test]
fn a_body_that_stops_arriving_gets_408_and_is_never_whole_at_the_upstream() {
    let upstream = Upstream::saying("no");
    let hubgate = with(&upstream, "[timeouts]\nbody = \"400ms\"\n");
    for (connect, framing, part) in [
        (
            Hubgate::plain as fn(&Hubgate) -> _,
            "Content-Length: 10",
            "abc",
        ),
        (Hubgate::tls, "Transfer-Encoding: chunked", "3\r\nabc\r\n"),
    ] {
        let mut client: Client = connect(&hubgate);
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: hub.test\r\n{framing}\r\n\r\n{part}"
        ));
        let response = client.response();
        assert_eq!(response.status, 408);
        assert!(
            response.text().contains("body_timeout"),
            "{}",
            response.text()
        );
        assert!(client.closes_within(Duration::from_secs(2)));
    }
    let mut h2 = hubgate.h2();
    let mut stream = h2.open(h2.request("POST", "/"), false);
    stream.send("abc", false);
    if let Ok(response) = stream.whole() {
        assert_eq!(response.status, 408);
    }
    eventually("the upstream is left", || upstream.open() == 0);
    assert!(
        upstream
            .requests()
            .iter()
            .all(|r| r.complete != Some(Ok(())))
    );
}

#[test]
fn an_idle_connection_is_closed_without_a_word_after_keep_alive() {
    let upstream = Upstream::saying("ok");
    let hubgate = with(&upstream, "[timeouts]\nkeep_alive = \"400ms\"\n");
    for connect in [Hubgate::plain, Hubgate::tls] {
        let mut client = connect(&hubgate);
        assert_eq!(client.get(HOST, "/").text(), "ok");
        let start = Instant::now();
        assert_eq!(client.rest().0, b"");
        assert!(
            start.elapsed() > Duration::from_millis(300)
                && start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
    }
}

#[test]
fn a_connection_on_which_nothing_is_ever_sent_is_closed() {
    let upstream = Upstream::saying("ok");
    let hubgate = with(
        &upstream,
        "[timeouts]\nkeep_alive = \"400ms\"\nhead = \"400ms\"\nhandshake = \"400ms\"\n",
    );
    assert!(
        hubgate.plain().closes_within(Duration::from_secs(3)),
        "plain"
    );
    assert!(
        hubgate.tls().closes_within(Duration::from_secs(3)),
        "after the handshake"
    );
    assert!(
        h2_frames::connect(hubgate.https, HOST).closes_within(Duration::from_secs(3)),
        "without the preface"
    );
}

#[test]
fn half_an_http2_preface_is_cut() {
    let upstream = Upstream::saying("ok");
    let hubgate = with(
        &upstream,
        "[timeouts]\nkeep_alive = \"400ms\"\nhead = \"400ms\"\n",
    );
    let mut wire = h2_frames::connect(hubgate.https, HOST);
    wire.send(&h2_frames::PREFACE[..10]);
    assert!(
        wire.closes_within(Duration::from_secs(3)),
        "after half a preface"
    );
}

#[test]
fn a_handshake_that_does_not_end_is_cut() {
    let upstream = Upstream::saying("ok");
    let hubgate = with(&upstream, "[timeouts]\nhandshake = \"400ms\"\n");
    for bytes in [
        b"".as_slice(),
        b"\x16",
        b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03",
    ] {
        let mut client = Client::plain(hubgate.https);
        client.send(bytes);
        let start = Instant::now();
        assert!(client.closes_within(Duration::from_secs(3)), "{bytes:?}");
        assert!(start.elapsed() > Duration::from_millis(300));
    }
}

#[test]
fn an_http2_connection_without_streams_is_closed_after_keep_alive() {
    let upstream = Upstream::saying("ok");
    let hubgate = with(&upstream, "[timeouts]\nkeep_alive = \"400ms\"\n");
    let mut h2 = hubgate.h2();
    assert_eq!(h2.get("/").text(), "ok");
    assert!(h2.closes_within(Duration::from_secs(4)));
}

#[test]
fn an_http2_head_that_does_not_end_is_cut() {
    let upstream = Upstream::saying("ok");
    let hubgate = with(
        &upstream,
        "[timeouts]\nhead = \"400ms\"\nkeep_alive = \"1s\"\n",
    );
    let mut wire = h2_frames::open(hubgate.https, HOST);
    wire.send(frame(
        HEADERS,
        END_STREAM,
        1,
        &h2_frames::block(&[(":method", b"GET")]),
    ));
    assert!(wire.closes_within(Duration::from_secs(5)));
}

/// An upstream that sends for as long as anyone takes.
fn endless() -> Upstream {
    Upstream::start(|conn| {
        if conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(65536));
            while conn.try_send(&chunk).is_ok() {}
        }
    })
}

#[test]
fn a_client_that_takes_nothing_is_dropped_after_the_write_timeout() {
    let upstream = endless();
    let hubgate = with(&upstream, "[timeouts]\nwrite = \"500ms\"\n");
    let mut plain = Client::plain_with_small_window(hubgate.http);
    plain.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    upstream.wait_requests(1);
    eventually("the upstream of the stalled HTTP/1 client is left", || {
        upstream.open() == 0
    });
    let mut tls = hubgate.tls();
    tls.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    upstream.wait_requests(2);
    eventually("the upstream of the stalled TLS client is left", || {
        upstream.open() == 0
    });
    let mut h2 = hubgate.h2();
    let mut stream = h2.open(h2.request("GET", "/"), true);
    stream.head().unwrap();
    upstream.wait_requests(3);
    eventually("the upstream of the stalled HTTP/2 stream is left", || {
        upstream.open() == 0
    });
}

#[test]
fn a_client_that_takes_slowly_but_steadily_is_kept() {
    let upstream = endless();
    let hubgate = with(&upstream, "[timeouts]\nwrite = \"1s\"\n");
    let mut client = Client::plain_with_small_window(hubgate.http);
    client.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        assert!(client.some().is_ok(), "cut after {:?}", start.elapsed());
        std::thread::sleep(Duration::from_millis(100)); // the slowness is what is tested
    }
}
