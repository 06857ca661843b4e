//! Server-sent events: each one is delivered when it is sent, on every protocol, for as long as it goes on.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::support::hubgate::one_site;
use crate::support::message::{Body, Framing, Kind};
use crate::support::{DEADLINE, Hubgate, Upstream, within};

/// Sends an event each time the test says so.
fn on_demand(chunked: bool) -> (Upstream, Sender<String>) {
    let (tell, told): (Sender<String>, Receiver<String>) = channel();
    let told = Mutex::new(told);
    let upstream = Upstream::start(move |conn| {
        if conn.request().is_none() {
            return;
        }
        let framing = if chunked {
            "Transfer-Encoding: chunked\r\n"
        } else {
            ""
        };
        conn.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n"
        ));
        let told = told.lock().unwrap();
        while let Ok(event) = told.recv_timeout(DEADLINE) {
            if event == "end" {
                break;
            }
            let bytes = if chunked {
                format!("{:x}\r\n{event}\r\n", event.len())
            } else {
                event
            };
            if conn.try_send(bytes).is_err() {
                return;
            }
        }
        if chunked {
            let _ = conn.try_send("0\r\n\r\n");
        }
    });
    (upstream, tell)
}

#[test]
fn each_event_is_delivered_before_the_next_is_sent_on_http1() {
    for chunked in [true, false] {
        for tls in [true, false] {
            let (upstream, tell) = on_demand(chunked);
            let hubgate = Hubgate::before(upstream.addr);
            let mut client = if tls { hubgate.tls() } else { hubgate.plain() };
            client.send("GET / HTTP/1.1\r\nHost: hub.test\r\nAccept: text/event-stream\r\nAccept-Encoding: gzip, br\r\n\r\n");
            let head = client.head().expect("the head before the first event");
            assert!(!head.has("content-encoding"));
            let start = Instant::now();
            for i in 0..50 {
                let event = format!("data: {{\"phase\": \"building\", \"n\": {i}}}\n\n");
                tell.send(event.clone()).unwrap();
                assert_eq!(
                    client.chunk(&mut Vec::new()).unwrap().unwrap(),
                    event.as_bytes()
                );
            }
            assert!(
                start.elapsed() < Duration::from_secs(2),
                "50 events in {:?}",
                start.elapsed()
            );
            tell.send("end".to_owned()).unwrap();
            assert_eq!(client.chunk(&mut Vec::new()), Ok(None));
        }
    }
}

#[test]
fn each_event_is_delivered_before_the_next_is_sent_on_http2() {
    let (upstream, tell) = on_demand(true);
    let hubgate = Hubgate::before(upstream.addr);
    let mut h2 = hubgate.h2();
    let mut stream = h2.open(
        h2.request("GET", "/").header("accept-encoding", "gzip"),
        true,
    );
    let (status, fields) = stream.head().expect("the head before the first event");
    assert_eq!(
        (status, fields.contains_key("content-encoding")),
        (200, false)
    );
    let start = Instant::now();
    for i in 0..50 {
        let event = format!("data: {i}\n\n");
        tell.send(event.clone()).unwrap();
        assert_eq!(stream.chunk().unwrap().unwrap(), event);
    }
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "50 events in {:?}",
        start.elapsed()
    );
    tell.send("end".to_owned()).unwrap();
    assert!(stream.chunk().is_none());
}

#[test]
fn a_stream_outlives_the_response_timeout_and_the_sum_of_idle_times() {
    let (upstream, tell) = on_demand(true);
    let hubgate = Hubgate::start(&one_site(
        upstream.addr,
        "response_timeout = \"200ms\"\nidle_timeout = \"400ms\"",
    ));
    let mut client = hubgate.tls();
    client.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    client.head().unwrap();
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(150)); // below the idle time, in sum far above
        tell.send("data: x\n\n".to_owned()).unwrap();
        assert_eq!(
            client.chunk(&mut Vec::new()).unwrap().unwrap(),
            b"data: x\n\n"
        );
    }
}

#[test]
fn a_preset_needs_no_further_line_for_a_stream_that_is_silent_for_longer_than_a_client_timeout() {
    for preset in ["jupyterhub", "binderhub"] {
        let (upstream, tell) = on_demand(true);
        let toml = one_site(upstream.addr, &format!("preset = \"{preset}\""))
            // The upstream answers one request alone.
            + "health = { kind = \"off\" }\n[timeouts]\nbody = \"300ms\"\nwrite = \"300ms\"\nkeep_alive = \"300ms\"\nhead = \"300ms\"\n";
        let hubgate = Hubgate::start(&toml);
        let mut client = hubgate.tls();
        client.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
        client.head().unwrap();
        std::thread::sleep(Duration::from_millis(1500)); // silence is what is tested
        tell.send("data: late\n\n".to_owned()).unwrap();
        assert_eq!(
            client.chunk(&mut Vec::new()).unwrap().unwrap(),
            b"data: late\n\n"
        );
        tell.send("end".to_owned()).unwrap();
    }
}

#[test]
fn an_http2_stream_that_is_silent_is_not_an_idle_connection() {
    let (upstream, tell) = on_demand(true);
    let toml = one_site(upstream.addr, "preset = \"binderhub\"")
        // The upstream answers one request alone.
        + "health = { kind = \"off\" }\n[timeouts]\nkeep_alive = \"300ms\"\nwrite = \"300ms\"\nbody = \"300ms\"\n";
    let hubgate = Hubgate::start(&toml);
    let mut h2 = hubgate.h2();
    let mut stream = h2.open(h2.request("GET", "/"), true);
    stream.head().unwrap();
    std::thread::sleep(Duration::from_millis(1500)); // silence is what is tested
    tell.send("data: late\n\n".to_owned()).unwrap();
    assert_eq!(stream.chunk().unwrap().unwrap(), "data: late\n\n");
}

#[test]
fn the_upstream_is_closed_soon_after_the_last_reader_left() {
    let (upstream, tell) = on_demand(true);
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.tls();
    client.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    client.head().unwrap();
    tell.send("data: 1\n\n".to_owned()).unwrap();
    client.chunk(&mut Vec::new()).unwrap();
    drop(client);
    // The script waits for the test, not for its socket: it sees the end when it sends.
    within(Duration::from_secs(1), "the upstream is closed", || {
        let _ = tell.send("data: 2\n\n".to_owned());
        upstream.open() == 0
    });
}

/// A build's stream that gets this far and then breaks off, behind a route with this preset.
fn broken_build(preset: &str, length: &str, stream: &'static str) -> (Upstream, Hubgate) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{length}\r\n");
    let chunked = length.starts_with("Transfer");
    let upstream = Upstream::start(move |conn| {
        let Some(asked) = conn.request_head() else {
            return;
        };
        conn.send(&head);
        conn.send(match chunked {
            true => format!("{:x}\r\n{stream}\r\n", stream.len()),
            false => stream.to_owned(),
        });
        // Until the client has it, which its body tells: a reset would take it back.
        let _ = conn.request_body(&asked);
        conn.reset();
    });
    let toml = one_site(upstream.addr, &format!("preset = \"{preset}\""));
    let toml = toml
        + "health = { kind = \"off\" }\n[access_log]\ntarget = \"stdout\"\nformat = \"$status $cause\"\n";
    let hubgate = Hubgate::start(&toml.replace("path = \"/\"", "path = \"/binderhub/\""));
    (upstream, hubgate)
}

const BUILD: &str = "/binderhub/build/gh/a/b/HEAD";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// What comes of a build's stream, and whether it ended well, on HTTP/1.1 and HTTP/2.
fn builds(hubgate: &Hubgate, target: &str, stream: &str) -> [(String, bool); 2] {
    let mut client = hubgate.tls();
    client.send(format!(
        "POST {target} HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 1\r\n\r\n"
    ));
    let head = client.head().expect("a head");
    let framing = head.framing(Kind::Response { to_head: false }).unwrap();
    let mut body = Body::default();
    let mut seen = Vec::new();
    while seen.len() < stream.len() {
        match framing {
            Framing::Chunked => seen.extend(client.chunk(&mut Vec::new()).unwrap().unwrap()),
            _ => seen.extend(client.some().unwrap()),
        }
    }
    client.send("x");
    let ended = match framing {
        Framing::Chunked => client.body(framing, &mut body).is_ok(),
        _ => false,
    };
    seen.extend(body.bytes);
    let first = (String::from_utf8(seen).unwrap(), ended);

    let mut h2 = hubgate.h2();
    let mut build = h2.open(h2.request("POST", target), false);
    build.head().unwrap();
    let mut seen = build.chunk().unwrap().unwrap().to_vec();
    build.send("x", true);
    let ended = loop {
        match build.chunk() {
            Some(Ok(piece)) => seen.extend(&piece),
            Some(Err(_)) => break false,
            None => break true,
        }
    };
    [first, (String::from_utf8(seen).unwrap(), ended)]
}

#[test]
fn a_build_that_breaks_off_between_two_events_ends_with_one_that_says_so() {
    let stream = ":keepalive\n\ndata: {\"phase\": \"building\"}\n\n";
    let (_upstream, hubgate) = broken_build("binderhub", CHUNKED, stream);
    for (seen, ended) in builds(&hubgate, BUILD, stream) {
        let event = seen.strip_prefix(stream).unwrap();
        let data = event
            .strip_prefix("data: ")
            .unwrap()
            .strip_suffix("\n\n")
            .unwrap();
        let told: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(told["phase"], "failed");
        assert!(
            told["message"].as_str().unwrap().contains("upstream_reset"),
            "{told}"
        );
        assert!(ended, "it is the last word, and the stream ends with it");
    }
    within(DEADLINE, "both are logged as what they are", || {
        hubgate.printed().matches("200 upstream_reset").count() == 2
    });
}

#[test]
fn a_stream_that_breaks_off_elsewhere_is_cut_as_ever() {
    let (whole, half) = ("data: 1\n\n", "data: 1\n\ndata: {\"pha");
    for (preset, length, target, stream) in [
        ("binderhub", CHUNKED, BUILD, half),
        ("binderhub", CHUNKED, "/binderhub/events", whole),
        ("jupyterhub", CHUNKED, BUILD, whole),
        ("binderhub", "Content-Length: 100\r\n", BUILD, whole),
    ] {
        let (_upstream, hubgate) = broken_build(preset, length, stream);
        for (seen, ended) in builds(&hubgate, target, stream) {
            assert_eq!((seen.as_str(), ended), (stream, false), "{preset} {target}");
        }
    }
}
