//! Counting a connection in and out, by the number of clients that have one.

use std::net::{IpAddr, Ipv4Addr};

use divan::{Bencher, black_box};
use hubgate::limits::connections::ConnectionCaps;

#[divan::bench(args = [1, 1_000, 10_000])]
fn connection_in_and_out(bencher: Bencher<'_, '_>, clients: u32) {
    let address = |n: u32| IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n));
    let caps = ConnectionCaps::new(usize::MAX, usize::MAX);
    let open: Vec<_> = (0..clients)
        .map(|n| caps.try_acquire(address(n)).unwrap())
        .collect();
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 7919) % clients;
        drop(caps.try_acquire(black_box(address(at))).unwrap());
    });
    drop(open);
}
