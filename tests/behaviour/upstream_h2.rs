//! HTTP/2 towards upstreams: everything that passes over HTTP/1.1 passes, streams share connections, and nothing that was
//! cut looks whole.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderValue, Response};
use tempfile::TempDir;

use crate::support::authority::Authority;
use crate::support::h2_frames::{DATA, END_STREAM, GOAWAY, HEADERS, PREFACE, SETTINGS, frame};
use crate::support::h2_upstream::{Settings, send_all};
use crate::support::hubgate::{HOST, one_site};
use crate::support::websocket::{self, echoes};
use crate::support::{Client, H2Upstream, Hubgate, Upstream, eventually};

/// One site before an upstream that speaks `h2c`; `more` are lines of the route, `upstream` of the upstream.
fn site(upstream: &H2Upstream, more: &str, lines: &str) -> String {
    one_site(upstream.addr, more) + &format!("protocol = \"h2c\"\n{lines}\n")
}

fn before(upstream: &H2Upstream) -> Hubgate {
    Hubgate::start(&site(upstream, "body_limit = \"none\"", ""))
}

fn echo() -> H2Upstream {
    H2Upstream::start(Settings::default(), |mut call| async move {
        let Ok((body, trailers)) = call.whole().await else {
            return;
        };
        let length = body.len();
        let mut send = call.begin(Response::builder().header("x-length", length));
        if send_all(&mut send, body.into()).await.is_ok() {
            let _ = match trailers {
                Some(trailers) => send.send_trailers(trailers),
                None => send.send_data(Bytes::new(), true),
            };
        }
    })
}

#[test]
fn requests_of_both_versions_pass_with_their_heads() {
    let upstream = H2Upstream::saying(Settings::default(), "hello");
    let hubgate = before(&upstream);
    let request = "GET /a%2Fb//c?x=%25&y=+ HTTP/1.1\r\nHost: hub.test:8443\r\nX-a: 1\r\nx-A: 2\r\nCookie: a=b\r\nConnection: x-gone\r\nX-Gone: 1\r\nTE: gzip\r\n\r\n";
    let response = hubgate.plain().exchange(request);
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    assert_eq!(response.head.one("transfer-encoding"), "chunked");
    let response = hubgate.h2().get("/two");
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    let seen = upstream.seen();
    assert_eq!(seen[0].uri, "http://hub.test:8443/a%2Fb//c?x=%25&y=+");
    let fields = &seen[0].headers;
    assert_eq!(fields.get_all("x-a").iter().count(), 2);
    assert_eq!(fields["x-forwarded-for"], "127.0.0.1");
    assert_eq!(fields["cookie"], "a=b");
    for gone in ["host", "connection", "x-gone", "te", "transfer-encoding"] {
        assert!(!fields.contains_key(gone), "{gone}");
    }
    assert_eq!(upstream.connections(), 1, "both on one connection");
}

#[test]
fn bodies_of_any_size_pass_both_ways() {
    let upstream = echo();
    let hubgate = before(&upstream);
    let large: Vec<u8> = (0..5_000_000u32).flat_map(u32::to_le_bytes).collect();
    for size in [0, 1, 65_535, 65_536, 1 << 20, large.len()] {
        let body = &large[..size];
        let head = format!("POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: {size}\r\n\r\n");
        let response = hubgate.plain().exchange([head.as_bytes(), body].concat());
        assert_eq!(response.complete, Ok(()), "{size}");
        assert!(response.body.bytes == body, "{size}");
        let mut h2 = hubgate.h2();
        let mut stream = h2.open(h2.request("POST", "/"), false);
        let half = size.min(200_000);
        stream.send(&body[..half], true);
        let response = stream.whole().unwrap();
        assert!(response.body == body[..half], "{size} on HTTP/2");
    }
}

#[test]
fn trailers_pass_in_both_directions_between_all_versions() {
    let upstream = echo();
    let hubgate = before(&upstream);
    let mut h2 = hubgate.h2();
    let mut stream = h2.open(h2.request("POST", "/").header("te", "trailers"), false);
    stream.send("abc", false);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("5"));
    trailers.insert("content-length", HeaderValue::from_static("3"));
    stream.send_trailers(trailers);
    let response = stream.whole().unwrap();
    assert_eq!(response.text(), "abc");
    let back = response.trailers.unwrap();
    assert_eq!((back["grpc-status"].as_bytes(), back.len()), (&b"5"[..], 1));
    assert_eq!(upstream.seen()[0].headers["te"], "trailers");
    let response = hubgate.plain().exchange(
        "POST / HTTP/1.1\r\nHost: hub.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    assert_eq!(response.text(), "abc");
    assert_eq!(
        response.body.trailers,
        [("x-sum".to_owned(), b"1".to_vec())]
    );
}

#[test]
fn a_response_that_is_only_trailers_has_no_body() {
    let upstream = H2Upstream::start(Settings::default(), |mut call| async move {
        let head = Response::builder()
            .header("grpc-status", "12")
            .body(())
            .unwrap();
        let _ = call.respond.send_response(head, true);
    });
    let hubgate = before(&upstream);
    let response = hubgate.h2().get("/");
    assert_eq!((response.status, response.body.len()), (200, 0));
    assert_eq!(response.fields["grpc-status"], "12");
    assert!(!response.fields.contains_key("content-length"));
    let response = hubgate.plain().get(HOST, "/");
    assert_eq!(
        (response.complete, response.head.one("grpc-status").as_str()),
        (Ok(()), "12")
    );
}

#[test]
fn head_and_statuses_without_a_body_end_at_once() {
    let upstream = H2Upstream::start(Settings::default(), |mut call| async move {
        let status = match call.seen.uri.path() {
            "/204" => 204,
            "/304" => 304,
            _ => 200,
        };
        let head = Response::builder().status(status).header("x-a", "b");
        let head = match status {
            204 => head,
            _ => head.header("content-length", "5"),
        };
        let _ = call.respond.send_response(head.body(()).unwrap(), true);
    });
    let hubgate = before(&upstream);
    let mut client = hubgate.plain();
    for (method, target, status) in [
        ("HEAD", "/", 200),
        ("GET", "/204", 204),
        ("GET", "/304", 304),
    ] {
        let response = client.exchange(format!(
            "{method} {target} HTTP/1.1\r\nHost: hub.test\r\n\r\n"
        ));
        assert_eq!((response.status, response.body.bytes.len()), (status, 0));
        let mut h2 = hubgate.h2();
        let response = h2.exchange(h2.request(method, target));
        assert_eq!((response.status, response.body.len()), (status, 0));
    }
}

#[test]
fn informational_answers_pass() {
    let upstream = H2Upstream::start(Settings::default(), |mut call| async move {
        let hints = Response::builder()
            .status(103)
            .header("link", "</a>")
            .body(())
            .unwrap();
        let _ = call.respond.send_informational(hints);
        call.answer(200, "ok");
    });
    let hubgate = before(&upstream);
    let mut h2 = hubgate.h2();
    let mut stream = h2.open(h2.request("GET", "/"), true);
    assert_eq!(stream.informational().headers()["link"], "</a>");
    assert_eq!(stream.whole().unwrap().text(), "ok");
    let mut client = hubgate.plain();
    client.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    let (head, before) = client.final_head().unwrap();
    assert_eq!((head.status(), before.len()), (200, 1));
    assert_eq!(before[0].one("link"), "</a>");
}

/// Begins a body, and resets.
fn cut(length: Option<&'static str>) -> H2Upstream {
    H2Upstream::start(Settings::default(), move |mut call| async move {
        let head = Response::builder();
        let head = length
            .into_iter()
            .fold(head, |head, length| head.header("content-length", length));
        let mut send = call.begin(head);
        let _ = send.send_data("half".into(), false);
        tokio::time::sleep(Duration::from_millis(100)).await; // so that it is on its way
        match call.seen.uri.path() {
            "/drop" => drop(send),
            "/no-error" => send.send_reset(Reason::NO_ERROR),
            _ => send.send_reset(Reason::INTERNAL_ERROR),
        }
    })
}

#[test]
fn a_response_that_was_reset_never_looks_whole() {
    for length in [None, Some("100")] {
        let upstream = cut(length);
        let hubgate = before(&upstream);
        for target in ["/reset", "/no-error", "/drop"] {
            let response = hubgate.plain().get(HOST, target);
            assert_eq!(response.text(), "half");
            assert!(response.complete.is_err(), "{target} {length:?}");
            let mut h2 = hubgate.h2();
            let response = h2.open(h2.request("GET", target), true).whole();
            let whole = response.is_ok_and(|response| response.complete.is_ok());
            assert!(!whole, "{target} {length:?} on HTTP/2");
        }
    }
}

#[test]
fn many_requests_share_a_connection_up_to_the_peers_limit() {
    let (release, _) = tokio::sync::watch::channel(false);
    let release = Arc::new(release);
    let held = release.clone();
    let settings = Settings {
        max_streams: Some(4),
        ..Settings::default()
    };
    let upstream = H2Upstream::start(settings, move |mut call| {
        let mut released = held.subscribe();
        async move {
            let _ = released.wait_for(|released| *released).await;
            call.answer(200, "ok");
        }
    });
    let hubgate = before(&upstream);
    let mut first = hubgate.plain();
    first.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    eventually("the first arrives, and the peer's limit with it", || {
        upstream.seen().len() == 1
    });
    let mut clients: Vec<Client> = (0..11)
        .map(|_| {
            let mut client = hubgate.plain();
            client.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
            client
        })
        .collect();
    eventually("all arrive", || upstream.seen().len() >= 12);
    release.send_replace(true);
    clients.push(first);
    for client in &mut clients {
        assert_eq!(client.response().text(), "ok");
    }
    assert!(
        (3..=5).contains(&upstream.connections()),
        "{}",
        upstream.connections()
    );
    eventually("idle connections end", || upstream.open() == 0);
}

#[test]
fn a_burst_makes_one_connection_not_one_for_each() {
    let upstream = H2Upstream::saying(Settings::default(), "ok");
    let hubgate = before(&upstream);
    let mut clients: Vec<Client> = (0..50).map(|_| hubgate.plain()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.response().text(), "ok");
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn after_a_goaway_requests_go_on_a_new_connection_and_none_fails() {
    let upstream = H2Upstream::start(Settings::default(), |mut call| async move {
        tokio::time::sleep(Duration::from_millis(5)).await; // so that some are open when it comes
        call.answer(200, "ok");
    });
    let hubgate = before(&upstream);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let mut client = hubgate.plain();
            std::thread::spawn(move || {
                for _ in 0..100 {
                    let response = client
                        .exchange("POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 0\r\n\r\n");
                    assert_eq!(response.text(), "ok");
                }
            })
        })
        .collect();
    while !clients.iter().all(|client| client.is_finished()) {
        std::thread::sleep(Duration::from_millis(50));
        upstream.go_away();
    }
    for client in clients {
        client.join().unwrap();
    }
    assert!(upstream.connections() > 3);
    assert_eq!(upstream.seen().len(), 400, "none was sent twice");
}

/// A way to `upstream` whose first connections are answered by `answer` instead.
fn way(upstream: &H2Upstream, first: usize, answer: fn(TcpStream)) -> Hubgate {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (own, behind) = (listener.local_addr().unwrap(), upstream.addr);
    std::thread::spawn(move || {
        for (number, near) in listener.incoming().enumerate() {
            let mut near = near.unwrap();
            std::thread::spawn(move || {
                if number < first {
                    return answer(near);
                }
                let mut far = TcpStream::connect(behind).unwrap();
                let (mut up, mut down) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let other = std::thread::spawn(move || std::io::copy(&mut up, &mut down));
                let _ = std::io::copy(&mut far, &mut near);
                let _ = near.shutdown(Shutdown::Both);
                let _ = other.join();
            });
        }
    });
    Hubgate::start(&(one_site(own, "") + "protocol = \"h2c\"\n"))
}

/// GOAWAY: nothing after stream 0 was looked at, and there was no error (RFC 9113 section 6.8).
fn goaway() -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[0; 8])
}

/// Says goodbye together with the settings, and waits for the other side to go.
fn leaves_at_once(mut near: TcpStream) {
    let both = [frame(SETTINGS, 0, 0, b""), goaway()].concat();
    near.write_all(&both).unwrap();
    let _ = std::io::copy(&mut near, &mut std::io::sink());
}

/// Takes a request whole, and says that it was not looked at.
fn looks_at_nothing(mut near: TcpStream) {
    near.write_all(&frame(SETTINGS, 0, 0, b"")).unwrap();
    near.read_exact(&mut vec![0; PREFACE.len()]).unwrap();
    let mut head = [0; 9];
    while near.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        near.read_exact(&mut vec![0; length as usize]).unwrap();
        let ends = matches!(head[3], DATA | HEADERS) && head[4] & END_STREAM != 0;
        if ends {
            near.write_all(&goaway()).unwrap();
            near.shutdown(Shutdown::Write).unwrap();
        }
    }
}

/// A POST with `body`.
fn post(body: &str) -> String {
    let length = body.len();
    format!("POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn connections_that_end_before_their_first_request_cost_none() {
    let upstream = echo();
    let hubgate = way(&upstream, 3, leaves_at_once);
    assert_eq!(hubgate.plain().exchange(post("hi")).text(), "hi");
    assert_eq!(upstream.seen().len(), 1);
    assert!(!hubgate.log().contains("endpoint is left out"));
}

#[test]
fn an_endpoint_that_ends_every_connection_at_once_is_not_connected_to_without_end() {
    let upstream = echo();
    let hubgate = way(&upstream, usize::MAX, leaves_at_once);
    let response = hubgate.plain().exchange(post("hi"));
    assert_eq!(response.status, 502);
    assert_eq!(response.head.one("x-hubgate-cause"), "upstream_connect");
}

#[test]
fn a_request_that_a_goaway_says_was_not_looked_at_is_sent_again_with_its_body() {
    let upstream = echo();
    let hubgate = way(&upstream, 1, looks_at_nothing);
    let body = "x".repeat(40_000);
    assert_eq!(hubgate.plain().exchange(post(&body)).text(), body);
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn a_request_that_nobody_looks_at_fails_after_a_few_tries() {
    let upstream = echo();
    let hubgate = way(&upstream, usize::MAX, looks_at_nothing);
    let response = hubgate.plain().exchange(post("hi"));
    assert_eq!(response.status, 502);
    assert_eq!(response.head.one("x-hubgate-cause"), "upstream_closed");
}

#[test]
fn a_client_that_leaves_has_its_stream_reset() {
    let (tell, reset) = std::sync::mpsc::channel();
    let upstream = H2Upstream::start(Settings::default(), move |mut call| {
        let tell = tell.clone();
        async move {
            let mut send = call.begin(Response::builder());
            let _ = send.send_data("first".into(), false);
            let reason = std::future::poll_fn(|cx| send.poll_reset(cx)).await;
            let _ = tell.send(reason.ok());
        }
    });
    let hubgate = before(&upstream);
    let mut h2 = hubgate.h2();
    let mut stream = h2.open(h2.request("GET", "/"), true);
    stream.head().unwrap();
    assert_eq!(stream.chunk().unwrap().unwrap(), "first");
    stream.cancel();
    assert_eq!(
        reset.recv_timeout(Duration::from_secs(5)),
        Ok(Some(Reason::CANCEL))
    );
    let mut client = hubgate.plain();
    client.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    client.through(b"first").unwrap();
    drop(client);
    assert_eq!(
        reset.recv_timeout(Duration::from_secs(5)),
        Ok(Some(Reason::CANCEL))
    );
    assert_eq!(upstream.connections(), 1, "the connection goes on");
}

#[test]
fn a_client_that_takes_nothing_does_not_hold_up_the_others() {
    let upstream = H2Upstream::start(Settings::default(), |mut call| async move {
        match call.seen.uri.path() {
            "/small" => call.answer(200, "ok"),
            _ => {
                let mut send = call.begin(Response::builder());
                while send_all(&mut send, vec![b'x'; 64 * 1024].into())
                    .await
                    .is_ok()
                {}
            }
        }
    });
    let hubgate = before(&upstream);
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let mut client = Client::plain_with_small_window(hubgate.http);
            client.send("GET /endless HTTP/1.1\r\nHost: hub.test\r\n\r\n");
            client
        })
        .collect();
    eventually("the slow ones are there", || upstream.seen().len() == 20);
    std::thread::sleep(Duration::from_millis(300)); // their windows fill
    let before = hubgate.resident();
    for _ in 0..50 {
        assert_eq!(hubgate.plain().get(HOST, "/small").text(), "ok");
    }
    assert_eq!(upstream.connections(), 1);
    assert!(hubgate.resident() < before + (32 << 20));
    drop(slow);
}

#[test]
fn an_upload_waits_for_the_upstreams_window() {
    let settings = Settings {
        window: Some(1000),
        ..Settings::default()
    };
    let upstream = H2Upstream::start(settings, |mut call| async move {
        tokio::time::sleep(Duration::from_millis(200)).await; // takes nothing at first
        let length = call.whole().await.map_or(0, |(body, _)| body.len());
        call.answer(if length == 300_000 { 200 } else { 500 }, "ok");
    });
    let hubgate = before(&upstream);
    let head = "POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 300000\r\n\r\n";
    let response = hubgate
        .plain()
        .exchange([head.as_bytes(), &vec![b'x'; 300_000]].concat());
    assert_eq!(response.status, 200);
}

#[test]
fn an_early_answer_is_passed_on_although_the_upload_was_refused() {
    let upstream = H2Upstream::start(Settings::default(), |mut call| async move {
        // Left with the request unread, h2 resets it without an error, as gRPC servers do (RFC 9113 section 8.1).
        call.answer(403, "no");
    });
    let hubgate = before(&upstream);
    let mut client = hubgate.plain();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: {}\r\n\r\n",
        10 << 20
    ));
    client.send(vec![b'x'; 100_000]);
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (403, "no"));
}

#[test]
fn an_answer_that_does_not_come_becomes_504_and_the_stream_is_reset() {
    let (tell, reset) = std::sync::mpsc::channel();
    let upstream = H2Upstream::start(Settings::default(), move |mut call| {
        let tell = tell.clone();
        async move {
            let reason = std::future::poll_fn(|cx| call.respond.poll_reset(cx)).await;
            let _ = tell.send(reason.ok());
        }
    });
    let hubgate = Hubgate::start(&site(&upstream, "response_timeout = \"300ms\"", ""));
    let response = hubgate.plain().get(HOST, "/");
    assert_eq!(response.status, 504);
    assert_eq!(
        response.head.one("x-hubgate-cause"),
        "upstream_response_timeout"
    );
    assert_eq!(
        reset.recv_timeout(Duration::from_secs(5)),
        Ok(Some(Reason::CANCEL))
    );
}

#[test]
fn an_endpoint_that_speaks_no_http_2_is_a_bad_one() {
    let upstream = Upstream::start(|conn| {
        let _ = conn.some();
        conn.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    let hubgate = Hubgate::start(&(one_site(upstream.addr, "") + "protocol = \"h2c\"\n"));
    let response = hubgate.plain().get(HOST, "/");
    assert_eq!(response.status, 502, "{}", response.text());
    let refusing = crate::support::ports::free_addr();
    let hubgate = Hubgate::start(&(one_site(refusing, "") + "protocol = \"h2c\"\n"));
    let response = hubgate.plain().get(HOST, "/");
    assert_eq!(response.head.one("x-hubgate-cause"), "upstream_connect");
}

#[test]
fn by_tls_http_2_is_agreed_on_and_upgrades_go_by_http_1() {
    let ours = Authority::new("ours");
    let dir = TempDir::new().unwrap();
    ours.file(dir.path());
    let issued = ours.issue(&["hub.internal"]);
    let settings = Settings {
        tls: Some(Arc::new(issued.server(&["h2"]))),
        ..Settings::default()
    };
    let upstream = H2Upstream::saying(settings, "ok");
    let tls = "protocol = \"h2\"\ntls = { server_name = \"hub.internal\", ca_file = \"ca.pem\" }\n";
    let hubgate = Hubgate::start_in(dir, &(one_site(upstream.addr, "") + tls));
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
    assert_eq!(upstream.seen()[0].uri.scheme_str(), Some("https"));
    // One that agrees to HTTP/1.1 only.
    let (old, _) = Upstream::secured(issued.server(&["http/1.1"]), |conn| {
        websocket::echo(conn.take());
    });
    hubgate.reload_to(&(one_site(old.addr, "") + tls));
    let response = hubgate.plain().get(HOST, "/");
    assert_eq!(response.head.one("x-hubgate-cause"), "upstream_tls");
    hubgate.wait_log("does not agree to the protocol");
    let (mut socket, _) = websocket::open(hubgate.tls(), HOST, "/ws", "");
    echoes(&mut socket, "by HTTP/1.1");
}

#[test]
fn checks_speak_what_requests_speak() {
    let ours = Authority::new("ours");
    let dir = TempDir::new().unwrap();
    ours.file(dir.path());
    let settings = Settings {
        tls: Some(Arc::new(ours.issue(&["hub.internal"]).server(&["h2"]))),
        ..Settings::default()
    };
    let upstream = H2Upstream::saying(settings, "ok");
    let lines =
        "protocol = \"h2\"\ntls = { server_name = \"hub.internal\", ca_file = \"ca.pem\" }\n";
    let tcp = "health = { kind = \"tcp\", interval = \"50ms\" }\n";
    let hubgate = Hubgate::start_in(dir, &(one_site(upstream.addr, "") + lines + tcp));
    eventually("checks have been made", || upstream.connections() > 3);
    assert!(!hubgate.log().contains("upstream.endpoint.down"));
    let http = "health = { kind = \"http\", path = \"/well\", interval = \"50ms\" }\n";
    hubgate.reload_to(&(one_site(upstream.addr, "") + lines + http));
    eventually("it is asked", || {
        let seen = upstream.seen();
        seen.iter()
            .filter(|seen| seen.uri.path() == "/well")
            .count()
            > 3
    });
    assert!(!hubgate.log().contains("upstream.endpoint.down"));
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
}
