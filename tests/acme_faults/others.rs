//! Several authorities, practice, bound accounts, hosts with only port 443: faults that have no number.

use std::time::Duration;

use hubgate::acme::State;
use hubgate::config::ExternalAccount;
use hubgate::tls::Origin;

use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::gate::{Gate, toml};
use crate::support::orders::{Edge, HOST, authority};
use crate::support::pebble::{Options, Pebble};
use crate::support::{PATIENCE, events, eventually, ports, within};

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
    let running = edge.run_with(settings, &[HOST]);
    within(PATIENCE, "it is issued", || {
        running.served(HOST).origin == Origin::Acme
    });
    drop(running);
    assert_eq!(events::count(&[KEY]), 0, "a secret in the log");
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
    let running = edge.run_with(settings, &[HOST]);
    within(PATIENCE, "the second issues", || {
        running.served(HOST).origin == Origin::Acme
    });
    assert_eq!((first.issued(), second.issued()), (0, 1));
    assert!(proxy.seen("/order-plz") >= 2);
    eventually("the row says who", || {
        running.status(HOST).authority.as_deref() == Some("second")
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
    let running = edge.run_with(settings, &[HOST]);
    within(PATIENCE, "it has failed twice for good", || {
        production.orders() == 2
    });
    within(PATIENCE, "it practises", || staging.orders() >= 1);
    assert_eq!(production.orders(), 2);
    production.resolve(HOST, "127.0.0.1");
    staging.resolve(HOST, "127.0.0.1");
    within(PATIENCE, "it is issued", || {
        running.served(HOST).origin == Origin::Acme
    });
    assert_eq!((staging.issued(), production.issued()), (1, 1));
    assert_eq!(production.orders(), 3);
}

#[test]
fn a_host_with_only_port_443_open_shows_its_challenge_there() {
    let gate = Gate::with("", ports::free_addr());
    let options = Options {
        tls_port: gate.https.port(),
        ..Options::default()
    };
    let pebble = Pebble::start_with(gate.http.port(), options);
    let alpn = "challenge = \"tls-alpn-01\"\n[listen]\nhttp = []";
    gate.configure(&toml(&pebble, &pebble.directory_url, alpn, &[HOST]));
    let _running = gate.run();
    gate.wait_served();
    assert_eq!(pebble.issued(), 1);
}
