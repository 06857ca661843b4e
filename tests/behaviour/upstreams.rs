//! What an upstream's misbehaviour turns into, and which endpoint is tried.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::hubgate::{HOST, one_site};
use crate::support::ports::Unreachable;
use crate::support::{Hubgate, Response, Upstream, eventually};

#[track_caller]
fn failed(response: &Response, status: u16, cause: &str) {
    assert_eq!(
        (response.status, response.complete),
        (status, Ok(())),
        "{}",
        response.text()
    );
    assert!(
        response.text().contains(cause),
        "no `{cause}` in {:?}",
        response.text()
    );
    assert_eq!(response.head.one("x-hubgate-cause"), cause);
}

/// An address that refuses connections.
fn refusing() -> SocketAddr {
    crate::support::ports::free_addr()
}

#[test]
fn an_answer_that_is_not_http_becomes_502() {
    let upstream = Upstream::start(|conn| {
        let head = conn.request().unwrap();
        conn.send(match head.target().as_slice() {
            b"/ssh" => "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7\r\n\r\n".to_owned(),
            b"/status" => "HTTP/1.1 abc What\r\n\r\n".to_owned(),
            b"/field" => "HTTP/1.1 200 OK\r\nno colon here\r\n\r\nbody".to_owned(),
            b"/lengths" => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
            b"/length" => "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nabc".to_owned(),
            b"/both" => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_owned(),
            b"/101" => "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi".to_owned(),
            _ => format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(2_000_000)),
        });
        conn.finish_sending();
        let _ = conn.closes_within(Duration::from_secs(5));
    });
    let hubgate = Hubgate::before(upstream.addr);
    let mut wrong = Vec::new();
    for target in [
        "/ssh",
        "/status",
        "/field",
        "/lengths",
        "/length",
        "/101",
        "/endless-head",
    ] {
        let response = hubgate.plain().get(HOST, target);
        if response.status != 502 || !response.text().contains("upstream_malformed") {
            wrong.push(format!(
                "{target}: {} {:.200}",
                response.status,
                response.text()
            ));
        }
        let h2 = hubgate.h2().get(target);
        if h2.status != 502 {
            wrong.push(format!("{target} on HTTP/2: {}", h2.status));
        }
    }
    // RFC 9112 section 6.3: chunked may win over the length, if the length goes no further.
    let response = hubgate.plain().get(HOST, "/both");
    if response.status != 502 {
        assert_eq!(
            (
                response.text().as_str(),
                response.head.has("content-length")
            ),
            ("ok", false)
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_answer_in_a_coding_that_is_not_chunked_becomes_502() {
    let upstream = Upstream::start(|conn| {
        conn.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc");
    });
    let hubgate = Hubgate::before(upstream.addr);
    failed(&hubgate.plain().get(HOST, "/"), 502, "upstream_malformed");
}

#[test]
fn an_upstream_that_closes_before_it_answers_becomes_502_and_a_post_is_sent_once() {
    for reset in [false, true] {
        let upstream = Upstream::start(move |conn| {
            conn.request();
            if reset {
                conn.reset();
            }
        });
        let hubgate = Hubgate::before(upstream.addr);
        let response = hubgate
            .plain()
            .exchange("POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 3\r\n\r\nabc");
        failed(&response, 502, "upstream_closed");
        assert_eq!(upstream.requests().len(), 1);
        failed(&hubgate.plain().get(HOST, "/"), 502, "upstream_closed");
        assert_eq!(
            upstream.requests().len(),
            2,
            "a fresh connection that dies is no reason to try again"
        );
    }
}

#[test]
fn half_an_answers_head_becomes_502() {
    let upstream = Upstream::start(|conn| {
        conn.answer("HTTP/1.1 200 OK\r\nContent-Le");
    });
    let hubgate = Hubgate::before(upstream.addr);
    let response = hubgate.plain().get(HOST, "/");
    assert_eq!(response.status, 502);
    assert_eq!(upstream.requests().len(), 1, "bytes of an answer had come");
}

#[test]
fn the_next_endpoint_is_tried_when_one_refuses() {
    let upstream = Upstream::saying("ok");
    let toml = one_site(upstream.addr, "").replace(
        "endpoints = [",
        &format!("endpoints = [\"{}\", ", refusing()),
    );
    let hubgate = Hubgate::start(&toml);
    for i in 0..6 {
        let response = hubgate
            .plain()
            .exchange("POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(response.text(), "ok", "request {i}");
    }
    assert!(upstream.requests().iter().all(|r| r.body.bytes == b"abc"));
}

#[test]
fn endpoints_take_turns() {
    let (a, b) = (Upstream::saying("a"), Upstream::saying("b"));
    let toml =
        one_site(a.addr, "").replace("endpoints = [", &format!("endpoints = [\"{}\", ", b.addr));
    let hubgate = Hubgate::start(&toml);
    for _ in 0..10 {
        hubgate.plain().get(HOST, "/");
    }
    assert_eq!((a.requests().len(), b.requests().len()), (5, 5));
}

#[test]
fn when_every_endpoint_refuses_the_client_gets_502() {
    let toml = one_site(refusing(), "").replace(
        "endpoints = [",
        &format!("endpoints = [\"{}\", ", refusing()),
    );
    let hubgate = Hubgate::start(&toml);
    let mut client = hubgate.plain();
    failed(&client.get(HOST, "/"), 502, "upstream_connect");
    let response =
        client.exchange("POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 3\r\n\r\nabc");
    failed(&response, 502, "upstream_connect");
    assert_eq!(hubgate.h2().get("/").status, 502);
}

#[test]
fn an_upstream_that_takes_no_connection_becomes_504() {
    let nobody = Unreachable::new();
    let hubgate = Hubgate::start(&one_site(nobody.addr, "connect_timeout = \"300ms\""));
    let start = Instant::now();
    failed(
        &hubgate.plain().get(HOST, "/"),
        504,
        "upstream_connect_timeout",
    );
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[test]
fn an_answer_that_does_not_come_becomes_504_and_the_upstream_is_left() {
    let upstream = Upstream::start(|conn| {
        conn.request();
        let _ = conn.closes_within(Duration::from_secs(20));
    });
    let hubgate = Hubgate::start(&one_site(upstream.addr, "response_timeout = \"300ms\""));
    failed(
        &hubgate.plain().get(HOST, "/"),
        504,
        "upstream_response_timeout",
    );
    assert_eq!(hubgate.h2().get("/").status, 504);
    assert_eq!(
        upstream.requests().len(),
        2,
        "a slow answer is not asked for twice"
    );
    eventually("the upstream is left", || upstream.open() == 0);
}

#[test]
fn an_upstream_that_stops_in_the_middle_is_cut_after_the_idle_time_and_not_before() {
    let upstream = Upstream::start(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
        for _ in 0..8 {
            conn.send("x");
            std::thread::sleep(Duration::from_millis(300)); // slower in sum than the idle time, faster each
        }
        let _ = conn.closes_within(Duration::from_secs(20));
    });
    let hubgate = Hubgate::start(&one_site(upstream.addr, "idle_timeout = \"2s\""));
    let start = Instant::now();
    let response = hubgate.plain().get(HOST, "/");
    assert_eq!(response.body.bytes.len(), 8);
    assert!(response.complete.is_err());
    assert!(start.elapsed() > Duration::from_secs(4) && start.elapsed() < Duration::from_secs(15));
    let response = hubgate.h2().get("/");
    assert_eq!((response.body.len(), response.complete.is_err()), (8, true));
    eventually("the upstream is left", || upstream.open() == 0);
}

#[test]
fn an_upstream_that_stops_taking_an_upload_is_given_up_after_the_idle_time() {
    let upstream = Upstream::start(|conn| {
        conn.shrink_receive_buffer();
        conn.request_head();
        std::thread::sleep(Duration::from_secs(30)); // takes nothing
    });
    let hubgate = Hubgate::start(&one_site(
        upstream.addr,
        "idle_timeout = \"500ms\"\nbody_limit = \"none\"",
    ));
    let mut client = hubgate.plain();
    client.send(format!(
        "PUT / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: {}\r\n\r\n",
        64 << 20
    ));
    let start = Instant::now();
    let mut tcp = client.tcp().try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        while std::io::Write::write_all(&mut tcp, &[b'x'; 64 * 1024]).is_ok() {}
    });
    if let Ok(response) = client.try_response(false) {
        assert!([502, 504].contains(&response.status), "{}", response.status);
    }
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    drop(client);
    writer.join().unwrap();
}
