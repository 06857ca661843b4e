//! Every cause, provoked for real: what the client gets, what the log says and what `hubgate why` knows.
//!
//! One row a cause. A cause without a row fails the test, which says how to add one.

use std::any::Any;
use std::fs;
use std::time::{Duration, Instant};

use hubgate::observe::cause::Cause;
use serde_json::Value;

use super::client_certificates;
use super::why::explained;
use crate::support::authority::{Authority, Issued};
use crate::support::hubgate::{HOST, command, one_site, run};
use crate::support::ports::{Unreachable, free_addr};
use crate::support::{
    Client, Conn, Hubgate, NameServer, Response, Upstream, Wire, authority, eventually, tls,
    websocket,
};

/// What provoking gave: the answer, if there was one that could be read to its end.
struct Seen {
    hubgate: Hubgate,
    answer: Option<Response>,
    /// What has to live until all has been looked at.
    _kept: Vec<Box<dyn Any>>,
}

type Provoke = fn() -> Seen;

#[rustfmt::skip]
const PROVOKED: &[(Cause, Provoke)] = &[
    (Cause::HeadMalformed, || asked("", &request("GET / HTTP/1.1", "X : y\r\n"))),
    (Cause::HeadTooLarge, || asked("", &request("GET / HTTP/1.1", &format!("Cookie: {}\r\n", "x".repeat(70_000))))),
    (Cause::HeadTooManyFields, || asked("", &request("GET / HTTP/1.1", &"X: y\r\n".repeat(101)))),
    (Cause::TargetTooLong, || asked("", &request(&format!("GET /{} HTTP/1.1", "x".repeat(70_000)), ""))),
    (Cause::TargetInvalid, || with(&one_site(free_addr(), "").replace("http =", "paths = \"normal\"\nhttp ="), "GET /%zz HTTP/1.1")),
    (Cause::VersionUnsupported, || asked("", &request("GET / HTTP/3.0", ""))),
    (Cause::HeadTimeout, || asked("[timeouts]\nhead = \"200ms\"\n", "GET / HTTP/1.1\r\nHos")),
    (Cause::HostMissing, || asked("", "GET / HTTP/1.1\r\n\r\n")),
    (Cause::HostMalformed, || asked("", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n")),
    (Cause::HostUnknown, || asked("", "GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n")),
    (Cause::ServerNameMismatch, other_name),
    (Cause::MethodRefused, || asked("", &request("TRACE / HTTP/1.1", ""))),
    (Cause::CodingUnsupported, || asked("", &request("POST / HTTP/1.1", "Transfer-Encoding: gzip\r\n"))),
    (Cause::BodyTooLarge, || asked_of(silent, "body_limit = \"5B\"", "", &request("POST / HTTP/1.1", "Content-Length: 6\r\n"))),
    (Cause::BodyTimeout, || asked_of(silent, "", "[timeouts]\nbody = \"200ms\"\n", &request("POST / HTTP/1.1", "Content-Length: 6\r\n"))),
    (Cause::BodyMalformed, || asked_of(silent, "", "", &(request("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\n") + "zz\r\n"))),
    (Cause::RouteMissing, || with(&one_site(free_addr(), "").replace("path = \"/\"", "path = \"/x/\""), "GET / HTTP/1.1")),
    (Cause::ChallengeUnknown, || asked("", &request("GET /.well-known/acme-challenge/LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEu_0 HTTP/1.1", ""))),
    (Cause::ChallengeFallbackFailed, || with(&fallback(), "GET /.well-known/acme-challenge/LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEu_0 HTTP/1.1")),
    (Cause::ChallengeLimited, too_many_challenges),
    (Cause::RedirectToHttps, || with(&one_site(free_addr(), "").replace("\"forward\"", "\"redirect\""), "GET / HTTP/1.1")),
    (Cause::RedirectSlash, || with(&one_site(free_addr(), "").replace("path = \"/\"", "path = \"/x/\""), "GET /x HTTP/1.1")),
    (Cause::UpstreamEmpty, no_endpoint),
    (Cause::UpstreamDown, disabled),
    (Cause::UpstreamUnresolved, unresolved),
    (Cause::UpstreamConnect, || asked("", &request("GET / HTTP/1.1", ""))),
    (Cause::UpstreamConnectTimeout, no_room),
    (Cause::UpstreamSend, takes_nothing),
    (Cause::UpstreamClosed, || asked_of(|conn| drop(conn.request()), "", "", &request("GET / HTTP/1.1", ""))),
    (Cause::UpstreamMalformed, || answered("SSH-2.0-OpenSSH_9.2\r\n\r\n")),
    (Cause::UpstreamResponseTimeout, || asked_of(silent, "response_timeout = \"200ms\"", "", &request("GET / HTTP/1.1", ""))),
    (Cause::UpstreamTruncated, || cut_off(|_| {})),
    (Cause::UpstreamReset, || cut_off(Conn::reset)),
    (Cause::UpstreamIdle, || cut_off(silent)),
    (Cause::TunnelHandshakeTimeout, || asked_of(silent, "tunnel_handshake_timeout = \"200ms\"", "", &websocket::handshake_request(HOST, "/", ""))),
    (Cause::TunnelIdle, || tunnel("tunnel_idle_timeout = \"200ms\"", |_| {})),
    (Cause::Draining, || tunnel("", |hubgate| hubgate.signal("TERM"))),
    (Cause::TunnelRefused, || refused_tunnel()),
    (Cause::ClientGone, gone),
    (Cause::ClientStalled, stalled),
    (Cause::PlainOnTls, plain_on_tls),
    (Cause::UpstreamTls, || asked_of(|conn| { let _ = conn.some(); }, "", "[upstream.up.tls]\nverify = false\n", &request("GET / HTTP/1.1", ""))),
    (Cause::UpstreamTlsTimeout, silent_tls),
    (Cause::QueueFull, || busy("max_in_flight = 1\nqueue = 0\n")),
    (Cause::QueueTimeout, || busy("max_in_flight = 1\nqueue_timeout = \"200ms\"\n")),
    (Cause::CircuitOpen, circuit),
    (Cause::TotalTimeout, || asked_of(silent, "total_timeout = \"200ms\"", "", &request("GET / HTTP/1.1", ""))),
    (Cause::ShuttingDown, shutting_down),
    (Cause::ClientCertificateMissing, || certificate(|_| None)),
    (Cause::ClientCertificateExpired, || certificate(|own| Some(own.issue_expired(&["old.test"])))),
    (Cause::ClientCertificateRevoked, || certificate(|own| Some(own.issue_to("bob", 7)))),
    (Cause::ClientCertificateRefused, || certificate(|_| Some(Authority::new("others").issue_to("eve", 8)))),
    (Cause::AccessDenied, || guarded("rules = [\"deny all\"]", "")),
    (Cause::PasswordMissing, || guarded("basic = { realm = \"x\", file = \"@DIR@/users\" }", "")),
    (Cause::PasswordWrong, || guarded("basic = { realm = \"x\", file = \"@DIR@/users\" }", "Authorization: Basic YWxpY2U6c2VjcmV0\r\n")),
    (Cause::PasswordsUnreadable, || guarded("basic = { realm = \"x\", file = \"@DIR@\" }", "Authorization: Basic YWxpY2U6c2VjcmV0\r\n")),
    (Cause::PasswordsBusy, many_passwords),
    (Cause::AskRefused, || guarded("ask = { path = \"/auth\" }", "X-Status: 403\r\n")),
    (Cause::AskFailed, || guarded("ask = { path = \"/nobody\" }", "")),
    (Cause::RateLimited, || twice("rates = [{ rate = \"one\" }]", "[rate.one]\nrate = \"1r/m\"\n")),
    (Cause::ConcurrencyLimited, || twice("concurrency = [{ of = \"addr\", most = 1 }]", "[concurrency.addr]\n")),
    (Cause::FileMissing, || filed("", "GET /none HTTP/1.1", "")),
    (Cause::FileForbidden, || filed("", "GET / HTTP/1.1", "")),
    (Cause::FileMethod, || filed("", "DELETE /a HTTP/1.1", "")),
    (Cause::FileFailed, unreadable),
    (Cause::RangeUnsatisfiable, || filed("", "GET /a HTTP/1.1", "Range: bytes=100-\r\n")),
    (Cause::PreconditionFailed, || filed("", "GET /a HTTP/1.1", "If-Match: \"other\"\r\n")),
    (Cause::UpstreamError, intercepted),
    (Cause::RouteLoop, || filed("rules = [{ rewrite = \"^\", to = \"/b\", then = \"find\" }]", "GET /a HTTP/1.1", "")),
    (Cause::Internal, || asked("", &request("GET / HTTP/1.1", "X-Hubgate-Defect: 1\r\n"))),
];

/// Causes that cannot be provoked yet, and how they will be.
const PENDING: &[(Cause, &str)] = &[];

const LOG: &str = "[access_log]\ntarget = \"@DIR@/access.log\"\nformat = \"json\"\n";
/// So that a stop does not wait, and nobody has to.
const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn every_cause_can_be_provoked_and_is_told_in_the_log_the_field_the_page_and_by_why() {
    let known = |cause| {
        let provoked = PROVOKED.iter().any(|(one, _)| *one == cause);
        let pending = PENDING.iter().any(|(one, _)| *one == cause);
        assert!(!(provoked && pending), "{cause} is pending no more");
        provoked || pending
    };
    let missing: Vec<_> = Cause::all().filter(|cause| !known(*cause)).collect();
    assert!(
        missing.is_empty(),
        "no row for {missing:?}: add to PROVOKED of this file a function that makes hubgate give this cause, with `asked`, `asked_of` \
         or a `Seen` of its own; the test does the rest"
    );
    let mut wrong = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = PROVOKED
            .chunks(PROVOKED.len().div_ceil(4))
            .map(|rows| {
                scope.spawn(move || {
                    let looked = rows.iter().map(|(cause, provoke)| {
                        let done = std::panic::catch_unwind(|| look(*cause, &provoke()));
                        done.err()
                            .map(|panic| format!("{cause}: {}", said(&*panic)))
                    });
                    looked.flatten().collect::<Vec<_>>()
                })
            })
            .collect();
        for thread in threads {
            wrong.extend(thread.join().unwrap());
        }
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn on_http2_a_defect_ends_its_own_request_only_and_a_stop_answers_those_that_wait() {
    let upstream = Upstream::start(silent);
    let toml = one_site(upstream.addr, "") + "[server]\ndrain_timeout = \"6s\"\n"; // a twentieth of it is for the answer
    let hubgate = start(&toml);
    let mut client = hubgate.h2();
    let waiting = client.request("GET", "/wait");
    let mut waiting = client.open(waiting, true);
    upstream.wait_requests(1);
    let defect = client.request("GET", "/").header("x-hubgate-defect", "1");
    let broken = client.exchange(defect);
    assert_eq!(
        (broken.status, broken.fields["x-hubgate-cause"].as_bytes()),
        (500, &b"internal"[..])
    );
    hubgate.signal("TERM");
    let (status, fields) = waiting.head().unwrap();
    assert_eq!(
        (status, fields["x-hubgate-cause"].as_bytes()),
        (503, &b"shutting_down"[..])
    );
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

/// Log, field, page and `hubgate why`.
fn look(cause: Cause, seen: &Seen) {
    // Others may have met it too.
    let own = seen
        .answer
        .as_ref()
        .filter(|_| cause.is_failure() && cause.status() != 0);
    let own = own.map(|answer| answer.head.one("x-request-id"));
    let line = logged(&seen.hubgate, cause, own.as_deref());
    let id = line["request_id"].as_str().unwrap();
    if let Some(answer) = &seen.answer {
        assert_eq!(answer.status, line["status"], "{}", answer.text());
        if cause.status() != 0 {
            assert_eq!(answer.head.one("x-hubgate-cause"), cause.code());
        }
        if cause.is_failure() && cause.status() != 0 {
            assert_eq!(answer.status, cause.status());
            assert_eq!(answer.head.one("cache-control"), "no-store");
            assert_eq!(answer.head.one("x-request-id"), id);
            let after = answer.head.all("retry-after");
            match cause.retry_after().map(|seconds| seconds.to_string()) {
                // Its own time, which `upstream_limits` looks at.
                Some(_) if cause == Cause::CircuitOpen => assert_eq!(after.len(), 1),
                seconds => assert_eq!(after, Vec::from_iter(seconds)),
            }
            let body = answer.text();
            assert!(body.contains(cause.code()) && body.contains(id), "{body}");
        }
    }
    let told = explained(&seen.hubgate, id);
    assert_eq!(told["cause"], cause.code());
    assert_eq!(told["meaning"], cause.sentence());
    assert_eq!(told["advice"], cause.advice());
    assert_eq!(told["status"], line["status"]);
}

/// The first line of the log with this cause.
fn logged(hubgate: &Hubgate, cause: Cause, id: Option<&str>) -> Value {
    let path = hubgate.dir.path().join("access.log");
    let mut found = Value::Null;
    eventually(&format!("`{cause}` in the access log"), || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let is = |line: &Value| {
            line["cause"] == cause.code() && id.is_none_or(|id| line["request_id"] == id)
        };
        match lines.find(is) {
            Some(line) => found = line,
            None => return false,
        }
        true
    });
    found
}

/// A request for the test's host by a browser.
fn request(line: &str, fields: &str) -> String {
    format!("{line}\r\nHost: {HOST}\r\nAccept: text/html\r\n{fields}\r\n")
}

fn start(toml: &str) -> Hubgate {
    Hubgate::start(&(toml.to_owned() + LOG))
}

fn seen(hubgate: Hubgate, answer: Option<Response>, kept: Vec<Box<dyn Any>>) -> Seen {
    Seen {
        hubgate,
        answer,
        _kept: kept,
    }
}

/// This configuration asked for this.
fn with(toml: &str, line: &str) -> Seen {
    let hubgate = start(toml);
    let answer = hubgate.plain().exchange(request(line, ""));
    seen(hubgate, Some(answer), Vec::new())
}

/// Before an endpoint that refuses connections.
fn asked(tables: &str, bytes: &str) -> Seen {
    let hubgate = start(&(one_site(free_addr(), "") + tables));
    let mut client = hubgate.plain();
    client.send(bytes);
    let answer = client.response();
    seen(hubgate, Some(answer), Vec::new())
}

/// Before an upstream of this kind; `route` are lines of the route.
fn asked_of(
    script: impl Fn(&mut Conn) + Send + Sync + 'static,
    route: &str,
    tables: &str,
    bytes: &str,
) -> Seen {
    let upstream = Upstream::start(script);
    let hubgate = start(&(one_site(upstream.addr, route) + tables));
    let mut client = hubgate.plain();
    client.send(bytes);
    let answer = client.response();
    seen(hubgate, Some(answer), vec![Box::new(upstream)])
}

fn answered(answer: &'static str) -> Seen {
    let script = move |conn: &mut Conn| drop(conn.answer(answer));
    asked_of(script, "", "", &request("GET / HTTP/1.1", ""))
}

/// Before a route with this `access`, and a file of one password.
fn guarded(access: &str, fields: &str) -> Seen {
    let hubgate = hubgate_with(access, "alice:{PLAIN}other\n");
    let answer = hubgate.plain().exchange(request("GET / HTTP/1.1", fields));
    seen(hubgate, Some(answer), Vec::new())
}

/// Of a route with one file; `more` are lines of it.
fn filed(more: &str, line: &str, fields: &str) -> Seen {
    let dir = tempfile::TempDir::new().unwrap();
    fs::write(dir.path().join("a"), "text").unwrap();
    let route = format!("path = \"/\"\nfiles = {{ root = \"@DIR@\" }}\n{more}");
    let site = one_site(free_addr(), "").replace("path = \"/\"\nupstream = \"up\"", &route);
    let hubgate = Hubgate::start_in(dir, &(site + LOG));
    let answer = hubgate.plain().exchange(request(line, fields));
    seen(hubgate, Some(answer), Vec::new())
}

/// A file that opens and cannot be read: the loopback has no speed, which the kernel says with EINVAL.
fn unreadable() -> Seen {
    let site = one_site(free_addr(), "").replace(
        "path = \"/\"\nupstream = \"up\"",
        "path = \"/\"\nfiles = { root = \"/sys/class/net/lo\" }",
    );
    with(&site, "GET /speed HTTP/1.1")
}

/// An upstream's error that a route by name stands for, which cannot get the request's body a second time.
fn intercepted() -> Seen {
    let route = "own_errors = \"intercept\"\nerrors = [{ on = [502], to = \"@other\" }]";
    let other = "[[site.\"hub.test\".route]]\nname = \"other\"\nrespond = { status = 200 }\n";
    let fails = |conn: &mut Conn| {
        drop(conn.answer("HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n"));
    };
    let upstream = Upstream::start(fails);
    let hubgate = start(&(one_site(upstream.addr, route) + other));
    let bytes = request("POST / HTTP/1.1", "Content-Length: 1\r\n") + "x";
    let mut client = hubgate.plain();
    client.send(bytes);
    let answer = client.response();
    seen(hubgate, Some(answer), vec![Box::new(upstream)])
}

fn hubgate_with(access: &str, users: &str) -> Hubgate {
    let dir = tempfile::TempDir::new().unwrap();
    fs::write(dir.path().join("users"), users).unwrap();
    let route = format!("access = {{ {access} }}");
    let auth = "[[site.\"hub.test\".route]]\nexact = \"/auth\"\nrespond = { status = 403 }\n";
    Hubgate::start_in(dir, &(one_site(free_addr(), &route) + auth + LOG))
}

/// One request before an endpoint that does not answer it, and another, with these limits.
fn twice(limits: &str, tables: &str) -> Seen {
    let upstream = Upstream::start(silent);
    let hubgate = start(&(one_site(upstream.addr, &format!("limits = {{ {limits} }}")) + tables));
    let mut first = hubgate.plain();
    first.send(request("GET / HTTP/1.1", ""));
    upstream.wait_requests(1);
    let answer = hubgate.plain().exchange(request("GET / HTTP/1.1", ""));
    seen(hubgate, Some(answer), vec![Box::new((first, upstream))])
}

/// More passwords at once than wait to be looked at.
fn many_passwords() -> Seen {
    let hash = "$2y$14$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";
    let access = "basic = { realm = \"x\", file = \"@DIR@/users\" }";
    let hubgate = hubgate_with(access, &format!("alice:{hash}\n"));
    let shown = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n";
    let mut waiting: Vec<_> = (0..100).map(|_| hubgate.plain()).collect();
    for client in &mut waiting {
        client.send(request("GET / HTTP/1.1", shown));
    }
    let line = logged(&hubgate, Cause::PasswordsBusy, None);
    let id = line["request_id"].as_str().unwrap().as_bytes();
    let mut answer = None;
    eventually("the answer of the one that was told first", || {
        answer = waiting.iter_mut().find_map(|client| {
            let _ = client.fill(Instant::now() + Duration::from_millis(20));
            let here = client.pending().windows(id.len()).any(|bytes| bytes == id);
            here.then(|| client.response())
        });
        answer.is_some()
    });
    seen(hubgate, answer, vec![Box::new(waiting)])
}

/// Takes a request and says nothing.
fn silent(conn: &mut Conn) {
    conn.request_head();
    let _ = conn.closes_within(LIMIT);
}

/// Half an answer, then this.
fn cut_off(then: fn(&mut Conn)) -> Seen {
    let upstream = Upstream::start(move |conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        // What was sent has to be read before a reset, which would take it back.
        std::thread::sleep(Duration::from_millis(50));
        then(conn);
    });
    let hubgate = start(&one_site(upstream.addr, "idle_timeout = \"300ms\""));
    let mut client = hubgate.plain();
    client.send(request("GET / HTTP/1.1", ""));
    let (bytes, _) = client.rest();
    assert!(bytes.ends_with(b"half"), "nothing is made up");
    seen(hubgate, None, vec![Box::new(upstream)])
}

fn no_endpoint() -> Seen {
    let nobody = free_addr();
    let named = format!("endpoints = [\"{nobody}\"]");
    let toml = one_site(nobody, "").replace(&named, "endpoints_file = \"@DIR@/nodes\"");
    with(&toml, "GET / HTTP/1.1")
}

/// A name that no name server knows.
fn unresolved() -> Seen {
    let dns = NameServer::start();
    let nobody = free_addr();
    let named = format!("endpoints = [\"{nobody}\"]");
    let toml = one_site(nobody, "").replace(&named, "endpoints = [\"hub.test:80\"]");
    let hubgate = start(&(toml + &dns.table("")));
    let answer = hubgate.plain().exchange(request("GET / HTTP/1.1", ""));
    seen(hubgate, Some(answer), vec![Box::new(dns)])
}

/// Every endpoint taken out by the operator.
fn disabled() -> Seen {
    let upstream = Upstream::saying("ok");
    let hubgate = start(&one_site(upstream.addr, ""));
    let address = upstream.addr.to_string();
    let mut command = command(&["upstream", "disable", &address, "--socket"]);
    let (code, output) = run(command.arg(hubgate.socket()));
    assert_eq!(code, 0, "{output}");
    let answer = hubgate.plain().exchange(request("GET / HTTP/1.1", ""));
    assert!(upstream.requests().is_empty());
    seen(hubgate, Some(answer), vec![Box::new(upstream)])
}

fn other_name() -> Seen {
    let hubgate = start(&one_site(free_addr(), ""));
    let answer = hubgate
        .tls()
        .exchange("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n");
    seen(hubgate, Some(answer), Vec::new())
}

fn fallback() -> String {
    let site = "certificate = \"self-signed\"\n";
    let with = format!("{site}challenge_fallback = \"up\"\n");
    one_site(free_addr(), "").replace(site, &with)
}

fn too_many_challenges() -> Seen {
    let hubgate = start(&fallback());
    let mut client = hubgate.plain();
    let mut answer = None;
    eventually("a challenge too many", || {
        let got = client.get(
            HOST,
            "/.well-known/acme-challenge/LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEu_0",
        );
        answer = (got.status == 429).then_some(got);
        answer.is_some()
    });
    seen(hubgate, answer, Vec::new())
}

fn no_room() -> Seen {
    let upstream = Unreachable::new();
    let hubgate = start(&one_site(upstream.addr, "connect_timeout = \"200ms\""));
    let answer = hubgate.plain().exchange(request("GET / HTTP/1.1", ""));
    seen(hubgate, Some(answer), vec![Box::new(upstream)])
}

fn takes_nothing() -> Seen {
    let upstream = Upstream::start(|conn| {
        conn.shrink_receive_buffer();
        conn.request_head();
        std::thread::sleep(Duration::from_secs(2)); // takes nothing
    });
    let more = "send_timeout = \"300ms\"\nbody_limit = \"none\"";
    let hubgate = start(&one_site(upstream.addr, more));
    let mut client = hubgate.plain();
    client.send(request(
        "PUT / HTTP/1.1",
        &format!("Content-Length: {}\r\n", 64 << 20),
    ));
    let mut tcp = client.tcp().try_clone().unwrap();
    std::thread::spawn(
        move || {
            while std::io::Write::write_all(&mut tcp, &[b'x'; 64 * 1024]).is_ok() {}
        },
    );
    let answer = client.try_response(false).ok();
    seen(hubgate, answer, vec![Box::new(upstream)])
}

fn raw_tunnel(conn: &mut Conn) {
    conn.request();
    conn.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n");
    let _ = conn.closes_within(LIMIT);
}

/// An open tunnel, and then this.
fn tunnel(route: &str, then: fn(&Hubgate)) -> Seen {
    let upstream = Upstream::start(raw_tunnel);
    let toml = one_site(upstream.addr, route) + "[server]\ndrain_timeout = \"6s\"\n"; // a twentieth of it is for the answer
    let hubgate = start(&toml);
    let mut client = hubgate.plain();
    client.send(request(
        "GET / HTTP/1.1",
        "Connection: Upgrade\r\nUpgrade: raw\r\n",
    ));
    assert_eq!(client.head().unwrap().status(), 101);
    then(&hubgate);
    client.rest();
    seen(hubgate, None, vec![Box::new(upstream)])
}

fn refused_tunnel() -> Seen {
    let forbidden = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
    let script = move |conn: &mut Conn| drop(conn.answer(forbidden));
    let seen = asked_of(script, "", "", &websocket::handshake_request(HOST, "/", ""));
    let answer = seen.answer.as_ref().unwrap();
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (403, "no"),
        "as it was"
    );
    assert!(!answer.head.has("x-hubgate-cause"));
    seen
}

fn gone() -> Seen {
    let upstream = Upstream::start(silent);
    let hubgate = start(&one_site(upstream.addr, ""));
    let mut client = hubgate.plain();
    client.send(request("GET / HTTP/1.1", ""));
    upstream.wait_requests(1);
    drop(client);
    seen(hubgate, None, vec![Box::new(upstream)])
}

fn stalled() -> Seen {
    let upstream = Upstream::start(|conn| {
        conn.request();
        let _ = conn.try_send("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n");
        while conn.try_send([b'x'; 64 * 1024]).is_ok() {}
    });
    let toml = one_site(upstream.addr, "") + "[timeouts]\nwrite = \"300ms\"\n";
    let hubgate = start(&toml);
    let mut client = Client::plain_with_small_window(hubgate.http);
    client.send(request("GET / HTTP/1.1", ""));
    seen(hubgate, None, vec![Box::new(client), Box::new(upstream)])
}

fn plain_on_tls() -> Seen {
    let hubgate = start(&one_site(free_addr(), ""));
    let answer = Client::plain(hubgate.https).exchange(request("GET / HTTP/1.1", ""));
    seen(hubgate, Some(answer), Vec::new())
}

/// A site whose clients need a certificate by the authority, which has revoked number 7.
fn certificate(shown: fn(&Authority) -> Option<Issued>) -> Seen {
    let own = Authority::new("clients");
    let dir = tempfile::TempDir::new().unwrap();
    own.file(dir.path());
    fs::write(dir.path().join("ca.crl"), own.revoke(&[7], 30)).unwrap();
    let tls = "[site.\"hub.test\".tls]\nclient_certificate = { ca_file = \"@DIR@/ca.pem\", crl_files = [\"@DIR@/ca.crl\"] }\n";
    let toml = one_site(free_addr(), "").replace("\"forward\"", "\"redirect\"") + tls + LOG;
    let hubgate = Hubgate::start_in(dir, &toml);
    let config = match shown(&own) {
        Some(issued) => client_certificates::ours(&issued),
        None => tls::config(&["http/1.1"]),
    };
    let stream = tls::handshake(hubgate.https, HOST, config).unwrap();
    let answer = Client(Wire::new(stream)).exchange(request("GET / HTTP/1.1", ""));
    seen(hubgate, Some(answer), Vec::new())
}

fn silent_tls() -> Seen {
    let (addr, listener) = authority::silent();
    let toml = one_site(addr, "tls_timeout = \"200ms\"") + "[upstream.up.tls]\nverify = false\n";
    let hubgate = start(&toml);
    let answer = hubgate.plain().exchange(request("GET / HTTP/1.1", ""));
    seen(hubgate, Some(answer), vec![Box::new(listener)])
}

/// An upstream with these limits that is at work already.
fn busy(limits: &str) -> Seen {
    let upstream = Upstream::start(silent);
    let hubgate = start(&(one_site(upstream.addr, "") + limits));
    let mut first = hubgate.plain();
    first.send(request("GET /first HTTP/1.1", ""));
    eventually("it is at work", || upstream.open() == 1);
    let answer = hubgate
        .plain()
        .exchange(request("GET /second HTTP/1.1", ""));
    seen(
        hubgate,
        Some(answer),
        vec![Box::new(first), Box::new(upstream)],
    )
}

fn circuit() -> Seen {
    let rule = "circuit = { failure_rate = \"50%\", min_requests = 2, open_for = \"30s\" }\n";
    let hubgate = start(&(one_site(free_addr(), "") + rule));
    let mut client = hubgate.plain();
    let mut answer = None;
    eventually("the circuit opens", || {
        let got = client.get(HOST, "/");
        answer = (got.status == 503).then_some(got);
        answer.is_some()
    });
    seen(hubgate, answer, Vec::new())
}

fn shutting_down() -> Seen {
    let upstream = Upstream::start(silent);
    let toml = one_site(upstream.addr, "") + "[server]\ndrain_timeout = \"6s\"\n"; // a twentieth of it is for the answer
    let hubgate = start(&toml);
    let mut client = hubgate.plain();
    client.send(request("GET / HTTP/1.1", ""));
    upstream.wait_requests(1);
    hubgate.signal("TERM");
    let answer = client.response();
    seen(
        hubgate,
        Some(answer),
        vec![Box::new(client), Box::new(upstream)],
    )
}
