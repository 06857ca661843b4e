//! How the process starts and stops: exit codes, drain, second signal.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::reload::{finish, held, in_flight};
use crate::support::hubgate::{HOST, one_site};
use crate::support::ports::free_addr;
use crate::support::{Hubgate, Upstream, within};

#[test]
fn term_lets_requests_in_flight_finish_refuses_new_ones_and_exits_0() {
    let upstream = Upstream::start(held);
    let mut hubgate = Hubgate::before(upstream.addr);
    let clients = [
        in_flight(&upstream, hubgate.plain()),
        in_flight(&upstream, hubgate.tls()),
    ];
    let mut h2 = hubgate.h2();
    let mut stream = h2.open(h2.request("POST", "/held"), false);
    stream.send("x", false);
    upstream.wait_requests(3);
    hubgate.signal("TERM");
    within(
        Duration::from_secs(2),
        "new connections are refused",
        || TcpStream::connect(hubgate.http).is_err(),
    );
    for client in clients {
        finish(client);
    }
    stream.send("x", true);
    assert_eq!(stream.whole().unwrap().text(), "ok");
    let start = Instant::now();
    assert_eq!(hubgate.wait(Duration::from_secs(5)).code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "nothing was left to wait for"
    );
}

#[test]
fn term_does_not_wait_for_idle_connections() {
    let upstream = Upstream::saying("ok");
    let mut hubgate = Hubgate::before(upstream.addr);
    let (mut plain, mut tls, mut h2) = (hubgate.plain(), hubgate.tls(), hubgate.h2());
    assert_eq!(
        (
            plain.get(HOST, "/").text(),
            tls.get(HOST, "/").text(),
            h2.get("/").text()
        ),
        ("ok".into(), "ok".into(), "ok".into())
    );
    let start = Instant::now();
    assert_eq!(hubgate.stop_and_wait().code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn the_drain_ends_after_its_time() {
    let upstream = Upstream::start(held);
    let mut hubgate =
        Hubgate::start(&(one_site(upstream.addr, "") + "[server]\ndrain_timeout = \"500ms\"\n"));
    let _client = in_flight(&upstream, hubgate.plain());
    let start = Instant::now();
    assert_eq!(hubgate.stop_and_wait().code(), Some(0));
    assert!(
        start.elapsed() > Duration::from_millis(400) && start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_second_term_stops_at_once() {
    let upstream = Upstream::start(held);
    let mut hubgate =
        Hubgate::start(&(one_site(upstream.addr, "") + "[server]\ndrain_timeout = \"60s\"\n"));
    let _client = in_flight(&upstream, hubgate.plain());
    hubgate.signal("TERM");
    within(Duration::from_secs(2), "the drain has begun", || {
        TcpStream::connect(hubgate.http).is_err()
    });
    assert!(hubgate.is_running());
    hubgate.signal("INT");
    hubgate.wait(Duration::from_secs(2));
}

#[test]
fn a_port_in_use_at_start_exits_3_and_names_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let _holder = TcpListener::bind(taken).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("hubgate.toml");
    let text =
        crate::support::hubgate::filled(&one_site(free_addr(), ""), dir.path(), taken, free_addr());
    fs::write(&config, text).unwrap();
    let start = Instant::now();
    let (code, output) =
        crate::support::hubgate::run(crate::support::hubgate::command(&["run", "-c"]).arg(&config));
    assert_eq!(code, 3, "{output}");
    assert!(output.contains(&taken.to_string()), "{output}");
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_second_process_cannot_share_the_ports_of_the_first() {
    let upstream = Upstream::saying("first");
    let mut hubgate = Hubgate::start(&(one_site(upstream.addr, "") + "[server]\nworkers = 2\n"));
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("hubgate.toml");
    let toml = one_site(free_addr(), "") + "[server]\nworkers = 2\n";
    let text = crate::support::hubgate::filled(&toml, dir.path(), hubgate.http, hubgate.https);
    fs::write(&config, text).unwrap();
    let mut second = crate::support::hubgate::command(&["run", "-c"])
        .arg(&config)
        .spawn()
        .unwrap();
    let start = Instant::now();
    let mut code = None;
    while code.is_none() && start.elapsed() < Duration::from_secs(2) {
        code = second.try_wait().unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    second.kill().unwrap();
    second.wait().unwrap();
    assert_eq!(
        code.and_then(|c| c.code()),
        Some(3),
        "the second process serves beside the first"
    );
    assert!(hubgate.is_running());
}

#[test]
fn no_connection_is_lost_while_several_workers_reload() {
    let upstream = Upstream::saying("ok");
    let base = one_site(upstream.addr, "") + "[server]\nworkers = 4\n[listen]\nhttp = [\"@HTTP@\"";
    let hubgate = Hubgate::start(&(base.clone() + "]\n"));
    let extra = free_addr();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (stop, hubgate) = (&stop, &hubgate);
    std::thread::scope(|scope| {
        // A reload that fails must not leave the load running for ever.
        let raised = Raised(stop);
        let loads: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(move || {
                    let mut served = 0;
                    while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                        assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        for i in 0..10 {
            hubgate.reload_to(&match i % 2 {
                0 => format!("{base}, \"{extra}\"]\n"),
                _ => format!("{base}]\n"),
            });
        }
        drop(raised);
        for load in loads {
            assert!(load.join().unwrap() > 0);
        }
    });
}

/// A flag that is raised at the end of its scope, however that comes.
struct Raised<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn a_bad_configuration_at_start_exits_1_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("hubgate.toml");
    fs::write(&config, "[server]\nworkres = 1\n").unwrap();
    for verb in ["run", "check"] {
        let (code, output) = crate::support::hubgate::run(
            crate::support::hubgate::command(&[verb, "-c"]).arg(&config),
        );
        assert_eq!(code, 1, "{output}");
        assert!(
            output.contains("hubgate.toml:2:1") && output.contains("workers"),
            "{output}"
        );
    }
}

#[test]
fn the_process_survives_pipe() {
    let upstream = Upstream::saying("ok");
    let mut hubgate = Hubgate::before(upstream.addr);
    hubgate.signal("PIPE");
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
    assert!(hubgate.is_running());
}

#[test]
fn what_cannot_be_opened_at_start_exits_3_and_says_what_to_do() {
    for more in [
        "[log]\nfile = \"@DIR@/none/event.log\"\n",
        "[access_log]\ntarget = \"@DIR@/none/access.log\"\n",
        "[admin]\nsocket = \"@DIR@/none/none/admin.sock\"\n",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("hubgate.toml");
        let toml = one_site(free_addr(), "") + more;
        let text = crate::support::hubgate::filled(&toml, dir.path(), free_addr(), free_addr());
        fs::write(&config, text).unwrap();
        let (code, output) = crate::support::hubgate::run(
            crate::support::hubgate::command(&["run", "-c"]).arg(&config),
        );
        assert_eq!(code, 3, "{output}");
        assert!(
            output.contains("/none") && output.contains("\nhint: make the folder"),
            "{output}"
        );
    }
}
