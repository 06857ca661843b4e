//! How bodies are delimited on each side, whole and in order.

use std::time::Duration;

use crate::support::hubgate::HOST;
use crate::support::{End, Hubgate, Upstream};

#[test]
fn answers_without_a_body_have_none_and_keep_the_connection() {
    let upstream = Upstream::start(|conn| {
        while let Some(head) = conn.request() {
            conn.send(match (head.method().as_str(), head.target().as_slice()) {
                ("HEAD", b"/chunked") => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                ("HEAD", b"/none") => "HTTP/1.1 200 OK\r\n\r\n",
                ("HEAD", _) => "HTTP/1.1 200 OK\r\nContent-Length: 500\r\nETag: \"x\"\r\n\r\n",
                (_, b"/204") => "HTTP/1.1 204 No Content\r\n\r\n",
                (_, b"/304") => {
                    "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 500\r\n\r\n"
                }
                (_, b"/empty") => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
            });
        }
    });
    let hubgate = Hubgate::before(upstream.addr);
    let cases = [
        ("HEAD", "/", 200),
        ("HEAD", "/chunked", 200),
        ("HEAD", "/none", 200),
        ("GET", "/204", 204),
        ("GET", "/304", 304),
        ("GET", "/empty", 200),
    ];
    let mut client = hubgate.plain();
    let mut h2 = hubgate.h2();
    for (method, target, status) in cases {
        let response = client.exchange(format!(
            "{method} {target} HTTP/1.1\r\nHost: hub.test\r\n\r\n"
        ));
        assert_eq!(
            (response.status, response.body.bytes.len()),
            (status, 0),
            "{method} {target}"
        );
        if target == "/" {
            assert_eq!(response.head.one("content-length"), "500");
        }
        if status == 204 {
            assert!(
                !response.head.has("content-length") && !response.head.has("transfer-encoding")
            );
        }
        assert_eq!(
            client.get(HOST, "/next").text(),
            "body",
            "after {method} {target}"
        );
        let response = h2.exchange(h2.request(method, target));
        assert_eq!(
            (response.status, response.body.len(), response.complete),
            (status, 0, Ok(())),
            "{method} {target}"
        );
        assert_eq!(h2.get("/next").text(), "body");
    }
    assert!(
        upstream.connections() <= 2,
        "bodiless answers keep the upstream's connection"
    );
}

#[test]
fn an_http10_client_gets_no_chunks_and_the_end_is_the_close() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    let hubgate = Hubgate::before(upstream.addr);
    for connection in ["", "Connection: keep-alive\r\n"] {
        let mut client = hubgate.plain();
        client.send(format!(
            "GET / HTTP/1.0\r\nHost: hub.test\r\n{connection}\r\n"
        ));
        let head = client.head().unwrap();
        assert!(
            !head.has("transfer-encoding"),
            "{}",
            String::from_utf8_lossy(&head.raw)
        );
        assert_eq!(client.rest(), (b"abcde".to_vec(), End::Clean));
    }
}

#[test]
fn an_answer_that_ends_with_its_connection_is_chunked_for_http11_and_ends_clean() {
    for version in ["1.1", "1.0"] {
        let upstream = Upstream::start(move |conn| {
            conn.answer(format!(
                "HTTP/{version} 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end"
            ));
        });
        let hubgate = Hubgate::before(upstream.addr);
        let mut client = hubgate.plain();
        for _ in 0..2 {
            let response = client.get(HOST, "/");
            assert!(response.head.lists("transfer-encoding", "chunked"));
            assert_eq!(
                (response.text().as_str(), response.complete),
                ("until the end", Ok(()))
            );
        }
        let response = hubgate.h2().get("/");
        assert_eq!(
            (response.text().as_str(), response.complete),
            ("until the end", Ok(()))
        );
    }
}

#[test]
fn chunked_uploads_arrive_whole_even_when_empty() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    for (chunks, body) in [
        ("0\r\n\r\n", ""),
        ("3\r\nabc\r\n0\r\n\r\n", "abc"),
        (
            "3;ext=\"v\"\r\nabc\r\n0A\r\n0123456789\r\n000\r\n\r\n",
            "abc0123456789",
        ),
        ("1\r\na\r\n0\r\nTrailer-Field: x\r\n\r\n", "a"),
    ] {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: hub.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        );
        assert_eq!(client.exchange(&request).text(), "ok", "{chunks:?}");
        let got = upstream.last_request();
        assert_eq!(
            (got.body.bytes.as_slice(), got.complete),
            (body.as_bytes(), Some(Ok(()))),
            "{chunks:?}"
        );
    }
    // The same, a byte at a time.
    let mut client = hubgate.plain();
    let request = "POST / HTTP/1.1\r\nHost: hub.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    client.send_in_pieces(request, 1);
    assert_eq!(client.response().text(), "ok");
    assert_eq!(upstream.last_request().body.bytes, b"abc");
}

#[test]
fn http2_uploads_arrive_whole_with_and_without_a_length() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut h2 = hubgate.h2();
    for (pieces, length) in [
        (vec!["abc", "de"], None),
        (vec!["abc", "de", ""], None),
        (vec!["abc", "de"], Some("5")),
        (vec![""], None),
        (vec![""], Some("0")),
    ] {
        let mut request = h2.request("POST", "/");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let mut stream = h2.open(request, false);
        for (i, piece) in pieces.iter().enumerate() {
            stream.send(piece, i + 1 == pieces.len());
        }
        assert_eq!(stream.whole().unwrap().text(), "ok", "{pieces:?}");
        let got = upstream.last_request();
        assert_eq!(
            (got.body.bytes, got.complete),
            (pieces.concat().into_bytes(), Some(Ok(()))),
            "{pieces:?}"
        );
        if let Some(length) = length {
            assert_eq!(got.head.one("content-length"), length);
        }
    }
    assert_eq!(h2.get("/").text(), "ok");
    let head = upstream.last_request().head;
    assert!(
        !head.has("transfer-encoding") && !head.has("content-length"),
        "a GET without a body stays one"
    );
}

const TRAILED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n";
const TRAILING: &str = "POST / HTTP/1.1\r\nHost: hub.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Up\r\n\r\n1\r\na\r\n0\r\nX-Up: 7\r\n\r\n";

fn lower(trailers: &[(String, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    trailers
        .iter()
        .map(|(n, v)| (n.to_lowercase(), v.clone()))
        .collect()
}

#[test]
fn trailers_on_either_side_disturb_no_later_request() {
    let upstream = Upstream::answering(TRAILED);
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    for _ in 0..3 {
        let response = client.exchange(TRAILING);
        assert_eq!(
            (response.text().as_str(), response.complete),
            ("ok", Ok(()))
        );
        assert_eq!(upstream.last_request().body.bytes, b"a");
    }
    let response = hubgate.h2().get("/");
    assert_eq!(
        (response.text().as_str(), response.complete),
        ("ok", Ok(()))
    );
}

#[test]
fn an_answers_trailers_reach_an_http1_client() {
    let upstream = Upstream::answering(TRAILED);
    let hubgate = Hubgate::before(upstream.addr);
    let response = hubgate.plain().get(HOST, "/");
    assert_eq!(
        lower(&response.body.trailers),
        [("x-sum".to_owned(), b"42".to_vec())]
    );
}

#[test]
fn an_answers_trailers_reach_an_http2_client() {
    let upstream = Upstream::answering(TRAILED);
    let hubgate = Hubgate::before(upstream.addr);
    let response = hubgate.h2().get("/");
    assert_eq!(response.trailers.expect("trailers")["x-sum"], "42");
}

#[test]
fn a_requests_trailers_reach_the_upstream() {
    let upstream = Upstream::answering(TRAILED);
    let hubgate = Hubgate::before(upstream.addr);
    hubgate.plain().exchange(TRAILING);
    let got = upstream.only_request().body.trailers;
    assert_eq!(lower(&got), [("x-up".to_owned(), b"7".to_vec())]);
}

#[test]
fn an_http2_requests_trailers_reach_the_upstream_but_none_that_vouch() {
    let upstream = Upstream::answering(TRAILED);
    let hubgate = Hubgate::before(upstream.addr);
    let mut h2 = hubgate.h2();
    let mut stream = h2.open(h2.request("POST", "/"), false);
    stream.send("body", false);
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-up", "7".parse().unwrap());
    trailers.insert("x-real-ip", "192.0.2.1".parse().unwrap());
    stream.send_trailers(trailers);
    assert_eq!(stream.whole().unwrap().status, 200);
    let got = upstream.only_request().body;
    assert_eq!(got.bytes, b"body");
    assert_eq!(lower(&got.trailers), [("x-up".to_owned(), b"7".to_vec())]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start(|conn| {
        while let Some(head) = conn.request() {
            let body = String::from_utf8(head.target()).unwrap();
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ));
        }
    });
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    let mut all = String::new();
    for i in 0..20 {
        all += &format!("POST /{i} HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 3\r\n\r\nabc");
        all += &format!("GET /g{i} HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    }
    client.send(all);
    for i in 0..20 {
        assert_eq!(client.response().text(), format!("/{i}"));
        assert_eq!(client.response().text(), format!("/g{i}"));
    }
}

#[test]
fn a_client_that_asks_to_close_gets_its_answer_and_the_close() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    let response = client.exchange("GET / HTTP/1.1\r\nHost: hub.test\r\nConnection: close\r\n\r\n");
    assert_eq!(response.text(), "ok");
    assert!(response.head.lists("connection", "close"));
    assert!(client.closes_within(Duration::from_secs(2)));
    assert!(
        !upstream.only_request().head.lists("connection", "close"),
        "the client's wish is not the upstream's"
    );
}
