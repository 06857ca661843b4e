//! What an upstream gets at once, who waits for it, who is told to come back, and when it is left in peace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::tunnels::raw_echo;
use crate::support::hubgate::{HOST, command, one_site, run};
use crate::support::ports::Unreachable;
use crate::support::{Client, Conn, Hubgate, Response, Upstream, eventually, within};

/// Answers `/hold` when `open` says so, everything else at once.
fn holding(open: Arc<AtomicBool>) -> Upstream {
    Upstream::start(move |conn: &mut Conn| {
        while let Some(head) = conn.request() {
            let until = Instant::now() + Duration::from_secs(20);
            while head.target() == b"/hold" && !open.load(Ordering::SeqCst) {
                if Instant::now() > until || conn.closes_within(Duration::from_millis(5)) {
                    return;
                }
            }
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    })
}

fn limited(upstream: &Upstream, more: &str) -> Hubgate {
    Hubgate::start(&(one_site(upstream.addr, "") + more))
}

fn ask(hubgate: &Hubgate, target: &str) -> Client {
    let mut client = hubgate.plain();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: hub.test\r\n\r\n"));
    client
}

#[track_caller]
fn told_to_come_back(response: &Response, cause: &str) {
    assert_eq!(response.status, 503, "{}", response.text());
    assert_eq!(response.head.one("x-hubgate-cause"), cause);
    let seconds: u32 = response.head.one("retry-after").parse().unwrap();
    assert!(seconds > 0);
}

#[test]
fn requests_above_the_limit_wait_their_turn_and_those_above_the_queue_are_told_to_come_back() {
    let open = Arc::new(AtomicBool::new(false));
    let upstream = holding(open.clone());
    let hubgate = limited(&upstream, "max_in_flight = 1\nqueue = 1\n");
    let mut first = ask(&hubgate, "/hold");
    upstream.wait_requests(1);
    let mut second = ask(&hubgate, "/second");
    // Whoever comes third finds the queue full, as soon as the second waits there.
    let mut third = hubgate.plain().get(HOST, "/third");
    told_to_come_back(&third, "queue_full");
    assert_eq!(hubgate.h2().get("/third").status, 503);
    assert_eq!(upstream.requests().len(), 1);
    open.store(true, Ordering::SeqCst);
    assert_eq!(first.try_response(false).unwrap().text(), "ok");
    assert_eq!(second.try_response(false).unwrap().text(), "ok");
    third = hubgate.plain().get(HOST, "/third");
    assert_eq!(third.text(), "ok");
}

#[test]
fn a_wait_that_is_too_long_ends_with_its_own_cause() {
    let upstream = holding(Arc::default());
    let hubgate = limited(&upstream, "max_in_flight = 1\nqueue_timeout = \"300ms\"\n");
    let _first = ask(&hubgate, "/hold");
    upstream.wait_requests(1);
    told_to_come_back(&hubgate.plain().get(HOST, "/"), "queue_timeout");
    assert_eq!(hubgate.h2().get("/").status, 503);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn who_leaves_while_waiting_gives_his_turn_to_the_next() {
    let open = Arc::new(AtomicBool::new(false));
    let upstream = holding(open.clone());
    let hubgate = limited(&upstream, "max_in_flight = 1\nqueue = 1\n");
    let mut first = ask(&hubgate, "/hold");
    upstream.wait_requests(1);
    for h2 in [false, true] {
        let mut connection = hubgate.h2();
        if h2 {
            let request = connection.request("GET", "/left");
            let stream = connection.open(request, true);
            eventually("it waits", || {
                hubgate.plain().get(HOST, "/probe").status == 503
            });
            stream.cancel();
        } else {
            let client = ask(&hubgate, "/left");
            eventually("it waits", || {
                hubgate.plain().get(HOST, "/probe").status == 503
            });
            drop(client);
        }
        within(
            Duration::from_secs(10),
            "there is room in the queue",
            || {
                let mut probe = ask(&hubgate, "/probe");
                probe.set_limit(Duration::from_millis(100));
                // One that waits says nothing; one that finds the queue full is told so.
                probe.try_response(false).is_err()
            },
        );
    }
    open.store(true, Ordering::SeqCst);
    assert_eq!(first.try_response(false).unwrap().text(), "ok");
    eventually("all is over", || {
        hubgate.plain().get(HOST, "/after").text() == "ok"
    });
    let seen = upstream.requests();
    assert!(seen.iter().all(|r| r.head.target() != b"/left"));
}

#[test]
fn who_leaves_while_a_connection_is_made_is_not_waited_for() {
    let nobody = Unreachable::new();
    let toml = one_site(nobody.addr, "connect_timeout = \"20s\"")
        + "[access_log]\ntarget = \"stdout\"\nformat = \"$request_uri $status $cause\"\n";
    let hubgate = Hubgate::start(&toml);
    drop(ask(&hubgate, "/one"));
    let mut h2 = hubgate.h2();
    let request = h2.request("GET", "/two");
    let stream = h2.open(request, true);
    std::thread::sleep(Duration::from_millis(100)); // so that the stream has begun
    stream.cancel();
    within(Duration::from_secs(10), "both are over", || {
        let log = hubgate.printed();
        log.contains("/one 499 client_gone") && log.contains("/two 499 client_gone")
    });
}

#[test]
fn a_tunnel_counts_as_a_connection_and_no_longer_as_a_request() {
    let upstream = Upstream::start(|conn| match conn.number {
        0 => raw_echo(conn),
        _ => {
            while conn
                .answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .is_some()
            {}
        }
    });
    let hubgate = limited(
        &upstream,
        "max_connections = 2\nmax_in_flight = 1\nqueue = 0\n",
    );
    let tunnel = super::tunnels::raw_tunnel(&hubgate, false);
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
    hubgate.reload_to(
        &(one_site(upstream.addr, "") + "max_connections = 1\nmax_in_flight = 1\nqueue = 0\n"),
    );
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok", "a new limit");
    let second = hubgate.plain();
    drop((tunnel, second));
}

#[test]
fn an_open_circuit_refuses_at_once_and_closes_when_tries_succeed() {
    let healthy = Arc::new(AtomicBool::new(false));
    let says = healthy.clone();
    let upstream = Upstream::start(move |conn| {
        while conn.request().is_some() {
            let status = if says.load(Ordering::SeqCst) {
                "200 OK"
            } else {
                "503 Busy"
            };
            conn.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let hubgate = limited(
        &upstream,
        "circuit = { failure_rate = \"50%\", min_requests = 4, open_for = \"500ms\", trials = 2 }\n",
    );
    for _ in 0..4 {
        let response = hubgate.plain().get(HOST, "/");
        assert!(!response.head.has("x-hubgate-cause"), "the upstream's own");
    }
    told_to_come_back(&hubgate.plain().get(HOST, "/"), "circuit_open");
    assert_eq!(hubgate.h2().get("/").status, 503);
    assert_eq!(upstream.requests().len(), 4, "it is left in peace");
    healthy.store(true, Ordering::SeqCst);
    eventually("the circuit closes", || {
        (0..5).all(|_| hubgate.plain().get(HOST, "/").status == 200)
    });
    hubgate.wait_log("requests succeed again");
}

#[test]
fn an_open_circuit_says_when_it_tries_again_and_everything_shows_it() {
    let upstream = Upstream::answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let hubgate = limited(
        &upstream,
        "max_in_flight = 5\nqueue = 3\nretry_on = []\ncircuit = { failure_rate = \"50%\", min_requests = 4, open_for = \"300s\" }\n",
    );
    for _ in 0..4 {
        hubgate.plain().get(HOST, "/");
    }
    let refused = hubgate.plain().get(HOST, "/");
    told_to_come_back(&refused, "circuit_open");
    let wait: u64 = refused.head.one("retry-after").parse().unwrap();
    assert!((200..=300).contains(&wait), "{wait}");
    let field = hubgate.h2().get("/").fields["retry-after"].clone();
    let later: u64 = field.to_str().unwrap().parse().unwrap();
    assert!((200..=wait).contains(&later), "{later}");

    let (code, text) = run(command(&["status", "--json", "--socket"]).arg(hubgate.socket()));
    assert_eq!(code, 0, "{text}");
    let status: serde_json::Value = serde_json::from_str(&text).unwrap();
    let up = &status["upstreams"][0];
    assert_eq!(
        (&up["circuit"], &up["requests"]),
        (&"open".into(), &6.into()),
        "{up}"
    );
    assert_eq!(
        (&up["queue"], &up["max_in_flight"]),
        (&3.into(), &5.into()),
        "{up}"
    );
    assert!(
        (200..=300).contains(&up["circuit_tries_in"].as_u64().unwrap()),
        "{up}"
    );
    assert!(up["retries_left"].as_u64().unwrap() > 0, "{up}");
    let (_, text) = run(command(&["status", "--socket"]).arg(hubgate.socket()));
    assert!(
        text.contains("open, tries again in") && text.contains("0 of 5"),
        "{text}"
    );
}
