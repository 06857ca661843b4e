//! Heads on their way to the upstream and back: what stops here, what passes untouched, what HTTP/2 turns into.

use crate::support::hubgate::HOST;
use crate::support::{H2, Hubgate, Upstream, h2_frames};

/// A head of HTTP/2.
type Fields<'a> = Vec<(&'a str, &'a [u8])>;

#[test]
fn hop_by_hop_fields_of_the_request_and_those_connection_names_are_not_forwarded() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    hubgate.plain().exchange(
        "GET / HTTP/1.1\r\nHost: hub.test\r\nConnection: keep-alive, X-Mine\r\nConnection: X-Other\r\nX-Mine: 1\r\nX-Other: 2\r\n\
         Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nProxy-Authorization: Basic eA==\r\nX-Stays: 3\r\n\r\n",
    );
    let head = upstream.only_request().head;
    for gone in ["x-mine", "x-other", "keep-alive", "proxy-connection", "te"] {
        assert!(
            !head.has(gone),
            "{gone} in {}",
            String::from_utf8_lossy(&head.raw)
        );
    }
    assert_eq!(head.one("x-stays"), "3");
    assert!(!head.lists("connection", "x-mine"));
}

#[test]
fn everything_else_of_the_request_passes_unchanged() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let lines: &[(&str, &[u8])] = &[
        ("Origin", b"https://hub.test:8443"),
        ("Referer", b"https://hub.test:8443/x?y=%2F"),
        ("Sec-Fetch-Site", b"same-origin"),
        ("Cookie", b"a=1; b=\"x y\"; _xsrf=2|ab|cd"),
        ("Authorization", b"token abc"),
        ("Accept", b"text/event-stream"),
        ("Accept-Encoding", b"gzip, br"),
        ("User-Agent", b"odd \xe4\xff agent"),
        ("X-XSRFToken", b"2|ab"),
        ("X-Empty", b""),
        ("Max-Forwards", b"3"),
        ("Range", b"bytes=0-1"),
        ("If-None-Match", b"\"abc\""),
        ("Via", b"1.1 somebody"),
    ];
    let mut raw = b"PROPFIND /x HTTP/1.1\r\nHost: hub.test\r\n".to_vec();
    for (name, value) in lines {
        raw.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    raw.extend(b"\r\n");
    assert_eq!(hubgate.plain().exchange(raw).status, 200);
    let head = upstream.only_request().head;
    assert_eq!(head.method(), "PROPFIND");
    for (name, value) in lines {
        let got: Vec<_> = head
            .fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_slice())
            .collect();
        assert!(
            got.len() == 1 && got[0].starts_with(value),
            "{name}: {got:?}"
        );
    }
}

const RESPONSE: &str = "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
    Proxy-Connection: keep-alive\r\nSet-Cookie: a=1; Path=/jupyterhub/hub/\r\nSet-Cookie: b=2\r\nSet-Cookie: a=3\r\nX-Stays: ok\r\n\
    Location: /jupyterhub/hub/?next=%2F\r\nAccess-Control-Allow-Origin: *\r\nX-Latin: \u{e9}\r\n\r\nok";

#[test]
fn hop_by_hop_fields_of_the_response_stop_here_and_set_cookies_stay_apart() {
    let upstream = Upstream::answering(RESPONSE);
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    for _ in 0..2 {
        let head = client.get(HOST, "/").head;
        for gone in ["x-hop", "keep-alive", "proxy-connection"] {
            assert!(
                !head.has(gone),
                "{gone} in {}",
                String::from_utf8_lossy(&head.raw)
            );
        }
        assert!(!head.lists("connection", "x-hop"));
        assert_eq!(
            head.all("set-cookie"),
            ["a=1; Path=/jupyterhub/hub/", "b=2", "a=3"]
        );
        assert_eq!(head.one("location"), "/jupyterhub/hub/?next=%2F");
        assert_eq!(head.one("access-control-allow-origin"), "*");
        assert_eq!(
            (head.one("x-stays").as_str(), head.one("x-latin").as_str()),
            ("ok", "\u{e9}")
        );
    }
    let response = hubgate.h2().get("/");
    for gone in [
        "x-hop",
        "keep-alive",
        "proxy-connection",
        "connection",
        "transfer-encoding",
    ] {
        assert!(!response.fields.contains_key(gone), "{gone} on HTTP/2");
    }
    let cookies: Vec<_> = response.fields.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1; Path=/jupyterhub/hub/", "b=2", "a=3"]);
}

#[test]
fn a_chunked_answer_reaches_http2_without_transfer_encoding() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    let hubgate = Hubgate::before(upstream.addr);
    let response = hubgate.h2().get("/");
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    assert!(!response.fields.contains_key("transfer-encoding"));
}

#[test]
fn http2_cookie_crumbs_are_joined_and_the_authority_becomes_host() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut h2 = hubgate.h2();
    let request = http::Request::builder().uri("https://hub.test:8443/x");
    let request = request
        .header("cookie", "a=1")
        .header("cookie", "b=2; c=3")
        .header("cookie", "d=4");
    assert_eq!(h2.exchange(request).status, 200);
    let head = upstream.only_request().head;
    assert_eq!(head.one("cookie"), "a=1; b=2; c=3; d=4");
    assert_eq!(head.one("host"), "hub.test:8443");
    assert!(head.fields.iter().all(|(name, _)| !name.starts_with(':')));
}

#[test]
fn an_http2_request_with_connection_fields_or_without_its_pseudo_fields_reaches_nobody() {
    let upstream = Upstream::saying("no");
    let hubgate = Hubgate::before(upstream.addr);
    let good: [(&str, &[u8]); 4] = [
        (":method", b"GET"),
        (":scheme", b"https"),
        (":authority", b"hub.test"),
        (":path", b"/"),
    ];
    let mut cases: Vec<(&str, Fields)> = Vec::new();
    for extra in [
        "connection",
        "transfer-encoding",
        "upgrade",
        "keep-alive",
        "proxy-connection",
    ] {
        let value: &[u8] = if extra == "transfer-encoding" {
            b"chunked"
        } else {
            b"close"
        };
        cases.push((extra, [good.as_slice(), &[(extra, value)]].concat()));
    }
    cases.push((
        "two paths",
        [good.as_slice(), &[(":path", b"/other".as_slice())]].concat(),
    ));
    cases.push((
        "upper case",
        [good.as_slice(), &[("X-Upper", b"1".as_slice())]].concat(),
    ));
    cases.push((
        "line end in a value",
        [good.as_slice(), &[("x", b"a\r\nX-Real-IP: 1".as_slice())]].concat(),
    ));
    cases.push((
        "NUL in a value",
        [good.as_slice(), &[("x", b"a\0b".as_slice())]].concat(),
    ));
    cases.push((
        "blank in the path",
        [&good[..3], &[(":path", b"/a HTTP/1.1\r\nX: y".as_slice())]].concat(),
    ));
    cases.push(("no path", good[..3].to_vec()));
    cases.push((
        "empty path",
        [&good[..3], &[(":path", b"".as_slice())]].concat(),
    ));
    cases.push((
        "path without slash",
        [&good[..3], &[(":path", b"x".as_slice())]].concat(),
    ));
    cases.push((
        "bad method",
        [&[(":method", b"G T".as_slice())], &good[1..]].concat(),
    ));
    cases.push(("no authority", [&good[..2], &good[3..]].concat()));
    let mut wrong = Vec::new();
    for (what, fields) in cases {
        let before = upstream.requests().len();
        let mut wire = h2_frames::open(hubgate.https, HOST);
        let outcome = h2_frames::outcome_of(&mut wire, &fields);
        if upstream.requests().len() > before {
            let raw = String::from_utf8_lossy(&upstream.last_request().head.raw).into_owned();
            wrong.push(format!("{what}: {outcome:?} and the upstream got {raw:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn many_http2_requests_at_once_each_get_their_own_answer() {
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
    let mut h2: H2 = hubgate.h2();
    let streams: Vec<_> = (0..60)
        .map(|i| h2.open(h2.request("GET", &format!("/n/{i}")), true))
        .collect();
    for (i, stream) in streams.into_iter().enumerate() {
        assert_eq!(stream.whole().unwrap().text(), format!("/n/{i}"));
    }
}
