//! What a group chooses, under a clock of the tests.
//!
//! The cases of single parts are beside those parts.
#![allow(clippy::disallowed_methods, reason = "tests need a time to start from")]

use std::time::{Duration, Instant};

use super::*;
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::endpoint::Outcome;

fn address(port: u16) -> EndpointAddress {
    std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()
}

fn plain(count: u16) -> config::Upstream {
    let name = UpstreamName::parse("u").unwrap();
    config::Upstream::plain(name, (1..=count).map(address))
}

fn group(count: u16) -> (Group, Instant) {
    let now = Instant::now();
    (Group::new(plain(count), None, now), now)
}

fn chosen(group: &Group, tried: &[EndpointAddress], now: Instant) -> Option<u16> {
    let chosen = group.choose(&Keys::default(), tried, now)?;
    Some(chosen.address.port())
}

fn ports(group: &Group, count: usize, now: Instant) -> Vec<u16> {
    (0..count)
        .map(|_| chosen(group, &[], now).unwrap())
        .collect()
}

fn report(group: &Group, port: u16, outcome: Outcome, now: Instant) {
    let endpoints = group.endpoints();
    let of = |endpoint: &&Arc<Endpoint>| endpoint.address.port() == port;
    endpoints.iter().find(of).unwrap().report(outcome, now);
}

const REST: Duration = Duration::from_secs(10);

#[test]
fn endpoints_take_turns() {
    let (group, now) = group(3);
    assert_eq!(ports(&group, 6, now), [1, 2, 3, 1, 2, 3]);
}

#[test]
fn an_endpoint_that_failed_is_left_out_until_it_has_rested() {
    let (group, now) = group(2);
    report(&group, 1, Outcome::ConnectFailed, now);
    assert_eq!(ports(&group, 4, now), [2; 4]);
    assert!(ports(&group, 11, now + REST).contains(&1));
}

#[test]
fn when_all_rest_all_are_tried_once_and_that_is_counted() {
    let (group, now) = group(2);
    for port in [1, 2] {
        report(&group, port, Outcome::ConnectFailed, now);
    }
    assert!(group.is_open_by_failure(now));
    let first = chosen(&group, &[], now).unwrap();
    let second = chosen(&group, &[address(first)], now).unwrap();
    assert_ne!(first, second);
    assert_eq!(group.counts().fail_open.get(), 2);
    assert_eq!(chosen(&group, &[address(1), address(2)], now), None);
}

#[test]
fn a_reload_keeps_what_is_known_about_an_endpoint() {
    let (old, now) = group(2);
    report(&old, 2, Outcome::ConnectFailed, now);
    let new = Group::new(old.config.clone(), Some(&old), now);
    assert_eq!(ports(&new, 3, now), [1; 3]);
}

#[test]
fn a_connect_that_succeeds_ends_a_rest() {
    let (group, now) = group(2);
    report(&group, 1, Outcome::ConnectFailed, now);
    report(&group, 1, Outcome::Connected, now);
    assert!(ports(&group, 2, now).contains(&1));
}

#[test]
fn a_choice_is_in_flight_until_it_is_dropped_also_by_a_panic() {
    let (group, now) = group(1);
    let one = group.choose(&Keys::default(), &[], now).unwrap();
    let endpoint = group.endpoints()[0].clone();
    assert_eq!(endpoint.in_flight(), 1);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _two = group.choose(&Keys::default(), &[], now).unwrap();
        assert_eq!(endpoint.in_flight(), 2);
        panic!("a defect");
    }));
    assert!(ended.is_err());
    assert_eq!(endpoint.in_flight(), 1);
    drop(one);
    assert_eq!(endpoint.in_flight(), 0);
}

#[test]
fn endpoints_that_are_replaced_keep_what_is_known_by_address() {
    let (group, now) = group(2);
    report(&group, 2, Outcome::ConnectFailed, now);
    let held = group.choose(&Keys::default(), &[], now).unwrap();
    group.replace(
        &[address(2).into(), address(1).into(), address(3).into()],
        now,
    );
    assert_eq!(ports(&group, 2, now), [1, 3]);
    assert_eq!(group.endpoints()[1].in_flight(), 1);
    drop(held);
    assert_eq!(group.endpoints()[1].in_flight(), 0);
}

#[test]
fn a_draining_endpoint_and_a_disabled_one_get_nothing_even_when_all_others_are_down() {
    use crate::upstream::endpoint::Override;
    let (group, now) = group(3);
    group.endpoints()[0].set_override(Override::Draining);
    group.endpoints()[1].set_override(Override::Disabled);
    report(&group, 3, Outcome::ConnectFailed, now);
    assert_eq!(ports(&group, 3, now), [3; 3]);
    assert_eq!(chosen(&group, &[address(3)], now), None);
}

#[test]
fn another_process_knows_what_this_one_knew() {
    use crate::upstream::endpoint::Override;
    let (old, now) = group(3);
    report(&old, 1, Outcome::ConnectFailed, now);
    old.endpoints()[1].set_override(Override::Disabled);
    let later = now + REST / 2;
    let text = serde_json::to_string(&old.records(later)).unwrap();

    let (new, now) = group(3);
    new.restore(&serde_json::from_str::<Vec<_>>(&text).unwrap(), now);
    assert_eq!(ports(&new, 3, now), [3; 3]);
    assert!(ports(&new, 22, now + REST / 2).contains(&1));
    assert_eq!(new.records(now), old.records(later));
}
