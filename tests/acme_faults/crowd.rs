//! Many hosts at once: fault 21.

use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use time::OffsetDateTime;

use crate::support::PATIENCE;
use crate::support::fault_proxy::{Fault, Hit};
use crate::support::gate::{Clock, Scene};
use crate::support::within;

const HOSTS: usize = 500;
/// So many seconds of hubgate's are one of ours.
const FAST: u32 = 5;

fn host(number: usize) -> String {
    format!("h{number:03}.example.test")
}

/// A pair on disk that was due long ago and ends in `minutes`.
fn store(scene: &Scene, host: &str, minutes: u64) {
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let now = OffsetDateTime::now_utc();
    leaf.not_before = now - Duration::from_secs(80 * 86_400);
    leaf.not_after = now + Duration::from_secs(86_400 + minutes * 60);
    let chain = leaf.self_signed(&key).unwrap().pem();
    let folder = scene.gate.file_of(host, "g000001");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("chain.pem"), chain).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    std::os::unix::fs::symlink("g000001", scene.gate.file_of(host, "current")).unwrap();
}

/// The orders, in their order, with their hosts' names.
fn orders(scene: &Scene) -> Vec<(String, Hit)> {
    let hits = scene.proxy.hits().into_iter();
    let orders = hits.filter(|hit| hit.path == "/order-plz");
    orders
        .map(|hit| {
            let name = hit.payload["identifiers"][0]["value"]
                .as_str()
                .unwrap()
                .to_owned();
            (name, hit)
        })
        .collect()
}

/// The most orders that were under way at once: begun, and their certificates not yet here.
fn most_at_once(scene: &Scene) -> i32 {
    let mut moments: Vec<(Instant, i32)> = Vec::new();
    for hit in scene.proxy.hits() {
        match hit.path.as_str() {
            "/order-plz" => moments.push((hit.begun, 1)),
            path if path.starts_with("/certZ/") => moments.push((hit.ended, -1)),
            _ => {}
        }
    }
    moments.sort();
    let mut now = 0;
    let counts = moments.into_iter().map(|(_, change)| {
        now += change;
        now
    });
    counts.max().unwrap_or(0)
}

#[test]
fn fault_21_500_hosts_at_once_are_ordered_four_at_a_time_one_a_second_and_the_first_to_end_first() {
    let names: Vec<String> = (0..HOSTS).map(host).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let scene = Scene::new(&names);
    // The higher the number, the sooner it ends.
    for (number, name) in names.iter().enumerate() {
        store(&scene, name, (HOSTS - number) as u64);
    }
    // Each order takes longer than the next waits for its turn, so that they pile up.
    let late = Fault::Late(Duration::from_millis(1500));
    scene.proxy.rule("/finalize-order/", 12, late);
    let running = scene.gate.run_by(Clock::Fast(FAST));
    within(PATIENCE * 2, "some are renewed", || {
        scene.pebble.issued() >= 30
    });
    assert_eq!(most_at_once(&scene), 4);
    let orders = orders(&scene);
    assert!(running.events("acme.order.failed", &[]).is_empty());

    // No two seconds of hubgate's hold more than two orders a second.
    let begun: Vec<_> = orders.iter().map(|(_, hit)| hit.begun).collect();
    for (index, first) in begun.iter().enumerate() {
        let window = Duration::from_secs(2) / FAST;
        let within = begun[index..].iter().filter(|at| **at - *first < window);
        assert!(within.count() <= 4, "{begun:?}");
    }

    // Those who asked while the first four were under way were sorted; what came before, came as it came.
    let numbers: Vec<usize> = orders[8..]
        .iter()
        .map(|(name, _)| names.iter().position(|one| one == name).unwrap())
        .collect();
    let sorted = numbers.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!(sorted + 2 >= numbers.len() - 1, "{numbers:?}");
    assert!(numbers[0] > HOSTS - 20, "{numbers:?}");
}
