//! The request's target reaches the upstream byte for byte, or with exactly its prefix replaced.

use crate::routing::{Named, all_to, ask, site};
use crate::support::hubgate::HOST;
use crate::support::{Hubgate, Upstream, h2_frames};

/// Targets that someone's proxy has mangled before.
fn odd_targets() -> Vec<Vec<u8>> {
    let mut targets: Vec<Vec<u8>> = [
        "/a%2Fb",
        "/a%2fb",
        "/a//b",
        "//a",
        "///",
        "/a/./b",
        "/a/../b",
        "/..",
        "/.",
        "/a/%2e%2e/b",
        "/a;p=1;q/b;r",
        "/a%25b",
        "/a%2525b",
        "/a+b",
        "/a%00b",
        "/a%20b",
        "/a|b",
        "/a%C3%BC",
        "/%7Ea~",
        "/a?",
        "/a??b?c",
        "/a?x=%2F&&=;+",
        "/a?q=a/../b//",
        "/%zz",
        "/a%",
        "/a'b(c)*!$&,:@=",
        "/a\\b",
        "/build/git/https%3A%2F%2Fhost%2Forg%2Frepo/feature%2Fbranch",
        "/a/",
        "/a/b/",
        "/http://x.test/",
    ]
    .iter()
    .map(|t| t.as_bytes().to_vec())
    .collect();
    targets.push([b"/a?".as_slice(), &b"q=%2F&".repeat(1366)].concat());
    targets
}

/// Sends each target in a request of its own; those that did not arrive as they were sent.
fn changed_over_http1(targets: &[Vec<u8>]) -> Vec<String> {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut wrong = Vec::new();
    for target in targets {
        let before = upstream.requests().len();
        let request = [
            b"GET ",
            target.as_slice(),
            b" HTTP/1.1\r\nHost: hub.test\r\n\r\n",
        ]
        .concat();
        let answer = hubgate.plain().try_exchange(request).map(|r| r.status);
        let got = upstream.requests().get(before).map(|r| r.head.target());
        if got.as_ref() != Some(target) {
            let got = got.map(|g| g.escape_ascii().to_string());
            wrong.push(format!("{} -> {answer:?} {got:?}", target.escape_ascii()));
        }
    }
    wrong
}

#[test]
fn the_raw_target_reaches_the_upstream_byte_for_byte_over_http1() {
    let wrong = changed_over_http1(&odd_targets());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn bytes_no_uri_may_hold_reach_the_upstream_over_http1_as_browsers_send_them() {
    let wrong = changed_over_http1(&[
        b"/a^b`c".to_vec(),
        b"/a\"b<c>d{e}?\"<>`^".to_vec(),
        b"/a\xff\xfeb?\x80".to_vec(),
        "/gr\u{fc}\u{df}?\u{e9}".as_bytes().to_vec(),
    ]);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_raw_target_reaches_the_upstream_byte_for_byte_over_http2() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut wrong = Vec::new();
    for target in &odd_targets() {
        let before = upstream.requests().len();
        let mut wire = h2_frames::open(hubgate.https, HOST);
        let fields: [(&str, &[u8]); 4] = [
            (":method", b"GET"),
            (":scheme", b"https"),
            (":authority", b"hub.test"),
            (":path", target),
        ];
        let outcome = h2_frames::outcome_of(&mut wire, &fields);
        let got = upstream.requests().get(before).map(|r| r.head.target());
        if got.as_ref() != Some(target) {
            wrong.push(format!(
                "{} -> {outcome:?} {:?}",
                target.escape_ascii(),
                got.map(|g| g.escape_ascii().to_string())
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn rewrite_prefix_replaces_exactly_the_prefix() {
    let upstream = Upstream::saying("ok");
    let toml = site(
        HOST,
        "",
        &[
            ("path = \"/old/\"\nrewrite_prefix = \"/\"", "up"),
            (
                "path = \"/deep/\"\nrewrite_prefix = \"/much/deeper/\"",
                "up",
            ),
        ],
    ) + &format!("[upstream.up]\nendpoints = [\"{}\"]\n", upstream.addr);
    let hubgate = Hubgate::start(&toml);
    for (target, expected) in [
        ("/old/", "/"),
        ("/old/a%2Fb//c?x=/old/", "/a%2Fb//c?x=/old/"),
        ("/old/old/", "/old/"),
        ("/old//x", "//x"),
        ("/deep/", "/much/deeper/"),
        ("/deep/../x", "/much/deeper/../x"),
        ("/deep/?q", "/much/deeper/?q"),
    ] {
        assert_eq!(ask(&hubgate, HOST, target).status, 200, "{target}");
        assert_eq!(
            String::from_utf8_lossy(&upstream.last_request().head.target()),
            expected,
            "{target}"
        );
    }
}

#[test]
fn an_absolute_target_is_routed_by_its_host_and_forwarded_as_a_path() {
    let named = Named::new(&["one", "two"]);
    let toml = site("one.test", "", &[all_to("one")])
        + &site("two.test", "", &[all_to("two")])
        + &named.toml();
    let hubgate = Hubgate::start(&toml);
    let ask = |target: &str, host: &str| {
        hubgate
            .plain()
            .exchange(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    };
    assert_eq!(ask("http://one.test/a%2Fb?c", "one.test").text(), "one");
    let head = named.0[0].1.last_request().head;
    assert_eq!(
        (head.target().as_slice(), head.one("host").as_str()),
        (b"/a%2Fb?c".as_slice(), "one.test")
    );
    assert_eq!(ask("http://one.test", "one.test").text(), "one");
    assert_eq!(named.0[0].1.last_request().head.target(), b"/");
    // RFC 9112 section 3.2.2: the target's host counts; refusing the contradiction is as good.
    let response = ask("http://two.test/x", "one.test");
    if response.status == 200 {
        assert_eq!(response.text(), "two");
        assert_eq!(named.0[1].1.last_request().head.one("host"), "two.test");
    } else {
        assert!([400, 421].contains(&response.status), "{}", response.status);
    }
}
