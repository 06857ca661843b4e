//! What a client may take: bytes and fields of a head, connections, streams.

use std::time::{Duration, Instant};

use crate::support::h2_client::H2Stream;
use crate::support::h2_frames::{self, END_HEADERS, END_STREAM, HEADERS, Outcome, SETTINGS, frame};
use crate::support::hubgate::{HOST, one_site};
use crate::support::{Client, H2, Hubgate, Upstream, Wire, eventually};

fn with(upstream: &Upstream, more: &str) -> Hubgate {
    Hubgate::start(&(one_site(upstream.addr, "") + more))
}

fn padded(size: usize) -> String {
    let frame = "GET / HTTP/1.1\r\nHost: hub.test\r\nCookie: \r\n\r\n";
    frame.replace(
        "Cookie: ",
        &format!("Cookie: {}", "c".repeat(size - frame.len())),
    )
}

#[test]
fn a_head_of_60_kib_passes_and_one_above_the_limit_gets_431() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    for size in [12_000, 60 * 1024] {
        assert_eq!(hubgate.plain().exchange(padded(size)).text(), "ok");
        assert_eq!(hubgate.tls().exchange(padded(size)).text(), "ok");
    }
    let before = upstream.requests().len();
    for size in [66 * 1024, 200_000, 3_000_000] {
        let mut client = hubgate.plain();
        let response = client.exchange(padded(size));
        assert_eq!(response.status, 431, "{size}");
        assert!(
            response.text().contains("head_too_large"),
            "{}",
            response.text()
        );
        assert!(client.closes_within(Duration::from_secs(3)));
    }
    assert_eq!(upstream.requests().len(), before);
}

#[test]
fn a_head_that_never_ends_is_refused_when_it_is_too_large_not_when_its_time_is_up() {
    let upstream = Upstream::saying("no");
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    let start = Instant::now();
    let response = client.exchange(format!(
        "GET / HTTP/1.1\r\nHost: hub.test\r\nX: {}",
        "y".repeat(70_000)
    ));
    assert_eq!(response.status, 431);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn more_than_100_fields_get_431() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let fields = |n: usize| {
        let many: String = (0..n).map(|i| format!("X-{i}: y\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: hub.test\r\n{many}\r\n")
    };
    assert_eq!(hubgate.plain().exchange(fields(99)).text(), "ok");
    for n in [100, 101, 300, 2000] {
        let response = hubgate.plain().exchange(fields(n));
        assert_eq!(response.status, 431, "{n}");
        assert!(
            response.text().contains("head_too_many_fields"),
            "{}",
            response.text()
        );
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_target_longer_than_the_head_may_be_gets_414_or_431() {
    let upstream = Upstream::saying("no");
    let hubgate = Hubgate::before(upstream.addr);
    let response = hubgate
        .plain()
        .get(HOST, &format!("/{}", "a".repeat(70_000)));
    assert!([414, 431].contains(&response.status), "{}", response.status);
    assert_eq!(upstream.requests().len(), 0);
}

/// A request with `count` fields more.
fn with_fields(count: usize, request: http::request::Builder) -> http::request::Builder {
    (0..count).fold(request, |request, i| request.header(format!("x-{i}"), "y"))
}

/// Whether the request is refused: by a 431 or, as good, by a reset.
fn is_refused(hubgate: &Hubgate, make: impl Fn(&H2) -> http::request::Builder) -> bool {
    let mut h2 = hubgate.h2();
    match h2.try_open(make(&h2), true).map(H2Stream::whole) {
        Ok(Ok(response)) => response.status == 431,
        Ok(Err(_)) | Err(_) => true,
    }
}

#[test]
fn an_http2_head_may_be_large_within_the_limit_and_not_above() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut h2 = hubgate.h2();
    assert_eq!(
        h2.exchange(with_fields(90, h2.request("GET", "/"))).text(),
        "ok"
    );
    let cookie =
        |size: usize| move |h2: &H2| h2.request("GET", "/").header("cookie", "c".repeat(size));
    assert_eq!(h2.exchange(cookie(12_000)(&h2)).text(), "ok");
    assert!(is_refused(&hubgate, cookie(70_000)));
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn an_http2_head_with_more_than_100_fields_is_refused() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    assert!(is_refused(&hubgate, |h2| with_fields(
        200,
        h2.request("GET", "/")
    )));
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn http2_advertises_its_stream_limit_and_holds_it() {
    let upstream = Upstream::start(|conn| {
        conn.request();
        let _ = conn.closes_within(Duration::from_secs(20));
    });
    let hubgate = with(&upstream, "[limits]\nh2_streams = 2\n");
    let mut wire: Wire = h2_frames::open(hubgate.https, HOST);
    let settings = h2_frames::next(&mut wire).unwrap();
    assert_eq!(settings.kind, SETTINGS);
    assert!(
        settings.payload.chunks(6).any(|s| s == [0, 3, 0, 0, 0, 2]),
        "{settings:?}"
    );
    let head = h2_frames::block(&[
        (":method", b"GET"),
        (":scheme", b"https"),
        (":authority", b"hub.test"),
        (":path", b"/"),
    ]);
    for id in [1, 3, 5] {
        wire.send(frame(HEADERS, END_STREAM | END_HEADERS, id, &head));
    }
    assert!(matches!(
        h2_frames::outcome(&mut wire, 5),
        Outcome::Reset(_) | Outcome::Ended
    ));
    assert!(upstream.requests().len() <= 2);
}

/// Whether a fresh connection is served.
fn served(mut client: Client) -> bool {
    client
        .try_exchange("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n")
        .is_ok()
}

#[test]
fn connections_over_the_total_are_refused_and_places_come_back() {
    let upstream = Upstream::saying("ok");
    let hubgate = with(&upstream, "[limits]\nconnections = 3\n");
    let mut held = Vec::new();
    eventually("three connections are held", || {
        let mut client = hubgate.plain();
        if client
            .try_exchange("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n")
            .is_ok()
        {
            held.push(client);
        }
        held.len() == 3
    });
    assert!(!served(hubgate.plain()), "a fourth connection was served");
    assert_eq!(held[0].get(HOST, "/").text(), "ok", "those inside go on");
    held.pop();
    eventually("the place comes back", || served(hubgate.plain()));
}

#[test]
fn one_client_cannot_take_the_connections_of_another() {
    let upstream = Upstream::saying("ok");
    let hubgate = with(&upstream, "[limits]\nconnections_per_client = 2\n");
    let mut held = Vec::new();
    eventually("two connections are held", || {
        let mut client = hubgate.plain();
        if client
            .try_exchange("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n")
            .is_ok()
        {
            held.push(client);
        }
        held.len() == 2
    });
    assert!(
        !served(hubgate.plain()),
        "a third connection of one client was served"
    );
    assert!(
        served(Client::plain_from([127, 0, 0, 2], hubgate.http)),
        "another client was refused"
    );
    held.clear();
    eventually("the places come back", || served(hubgate.plain()));
}

#[test]
fn clients_beyond_the_open_files_are_closed_and_the_others_are_served() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    hubgate.limit_descriptors(192);
    let (code, output) = hubgate.reload();
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("room for 8 connections"), "{output}");
    let mut early = hubgate.plain();
    assert_eq!(early.get(HOST, "/").text(), "ok");
    let _crowd: Vec<_> = (0..300)
        .filter_map(|_| std::net::TcpStream::connect(hubgate.http).ok())
        .collect();
    for _ in 0..5 {
        assert_eq!(early.get(HOST, "/").text(), "ok");
    }
    assert_eq!(hubgate.reload().0, 0);
}
