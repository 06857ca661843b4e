//! What authorities say about renewal (RFC 9773), sense or nonsense: fault 19.

use std::fs;
use std::path::Path;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::gate::{Clock, Scene};
use crate::support::orders::{Edge, HOST};
use crate::support::pebble::Pebble;
use crate::support::{PATIENCE, events, eventually, within};

const LONG_AGO: (&str, &str) = ("2020-01-01T00:00:00Z", "2020-01-01T01:00:00Z");

#[test]
fn fault_19_the_authoritys_window_is_kept_and_its_certificate_replaced_once() {
    let mut edge = Edge::new();
    edge.delays.poll = [Duration::from_millis(300), Duration::from_millis(300)];
    edge.delays.nap = Duration::from_millis(50);
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    let now = OffsetDateTime::now_utc();
    let text = |at: OffsetDateTime| at.format(&Rfc3339).unwrap();
    let (start, end) = (
        now + Duration::from_secs(86_400),
        now + Duration::from_secs(90_000),
    );
    proxy.renewal_window(&text(start), &text(end), "21600");
    let running = edge.run_at(&pebble, &proxy.directory_url, &[HOST]);
    let first = running.wait_for_certificate(HOST);
    let planned = || {
        running
            .status(HOST)
            .renew_at
            .filter(|at| *at >= start && *at <= end)
    };
    eventually("the renewal is within the window", || planned().is_some());
    assert_eq!(running.status(HOST).why, Some("window"));
    let (at, asked) = (planned(), proxy.seen("/renewal/"));
    within(PATIENCE, "it is asked again", || {
        proxy.seen("/renewal/") > asked + 1
    });
    assert_eq!(planned(), at, "one moment for one window");
    proxy.renewal_window(LONG_AGO.0, LONG_AGO.1, "21600");
    within(PATIENCE, "it is renewed at once", || {
        running.served(HOST).leaf.serial != first.leaf.serial
    });
    let orders = proxy.orders();
    assert!(orders[0].get("replaces").is_none());
    assert!(orders[1]["replaces"].as_str().unwrap().contains('.'));
    let line = ["acme.ari.changed", HOST, "https://ca.test/why"];
    assert!(events::count(&line) >= 2);
}

#[test]
fn fault_19_a_replacement_whose_order_was_lost_is_ordered_without_saying_so_again() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    proxy.renewal_window(LONG_AGO.0, LONG_AGO.1, "21600");
    let first = {
        let running = edge.run_at(&pebble, &pebble.directory_url.clone(), &[HOST]);
        running.wait_for_certificate(HOST)
    };
    // The same account and certificate, seen through the proxy from now on.
    let acme = edge.state.path().join("acme");
    rename_directory(&acme, &pebble.directory_url, &proxy.directory_url);
    proxy.rule("/order-plz", 1, Fault::LoseAnswer);
    let running = edge.run_at(&pebble, &proxy.directory_url, &[HOST]);
    within(PATIENCE, "it is renewed", || {
        running.served(HOST).leaf.serial != first.leaf.serial
    });
    let replaces: Vec<bool> = proxy
        .orders()
        .iter()
        .map(|o| o.get("replaces").is_some())
        .collect();
    assert_eq!(
        replaces[..3],
        [true, true, false],
        "lost, refused, accepted"
    );
}

/// Moves what is kept under one directory URL to another, where renewal has not been asked about.
fn rename_directory(acme: &Path, from: &str, to: &str) {
    let name = |url: &str| url.trim_start_matches("https://").replace([':', '/'], "-");
    let accounts = acme.join("accounts");
    fs::remove_file(acme.join("certs").join(HOST).join("renewal.json")).unwrap();
    fs::rename(accounts.join(name(from)), accounts.join(name(to))).unwrap();
    for file in [
        accounts.join(name(to)).join("account.json"),
        acme.join("certs").join(HOST).join("current/meta.json"),
    ] {
        let text = fs::read_to_string(&file).unwrap();
        // The account's own URL, too: everything at the one address is now at the other.
        let text = text.replace(from.trim_end_matches("dir"), to.trim_end_matches("dir"));
        fs::write(&file, text).unwrap();
    }
}

#[test]
fn fault_19_renewal_information_that_makes_no_sense_leaves_the_dates_to_decide() {
    let mut edge = Edge::new();
    edge.delays.poll = [Duration::from_millis(100), Duration::from_millis(100)];
    edge.delays.nap = Duration::from_millis(50);
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    let json = "200 OK\r\nContent-Type: application/json\r\n";
    proxy.renewal_answer(json, "{");
    let running = edge.run_at(&pebble, &proxy.directory_url, &[HOST]);
    let served = running.wait_for_certificate(HOST);
    let missing = "404 Not Found\r\n";
    let year = "200 OK\r\nContent-Type: application/json\r\nRetry-After: 31536000\r\n";
    let late =
        r#"{"suggestedWindow":{"start":"2100-01-01T00:00:00Z","end":"2100-01-02T00:00:00Z"}}"#;
    for (head, body) in [(json, "{"), (missing, ""), (json, "[]"), (year, late)] {
        proxy.renewal_answer(head, body);
        let seen = proxy.seen("/renewal/");
        within(PATIENCE, "it is asked again", || {
            proxy.seen("/renewal/") > seen + 1
        });
        let row = running.status(HOST);
        assert_eq!(row.why, Some("life"), "{head}{body}");
        assert!(row.renewal_silent_since.is_some());
    }
    assert_eq!(running.served(HOST), served);
    assert_eq!(pebble.orders(), 1);
}

/// A certificate, after whose first window the authority answers so; how often it is asked within these times.
fn asked_after(head: &str, passes: [Duration; 2]) -> [usize; 2] {
    let scene = Scene::new(&[HOST]);
    let now = OffsetDateTime::now_utc();
    let text = |days: u64| {
        (now + Duration::from_secs(days * 86_400))
            .format(&Rfc3339)
            .unwrap()
    };
    let window = format!(
        r#"{{"suggestedWindow":{{"start":"{}","end":"{}"}}}}"#,
        text(50),
        text(51)
    );
    scene.proxy.renewal_answer(head, &window);
    let running = scene.gate.run_by(Clock::Moved);
    scene.gate.wait_served();
    running.wait_event("acme.ari.changed", &[HOST], 1);
    let asked = || {
        std::thread::sleep(Duration::from_secs(1)); // there is nothing to wait for
        scene.proxy.seen("/renewal/")
    };
    let first = asked();
    passes.map(|time| {
        scene.gate.pass(time);
        asked() - first
    })
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn fault_19_retry_after_0_does_not_make_hubgate_ask_more_than_once_an_hour() {
    let head = "200 OK\r\nContent-Type: application/json\r\nRetry-After: 0\r\n";
    let asked = asked_after(head, [HOUR - Duration::from_secs(120), HOUR / 10]);
    assert_eq!(asked, [0, 1]);
}

#[test]
fn fault_19_retry_after_a_year_does_not_keep_hubgate_from_asking_daily() {
    let head = "200 OK\r\nContent-Type: application/json\r\nRetry-After: 31536000\r\n";
    assert_eq!(asked_after(head, [HOUR * 23, HOUR * 2]), [0, 1]);
}

#[test]
fn fault_19_without_retry_after_it_is_asked_every_six_hours() {
    let head = "200 OK\r\nContent-Type: application/json\r\n";
    let asked = asked_after(head, [HOUR * 6 - Duration::from_secs(120), HOUR / 3]);
    assert_eq!(asked, [0, 1]);
}

/// The order that replaces is refused once like this; it is placed once more, without saying what it replaces.
fn replaces_is_dropped_after(refused: Fault) {
    let scene = Scene::new(&[HOST]);
    scene.proxy.renewal_window(LONG_AGO.0, LONG_AGO.1, "21600");
    scene.proxy.refuse_replacement(refused);
    let _running = scene.gate.run();
    within(PATIENCE, "it is ordered, then replaced", || {
        scene.pebble.issued() >= 2
    });
    let orders = scene
        .proxy
        .hits()
        .into_iter()
        .filter(|hit| hit.path == "/order-plz");
    let replaces: Vec<bool> = orders
        .map(|hit| hit.payload["replaces"].is_string())
        .collect();
    assert_eq!(replaces[..3], [false, true, false]);
}

#[test]
fn fault_19_a_replacement_refused_with_404_is_ordered_without_saying_so() {
    replaces_is_dropped_after(Fault::problem(404, "malformed", ""));
}

#[test]
fn fault_19_a_replacement_refused_with_400_is_ordered_without_saying_so() {
    replaces_is_dropped_after(Fault::problem(400, "malformed", ""));
}

#[test]
fn fault_19_a_replacement_refused_with_409_is_ordered_without_saying_so() {
    replaces_is_dropped_after(Fault::problem(409, "alreadyReplaced", ""));
}
