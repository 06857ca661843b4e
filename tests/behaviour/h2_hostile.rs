//! HTTP/2 connections that attack: floods of frames, games with windows, heads that mean two things. The connection ends
//! or the stream is refused, memory stays bounded, upstreams are left alone, and the next client is served.

use std::time::{Duration, Instant};

use crate::support::h2_frames::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Outcome, PING, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, block, frame,
};
use crate::support::hubgate::{HOST, one_site};
use crate::support::wire::{Fault, Wire};
use crate::support::{Hubgate, Upstream, eventually};

type Field<'a> = (&'a str, &'a [u8]);

const GOOD: [Field<'static>; 4] = [
    (":method", b"GET"),
    (":scheme", b"https"),
    (":authority", b"hub.test"),
    (":path", b"/"),
];
const PRIORITY: u8 = 2;
const PUSH_PROMISE: u8 = 5;

/// `GOOD` with one field in place of another, or behind.
fn with<'a>(name: &'a str, value: &'a [u8]) -> Vec<Field<'a>> {
    let mut fields = GOOD.to_vec();
    match fields.iter_mut().find(|(known, _)| *known == name) {
        Some(field) => field.1 = value,
        None => fields.push((name, value)),
    }
    fields
}

fn and<'a>(more: &[Field<'a>]) -> Vec<Field<'a>> {
    [&GOOD[..], more].concat()
}

#[test]
fn heads_that_mean_two_things_reach_nobody() {
    let upstream = Upstream::saying("no");
    let hubgate = Hubgate::before(upstream.addr);
    let first = |field: Field<'static>| [&[field], &GOOD[..]].concat();
    let without = |name: &str| -> Vec<Field<'static>> {
        GOOD.iter()
            .copied()
            .filter(|field| field.0 != name)
            .collect()
    };
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<Field<'_>>)> = vec![
        ("pseudo field after others", first(("x", b"y"))),
        ("unknown pseudo field", and(&[(":x", b"y")])),
        ("a response's pseudo field", and(&[(":status", b"200")])),
        ("two methods", and(&[(":method", b"POST")])),
        ("two schemes", and(&[(":scheme", b"http")])),
        ("two authorities", and(&[(":authority", b"evil.test")])),
        ("no method", without(":method")),
        ("no scheme", without(":scheme")),
        ("protocol without CONNECT", and(&[(":protocol", b"websocket")])),
        ("TE other than trailers", and(&[("te", b"gzip")])),
        ("user in the authority", with(":authority", b"evil@hub.test")),
        ("path in the authority", with(":authority", b"hub.test/evil")),
        ("blank in the authority", with(":authority", b"hub.test evil")),
        ("line end in the authority", with(":authority", b"hub.test\r\nX: y")),
        ("line end in the path", with(":path", b"/\r\nX: y")),
        ("line feed in the path", with(":path", b"/\nX: y")),
        ("tab in the path", with(":path", b"/a\tb")),
        ("NUL in the path", with(":path", b"/a\0b")),
        ("absolute path", with(":path", b"http://evil.test/")),
        ("star for GET", with(":path", b"*")),
        ("line end in the method", with(":method", b"GET / HTTP/1.1\r\nX: y\r\n\r\nGET")),
        ("empty method", with(":method", b"")),
        ("line feed in a value", and(&[("x", b"a\nb")])),
        ("carriage return in a value", and(&[("x", b"a\rb")])),
        ("line end in a cookie", and(&[("cookie", b"a=b\r\nX-Real-IP: 1")])),
        ("empty name", and(&[("", b"y")])),
        ("colon in a name", and(&[("x:y", b"z")])),
        ("blank in a name", and(&[("x y", b"z")])),
        ("line end in a name", and(&[("x\r\ny", b"z")])),
        ("chunked", and(&[("transfer-encoding", b"chunked")])),
        ("two lengths", and(&[("content-length", b"0"), ("content-length", b"5")])),
        ("length with a plus", and(&[("content-length", b"+0")])),
        ("length of what does not come", and(&[("content-length", b"5")])),
        ("another host", and(&[("host", b"evil.test")])),
        ("two hosts", and(&[("host", b"hub.test"), ("host", b"hub.test")])),
        ("settings of an upgrade", and(&[("http2-settings", b"AAMAAABk"), ("upgrade", b"h2c")])),
    ];
    let mut wrong = Vec::new();
    for (what, fields) in cases {
        let before = upstream.requests().len();
        let mut wire = h2_frames::open(hubgate.https, HOST);
        let outcome = h2_frames::outcome_of(&mut wire, &fields);
        if let Some(got) = upstream.requests().get(before) {
            let raw = String::from_utf8_lossy(&got.head.raw).into_owned();
            wrong.push(format!("{what}: {outcome:?} and the upstream got {raw:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(hubgate.h2().get("/").text(), "no");
}

#[test]
fn a_body_and_trailers_that_break_the_rules_are_never_whole_at_the_upstream() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let post = block(&with(":method", b"POST"));
    let told = block(&[&with(":method", b"POST")[..], &[("content-length", b"2")]].concat());
    let begin = |head: &[u8]| frame(HEADERS, END_HEADERS, 1, head);
    let trailers =
        |fields: &[Field<'_>]| frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields));
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("more than its length", vec![begin(&told), frame(DATA, END_STREAM, 1, b"abc")]),
        ("less than its length", vec![begin(&told), frame(DATA, END_STREAM, 1, b"a")]),
        ("less than its length, by trailers", vec![begin(&told), frame(DATA, 0, 1, b"a"), trailers(&[("x", b"y")])]),
        ("upper case in trailers", vec![begin(&post), frame(DATA, 0, 1, b"a"), trailers(&[("X-Y", b"z")])]),
        ("line end in trailers", vec![begin(&post), frame(DATA, 0, 1, b"a"), trailers(&[("x", b"y\r\n\r\nGET /evil HTTP/1.1")])]),
        ("trailers that do not end the stream", vec![begin(&post), frame(DATA, 0, 1, b"a"), frame(HEADERS, END_HEADERS, 1, &block(&[("x", b"y")])), frame(DATA, END_STREAM, 1, b"b")]),
        ("padding longer than its frame", vec![begin(&post), frame(DATA, END_STREAM | 8, 1, b"\x09abc")]),
    ];
    let mut wrong = Vec::new();
    for (what, frames) in cases {
        let before = upstream.requests().len();
        let mut wire = h2_frames::open(hubgate.https, HOST);
        wire.send(frames.concat());
        let outcome = h2_frames::outcome(&mut wire, 1);
        if let Outcome::Answered(text) = &outcome
            && text == "ok"
        {
            wrong.push(format!("{what}: answered"));
        }
        for request in &upstream.requests()[before..] {
            if request.complete == Some(Ok(())) || request.head.target() != b"/" {
                wrong.push(format!("{what}: the upstream got {request:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(hubgate.h2().get("/").text(), "ok");
}

#[test]
fn what_no_field_and_no_target_can_hold_is_cut_off_and_not_passed_on() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut wire = h2_frames::open(hubgate.https, HOST);
    h2_frames::outcome_of(&mut wire, &with(":path", b"/a#b"));
    assert_eq!(upstream.last_request().head.target(), b"/a");
    let trailers = block(&[(":path", b"/evil"), ("x", b"y")]);
    let mut wire = h2_frames::open(hubgate.https, HOST);
    wire.send(frame(
        HEADERS,
        END_HEADERS,
        1,
        &block(&with(":method", b"POST")),
    ));
    wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers));
    h2_frames::outcome(&mut wire, 1);
    let got = upstream.last_request();
    assert_eq!(got.head.target(), b"/");
    assert!(got.body.trailers.iter().all(|(name, _)| name == "x"));
}

/// Whether the server ended the connection for an error, or closed it.
fn ends(wire: &mut Wire) -> bool {
    loop {
        match h2_frames::next(wire) {
            Ok(frame) if frame.kind == GOAWAY && frame.payload[4..8] != [0; 4] => return true,
            Ok(_) => {}
            Err(Fault::Closed(_)) => return true,
            Err(_) => return false,
        }
    }
}

#[test]
fn frames_that_break_the_protocol_end_their_connection() {
    let upstream = Upstream::saying("no");
    let hubgate = Hubgate::before(upstream.addr);
    let head = block(&GOOD);
    let request = |id| frame(HEADERS, END_HEADERS | END_STREAM, id, &head);
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("settings of a stream", frame(SETTINGS, 0, 1, b"")),
        ("settings of five bytes", frame(SETTINGS, 0, 0, b"\0\x03\0\0\0")),
        ("an acknowledgement with settings", frame(SETTINGS, 1, 0, b"\0\x03\0\0\0\x01")),
        ("push enabled with 2", frame(SETTINGS, 0, 0, b"\0\x02\0\0\0\x02")),
        ("a window above 2^31", frame(SETTINGS, 0, 0, b"\0\x04\x80\0\0\0")),
        ("frames of one byte", frame(SETTINGS, 0, 0, b"\0\x05\0\0\0\x01")),
        ("a ping of a stream", frame(PING, 0, 1, b"12345678")),
        ("a ping of seven bytes", frame(PING, 0, 0, b"1234567")),
        ("data of no stream", frame(DATA, 0, 0, b"abc")),
        ("data before a head", frame(DATA, 0, 1, b"abc")),
        ("a head of no stream", frame(HEADERS, END_HEADERS | END_STREAM, 0, &head)),
        ("a head of the server's stream", request(2)),
        ("a stream before one that was", [request(3), request(1)].concat()),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &head)),
        ("data in the middle of a head", [frame(HEADERS, 0, 1, &head), frame(DATA, 0, 1, b"a")].concat()),
        ("another stream's continuation", [frame(HEADERS, 0, 1, &head), frame(CONTINUATION, END_HEADERS, 3, b"")] .concat()),
        ("a reset of nothing", frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])),
        ("a reset of three bytes", [request(1), frame(RST_STREAM, 0, 1, &[0, 0, 8])].concat()),
        ("a promise by a client", frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], &head[..]].concat())),
        ("no more window", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("too much window", [frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]), frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])] .concat()),
        ("window of nothing", frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ("a frame that is too long", frame(DATA, 0, 1, &[0; 16_385])),
        ("a head that is no head", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 20])),
        ("a field that is not in the table", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xfe])),
        ("a table larger than allowed", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x3f, 0xe1, 0xff, 0xff, 0x07])),
        ("not the preface's end", b"GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n".to_vec()),
    ];
    let mut wrong = Vec::new();
    for (what, bytes) in cases {
        let mut wire = h2_frames::open(hubgate.https, HOST);
        wire.set_limit(Duration::from_secs(3));
        let _ = wire.try_send(bytes);
        if !ends(&mut wire) {
            wrong.push(what);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(hubgate.h2().get("/").text(), "no");
}

/// Sends `bytes` again and again, for at most so many times; how often the server took them.
fn flood(wire: &mut Wire, bytes: &[u8], times: usize) -> usize {
    (0..times)
        .take_while(|_| wire.try_send(bytes).is_ok())
        .count()
}

/// Fails when `attack` costs much memory, or another client anything.
#[track_caller]
fn harmless(hubgate: &Hubgate, attack: impl FnOnce()) {
    let mut other = hubgate.h2();
    assert_eq!(other.get("/").status, 200);
    let before = hubgate.resident();
    attack();
    let grown = hubgate.resident().saturating_sub(before);
    assert!(grown < 24 << 20, "grew by {} KiB", grown >> 10);
    let start = Instant::now();
    assert_eq!(other.get("/").status, 200);
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn an_endless_head_in_small_pieces_is_cut_off() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    for piece in [
        &b""[..],
        &block(&[("x", b"y")])[..],
        &[0x40, 1, b'x', 1, b'y'],
    ] {
        harmless(&hubgate, || {
            let mut wire = h2_frames::open(hubgate.https, HOST);
            wire.send(frame(HEADERS, END_STREAM, 1, &block(&GOOD)));
            let many = frame(CONTINUATION, 0, 1, piece).repeat(100);
            flood(&mut wire, &many, 2_000);
            assert!(ends(&mut wire), "of pieces of {} bytes", piece.len());
        });
    }
    assert!(
        upstream
            .requests()
            .iter()
            .all(|request| !request.head.has("x"))
    );
}

#[test]
fn a_small_head_that_stands_for_a_large_one_is_refused() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    harmless(&hubgate, || {
        let mut wire = h2_frames::open(hubgate.https, HOST);
        // A value of 4,000 bytes goes into the table once and is named by one byte 16,000 times.
        let mut head = block(&GOOD);
        head.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
        head.extend([b'y'; 4000]);
        head.extend([0xbe; 12_000]);
        wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &head));
        let outcome = h2_frames::outcome(&mut wire, 1);
        assert!(
            !matches!(&outcome, Outcome::Answered(text) if text == "ok"),
            "{outcome:?}"
        );
    });
}

/// Resets one request after the other, each when `taken_up` says so, until the connection ends; how many there were.
fn resets(hubgate: &Hubgate, taken_up: impl Fn(usize) -> bool) -> usize {
    let mut wire = h2_frames::open(hubgate.https, HOST);
    let head = block(&GOOD);
    for count in 1..10_000 {
        let id = 2 * count as u32 - 1;
        let begun = wire.try_send(frame(HEADERS, END_HEADERS | END_STREAM, id, &head));
        let taken_up = begun.is_ok() && taken_up(count);
        let reset = wire.try_send(frame(RST_STREAM, 0, id, &[0, 0, 0, 8]));
        if !taken_up || reset.is_err() {
            return count;
        }
    }
    panic!("10,000 resets were taken");
}

#[test]
fn requests_that_are_reset_end_their_connection_before_they_are_many() {
    let upstream = Upstream::start(|conn| {
        conn.request();
        let _ = conn.closes_within(Duration::from_secs(20));
    });
    let hubgate = Hubgate::before(upstream.addr);
    // In one flight, and each after the upstream has got it.
    resets(&hubgate, |_| true);
    eventually("nothing is left at the upstream", || upstream.open() == 0);
    let before = upstream.connections();
    let count = resets(&hubgate, |count| {
        let start = Instant::now();
        while upstream.connections() < before + count {
            if start.elapsed() > Duration::from_secs(2) {
                return false;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        true
    });
    assert!(count <= 600, "{count} were taken up");
    eventually("nothing is left at the upstream", || upstream.open() == 0);
}

#[test]
fn a_client_that_gives_up_some_requests_keeps_its_connection() {
    let upstream = Upstream::start(|conn| {
        while let Some(head) = conn.request() {
            if head.target() == b"/wait" {
                let _ = conn.closes_within(Duration::from_secs(20));
                return;
            }
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let hubgate = Hubgate::before(upstream.addr);
    let mut h2 = hubgate.h2();
    for count in 1..=600 {
        let waiting = h2.request("GET", "/wait");
        let waiting = h2.open(waiting, true);
        eventually("it is asked", || upstream.requests().len() == 2 * count - 1);
        waiting.cancel();
        assert_eq!(h2.get("/").text(), "ok");
    }
}

#[test]
fn floods_of_frames_that_want_an_answer_cost_no_memory() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    for (what, bytes) in [
        ("pings", frame(PING, 0, 0, b"12345678")),
        ("settings", frame(SETTINGS, 0, 0, b"\0\x04\0\0\xff\xff")),
        ("empty settings", frame(SETTINGS, 0, 0, b"")),
        ("priorities", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16])),
        ("windows", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("unknown frames", frame(0xfe, 0, 0, b"12345678")),
    ] {
        harmless(&hubgate, || {
            let mut wire = h2_frames::open(hubgate.https, HOST);
            // Nothing is read: answers have nowhere to go.
            let socket = wire.tcp();
            socket
                .set_write_timeout(Some(Duration::from_secs(1)))
                .unwrap();
            let taken = flood(&mut wire, &bytes.repeat(500), 1_000);
            assert!(taken > 0, "{what}");
        });
    }
}

#[test]
fn a_head_in_one_frame_may_be_as_long_as_any_head() {
    let upstream = Upstream::saying("yes");
    let hubgate = Hubgate::before(upstream.addr);
    let mut wire = h2_frames::open(hubgate.https, HOST);
    let long = [&b"/"[..], &b"x".repeat(40_000)].concat();
    let outcome = h2_frames::outcome_of(&mut wire, &with(":path", &long));
    assert_eq!(outcome, Outcome::Answered("yes".to_owned()));
}

#[test]
fn empty_data_without_end_is_not_an_upload_that_moves() {
    let upstream = Upstream::start(|conn| {
        conn.request();
    });
    let toml = one_site(upstream.addr, "") + "[timeouts]\nbody = \"1s\"\n";
    let hubgate = Hubgate::start(&toml);
    let mut wire = h2_frames::open(hubgate.https, HOST);
    wire.send(frame(
        HEADERS,
        END_HEADERS,
        1,
        &block(&with(":method", b"POST")),
    ));
    let start = Instant::now();
    let empty = frame(DATA, 0, 1, b"");
    while start.elapsed() < Duration::from_secs(6) {
        if wire.try_send(&empty).is_err() || upstream.open() == 0 && upstream.connections() > 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "nothing but empty frames for 5 s"
    );
}

#[test]
fn a_window_that_never_opens_gives_the_upstream_up_after_the_write_timeout() {
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n{}",
        "x".repeat(300_000)
    ));
    let toml = one_site(upstream.addr, "") + "[timeouts]\nwrite = \"500ms\"\n";
    let hubgate = Hubgate::start(&toml);
    let mut wire = h2_frames::connect(hubgate.https, HOST);
    let none = frame(SETTINGS, 0, 0, b"\0\x04\0\0\0\0");
    wire.send([h2_frames::PREFACE, &none].concat());
    wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&GOOD)));
    upstream.wait_requests(1);
    let outcome = h2_frames::outcome(&mut wire, 1);
    assert!(
        matches!(outcome, Outcome::Reset(_) | Outcome::Ended),
        "{outcome:?}"
    );
    // A byte at a time is no stall, and not the whole either.
    wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, &block(&GOOD)));
    for _ in 0..20 {
        wire.send(frame(WINDOW_UPDATE, 0, 3, &[0, 0, 0, 1]));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(hubgate.h2().get("/").status, 200);
}
