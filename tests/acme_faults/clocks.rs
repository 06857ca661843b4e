//! A clock that is wrong or jumps, and certificates that ended: faults 11 and 12.
//!
//! hubgate's clock is moved by libfaketime; Pebble's is always right.

use std::time::Duration;

use hubgate::tls::Origin;

use crate::support::gate::{Clock, Gate, Running, Scene, authority, toml};
use crate::support::orders::{Edge, HOST};
use crate::support::pebble::{Options, Pebble};
use crate::support::{Client, PATIENCE, eventually, ports, within};

const DAY: Duration = Duration::from_secs(86_400);

/// It says what is wrong, as an error of the class `clock`, and tries again within minutes.
#[track_caller]
fn clock_is_told(running: &Running, host: &str) {
    let failure = running.wait_failure(host, 1);
    assert_eq!(failure.text("class"), "clock", "{failure:?}");
    assert_eq!(failure.text("level"), "ERROR");
    let detail = failure.text("detail");
    assert!(detail.contains("check this machine's clock"), "{detail}");
    assert!((50.0..=70.0).contains(&failure.wait()), "{failure:?}");
}

/// After the first failure it tries and fails some more times, each when it said.
#[track_caller]
fn keeps_failing(scene: &Scene, running: &Running) {
    for count in 2..6 {
        let last = running.wait_failure(HOST, count - 1);
        scene.gate.pass_until(last.next(), Duration::ZERO);
        running.wait_failure(HOST, count);
    }
}

/// A stored certificate is neither renewed nor taken away, however often a clock that is so far off is looked at.
#[track_caller]
fn renews_nothing(days: u64) {
    let scene = Scene::new(&[HOST]);
    let first = scene.gate.prepare();
    let orders = scene.pebble.orders();
    scene.gate.pass(DAY * u32::try_from(days).unwrap());
    let running = scene.gate.run_by(Clock::Moved);
    clock_is_told(&running, HOST);
    keeps_failing(&scene, &running);
    assert_eq!(scene.gate.served(), Some(first.clone()));
    drop(running);
    scene.gate.set_clock(0);
    let _again = scene.gate.run();
    scene.gate.wait_idle(HOST);
    assert_eq!(scene.gate.served(), Some(first));
    assert_eq!(scene.pebble.orders(), orders);
}

#[test]
fn fault_11_a_clock_70_days_ahead_renews_nothing_and_says_so() {
    renews_nothing(70);
}

#[test]
fn fault_11_a_clock_95_days_ahead_renews_nothing_and_says_so() {
    renews_nothing(95);
}

/// A first certificate that such a clock finds unfit is ordered once, kept back, and served when the clock is right.
#[track_caller]
fn is_kept_back(off: i64) {
    let scene = Scene::new(&[HOST]);
    scene.gate.turn_clock(off);
    let running = scene.gate.run_by(Clock::Moved);
    clock_is_told(&running, HOST);
    keeps_failing(&scene, &running);
    assert_eq!(
        scene.gate.served(),
        None,
        "not valid by the clock, and served"
    );
    assert_eq!((scene.pebble.orders(), scene.pebble.issued()), (1, 1));
    drop(running);
    let _again = scene.gate.run();
    scene.gate.wait_served();
    assert_eq!((scene.pebble.orders(), scene.pebble.issued()), (1, 1));
}

#[test]
fn fault_11_a_certificate_that_is_not_valid_yet_is_not_swapped_in_by_a_clock_2_hours_late() {
    is_kept_back(-7200);
}

#[test]
fn fault_11_a_certificate_that_seems_to_have_ended_is_ordered_once_by_a_clock_95_days_ahead() {
    is_kept_back(95 * 86_400);
}

#[test]
fn fault_11_an_authority_whose_own_certificate_is_not_valid_yet_by_our_clock_is_told_as_the_clocks_fault()
 {
    let options = Options {
        young: true,
        ..Options::default()
    };
    let scene = Scene::with(&[HOST], options);
    let running = scene.gate.run_by(Clock::Off("-2h"));
    clock_is_told(&running, HOST);
    assert_eq!(scene.gate.served(), None);
    drop(running);
    let _again = scene.gate.run();
    scene.gate.wait_served();
    assert_eq!((scene.pebble.orders(), scene.pebble.issued()), (1, 1));
}

#[test]
fn fault_11_a_clock_that_jumps_ahead_and_back_while_hubgate_waits_orders_nothing_and_shows_in_the_metrics()
 {
    let scene = Scene::new(&[HOST]);
    let metrics = ports::free_addr();
    let listen = format!("[admin]\nlisten = \"{metrics}\"");
    let directory = &scene.proxy.directory_url;
    let text = toml(&scene.pebble, directory, &listen, &[HOST]);
    scene.gate.configure(&text);
    let running = scene.gate.run_by(Clock::Moved);
    let first = scene.gate.wait_served();
    scene.gate.wait_stored();
    let orders = scene.pebble.orders();
    let skew = || {
        let page = Client::plain(metrics)
            .get(&metrics.to_string(), "/metrics")
            .text();
        let line = page.lines().find_map(|line| {
            let rest = line.strip_prefix("hubgate_acme_clock_skew_seconds ")?;
            rest.parse::<f64>().ok()
        });
        line.unwrap_or_else(|| panic!("{page}"))
    };
    assert!(skew().abs() < 60.0, "{}", skew());
    for jump in [70, 1, -71] {
        let told = running.events("acme.order.failed", &[]).len();
        scene.gate.turn_clock(jump * 86_400);
        if jump == 70 {
            clock_is_told(&running, HOST);
            within(PATIENCE, "the metric shows it", || {
                skew() < -69.0 * 86_400.0
            });
        } else if jump > 0 {
            running.wait_failure(HOST, told + 1);
        } else {
            scene.gate.wait_idle(HOST);
        }
        assert_eq!(scene.gate.served(), Some(first.clone()));
    }
    assert_eq!(scene.pebble.orders(), orders, "a storm of renewals");
}

#[test]
fn fault_12_an_expired_certificate_is_served_until_the_new_one_is_there() {
    let edge = Edge::new();
    let options = Options {
        validity: 2,
        ..Options::default()
    };
    let mut pebble = Pebble::start_with(edge.http_port, options);
    let first = edge.run(&pebble, &[HOST]).wait_for_certificate(HOST);
    pebble.down();
    within(PATIENCE, "it expires", || {
        time::OffsetDateTime::now_utc() > first.leaf.not_after
    });
    let running = edge.run(&pebble, &[HOST]);
    assert_eq!(running.served(HOST).origin, Origin::Acme);
    assert_eq!(running.served(HOST).leaf.serial, first.leaf.serial);
    pebble.up();
    within(PATIENCE, "it is renewed", || {
        running.served(HOST).leaf.serial != first.leaf.serial
    });
}

#[test]
fn fault_12_an_expired_pair_on_disk_is_served_called_expired_and_renewed_at_once() {
    let options = Options {
        validity: 20,
        ..Options::default()
    };
    let (mut pebble, http) = authority(options);
    let gate = Gate::new(&pebble, http);
    let first = gate.prepare();
    pebble.down();
    let kept = hubgate::tls::pem::load_pair(
        &gate.file("current/chain.pem"),
        &gate.file("current/key.pem"),
    );
    let end = kept.unwrap().leaf.not_after;
    within(PATIENCE, "it expires", || {
        time::OffsetDateTime::now_utc() > end
    });
    let running = gate.run_by(Clock::Moved);
    assert_eq!(gate.wait_served(), first);
    let failure = running.wait_failure(HOST, 1);
    let mut text = String::new();
    eventually("it is called expired", || {
        text = gate.call(&["certs", "list"]).1;
        text.contains("expired")
    });
    assert_eq!(gate.served(), Some(first.clone()));
    pebble.set_validity(86_400);
    pebble.up();
    gate.pass_until(failure.next(), Duration::ZERO);
    within(PATIENCE, "it is renewed", || {
        gate.served().is_some_and(|serial| serial != first)
    });
    drop(running);
}
