//! WebSockets and every other `Upgrade`: nothing lost at the switch, nothing tunnelled that was not agreed on.

use std::time::Duration;

use tokio_tungstenite::tungstenite::Message;

use crate::support::hubgate::{HOST, one_site};
use crate::support::websocket::{self, echoes, handshake_request};
use crate::support::{Conn, Hubgate, Upstream, eventually};

pub(crate) fn echo_server() -> Upstream {
    Upstream::start(|conn| websocket::echo(conn.take()))
}

pub(crate) const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n";
const ASK: &str =
    "GET /raw HTTP/1.1\r\nHost: hub.test\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n";

/// Switches to bytes that come back as they are.
pub(crate) fn raw_echo(conn: &mut Conn) {
    if conn.request().is_some() {
        conn.send(SWITCH);
        while let Ok(bytes) = conn.some() {
            if conn.try_send(bytes).is_err() {
                return;
            }
        }
    }
}

/// A tunnel with raw bytes, past its 101.
pub(crate) fn raw_tunnel(hubgate: &Hubgate, tls: bool) -> crate::support::Client {
    let mut client = if tls { hubgate.tls() } else { hubgate.plain() };
    client.send(ASK);
    let (head, _) = client.final_head().expect("an answer to the upgrade");
    assert_eq!(head.status(), 101, "{}", String::from_utf8_lossy(&head.raw));
    client
}

#[test]
fn a_websocket_echoes_and_its_handshake_fields_pass_both_ways() {
    let upstream = Upstream::start(|conn| {
        let head = conn.request_head().unwrap();
        conn.give_back(head.raw);
        websocket::echo(conn.take());
    });
    let hubgate = Hubgate::before(upstream.addr);
    let more = "Origin: https://hub.test:8443\r\nCookie: a=b\r\nSec-WebSocket-Protocol: v1.kernel.websocket.jupyter.org, other\r\n\
                Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    for client in [hubgate.plain(), hubgate.tls()] {
        let (mut socket, head) = websocket::open(
            client,
            "hub.test:8443",
            "/user/x/api/kernels/1/channels?token=secret%2F",
            more,
        );
        assert_eq!(
            head.one("sec-websocket-protocol"),
            "v1.kernel.websocket.jupyter.org"
        );
        assert!(
            head.lists("connection", "upgrade")
                && head.one("upgrade").eq_ignore_ascii_case("websocket")
        );
        echoes(&mut socket, "hello");
        let got = upstream.last_request().head;
        assert_eq!(
            got.target(),
            b"/user/x/api/kernels/1/channels?token=secret%2F"
        );
        assert_eq!(got.one("host"), "hub.test:8443");
        assert_eq!(got.one("origin"), "https://hub.test:8443");
        assert_eq!(got.one("cookie"), "a=b");
        assert_eq!(
            got.one("sec-websocket-protocol"),
            "v1.kernel.websocket.jupyter.org, other"
        );
        assert_eq!(
            got.one("sec-websocket-extensions"),
            "permessage-deflate; client_max_window_bits"
        );
        assert_eq!(got.one("x-real-ip"), "127.0.0.1");
        assert!(got.lists("connection", "upgrade") && got.one("upgrade") == "websocket");
        socket.close(None).unwrap();
        while socket.read().is_ok() {}
    }
    eventually("closed tunnels leave the upstream", || upstream.open() == 0);
}

#[test]
fn a_message_of_8_mib_passes_both_ways() {
    let upstream = echo_server();
    let hubgate = Hubgate::before(upstream.addr);
    let mut socket = websocket::open_tls(hubgate.https, HOST, "/");
    let reader = vec![7u8; 8 << 20];
    socket.send(Message::binary(reader.clone())).unwrap();
    assert_eq!(socket.read().unwrap().into_data(), reader);
}

#[test]
fn bytes_that_come_with_the_101_are_not_lost() {
    let upstream = Upstream::start(|conn| {
        conn.request();
        conn.send(format!("{SWITCH}first words"));
        let _ = conn.closes_within(Duration::from_secs(10));
    });
    let hubgate = Hubgate::before(upstream.addr);
    for tls in [true, false] {
        assert_eq!(
            raw_tunnel(&hubgate, tls).exactly(11).unwrap(),
            b"first words"
        );
    }
}

#[test]
fn bytes_the_client_sends_before_the_101_wait_for_it() {
    let upstream = Upstream::start(|conn| {
        conn.request_head().unwrap();
        assert!(
            conn.silent_for(Duration::from_millis(200)),
            "bytes before the 101"
        );
        conn.send(SWITCH);
        while let Ok(bytes) = conn.some() {
            conn.send(bytes);
        }
    });
    let hubgate = Hubgate::before(upstream.addr);
    for tls in [true, false] {
        let mut client = if tls { hubgate.tls() } else { hubgate.plain() };
        client.send(format!("{ASK}eager"));
        assert_eq!(client.final_head().unwrap().0.status(), 101);
        client.send(" more");
        assert_eq!(client.exactly(10).unwrap(), b"eager more");
    }
}

#[test]
fn a_refused_handshake_passes_as_it_is() {
    let upstream = Upstream::answering(
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 21\r\nX-Reason: origin\r\n\r\nBlocking Cross Origin",
    );
    let hubgate = Hubgate::before(upstream.addr);
    for mut client in [hubgate.plain(), hubgate.tls()] {
        let response = client.exchange(handshake_request(HOST, "/", ""));
        assert_eq!(
            (response.status, response.text().as_str()),
            (403, "Blocking Cross Origin")
        );
        assert_eq!(response.head.one("x-reason"), "origin");
        assert_eq!(response.complete, Ok(()));
    }
}

#[test]
fn bytes_sent_ahead_of_a_refused_upgrade_reach_no_upstream_as_a_request() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    client.send(format!("{ASK}\x01\x02binary frames\r\n\r\n"));
    assert_eq!(client.response().text(), "no");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_handshake_without_an_answer_becomes_504() {
    let upstream = Upstream::start(|conn| {
        conn.request();
        let _ = conn.closes_within(Duration::from_secs(20));
    });
    let hubgate = Hubgate::start(&one_site(
        upstream.addr,
        "tunnel_handshake_timeout = \"300ms\"",
    ));
    let response = hubgate.plain().exchange(handshake_request(HOST, "/", ""));
    assert_eq!(response.status, 504);
    assert!(
        response.text().contains("tunnel_handshake_timeout"),
        "{}",
        response.text()
    );
    eventually("the upstream is left", || upstream.open() == 0);
}

#[test]
fn any_protocol_can_be_asked_for_with_other_connection_options_beside() {
    let upstream = Upstream::start(raw_echo);
    let hubgate = Hubgate::before(upstream.addr);
    for (connection, upgrade) in [
        ("keep-alive, Upgrade", "vnc"),
        ("upgrade", "IRC/6.9"),
        ("Upgrade", "websocket"),
        ("Upgrade, X-Gone", "tcp"),
    ] {
        let mut client = hubgate.plain();
        client.send(format!("GET / HTTP/1.1\r\nHost: hub.test\r\nConnection: {connection}\r\nX-Gone: 1\r\nUpgrade: {upgrade}\r\n\r\nping"));
        assert_eq!(client.final_head().unwrap().0.status(), 101, "{upgrade}");
        assert_eq!(client.exactly(4).unwrap(), b"ping");
        let head = upstream.last_request().head;
        assert_eq!(head.one("upgrade"), upgrade);
        assert!(head.lists("connection", "upgrade"));
        assert!(connection.contains("X-Gone") != head.has("x-gone"));
    }
}

#[test]
fn what_is_no_upgrade_is_forwarded_without_one() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let cases = [
        (
            "h2c",
            "GET / HTTP/1.1\r\nHost: hub.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        ),
        (
            "not named by connection",
            "GET / HTTP/1.1\r\nHost: hub.test\r\nUpgrade: websocket\r\n\r\n",
        ),
        (
            "http/1.0",
            "GET / HTTP/1.0\r\nHost: hub.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        ),
        (
            "upgrade without a protocol",
            "GET / HTTP/1.1\r\nHost: hub.test\r\nConnection: Upgrade\r\n\r\n",
        ),
    ];
    for (what, request) in cases {
        assert_eq!(hubgate.plain().exchange(request).text(), "ok", "{what}");
        let head = upstream.last_request().head;
        for gone in ["upgrade", "http2-settings"] {
            assert!(
                !head.has(gone),
                "{what}: {}",
                String::from_utf8_lossy(&head.raw)
            );
        }
        assert!(!head.lists("connection", "upgrade"), "{what}");
    }
}

#[test]
fn connect_is_refused_on_both_protocols() {
    let upstream = Upstream::saying("no");
    let hubgate = Hubgate::before(upstream.addr);
    for target in ["hub.test:443", "127.0.0.1:22", "/"] {
        let response = hubgate.plain().exchange(format!(
            "CONNECT {target} HTTP/1.1\r\nHost: hub.test\r\n\r\n"
        ));
        assert!(
            [400, 405].contains(&response.status),
            "{target}: {}",
            response.status
        );
    }
    let response = hubgate
        .plain()
        .exchange("CONNECT hub.test:443 HTTP/1.1\r\nHost: hub.test:443\r\n\r\n");
    assert_eq!(response.status, 405);
    assert!(response.text().contains("method_refused"));
    let mut wire = crate::support::h2_frames::open(hubgate.https, HOST);
    crate::support::h2_frames::outcome_of(
        &mut wire,
        &[(":method", b"CONNECT"), (":authority", b"hub.test")],
    );
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn trace_is_refused_on_both_protocols() {
    let upstream = Upstream::saying("no");
    let hubgate = Hubgate::before(upstream.addr);
    let response = hubgate
        .plain()
        .exchange("TRACE / HTTP/1.1\r\nHost: hub.test\r\nCookie: secret=1\r\n\r\n");
    assert_eq!(response.status, 405);
    assert!(response.head.has("allow") && !response.text().contains("secret"));
    let mut h2 = hubgate.h2();
    let request = h2.request("TRACE", "/");
    assert_eq!(h2.exchange(request).status, 405);
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn http2_does_not_offer_extended_connect() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut wire = crate::support::h2_frames::open(hubgate.https, HOST);
    let settings = crate::support::h2_frames::next(&mut wire).unwrap();
    assert_eq!(settings.kind, crate::support::h2_frames::SETTINGS);
    assert!(
        settings
            .payload
            .chunks(6)
            .all(|s| s[..2] != [0, 8] || s[2..] == [0; 4]),
        "{settings:?}"
    );
}

#[test]
fn many_upgrades_at_once_are_all_kept() {
    let upstream = Upstream::start(raw_echo);
    let hubgate = Hubgate::before(upstream.addr);
    let addr = hubgate.http;
    let threads: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                for _ in 0..50 {
                    let mut client = crate::support::Client::plain(addr);
                    client.send(ASK);
                    assert_eq!(client.head().unwrap().status(), 101);
                    client.send("kept");
                    assert_eq!(client.exactly(4).unwrap(), b"kept");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
