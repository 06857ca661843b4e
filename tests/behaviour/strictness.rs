//! Requests that two servers could read differently are refused, their connection closed, and nothing of them reaches
//! an upstream.

use std::time::Duration;

use crate::support::hubgate::{HOST, one_site};
use crate::support::{Fault, Hubgate, Upstream};

/// A case: what it is, its bytes, and the statuses that refuse it.
type Case = (&'static str, Vec<u8>, &'static [u16]);

fn case(what: &'static str, bytes: impl AsRef<[u8]>) -> Case {
    (what, bytes.as_ref().to_vec(), &[400])
}

/// Runs all cases against one process and reports all that went wrong.
#[track_caller]
fn all_refused(cases: Vec<Case>) {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::start(
        &(one_site(upstream.addr, "")
            + "[timeouts]\nhead = \"1s\"\nbody = \"1s\"\nkeep_alive = \"2s\"\n"),
    );
    let mut wrong = Vec::new();
    for (what, bytes, statuses) in cases {
        let before = upstream.requests().len();
        let mut client = hubgate.plain();
        client.set_limit(Duration::from_secs(4));
        let _ = client.try_send(&bytes);
        match client.try_response(false) {
            Ok(response) => {
                let reason = response.head.all("x-hubgate-cause").join("");
                if !statuses.contains(&response.status)
                    || reason.is_empty()
                    || !response.text().contains(&reason)
                {
                    wrong.push(format!(
                        "{what}: {} {reason:?} {:?}",
                        response.status,
                        response.text()
                    ));
                }
                if !client.closes_within(Duration::from_secs(3)) {
                    wrong.push(format!("{what}: the connection stays open"));
                }
            }
            Err(fault) => wrong.push(format!("{what}: no answer, {fault:?}")),
        }
        let after = upstream.requests();
        if let Some(request) = after.get(before) {
            // A head may have gone out before its body was seen to be bad; it must not look whole.
            if request.complete == Some(Ok(())) || after.len() > before + 1 {
                wrong.push(format!(
                    "{what}: the upstream got {:?}",
                    String::from_utf8_lossy(&request.head.raw)
                ));
            }
        }
    }
    assert_eq!(
        hubgate.plain().get(HOST, "/").text(),
        "ok",
        "and the next client is served"
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn with_field(line: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: hub.test\r\n{line}\r\n\r\n")
}

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: hub.test\r\n{fields}\r\n\r\n{body}")
}

#[test]
fn line_ends_other_than_crlf_are_refused() {
    all_refused(vec![
        case("bare LF everywhere", "GET / HTTP/1.1\nHost: hub.test\n\n"),
        case(
            "bare LF after the request line",
            "GET / HTTP/1.1\nHost: hub.test\r\n\r\n",
        ),
        case(
            "bare LF between fields",
            "GET / HTTP/1.1\r\nHost: hub.test\nX: y\r\n\r\n",
        ),
        case(
            "bare LF at the end",
            "GET / HTTP/1.1\r\nHost: hub.test\r\n\n",
        ),
        case("bare CR in a value", with_field("X: a\rb")),
        case(
            "bare CR between fields",
            "GET / HTTP/1.1\r\nHost: hub.test\rX: y\r\n\r\n",
        ),
        case("CR CR LF", "GET / HTTP/1.1\r\r\nHost: hub.test\r\n\r\n"),
    ]);
}

#[test]
fn malformed_fields_are_refused() {
    all_refused(vec![
        case("obs-fold", with_field("X: a\r\n b")),
        case(
            "obs-fold with a tab",
            with_field("X: a\r\n\tTransfer-Encoding: chunked"),
        ),
        case(
            "fold before the first field",
            "GET / HTTP/1.1\r\n Host: hub.test\r\nHost: hub.test\r\n\r\n",
        ),
        case("blank before the colon", with_field("X : y")),
        case("tab before the colon", with_field("Content-Length\t: 5")),
        case("no colon", with_field("X y")),
        case("empty name", with_field(": y")),
        case("NUL in a value", with_field("X: a\0b")),
        case("NUL in a name", with_field("X\0Y: a")),
        case("control character in a value", with_field("X: a\x01b")),
        case("DEL in a value", with_field("X: a\x7fb")),
        case("bracket in a name", with_field("X[1]: a")),
        case("quote in a name", with_field("\"X\": a")),
        case("slash in a name", with_field("X/Y: a")),
        case("non-ASCII name", with_field("X\u{e9}: a")),
        case("blank in a name", with_field("X Y: a")),
    ]);
}

#[test]
fn contradictory_framing_is_refused() {
    let chunked: &[u16] = &[400, 501];
    let mut cases = vec![
        case(
            "length and chunked",
            post(
                "Content-Length: 4\r\nTransfer-Encoding: chunked",
                "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: hub.test\r\n\r\n",
            ),
        ),
        case(
            "chunked and length",
            post(
                "Transfer-Encoding: chunked\r\nContent-Length: 4",
                "0\r\n\r\n",
            ),
        ),
        case(
            "two lengths",
            post("Content-Length: 3\r\nContent-Length: 4", "abcd"),
        ),
        case("two lengths in one", post("Content-Length: 3, 4", "abcd")),
        case("length with a plus", post("Content-Length: +3", "abc")),
        case("length with a minus", post("Content-Length: -3", "abc")),
        case("length in hex", post("Content-Length: 0x3", "abc")),
        case(
            "length with a blank inside",
            post("Content-Length: 1 0", "abcdefghij"),
        ),
        case("empty length", post("Content-Length:", "abc")),
        case(
            "length beyond 64 bits",
            post("Content-Length: 18446744073709551617", "a"),
        ),
        case("length with a letter", post("Content-Length: 3a", "abc")),
        case("length with a point", post("Content-Length: 3.0", "abc")),
    ];
    for (what, line) in [
        ("chunked twice", "Transfer-Encoding: chunked, chunked"),
        (
            "chunked in two fields",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ),
        ("xchunked", "Transfer-Encoding: xchunked"),
        (
            "chunked is not last",
            "Transfer-Encoding: chunked, identity",
        ),
        ("identity", "Transfer-Encoding: identity"),
        ("gzip then chunked", "Transfer-Encoding: gzip, chunked"),
        ("quoted", "Transfer-Encoding: \"chunked\""),
        (
            "vertical tab before chunked",
            "Transfer-Encoding: \x0bchunked",
        ),
        ("parameter", "Transfer-Encoding: chunked;q=1"),
        ("empty coding", "Transfer-Encoding:"),
    ] {
        cases.push((what, post(line, "0\r\n\r\n").into_bytes(), chunked));
    }
    cases.push((
        "chunked on HTTP/1.0",
        "POST / HTTP/1.0\r\nHost: hub.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        chunked,
    ));
    all_refused(cases);
}

/// Sends each body in a request of its own; what was accepted, and what left its connection open.
fn read_leniently(cases: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::start(&(one_site(upstream.addr, "") + "[timeouts]\nbody = \"1s\"\n"));
    let (mut accepted, mut open) = (Vec::new(), Vec::new());
    for (what, chunks) in cases {
        let before = upstream.requests().len();
        let mut client = hubgate.plain();
        client.set_limit(Duration::from_secs(4));
        let _ = client.try_send(post("Transfer-Encoding: chunked", chunks));
        match client.try_response(false) {
            Ok(response) if [400, 408].contains(&response.status) => {}
            Err(Fault::Closed(_)) => {}
            other => accepted.push(format!("{what}: {:?}", other.map(|r| r.status))),
        }
        if !client.closes_within(Duration::from_secs(2)) {
            open.push((*what).to_owned());
        }
        for request in &upstream.requests()[before..] {
            if request.complete == Some(Ok(())) {
                let body = String::from_utf8_lossy(&request.body.bytes).into_owned();
                accepted.push(format!("{what}: whole at the upstream as {body:?}"));
            }
        }
    }
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
    (accepted, open)
}

fn bad_chunks() -> Vec<(&'static str, &'static str)> {
    static ENDLESS: std::sync::OnceLock<(String, String)> = std::sync::OnceLock::new();
    let (size, extension) =
        ENDLESS.get_or_init(|| ("0".repeat(100_000), format!("3;{}", "a".repeat(100_000))));
    vec![
        ("a letter that is no digit", "g\r\nabc\r\n0\r\n\r\n"),
        ("0x before the size", "0x3\r\nabc\r\n0\r\n\r\n"),
        ("a plus", "+3\r\nabc\r\n0\r\n\r\n"),
        ("a minus", "-3\r\nabc\r\n0\r\n\r\n"),
        ("a blank before the size", " 3\r\nabc\r\n0\r\n\r\n"),
        ("an underscore", "0_3\r\nabc\r\n0\r\n\r\n"),
        ("more than 64 bits", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
        ("bare LF after the size", "3\nabc\r\n0\r\n\r\n"),
        ("bare LF after the chunk", "3\r\nabc\n0\r\n\r\n"),
        ("bare CR after the size", "3\rabc\r\n0\r\n\r\n"),
        (
            "too short",
            "5\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: hub.test\r\n\r\n",
        ),
        ("too long", "2\r\nabc\r\n0\r\n\r\n"),
        ("bare CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n"),
        ("NUL after the size", "3\0\r\nabc\r\n0\r\n\r\n"),
        ("an endless size", size),
        ("an endless extension", extension),
        (
            "bare LF ends the trailers",
            "3\r\nabc\r\n0\r\n\nGET /smuggled HTTP/1.1\r\nHost: hub.test\r\n\r\n",
        ),
    ]
}

#[test]
fn malformed_chunks_are_refused_and_never_whole_at_the_upstream() {
    let (accepted, _) = read_leniently(&bad_chunks());
    assert!(accepted.is_empty(), "{accepted:#?}");
}

#[test]
fn malformed_chunks_end_their_connection() {
    let (_, open) = read_leniently(&bad_chunks());
    assert!(open.is_empty(), "{open:#?}");
}

#[test]
fn malformed_chunks_that_come_with_their_head_get_400() {
    let cases = bad_chunks().into_iter();
    let at_once = |chunks: &str| post("Transfer-Encoding: chunked", chunks);
    all_refused(
        cases
            .filter(|(what, _)| *what != "too short")
            .map(|(what, chunks)| case(what, at_once(chunks)))
            .collect(),
    );
}

#[test]
fn chunk_lines_are_read_strictly() {
    let (accepted, _) = read_leniently(&[
        ("no digits", "\r\nabc\r\n0\r\n\r\n"),
        ("bare LF in an extension", "3;a\nb\r\nabc\r\n0\r\n\r\n"),
        (
            "bare LF in the last chunk's extension",
            "0;a\nGET /smuggled HTTP/1.1\r\nHost: hub.test\r\n\r\n",
        ),
    ]);
    assert!(accepted.is_empty(), "{accepted:#?}");
}

#[test]
fn malformed_request_lines_are_refused() {
    let version: &[u16] = &[400, 505];
    let head = |line: &str| format!("{line}\r\nHost: hub.test\r\n\r\n");
    let mut cases = vec![
        case("blank in the target", head("GET /a b HTTP/1.1")),
        case("tab in the target", head("GET /a\tb HTTP/1.1")),
        case("NUL in the target", head("GET /a\0b HTTP/1.1")),
        case(
            "control character in the target",
            head("GET /a\x01 HTTP/1.1"),
        ),
        case("DEL in the target", head("GET /a\x7f HTTP/1.1")),
        case("fragment in the target", head("GET /a#b HTTP/1.1")),
        case("two blanks", head("GET  / HTTP/1.1")),
        case("tab for a blank", head("GET\t/\tHTTP/1.1")),
        case("blank first", head(" GET / HTTP/1.1")),
        case("blank last", head("GET / HTTP/1.1 ")),
        case("no target", head("GET HTTP/1.1")),
        case("target without slash", head("GET hub HTTP/1.1")),
        case(
            "target that begins with @",
            head("GET @evil.test/ HTTP/1.1"),
        ),
        case("another scheme", head("GET ftp://hub.test/ HTTP/1.1")),
        case("star for GET", head("GET * HTTP/1.1")),
        case("method with a bracket", head("GE(T / HTTP/1.1")),
        case("method with a colon", head("GET: / HTTP/1.1")),
        case("method with a control character", head("G\x01T / HTTP/1.1")),
        case("empty method", head("/ HTTP/1.1")),
        case("lower-case protocol", head("GET / http/1.1")),
        case("HTTPS for a protocol", head("GET / HTTPS/1.1")),
        case(
            "nonsense",
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
        ),
    ];
    for (what, line) in [
        ("no version", "GET /"),
        ("HTTP/2.0", "GET / HTTP/2.0"),
        ("HTTP/1.2", "GET / HTTP/1.2"),
        ("HTTP/0.9", "GET / HTTP/0.9"),
        ("HTTP/1.1.1", "GET / HTTP/1.1.1"),
        ("HTTP/11", "GET / HTTP/11"),
        ("HTTP/ 1.1", "GET / HTTP/ 1.1"),
        ("HTTP/1.", "GET / HTTP/1."),
    ] {
        cases.push((what, head(line).into_bytes(), version));
    }
    cases.push((
        "the HTTP/2 preface",
        crate::support::h2_frames::PREFACE.to_vec(),
        version,
    ));
    all_refused(cases);
}

#[test]
fn what_follows_a_refused_request_is_not_read_as_one() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    client.send("GET /first HTTP/1.1\r\nHost: hub.test\r\n\r\nGET /bad HTTP/1.1\r\nHost : hub.test\r\n\r\nGET /third HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert_eq!(client.response().status, 400);
    assert_eq!(client.rest().0, b"");
    assert_eq!(upstream.only_request().head.target(), b"/first");
}

#[test]
fn refusals_of_one_protocol_hold_over_tls() {
    let upstream = Upstream::saying("no");
    let hubgate = Hubgate::before(upstream.addr);
    for bytes in [
        with_field("X : y"),
        post(
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
            "0\r\n\r\n",
        ),
        with_field("X: a\r\n b"),
    ] {
        let mut client = hubgate.tls();
        assert_eq!(client.exchange(&bytes).status, 400, "{bytes:?}");
        assert!(client.closes_within(Duration::from_secs(3)));
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn what_is_odd_but_legal_passes() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    for (what, request) in [
        (
            "empty lines first",
            "\r\n\r\nGET / HTTP/1.1\r\nHost: hub.test\r\n\r\n".to_owned(),
        ),
        (
            "no blank after the colon",
            "GET / HTTP/1.1\r\nHost:hub.test\r\n\r\n".to_owned(),
        ),
        ("blanks around a value", with_field("X: \t y \t ")),
        ("tab in a value", with_field("X: a\tb")),
        ("every name character", with_field("!#$%&'*+-.^_`|~0aZ: y")),
        (
            "an own method",
            "M-SEARCH / HTTP/1.1\r\nHost: hub.test\r\n\r\n".to_owned(),
        ),
        (
            "chunked in capitals",
            post("Transfer-Encoding: Chunked", "0\r\n\r\n"),
        ),
        ("zero length", post("Content-Length: 0", "")),
        (
            "a length with zeros before",
            post("Content-Length: 003", "abc"),
        ),
        (
            "HTTP/1.0 with a host",
            "GET / HTTP/1.0\r\nHost: hub.test\r\n\r\n".to_owned(),
        ),
    ] {
        let response = hubgate.plain().exchange(&request);
        assert_eq!(response.status, 200, "{what}: {}", response.text());
    }
}
