//! How long a tunnel lives: through silence, reloads and a drain, and how each side's end reaches the other.

use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::hubgate::{HOST, one_site};
use crate::support::websocket::{self, echoes, handshake_request};
use crate::support::{End, Hubgate, Upstream, eventually, within};
use crate::tunnels::{SWITCH, echo_server, raw_echo, raw_tunnel};

#[test]
fn an_end_of_the_clients_direction_leaves_the_other_open() {
    let upstream = Upstream::start(|conn| {
        conn.request();
        conn.send(SWITCH);
        let (all, end) = conn.rest();
        assert_eq!(end, End::Clean);
        conn.send([b"got ", all.as_slice()].concat());
    });
    let hubgate = Hubgate::before(upstream.addr);
    for tls in [false, true] {
        let mut client = raw_tunnel(&hubgate, tls);
        client.send("all of it");
        client.finish_sending();
        assert_eq!(
            client.rest(),
            (b"got all of it".to_vec(), End::Clean),
            "tls: {tls}"
        );
    }
}

#[test]
fn an_end_of_the_upstreams_direction_leaves_the_other_open() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let upstream = Upstream::start(move |conn| {
        conn.request();
        conn.send(format!("{SWITCH}bye"));
        conn.finish_sending();
        let rest = conn.rest();
        tell.lock().unwrap().send(rest).unwrap();
    });
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = raw_tunnel(&hubgate, false);
    assert_eq!(client.rest(), (b"bye".to_vec(), End::Clean));
    client.send("still talking");
    client.finish_sending();
    let got = told.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(got, (b"still talking".to_vec(), End::Clean));
}

#[test]
fn whoever_leaves_takes_the_other_side_along() {
    let upstream = Upstream::start(raw_echo);
    let hubgate = Hubgate::before(upstream.addr);
    for tls in [false, true] {
        let mut client = raw_tunnel(&hubgate, tls);
        client.send("x");
        client.exactly(1).unwrap();
        client.0.reset();
        within(Duration::from_secs(1), "the upstream is left", || {
            upstream.open() == 0
        });
    }
    let leaving = Upstream::start(|conn| {
        conn.request();
        conn.send(SWITCH);
        conn.reset();
    });
    let hubgate = Hubgate::before(leaving.addr);
    assert!(raw_tunnel(&hubgate, false).closes_within(Duration::from_secs(1)));
}

#[test]
fn a_silent_tunnel_ends_after_its_idle_time_and_one_busy_direction_keeps_it() {
    let upstream = Upstream::start(|conn| {
        let head = conn.request().unwrap();
        conn.send(SWITCH);
        if head.target() == b"/raw" {
            for _ in 0..10 {
                conn.send("x");
                std::thread::sleep(Duration::from_millis(150)); // below the idle time, in sum above
            }
        }
        let _ = conn.closes_within(Duration::from_secs(20));
    });
    let hubgate = Hubgate::start(&one_site(upstream.addr, "tunnel_idle_timeout = \"500ms\""));
    let mut client = raw_tunnel(&hubgate, false);
    let start = Instant::now();
    assert_eq!(client.exactly(10).unwrap(), b"xxxxxxxxxx");
    assert!(client.closes_within(Duration::from_secs(3)));
    assert!(start.elapsed() > Duration::from_millis(1500));
    eventually("the upstream is left", || upstream.open() == 0);
}

#[test]
fn no_client_timeout_applies_inside_a_tunnel() {
    let upstream = Upstream::start(raw_echo);
    let toml = one_site(
        upstream.addr,
        "idle_timeout = \"300ms\"\nresponse_timeout = \"300ms\"",
    ) + "[timeouts]\nhead = \"300ms\"\nkeep_alive = \"300ms\"\nbody = \"300ms\"\nwrite = \"300ms\"\nhandshake = \"2s\"\n";
    let hubgate = Hubgate::start(&toml);
    for tls in [false, true] {
        let mut client = raw_tunnel(&hubgate, tls);
        std::thread::sleep(Duration::from_millis(1200)); // silence is what is tested
        client.send("still there");
        assert_eq!(client.exactly(11).unwrap(), b"still there");
    }
}

#[test]
fn a_tunnel_lives_through_reloads_and_the_removal_of_its_route() {
    let upstream = echo_server();
    let hubgate = Hubgate::before(upstream.addr);
    let mut socket = websocket::open_tls(hubgate.https, HOST, "/");
    echoes(&mut socket, "before");
    for i in 0..3 {
        hubgate.reload_to(&one_site(
            upstream.addr,
            &format!("tunnel_idle_timeout = \"{}m\"", 10 + i),
        ));
        echoes(&mut socket, "after a reload");
    }
    hubgate.reload_to(&one_site(upstream.addr, "").replace(HOST, "elsewhere.test"));
    echoes(&mut socket, "after the removal");
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_websocket_gets_close_1001_when_the_drain_ends_and_works_until_then() {
    let upstream = echo_server();
    let toml = one_site(upstream.addr, "") + "[server]\ndrain_timeout = \"1s\"\n";
    let mut hubgate = Hubgate::start(&toml);
    let mut sockets = [
        websocket::open_tls(hubgate.https, HOST, "/"),
        websocket::open(hubgate.plain(), HOST, "/", "").0,
    ];
    hubgate.signal("TERM");
    let start = Instant::now();
    for socket in &mut sockets {
        echoes(socket, "during the drain");
    }
    for socket in &mut sockets {
        match socket.read() {
            Ok(Message::Close(Some(frame))) => assert_eq!(frame.code, CloseCode::Away),
            other => panic!("{other:?}"),
        }
    }
    assert!(start.elapsed() > Duration::from_millis(900));
    assert!(hubgate.wait(Duration::from_secs(5)).success());
}

#[test]
fn a_close_frame_is_not_put_into_the_middle_of_a_message() {
    // A frame that the drain finds half sent must not have another inside it: then the tunnel just ends.
    let upstream = Upstream::start(|conn| {
        let head = conn.request().unwrap();
        assert!(head.has("sec-websocket-key"));
        conn.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        );
        conn.send([&[0x82, 100][..], b"half"].concat());
        let _ = conn.closes_within(Duration::from_secs(20));
    });
    let hubgate =
        Hubgate::start(&(one_site(upstream.addr, "") + "[server]\ndrain_timeout = \"300ms\"\n"));
    let mut client = hubgate.plain();
    client.send(handshake_request(HOST, "/", ""));
    assert_eq!(client.head().unwrap().status(), 101);
    assert_eq!(client.exactly(6).unwrap(), b"\x82dhalf");
    hubgate.signal("TERM");
    assert_eq!(client.rest().0, b"");
}
