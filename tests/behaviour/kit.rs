//! The kit itself: that it records exact bytes, sees every kind of end, and does not read leniently.

use std::time::Duration;

use crate::support::{Client, End, Fault, Upstream, websocket};

#[test]
fn the_upstream_records_the_exact_bytes_of_head_and_body() {
    let upstream = Upstream::saying("hello");
    let request = b"POST /a%2Fb?\xff HTTP/1.1\r\nHost:  x \r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\nT: 1\r\n\r\n";
    let response = Client::plain(upstream.addr).exchange(request);
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    let got = upstream.only_request();
    assert_eq!(got.head.raw, &request[..request.len() - 23]);
    assert_eq!(got.head.target(), b"/a%2Fb?\xff");
    assert_eq!(got.body.bytes, b"abc");
    assert_eq!(got.body.trailers, [("T".to_owned(), b"1".to_vec())]);
}

#[test]
fn a_short_body_is_not_complete_however_it_ends() {
    for (framing, bytes) in [
        ("Content-Length: 9", "abc"),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n"),
    ] {
        for reset in [false, true] {
            let upstream = Upstream::start(move |conn| {
                conn.answer(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{bytes}"));
                if reset {
                    conn.exactly(1).ok(); // the client has read the bytes
                    conn.reset();
                }
            });
            let mut client = Client::plain(upstream.addr);
            client.send("GET / HTTP/1.1\r\n\r\n");
            let head = client.head().unwrap();
            assert_eq!(head.status(), 200);
            while !client.pending().ends_with(bytes.as_bytes()) {
                client
                    .fill(std::time::Instant::now() + Duration::from_secs(5))
                    .unwrap();
            }
            if reset {
                client.send("x");
            }
            let mut body = Default::default();
            let framing = head
                .framing(crate::support::message::Kind::Response { to_head: false })
                .unwrap();
            let end = if reset { End::Abrupt } else { End::Clean };
            assert_eq!(client.body(framing, &mut body), Err(Fault::Closed(end)));
            assert_eq!(body.bytes, b"abc");
        }
    }
}

#[test]
fn a_websocket_echoes_without_anything_between() {
    let upstream = Upstream::start(|conn| websocket::echo(conn.take()));
    let (mut socket, _) = websocket::open(Client::plain(upstream.addr), "x", "/", "");
    websocket::echoes(&mut socket, "straight");
}
