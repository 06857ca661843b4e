//! What a stop says to whom: to connections between requests and in one, on HTTP/1 and HTTP/2, to event streams, tunnels
//! and handshakes; and when it is over.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::reload::{held, in_flight};
use crate::support::h2_frames::{
    self, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, block, frame,
};
use crate::support::hubgate::{HOST, one_site};
use crate::support::upstream::Conn;
use crate::support::wire::{End, Fault};
use crate::support::{Client, Hubgate, Upstream, eventually, websocket, within};

/// How far the end of a stop may be from its time on a machine that has other things to do as well.
const SLACK: Duration = Duration::from_secs(2);

fn with_limit(upstream: &Upstream, limit: &str) -> Hubgate {
    let server = format!("[server]\ndrain_timeout = \"{limit}\"\n");
    Hubgate::start(&(one_site(upstream.addr, "") + &server))
}

/// Sends TERM and waits until it has been taken.
fn stop(hubgate: &Hubgate) {
    hubgate.signal("TERM");
    within(Duration::from_secs(2), "the drain has begun", || {
        TcpStream::connect(hubgate.http).is_err()
    });
}

#[test]
fn the_answer_to_a_request_in_flight_tells_that_the_connection_closes() {
    let upstream = Upstream::start(held);
    let mut hubgate = Hubgate::before(upstream.addr);
    let clients = [hubgate.plain(), hubgate.tls()].map(|client| in_flight(&upstream, client));
    stop(&hubgate);
    for mut client in clients {
        client.send("x");
        let answer = client.response();
        assert_eq!(answer.head.one("connection"), "close");
        assert_eq!(answer.text(), "ok");
        assert_eq!(client.rest(), (Vec::new(), End::Clean));
    }
    assert!(hubgate.wait(SLACK).success());
}

#[test]
fn a_request_on_an_idle_connection_is_still_answered_at_the_last_call() {
    let upstream = Upstream::saying("ok");
    let mut hubgate = Hubgate::before(upstream.addr);
    let mut clients = [hubgate.plain(), hubgate.tls()];
    for client in &mut clients {
        assert_eq!(client.get(HOST, "/").text(), "ok");
    }
    stop(&hubgate);
    for client in &mut clients {
        let answer = client.get(HOST, "/");
        assert_eq!(
            (
                answer.text().as_str(),
                answer.head.one("connection").as_str()
            ),
            ("ok", "close")
        );
    }
    assert!(hubgate.wait(SLACK).success());
}

#[test]
fn an_idle_connection_ends_without_a_reset_and_what_crosses_its_end_is_not_served() {
    let upstream = Upstream::saying("ok");
    let mut hubgate = Hubgate::before(upstream.addr);
    let mut client = TcpStream::connect(hubgate.http).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let ask =
        |client: &mut TcpStream| client.write_all(b"GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    ask(&mut client).unwrap();
    let mut answer = [0; 1024];
    assert!(client.read(&mut answer).unwrap() > 0);
    let start = Instant::now();
    stop(&hubgate);
    assert_eq!(client.read(&mut answer).unwrap(), 0, "an end, not a reset");
    let told = start.elapsed();
    assert!(
        told >= Duration::from_millis(450),
        "a last call first: {told:?}"
    );
    // It was on its way, as far as the client knows.
    ask(&mut client).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut answer).unwrap(), 0, "still no reset");
    assert!(hubgate.wait(SLACK).success());
    assert_eq!(upstream.requests().len(), 1);
    assert!(start.elapsed() < 2 * SLACK, "{:?}", start.elapsed());
}

#[test]
fn clients_that_never_close_and_handshakes_that_never_end_hold_nothing_up() {
    let upstream = Upstream::saying("ok");
    let mut hubgate = Hubgate::before(upstream.addr);
    let mut idle = hubgate.plain();
    assert_eq!(idle.get(HOST, "/").text(), "ok");
    let silent = [hubgate.http, hubgate.https].map(|addr| TcpStream::connect(addr).unwrap());
    let mut deaf = h2_frames::open(hubgate.https, HOST);
    // Its settings and their acknowledgement; it will answer no ping.
    h2_frames::next(&mut deaf).unwrap();
    let start = Instant::now();
    assert!(hubgate.stop_and_wait().success());
    assert!(start.elapsed() < 2 * SLACK, "{:?}", start.elapsed());
    drop((silent, deaf, idle));
}

#[test]
fn http2_is_told_to_open_no_streams_and_then_which_was_the_last() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = h2_frames::open(hubgate.https, HOST);
    let fields: &[(&str, &[u8])] = &[
        (":method", b"GET"),
        (":scheme", b"https"),
        (":path", b"/"),
        (":authority", HOST.as_bytes()),
    ];
    let answered = h2_frames::Outcome::Answered("ok".into());
    assert_eq!(h2_frames::outcome_of(&mut client, fields), answered);
    stop(&hubgate);
    let mut next = |kind: u8| loop {
        match h2_frames::next(&mut client).unwrap() {
            frame if frame.kind == kind && frame.flags == 0 => return frame.payload,
            _ => {}
        }
    };
    assert_eq!(next(GOAWAY)[..8], [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let ping = next(PING);
    // A stream that was on its way is served.
    client.send(frame(HEADERS, END_STREAM | END_HEADERS, 3, &block(fields)));
    assert_eq!(h2_frames::outcome(&mut client, 3), answered);
    client.send(frame(PING, 1, 0, &ping));
    loop {
        let told = h2_frames::next(&mut client).unwrap();
        if told.kind == GOAWAY {
            assert_eq!(told.payload[..8], [0, 0, 0, 3, 0, 0, 0, 0]);
            break;
        }
    }
    let end = h2_frames::next(&mut client);
    assert!(matches!(end, Err(Fault::Closed(End::Clean))), "{end:?}");
}

/// One event, and silence.
fn one_event(conn: &mut Conn) {
    if conn.request().is_some() {
        conn.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
             9\r\ndata: 1\n\n\r\n",
        );
        let _ = conn.closes_within(Duration::from_secs(20));
    }
}

#[test]
fn an_event_stream_goes_on_until_the_limit_and_ends_as_if_it_were_complete() {
    let upstream = Upstream::start(one_event);
    let toml = one_site(upstream.addr, "")
        + "[server]\ndrain_timeout = \"5s\"\n\
         [access_log]\ntarget = \"@DIR@/access.log\"\nformat = \"json\"\n";
    let mut hubgate = Hubgate::start(&toml);
    let mut chunked = hubgate.tls();
    chunked.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    chunked.head().unwrap();
    assert_eq!(
        chunked.chunk(&mut Vec::new()).unwrap().unwrap(),
        b"data: 1\n\n"
    );
    let mut unframed = hubgate.plain();
    unframed.send("GET / HTTP/1.0\r\nHost: hub.test\r\n\r\n");
    unframed.head().unwrap();
    assert_eq!(unframed.exactly(9).unwrap(), b"data: 1\n\n");
    let mut h2 = hubgate.h2();
    let mut stream = h2.open(h2.request("GET", "/"), true);
    stream.head().unwrap();
    assert_eq!(&stream.chunk().unwrap().unwrap()[..], b"data: 1\n\n");
    let start = Instant::now();
    stop(&hubgate);
    assert_eq!(chunked.chunk(&mut Vec::new()), Ok(None), "the last chunk");
    assert!(
        start.elapsed() > Duration::from_millis(4700),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(unframed.rest(), (Vec::new(), End::Clean));
    assert!(stream.chunk().is_none(), "END_STREAM, not a reset");
    assert!(hubgate.wait(SLACK).success());
    let log = std::fs::read_to_string(hubgate.dir.path().join("access.log")).unwrap();
    assert_eq!(log.matches("\"cause\":\"draining\"").count(), 3, "{log}");
}

#[test]
fn the_limit_of_a_stop_is_exact_whatever_holds_it_up() {
    let upstream = Upstream::start(|conn| {
        if conn
            .request_head()
            .is_some_and(|head| head.has("sec-websocket-key"))
        {
            conn.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            );
        }
        let _ = conn.closes_within(Duration::from_secs(20));
    });
    let limit = Duration::from_secs(6);
    // A WebSocket whose client answers no close frame; one that stands in the middle of a frame; a request without answer.
    let holdups: [(&str, &[u8]); 3] = [
        ("websocket", b""),
        ("websocket", b"\x81\xff"),
        ("request", b""),
    ];
    // Beside each other, since each takes the whole of its time.
    std::thread::scope(|scope| {
        for (kind, more) in holdups {
            let upstream = &upstream;
            scope.spawn(move || {
                let mut hubgate = with_limit(upstream, "6s");
                let mut client: Client = hubgate.plain();
                if kind == "websocket" {
                    client.send(websocket::handshake_request(HOST, "/", ""));
                    assert_eq!(client.head().unwrap().status(), 101);
                    client.send(more);
                } else {
                    client.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
                    eventually("the request without answer is there", || {
                        upstream
                            .requests()
                            .iter()
                            .any(|request| !request.head.has("sec-websocket-key"))
                    });
                }
                let start = Instant::now();
                assert!(hubgate.stop_and_wait().success());
                let took = start.elapsed();
                eprintln!("{kind} {more:?}: {took:?} of {limit:?}");
                assert!(
                    took < limit + SLACK && took > limit - Duration::from_millis(600),
                    "{kind} {more:?}: {took:?}"
                );
                assert!(
                    !hubgate.log().contains("connections cut"),
                    "it ended by itself"
                );
            });
        }
    });
}

#[test]
fn the_health_answer_turns_503_while_the_process_stops() {
    let upstream = Upstream::start(held);
    let page = crate::support::ports::free_addr();
    let toml = one_site(upstream.addr, "") + &format!("[admin]\nlisten = \"{page}\"\n");
    let hubgate = Hubgate::start(&toml);
    let ask = || {
        let mut client = Client::plain(page);
        client.get(&page.to_string(), "/health").status
    };
    assert_eq!(ask(), 200);
    let _client = in_flight(&upstream, hubgate.plain());
    stop(&hubgate);
    eventually("the health answer turns", || ask() == 503);
}
