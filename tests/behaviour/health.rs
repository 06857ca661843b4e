//! Health checks against real endpoints: who gets requests, what is shown, what the presets ask.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::hubgate::{HOST, command, one_site, run};
use crate::support::ports::free_addr;
use crate::support::{Client, Hubgate, Upstream, eventually};

/// Two passes bring an endpoint back, two failures take it out; every 50 ms.
const CHECKS: &str =
    "health = { path = \"/health\", interval = \"50ms\", timeout = \"10s\", rise = 2, fall = 2 }\n";

/// Answers `body`, and 503 to `/health` while it is sick.
struct Patient {
    upstream: Upstream,
    sick: Arc<AtomicBool>,
    /// Requests that were not checks.
    served: Arc<AtomicUsize>,
}

impl Patient {
    fn new(body: &'static str) -> Self {
        let (sick, served) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let (seen, count) = (sick.clone(), served.clone());
        let upstream = Upstream::start(move |conn| {
            while let Some(head) = conn.request() {
                let check = head.target().ends_with(b"/health");
                count.fetch_add(usize::from(!check), Ordering::SeqCst);
                let status = match check && seen.load(Ordering::SeqCst) {
                    true => "503 Unavailable",
                    false => "200 OK",
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                if conn.try_send(answer).is_err() {
                    break;
                }
            }
        });
        Self {
            upstream,
            sick,
            served,
        }
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

fn several(endpoints: &[SocketAddr], more: &str) -> String {
    let list: Vec<_> = endpoints.iter().map(|one| format!("\"{one}\"")).collect();
    let site = one_site(endpoints[0], "");
    let (before, _) = site.split_once("endpoints = ").unwrap();
    format!("{before}endpoints = [{}]\n{more}", list.join(", "))
}

/// The only upstream in `hubgate status`.
#[track_caller]
fn status(hubgate: &Hubgate) -> serde_json::Value {
    let (code, output) = run(command(&["status", "--json", "--socket"]).arg(hubgate.socket()));
    assert_eq!(code, 0, "{output}");
    let status: serde_json::Value = serde_json::from_str(&output).unwrap();
    status["upstreams"][0].clone()
}

/// The states of its endpoints.
fn states(hubgate: &Hubgate) -> Vec<String> {
    let upstream = status(hubgate);
    let endpoints = upstream["endpoints"].as_array().unwrap().iter();
    endpoints
        .map(|one| one["state"].as_str().unwrap().to_owned())
        .collect()
}

fn metrics(admin: SocketAddr) -> String {
    Client::plain(admin)
        .get(&admin.to_string(), "/metrics")
        .text()
}

#[test]
fn an_endpoint_whose_checks_fail_gets_nothing_until_they_pass_again_and_no_request_fails() {
    let patients = ["a", "b", "c"].map(Patient::new);
    let addresses = patients.each_ref().map(|one| one.upstream.addr);
    let hubgate = Hubgate::start(&several(&addresses, CHECKS));
    let mut client = hubgate.plain();
    let mut ask = || assert_eq!(client.get(HOST, "/").status, 200);
    (0..6).for_each(|_| ask());
    assert!(patients.iter().all(|one| one.served() == 2));

    let sick = Instant::now();
    patients[1].sick.store(true, Ordering::SeqCst);
    eventually("it gets no request for a while", || {
        let before = patients[1].served();
        (0..6).for_each(|_| ask());
        patients[1].served() == before
    });
    let out = sick.elapsed();
    assert_eq!(states(&hubgate), ["up", "down", "up"]);
    let reason = status(&hubgate)["endpoints"][1]["reason"].clone();
    assert_eq!(reason, "health check: answered 503");
    hubgate.wait_log("upstream.endpoint.down");

    let well = Instant::now();
    patients[1].sick.store(false, Ordering::SeqCst);
    let before = patients[1].served();
    eventually("it gets requests again", || {
        ask();
        patients[1].served() > before
    });
    println!(
        "checks every 50 ms, rise 2, fall 2: no traffic after {out:?}, back after {:?}",
        well.elapsed()
    );
    hubgate.wait_log("upstream.endpoint.up");
    assert_eq!(states(&hubgate), ["up"; 3]);
}

#[test]
fn when_all_checks_fail_all_get_requests_and_that_is_counted_and_shown() {
    let patients = ["a", "b"].map(Patient::new);
    for patient in &patients {
        patient.sick.store(true, Ordering::SeqCst);
    }
    let admin = free_addr();
    let toml = several(&patients.each_ref().map(|one| one.upstream.addr), CHECKS)
        + &format!("[admin]\nlisten = \"{admin}\"\n");
    let hubgate = Hubgate::start(&toml);
    eventually("both are down", || states(&hubgate) == ["down", "down"]);
    let mut client = hubgate.plain();
    for _ in 0..4 {
        assert_eq!(client.get(HOST, "/").status, 200);
    }
    assert!(patients.iter().all(|one| one.served() >= 2));
    assert_eq!(status(&hubgate)["fails_open"], true);
    hubgate.wait_log("upstream.fail_open");
    let page = metrics(admin);
    for line in [
        "hubgate_upstream_fail_open_total{upstream=\"up\"} 4\n".to_owned(),
        format!(
            "hubgate_upstream_endpoint_up{{upstream=\"up\",endpoint=\"{}\"}} 0\n",
            patients[0].upstream.addr
        ),
    ] {
        assert!(page.contains(&line), "{line}{page}");
    }
    let shown = Client::plain(admin).get(&admin.to_string(), "/").text();
    assert!(shown.contains("all are tried"), "{shown}");
    let (_, words) = run(command(&["status", "--socket"]).arg(hubgate.socket()));
    assert!(
        words.contains("all are tried") && words.contains("answered 503"),
        "{words}"
    );
}

#[test]
fn a_hub_is_asked_for_its_health_below_its_base_url_and_by_the_sites_name() {
    for (preset, path, asked) in [
        ("jupyterhub", "/jupyterhub/", "/jupyterhub/hub/health"),
        ("binderhub", "/", "/health"),
    ] {
        let upstream = Upstream::saying("{}");
        let toml = one_site(upstream.addr, &format!("preset = \"{preset}\""))
            .replace("path = \"/\"", &format!("path = \"{path}\""));
        let _hubgate = Hubgate::start(&toml);
        eventually("it is asked", || !upstream.requests().is_empty());
        let head = upstream.requests()[0].head.clone();
        assert_eq!(String::from_utf8_lossy(&head.target()), asked);
        assert_eq!(head.one("host"), HOST);
    }
}

#[test]
fn what_binderhub_says_is_wrong_is_told() {
    let body = r#"{"ok": false, "checks": [{"service": "Docker registry", "ok": false}]}"#;
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let toml = one_site(upstream.addr, "preset = \"binderhub\"")
        + "health = { interval = \"50ms\", timeout = \"10s\" }\n";
    let hubgate = Hubgate::start(&toml);
    hubgate.wait_log("Docker registry is not ok");
    assert_eq!(
        status(&hubgate)["endpoints"][0]["reason"],
        "health check: answered 503: Docker registry is not ok"
    );
    assert_eq!(
        hubgate.plain().get(HOST, "/x").status,
        503,
        "the only endpoint is asked all the same"
    );
}

#[test]
fn what_a_check_found_is_kept_over_a_reload_and_forgotten_without_checks() {
    let patients = ["a", "b"].map(Patient::new);
    patients[0].sick.store(true, Ordering::SeqCst);
    let slow = CHECKS.replace("50ms", "1h").replace("fall = 2", "fall = 1");
    let toml = several(&patients.each_ref().map(|one| one.upstream.addr), &slow);
    let hubgate = Hubgate::start(&toml);
    eventually("one is down", || states(&hubgate) == ["down", "up"]);
    hubgate.reload_to(&(toml.clone() + "slow_start = \"1s\"\n"));
    assert_eq!(states(&hubgate), ["down", "up"]);
    hubgate.reload_to(&toml.replace(&slow, ""));
    assert_eq!(states(&hubgate), ["up", "up"]);
}

#[test]
fn an_endpoint_that_begins_as_down_gets_requests_after_its_first_check() {
    let patients = ["a", "b"].map(Patient::new);
    patients[0].sick.store(true, Ordering::SeqCst);
    let checks = CHECKS.replace(" }", ", initial = \"down\" }");
    let hubgate = Hubgate::start(&several(
        &patients.each_ref().map(|one| one.upstream.addr),
        &checks,
    ));
    // Nobody is up yet: all are tried, and nobody gets a 503.
    assert_eq!(hubgate.plain().get(HOST, "/").status, 200);
    eventually("the well one is up", || states(&hubgate) == ["down", "up"]);
    let before = patients[0].served();
    for _ in 0..4 {
        assert_eq!(hubgate.plain().get(HOST, "/").text(), "b");
    }
    assert_eq!(patients[0].served(), before);
}

#[test]
fn a_tcp_check_sees_a_port_that_nobody_listens_on() {
    let upstream = Upstream::saying("ok");
    let checks = "health = { kind = \"tcp\", interval = \"50ms\", timeout = \"1s\", fall = 1 }\n";
    let hubgate = Hubgate::start(&several(&[free_addr(), upstream.addr], checks));
    eventually("one is down", || states(&hubgate) == ["down", "up"]);
    for _ in 0..4 {
        assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
    }
    let reason = status(&hubgate)["endpoints"][0]["reason"].clone();
    assert!(reason.as_str().unwrap().contains("refused"), "{reason}");
}

#[test]
fn least_requests_beat_the_p99_of_round_robin_with_one_slow_endpoint() {
    let p99 = |balance: &str| {
        let slow = Upstream::start(|conn| {
            while conn.request().is_some() {
                std::thread::sleep(Duration::from_secs(1));
                let _ = conn.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        let quick = [Upstream::saying("ok"), Upstream::saying("ok")];
        let addresses = [slow.addr, quick[0].addr, quick[1].addr];
        let hubgate = Hubgate::start(&several(&addresses, &format!("balance = \"{balance}\"\n")));
        let times = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..6)
                .map(|_| {
                    scope.spawn(|| {
                        let (mut client, begun) = (hubgate.plain(), Instant::now());
                        let mut times = Vec::new();
                        while begun.elapsed() < Duration::from_secs(3) {
                            let at = Instant::now();
                            assert_eq!(client.get(HOST, "/").status, 200);
                            times.push(at.elapsed());
                            std::thread::sleep(Duration::from_millis(1));
                        }
                        times
                    })
                })
                .collect();
            let times = clients.into_iter().flat_map(|one| one.join().unwrap());
            let mut times: Vec<_> = times.collect();
            times.sort();
            times
        });
        let p99 = times[times.len() * 99 / 100];
        let quick = times.partition_point(|time| *time < Duration::from_secs(1));
        // For how many of a thousand the slow one was waited for.
        (p99, times.len(), (times.len() - quick) * 1000 / times.len())
    };
    let (turns, least) = (p99("round-robin"), p99("least-requests"));
    println!(
        "one of three takes 1 s: round-robin p99 {:?} of {} requests, {} of 1,000 slow; least-requests {:?} of {}, {} of 1,000",
        turns.0, turns.1, turns.2, least.0, least.1, least.2
    );
    assert!(turns.0 >= Duration::from_secs(1));
    // On a machine that does fewer requests a second, the one that always waits there is more than a hundredth of them.
    assert!(least.2 * 4 < turns.2);
}
