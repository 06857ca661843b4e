//! Another key for the account, and what a lost answer or a kill on the way leaves: always a key that the authority knows.
//!
//! The ACME worker before Debian's Pebble, as in `acme`; kills at each step are the real binary's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "a broken assumption should stop the test"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use hubgate::tls::Origin;
use support::fault_proxy::{Fault, FaultProxy};
use support::hubgate::{command, filled, run};
use support::orders::{Edge, HOST, Running};
use support::pebble::Pebble;
use support::{eventually, ports};
use tempfile::TempDir;

const KEY_CHANGE: &str = "/rollover-account-key";
const OTHER: &str = "other.example.test";

fn roll_over(running: &Running, authority: Option<&str>) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    runtime.block_on(running.worker.wishes().roll_over(authority))
}

/// The folder of the only account below this state directory.
fn account(state: &Path) -> PathBuf {
    let all: Vec<_> = fs::read_dir(state.join("acme/accounts"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

fn key(state: &Path) -> String {
    fs::read_to_string(account(state).join("key.pem")).unwrap()
}

fn url(state: &Path) -> String {
    let text = fs::read_to_string(account(state).join("account.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    record["url"].as_str().unwrap().to_owned()
}

/// An authority behind a proxy, and what outlives a worker.
struct Scene {
    edge: Edge,
    pebble: Pebble,
    proxy: FaultProxy,
}

impl Scene {
    fn new() -> Self {
        let edge = Edge::new();
        let pebble = Pebble::start(edge.http_port);
        let proxy = FaultProxy::before(&pebble);
        Self {
            edge,
            pebble,
            proxy,
        }
    }

    fn run(&self, hosts: &[&str]) -> Running {
        let directory = &self.proxy.directory_url;
        self.edge.run_at(&self.pebble, directory, hosts)
    }

    /// Has the worker look after these hosts from now on.
    fn ask(&self, running: &Running, hosts: &[&str]) {
        let directory = &self.proxy.directory_url;
        let settings = self.edge.settings(&self.pebble, directory);
        let hosts = support::orders::hosts(hosts);
        running.worker.reconfigure(settings, hosts);
    }

    fn state(&self) -> &Path {
        self.edge.state.path()
    }
}

fn is_under_way(state: &Path) -> bool {
    ["key-next.pem", "rollover.json"]
        .iter()
        .any(|name| account(state).join(name).exists())
}

#[test]
fn fault_18_the_account_gets_another_key_and_orders_with_it() {
    let edge = Edge::new();
    let pebble = Pebble::start(edge.http_port);
    let running = edge.run(&pebble, &[HOST]);
    let unknown = roll_over(&running, Some("nobody")).unwrap_err();
    assert!(unknown.contains("`nobody`, only pebble"), "{unknown}");
    running.wait_for_certificate(HOST);
    let state = edge.state.path();
    let (before, account) = (key(state), url(state));
    let told = roll_over(&running, Some("pebble")).unwrap();
    assert!(told.contains("another key"), "{told}");
    assert_ne!(key(state), before);
    assert!(!is_under_way(state));
    let hosts = support::orders::hosts(&[HOST, OTHER]);
    let settings = edge.settings(&pebble, &pebble.directory_url);
    running.worker.reconfigure(settings, hosts);
    running.wait_for_certificate(OTHER);
    drop(running);
    assert_eq!(url(state), account);
    assert_eq!((pebble.registrations(), pebble.issued()), (1, 2));
    // Nobody else has the old one.
    let again = edge.run(&pebble, &["third.example.test"]);
    again.wait_for_certificate("third.example.test");
    assert_eq!(pebble.registrations(), 1);
}

#[test]
fn fault_18_whichever_key_the_authority_knows_after_a_lost_answer_is_kept() {
    let scene = Scene::new();
    let (state, pebble, proxy) = (scene.state(), &scene.pebble, &scene.proxy);
    let running = scene.run(&[HOST]);
    running.wait_for_certificate(HOST);
    let (first, account) = (key(state), url(state));
    // Done, and found out at once.
    proxy.rule(KEY_CHANGE, 1, Fault::LoseAnswer);
    roll_over(&running, None).unwrap();
    let second = key(state);
    assert_ne!(second, first);
    // Done, and not found out before the account is needed again.
    let orders = |names: &[&str]| {
        scene.ask(&running, names);
        running.wait_for_certificate(names.last().unwrap());
    };
    proxy.rule(KEY_CHANGE, 1, Fault::LoseAnswer);
    proxy.rule("/sign-me-up", 2, Fault::Reset);
    roll_over(&running, None).unwrap_err();
    assert_eq!(key(state), second);
    assert!(is_under_way(state));
    orders(&[HOST, OTHER]);
    let third = key(state);
    assert_ne!(third, second);
    assert!(!is_under_way(state));
    // Not done; the next key is kept for the next time, because it might yet be done.
    proxy.rule(KEY_CHANGE, 1, Fault::Reset);
    roll_over(&running, None).unwrap_err();
    let next = fs::read_to_string(self::account(state).join("key-next.pem")).unwrap();
    orders(&[HOST, OTHER, "third.example.test"]);
    assert_eq!(key(state), third);
    roll_over(&running, None).unwrap();
    assert_eq!(key(state), next);
    assert!(!is_under_way(state));
    assert_eq!(url(state), account);
    assert_eq!(pebble.issued(), 3);
}

#[test]
fn fault_18_an_authority_that_refuses_leaves_the_key_as_it_was() {
    let scene = Scene::new();
    let (state, proxy) = (scene.state(), &scene.proxy);
    let running = scene.run(&[HOST]);
    running.wait_for_certificate(HOST);
    let before = key(state);
    proxy.rule(KEY_CHANGE, 1, Fault::problem(403, "unauthorized", ""));
    let why = roll_over(&running, None).unwrap_err();
    assert!(why.contains("the test says so"), "{why}");
    assert_eq!(key(state), before);
    assert!(!is_under_way(state));
}

#[test]
fn fault_18_orders_under_way_end_before_the_key_changes_and_those_after_have_the_new_one() {
    let scene = Scene::new();
    let (state, pebble, proxy) = (scene.state(), &scene.pebble, &scene.proxy);
    let first = scene.run(&[HOST]);
    first.wait_for_certificate(HOST);
    let (before, orders) = (key(state), pebble.orders());
    proxy.rule("/my-order/", 6, Fault::Status("pending"));
    let seen = proxy.seen("/my-order/");
    scene.ask(&first, &[HOST, OTHER]);
    eventually("an order is under way", || proxy.seen("/my-order/") > seen);
    roll_over(&first, None).unwrap();
    assert_eq!(first.served(OTHER).origin, Origin::Acme, "it has ended");
    assert_ne!(key(state), before);
    assert_eq!((pebble.orders(), pebble.issued()), (orders + 1, 2));
}

#[test]
fn fault_18_an_order_cut_before_the_key_changed_is_resumed_with_the_new_key() {
    let scene = Scene::new();
    let (pebble, proxy) = (&scene.pebble, &scene.proxy);
    proxy.rule("/my-order/", 8, Fault::Status("pending"));
    let cut = scene.run(&[HOST]);
    eventually("it is under way", || proxy.seen("/my-order/") >= 2);
    drop(cut);
    assert!(scene.edge.file(HOST, "order.json").exists());
    let before = key(scene.state());
    let changing = scene.run(&[]);
    roll_over(&changing, None).unwrap();
    drop(changing);
    assert_ne!(key(scene.state()), before);
    let again = scene.run(&[HOST]);
    again.wait_for_certificate(HOST);
    assert_eq!((pebble.orders(), pebble.issued()), (1, 1));
}

/// The real binary; ended when this is dropped.
struct Process(Child);

impl Process {
    /// Starts in this folder, and is killed by itself after `step`.
    fn start(dir: &Path, step: &str) -> Self {
        let mut command = command(&["run", "-c"]);
        command.arg(dir.join("hubgate.toml")).stderr(Stdio::null());
        let child = command.env("HUBGATE_ACME_STOP_AT", step).spawn().unwrap();
        let process = Self(child);
        let status = || certs(dir, &["list"]).0 == 0;
        eventually("it can be asked", status);
        process
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn certs(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = command(&["certs"]);
    let socket = dir.join("admin.sock");
    run(command.args(arguments).arg("--socket").arg(socket))
}

#[test]
fn fault_18_a_kill_at_any_step_of_the_change_leaves_an_account_that_orders() {
    let http = ports::free_addr();
    let pebble = Pebble::start(http.port());
    let toml = format!(
        "[acme]\nname = \"my ca\"\ndirectory = \"{}\"\nca_file = \"{}\"\n[site.\"{HOST}\"]\n",
        pebble.directory_url,
        pebble.ca_file.display(),
    );
    let folder = TempDir::new().unwrap();
    let (dir, state) = (folder.path(), folder.path().join("state"));
    let text = filled(&toml, dir, http, ports::free_addr());
    fs::write(dir.join("hubgate.toml"), text).unwrap();
    let process = Process::start(dir, "");
    let chain = state
        .join("acme/certs")
        .join(HOST)
        .join("current/chain.pem");
    eventually("a certificate is there", || chain.exists());
    drop(process);
    let account = url(&state);
    for step in ["next-key", "key-change", "adopt"] {
        let mut process = Process::start(dir, step);
        let before = key(&state);
        let (code, text) = certs(dir, &["rollover"]);
        assert_eq!(code, 3, "{step}: {text}");
        eventually("it is dead", || process.0.try_wait().unwrap().is_some());
        assert!(is_under_way(&state), "{step}");
        let process = Process::start(dir, "");
        let (code, text) = certs(dir, &["renew", HOST, "--force"]);
        assert_eq!(code, 0, "{step}: {text}");
        assert!(!is_under_way(&state), "{step}");
        assert_eq!(key(&state) == before, step == "next-key", "{step}");
        let changed = key(&state);
        let (code, text) = certs(dir, &["rollover", "--ca", "my ca"]);
        assert_eq!((code, &*text), (0, "my ca: the account has another key\n"));
        assert_ne!(key(&state), changed);
        assert_eq!(url(&state), account);
        drop(process);
    }
}
