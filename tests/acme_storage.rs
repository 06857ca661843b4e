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
use std::process::{Command, Stdio};
use std::time::Duration;

use hubgate::tls::pem::load_pair;
use hubgate::tls::self_signed::generate_pem;
use hubgate::types::host::HostPattern;
use support::fault_proxy::Fault;
use support::gate::{Clock, Gate, Running, Scene, authority};
use support::orders::HOST;
use support::pebble::{Options, Pebble};
use support::{PATIENCE, eventually, tls, within};
use tempfile::TempDir;

fn pebble() -> (Pebble, SocketAddr) {
    authority(Options::default())
}

#[test]
fn fault_10_a_kill_at_any_write_costs_neither_a_key_nor_an_account_nor_a_second_certificate() {
    let (pebble, http) = pebble();
    let mut step = 0;
    loop {
        step += 1;
        let gate = Gate::new(&pebble, http);
        let (issued, registered) = (pebble.issued(), pebble.registrations());
        let mut command = gate.command(&["run"]);
        let mut killed = gate.start(command.env("HUBGATE_ABORT_AT", step.to_string()));
        let mut done = false;
        within(PATIENCE, "it ends or is done", || {
            done = gate.file("current").exists()
                && !gate.file("order.json").exists()
                && killed.child.try_wait().unwrap().is_none();
            done || killed.child.try_wait().unwrap().is_some()
        });
        // What there is, is whole, whenever it ended.
        let before = gate.stored();
        if done && killed.child.try_wait().unwrap().is_none() {
            break; // there were no more writes
        }
        killed.ended();
        let _again = gate.run();
        let served = gate.wait_served();
        assert_eq!(gate.wait_stored(), served, "step {step}");
        assert!(before.is_none_or(|before| before == served), "step {step}");
        assert_eq!(pebble.issued() - issued, 1, "step {step}");
        // The second is the same key asking for its account again.
        assert!(pebble.registrations() - registered <= 2, "step {step}");
        let accounts = fs::read_dir(gate.state().join("acme/accounts")).unwrap();
        let account = accounts.flatten().next().unwrap().path();
        let keys = fs::read_dir(account).unwrap().flatten();
        let keys = keys.filter(|entry| entry.file_name().to_string_lossy().contains("key"));
        assert_eq!(keys.count(), 1, "step {step}");
    }
    assert!(step > 20, "only {step} steps were written");
}

/// Runs hubgate with a tmpfs of its own in the place of its state directory; `None` where that is not allowed.
fn on_own_disk(gate: &Gate, options: &str, clock: Clock) -> Option<Running> {
    fs::create_dir_all(gate.state()).unwrap();
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
    command.args([&script, "sh"]).arg(gate.state());
    command
        .arg(env!("CARGO_BIN_EXE_hubgate"))
        .arg(gate.config());
    for (name, value) in gate.command_by(clock).get_envs() {
        command.env(name, value.unwrap());
    }
    Some(gate.start(&mut command))
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
fn disk(running: &Running, gate: &Gate) -> PathBuf {
    let root = PathBuf::from(format!("/proc/{}/root", running.child.id()));
    root.join(gate.state().strip_prefix("/").unwrap())
}

#[test]
fn fault_09_a_disk_that_is_full_at_any_write_costs_no_certificate_and_no_second_order() {
    let (pebble, http) = pebble();
    let mut served_unsaved = 0;
    for pages in 1..=12 {
        let gate = Gate::new(&pebble, http);
        let issued = pebble.issued();
        let Some(running) =
            on_own_disk(&gate, &format!("mode=700,size={}k", 4 * pages), Clock::True)
        else {
            return;
        };
        let current = || disk(&running, &gate).join(format!("acme/certs/{HOST}/current"));
        eventually("it gets as far as it can", || {
            running.log().contains("acme.order.failed") || current().exists()
        });
        eventually("what was issued is served", || {
            gate.served().is_some() == (pebble.issued() > issued)
        });
        let unsaved = gate.served().filter(|_| !current().exists());
        served_unsaved += u32::from(unsaved.is_some());
        on_disk_of(&running, "mount -o remount,size=1m \"$1\"", &gate.state());
        gate.reload();
        eventually("it is stored", || current().join("chain.pem").exists());
        let served = gate.wait_served();
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
fn fault_09_a_disk_that_fills_during_a_renewal_keeps_the_old_pair_and_gets_the_new_one_a_minute_after_it_has_room()
 {
    let scene = Scene::new(&[HOST]);
    let gate = &scene.gate;
    let Some(running) = on_own_disk(gate, "mode=700,size=1m", Clock::Moved) else {
        return;
    };
    let first = gate.wait_served();
    let folder = disk(&running, gate).join("acme/certs").join(HOST);
    let stored = || {
        let current = folder.join("current");
        let pair = load_pair(&current.join("chain.pem"), &current.join("key.pem"));
        pair.unwrap().leaf.serial.clone()
    };
    eventually("it is stored", || folder.join("current").exists());
    eventually("the order is done", || !folder.join("order.json").exists());
    let late = Fault::Late(Duration::from_secs(4));
    scene.proxy.rule("/finalize-order/", 1, late);
    let mut renewal = gate.command(&["certs", "renew", HOST, "--force"]);
    let mut renewal = renewal.stdout(Stdio::null()).spawn().unwrap();
    within(PATIENCE, "it is ordered", || {
        folder.join("order.json").exists()
    });
    let fill = "dd if=/dev/zero of=\"$1/fill\" bs=512 2> /dev/null; true";
    on_disk_of(&running, fill, &gate.state());
    let failure = running.wait_failure(HOST, 1);
    renewal.wait().unwrap();
    assert_eq!(
        (failure.text("class"), failure.text("step")),
        ("store", "store")
    );
    assert_eq!(failure.text("level"), "ERROR");
    assert!((53.0..=66.5).contains(&failure.wait()), "{failure:?}");
    let second = gate.wait_served();
    assert_ne!(second, first, "what was issued is served");
    assert_eq!(stored(), first, "the old generation is whole");
    // Tried again a minute later, it fails again; with room, it is stored.
    gate.pass_until(failure.next(), Duration::ZERO);
    let again = running.wait_failure(HOST, 2);
    on_disk_of(&running, "rm \"$1/fill\"", &gate.state());
    gate.pass_until(again.next(), Duration::ZERO);
    within(PATIENCE, "it is stored", || stored() == second);
    assert_eq!(gate.wait_served(), second);
    assert_eq!((scene.pebble.orders(), scene.pebble.issued()), (2, 2));
}

#[test]
fn fault_14_a_pair_that_does_not_match_or_names_another_host_is_set_aside_and_never_served() {
    let (pebble, http) = pebble();
    let gate = Gate::new(&pebble, http);
    let pair_for = |name: &str| generate_pem(&[HostPattern::parse(name).unwrap()]).unwrap();
    // The old generation stays good, so that there is something to go back to.
    let first = gate.prepare();
    let older = gate.file("g000001");
    for (what, with_chain) in [("another key", false), ("another host", true)] {
        let other = pair_for("stranger.test");
        let newer = gate.file("g000002");
        let done = Command::new("cp")
            .arg("-a")
            .arg(&older)
            .arg(&newer)
            .status();
        assert!(done.unwrap().success());
        fs::write(newer.join("key.pem"), other.key).unwrap();
        if with_chain {
            fs::write(newer.join("chain.pem"), other.chain).unwrap();
        }
        fs::remove_file(gate.file("current")).unwrap();
        symlink("g000002", gate.file("current")).unwrap();
        let orders = pebble.orders();
        let running = gate.run();
        running.wait_ready();
        assert_eq!(gate.wait_served(), first, "{what}");
        eventually("it is set aside", || !newer.exists());
        let mut names = fs::read_dir(gate.file("")).unwrap().flatten();
        let is_aside = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("bad-");
        assert!(names.any(|entry| is_aside(&entry.file_name())), "{what}");
        gate.wait_idle(HOST);
        assert_eq!(pebble.orders(), orders, "{what}");
    }
}

#[test]
fn fault_09_a_read_only_disk_refuses_the_start_unless_it_holds_what_is_to_be_served() {
    let (pebble, http) = pebble();
    let gate = Gate::new(&pebble, http);
    let Some(mut running) = on_own_disk(&gate, "ro", Clock::True) else {
        return;
    };
    assert_eq!(running.ended().code(), Some(3), "{}", running.log());
    for part in ["certificates cannot be kept", "state/acme"] {
        assert!(running.log().contains(part), "{}", running.log());
    }
    let full = Gate::new(&pebble, http);
    let first = full.prepare();
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
fn fault_09_a_state_directory_that_cannot_be_made_refuses_the_start_and_says_why() {
    let (pebble, http) = pebble();
    let gate = Gate::new(&pebble, http);
    fs::write(gate.state(), "in the way").unwrap();
    let mut running = gate.run();
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
fn fault_13_no_damage_to_any_file_keeps_the_process_from_starting_and_serving() {
    let (pebble, http) = pebble();
    let gate = Gate::new(&pebble, http);
    let first = gate.prepare();
    let certificate = format!("acme/certs/{HOST}");
    let accounts = fs::read_dir(gate.state().join("acme/accounts")).unwrap();
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
    copy(&gate.state(), kept.path());
    for (name, damage, after) in cases {
        fs::remove_dir_all(gate.state()).unwrap();
        copy(&kept.path().join("state"), gate.dir.path());
        damage(&gate.state().join(&name));
        let orders = pebble.orders();
        let _running = gate.run();
        let served = gate.wait_served();
        match after {
            After::Same => {
                assert_eq!(served, first, "{name}");
                assert_eq!(pebble.orders(), orders, "{name}");
            }
            After::Anew => {
                assert_ne!(served, first, "{name}");
                let folder = fs::read_dir(gate.file("")).unwrap().flatten();
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
fn fault_13_keys_that_others_can_read_are_closed_to_them_and_served() {
    let (pebble, http) = pebble();
    let gate = Gate::new(&pebble, http);
    let first = gate.prepare();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let key = gate.file("g000001/key.pem");
    open(&key, 0o644);
    open(&gate.file("g000001"), 0o755);
    open(&gate.state().join("acme"), 0o777);
    let running = gate.run();
    assert_eq!(gate.wait_served(), first);
    assert_eq!(mode(&key), 0o600);
    assert_eq!(mode(&gate.file("g000001")), 0o700);
    assert_eq!(mode(&gate.state().join("acme")), 0o700);
    eventually("it is told", || running.log().contains("acme.store.mode"));
}

#[test]
fn what_certbot_has_ordered_is_taken_over_listed_and_served_without_an_order() {
    let (mut pebble, http) = pebble();
    let gate = Gate::new(&pebble, http);
    let first = gate.prepare();
    let letsencrypt = TempDir::new().unwrap();
    let live = letsencrypt.path().join("live").join(HOST);
    fs::create_dir_all(&live).unwrap();
    fs::copy(gate.file("current/chain.pem"), live.join("fullchain.pem")).unwrap();
    fs::copy(gate.file("current/key.pem"), live.join("privkey.pem")).unwrap();
    fs::remove_dir_all(gate.state()).unwrap();
    pebble.down();
    let _running = gate.run();
    eventually("a placeholder is served", || {
        tls::handshake(gate.https, HOST, tls::config(&[])).is_ok()
    });
    assert_eq!(gate.served(), None);
    let import = |more: &[&str]| {
        let mut arguments = vec!["certs", "import", letsencrypt.path().to_str().unwrap()];
        arguments.extend(more);
        gate.call(&arguments)
    };
    let (code, text) = import(&["--plan"]);
    assert!(code == 0 && text.contains("would be taken"), "{text}");
    assert_eq!(gate.stored(), None, "a plan changes nothing");
    let (code, text) = import(&[]);
    assert!(code == 0 && text.contains("taken from"), "{text}");
    assert_eq!(gate.stored().as_ref(), Some(&first));
    let (code, text) = import(&[]);
    assert!(code == 1 && text.contains("as long or longer"), "{text}");
    assert_eq!(gate.wait_served(), first, "without a reload");
    let mut shown = String::new();
    eventually("a handshake with ourselves was shown it", || {
        shown = gate.call(&["certs", "show", HOST]).1;
        shown.contains("was shown it")
    });
    assert!(shown.contains(&first), "{shown}");
    let (code, text) = gate.call(&["certs", "list", "--json"]);
    assert_eq!(code, 0, "{text}");
    let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(rows[0]["host"], HOST);
    assert_eq!(rows[0]["served_as_kept"], true);
    eventually("it is not to be ordered again", || {
        let (_, text) = gate.call(&["certs", "list"]);
        text.contains("valid") && !text.contains("backoff")
    });
}

#[test]
fn the_doctor_finds_nothing_where_all_is_well_and_names_each_fault_with_its_cure() {
    let (mut pebble, http) = pebble();
    let gate = Gate::new(&pebble, http);
    let running = gate.run();
    gate.wait_served();
    gate.wait_stored();
    let (resolver, port) = (pebble.name_server().to_string(), http.port().to_string());
    let doctor = |more: &[&str]| {
        let mut arguments = vec!["certs", "doctor", "--resolver", &resolver, "--port", &port];
        arguments.extend(more);
        gate.call(&arguments)
    };
    let (code, text) = doctor(&[]);
    assert_eq!(code, 0, "{text}");
    for part in [
        "reaches this hubgate",
        "can be written",
        "answers challenges",
        "is valid",
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
    let key = gate.file("current/key.pem");
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
    let (code, text) = gate.call(&arguments);
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
fn the_doctor_orders_at_staging_when_asked_to_and_tells_of_an_account_that_is_not_known() {
    let (mut production, http) = pebble();
    let staging = Pebble::start(http.port());
    let gate = Gate::new(&production, http);
    let both = gate.dir.path().join("both.pem");
    let roots = [&production, &staging].map(|one| fs::read_to_string(&one.ca_file).unwrap());
    fs::write(&both, roots.concat()).unwrap();
    let config = fs::read_to_string(gate.config()).unwrap();
    let ours = format!("ca_file = \"{}\"", production.ca_file.display());
    let new = format!(
        "ca_file = \"{}\"\nstaging = \"{}\"",
        both.display(),
        staging.directory_url
    );
    assert!(config.contains(&ours), "{config}");
    fs::write(gate.config(), config.replace(&ours, &new)).unwrap();
    let _running = gate.run();
    let first = gate.wait_served();
    gate.wait_stored();
    let (resolver, port) = (
        production.name_server().to_string(),
        http.port().to_string(),
    );
    let doctor = |more: &[&str]| {
        let mut arguments = vec!["certs", "doctor", "--resolver", &resolver, "--port", &port];
        arguments.extend(more);
        gate.call(&arguments)
    };
    let (code, text) = doctor(&[]);
    assert!(code == 0 && !text.contains("trial order"), "{text}");
    let (code, text) = doctor(&["--dry-run"]);
    assert!(code == 0 && text.contains("a trial order: "), "{text}");
    assert_eq!((production.issued(), staging.issued()), (1, 1));
    assert_eq!(
        (gate.served(), gate.stored()),
        (Some(first.clone()), Some(first))
    );
    // The authority forgets the account.
    production.down();
    production.up();
    // Asking makes none, so that the second finds what the first did.
    for _ in 0..2 {
        let (code, text) = doctor(&[]);
        let unknown = text.contains("does not know the account");
        assert!(code == 1 && unknown, "{text}");
    }
    assert_eq!(production.registrations(), 2, "looked up, not registered");
}

#[test]
fn a_certificate_is_renewed_rehearsed_and_revoked_by_command_and_the_outcome_is_told() {
    let (pebble, http) = pebble();
    let gate = Gate::new(&pebble, http);
    let running = gate.run();
    let first = gate.wait_served();
    gate.wait_stored();
    let certs = |arguments: &[&str]| {
        let arguments = [&["certs"], arguments].concat();
        gate.call(&arguments)
    };
    let (code, text) = certs(&["renew", HOST]);
    assert!(
        code == 0 && text.contains("renewed"),
        "{text}\n{}",
        running.log()
    );
    let second = gate.wait_served();
    assert_ne!(second, first);
    assert_eq!(gate.wait_stored(), second);
    let (code, text) = certs(&["revoke", HOST, "--reason", "1"]);
    assert!(
        code == 0 && text.contains("revoked"),
        "{text}\n{}",
        running.log()
    );
    eventually("another is served", || {
        gate.served().is_some_and(|own| own != second)
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
    let gate = Gate::new(&pebble, http);
    let running = gate.run();
    eventually("it has failed", || {
        running.log().contains("acme.order.failed")
    });
    pebble.up();
    let (code, text) = gate.call(&["certs", "renew", "--due"]);
    assert_eq!(code, 0, "{text}{}", running.log());
    assert!(text.contains(&format!("{HOST}: renewed")), "{text}");
    assert_eq!(gate.wait_stored(), gate.wait_served());
}
