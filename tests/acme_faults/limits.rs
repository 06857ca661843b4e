//! Limits of the authority, in every form they are told: fault 6.

use std::time::Duration;

use time::OffsetDateTime;
use time::macros::format_description;

use crate::support::fault_proxy::{Fault, http_date};
use crate::support::gate::{Clock, Scene};
use crate::support::orders::HOST;

/// What Boulder says of a set of names.
const SET: &str = "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s";
/// And of an account.
const ACCOUNT: &str = "too many new orders (300) from this account in the last 3h0m0s";
const A: &str = "a.example.test";
const B: &str = "b.example.test";

/// Nothing whatever is asked for as long as twenty looks at the clock take.
#[track_caller]
fn nothing_asked(scene: &Scene) {
    let hits = scene.proxy.hits().len();
    std::thread::sleep(Duration::from_secs(1)); // there is nothing to wait for
    let more: Vec<_> = scene.proxy.hits().split_off(hits);
    assert!(more.is_empty(), "asked too soon: {more:?}");
}

/// Refused once by this; nothing is asked of the authority for at least `least` seconds, restarts or not.
#[track_caller]
fn is_waited_out(limited: impl Fn() -> Fault, least: f64, most: f64) {
    let scene = Scene::new(&[HOST]);
    scene.proxy.rule("/order-plz", 1, limited());
    let running = scene.gate.run_by(Clock::Moved);
    let failure = running.wait_failure(HOST, 1);
    assert_eq!(failure.text("class"), "rate_limited");
    let wait = failure.wait();
    assert!(
        (least..=most).contains(&wait),
        "waits {wait} s, not {least} to {most}"
    );
    let told = failure.at() + Duration::from_secs_f64(least);
    scene.gate.pass_until(told, Duration::from_secs(20));
    nothing_asked(&scene);
    drop(running);
    let again = scene.gate.run_by(Clock::Moved);
    again.wait_ready();
    nothing_asked(&scene);
    scene.gate.pass_until(failure.next(), Duration::ZERO);
    scene.gate.wait_served();
    assert_eq!(scene.proxy.seen("/order-plz"), 2);
}

#[test]
fn fault_06_a_limit_with_retry_after_in_seconds_is_waited_out_restarts_included() {
    let limited = || Fault::problem(429, "rateLimited", "600");
    is_waited_out(limited, 599.0, 661.0);
}

#[test]
fn fault_06_a_limit_with_retry_after_as_a_date_is_waited_out_restarts_included() {
    // It is refused some time later, on a busy machine a minute or two.
    let limited = || {
        let date = OffsetDateTime::now_utc() + Duration::from_secs(900);
        Fault::problem(429, "rateLimited", &http_date(date))
    };
    is_waited_out(limited, 780.0, 991.0);
}

#[test]
fn fault_06_a_limit_whose_end_only_the_words_tell_is_waited_out_restarts_included() {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    let limited = || {
        let at = OffsetDateTime::now_utc() + Duration::from_secs(7200);
        let at = at.format(form).unwrap();
        let words = format!("{SET}, retry after {at}: see https://ca.test");
        Fault::saying(429, "rateLimited", "", &words)
    };
    is_waited_out(limited, 7080.0, 7921.0);
}

#[test]
fn fault_06_a_limit_whose_end_nobody_tells_is_waited_out_for_an_hour_restarts_included() {
    let limited = || Fault::saying(429, "rateLimited", "", SET);
    is_waited_out(limited, 3239.0, 3961.0);
}

#[test]
fn fault_06_a_limit_of_one_set_of_names_stops_only_that_host() {
    let scene = Scene::new(&[A, B]);
    let limited = Fault::saying(429, "rateLimited", "7200", SET);
    // Hosts without a certificate are ordered by name.
    scene.proxy.rule("/order-plz", 1, limited);
    let running = scene.gate.run_by(Clock::Moved);
    let failure = running.wait_failure(A, 1);
    assert!(failure.wait() > 7199.0, "{failure:?}");
    scene.gate.wait_served_for(B);
    assert!(running.events("acme.ca.closed", &[]).is_empty());
    assert!(running.events("acme.order.failed", &[B]).is_empty());
}

/// A limit met at `path`, of all hosts: nothing more is asked of the authority for any of them, restarts or not.
#[track_caller]
fn stops_every_host(path: &'static str, limited: Fault) {
    let scene = Scene::new(&[A, B]);
    scene.proxy.rule(path, 1000, limited);
    let running = scene.gate.run_by(Clock::Moved);
    let closed = running.wait_event("acme.ca.closed", &["rate_limited"], 1);
    assert!((3599.0..=3961.0).contains(&closed.wait()), "{closed:?}");
    // The second host may have been under way.
    scene.gate.wait_idle(A);
    scene.gate.wait_idle(B);
    let asked = scene.proxy.seen(path);
    assert!(asked <= 2, "{asked}");
    scene.gate.pass_until(
        closed.at() + Duration::from_secs(3600),
        Duration::from_secs(20),
    );
    nothing_asked(&scene);
    drop(running);
    scene
        .gate
        .sites(&scene.pebble, &scene.proxy.directory_url, &[A, B, HOST]);
    let again = scene.gate.run_by(Clock::Moved);
    again.wait_ready();
    nothing_asked(&scene);
    scene.proxy.mend();
    scene.gate.pass(Duration::from_secs(600));
    for host in [A, B, HOST] {
        scene.gate.wait_served_for(host);
    }
}

#[test]
fn fault_06_a_limit_of_the_account_stops_every_host_and_survives_a_restart() {
    stops_every_host(
        "/order-plz",
        Fault::saying(429, "rateLimited", "3600", ACCOUNT),
    );
}

#[test]
fn fault_06_a_limit_of_new_accounts_stops_every_host_and_survives_a_restart() {
    let words = "too many new registrations (10) from this IP address in the last 3h0m0s";
    stops_every_host(
        "/sign-me-up",
        Fault::saying(429, "rateLimited", "3600", words),
    );
}
