//! What an authority, a network and a clock can do wrong, one test each, against Debian's Pebble behind a proxy that
//! does it. Disks and kills are in `acme_storage`, single lost answers and outages in `acme`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "a broken assumption should stop the test"
)]

mod support;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hubgate::acme::schedule::Class;
use hubgate::acme::{Settings, State, Worker};
use hubgate::config::ExternalAccount;
use hubgate::tls::{Certificates, Origin};
use support::fault_proxy::{Fault, FaultProxy};
use support::orders::{Edge, HOST, authority, hosts};
use support::pebble::{Options, Pebble};
use support::{events, eventually, within};

const LONG_AGO: (&str, &str) = ("2020-01-01T00:00:00Z", "2020-01-01T01:00:00Z");

/// A worker of its own settings.
fn run(edge: &Edge, settings: Settings, names: &[&str]) -> (Worker, Arc<Certificates>) {
    let certificates = Certificates::new();
    let served = Arc::clone(&certificates);
    let worker = Worker::start(settings, hosts(names), served, edge.tokens.clone()).unwrap();
    (worker, certificates)
}

#[test]
fn every_second_nonce_refused_costs_no_second_order() {
    let edge = Edge::new();
    let options = Options {
        bad_nonces: 50,
        ..Options::default()
    };
    let pebble = Pebble::start_with(edge.http_port, options);
    let running = edge.run(&pebble, &[HOST]);
    within(Duration::from_secs(30), "it is issued", || {
        running.served(HOST).origin == Origin::Acme
    });
    assert_eq!(pebble.issued(), 1);
}

#[test]
fn an_order_that_stays_pending_is_polled_patiently_and_resumed() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    proxy.rule("/my-order/", 8, Fault::Status("pending"));
    let running = edge.run_at(&pebble, &proxy.directory_url, &[HOST]);
    eventually("it has been looked at four times", || {
        proxy.seen("/my-order/") >= 4
    });
    drop(running);
    assert!(edge.file(HOST, "order.json").exists());
    let again = edge.run_at(&pebble, &proxy.directory_url, &[HOST]);
    within(Duration::from_secs(30), "it is issued", || {
        again.served(HOST).origin == Origin::Acme
    });
    assert_eq!((pebble.orders(), pebble.issued()), (1, 1));
}

#[test]
fn an_order_that_is_processed_for_long_ends_with_its_certificate() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    proxy.rule("/finalize-order/", 1, Fault::Status("processing"));
    let running = edge.run_at(&pebble, &proxy.directory_url, &[HOST]);
    eventually("it is finalized", || proxy.seen("/finalize-order/") == 1);
    proxy.rule("/my-order/", 3, Fault::Status("processing"));
    running.wait_for_certificate(HOST);
    assert_eq!((pebble.orders(), pebble.issued()), (1, 1));
}

#[test]
fn connections_that_are_cut_and_refused_do_no_harm() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    for path in [
        "/dir",
        "/nonce-plz",
        "/sign-me-up",
        "/order-plz",
        "/authZ/",
        "/chalZ/",
        "/certZ/",
    ] {
        proxy.rule(path, 1, Fault::Reset);
    }
    let running = edge.run_at(&pebble, &proxy.directory_url, &[HOST]);
    within(Duration::from_secs(30), "it is issued", || {
        running.served(HOST).origin == Origin::Acme
    });
    assert_eq!((pebble.orders(), pebble.issued()), (1, 1));
}

#[test]
fn an_authority_that_fails_is_left_alone_by_every_host_at_once() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    proxy.rule("/dir", 1000, Fault::problem(500, "serverInternal", "60"));
    let names: Vec<String> = (0..20).map(|n| format!("h{n}.example.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let running = edge.run_at(&pebble, &proxy.directory_url, &names);
    eventually("it has been asked", || proxy.seen("/dir") >= 1);
    eventually("all have heard", || {
        let now = time::OffsetDateTime::now_utc();
        let waits = |at: time::OffsetDateTime| at - now > Duration::from_secs(50);
        let rows = running.worker.status();
        rows.len() == 20 && rows.iter().all(|row| row.next_attempt.is_some_and(waits))
    });
    let seen = proxy.seen("/dir");
    assert!(seen <= 4, "{seen} requests for 20 hosts");
}

#[test]
fn a_limit_of_the_account_stops_every_host_and_survives_a_restart() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    let detail = "too many new orders (300) from this account in the last 3h0m0s";
    let body = format!(
        r#"{{"type":"urn:ietf:params:acme:error:rateLimited","status":429,"detail":"{detail}"}}"#
    );
    let head = "429 Refused\r\nContent-Type: application/problem+json\r\nRetry-After: 7200\r\n";
    let limited = Fault::Answer {
        head: head.to_owned(),
        body,
    };
    proxy.rule("/order-plz", 1000, limited);
    let names = ["a.example.test", "b.example.test"];
    let running = edge.run_at(&pebble, &proxy.directory_url, &names);
    eventually("one was refused", || proxy.seen("/order-plz") >= 1);
    eventually("both wait", || {
        let now = time::OffsetDateTime::now_utc();
        let rows = running.worker.status();
        rows.len() == 2
            && rows.iter().all(|row| {
                row.next_attempt
                    .is_some_and(|at| at - now > Duration::from_secs(7100))
            })
    });
    let seen = proxy.seen("/order-plz");
    assert!(seen <= 2, "{seen}");
    drop(running);
    let again = edge.run_at(&pebble, &proxy.directory_url, &["c.example.test"]);
    eventually("a new host waits too", || {
        let row = again.worker.status().into_iter().next();
        row.and_then(|row| row.next_attempt)
            .is_some_and(|at| at - time::OffsetDateTime::now_utc() > Duration::from_secs(7000))
    });
    assert_eq!(proxy.seen("/order-plz"), seen);
}

#[test]
fn a_chain_that_is_cut_or_not_ours_is_never_stored_and_asked_for_again() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    let foreign = hubgate::tls::self_signed::generate_pem(&[
        hubgate::types::host::HostPattern::parse(HOST).unwrap(),
    ]);
    proxy.rule("/certZ/", 1, Fault::Cut);
    proxy.rule("/certZ/", 1, Fault::Body(foreign.unwrap().chain));
    let running = edge.run_at(&pebble, &proxy.directory_url, &[HOST]);
    running.wait_for_certificate(HOST);
    assert_eq!(
        events::count(&["acme.order.failed", "step=\"verify\"", HOST]),
        2
    );
    assert_eq!((pebble.orders(), pebble.issued()), (1, 1));
}

#[test]
fn an_account_that_must_be_bound_is_bound_by_the_key_in_its_file() {
    let edge = Edge::new();
    const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let options = Options {
        external_account: Some(("kid-1", KEY)),
        ..Options::default()
    };
    let pebble = Pebble::start_with(edge.http_port, options);
    let without = edge.run(&pebble, &[HOST]);
    eventually("it is told what is missing", || {
        without
            .worker
            .status()
            .iter()
            .any(|row| row.state == State::Paused)
    });
    assert!(
        without
            .status(HOST)
            .last_error
            .unwrap()
            .contains("eab_key_id")
    );
    drop(without);
    std::fs::remove_dir_all(edge.state.path().join("acme")).unwrap();
    let file = edge.state.path().join("eab.key");
    std::fs::write(&file, KEY).unwrap();
    let mut settings = edge.settings(&pebble, &pebble.directory_url);
    settings.authorities[0].external_account = Some(ExternalAccount {
        key_id: "kid-1".to_owned(),
        hmac_file: file,
    });
    let (worker, certificates) = run(&edge, settings, &[HOST]);
    eventually("it is issued", || {
        certificates.list()[0].origin == Origin::Acme
    });
    drop(worker);
    assert_eq!(events::count(&[KEY]), 0, "a secret in the log");
}

#[test]
fn a_profile_the_authority_lacks_is_left_out_unless_it_is_required() {
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
        let (worker, certificates) = run(&edge, settings, &[host]);
        eventually("it is issued", || {
            certificates.list()[0].origin == Origin::Acme
        });
        drop(worker);
        proxy.orders().last().unwrap()["profile"].clone()
    };
    assert_eq!(
        ordered(with("shortlived", true), "a.example.test"),
        "shortlived"
    );
    assert_eq!(
        ordered(with("tlsserver", false), "b.example.test"),
        serde_json::Value::Null
    );
    let count = proxy.orders().len();
    let (worker, _) = run(&edge, with("tlsserver", true), &["c.example.test"]);
    eventually("it is refused", || {
        worker
            .status()
            .iter()
            .any(|row| row.class == Some(Class::Input))
    });
    let error = worker.status()[0].last_error.clone().unwrap();
    assert!(
        error.contains("tlsserver") && error.contains("classic, shortlived"),
        "{error}"
    );
    assert_eq!(proxy.orders().len(), count);
}

#[test]
fn the_authoritys_window_is_kept_and_its_certificate_replaced_once() {
    let mut edge = Edge::new();
    edge.delays.poll = [Duration::from_millis(300), Duration::from_millis(300)];
    edge.delays.nap = Duration::from_millis(50);
    let pebble = Pebble::start(edge.http_port);
    let proxy = FaultProxy::before(&pebble);
    let now = time::OffsetDateTime::now_utc();
    let text = |at: time::OffsetDateTime| {
        at.format(&time::format_description::well_known::Rfc3339)
            .unwrap()
    };
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
    eventually("it is asked again", || proxy.seen("/renewal/") > asked + 1);
    assert_eq!(planned(), at, "one moment for one window");
    proxy.renewal_window(LONG_AGO.0, LONG_AGO.1, "21600");
    eventually("it is renewed at once", || {
        running.served(HOST).leaf.serial != first.leaf.serial
    });
    let orders = proxy.orders();
    assert!(orders[0].get("replaces").is_none());
    assert!(orders[1]["replaces"].as_str().unwrap().contains('.'));
    let line = ["acme.ari.changed", HOST, "https://ca.test/why"];
    assert!(events::count(&line) >= 2);
}

#[test]
fn a_replacement_whose_order_was_lost_is_ordered_without_saying_so_again() {
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
    eventually("it is renewed", || {
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
fn rename_directory(acme: &std::path::Path, from: &str, to: &str) {
    let name = |url: &str| url.trim_start_matches("https://").replace([':', '/'], "-");
    let accounts = acme.join("accounts");
    std::fs::remove_file(acme.join("certs").join(HOST).join("renewal.json")).unwrap();
    std::fs::rename(accounts.join(name(from)), accounts.join(name(to))).unwrap();
    for file in [
        accounts.join(name(to)).join("account.json"),
        acme.join("certs").join(HOST).join("current/meta.json"),
    ] {
        let text = std::fs::read_to_string(&file).unwrap();
        // The account's own URL, too: everything at the one address is now at the other.
        let text = text.replace(from.trim_end_matches("dir"), to.trim_end_matches("dir"));
        std::fs::write(&file, text).unwrap();
    }
}

#[test]
fn renewal_information_that_makes_no_sense_leaves_the_dates_to_decide() {
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
        eventually("it is asked again", || proxy.seen("/renewal/") > seen + 1);
        let row = running.status(HOST);
        assert_eq!(row.why, Some("life"), "{head}{body}");
        assert!(row.renewal_silent_since.is_some());
    }
    assert_eq!(running.served(HOST), served);
    assert_eq!(pebble.orders(), 1);
}

#[test]
fn many_hosts_at_once_are_ordered_at_most_four_at_a_time_and_one_a_second() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let names: Vec<String> = (0..200).map(|n| format!("h{n}.example.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let start = Instant::now();
    let running = edge.run(&pebble, &names);
    eventually("some are issued", || pebble.issued() >= 4);
    let (orders, seconds) = (pebble.orders() as f64, start.elapsed().as_secs_f64());
    assert!(orders <= seconds + 2.0, "{orders} orders in {seconds} s");
    drop(running);
}

#[test]
fn a_second_authority_is_asked_when_the_first_refuses_and_nothing_is_there() {
    let edge = Edge::new();
    let (first, second) = (Pebble::start(edge.http_port), Pebble::start(edge.http_port));
    let proxy = FaultProxy::before(&first);
    proxy.rule(
        "/order-plz",
        1000,
        Fault::problem(500, "serverInternal", ""),
    );
    let mut settings = edge.settings(&first, &proxy.directory_url);
    let mut other = authority(&second, &second.directory_url);
    other.name = "second".to_owned();
    settings.authorities.push(other);
    let (worker, certificates) = run(&edge, settings, &[HOST]);
    eventually("the second issues", || {
        certificates.list()[0].origin == Origin::Acme
    });
    assert_eq!((first.issued(), second.issued()), (0, 1));
    assert!(proxy.seen("/order-plz") >= 2);
    eventually("the row says who", || {
        worker.status()[0].authority.as_deref() == Some("second")
    });
}

#[test]
fn a_host_that_failed_twice_and_never_had_a_certificate_practises_first() {
    let edge = Edge::new();
    let production = Pebble::start(edge.http_port);
    let staging = Pebble::start(edge.http_port);
    production.resolve(HOST, "127.0.0.2");
    staging.resolve(HOST, "127.0.0.2");
    let mut settings = edge.settings(&production, &production.directory_url);
    settings.authorities[0].staging = Some(staging.directory_url.clone());
    // Both of the test's roots, for both.
    let both = edge.state.path().join("both.pem");
    let roots = [&production, &staging].map(|one| std::fs::read_to_string(&one.ca_file).unwrap());
    std::fs::write(&both, roots.concat()).unwrap();
    settings.authorities[0].ca_file = Some(both);
    settings.delays.validation = [Duration::from_millis(300); 4];
    let (_worker, certificates) = run(&edge, settings, &[HOST]);
    eventually("it has failed twice for good", || production.orders() == 2);
    eventually("it practises", || staging.orders() >= 1);
    assert_eq!(production.orders(), 2);
    production.resolve(HOST, "127.0.0.1");
    staging.resolve(HOST, "127.0.0.1");
    eventually("it is issued", || {
        certificates.list()[0].origin == Origin::Acme
    });
    assert_eq!((staging.issued(), production.issued()), (1, 1));
    assert_eq!(production.orders(), 3);
}

#[test]
fn a_clock_that_is_months_ahead_renews_nothing_and_says_so() {
    let edge = Edge::new();
    let options = Options {
        validity: 100 * 86_400,
        ..Options::default()
    };
    let pebble = Pebble::start_with(edge.http_port, options);
    edge.run(&pebble, &[HOST]).wait_for_certificate(HOST);
    let (orders, out) = (pebble.orders(), edge.state.path().join("log"));
    let config = edge.state.path().join("hubgate.toml");
    let port = support::ports::free_addr().port();
    let state = edge.state.path().display();
    let text = format!(
        "[server]\nstate_dir = \"{state}\"\n[listen]\nhttp = []\nhttps = [\"127.0.0.1:{port}\"]\n[admin]\nsocket = \"{state}/admin.sock\"\n[acme]\nname = \"pebble\"\ndirectory = \"{}\"\ncontact = [\"ops@example.test\"]\nca_file = \"{}\"\n[site.\"{HOST}\"]\ncertificate = \"acme\"\n",
        pebble.directory_url,
        pebble.ca_file.display(),
    );
    std::fs::write(&config, text).unwrap();
    let faketime = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    ];
    let faketime = faketime
        .iter()
        .find(|path| std::path::Path::new(path).exists());
    let faketime = faketime.expect("install Debian's package `libfaketime`");
    let mut child = Command::new(env!("CARGO_BIN_EXE_hubgate"))
        .args(["run", "-c"])
        .arg(&config)
        .env("LD_PRELOAD", faketime)
        .env("FAKETIME", "+80d")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .stdin(Stdio::null())
        .stderr(std::fs::File::create(&out).unwrap())
        .spawn()
        .unwrap();
    let log = || std::fs::read_to_string(&out).unwrap_or_default();
    let told = std::panic::catch_unwind(|| {
        within(Duration::from_secs(20), "it says so", || {
            log().lines().any(|line| {
                line.contains("acme.order.failed") && line.contains("check this machine's clock")
            })
        });
    });
    let _ = child.kill();
    let _ = child.wait();
    assert!(told.is_ok(), "{}", log());
    assert_eq!(pebble.orders(), orders);
}

#[test]
fn a_host_with_only_port_443_open_shows_its_challenge_there() {
    let port = support::ports::free_addr();
    let edge = Edge::new();
    let options = Options {
        tls_port: port.port(),
        ..Options::default()
    };
    let pebble = Pebble::start_with(support::ports::free_addr().port(), options);
    let state = edge.state.path().display();
    let toml = format!(
        "[server]\nstate_dir = \"{state}\"\n[listen]\nhttp = []\nhttps = [\"{port}\"]\n[admin]\nsocket = \"{state}/admin.sock\"\n[acme]\ndirectory = \"{}\"\nca_file = \"{}\"\nchallenge = \"tls-alpn-01\"\n[site.\"{HOST}\"]\ncertificate = \"acme\"\n",
        pebble.directory_url,
        pebble.ca_file.display(),
    );
    let config = edge.state.path().join("hubgate.toml");
    std::fs::write(&config, toml).unwrap();
    let out = edge.state.path().join("log");
    let mut child = Command::new(env!("CARGO_BIN_EXE_hubgate"))
        .args(["run", "-c"])
        .arg(&config)
        .stdin(Stdio::null())
        .stderr(std::fs::File::create(&out).unwrap())
        .spawn()
        .unwrap();
    let log = || std::fs::read_to_string(&out).unwrap_or_default();
    let told = std::panic::catch_unwind(|| {
        within(Duration::from_secs(20), "it is issued", || {
            log().contains("acme.issued")
        });
    });
    let _ = child.kill();
    let _ = child.wait();
    assert!(told.is_ok(), "{}", log());
    assert_eq!(pebble.issued(), 1);
}
