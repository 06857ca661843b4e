//! The state directory against everything that happens to disks and processes: kills, full and read-only disks, damage;
//! and what `hubgate certs` says and does about certificates.
//!
//! The real binary before Debian's Pebble. Full and read-only disks are a tmpfs in a mount namespace of the process's
//! own; where the system allows none, those tests say so and pass.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::let_underscore_must_use,
    reason = "a broken assumption should stop the test"
)]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use hubgate::tls::pem::{Leaf, load_pair};
use support::hubgate::{filled, run};
use support::pebble::{Options, Pebble};
use support::ports::free_addr;
use support::{DEADLINE, eventually, tls, within};
use tempfile::TempDir;

const HOST: &str = "hub.example.test";

/// A folder with a configuration, and the ports that go with it.
struct Edge {
    dir: TempDir,
    http: SocketAddr,
    https: SocketAddr,
}

impl Edge {
    fn new(pebble: &Pebble, http: SocketAddr) -> Self {
        let edge = Self {
            dir: TempDir::new().unwrap(),
            http,
            https: free_addr(),
        };
        let toml = format!(
            "[acme]\ndirectory = \"{}\"\nca_file = \"{}\"\n[site.\"{HOST}\"]\n",
            pebble.directory_url,
            pebble.ca_file.display()
        );
        let text = filled(&toml, edge.dir.path(), edge.http, edge.https);
        fs::write(edge.config(), text).unwrap();
        edge
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("hubgate.toml")
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.state().join("acme/certs").join(HOST).join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hubgate"));
        command.args(arguments).arg("-c").arg(self.config());
        command
    }

    fn start(&self, command: &mut Command) -> Running {
        let log = fs::File::create(self.dir.path().join("log")).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Running {
            child,
            log: self.dir.path().join("log"),
        }
    }

    fn run(&self) -> Running {
        self.start(&mut self.command(&["run"]))
    }

    /// The serial number of the certificate being served, when an authority made it.
    fn served(&self) -> Option<String> {
        let mut stream = tls::handshake(self.https, HOST, tls::config(&["http/1.1"])).ok()?;
        stream.conn.send_close_notify();
        let chain = stream.conn.peer_certificates()?;
        // A placeholder stands alone.
        (chain.len() > 1).then(|| Leaf::parse(&chain[0]).unwrap().serial)
    }

    #[track_caller]
    fn wait_served(&self) -> String {
        eventually("a certificate is served", || self.served().is_some());
        self.served().unwrap()
    }

    /// The serial number of the stored certificate, which has to be whole.
    fn stored(&self) -> Option<String> {
        let chain = self.file("current/chain.pem");
        chain
            .exists()
            .then(|| load_pair(&chain, &self.file("current/key.pem")).unwrap())
            .map(|pair| pair.leaf.serial.clone())
    }

    fn wait_stored(&self) -> String {
        eventually("it is stored", || self.stored().is_some());
        eventually("the order is done", || !self.file("order.json").exists());
        self.stored().unwrap()
    }
}

struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits for its end by itself.
    fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "it still runs:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- hubgate's log\n{}---", self.log());
        }
    }
}

fn pebble() -> (Pebble, SocketAddr) {
    hubgate::tls::install_provider();
    let http = free_addr();
    let options = Options {
        reuse: 0,
        ..Options::default()
    };
    (Pebble::start_with(http.port(), options), http)
}

#[test]
fn a_kill_at_any_write_costs_neither_a_key_nor_an_account_nor_a_second_certificate() {
    let (pebble, http) = pebble();
    let mut step = 0;
    loop {
        step += 1;
        let edge = Edge::new(&pebble, http);
        let (issued, registered) = (pebble.issued(), pebble.registrations());
        let mut command = edge.command(&["run"]);
        let mut killed = edge.start(command.env("HUBGATE_ABORT_AT", step.to_string()));
        let mut done = false;
        within(Duration::from_secs(20), "it ends or is done", || {
            done = edge.file("current").exists()
                && !edge.file("order.json").exists()
                && killed.child.try_wait().unwrap().is_none();
            done || killed.child.try_wait().unwrap().is_some()
        });
        // What there is, is whole, whenever it ended.
        let before = edge.stored();
        if done && killed.child.try_wait().unwrap().is_none() {
            break; // there were no more writes
        }
        killed.ended();
        let _again = edge.run();
        let served = edge.wait_served();
        assert_eq!(edge.wait_stored(), served, "step {step}");
        assert!(before.is_none_or(|before| before == served), "step {step}");
        assert_eq!(pebble.issued() - issued, 1, "step {step}");
        // The second is the same key asking for its account again.
        assert!(pebble.registrations() - registered <= 2, "step {step}");
        let accounts = fs::read_dir(edge.state().join("acme/accounts")).unwrap();
        let account = accounts.flatten().next().unwrap().path();
        let keys = fs::read_dir(account).unwrap().flatten();
        let keys = keys.filter(|entry| entry.file_name().to_string_lossy().contains("key"));
        assert_eq!(keys.count(), 1, "step {step}");
    }
    assert!(step > 20, "only {step} steps were written");
}

/// Runs hubgate with a tmpfs of its own in the place of its state directory; `None` where that is not allowed.
fn on_own_disk(edge: &Edge, options: &str) -> Option<Running> {
    fs::create_dir_all(edge.state()).unwrap();
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c"]);
        command
    };
    let allowed = unshare().arg("mount -t tmpfs tmpfs /mnt").status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("not tried: this system allows no mount namespaces");
        return None;
    }
    let script = format!("mount -t tmpfs -o {options} tmpfs \"$1\" && exec \"$2\" run -c \"$3\"");
    let mut command = unshare();
    command.args([&script, "sh"]).arg(edge.state());
    command
        .arg(env!("CARGO_BIN_EXE_hubgate"))
        .arg(edge.config());
    Some(edge.start(&mut command))
}

/// Does something to the disk of a process.
fn on_disk_of(running: &Running, script: &str, state: &Path) {
    let target = format!("--target={}", running.child.id());
    let done = Command::new("nsenter")
        .args([&target, "--user", "--mount", "--preserve-credentials"])
        .args(["sh", "-c", script, "sh"])
        .arg(state)
        .status();
    assert!(done.unwrap().success(), "{script}");
}

/// A state directory as the process sees it.
fn disk(running: &Running, edge: &Edge) -> PathBuf {
    let root = PathBuf::from(format!("/proc/{}/root", running.child.id()));
    root.join(edge.state().strip_prefix("/").unwrap())
}

#[test]
fn a_disk_that_is_full_at_any_write_costs_no_certificate_and_no_second_order() {
    let (pebble, http) = pebble();
    let mut served_unsaved = 0;
    for pages in 1..=12 {
        let edge = Edge::new(&pebble, http);
        let issued = pebble.issued();
        let Some(running) = on_own_disk(&edge, &format!("mode=700,size={}k", 4 * pages)) else {
            return;
        };
        let current = || disk(&running, &edge).join(format!("acme/certs/{HOST}/current"));
        eventually("it gets as far as it can", || {
            running.log().contains("acme.order.failed") || current().exists()
        });
        eventually("what was issued is served", || {
            edge.served().is_some() == (pebble.issued() > issued)
        });
        let unsaved = edge.served().filter(|_| !current().exists());
        served_unsaved += u32::from(unsaved.is_some());
        on_disk_of(&running, "mount -o remount,size=1m \"$1\"", &edge.state());
        let (code, text) = run(&mut edge.command(&["reload"]));
        assert_eq!(code, 0, "{text}");
        eventually("it is stored", || current().join("chain.pem").exists());
        let served = edge.wait_served();
        assert!(unsaved.is_none_or(|unsaved| unsaved == served), "{pages}");
        let stored = load_pair(&current().join("chain.pem"), &current().join("key.pem")).unwrap();
        assert_eq!(stored.leaf.serial, served);
        assert_eq!(pebble.issued() - issued, 1, "{pages} pages");
    }
    assert!(
        served_unsaved > 0,
        "none was served from memory while the disk was full"
    );
}

#[test]
fn a_read_only_disk_refuses_the_start_unless_it_holds_what_is_to_be_served() {
    let (pebble, http) = pebble();
    let edge = Edge::new(&pebble, http);
    let Some(mut running) = on_own_disk(&edge, "ro") else {
        return;
    };
    assert_eq!(running.ended().code(), Some(3), "{}", running.log());
    for part in ["certificates cannot be kept", "state/acme"] {
        assert!(running.log().contains(part), "{}", running.log());
    }
    let full = Edge::new(&pebble, http);
    let first = {
        let _running = full.run();
        full.wait_stored();
        full.wait_served()
    };
    let kept = TempDir::new().unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(full.state().join("."))
        .arg(kept.path())
        .status();
    assert!(copied.unwrap().success());
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$4\" \"$1\" && mount -o remount,ro,bind \"$1\" && exec \"$2\" run -c \"$3\"";
    command.args(["--mount", "--map-root-user", "sh", "-c", script, "sh"]);
    command.arg(full.state()).arg(env!("CARGO_BIN_EXE_hubgate"));
    let running = full.start(command.arg(full.config()).arg(kept.path()));
    assert_eq!(full.wait_served(), first);
    // The log is written beside what it tells of.
    eventually("it says so", || {
        running.log().contains("certificates cannot be kept")
    });
}

#[test]
fn a_state_directory_that_cannot_be_made_refuses_the_start_and_says_why() {
    let (pebble, http) = pebble();
    let edge = Edge::new(&pebble, http);
    fs::write(edge.state(), "in the way").unwrap();
    let mut running = edge.run();
    assert_eq!(running.ended().code(), Some(3), "{}", running.log());
    let log = running.log();
    assert!(log.contains("certificates cannot be kept"), "{log}");
    assert!(log.contains("Not a directory"), "{log}");
}

/// What becomes of a host whose only certificate's folder was damaged.
#[derive(Clone, Copy, Debug, PartialEq)]
enum After {
    /// The same certificate, nothing ordered.
    Same,
    /// Another one, and the damaged file is still there for a person.
    Anew,
}

#[test]
fn no_damage_to_any_file_keeps_the_process_from_starting_and_serving() {
    let (pebble, http) = pebble();
    let edge = Edge::new(&pebble, http);
    let first = {
        let _running = edge.run();
        edge.wait_served();
        edge.wait_stored()
    };
    let certificate = format!("acme/certs/{HOST}");
    let accounts = fs::read_dir(edge.state().join("acme/accounts")).unwrap();
    let account = accounts.flatten().next().unwrap().file_name();
    let account = format!("acme/accounts/{}", account.to_string_lossy());
    let write = |text: &'static str| move |path: &Path| fs::write(path, text).unwrap();
    type Damage = Box<dyn Fn(&Path)>;
    let cut = |path: &Path| {
        let text = fs::read(path).unwrap();
        fs::write(path, &text[..text.len() / 2]).unwrap();
    };
    let mut cases: Vec<(String, Damage, After)> = Vec::new();
    for name in ["chain.pem", "key.pem"] {
        let path = format!("{certificate}/g000001/{name}");
        cases.push((path.clone(), Box::new(write("")), After::Anew));
        cases.push((path.clone(), Box::new(write("garbage")), After::Anew));
        cases.push((path, Box::new(cut), After::Anew));
    }
    for name in [
        "g000001/meta.json",
        "spec.json",
        "order.json",
        "backoff.json",
    ] {
        let path = format!("{certificate}/{name}");
        cases.push((path.clone(), Box::new(write("")), After::Same));
        cases.push((path, Box::new(write("{\"version\": 1, ")), After::Same));
    }
    for name in ["account.json", "key.pem"] {
        let path = format!("{account}/{name}");
        cases.push((path.clone(), Box::new(write("")), After::Same));
        cases.push((path, Box::new(write("[]")), After::Same));
    }
    let dangling = |path: &Path| {
        fs::remove_file(path).unwrap();
        symlink("g000009", path).unwrap();
    };
    let gone = |path: &Path| fs::remove_file(path).unwrap();
    let folder = |path: &Path| {
        let _ = fs::remove_file(path);
        fs::create_dir(path).unwrap();
    };
    cases.push((
        format!("{certificate}/current"),
        Box::new(dangling),
        After::Same,
    ));
    cases.push((
        format!("{certificate}/current"),
        Box::new(gone),
        After::Same,
    ));
    for name in ["order.json", "backoff.json", "g000001/meta.json"] {
        cases.push((
            format!("{certificate}/{name}"),
            Box::new(folder),
            After::Same,
        ));
    }
    let kept = TempDir::new().unwrap();
    let copy = |from: &Path, to: &Path| {
        let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(done.unwrap().success());
    };
    copy(&edge.state(), kept.path());
    for (name, damage, after) in cases {
        fs::remove_dir_all(edge.state()).unwrap();
        copy(&kept.path().join("state"), edge.dir.path());
        damage(&edge.state().join(&name));
        let orders = pebble.orders();
        let _running = edge.run();
        let served = edge.wait_served();
        match after {
            After::Same => {
                assert_eq!(served, first, "{name}");
                assert_eq!(pebble.orders(), orders, "{name}");
            }
            After::Anew => {
                assert_ne!(served, first, "{name}");
                let folder = fs::read_dir(edge.file("")).unwrap().flatten();
                let mut names = folder.map(|entry| entry.file_name());
                assert!(
                    names.any(|name| name.to_string_lossy().starts_with("bad-")),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn keys_that_others_can_read_are_closed_to_them_and_served() {
    let (pebble, http) = pebble();
    let edge = Edge::new(&pebble, http);
    let first = {
        let _running = edge.run();
        edge.wait_served();
        edge.wait_stored()
    };
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let key = edge.file("g000001/key.pem");
    open(&key, 0o644);
    open(&edge.file("g000001"), 0o755);
    open(&edge.state().join("acme"), 0o777);
    let running = edge.run();
    assert_eq!(edge.wait_served(), first);
    assert_eq!(mode(&key), 0o600);
    assert_eq!(mode(&edge.file("g000001")), 0o700);
    assert_eq!(mode(&edge.state().join("acme")), 0o700);
    eventually("it is told", || running.log().contains("acme.store.mode"));
}

#[test]
fn what_certbot_has_ordered_is_taken_over_listed_and_served_without_an_order() {
    let (mut pebble, http) = pebble();
    let edge = Edge::new(&pebble, http);
    let first = {
        let _running = edge.run();
        edge.wait_served();
        edge.wait_stored()
    };
    let letsencrypt = TempDir::new().unwrap();
    let live = letsencrypt.path().join("live").join(HOST);
    fs::create_dir_all(&live).unwrap();
    fs::copy(edge.file("current/chain.pem"), live.join("fullchain.pem")).unwrap();
    fs::copy(edge.file("current/key.pem"), live.join("privkey.pem")).unwrap();
    fs::remove_dir_all(edge.state()).unwrap();
    pebble.down();
    let _running = edge.run();
    eventually("a placeholder is served", || {
        tls::handshake(edge.https, HOST, tls::config(&[])).is_ok()
    });
    assert_eq!(edge.served(), None);
    let import = |more: &[&str]| {
        let mut arguments = vec!["certs", "import", letsencrypt.path().to_str().unwrap()];
        arguments.extend(more);
        run(edge.command(&arguments).stdout(Stdio::piped()))
    };
    let (code, text) = import(&["--plan"]);
    assert!(code == 0 && text.contains("would be taken"), "{text}");
    assert_eq!(edge.stored(), None, "a plan changes nothing");
    let (code, text) = import(&[]);
    assert!(code == 0 && text.contains("taken from"), "{text}");
    assert_eq!(edge.stored().as_ref(), Some(&first));
    let (code, text) = import(&[]);
    assert!(code == 1 && text.contains("as long or longer"), "{text}");
    let (code, text) = run(&mut edge.command(&["reload"]));
    assert_eq!(code, 0, "{text}");
    assert_eq!(edge.wait_served(), first);
    let mut shown = String::new();
    eventually("a handshake with ourselves was shown it", || {
        shown = run(&mut edge.command(&["certs", "show", HOST])).1;
        shown.contains("was shown it")
    });
    assert!(shown.contains(&first), "{shown}");
    let (code, text) = run(&mut edge.command(&["certs", "list", "--json"]));
    assert_eq!(code, 0, "{text}");
    let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(rows[0]["host"], HOST);
    assert_eq!(rows[0]["served_as_kept"], true);
    eventually("it is not to be ordered again", || {
        let (_, text) = run(&mut edge.command(&["certs", "list"]));
        text.contains("valid") && !text.contains("backoff")
    });
}

#[test]
fn the_doctor_finds_nothing_where_all_is_well_and_names_each_fault_with_its_cure() {
    let (mut pebble, http) = pebble();
    let edge = Edge::new(&pebble, http);
    let running = edge.run();
    edge.wait_served();
    edge.wait_stored();
    let (resolver, port) = (pebble.name_server().to_string(), http.port().to_string());
    let doctor = |more: &[&str]| {
        let mut arguments = vec!["certs", "doctor", "--resolver", &resolver, "--port", &port];
        arguments.extend(more);
        run(edge
            .command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()))
    };
    let (code, text) = doctor(&[]);
    assert_eq!(code, 0, "{text}");
    for part in [
        "reaches this hubgate",
        "can be written",
        "agrees with the authority's",
        "the certificate lasts until",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (_, text) = doctor(&["--json"]);
    let findings: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(findings.as_array().unwrap().len() >= 6, "{text}");

    // IPv6 leads elsewhere, and a CAA record names another authority.
    pebble.names(
        "/add-aaaa",
        &serde_json::json!({"host": HOST, "addresses": ["::1"]}),
    );
    let policy = serde_json::json!({"tag": "issue", "value": "other.example"});
    pebble.names(
        "/add-caa",
        &serde_json::json!({"host": HOST, "policies": [policy]}),
    );
    let key = edge.file("current/key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, text) = doctor(&[HOST]);
    assert_eq!(code, 2, "{text}");
    for part in ["remove the AAAA record", "is open to others"] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // Without the process there is no telling who answers, and somebody else's catch-all is named so.
    drop(running);
    let spa = support::Upstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<!doctype html>",
    );
    pebble.down();
    let other = spa.addr.port().to_string();
    let arguments = ["certs", "doctor", "--resolver", &resolver, "--port", &other];
    let (code, text) = run(edge.command(&arguments).stdout(Stdio::piped()));
    assert_eq!(code, 2, "{text}");
    for part in [
        "no hubgate answers at",
        "a page of its own",
        "is not to be reached",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (code, text) = doctor(&["stranger.test"]);
    assert_eq!(code, 1, "{text}");
}

#[test]
fn a_certificate_is_renewed_rehearsed_and_revoked_by_command_and_the_outcome_is_told() {
    let (pebble, http) = pebble();
    let edge = Edge::new(&pebble, http);
    let running = edge.run();
    let first = edge.wait_served();
    edge.wait_stored();
    let certs = |arguments: &[&str]| {
        let arguments = [&["certs"], arguments].concat();
        run(edge
            .command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()))
    };
    let (code, text) = certs(&["renew", HOST]);
    assert!(
        code == 0 && text.contains("renewed"),
        "{text}\n{}",
        running.log()
    );
    let second = edge.wait_served();
    assert_ne!(second, first);
    assert_eq!(edge.wait_stored(), second);
    let (code, text) = certs(&["revoke", HOST, "--reason", "1"]);
    assert!(
        code == 0 && text.contains("revoked"),
        "{text}\n{}",
        running.log()
    );
    eventually("another is served", || {
        edge.served().is_some_and(|own| own != second)
    });
    let (code, text) = certs(&["renew", "stranger.test"]);
    assert!(code == 1 && text.contains("stranger.test"), "{text}");
    // There is no staging directory to rehearse at here, which is told.
    for staging in ["--staging", "--dry-run"] {
        let (code, text) = certs(&["renew", HOST, staging]);
        assert!(code == 1 && text.contains("staging"), "{text}");
    }
    let (code, text) = certs(&["renew", "--due"]);
    assert!(code == 0 && text.contains("nothing is due"), "{text}");
    let (code, _) = certs(&["renew", HOST, "--due"]);
    assert_eq!(code, 2, "either one or all that are due");
}

#[test]
fn all_that_is_due_is_renewed_by_command_without_waiting_as_after_a_failure() {
    let (mut pebble, http) = pebble();
    pebble.down();
    let edge = Edge::new(&pebble, http);
    let running = edge.run();
    eventually("it has failed", || {
        running.log().contains("acme.order.failed")
    });
    pebble.up();
    let (code, text) = run(edge
        .command(&["certs", "renew", "--due"])
        .stdout(Stdio::piped()));
    assert_eq!(code, 0, "{text}{}", running.log());
    assert!(text.contains(&format!("{HOST}: renewed")), "{text}");
    assert_eq!(edge.wait_stored(), edge.wait_served());
}
