//! The endpoint for a request, by the number of endpoints and of those that rest.

use std::net::SocketAddr;
use std::time::Instant;

use divan::{Bencher, black_box};
use hubgate::config::Upstream;
use hubgate::types::name::UpstreamName;
use hubgate::upstream::Keys;
use hubgate::upstream::endpoint::Outcome;
use hubgate::upstream::group::Group;

fn group(endpoints: u16, now: Instant) -> Group {
    let addresses = (1..=endpoints).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let config = Upstream::plain(UpstreamName::parse("hub").unwrap(), addresses);
    Group::new(config, None, now)
}

#[divan::bench(args = [1, 3, 1_000])]
fn endpoint_in_turn(bencher: Bencher<'_, '_>, endpoints: u16) {
    let now = Instant::now();
    let group = group(endpoints, now);
    bencher.bench_local(|| {
        let endpoint = group.choose(black_box(&Keys::default()), &[], now);
        endpoint.map(|endpoint| endpoint.address)
    });
}

#[divan::bench(args = [3, 1_000])]
fn endpoint_while_all_but_one_rest(bencher: Bencher<'_, '_>, endpoints: u16) {
    let now = Instant::now();
    let group = group(endpoints, now);
    for endpoint in group.endpoints().iter().skip(1) {
        endpoint.report(Outcome::ConnectFailed, now);
    }
    bencher.bench_local(|| {
        let endpoint = group.choose(black_box(&Keys::default()), &[], now);
        endpoint.map(|endpoint| endpoint.address)
    });
}
