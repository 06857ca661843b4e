//! What is tried again on another endpoint, how often, and what never is.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::hubgate::{HOST, one_site};
use crate::support::{Hubgate, Upstream};

/// Two endpoints in this order; `route` and `upstream` are further lines of each.
fn two(first: SocketAddr, second: SocketAddr, route: &str, upstream: &str) -> String {
    let both = format!("endpoints = [\"{first}\", \"{second}\"]\n{upstream}\n");
    let toml = one_site(first, route);
    let begin = toml.find("endpoints = [").unwrap();
    toml[..begin].to_owned() + &both
}

/// Takes a request and ends the connection without an answer.
fn breaking() -> Upstream {
    Upstream::start(|conn| {
        if conn.request().is_some() {
            conn.reset();
        }
    })
}

fn post(body: &str) -> String {
    let length = body.len();
    format!("POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// How often a request with this body reached one of the two.
fn seen(a: &Upstream, b: &Upstream, body: &str) -> usize {
    let all = [a.requests(), b.requests()].concat();
    all.iter()
        .filter(|r| r.body.bytes == body.as_bytes())
        .count()
}

#[test]
fn a_get_that_got_no_answer_is_tried_on_another_endpoint() {
    let (bad, good) = (breaking(), Upstream::saying("ok"));
    let hubgate = Hubgate::start(&two(bad.addr, good.addr, "", ""));
    for i in 0..6 {
        assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok", "request {i}");
        assert_eq!(hubgate.h2().get("/").text(), "ok", "request {i} on HTTP/2");
    }
    assert!(!bad.requests().is_empty(), "it was asked");
}

#[test]
fn a_get_that_was_answered_with_garbage_is_tried_on_another_endpoint() {
    let garbage = Upstream::start(|conn| {
        conn.answer("SSH-2.0-OpenSSH_9.2p1\r\n");
    });
    let good = Upstream::saying("ok");
    let hubgate = Hubgate::start(&two(garbage.addr, good.addr, "", ""));
    for _ in 0..4 {
        assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
    }
    assert!(!garbage.requests().is_empty());
}

#[test]
fn a_post_whose_bytes_were_taken_is_never_sent_twice() {
    let (bad, good) = (breaking(), Upstream::saying("ok"));
    let toml = two(
        bad.addr,
        good.addr,
        "response_timeout = \"500ms\"",
        "retry_on = [\"connect\", \"reset\", \"timeout\", \"502\", \"503\"]\nretry_budget = \"100%\"",
    );
    let hubgate = Hubgate::start(&toml);
    let (mut answered, mut failed) = (0, 0);
    for i in 0..40 {
        let body = format!("order {i}");
        let response = hubgate.plain().exchange(post(&body));
        match response.status {
            200 => answered += 1,
            _ => failed += 1,
        }
        assert_eq!(seen(&bad, &good, &body), 1, "{body}: {}", response.text());
    }
    assert!(answered > 0 && failed > 0, "{answered} {failed}");
}

#[test]
fn a_body_of_which_bytes_were_taken_is_not_sent_again_even_if_its_method_may_be_repeated() {
    let (bad, good) = (breaking(), Upstream::saying("ok"));
    let hubgate = Hubgate::start(&two(bad.addr, good.addr, "", ""));
    for i in 0..4 {
        let body = format!("part {i}");
        hubgate.plain().exchange(post(&body).replace("POST", "PUT"));
        assert_eq!(seen(&bad, &good, &body), 1, "{body}");
    }
}

#[test]
fn an_answer_with_503_passes_unless_the_upstream_says_to_try_again() {
    let busy = || Upstream::answering("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
    let (bad, good) = (busy(), Upstream::saying("ok"));
    let statuses = |more: &str, request: &str| -> Vec<u16> {
        let hubgate = Hubgate::start(&two(bad.addr, good.addr, "", more));
        (0..4)
            .map(|_| hubgate.plain().exchange(request).status)
            .collect()
    };
    let get = "GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n";
    assert!(statuses("", get).contains(&503));
    assert_eq!(statuses("retry_on = [\"503\"]", get), [200; 4]);
    assert!(statuses("retry_on = [\"502\"]", get).contains(&503));
    assert!(statuses("retry_on = [\"503\"]", &post("x")).contains(&503));

    let other = busy();
    let hubgate = Hubgate::start(&two(bad.addr, other.addr, "", "retry_on = [\"503\"]"));
    let response = hubgate.plain().get(HOST, "/");
    assert_eq!((response.status, response.text().as_str()), (503, "busy"));
    assert!(
        !response.head.has("x-hubgate-cause"),
        "it is the upstream's"
    );
}

#[test]
fn a_slow_answer_is_asked_for_elsewhere_only_when_the_upstream_says_so() {
    let slow = Upstream::start(|conn| {
        conn.request();
        let _ = conn.closes_within(Duration::from_secs(20));
    });
    let good = Upstream::saying("ok");
    let route = "response_timeout = \"300ms\"";
    let hubgate = Hubgate::start(&two(
        slow.addr,
        good.addr,
        route,
        "retry_on = [\"timeout\"]",
    ));
    for _ in 0..2 {
        assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
    }
    assert!((1..=2).contains(&slow.requests().len()));
}

#[test]
fn without_connect_in_retry_on_a_refused_connection_is_the_end() {
    let good = Upstream::saying("ok");
    let refusing = crate::support::ports::free_addr();
    let hubgate = Hubgate::start(&two(refusing, good.addr, "", "retry_on = []"));
    let statuses: Vec<_> = (0..2)
        .map(|_| hubgate.plain().get(HOST, "/").status)
        .collect();
    assert!(statuses.contains(&502), "{statuses:?}");
}

#[test]
fn no_more_is_sent_twice_than_the_budget_allows() {
    let (a, b) = (breaking(), breaking());
    let sent = |budget: &str, a: &Upstream, b: &Upstream| {
        let before = a.requests().len() + b.requests().len();
        let more = format!("retry_budget = \"{budget}\"");
        let hubgate = Hubgate::start(&two(a.addr, b.addr, "", &more));
        for _ in 0..100 {
            assert_eq!(hubgate.plain().get(HOST, "/").status, 502);
        }
        a.requests().len() + b.requests().len() - before
    };
    assert_eq!(sent("0%", &a, &b), 100);
    let sent = sent("20%", &a, &b);
    assert!((105..=126).contains(&sent), "20 and the floor of 5: {sent}");
}

#[test]
fn no_try_begins_after_the_deadline() {
    let slow = || {
        Upstream::start(|conn| {
            conn.request();
            std::thread::sleep(Duration::from_millis(300)); // longer than the deadline
        })
    };
    let (a, b) = (slow(), slow());
    let hubgate = Hubgate::start(&two(a.addr, b.addr, "", "retry_deadline = \"200ms\""));
    assert_eq!(hubgate.plain().get(HOST, "/").status, 502);
    assert_eq!(a.requests().len() + b.requests().len(), 1);
}

#[test]
fn the_total_time_ends_what_no_other_limit_does() {
    let upstream = Upstream::start(|conn| {
        let Some(head) = conn.request() else { return };
        if head.target() == b"/slow" {
            let _ = conn.closes_within(Duration::from_secs(20));
            return;
        }
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while conn.try_send("x").is_ok() {
            std::thread::sleep(Duration::from_millis(20)); // never silent for long
        }
    });
    let hubgate = Hubgate::start(&one_site(upstream.addr, "total_timeout = \"500ms\""));
    let start = Instant::now();
    let response = hubgate.plain().get(HOST, "/slow");
    assert_eq!(response.status, 504);
    assert_eq!(response.head.one("x-hubgate-cause"), "total_timeout");
    let response = hubgate.plain().get(HOST, "/endless");
    assert_eq!((response.status, response.complete.is_err()), (200, true));
    let response = hubgate.h2().get("/endless");
    assert!(response.complete.is_err());
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_retry_of_a_hashed_request_goes_where_its_key_belongs_next() {
    // Each answers 503 to those who say that it is sick.
    let all = ["a", "b", "c", "d"].map(|name| {
        Upstream::start(move |conn| {
            while let Some(head) = conn.request() {
                let sick = head.all("x-sick").iter().any(|sick| sick == name);
                let status = if sick { "503 Sick" } else { "200 OK" };
                conn.send(format!(
                    "HTTP/1.1 {status}\r\nContent-Length: 1\r\n\r\n{name}"
                ));
            }
        })
    });
    let list: Vec<_> = all.iter().map(|one| format!("\"{}\"", one.addr)).collect();
    let site = one_site(all[0].addr, "");
    let (before, _) = site.split_once("endpoints = ").unwrap();
    let more = "balance = \"hash\"\nhash_on = \"header:X-Key\"\nretry_on = [\"connect\", \"503\"]\nretry_budget = \"100%\"\n";
    let hubgate = Hubgate::start(&format!(
        "{before}endpoints = [{}]\n{more}",
        list.join(", ")
    ));
    let mut client = hubgate.plain();
    let mut ask = |key: u32, sick: &str| {
        client
            .exchange(format!(
                "GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Key: {key}\r\nX-Sick: {sick}\r\n\r\n"
            ))
            .text()
    };
    let mut seconds = std::collections::BTreeSet::new();
    for key in 0..12 {
        let owner = ask(key, "nobody");
        let second = ask(key, &owner);
        assert_ne!(second, owner);
        for _ in 0..4 {
            assert_eq!(ask(key, &owner), second, "key {key} of {owner}");
        }
        seconds.insert((owner, second));
    }
    assert!(seconds.len() > 3, "keys are spread: {seconds:?}");
}
