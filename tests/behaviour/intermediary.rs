//! What HTTP asks of whoever stands between a client and a server (RFC 9110 section 7.6, RFC 9112), beyond what the other
//! modules look at.

use std::time::Duration;

use crate::support::hubgate::HOST;
use crate::support::{Conn, Hubgate, Response, Upstream};

fn head(line: &str, fields: &str) -> String {
    format!("{line}\r\nHost: {HOST}\r\n{fields}\r\n")
}

fn asked(hubgate: &Hubgate, line: &str, fields: &str) -> Response {
    hubgate.plain().exchange(head(line, fields))
}

#[test]
fn options_of_the_server_reach_it_in_the_star_form() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    for (target, want) in [
        ("*", "*"),
        ("http://hub.test", "*"),
        ("http://hub.test/", "/"),
        ("/x", "/x"),
    ] {
        let line = format!("OPTIONS {target} HTTP/1.1");
        assert_eq!(asked(&hubgate, &line, "").status, 200);
        assert_eq!(upstream.last_request().head.target(), want.as_bytes());
    }
}

#[test]
fn max_forwards_of_options_counts_down_and_ends_here_at_0() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let line = "OPTIONS /x HTTP/1.1";
    assert_eq!(asked(&hubgate, line, "Max-Forwards: 7\r\n").text(), "ok");
    assert_eq!(upstream.only_request().head.one("max-forwards"), "6");
    let answer = asked(&hubgate, line, "Max-Forwards: 0\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    assert!(answer.head.one("allow").contains("GET"));
    let mut h2 = hubgate.h2();
    let request = h2.request("OPTIONS", "/x").header("max-forwards", "0");
    let answer = h2.exchange(request);
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    assert_eq!(upstream.requests().len(), 1);
    // Of other methods it is a field like any other.
    asked(&hubgate, "GET / HTTP/1.1", "Max-Forwards: 0\r\n");
    assert_eq!(upstream.last_request().head.one("max-forwards"), "0");
}

#[test]
fn trailers_cannot_say_in_another_spelling_what_they_must_not_say() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Hubgate-Cause: none\r\nSet-Cookie: a=b\r\n\r\n",
    );
    let hubgate = Hubgate::before(upstream.addr);
    let response = hubgate.plain().exchange(
        head("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\n")
            + "2\r\nok\r\n0\r\nX-Up: 1\r\nX_Forwarded_For: 203.0.113.9\r\nX-Real_IP: 203.0.113.9\r\nContent_Length: 5\r\n\
               Host: evil.test\r\nCookie: a=b\r\n\r\n",
    );
    let names = |trailers: &[(String, Vec<u8>)]| -> Vec<String> {
        trailers
            .iter()
            .map(|(name, _)| name.to_lowercase())
            .collect()
    };
    assert_eq!(names(&upstream.only_request().body.trailers), ["x-up"]);
    assert_eq!(names(&response.body.trailers), ["x-sum"]);
}

#[test]
fn every_legal_spelling_of_chunked_is_one_framing() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    for coding in ["chunked", "ChUnKeD", "\tchunked", "chunked \t "] {
        let fields = format!("Transfer-Encoding:{coding}\r\n");
        let request = head("POST / HTTP/1.1", &fields) + "2\r\nok\r\n0\r\n\r\n";
        assert_eq!(hubgate.plain().exchange(request).text(), "ok", "{coding:?}");
        let got = upstream.last_request();
        assert_eq!(got.head.all("transfer-encoding"), ["chunked"]);
        assert_eq!(got.body.bytes, b"ok");
    }
}

#[test]
fn an_http10_client_keeps_its_connection_only_if_it_asks_and_the_length_is_known() {
    let upstream = Upstream::start(|conn| {
        while let Some(head) = conn.request() {
            conn.send(match head.target().as_slice() {
                b"/chunked" => {
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
                }
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            });
        }
    });
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    for _ in 0..2 {
        let kept = client.exchange(head("GET / HTTP/1.0", "Connection: keep-alive\r\n"));
        assert!(kept.head.lists("connection", "keep-alive"));
        assert_eq!(kept.text(), "ok");
    }
    let ended = client.exchange(head("GET /chunked HTTP/1.0", "Connection: keep-alive\r\n"));
    assert!(!ended.head.has("transfer-encoding"));
    assert_eq!(ended.text(), "ok");
    assert!(client.closes_within(Duration::from_secs(2)));
    let mut client = hubgate.plain();
    assert_eq!(client.exchange(head("GET / HTTP/1.0", "")).text(), "ok");
    assert!(client.closes_within(Duration::from_secs(2)));
}

#[test]
fn an_http10_client_never_gets_a_100() {
    let upstream = Upstream::start(|conn| {
        let head = conn.request_head().unwrap();
        conn.send("HTTP/1.1 100 Continue\r\n\r\n");
        conn.request_body(&head).unwrap();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let hubgate = Hubgate::before(upstream.addr);
    let fields = "Expect: 100-continue\r\nContent-Length: 2\r\n";
    let response = hubgate
        .plain()
        .exchange(head("PUT / HTTP/1.0", fields) + "hi");
    assert_eq!((response.text().as_str(), response.early.len()), ("ok", 0));
}

#[test]
fn a_refused_expectation_leaves_no_room_for_a_request_in_the_body() {
    let upstream = Upstream::start(|conn| {
        while let Some(head) = conn.request_head() {
            if head.has("expect") {
                conn.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
            } else {
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        }
    });
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    let inner = head("GET /inner HTTP/1.1", "");
    let fields = format!(
        "Expect: 100-continue\r\nContent-Length: {}\r\n",
        inner.len()
    );
    client.send(head("PUT /outer HTTP/1.1", &fields));
    assert_eq!(client.response().status, 403);
    // Whether these are the body or another request, nobody can tell.
    let _ = client.try_send(&inner);
    assert_eq!(client.rest().0, b"");
    let targets: Vec<_> = upstream
        .requests()
        .iter()
        .map(|one| one.head.target())
        .collect();
    assert_eq!(targets, [b"/outer".to_vec()]);
    assert_eq!(asked(&hubgate, "GET /next HTTP/1.1", "").text(), "ok");
}

#[test]
fn answers_of_hubgate_to_head_have_no_body_and_say_their_length() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    client.send("HEAD / HTTP/1.1\r\nHost: nobody.test\r\n\r\n");
    let response = client.try_response(true).unwrap();
    assert_eq!(response.status, 421);
    assert_ne!(response.head.one("content-length"), "0");
    assert_eq!(
        client.get(HOST, "/").text(),
        "ok",
        "the next answer follows"
    );
}

#[test]
fn odd_answers_are_made_regular() {
    let upstream = Upstream::start(|conn: &mut Conn| {
        while let Some(head) = conn.request() {
            conn.send(match head.target().as_slice() {
                b"/fold" => "HTTP/1.1 200 OK\r\nX-A: a\r\n\tb\r\nContent-Length: 2\r\n\r\nok",
                b"/blank" => "HTTP/1.1 200 OK\r\nX-A : a b\r\nContent-Length: 2\r\n\r\nok",
                b"/feeds" => "HTTP/1.1 200 OK\nX-A: a b\nContent-Length: 2\n\nok",
                b"/lengths" => "HTTP/1.1 200 OK\r\nX-A: a b\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\nok",
                b"/named" => "HTTP/1.1 200 OK\r\nX-A: a b\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nok",
                _ => "HTTP/1.1 204 No Content\r\nX-A: a b\r\nContent-Length: 2\r\n\r\n",
            });
        }
    });
    let hubgate = Hubgate::before(upstream.addr);
    for target in ["/fold", "/blank", "/feeds", "/lengths", "/named"] {
        let response = hubgate.plain().get(HOST, target);
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, "ok"),
            "{target}"
        );
        assert_eq!(response.head.one("content-length"), "2", "{target}");
        let value = response.head.one("x-a");
        assert_eq!(
            value.split_whitespace().collect::<Vec<_>>(),
            ["a", "b"],
            "{target}"
        );
        assert!(!response.head.has("x-hop"));
    }
    let response = hubgate.plain().get(HOST, "/204");
    assert_eq!((response.status, response.body.bytes.len()), (204, 0));
    assert!(!response.head.has("content-length") && !response.head.has("transfer-encoding"));
}

#[test]
fn an_answer_of_http10_in_chunks_ends_its_connection() {
    let upstream = Upstream::start(|conn| {
        while conn.request().is_some() {
            conn.send("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
        }
    });
    let hubgate = Hubgate::before(upstream.addr);
    for n in 1..=2 {
        assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
        assert_eq!(upstream.connections(), n);
    }
}

#[test]
fn a_target_that_names_another_host_than_host_does_reaches_nobody() {
    let upstream = Upstream::saying("no");
    let hubgate = Hubgate::before(upstream.addr);
    for (target, host) in [
        ("http://hub.test/", "other.test"),
        ("http://other.test/", "hub.test"),
        ("http://hub.test:81/", "hub.test"),
        ("http://user@hub.test/", "hub.test"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(
            hubgate.plain().exchange(request).status,
            400,
            "{target} {host}"
        );
    }
    assert!(upstream.requests().is_empty());
}
