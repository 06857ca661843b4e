//! How often, how many at once and how fast: as configured, and as the real nginx does with the file it came from.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::hubgate::{HOST, one_site};
use crate::support::nginx::{Nginx, assert_carried, imported};
use crate::support::{Client, Hubgate, Upstream, eventually};

fn started(upstream: &Upstream, limits: &str, tables: &str) -> Hubgate {
    Hubgate::start(&(one_site(upstream.addr, limits) + tables))
}

const SLOW: &str = "[rate.one]\nrate = \"1r/m\"\n";

/// Answers when a file is there, and holds its requests until then.
fn holding(gate: &std::path::Path) -> Upstream {
    let gate = gate.to_owned();
    Upstream::start(move |conn| {
        conn.request();
        eventually("the gate", || gate.exists());
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nin");
    })
}

#[test]
fn requests_beyond_the_rate_and_its_burst_are_refused_until_their_time_has_come() {
    let upstream = Upstream::saying("in");
    let hubgate = started(
        &upstream,
        "limits = { rates = [{ rate = \"one\", burst = 2, delay = 2 }] }",
        SLOW,
    );
    let mut client = hubgate.plain();
    let statuses: Vec<_> = (0..5)
        .map(|_| client.get(HOST, "/?token=x").status)
        .collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    let refused = client.get(HOST, "/");
    assert_eq!(refused.head.one("x-hubgate-cause"), "rate_limited");
    assert_eq!(upstream.requests().len(), 3);
    hubgate.wait_log("by zone \"one\", client: 127.0.0.1, server: hub.test, request: \"GET /?token=REDACTED HTTP/1.1\", host: \"hub.test\"");
    let other = Client::plain_from([127, 0, 0, 9], hubgate.http).get(HOST, "/");
    assert_eq!(other.status, 200);
    assert_eq!(hubgate.h2().get("/").status, 429, "it is the same client");
}

#[test]
fn a_request_of_the_burst_waits_for_its_turn() {
    let upstream = Upstream::saying("in");
    let limits = "limits = { rates = [{ rate = \"one\", burst = 5 }], log = \"error\" }";
    let hubgate = started(&upstream, limits, "[rate.one]\nrate = \"2r/s\"\n");
    let begun = Instant::now();
    let mut client = hubgate.plain();
    for _ in 0..3 {
        assert_eq!(client.get(HOST, "/").status, 200);
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(990),
        "{:?}",
        begun.elapsed()
    );
    hubgate.wait_log("delaying request, excess: ");
}

#[test]
fn whoever_waits_for_its_turn_and_leaves_reaches_nobody() {
    let upstream = Upstream::saying("in");
    let log = "[access_log]\ntarget = \"@DIR@/access.log\"\nformat = \"$status $cause\"\n";
    let limits = "limits = { rates = [{ rate = \"one\", burst = 5 }] }";
    let hubgate = started(&upstream, limits, &format!("{SLOW}{log}"));
    assert_eq!(hubgate.plain().get(HOST, "/").status, 200);
    let mut client = hubgate.plain();
    client.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    hubgate.wait_log("delaying request");
    drop(client);
    eventually("its line in the log", || {
        let lines = fs::read_to_string(hubgate.dir.path().join("access.log")).unwrap_or_default();
        lines.contains("499 client_gone")
    });
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn counts_outlive_a_reload_and_a_dry_run_refuses_nobody() {
    let upstream = Upstream::saying("in");
    let strict = "limits = { rates = [{ rate = \"one\" }] }";
    let hubgate = started(&upstream, strict, SLOW);
    let status = || hubgate.plain().get(HOST, "/").status;
    assert_eq!((status(), status()), (200, 429));
    let looser = "limits = { rates = [{ rate = \"one\", burst = 1, delay = 1 }] }";
    hubgate.reload_to(&(one_site(upstream.addr, looser) + SLOW));
    assert_eq!((status(), status()), (200, 429));
    let dry = "limits = { rates = [{ rate = \"one\" }], dry_run = true }";
    hubgate.reload_to(&(one_site(upstream.addr, dry) + SLOW));
    assert_eq!((status(), status()), (200, 200));
    hubgate.wait_log("limiting requests, dry run, excess: ");
}

#[test]
fn no_more_requests_at_once_than_there_are_places() {
    let gate = tempfile::TempDir::new().unwrap();
    let gate = gate.path().join("open");
    let upstream = holding(&gate);
    let limits = "limits = { concurrency = [{ of = \"addr\", most = 2, status = 503 }] }";
    let hubgate = started(&upstream, limits, "[concurrency.addr]\n");
    let mut held: Vec<_> = (0..2).map(|_| hubgate.plain()).collect();
    for client in &mut held {
        client.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    }
    upstream.wait_requests(2);
    let refused = hubgate.plain().get(HOST, "/");
    assert_eq!(refused.status, 503);
    assert_eq!(refused.head.one("x-hubgate-cause"), "concurrency_limited");
    assert_eq!(
        hubgate.h2().get("/").status,
        503,
        "a stream counts as a connection"
    );
    hubgate.wait_log("limiting connections by zone \"addr\", client: 127.0.0.1");
    let gone = held.pop();
    drop(gone);
    fs::write(&gate, "").unwrap();
    assert_eq!(held[0].response().status, 200);
    eventually("places are given back", || {
        hubgate.plain().get(HOST, "/").status == 200
    });
}

#[test]
fn an_answer_goes_no_faster_than_it_may_and_whole() {
    let body = "x".repeat(150 * 1024);
    let upstream = Upstream::saying(&body);
    let limits = "idle_timeout = \"300ms\"\nlimits = { bandwidth = \"50KiB\", after = \"25KiB\" }";
    let hubgate = started(&upstream, limits, "");
    for http2 in [false, true] {
        let begun = Instant::now();
        let text = match http2 {
            false => hubgate.plain().get(HOST, "/").text(),
            true => hubgate.h2().get("/").text(),
        };
        assert!(text == body);
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(1400), "{took:?}");
    }
}

#[test]
fn what_nginx_limits_is_limited_alike() {
    let gate = tempfile::TempDir::new().unwrap();
    let upstream = holding(&gate.path().join("open"));
    let quick = Upstream::saying("in");
    let block = "limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;
    limit_req_zone $arg_key zone=key:1m rate=2r/m;
    limit_conn_zone $binary_remote_addr zone=addr:1m;
    limit_req_log_level warn;
    server { listen @LISTEN@; server_name hub.test; limit_req_status 429;
        location /one/ { limit_req zone=one; proxy_pass http://@QUICK@; }
        location /burst/ { limit_req zone=one burst=3 nodelay; proxy_pass http://@QUICK@; }
        location /both/ { limit_req zone=one burst=9 nodelay; limit_req zone=key burst=2 delay=2; proxy_pass http://@QUICK@; }
        location /dry/ { limit_req zone=one; limit_req_dry_run on; proxy_pass http://@QUICK@; }
        location /conn/ { limit_conn addr 2; limit_conn_status 509; proxy_pass http://@UP@; }
        location /apart/ { limit_req zone=key; limit_conn addr 2; limit_conn_status 509; limit_conn_log_level error; limit_conn_dry_run on; proxy_pass http://@QUICK@; }
    }";
    let block = block
        .replace("@UP@", &upstream.addr.to_string())
        .replace("@QUICK@", &quick.addr.to_string());
    let Some(nginx) = Nginx::start(&block, |_| {}) else {
        return;
    };
    let (hubgate, report) = imported(&block, |_| {});
    assert_carried(&report);
    let asked = [
        "/one/",
        "/one/",
        "/burst/",
        "/burst/",
        "/burst/",
        "/burst/",
        "/both/",
        "/both/",
        "/both/?key=a",
        "/both/?key=a",
        "/both/?key=a",
        "/both/?key=a",
        "/both/?key=b",
        "/one/",
        "/dry/",
    ];
    for target in asked {
        let statuses =
            [nginx.addr, hubgate.http].map(|http| Client::plain(http).get(HOST, target).status);
        assert_eq!(statuses[0], statuses[1], "{target}");
    }
    let mut held = Vec::new();
    for (client, before) in [(nginx.addr, 0), (hubgate.http, 2)] {
        for _ in 0..2 {
            let mut client = Client::plain(client);
            client.send(format!("GET /conn/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
            held.push(client);
        }
        upstream.wait_requests(before + 2);
        assert_eq!(Client::plain(client).get(HOST, "/conn/").status, 509);
        let apart = || Client::plain(client).get(HOST, "/apart/?key=c").status;
        assert_eq!([apart(), apart()], [200, 429], "connections are only told");
    }
    fs::write(gate.path().join("open"), "").unwrap();
    for sentence in [
        "limiting requests, excess: ",
        "by zone \"one\", client: 127.0.0.1, server: hub.test, request: \"GET /one/ HTTP/1.1\", host: \"hub.test\"",
        "limiting requests, dry run, excess: ",
        "limiting connections by zone \"addr\", client: 127.0.0.1, server: hub.test, request: \"GET /conn/ HTTP/1.1\", host: \"hub.test\"",
        "limiting connections, dry run, by zone \"addr\", client: 127.0.0.1",
    ] {
        assert!(nginx.log().contains(sentence), "{sentence}");
        hubgate.wait_log(sentence);
    }
    let told = |log: &str| {
        let mut lines = log.lines();
        let line = lines.find(|line| line.contains("limiting connections, dry run"));
        line.unwrap_or_default().to_ascii_lowercase()
    };
    assert!(
        told(&nginx.log()).contains("[error]"),
        "{}",
        told(&nginx.log())
    );
    assert!(
        told(&hubgate.log()).contains("error"),
        "{}",
        told(&hubgate.log())
    );
    drop(held);
}
