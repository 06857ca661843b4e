//! The endpoint for a request, by the number of endpoints, of those that rest, and by the way of choosing.
//!
//! With the count of requests in flight: taken with the choice, given back when it is dropped.

use std::net::SocketAddr;
use std::time::Instant;

use divan::{Bencher, black_box};
use http::{HeaderMap, HeaderValue};
use hubgate::config::{Balance, HashOn, Hashing, Upstream};
use hubgate::types::name::UpstreamName;
use hubgate::upstream::Keys;
use hubgate::upstream::endpoint::Outcome;
use hubgate::upstream::group::Group;

fn hash(on: HashOn) -> Balance {
    let bounded = true;
    Balance::Hash(Hashing { on, bounded })
}

fn group(endpoints: u16, balance: Balance, now: Instant) -> Group {
    let addresses = (1..=endpoints).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let config = Upstream {
        balance,
        ..Upstream::plain(UpstreamName::parse("hub").unwrap(), addresses)
    };
    Group::new(config, None, now)
}

fn choose(bencher: Bencher<'_, '_>, group: &Group, keys: Keys<'_>, now: Instant) {
    bencher.bench_local(|| {
        let endpoint = group.choose(black_box(&keys), &[], now);
        endpoint.map(|endpoint| endpoint.address)
    });
}

#[divan::bench(args = [1, 3, 1_000])]
fn endpoint_in_turn(bencher: Bencher<'_, '_>, endpoints: u16) {
    let now = Instant::now();
    let group = group(endpoints, Balance::RoundRobin, now);
    choose(bencher, &group, Keys::default(), now);
}

#[divan::bench(args = [3, 1_000])]
fn endpoint_while_all_but_one_rest(bencher: Bencher<'_, '_>, endpoints: u16) {
    let now = Instant::now();
    let group = group(endpoints, Balance::RoundRobin, now);
    for endpoint in group.endpoints().iter().skip(1) {
        endpoint.report(Outcome::ConnectFailed, now);
    }
    choose(bencher, &group, Keys::default(), now);
}

#[divan::bench(args = [3, 8, 1_000])]
fn endpoint_by_fewest_requests(bencher: Bencher<'_, '_>, endpoints: u16) {
    let now = Instant::now();
    let group = group(endpoints, Balance::LeastRequests, now);
    choose(bencher, &group, Keys::default(), now);
}

#[divan::bench(args = [3, 1_000])]
fn endpoint_by_hash_of_client(bencher: Bencher<'_, '_>, endpoints: u16) {
    let now = Instant::now();
    let group = group(endpoints, hash(HashOn::Client), now);
    let keys = Keys {
        client: "198.51.100.7",
        ..Keys::default()
    };
    choose(bencher, &group, keys, now);
}

#[divan::bench(args = [3, 1_000])]
fn endpoint_by_hash_of_cookie(bencher: Bencher<'_, '_>, endpoints: u16) {
    let now = Instant::now();
    let on = HashOn::Cookie("jupyterhub-session-id".into());
    let group = group(endpoints, hash(on), now);
    let mut headers = HeaderMap::new();
    let cookie = "_xsrf=2|6a8d3c; jupyterhub-session-id=f81d4fae7dec11d0a76500a0c91e6bf6";
    headers.insert("cookie", HeaderValue::from_static(cookie));
    let keys = Keys {
        headers: Some(&headers),
        ..Keys::default()
    };
    choose(bencher, &group, keys, now);
}
