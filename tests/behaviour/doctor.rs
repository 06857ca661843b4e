//! `hubgate doctor`: what it finds at endpoints that misbehave in each way, and that it needs no running hubgate.

use std::fs;
use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, Response};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::authority::{self, Authority};
use crate::support::h2_upstream::Settings;
use crate::support::hubgate::{HOST, command, one_site, run};
use crate::support::{H2Upstream, Hubgate, Upstream, ports::free_addr};

/// What the doctor says of this configuration: its exit code, its only finding for the endpoint, and its row.
fn doctor(dir: &TempDir, toml: &str) -> (i32, Value, Value) {
    let file = dir.path().join("doctor.toml");
    fs::write(&file, toml).unwrap();
    let (code, text) = run(command(&["doctor", "--json", "-c"]).arg(&file));
    let told: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    (
        code,
        told["findings"][0].clone(),
        told["endpoints"][0].clone(),
    )
}

#[track_caller]
fn finds(toml: &str, code: i32, found: &str, fix: &str) {
    let dir = TempDir::new().unwrap();
    let (exit, finding, _) = doctor(&dir, toml);
    let said = |key: &str, part: &str| {
        let text = finding[key].as_str().unwrap();
        assert!(text.contains(part), "no `{part}` in {finding:#}");
    };
    assert_eq!(exit, code, "{finding:#}");
    said("found", found);
    said("fix", fix);
}

fn site(address: SocketAddr) -> String {
    one_site(
        address,
        "connect_timeout = \"300ms\"\ntls_timeout = \"300ms\"",
    )
}

#[test]
fn a_healthy_endpoint_is_fine_with_its_times_and_the_hub_gets_its_host() {
    let upstream = Upstream::saying("ok");
    let dir = TempDir::new().unwrap();
    let (code, finding, row) = doctor(&dir, &site(upstream.addr));
    assert_eq!(
        (code, finding["level"].as_str()),
        (0, Some("fine")),
        "{finding:#}"
    );
    assert_eq!(
        (&row["status"], &row["tls_ms"]),
        (&200.into(), &Value::Null)
    );
    assert!(row["connect_ms"].as_f64().unwrap() < 300.0 && row["answer_ms"].is_number());
    assert_eq!(upstream.only_request().head.one("host"), HOST);
    let (code, text) = run(command(&["doctor", "-c"]).arg(dir.path().join("doctor.toml")));
    assert_eq!(code, 0, "{text}");
    for part in [
        "UPSTREAM",
        "CONNECT",
        "up ",
        &upstream.addr.to_string(),
        "answers 200 to /",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}

#[test]
fn every_way_in_which_an_endpoint_fails_is_told_with_what_to_do() {
    finds(&site(free_addr()), 2, "refused", "node port");
    let ssh = Upstream::answering("SSH-2.0-OpenSSH_9.2\r\n");
    finds(&site(ssh.addr), 2, "SSH-2.0-OpenSSH", "`tls`");
    let leaves = Upstream::start(|conn| drop(conn.request()));
    finds(&site(leaves.addr), 2, "without an answer", "PROXY protocol");
    let busy = Upstream::answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    finds(
        &site(busy.addr),
        1,
        "answers 503",
        "configurable-http-proxy",
    );
    let ingress = Upstream::answering(
        "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://hub.test/\r\nContent-Length: 0\r\n\r\n",
    );
    finds(&site(ingress.addr), 1, "redirects plain HTTP", "TLS port");
    let nginx = Upstream::answering(
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 49\r\n\r\nThe plain HTTP request was sent to HTTPS port ...",
    );
    finds(&site(nginx.addr), 2, "a port for TLS", "`tls`");
    let old = Upstream::start(|conn| {
        drop(conn.some());
        conn.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let h2c = site(old.addr) + "protocol = \"h2c\"\n";
    finds(&h2c, 2, "is not HTTP/2", "`protocol`");
    let ourselves = Hubgate::before(free_addr());
    finds(&site(ourselves.http), 2, "a hubgate answers there", "loop");
}

#[test]
fn tls_is_judged_as_traffic_would_judge_it() {
    let ours = Authority::new("ours");
    let serve = |names: &[&str]| {
        let (upstream, _) = Upstream::secured(ours.issue(names).server(&["http/1.1"]), |conn| {
            conn.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        });
        upstream
    };
    let dir = TempDir::new().unwrap();
    ours.file(dir.path());
    let tls = |address: SocketAddr, more: &str| site(address) + &format!("tls = {{ {more} }}\n");
    let named = "server_name = \"hub.internal\", ca_file = \"ca.pem\"";
    let good = serve(&["hub.internal"]);
    let (code, finding, row) = doctor(&dir, &tls(good.addr, named));
    assert_eq!(code, 0, "{finding:#}");
    assert!(
        row["tls_ms"].is_number() && row["not_after"].is_number(),
        "{row:#}"
    );
    let other = serve(&["other.internal"]);
    let (code, finding, _) = doctor(&dir, &tls(other.addr, named));
    assert_eq!(code, 2);
    assert!(
        finding["fix"].as_str().unwrap().contains("server_name"),
        "{finding:#}"
    );
    finds(
        &tls(good.addr, "server_name = \"hub.internal\""),
        2,
        "not trusted here",
        "ca_file",
    );
    let plain = Upstream::saying("ok");
    finds(
        &tls(plain.addr, "verify = false"),
        2,
        "its TLS cannot be trusted",
        "",
    );
    let (silent, _listener) = authority::silent();
    finds(
        &tls(silent, "verify = false"),
        2,
        "did not finish the handshake",
        "",
    );
}

/// A gRPC server whose health service says `status` of the service `hub`, and knows no other.
fn grpc(status: u8) -> H2Upstream {
    H2Upstream::start(Settings::default(), move |mut call| async move {
        let (asked, _) = call.whole().await.unwrap();
        let is_check = call.seen.uri.path() == "/grpc.health.v1.Health/Check";
        let known = is_check && asked == b"\0\0\0\0\x05\x0a\x03hub";
        let mut send = call.begin(Response::builder().header("content-type", "application/grpc"));
        if known {
            send.send_data(vec![0, 0, 0, 0, 2, 8, status].into(), false)
                .unwrap();
        }
        let code = if known { "0" } else { "5" };
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(code));
        send.send_trailers(trailers).unwrap();
    })
}

#[test]
fn the_upstreams_own_check_is_made_with_its_service_and_its_body() {
    let serving = grpc(1);
    let h2c = |address, service: &str| {
        let health = format!("health = {{ kind = \"grpc\", service = \"{service}\" }}\n");
        site(address) + "protocol = \"h2c\"\n" + &health
    };
    let dir = TempDir::new().unwrap();
    let (code, finding, row) = doctor(&dir, &h2c(serving.addr, "hub"));
    assert_eq!(code, 0, "{finding:#}");
    let found = "its gRPC health check of `hub` says that it serves";
    assert_eq!(finding["found"], found);
    assert!(row["answer_ms"].is_number(), "{row:#}");
    let unknown = "fails its health check: gRPC: it knows no service `other`";
    finds(&h2c(serving.addr, "other"), 1, unknown, "health");
    let tired = grpc(2);
    let not_serving = "fails its health check: gRPC: it is not serving";
    finds(&h2c(tired.addr, "hub"), 1, not_serving, "the service");
    let plain = Upstream::saying("hm");
    let health = "health = { kind = \"http\", path = \"/\", body = \"all is well\" }\n";
    let without = "answered 200 without `all is well`";
    finds(&(site(plain.addr) + health), 1, without, "health");
}

#[test]
fn one_upstream_can_be_asked_for_and_one_that_has_nobody_left_is_told_so() {
    let upstream = Upstream::saying("ok");
    let toml = site(upstream.addr)
        + &format!(
            "[upstream.dead]\nendpoints = [\"{}\", \"{}\"]\n",
            free_addr(),
            free_addr()
        );
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("doctor.toml");
    fs::write(&file, toml).unwrap();
    let ask = |more: &str| run(command(&["doctor", more, "-c"]).arg(&file));
    assert_eq!(ask("up").0, 0);
    let (code, text) = ask("dead");
    assert_eq!(code, 2);
    assert!(text.contains("none of its endpoints can serve"), "{text}");
    assert_eq!(ask("nobody").0, 1);
}
