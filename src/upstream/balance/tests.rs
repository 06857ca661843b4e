//! How requests spread: by weight, by load, by key, while an endpoint starts slowly and while others are out.
//!
//! Through `Group`, under a clock of the tests. Figures are printed, for `--nocapture`.
#![allow(clippy::disallowed_methods, reason = "tests need a time to start from")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::Keys;
use super::consistent_hash::mixed;
use crate::config::{self, Balance, HashOn, Outlier};
use crate::types::endpoint_address::EndpointAddress;
use crate::types::name::UpstreamName;
use crate::upstream::endpoint::Outcome;
use crate::upstream::group::{Chosen, Group};

const SECOND: Duration = Duration::from_secs(1);

fn address(port: u16) -> EndpointAddress {
    std::net::SocketAddr::from(([192, 0, 2, 1], port)).into()
}

fn upstream(count: u16, balance: Balance) -> config::Upstream {
    let name = UpstreamName::parse("u").unwrap();
    config::Upstream {
        balance,
        ..config::Upstream::plain(name, (1..=count).map(address))
    }
}

fn weighted(weights: &[u8]) -> config::Upstream {
    let mut upstream = upstream(weights.len() as u16, Balance::RoundRobin);
    for (endpoint, weight) in upstream.endpoints.iter_mut().zip(weights) {
        endpoint.weight = *weight;
    }
    upstream
}

fn of(group: &Group, now: Instant) -> Chosen {
    group.choose(&Keys::default(), &[], now).unwrap()
}

/// How often each port comes in `count` choices, one after the other.
fn counted(group: &Group, count: usize, now: Instant) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..count {
        *counts.entry(of(group, now).address.port()).or_default() += 1;
    }
    counts
}

fn report(group: &Group, port: u16, outcome: Outcome, now: Instant) {
    for endpoint in group.endpoints() {
        if endpoint.address.port() == port {
            endpoint.report(outcome, now);
        }
    }
}

/// The ports of so many choices, one after the other.
fn ports(group: &Group, count: usize, now: Instant) -> Vec<u16> {
    (0..count).map(|_| of(group, now).address.port()).collect()
}

#[test]
fn weights_tell_in_nginxs_order_and_a_heavy_endpoint_is_not_asked_in_one_run() {
    let now = Instant::now();
    let group = Group::new(weighted(&[5, 1, 1]), None, now);
    assert_eq!(
        ports(&group, 14, now),
        [1, 1, 2, 1, 3, 1, 1, 1, 1, 2, 1, 3, 1, 1]
    );
    let group = Group::new(weighted(&[2, 3]), None, now);
    assert_eq!(ports(&group, 5, now), [2, 1, 2, 1, 2]);
}

#[test]
fn idle_endpoints_take_turns_by_weight_where_the_fewest_requests_count() {
    let now = Instant::now();
    let mut config = weighted(&[2, 1]);
    config.balance = Balance::LeastRequests;
    let group = Group::new(config, None, now);
    assert_eq!(ports(&group, 6, now), [1, 2, 1, 1, 2, 1]);
}

#[test]
fn the_round_goes_on_with_who_comes_next_when_an_endpoint_leaves() {
    let now = Instant::now();
    let group = Group::new(weighted(&[2, 1, 1]), None, now);
    assert_eq!(of(&group, now).address, address(1));
    report(&group, 1, Outcome::ConnectFailed, now);
    assert_eq!(ports(&group, 4, now), [2, 3, 2, 3]);
}

#[test]
fn the_heaviest_backup_is_asked_first_and_their_round_goes_on_from_there() {
    let now = Instant::now();
    let mut config = weighted(&[1, 1, 2]);
    config.endpoints[1].backup = true;
    config.endpoints[2].backup = true;
    let group = Group::new(config, None, now);
    assert_eq!(of(&group, now).address, address(1));
    let second = group.choose(&Keys::default(), &[address(1)], now);
    assert_eq!(second.unwrap().address, address(3));
    report(&group, 1, Outcome::ConnectFailed, now);
    assert_eq!(ports(&group, 5, now), [2, 3, 3, 2, 3]);
}

#[test]
fn backups_get_requests_only_while_no_other_can() {
    let now = Instant::now();
    let mut config = upstream(3, Balance::RoundRobin);
    config.endpoints[2].backup = true;
    let group = Group::new(config, None, now);
    assert_eq!(counted(&group, 4, now), BTreeMap::from([(1, 2), (2, 2)]));
    let last = group.choose(&Keys::default(), &[address(1), address(2)], now);
    assert_eq!(last.unwrap().address, address(3));
    for port in [1, 2] {
        report(&group, port, Outcome::ConnectFailed, now);
    }
    assert_eq!(counted(&group, 4, now), BTreeMap::from([(3, 4)]));
    assert!(!group.is_open_by_failure(now));
    report(&group, 3, Outcome::ConnectFailed, now);
    assert_eq!(counted(&group, 4, now), BTreeMap::from([(1, 2), (2, 2)]));
    assert!(group.is_open_by_failure(now));
}

#[test]
fn least_requests_go_to_who_has_the_fewest_for_its_weight() {
    let now = Instant::now();
    let mut config = upstream(3, Balance::LeastRequests);
    config.endpoints[0].weight = 2;
    let group = Group::new(config, None, now);
    let held: Vec<_> = (0..8).map(|_| of(&group, now)).collect();
    let loads: Vec<_> = group
        .endpoints()
        .iter()
        .map(|endpoint| endpoint.in_flight())
        .collect();
    assert_eq!(loads, [4, 2, 2]);
    drop(held);
    assert!(
        group
            .endpoints()
            .iter()
            .all(|endpoint| endpoint.in_flight() == 0)
    );
}

/// 2,000 requests/s for 20 s; an answer takes 10 ms, from endpoint 1 of `endpoints` 1 s. Gives the times to the
/// answers, sorted.
fn answers(balance: Balance, endpoints: u16) -> Vec<Duration> {
    let start = Instant::now();
    let group = Group::new(upstream(endpoints, balance), None, start);
    let mut open: BinaryHeap<Reverse<(Duration, u64)>> = BinaryHeap::new();
    let mut held = BTreeMap::new();
    let mut times = Vec::new();
    for number in 0..40_000_u64 {
        let at = Duration::from_micros(500) * number as u32;
        while let Some(Reverse((end, which))) = open.peek().copied().filter(|next| next.0.0 <= at) {
            open.pop();
            held.remove(&which);
            debug_assert!(end <= at);
        }
        let chosen = of(&group, start + at);
        let slow = chosen.address.port() == 1;
        let takes = match slow {
            true => SECOND,
            false => Duration::from_millis(10),
        };
        times.push(takes);
        open.push(Reverse((at + takes, number)));
        held.insert(number, chosen);
    }
    times.sort();
    times
}

#[test]
fn least_requests_beat_the_p99_of_round_robin_with_one_slow_endpoint() {
    for endpoints in [3, 20] {
        let p99 = |balance| {
            let times = answers(balance, endpoints);
            times[times.len() * 99 / 100]
        };
        let (turns, least) = (p99(Balance::RoundRobin), p99(Balance::LeastRequests));
        println!(
            "p99 with one slow of {endpoints}: round-robin {turns:?}, least-requests {least:?}"
        );
        assert!(least * 4 < turns, "{least:?} is not far below {turns:?}");
    }
}

fn by(on: HashOn) -> Balance {
    let bounded = true;
    Balance::Hash(crate::config::Hashing { on, bounded })
}

fn by_header() -> Balance {
    by(HashOn::Header(http::HeaderName::from_static("x-key")))
}

/// Who gets each of `count` keys.
fn owners(group: &Group, count: u32, now: Instant) -> Vec<u16> {
    let owner = |key: u32| {
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-key",
            HeaderValue::from_str(&format!("key-{key}")).unwrap(),
        );
        let keys = Keys {
            headers: Some(&headers),
            ..Keys::default()
        };
        group.choose(&keys, &[], now).unwrap().address.port()
    };
    (0..count).map(owner).collect()
}

#[test]
fn when_one_of_n_endpoints_leaves_at_most_1_2_of_an_nth_of_the_keys_move() {
    const KEYS: u32 = 20_000;
    let now = Instant::now();
    for n in [2_u16, 3, 5, 10, 40] {
        let mut worst = 0.0_f64;
        for leaving in (1..=n).step_by(usize::from(n).div_ceil(10)) {
            let group = Group::new(upstream(n, by_header()), None, now);
            let before = owners(&group, KEYS, now);
            report(&group, leaving, Outcome::ConnectFailed, now);
            let while_down = owners(&group, KEYS, now);
            let stay: Vec<_> = (1..=n)
                .filter(|port| *port != leaving)
                .map(|port| address(port).into())
                .collect();
            group.replace(&stay, now);
            let gone = owners(&group, KEYS, now);
            assert_eq!(
                while_down, gone,
                "down and gone are the same to others' keys"
            );
            let moved = before.iter().zip(&gone).filter(|(one, other)| one != other);
            assert!(
                moved.clone().all(|(one, _)| *one == leaving),
                "only its own keys move"
            );
            worst = worst.max(moved.count() as f64 * f64::from(n) / f64::from(KEYS));
        }
        println!("one of {n} leaves: at most {worst:.3}/n of the keys move");
        assert!(worst <= 1.2, "{worst}/n moved at n = {n}");
    }
}

#[test]
fn a_key_that_all_ask_for_does_not_overload_its_endpoint() {
    let now = Instant::now();
    let group = Group::new(upstream(4, by(HashOn::Client)), None, now);
    let keys = Keys {
        client: "198.51.100.7",
        ..Keys::default()
    };
    let held: Vec<_> = (0..100)
        .map(|_| group.choose(&keys, &[], now).unwrap())
        .collect();
    let loads: Vec<_> = group
        .endpoints()
        .iter()
        .map(|endpoint| endpoint.in_flight())
        .collect();
    // A quarter more than the fair 25.
    assert!(loads.iter().all(|load| *load <= 32), "{loads:?}");
    drop(held);
    let alone = group.choose(&keys, &[], now).unwrap().address;
    assert_eq!(group.choose(&keys, &[], now).unwrap().address, alone);
}

#[test]
fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
    let now = Instant::now();
    let group = Group::new(upstream(50, by(HashOn::Client)), None, now);
    let owner = |client: &str| {
        let keys = Keys {
            client,
            ..Keys::default()
        };
        group.choose(&keys, &[], now).unwrap().address
    };
    assert_eq!(owner("2001:db8::1"), owner("2001:db8::ffff:2"));
    let networks: std::collections::BTreeSet<_> = (0..50)
        .map(|n| owner(&format!("2001:db8:{n:x}::1")))
        .collect();
    assert!(networks.len() > 10);
}

#[test]
fn the_key_of_a_cookie_is_found_among_others_and_requests_without_take_turns() {
    let now = Instant::now();
    let group = Group::new(upstream(8, by(HashOn::Cookie("user".into()))), None, now);
    let owner = |cookie: &'static str| {
        let mut headers = HeaderMap::new();
        headers.append("cookie", HeaderValue::from_static("a=1; superuser=2"));
        headers.append("cookie", HeaderValue::from_static(cookie));
        let keys = Keys {
            headers: Some(&headers),
            ..Keys::default()
        };
        group.choose(&keys, &[], now).unwrap().address.port()
    };
    assert_eq!(owner("user=ada"), owner("x=y;  user=ada"));
    let without: Vec<_> = (0..8).map(|_| owner("user=")).collect();
    assert_eq!(
        without
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        8
    );
}

#[test]
fn an_endpoint_that_comes_back_starts_with_a_tenth_and_gains_a_tenth_at_a_time() {
    let now = Instant::now();
    let config = config::Upstream {
        slow_start: 30 * SECOND,
        ..upstream(2, Balance::RoundRobin)
    };
    let group = Group::new(config, None, now);
    assert_eq!(
        counted(&group, 200, now)[&2],
        100,
        "all start together: no ramp"
    );
    report(&group, 2, Outcome::ConnectFailed, now);
    let back = now + 10 * SECOND;
    let mut shares = Vec::new();
    for step in 0..=10_u32 {
        let counts = counted(&group, 110 * 20, back + step * 3 * SECOND);
        let share = counts[&2] as f64 / counts[&1] as f64;
        shares.push((share * 100.0).round() as u32);
    }
    println!("slow start of 30s, share of the other's requests every 3 s in percent: {shares:?}");
    for (step, share) in (0_u32..).zip(&shares) {
        let documented = 10 * (step + 1).min(10);
        assert!(
            share.abs_diff(documented) <= 2,
            "{share} instead of {documented}"
        );
    }
}

#[test]
fn an_endpoint_that_joins_starts_slowly_too() {
    let now = Instant::now();
    let config = config::Upstream {
        slow_start: 30 * SECOND,
        ..upstream(2, Balance::RoundRobin)
    };
    let old = Group::new(config.clone(), None, now);
    let more = config::Upstream {
        endpoints: (1..=3).map(|port| address(port).into()).collect(),
        ..config
    };
    let group = Group::new(more, Some(&old), now);
    assert_eq!(
        counted(&group, 21, now),
        BTreeMap::from([(1, 10), (2, 10), (3, 1)])
    );
}

fn failing() -> Outcome {
    Outcome::TimedOut
}

#[test]
fn each_ejection_in_a_row_is_longer_up_to_the_longest() {
    let mut now = Instant::now();
    let config = config::Upstream {
        outlier: Outlier {
            longest_ejection: 25 * SECOND,
            ..Outlier::default()
        },
        ..upstream(2, Balance::RoundRobin)
    };
    let group = Group::new(config, None, now);
    for _ in 0..4 {
        report(&group, 1, failing(), now);
        assert!(
            counted(&group, 2, now).contains_key(&1),
            "four are not enough"
        );
    }
    // On trial, one is enough.
    for expected in [10, 20, 25, 25] {
        report(&group, 1, failing(), now);
        let end = now + expected * SECOND;
        assert!(!counted(&group, 4, end - Duration::from_millis(1)).contains_key(&1));
        now = end;
        assert!(counted(&group, 11, now).contains_key(&1));
    }
    assert_eq!(group.counts().ejections.get(), 4);
}

#[test]
fn statuses_and_latencies_count_only_when_configured() {
    let now = Instant::now();
    let answer = |status, millis| Outcome::Answered {
        status,
        latency: Duration::from_millis(millis),
    };
    let ejected = |outlier: Outlier, outcome| {
        let config = config::Upstream {
            outlier,
            ..upstream(2, Balance::RoundRobin)
        };
        let group = Group::new(config, None, now);
        for _ in 0..5 {
            report(&group, 1, outcome, now);
        }
        !counted(&group, 4, now).contains_key(&1)
    };
    let configured = || Outlier {
        statuses: vec![(502, 504)],
        latency: Some(SECOND),
        ..Outlier::default()
    };
    assert!(!ejected(Outlier::default(), answer(503, 5000)));
    assert!(ejected(configured(), answer(503, 0)));
    assert!(!ejected(configured(), answer(500, 0)));
    assert!(ejected(configured(), answer(200, 1001)));
}

proptest! {
    #[test]
    fn over_a_round_each_endpoint_is_asked_as_often_as_its_weight_says(
        weights in prop::collection::vec(1_u8..=255, 1..16)
    ) {
        let now = Instant::now();
        let group = Group::new(weighted(&weights), None, now);
        let whole = weights.iter().map(|weight| usize::from(*weight)).sum();
        let counts = counted(&group, whole, now);
        for (port, weight) in (1..).zip(&weights) {
            prop_assert_eq!(counts[&port], usize::from(*weight));
        }
    }

    #[test]
    fn whatever_happens_tries_reach_every_endpoint_once(
        count in 1_u16..12,
        kind in 0_usize..3,
        events in prop::collection::vec((1_u16..12, 0_u8..4), 0..60)
    ) {
        let mut now = Instant::now();
        let balance = [Balance::RoundRobin, Balance::LeastRequests, by(HashOn::Client)];
        let group = Group::new(upstream(count, balance[kind].clone()), None, now);
        for (port, event) in events {
            match event {
                0 => report(&group, port, Outcome::ConnectFailed, now),
                1 => report(&group, port, failing(), now),
                2 => report(&group, port, Outcome::Connected, now),
                _ => now += SECOND,
            }
        }
        let keys = Keys { client: "192.0.2.9", ..Keys::default() };
        let mut tried = Vec::new();
        while let Some(chosen) = group.choose(&keys, &tried, now) {
            prop_assert!(!tried.contains(&chosen.address));
            tried.push(chosen.address);
        }
        prop_assert_eq!(tried.len(), usize::from(count));
    }

    #[test]
    fn no_more_than_the_configured_share_is_ejected(
        count in 1_u16..20,
        share in 0_u8..=100,
        failures in prop::collection::vec((1_u16..20, 0_u32..3), 0..400)
    ) {
        let mut now = Instant::now();
        let mut config = upstream(count, Balance::RoundRobin);
        config.outlier.max_ejected = share;
        config.outlier.failures = 2;
        let group = Group::new(config, None, now);
        for (port, later) in failures {
            now += later * SECOND;
            report(&group, port, failing(), now);
            let out = group.endpoints().iter().filter(|one| one.trouble(now).is_some()).count();
            let part = usize::from(count) * usize::from(share) / 100;
            let most = if share == 0 { 0 } else { part.max(1).min(usize::from(count) - 1) };
            prop_assert!(out <= most, "{} of {}", out, count);
        }
    }

    #[test]
    fn mixing_keeps_numbers_apart(one: u64, other: u64) {
        prop_assert_eq!(one == other, mixed(one) == mixed(other));
    }
}
