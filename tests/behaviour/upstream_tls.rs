//! TLS towards upstreams: who is trusted and who is not, what that is called, and that everything else works as without.

use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::authority::{self, Authority};
use crate::support::hubgate::{HOST, command, one_site, run};
use crate::support::websocket::{self, echoes};
use crate::support::{Conn, Hubgate, Upstream, eventually};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn always(response: &'static str) -> impl Fn(&mut Conn) + Send + Sync {
    move |conn| while conn.answer(response).is_some() {}
}

/// One site before `upstream`, whose `tls` is this.
fn site(upstream: &Upstream, tls: &str) -> String {
    one_site(upstream.addr, "") + &format!("tls = {tls}\n")
}

/// `hub.internal`, verified against `ca.pem` of the folder.
const NAMED: &str = "{ server_name = \"hub.internal\", ca_file = \"ca.pem\" }";

fn folder(authority: &Authority) -> TempDir {
    let dir = TempDir::new().unwrap();
    authority.file(dir.path());
    dir
}

#[track_caller]
fn refused(hubgate: &Hubgate, words: &str) {
    let response = hubgate.plain().get(HOST, "/");
    assert_eq!(response.status, 502, "{}", response.text());
    assert_eq!(response.head.one("x-hubgate-cause"), "upstream_tls");
    hubgate.wait_log(words);
}

#[test]
fn an_upstream_with_a_verified_certificate_serves_everything() {
    let authority = Authority::new("ours");
    let (upstream, seen) = Upstream::secured(
        authority.issue(&["hub.internal"]).server(&["http/1.1"]),
        |conn| {
            while let Some(head) = conn.request_head() {
                if head.has("upgrade") {
                    conn.give_back(head.raw);
                    return websocket::echo(conn.take());
                }
                let Ok(body) = conn.request_body(&head) else {
                    return;
                };
                let length = body.len();
                conn.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
                ));
                conn.send(body);
            }
        },
    );
    let hubgate = Hubgate::start_in(folder(&authority), &site(&upstream, NAMED));
    let large = vec![b'x'; 3 << 20];
    for body in [&b"abc"[..], &large] {
        let mut client = hubgate.tls();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let response = client.exchange([head.as_bytes(), body].concat());
        assert_eq!((response.status, response.complete), (200, Ok(())));
        assert!(response.body.bytes == body);
    }
    assert_eq!(hubgate.h2().get("/").status, 200);
    let (mut socket, _) = websocket::open(hubgate.tls(), HOST, "/ws", "");
    echoes(&mut socket, "over TLS");
    echoes(&mut socket, &"long ".repeat(50_000));
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].server_name.as_deref(), Some("hub.internal"));
    assert_eq!(
        seen.len(),
        2,
        "a connection for requests, one for the tunnel"
    );
    assert!(seen[1].resumed, "the second one takes up the session");
}

#[test]
fn events_come_one_by_one_over_tls() {
    let authority = Authority::new("ours");
    let (upstream, _) = Upstream::secured(authority.issue(&["hub.internal"]).server(&[]), |conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        conn.send("9\r\ndata: 1\n\n\r\n");
        conn.through(b"never").ok(); // until hubgate leaves
    });
    let hubgate = Hubgate::start_in(folder(&authority), &site(&upstream, NAMED));
    let mut client = hubgate.plain();
    client.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    client.through(b"data: 1\n\n").expect("the first event");
    drop(client);
    eventually("the upstream is left", || upstream.open() == 0);
}

#[test]
fn an_upstream_that_cannot_be_trusted_gets_no_request_and_the_log_says_why() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    for (issued, words) in [
        (
            ours.issue_expired(&["hub.internal"]),
            "expired at 2021-01-01",
        ),
        (
            ours.issue(&["other.internal"]),
            "does not name `hub.internal`, only `other.internal`",
        ),
        (
            others.issue(&["hub.internal"]),
            "an authority that is not trusted here",
        ),
    ] {
        let (upstream, _) = Upstream::secured(issued.server(&[]), always(OK));
        let hubgate = Hubgate::start_in(folder(&ours), &site(&upstream, NAMED));
        refused(&hubgate, words);
        assert!(upstream.requests().is_empty());
    }
}

#[test]
fn an_upstream_that_speaks_no_tls_or_leaves_is_named_so() {
    let ours = Authority::new("ours");
    let plain = Upstream::start(|conn| {
        let _ = conn.some();
        conn.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        let _ = conn.closes_within(Duration::from_secs(5));
    });
    let hubgate = Hubgate::start_in(folder(&ours), &site(&plain, NAMED));
    refused(&hubgate, "perhaps this is its port for plain HTTP");
    let leaves = Upstream::start(|conn| drop(conn.some()));
    let hubgate = Hubgate::start_in(folder(&ours), &site(&leaves, NAMED));
    refused(&hubgate, "in the middle of the handshake");
}

#[test]
fn a_handshake_that_does_not_end_becomes_504() {
    let (addr, _listener) = authority::silent();
    let toml = one_site(addr, "tls_timeout = \"300ms\"") + "tls = { verify = false }\n";
    let hubgate = Hubgate::start(&toml);
    let start = Instant::now();
    let response = hubgate.plain().get(HOST, "/");
    assert_eq!(response.status, 504);
    assert_eq!(response.head.one("x-hubgate-cause"), "upstream_tls_timeout");
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[test]
fn an_address_in_the_certificate_is_verified_when_the_endpoint_is_asked_for() {
    let ours = Authority::new("ours");
    let tls = "{ server_name = \"endpoint\", ca_file = \"ca.pem\" }";
    let (good, seen) = Upstream::secured(ours.issue(&["127.0.0.1"]).server(&[]), always(OK));
    let hubgate = Hubgate::start_in(folder(&ours), &site(&good, tls));
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
    assert_eq!(
        seen.lock().unwrap()[0].server_name,
        None,
        "an address is no server name"
    );
    let (bad, _) = Upstream::secured(ours.issue(&["127.0.0.2"]).server(&[]), always(OK));
    let hubgate = Hubgate::start_in(folder(&ours), &site(&bad, tls));
    refused(&hubgate, "does not name `127.0.0.1`");
}

#[test]
fn nothing_is_verified_only_when_the_configuration_says_so() {
    let (upstream, _) = Upstream::secured(
        Authority::new("others")
            .issue_expired(&["x.test"])
            .server(&[]),
        always(OK),
    );
    let hubgate = Hubgate::start(&site(&upstream, "{ verify = false }"));
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
    assert!(hubgate.log().contains("unverified-tls"));
}

#[test]
fn a_client_certificate_is_shown_to_an_upstream_that_asks_for_it() {
    let ours = Authority::new("ours");
    let server = ours.issue(&["hub.internal"]).server_for(Some(&ours), &[]);
    let (upstream, seen) = Upstream::secured(server, always(OK));
    let dir = folder(&ours);
    ours.issue(&["edge.internal"]).files(dir.path(), "edge");
    let hubgate = Hubgate::start_in(dir, &site(&upstream, NAMED));
    refused_or_closed(&hubgate);
    let shown = NAMED.replace(
        " }",
        ", client_certificate = \"edge.pem\", client_key = \"edge.key\" }",
    );
    hubgate.reload_to(&site(&upstream, &shown));
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
    assert!(seen.lock().unwrap().last().unwrap().client);
}

/// TLS 1.3 lets a client finish before the server has looked at its certificate: the refusal comes in place of an
/// answer.
#[track_caller]
fn refused_or_closed(hubgate: &Hubgate) {
    let response = hubgate.plain().get(HOST, "/");
    assert_eq!(response.status, 502, "{}", response.text());
}

#[test]
fn the_next_endpoint_is_tried_when_one_cannot_be_trusted() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let issued = |authority: &Authority| authority.issue(&["hub.internal"]).server(&[]);
    let (good, _) = Upstream::secured(issued(&ours), always(OK));
    let (bad, _) = Upstream::secured(issued(&others), always(OK));
    let toml =
        site(&good, NAMED).replace("endpoints = [", &format!("endpoints = [\"{}\", ", bad.addr));
    let hubgate = Hubgate::start_in(folder(&ours), &toml);
    for _ in 0..4 {
        let response = hubgate
            .plain()
            .exchange("POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(response.text(), "ok");
    }
}

#[test]
fn changed_files_are_taken_over_and_damaged_ones_are_not() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let (upstream, _) = Upstream::secured(others.issue(&["hub.internal"]).server(&[]), |conn| {
        conn.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    });
    let hubgate = Hubgate::start_in(folder(&ours), &site(&upstream, NAMED));
    refused(&hubgate, "not trusted here");
    others.file(hubgate.dir.path());
    hubgate.wait_log("upstream.tls.reloaded");
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
    std::fs::write(hubgate.dir.path().join("ca.pem"), "nothing").unwrap();
    hubgate.wait_log("upstream.tls.kept");
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
    let (code, text) = hubgate.reload();
    assert_eq!(code, 1, "a reload is all or nothing: {text}");
    assert!(text.contains("ca.pem") && text.contains("`up`"), "{text}");
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
}

#[test]
fn a_reload_keeps_the_sessions_and_other_settings_do_not_share_connections() {
    let ours = Authority::new("ours");
    let (upstream, seen) = Upstream::secured(
        ours.issue(&["hub.internal", "two.internal"]).server(&[]),
        always(OK),
    );
    let toml = site(&upstream, NAMED) + "keep_alive = 0\n";
    let hubgate = Hubgate::start_in(folder(&ours), &toml);
    hubgate.plain().get(HOST, "/");
    hubgate.reload_to(&(toml.clone() + "[log]\nlevel = \"info\"\n"));
    hubgate.plain().get(HOST, "/");
    assert!(seen.lock().unwrap()[1].resumed);
    let kept = site(&upstream, NAMED);
    hubgate.reload_to(&kept);
    hubgate.plain().get(HOST, "/");
    hubgate.plain().get(HOST, "/");
    assert_eq!(
        seen.lock().unwrap().len(),
        3,
        "the fourth request finds the third's connection"
    );
    hubgate.reload_to(&kept.replace("hub.internal", "two.internal"));
    hubgate.plain().get(HOST, "/");
    let last = seen.lock().unwrap().last().unwrap().clone();
    assert_eq!(last.server_name.as_deref(), Some("two.internal"));
}

#[test]
fn a_body_without_an_end_of_its_own_is_whole_only_after_close_notify() {
    let ours = Authority::new("ours");
    let (upstream, _) = Upstream::secured(ours.issue(&["hub.internal"]).server(&[]), |conn| {
        let head = conn.answer("HTTP/1.1 200 OK\r\n\r\nhalf").unwrap();
        match head.target().as_slice() {
            b"/whole" => conn.finish_sending(),
            _ => conn.tcp().shutdown(std::net::Shutdown::Write).unwrap(),
        }
        let _ = conn.closes_within(Duration::from_secs(5));
    });
    let hubgate = Hubgate::start_in(folder(&ours), &site(&upstream, NAMED));
    for (target, whole) in [("/whole", true), ("/cut", false)] {
        let response = hubgate.plain().get(HOST, target);
        assert_eq!(
            (response.text().as_str(), response.complete.is_ok()),
            ("half", whole),
            "{target}"
        );
        let mut h2 = hubgate.h2();
        let stream = h2.open(h2.request("GET", target), true);
        let complete = stream
            .whole()
            .is_ok_and(|response| response.complete.is_ok());
        assert_eq!(complete, whole, "{target} on HTTP/2");
    }
}

#[test]
fn a_start_without_the_files_is_refused_and_says_which() {
    let upstream = Upstream::saying("ok");
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("hubgate.toml");
    let any = "127.0.0.1:0".parse().unwrap();
    let toml = crate::support::hubgate::filled(&site(&upstream, NAMED), dir.path(), any, any);
    std::fs::write(&config, toml).unwrap();
    let (code, text) = run(command(&["run", "-c"]).arg(&config));
    assert_eq!(code, 1, "{text}");
    let file = Path::new(dir.path()).join("ca.pem");
    assert!(text.contains(&file.display().to_string()), "{text}");
}
