//! Bodies flow both ways at once, unbuffered: what one side has sent is with the other before it sends more.

use std::time::Duration;

use crate::support::message::{Framing, Kind};
use crate::support::{Client, Conn, Hubgate, Upstream, eventually};

/// Answers at once, then each piece of the request with the same piece.
fn echo_piece_by_piece(conn: &mut Conn) {
    while let Some(head) = conn.request_head() {
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        match head.framing(Kind::Request).unwrap() {
            Framing::Length(mut left) => {
                while left > 0 {
                    let Ok(mut piece) = conn.some() else { return };
                    let more = piece.split_off(left.min(piece.len()));
                    conn.give_back(more);
                    left -= piece.len();
                    conn.send(
                        [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat(),
                    );
                }
            }
            _ => {
                while let Ok(Some(piece)) = conn.chunk(&mut Vec::new()) {
                    conn.send(
                        [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat(),
                    );
                }
            }
        }
        conn.send("0\r\n\r\n");
    }
}

/// Sends `n` pieces, each only after the one before has come back.
fn lock_step(mut client: Client, n: usize, chunked: bool) {
    let framing = if chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {}", 3 * n)
    };
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: hub.test\r\n{framing}\r\n\r\n"
    ));
    let head = client
        .head()
        .expect("the head comes before the body was sent");
    assert_eq!(head.status(), 200);
    for i in 0..n {
        let piece = format!("{:03}", i % 1000);
        client.send(if chunked {
            format!("3\r\n{piece}\r\n")
        } else {
            piece.clone()
        });
        let mut back = Vec::new();
        while back.len() < 3 {
            back.extend(
                client
                    .chunk(&mut Vec::new())
                    .expect("the piece comes back before the next is sent")
                    .unwrap(),
            );
        }
        assert_eq!(back, piece.as_bytes());
    }
    if chunked {
        client.send("0\r\n\r\n");
    }
    assert_eq!(client.chunk(&mut Vec::new()), Ok(None));
}

#[test]
fn http1_bodies_flow_both_ways_in_lock_step() {
    let upstream = Upstream::start(echo_piece_by_piece);
    let hubgate = Hubgate::before(upstream.addr);
    for chunked in [true, false] {
        lock_step(hubgate.plain(), 50, chunked);
        lock_step(hubgate.tls(), 50, chunked);
    }
}

#[test]
fn http2_bodies_flow_both_ways_in_lock_step() {
    let upstream = Upstream::start(echo_piece_by_piece);
    let hubgate = Hubgate::before(upstream.addr);
    let mut h2 = hubgate.h2();
    let mut stream = h2.open(h2.request("POST", "/"), false);
    assert_eq!(
        stream
            .head()
            .expect("the head comes before the body was sent")
            .0,
        200
    );
    for i in 0..50 {
        let piece = format!("{i:03}");
        stream.send(&piece, false);
        let mut back = Vec::new();
        while back.len() < 3 {
            back.extend(stream.chunk().expect("the stream goes on").unwrap());
        }
        assert_eq!(back, piece.as_bytes());
    }
    stream.send("", true);
    assert!(stream.chunk().is_none());
}

#[test]
fn an_upload_slower_than_the_response_timeout_is_not_cut() {
    let upstream = Upstream::saying("ok");
    let toml = crate::support::hubgate::one_site(upstream.addr, "response_timeout = \"300ms\"");
    let hubgate = Hubgate::start(&toml);
    let mut client = hubgate.plain();
    client.send("POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 8\r\n\r\n");
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(100)); // the slowness is what is tested
        client.send("x");
    }
    assert_eq!(client.response().text(), "ok");
    assert_eq!(upstream.only_request().body.bytes, b"xxxxxxxx");
}

#[test]
fn the_connection_is_kept_for_the_next_request_after_bodies_both_ways() {
    let upstream = Upstream::start(echo_piece_by_piece);
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    for i in 0..20 {
        let body = "y".repeat(i * 1000);
        let request = format!(
            "POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(client.exchange(request).text(), body);
    }
    eventually("one connection to the upstream served them all", || {
        upstream.connections() == 1
    });
}
