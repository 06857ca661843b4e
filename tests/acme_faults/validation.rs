//! Challenges that fail, names and profiles that are refused: faults 4, 5 and 20.

use std::time::Duration;

use hubgate::acme::schedule::Class;
use hubgate::tls::Origin;
use time::OffsetDateTime;

use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::gate::{Clock, Scene, toml};
use crate::support::orders::{Edge, HOST};
use crate::support::pebble::Pebble;
use crate::support::{PATIENCE, eventually, within};

const ELSEWHERE: &str = "elsewhere.example.test";

#[test]
fn fault_04_a_challenge_that_fails_once_is_tried_again_after_a_minute_and_told_in_the_authoritys_words()
 {
    let scene = Scene::new(&[HOST]);
    scene.pebble.resolve(HOST, "127.0.0.2");
    let running = scene.gate.run_by(Clock::Moved);
    let failure = running.wait_failure(HOST, 1);
    assert_eq!(failure.text("class"), "validation");
    let detail = failure.text("detail");
    assert!(
        detail.contains("urn:ietf:params:acme:error:connection"),
        "{detail}"
    );
    let wait = failure.wait();
    assert!((53.0..=66.5).contains(&wait), "{wait} s");
    scene.pebble.resolve(HOST, "127.0.0.1");
    scene
        .gate
        .pass_until(failure.next(), Duration::from_secs(5));
    quiet(&scene);
    scene.gate.pass(Duration::from_secs(5));
    scene.gate.wait_served();
    assert_eq!(scene.pebble.orders(), 2);
    assert_eq!(running.events("acme.order.failed", &[]).len(), 1);
}

/// Nothing is ordered for as long as twenty looks at the clock take.
#[track_caller]
fn quiet(scene: &Scene) {
    let orders = scene.proxy.seen("/order-plz");
    std::thread::sleep(Duration::from_secs(1)); // there is nothing to wait for
    assert_eq!(scene.proxy.seen("/order-plz"), orders, "ordered too soon");
}

#[test]
fn fault_05_a_challenge_that_always_fails_is_tried_at_0_1_10_and_100_minutes_and_then_daily() {
    let scene = Scene::new(&[ELSEWHERE, HOST]);
    scene.pebble.resolve(ELSEWHERE, "127.0.0.2");
    let running = scene.gate.run_by(Clock::Moved);
    scene.gate.wait_served();
    let mut tries: Vec<OffsetDateTime> = Vec::new();
    for (index, minutes) in [1.0, 10.0, 100.0, 1440.0, 1440.0].into_iter().enumerate() {
        let failure = running.wait_failure(ELSEWHERE, index + 1);
        let wait = failure.wait() / 60.0;
        assert!(
            (minutes * 0.88..=minutes * 1.12).contains(&wait),
            "{index}: {wait} min"
        );
        tries.push(failure.at());
        scene
            .gate
            .pass_until(failure.next(), Duration::from_secs(5));
        quiet(&scene);
        scene.gate.pass(Duration::from_secs(5));
    }
    at_most_five_an_hour(&tries);
    // The other is in peace.
    assert!(running.events("acme.order.failed", &[HOST]).is_empty());
    assert_eq!(scene.gate.served_for(ELSEWHERE), None);
}

#[test]
fn fault_05_a_crash_loop_fails_no_more_than_five_times_in_any_hour() {
    let scene = Scene::new(&[ELSEWHERE]);
    scene.pebble.resolve(ELSEWHERE, "127.0.0.2");
    let mut tries = Vec::new();
    for _ in 0..16 {
        let _running = scene.gate.run_by(Clock::Moved);
        scene.gate.wait_idle(ELSEWHERE);
        tries.resize(scene.proxy.seen("/order-plz"), scene.gate.now());
        scene.gate.pass(Duration::from_secs(300));
    }
    assert!(tries.len() >= 3, "{tries:?}");
    at_most_five_an_hour(&tries);
}

#[track_caller]
fn at_most_five_an_hour(tries: &[OffsetDateTime]) {
    for (index, first) in tries.iter().enumerate() {
        let hour = tries[index..].iter();
        let hour = hour.filter(|at| **at - *first < Duration::from_secs(3600));
        assert!(hour.count() <= 5, "{tries:?}");
    }
}

#[test]
fn fault_05_a_failing_challenge_leaves_other_hosts_alone_and_a_restart_does_not_hurry_it() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    pebble.resolve(ELSEWHERE, "127.0.0.2");
    let running = edge.run(&pebble, &[ELSEWHERE, HOST]);
    running.wait_for_certificate(HOST);
    within(PATIENCE, "it waits long after the fourth failure", || {
        running.status(ELSEWHERE).failures == 4 && running.status(ELSEWHERE).next_attempt.is_some()
    });
    let orders = pebble.orders();
    assert_eq!(running.served(ELSEWHERE).origin, Origin::Placeholder);
    // A restart may not undercut the authority's five failures an hour.
    drop(running);
    let again = edge.run(&pebble, &[ELSEWHERE]);
    eventually("the task has read its past", || {
        !again.worker.status().is_empty()
    });
    let status = again.status(ELSEWHERE);
    assert_eq!(status.failures, 4);
    let wait = status.next_attempt.unwrap() - OffsetDateTime::now_utc();
    assert!(
        wait > Duration::from_secs(600) && wait < Duration::from_secs(720),
        "{wait}"
    );
    assert_eq!(pebble.orders(), orders);
}

#[test]
fn fault_20_a_refused_name_waits_a_day_and_names_the_reason() {
    let scene = Scene::new(&["blocked.test", HOST]);
    let running = scene.gate.run_by(Clock::Moved);
    let failure = running.wait_failure("blocked.test", 1);
    assert_eq!(failure.text("class"), "input");
    let detail = failure.text("detail");
    assert!(
        detail.contains("rejectedIdentifier") && detail.contains("blocked.test"),
        "{detail}"
    );
    let hours = failure.wait() / 3600.0;
    assert!((21.5..=26.5).contains(&hours), "{hours} h");
    scene.gate.wait_served();
    scene
        .gate
        .pass_until(failure.next(), Duration::from_secs(60));
    quiet(&scene);
    scene.gate.pass(Duration::from_secs(60));
    running.wait_failure("blocked.test", 2);
    assert!(running.events("acme.order.failed", &[HOST]).is_empty());
}

#[test]
fn fault_20_what_is_wrong_with_one_of_several_names_is_logged_with_that_name() {
    let scene = Scene::new(&[HOST]);
    let body = serde_json::json!({
        "type": "urn:ietf:params:acme:error:rejectedIdentifier",
        "status": 400,
        "detail": "some names were refused",
        "subproblems": [{
            "type": "urn:ietf:params:acme:error:rejectedIdentifier",
            "detail": "on the list of high risk",
            "identifier": {"type": "dns", "value": "risky.example.test"},
        }],
    });
    let refused = Fault::Answer {
        head: "400 Bad Request\r\nContent-Type: application/problem+json\r\n".to_owned(),
        body: body.to_string(),
    };
    scene.proxy.rule("/order-plz", 1, refused);
    let running = scene.gate.run();
    let failure = running.wait_failure(HOST, 1);
    for part in ["risky.example.test", "high risk"] {
        assert!(failure.text("detail").contains(part), "{failure:?}");
    }
    assert_eq!(failure.text("class"), "input");
}

#[test]
fn fault_20_a_profile_the_authority_lacks_is_left_out_unless_it_is_required() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    proxy.profiles(&["classic", "shortlived"]);
    let with = |profile: &str, required| {
        let mut settings = edge.settings(&pebble, &proxy.directory_url);
        settings.authorities[0].profile = Some(profile.to_owned());
        settings.authorities[0].profile_required = required;
        settings
    };
    let ordered = |settings, host: &str| {
        edge.run_with(settings, &[host]).wait_for_certificate(host);
        proxy.orders().last().unwrap()["profile"].clone()
    };
    let short = ordered(with("shortlived", true), "a.example.test");
    assert_eq!(short, "shortlived");
    let none = ordered(with("tlsserver", false), "b.example.test");
    assert_eq!(none, serde_json::Value::Null);
    let count = proxy.orders().len();
    let running = edge.run_with(with("tlsserver", true), &["c.example.test"]);
    eventually("it is refused", || {
        let rows = running.worker.status();
        rows.iter().any(|row| row.class == Some(Class::Input))
    });
    let error = running.status("c.example.test").last_error.unwrap();
    for part in ["tlsserver", "classic, shortlived"] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(proxy.orders().len(), count);
}

#[test]
fn fault_20_a_profile_that_is_refused_though_it_was_offered_is_left_out() {
    let scene = Scene::new(&[HOST]);
    scene.proxy.profiles(&["shortlived"]);
    let (pebble, directory) = (&scene.pebble, &scene.proxy.directory_url);
    let profile = "profile = \"shortlived\"";
    scene
        .gate
        .configure(&toml(pebble, directory, profile, &[HOST]));
    let refused = Fault::problem(400, "invalidProfile", "");
    scene.proxy.rule("/order-plz", 1, refused);
    let _running = scene.gate.run();
    scene.gate.wait_served();
    let orders: Vec<_> = scene
        .proxy
        .hits()
        .into_iter()
        .filter(|hit| hit.path == "/order-plz")
        .map(|hit| hit.payload["profile"].clone())
        .collect();
    assert_eq!(
        orders,
        [serde_json::json!("shortlived"), serde_json::Value::Null]
    );
}
