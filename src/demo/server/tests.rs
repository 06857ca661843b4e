//! Talks to the stand-in hub directly, over a socket of its own.
//!
//! One raw HTTP/1.1 request a connection; WebSockets by tokio-tungstenite's client.

use std::io::{Read, Write};
use std::net::TcpStream as Stream;
use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use super::*;

fn connect(hub: &Hub) -> Stream {
    let stream = Stream::connect(hub.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

/// Sends `request` (its head's lines joined by `|`) and reads until the hub closes.
fn exchange(hub: &Hub, request: &str, body: &[u8]) -> String {
    let mut stream = connect(hub);
    let head = format!("{request}|host: localhost|connection: close||").replace('|', "\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn json_of(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

#[test]
fn the_page_is_served_at_the_root_and_below_both_prefixes() {
    let hub = Hub::start().unwrap();
    for path in ["/", "/jupyterhub/", "/binderhub/"] {
        let answer = exchange(&hub, &format!("GET {path} HTTP/1.1"), b"");
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert!(answer.contains("<title>hubgate demo</title>"), "{path}");
    }
    for path in [
        "/jupyterhub",
        "/jupyterhubby/",
        "/binderhub/nothing",
        "/other",
    ] {
        let answer = exchange(&hub, &format!("GET {path} HTTP/1.1"), b"");
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
}

#[test]
fn the_checks_that_the_presets_bring_are_passed() {
    use crate::config::{CheckKind, Source, parse};
    use crate::demo::configuration::{Ports, config};

    let hub = Hub::start().unwrap();
    let ports = Ports {
        http: 8080,
        https: 8443,
        admin: 9180,
        ipv6: false,
    };
    let text = config(hub.address(), ports, std::path::Path::new("/tmp/x"));
    // Whichever preset comes first decides what is asked.
    for text in [
        text.replace("preset = \"binderhub\"", ""),
        text.replace("preset = \"jupyterhub\"", ""),
    ] {
        let loaded = parse(&Source::new("demo", "/tmp/x", text)).unwrap();
        let health = loaded
            .config
            .upstreams
            .values()
            .next()
            .unwrap()
            .health
            .as_ref()
            .unwrap();
        let CheckKind::Http(check) = &health.kind else {
            panic!("another kind of check: {health:?}");
        };
        let answer = exchange(&hub, &format!("GET {} HTTP/1.1", check.path), b"");
        assert!(
            answer.starts_with("HTTP/1.1 200"),
            "{}: {answer}",
            check.path
        );
    }
}

#[test]
fn echo_shows_the_target_and_every_field_as_they_arrived() {
    let hub = Hub::start().unwrap();
    let target = "/binderhub/echo/a%2Fb//c/%2e%2e/d;x=1?q=%20+%25";
    let answer = exchange(
        &hub,
        &format!("PUT {target} HTTP/1.1|x-twice: 1|x-twice: 2|content-length: 5"),
        b"12345",
    );
    let seen = json_of(&answer);
    assert_eq!(seen["method"], "PUT");
    assert_eq!(seen["target"], target);
    assert_eq!(seen["body_bytes"], 5);
    let fields = seen["headers"].as_array().unwrap();
    assert_eq!(
        fields
            .iter()
            .filter(|line| line.as_str().unwrap().starts_with("x-twice: "))
            .count(),
        2
    );
}

#[test]
fn upload_counts_the_bytes_of_a_chunked_body() {
    let hub = Hub::start().unwrap();
    let body = b"4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n";
    let answer = exchange(
        &hub,
        "POST /jupyterhub/upload HTTP/1.1|transfer-encoding: chunked",
        body,
    );
    assert_eq!(json_of(&answer)["bytes"], 7);
    assert_eq!(json_of(&answer)["complete"], true);
}

#[test]
fn events_come_one_by_one_and_end() {
    let hub = Hub::start().unwrap();
    let mut stream = connect(&hub);
    let started = Instant::now();
    stream
        .write_all(
            b"GET /binderhub/events?n=3&ms=200 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        )
        .unwrap();
    let mut answer = String::new();
    let mut first = None;
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).unwrap();
        if length == 0 {
            break;
        }
        answer.push_str(&String::from_utf8_lossy(&buffer[..length]));
        if answer.contains("data:") {
            first.get_or_insert_with(|| started.elapsed());
        }
    }
    assert!(
        answer.contains("content-type: text/event-stream"),
        "{answer}"
    );
    assert_eq!(answer.matches("data: {").count(), 3);
    assert!(answer.contains("sent_ms"));
    assert!(
        started.elapsed() - first.unwrap() >= Duration::from_millis(250),
        "all at once: {answer}"
    );
}

#[test]
fn a_slow_answer_waits_as_long_as_asked() {
    let hub = Hub::start().unwrap();
    let started = Instant::now();
    assert_eq!(
        json_of(&exchange(&hub, "GET /jupyterhub/slow?s=1 HTTP/1.1", b""))["waited_seconds"],
        1
    );
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn the_websocket_echoes_text_and_binary_and_keeps_the_subprotocol() {
    let hub = Hub::start().unwrap();
    let mut request = format!("ws://{}/jupyterhub/ws", hub.address())
        .into_client_request()
        .unwrap();
    request.headers_mut().insert(
        "sec-websocket-protocol",
        "v1.kernel.websocket.jupyter.org, other".parse().unwrap(),
    );
    let stream = TcpStream::connect(hub.address()).await.unwrap();
    let (mut socket, answer) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    assert_eq!(
        answer.headers()["sec-websocket-protocol"],
        "v1.kernel.websocket.jupyter.org"
    );
    for message in [Message::text("hello"), Message::binary(vec![0xff; 300_000])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.close(None).await.unwrap();
    while let Some(message) = socket.next().await {
        assert!(message.unwrap().is_close());
    }
}

#[test]
fn a_plain_request_to_the_websocket_is_told_to_upgrade() {
    let hub = Hub::start().unwrap();
    let answer = exchange(&hub, "GET /jupyterhub/ws HTTP/1.1", b"");
    assert!(answer.starts_with("HTTP/1.1 426"), "{answer}");
}

#[test]
fn dropping_the_hub_closes_its_port_and_its_connections() {
    let hub = Hub::start().unwrap();
    let address = hub.address();
    let mut open = connect(&hub);
    drop(hub);
    assert!(Stream::connect(address).is_err());
    assert!(matches!(open.read(&mut [0]), Ok(0) | Err(_)));
}
