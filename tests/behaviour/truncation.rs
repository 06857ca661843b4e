//! A body cut short is never passed off as whole, and one over its limit never arrives.

use crate::support::hubgate::one_site;
use crate::support::message::Kind;
use crate::support::{Fault, Hubgate, Upstream, eventually};

/// Answers that begin well and end too early: what is sent, and whether a reset follows.
const CUT: [(&str, &str, bool); 8] = [
    (
        "short content-length",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        false,
    ),
    (
        "short content-length, reset",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        true,
    ),
    (
        "no last chunk",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        false,
    ),
    (
        "no last chunk, reset",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        true,
    ),
    (
        "half a chunk",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc",
        false,
    ),
    (
        "half a last chunk",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        false,
    ),
    (
        "garbage for a size",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\nabc\r\n0\r\n\r\n",
        false,
    ),
    ("close-delimited, reset", "HTTP/1.1 200 OK\r\n\r\nabc", true),
];

/// Sends `bytes` up to the `abc`, and the rest and the end when the client has seen them: a byte of its body tells.
fn cut_after(bytes: &'static str, reset: bool) -> Upstream {
    Upstream::start(move |conn| {
        let Some(head) = conn.request_head() else {
            return;
        };
        let seen = bytes.find("abc").unwrap() + 3;
        conn.send(&bytes[..seen]);
        let _ = conn.request_body(&head);
        let _ = conn.try_send(&bytes[seen..]);
        if reset {
            conn.reset();
        }
    })
}

#[test]
fn a_body_cut_short_never_ends_clean_on_http1() {
    let mut wrong = Vec::new();
    for (what, bytes, reset) in CUT {
        let upstream = cut_after(bytes, reset);
        let hubgate = Hubgate::before(upstream.addr);
        for mut client in [hubgate.plain(), hubgate.tls()] {
            client.send("POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 1\r\n\r\n");
            let head = client.head().expect("the head was whole");
            let mut body = Default::default();
            let mut seen = Vec::new();
            while !seen.windows(3).any(|w| w == b"abc") {
                seen.extend(client.some().expect("the bytes that came are passed on"));
            }
            client.give_back(seen);
            client.send("x");
            let framing = head.framing(Kind::Response { to_head: false }).unwrap();
            let complete = client.body(framing, &mut body);
            // Over plain TCP a close-delimited body can only be cut by a reset.
            match complete {
                Err(Fault::Closed(_)) => {}
                other => wrong.push(format!("{what}: {other:?}")),
            }
            assert_eq!(body.bytes, b"abc", "{what}");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_body_cut_short_resets_the_stream_on_http2() {
    let mut wrong = Vec::new();
    for (what, bytes, reset) in CUT {
        let upstream = cut_after(bytes, reset);
        let hubgate = Hubgate::before(upstream.addr);
        let mut h2 = hubgate.h2();
        let mut stream = h2.open(h2.request("POST", "/").header("content-length", "1"), false);
        assert_eq!(stream.head().unwrap().0, 200);
        assert_eq!(stream.chunk().unwrap().unwrap(), "abc");
        stream.send("x", true);
        loop {
            match stream.chunk() {
                Some(Ok(more)) => assert!(more.is_empty(), "{what}: {more:?}"),
                Some(Err(_)) => break,
                None => {
                    wrong.push(what);
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "ended clean: {wrong:#?}");
}

#[test]
fn a_body_cut_short_closes_the_connection_to_an_http10_client() {
    let closing = Upstream::start(|conn| {
        conn.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    });
    let hubgate = Hubgate::before(closing.addr);
    let response = hubgate
        .plain()
        .exchange("GET / HTTP/1.0\r\nHost: hub.test\r\n\r\n");
    assert_eq!(response.head.one("content-length"), "10");
    assert!(matches!(response.complete, Err(Fault::Closed(_))));
}

#[test]
fn an_http2_upload_that_contradicts_its_length_is_never_whole_at_the_upstream() {
    for (length, body) in [("3", "abcdef"), ("9", "abc")] {
        let upstream = Upstream::saying("ok");
        let hubgate = Hubgate::before(upstream.addr);
        let mut h2 = hubgate.h2();
        let mut stream = h2.open(
            h2.request("POST", "/").header("content-length", length),
            false,
        );
        stream.try_send(body, true);
        let answer = stream.whole().map(|r| r.status);
        assert!(!matches!(answer, Ok(200)), "{length} {body}: {answer:?}");
        for request in upstream.requests() {
            eventually("the upstream's body ends", || {
                upstream.last_request().complete.is_some() || upstream.open() == 0
            });
            assert_ne!(request.complete, Some(Ok(())), "{length} {body}");
        }
    }
}

#[test]
fn a_body_over_the_limit_gets_413_and_is_never_whole_at_the_upstream() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::start(&one_site(upstream.addr, "body_limit = \"1KiB\""));
    let sized = |n: usize| {
        format!(
            "POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: {n}\r\n\r\n{}",
            "x".repeat(n)
        )
    };
    let chunked = |n: usize| {
        let half = "x".repeat(n / 2);
        let chunk = format!("{:x}\r\n{half}\r\n", n / 2);
        format!(
            "POST / HTTP/1.1\r\nHost: hub.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
        )
    };
    assert_eq!(hubgate.plain().exchange(sized(1024)).status, 200);
    assert_eq!(hubgate.plain().exchange(chunked(1024)).status, 200);
    assert_eq!(upstream.requests().len(), 2);
    for request in [sized(1025), sized(100_000), chunked(1026), chunked(100_000)] {
        let response = hubgate.plain().exchange(&request);
        assert_eq!(response.status, 413, "{}", &request[..90]);
        assert!(
            response.text().contains("body_too_large"),
            "{}",
            response.text()
        );
    }
    let mut h2 = hubgate.h2();
    for length in [Some("1025"), None] {
        let mut request = h2.request("POST", "/");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let mut stream = h2.open(request, false);
        stream.try_send("x".repeat(1025), true);
        let response = stream.whole().expect("an answer");
        assert_eq!(response.status, 413, "{length:?}");
    }
    eventually("cut uploads are over", || {
        upstream.requests().iter().all(|r| r.complete.is_some())
    });
    for request in upstream.requests().iter().skip(2) {
        assert_ne!(
            request.complete,
            Some(Ok(())),
            "an upload over the limit reached its end"
        );
    }
    assert_eq!(h2.get("/").text(), "ok");
}
