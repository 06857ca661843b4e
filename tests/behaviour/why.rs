//! `hubgate why`: what the process remembers of a request, and what its log says.

use std::path::Path;

use serde_json::Value;

use crate::support::hubgate::{HOST, command, one_site, run};
use crate::support::{Hubgate, Upstream, eventually, ports::free_addr};

/// The exit code of `hubgate why` and what it printed.
pub(crate) fn why(hubgate: &Hubgate, more: &[&str]) -> (i32, String) {
    let mut command = command(&["why", "--socket"]);
    run(command
        .arg(hubgate.socket())
        .arg("-c")
        .arg(&hubgate.config)
        .args(more))
}

/// What is known of the request, once it is.
pub(crate) fn explained(hubgate: &Hubgate, id: &str) -> Value {
    let mut told = String::new();
    eventually(&format!("`{id}` is explained"), || {
        let (code, text) = why(hubgate, &["--json", id]);
        told = text;
        code == 0
    });
    let value: Value = serde_json::from_str(&told).unwrap();
    value["found"][0].clone()
}

/// The id on an error page of any form.
pub(crate) fn id_in(text: &str) -> String {
    let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let mut words = text.split(|c| !is_digit(c));
    words
        .find(|word| word.len() == 32)
        .unwrap_or_else(|| panic!("no request id in {text}"))
        .to_owned()
}

#[test]
fn a_failure_is_told_with_every_try_their_times_and_what_to_do() {
    let (a, b) = (free_addr(), free_addr());
    let toml = one_site(a, "").replace("endpoints = [", &format!("endpoints = [\"{b}\", "));
    let hubgate = Hubgate::start(&toml);
    let response = hubgate.plain().get(HOST, "/x?token=SECRET&y");
    assert_eq!(response.status, 502);
    let id = id_in(&response.text());
    let told = explained(&hubgate, &id);
    assert_eq!(told["request_id"], *id);
    assert_eq!(told["target"], "/x?token=REDACTED&y");
    assert_eq!(told["cause"], "upstream_connect");
    assert_eq!(
        (&told["upstream"], &told["route"]),
        (&"up".into(), &"/".into())
    );
    let tried = told["tries"].as_array().unwrap();
    assert_eq!(tried.len(), 2, "{told:#}");
    for (one, endpoint) in tried.iter().zip([b, a]) {
        assert_eq!(one["endpoint"], endpoint.to_string());
        assert_eq!(one["cause"], "upstream_connect");
        assert!(one["took"].as_f64().unwrap() < 5.0);
    }
    assert_eq!(told["endpoints"].as_array().unwrap().len(), 2, "{told:#}");
    let (code, text) = why(&hubgate, &[&id[8..]]);
    assert_eq!(code, 0, "{text}");
    for part in [
        "No endpoint of the upstream accepted a connection.",
        "hubgate doctor",
        &a.to_string(),
        &b.to_string(),
        "by hubgate",
        "HEALTH AT THAT MOMENT",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}

#[test]
fn an_upstreams_own_error_is_told_from_ours_and_forged_causes_are_taken_off() {
    let upstream = Upstream::answering(
        "HTTP/1.1 503 Service Unavailable\r\nX-Hubgate-Cause: draining\r\nContent-Length: 2\r\n\r\nno",
    );
    let hubgate = Hubgate::before(upstream.addr);
    let response = hubgate.plain().get(HOST, "/");
    assert_eq!(
        (response.status, response.head.has("x-hubgate-cause")),
        (503, false)
    );
    let response = hubgate.h2().get("/");
    assert_eq!(
        (
            response.status,
            response.fields.contains_key("x-hubgate-cause")
        ),
        (503, false)
    );
    let id = upstream.requests()[0].head.one("x-request-id");
    let told = explained(&hubgate, &id);
    assert_eq!(
        (&told["status"], &told["cause"]),
        (&503.into(), &Value::Null)
    );
    assert_eq!(told["tries"][0]["status"], 503);
    assert!(why(&hubgate, &[&id]).1.contains("by the upstream"));
}

#[test]
fn what_is_not_remembered_is_looked_up_in_the_access_log_even_without_a_process() {
    let upstream = Upstream::saying("hello");
    let toml = one_site(upstream.addr, "")
        + "[access_log]\ntarget = \"@DIR@/access.log\"\nformat = \"json\"\n[why]\nsample = 0\n";
    let mut hubgate = Hubgate::start(&toml);
    hubgate.plain().get(HOST, "/kept");
    let id = upstream.only_request().head.one("x-request-id");
    let told = explained(&hubgate, &id);
    assert_eq!(
        (&told["status"], &told["target"]),
        (&200.into(), &"/kept".into())
    );
    let source = Path::new(told["source"].as_str().unwrap());
    assert_eq!(source.file_name().unwrap(), "access.log");
    assert!(hubgate.stop_and_wait().success());
    let (code, text) = why(&hubgate, &[&id]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("5 sent"), "{text}");
    let (code, text) = why(&hubgate, &["0000000000000000"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("could not be asked") && text.contains("it is not in"),
        "{text}"
    );
}

#[test]
fn a_success_is_remembered_when_it_is_the_sample() {
    let upstream = Upstream::saying("hello");
    let hubgate = Hubgate::start(&(one_site(upstream.addr, "") + "[why]\nsample = 1\n"));
    hubgate.plain().get(HOST, "/");
    let id = upstream.only_request().head.one("x-request-id");
    let told = explained(&hubgate, &id);
    assert_eq!(
        (&told["status"], &told["source"]),
        (&200.into(), &"memory (a sample)".into())
    );
}

#[test]
fn an_id_that_nobody_knows_is_exit_code_1_with_what_to_try() {
    let upstream = Upstream::saying("hello");
    let hubgate = Hubgate::before(upstream.addr);
    let (code, text) = why(&hubgate, &["feedfeedfeedfeed"]);
    assert_eq!(code, 1);
    for part in ["`[access_log]`", "X-Request-Id", "every 100th"] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    assert_eq!(why(&hubgate, &["a b"]).0, 2);
}

#[test]
fn single_requests_are_not_told_of_over_tcp() {
    let upstream = Upstream::saying("hello");
    let admin = free_addr();
    let toml = one_site(upstream.addr, "") + &format!("[admin]\nlisten = \"{admin}\"\n");
    let hubgate = Hubgate::start(&toml);
    let answer = crate::support::Client::plain(admin).get("localhost", "/why?id=abcdef");
    assert_eq!(answer.status, 403, "{}", answer.text());
    drop(hubgate);
}
