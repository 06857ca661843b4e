//! The endpoint for a request, by the number of endpoints and of those that rest.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use divan::{Bencher, black_box};
use hubgate::config::Upstream;
use hubgate::types::name::UpstreamName;
use hubgate::upstream::group::Group;

fn group(endpoints: u16, now: Instant) -> Group {
    let config = Upstream {
        name: UpstreamName::parse("hub").unwrap(),
        endpoints: (1..=endpoints)
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
            .collect(),
        keep_alive: 32,
        keep_alive_idle: Duration::from_secs(4),
        protection: Default::default(),
    };
    Group::new(config, None, now)
}

#[divan::bench(args = [1, 3, 1_000])]
fn endpoint_in_turn(bencher: Bencher<'_, '_>, endpoints: u16) {
    let now = Instant::now();
    let group = group(endpoints, now);
    bencher.bench_local(|| {
        let endpoint = group.next(black_box(&[]), now);
        endpoint.map(|endpoint| endpoint.address)
    });
}

#[divan::bench(args = [3, 1_000])]
fn endpoint_while_all_but_one_rest(bencher: Bencher<'_, '_>, endpoints: u16) {
    let now = Instant::now();
    let group = group(endpoints, now);
    for endpoint in group.endpoints.iter().skip(1) {
        group.failed(endpoint, now);
    }
    bencher.bench_local(|| {
        let endpoint = group.next(black_box(&[]), now);
        endpoint.map(|endpoint| endpoint.address)
    });
}
