//! Another program takes over from the running one: nobody who is being served notices, and when it cannot, nothing changes.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustls::HandshakeKind;
use tempfile::TempDir;

use crate::reload::{finish, held, in_flight};
use crate::support::hubgate::{HOST, command, one_site, run};
use crate::support::message::Response;
use crate::support::skip::can_be_shown;
use crate::support::websocket::{self, echoes};
use crate::support::{Client, Conn, Fault, Hubgate, Upstream, tls, within};

const LONG: Duration = crate::support::PATIENCE;

/// A program that the test writes.
fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn own_program() -> PathBuf {
    PathBuf::from(command(&[]).get_program())
}

#[track_caller]
fn serves(hubgate: &Hubgate, text: &str) {
    for mut client in [hubgate.plain(), hubgate.tls()] {
        assert_eq!(client.get(HOST, "/").text(), text);
    }
    assert_eq!(hubgate.h2().get("/").text(), text);
}

#[track_caller]
fn status(hubgate: &Hubgate) -> serde_json::Value {
    let mut command = command(&["status", "--json", "--socket"]);
    let (code, output) = run(command.arg(hubgate.socket()));
    assert_eq!(code, 0, "{output}");
    serde_json::from_str(&output).unwrap()
}

#[test]
fn the_successor_serves_from_the_same_sockets_and_the_old_process_ends() {
    let upstream = Upstream::saying("ok");
    let mut hubgate = Hubgate::start(
        &(one_site(upstream.addr, "") + "[server]\npid_file = \"@DIR@/hubgate.pid\"\n"),
    );
    let pid_file = hubgate.dir.path().join("hubgate.pid");
    let first = hubgate.pid();
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), format!("{first}\n"));
    serves(&hubgate, "ok");
    hubgate.upgrade();
    assert_ne!(hubgate.pid(), first);
    serves(&hubgate, "ok");
    within(LONG, "the old process has ended", || {
        hubgate.first_ended().is_some()
    });
    assert_eq!(hubgate.first_ended().unwrap().code(), Some(0));
    let second = hubgate.pid();
    assert_eq!(
        fs::read_to_string(&pid_file).unwrap(),
        format!("{second}\n")
    );
    // And once more, from the successor.
    hubgate.upgrade();
    serves(&hubgate, "ok");
    assert_eq!(hubgate.reload().0, 0, "the admin socket is the successor's");
    hubgate.signal("TERM");
    within(
        LONG,
        "the last process has ended and left nothing behind",
        || !hubgate.socket().exists() && !pid_file.exists(),
    );
}

#[test]
fn signal_usr2_upgrades_too() {
    let upstream = Upstream::saying("ok");
    let mut hubgate = Hubgate::before(upstream.addr);
    hubgate.signal("USR2");
    hubgate.wait_log("the successor serves");
    let log = hubgate.log();
    let line = log.lines().find(|line| line.contains("upgrade.done"));
    let pid = line.unwrap().split("successor=").nth(1).unwrap();
    let pid = pid.split_whitespace().next().unwrap().parse().unwrap();
    hubgate.follow(pid);
    serves(&hubgate, "ok");
    assert_eq!(hubgate.wait(LONG).code(), Some(0));
}

/// Answers at `/`, echoes WebSockets at `/ws`, and sends an event every 20 ms at `/events`.
fn everything(conn: &mut Conn) {
    while let Some(head) = conn.request_head() {
        match &head.target()[..] {
            b"/ws" => {
                conn.give_back(head.raw);
                return websocket::echo(conn.take());
            }
            b"/events" => {
                conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
                while conn.try_send("data: x\n\n").is_ok() {
                    std::thread::sleep(Duration::from_millis(20));
                }
                return;
            }
            _ => conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        }
    }
}

/// What clients saw of a server that is to be there all the time.
#[derive(Default)]
struct Seen {
    over: AtomicBool,
    served: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Seen {
    fn note(&self, what: &str, went_well: bool, answer: &Result<Response, Fault>) {
        match went_well {
            true => self.served.fetch_add(1, Ordering::Relaxed),
            false => {
                self.failures.lock().unwrap().push(format!(
                    "{what}: {:?}",
                    answer.as_ref().map(|answer| answer.status)
                ));
                0
            }
        };
    }

    /// Until it is over: requests on connections of their own, or on one as long as it may be used.
    fn requests(&self, what: &str, connect: impl Fn() -> Client, keep: bool) {
        let mut kept: Option<Client> = None;
        while !self.over.load(Ordering::Relaxed) {
            let mut client = kept.take().unwrap_or_else(&connect);
            let answer = client.try_exchange(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
            let (good, closes) = match &answer {
                Ok(answer) => (
                    answer.status == 200 && answer.text() == "ok",
                    answer.head.lists("connection", "close"),
                ),
                Err(_) => (false, true),
            };
            self.note(what, good, &answer);
            if keep && !closes {
                kept = Some(client);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[test]
fn nobody_notices_an_upgrade() {
    let upstream = Upstream::start(everything);
    let more = "[server]\nworkers = 2\ndrain_timeout = \"60s\"\n";
    let mut hubgate = Hubgate::start(&(one_site(upstream.addr, "") + more));
    let (http, https) = (hubgate.http, hubgate.https);
    let mut sockets: Vec<_> = [hubgate.plain(), hubgate.tls()]
        .map(|client| websocket::open(client, HOST, "/ws", "").0)
        .into();
    let mut events: Vec<_> = [hubgate.plain(), hubgate.tls()].into();
    for client in &mut events {
        client.send(format!("GET /events HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        assert_eq!(client.final_head().unwrap().0.status(), 200);
    }
    let seen = Seen::default();
    let (plain, tls) = (|| Client::plain(http), || Client::tls(https, HOST));
    std::thread::scope(|scope| {
        scope.spawn(|| seen.requests("a fresh connection", plain, false));
        scope.spawn(|| seen.requests("a fresh TLS connection", tls, false));
        scope.spawn(|| seen.requests("a kept connection", plain, true));
        scope.spawn(|| seen.requests("a kept TLS connection", tls, true));
        for _ in 0..3 {
            hubgate.upgrade();
            for socket in &mut sockets {
                echoes(socket, "still there");
            }
            for client in &mut events {
                client.some().expect("events go on");
            }
            let client = if sockets.len() % 2 == 0 {
                plain()
            } else {
                tls()
            };
            sockets.push(websocket::open(client, HOST, "/ws", "").0);
        }
        seen.over.store(true, Ordering::Relaxed);
    });
    assert_eq!(*seen.failures.lock().unwrap(), [""; 0]);
    assert!(seen.served.load(Ordering::Relaxed) > 100);
}

#[test]
fn a_request_in_flight_is_answered_by_the_old_process() {
    let upstream = Upstream::start(held);
    let mut hubgate = Hubgate::before(upstream.addr);
    let clients = [
        in_flight(&upstream, hubgate.plain()),
        in_flight(&upstream, hubgate.tls()),
    ];
    hubgate.upgrade();
    clients.into_iter().for_each(finish);
    within(LONG, "the old process has ended", || {
        hubgate.first_ended().is_some()
    });
}

#[test]
fn every_inherited_socket_is_accepted_from_when_there_are_fewer_workers_or_more() {
    let upstream = Upstream::saying("ok");
    let toml =
        |workers: u8| one_site(upstream.addr, "") + &format!("[server]\nworkers = {workers}\n");
    let mut hubgate = Hubgate::start(&toml(4));
    for workers in [1, 3] {
        hubgate.rewrite(&toml(workers));
        hubgate.upgrade();
        // A socket that nobody accepts from would get its share of these.
        for _ in 0..40 {
            assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
        }
    }
}

#[test]
fn the_successor_runs_the_configuration_that_is_in_the_file_now() {
    let (old, new) = (Upstream::saying("old"), Upstream::saying("new"));
    let mut hubgate = Hubgate::before(old.addr);
    serves(&hubgate, "old");
    hubgate.rewrite(&one_site(new.addr, ""));
    hubgate.upgrade();
    serves(&hubgate, "new");
}

#[test]
fn what_is_known_goes_along_counts_overrides_and_the_generation() {
    let upstream = Upstream::saying("ok");
    let toml = one_site(upstream.addr, "");
    let mut hubgate = Hubgate::start(&toml);
    serves(&hubgate, "ok");
    hubgate.reload_to(&(toml + "[log]\nlevel = \"info\"\n"));
    let endpoint = upstream.addr.to_string();
    let mut drain = command(&["upstream", "drain", &endpoint, "--socket"]);
    let (code, output) = run(drain.arg(hubgate.socket()));
    assert_eq!(code, 0, "{output}");
    let (before, counted) = (status(&hubgate), metrics(&hubgate));
    assert_eq!(counted("hubgate_reloads_total{result=\"done\"}"), 1);
    hubgate.upgrade();
    let (after, counted) = (status(&hubgate), metrics(&hubgate));
    assert_eq!(after["upstreams"][0]["endpoints"][0]["state"], "draining");
    assert!(after["generation"].as_u64() > before["generation"].as_u64());
    assert_eq!(counted("hubgate_reloads_total{result=\"done\"}"), 1);
    assert_eq!(counted("hubgate_upgrades_total{result=\"done\"}"), 1);
    let requests = counted("hubgate_requests_total{protocol=\"h1\",class=\"2xx\"}");
    assert_eq!(requests, 2, "those of the old process");
}

#[test]
fn tls_sessions_are_resumed_at_the_successor() {
    let upstream = Upstream::saying("ok");
    let mut hubgate = Hubgate::before(upstream.addr);
    let config = tls::config(&["http/1.1"]);
    let shake = |hubgate: &Hubgate| {
        let mut client = tls::handshake(hubgate.https, HOST, config.clone()).unwrap();
        // Tickets come with the first bytes of an answer.
        let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        client.read_to_end(&mut Vec::new()).unwrap();
        client.conn.handshake_kind()
    };
    assert_eq!(shake(&hubgate), Some(HandshakeKind::Full));
    hubgate.upgrade();
    assert_eq!(shake(&hubgate), Some(HandshakeKind::Resumed));
}

#[test]
fn a_unix_socket_is_passed_on_and_goes_with_the_last_process() {
    let upstream = Upstream::saying("ok");
    let more = "[listen]\nhttp = [\"@HTTP@\", \"unix:@DIR@/http.sock\"]\n";
    let mut hubgate = Hubgate::start(&(one_site(upstream.addr, "") + more));
    let path = hubgate.dir.path().join("http.sock");
    hubgate.upgrade();
    within(LONG, "the old process has ended", || {
        hubgate.first_ended().is_some()
    });
    let mut socket = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    hubgate.signal("TERM");
    within(LONG, "the socket is gone", || !path.exists());
}

#[track_caller]
fn dropped_rights_do_for_an_interface_and_not_for_another_owner(hubgate: &Hubgate, toml: &str) {
    let with = |listen: String| {
        let stream = "[[stream]]\nlisten = @LISTEN@\nupstream = \"passed\"\n[upstream.passed]\nendpoints = [\"127.0.0.1:9\"]\n";
        hubgate.rewrite(&(toml.to_owned() + &stream.replace("@LISTEN@", &listen)));
        hubgate.reload()
    };
    let address = crate::support::ports::free_addr();
    let (code, output) = with(format!("{{ address = \"{address}\", interface = \"lo\" }}"));
    assert_eq!(code, 0, "{output}");
    let socket = "unix:@DIR@/passed.sock";
    let (code, output) = with(format!(
        "{{ address = \"{socket}\", owner = \"nobody:nogroup\" }}"
    ));
    assert_eq!(code, 0, "{output}");
    let (code, output) = with(format!(
        "{{ address = \"{socket}2\", owner = \":daemon\" }}"
    ));
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("usermod -aG"), "{output}");
    hubgate.reload_to(toml);
}

#[test]
fn root_becomes_another_account_which_an_upgrade_keeps() {
    let missing = (!nix::unistd::geteuid().is_root()).then_some("root");
    if !can_be_shown(missing) {
        return;
    }
    let upstream = Upstream::saying("ok");
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let more = "[server]\nuser = \"nobody\"\n";
    let toml = one_site(upstream.addr, "") + more;
    let mut hubgate = Hubgate::start_in(dir, &toml);
    for _ in 0..2 {
        serves(&hubgate, "ok");
        assert_eq!(hubgate.reload().0, 0);
        let tasks = fs::read_dir(format!("/proc/{}/task", hubgate.pid())).unwrap();
        let mut threads = 0;
        for task in tasks {
            let Ok(status) = fs::read_to_string(task.unwrap().path().join("status")) else {
                continue; // it has ended meanwhile
            };
            let field = |name: &str| {
                let line = status.lines().find(|line| line.starts_with(name)).unwrap();
                line[name.len()..].split_whitespace().collect::<Vec<_>>()
            };
            assert_eq!(field("Uid:"), ["65534"; 4], "{status}");
            assert_eq!(field("Gid:"), ["65534"; 4], "{status}");
            for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
                assert_eq!(field(set), ["0000000000000400"], "{status}");
            }
            threads += 1;
        }
        assert!(threads > 2);
        hubgate.upgrade();
        dropped_rights_do_for_an_interface_and_not_for_another_owner(&hubgate, &toml);
    }
}

/// A look-up of values by metric and labels.
fn metrics(hubgate: &Hubgate) -> impl Fn(&str) -> u64 + use<> {
    let mut socket = std::os::unix::net::UnixStream::connect(hubgate.socket()).unwrap();
    let ask = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    socket.write_all(ask.as_bytes()).unwrap();
    let mut page = String::new();
    socket.read_to_string(&mut page).unwrap();
    move |name| {
        let line = page
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        let line = line.unwrap_or_else(|| panic!("no {name} in\n{page}"));
        line[name.len() + 1..].trim().parse().unwrap()
    }
}

/// The own program with another machine in its ELF header.
fn of_another_architecture(dir: &Path) -> PathBuf {
    let mut bytes = Vec::new();
    let program = fs::File::open(own_program()).unwrap();
    program.take(4096).read_to_end(&mut bytes).unwrap();
    let other = if bytes[18] == 0x3e { 0xb7 } else { 0x3e };
    bytes[18] = other;
    let path = dir.join("other-machine");
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_program_that_cannot_take_over_changes_nothing_and_says_why() {
    let upstream = Upstream::saying("ok");
    let more = "[server]\nupgrade_timeout = \"8s\"\n";
    let mut hubgate = Hubgate::start(&(one_site(upstream.addr, "") + more));
    let pid = hubgate.pid();
    let programs = TempDir::new().unwrap();
    let dir = programs.path();
    let script = |name: &str, text: &str| script(dir, name, text);
    let plain = dir.join("not-executable");
    fs::write(&plain, "#!/bin/sh\n").unwrap();
    let cases = [
        ("missing", dir.join("missing"), "No such file"),
        ("not executable", plain, "ermission denied"),
        ("a folder", dir.to_owned(), "ermission denied"),
        (
            "another architecture",
            of_another_architecture(dir),
            "of another architecture",
        ),
        (
            "no program",
            script("text", "hello"),
            "of another architecture",
        ),
        ("ends at once", "/bin/true".into(), "is it hubgate?"),
        (
            "an old version",
            script(
                "old",
                "#!/bin/sh\necho \"error: unexpected argument '$2' found\" >&2\nexit 2\n",
            ),
            "unexpected argument '--successor' found",
        ),
        (
            "crashes",
            script("crash", "#!/bin/sh\nkill -SEGV $$\n"),
            "signal 11",
        ),
        (
            "hangs",
            script(
                "hang",
                "#!/bin/sh\necho looking around >&2\nexec sleep 600\n",
            ),
            "server.upgrade_timeout",
        ),
        (
            "talks nonsense",
            script(
                "nonsense",
                "#!/bin/sh\necho hello, who is there >&0\nexec sleep 600\n",
            ),
            "conversation",
        ),
        (
            "hangs up",
            script("closes", "#!/bin/sh\nexec 0</dev/null\nexec sleep 600\n"),
            "closed the connection",
        ),
    ];
    let descriptors = hubgate.descriptors();
    for (what, program, word) in &cases {
        let program = program.to_str().unwrap();
        let (code, output) = hubgate.upgrade_with(&["--program", program]);
        assert_eq!(code, 1, "{what}: {output}");
        assert!(output.contains(word), "{what}: {output}");
        assert!(output.contains("the old process serves on"), "{output}");
        hubgate.wait_log(word);
        assert_eq!(status(&hubgate)["generation"], 1);
        serves(&hubgate, "ok");
    }
    let counted = metrics(&hubgate)("hubgate_upgrades_total{result=\"refused\"}");
    assert_eq!(counted, cases.len() as u64);
    within(LONG, "no descriptor is left open", || {
        hubgate.descriptors() <= descriptors
    });
    assert_eq!(hubgate.pid(), pid);
    hubgate.upgrade();
    serves(&hubgate, "ok");
}

#[test]
fn a_successor_that_refuses_the_configuration_says_where_and_changes_nothing() {
    let upstream = Upstream::saying("ok");
    let mut hubgate = Hubgate::before(upstream.addr);
    let good = fs::read_to_string(&hubgate.config).unwrap();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let in_use = good.replace(
        &format!("http = [\"{}\"]", hubgate.http),
        &format!("http = [\"{}\", \"{taken}\"]", hubgate.http),
    );
    for (text, word) in [
        (good.replace("path =", "paht ="), "hubgate.toml:"),
        (in_use, taken.as_str()),
        (
            good.replace(
                "\"self-signed\"",
                "{ chain = \"none.pem\", key = \"none.key\" }",
            ),
            "none.pem",
        ),
    ] {
        assert_ne!(text, good);
        hubgate.rewrite_raw(&text);
        let (code, output) = hubgate.upgrade_with(&[]);
        assert_eq!(code, 1, "{output}");
        assert!(output.contains(word), "{output}");
        serves(&hubgate, "ok");
    }
    hubgate.rewrite_raw(&good);
    hubgate.upgrade();
    serves(&hubgate, "ok");
}

#[test]
fn a_successor_that_dies_after_it_took_over_gives_the_work_back() {
    let upstream = Upstream::saying("ok");
    let mut hubgate = Hubgate::before(upstream.addr);
    let programs = TempDir::new().unwrap();
    let (mut asked, pid) = on_trial(&hubgate, programs.path());
    let killed = std::process::Command::new("kill")
        .args(["-9", &pid])
        .status();
    assert!(killed.unwrap().success());
    let mut output = String::new();
    let mut from = asked.stderr.take().unwrap();
    from.read_to_string(&mut output).unwrap();
    assert_eq!(asked.wait().unwrap().code(), Some(1), "{output}");
    assert!(output.contains("signal 9"), "{output}");
    serves(&hubgate, "ok");
    assert_eq!(hubgate.reload().0, 0);
    hubgate.upgrade();
    serves(&hubgate, "ok");
}

/// Begins an upgrade to a program that writes down its number, and waits until it serves on trial. Gives its number.
#[track_caller]
fn on_trial(hubgate: &Hubgate, programs: &Path) -> (std::process::Child, String) {
    let said = programs.join("pid");
    let own = own_program();
    let text = format!(
        "#!/bin/sh\necho $$ > {}\nexec {} \"$@\"\n",
        said.display(),
        own.display()
    );
    let program = script(programs, "noted", &text);
    let mut asking = command(&["upgrade", "--program"]);
    let asking = asking.arg(&program).arg("--socket").arg(hubgate.socket());
    let asking = asking.spawn().unwrap();
    hubgate.wait_log("taking over");
    let pid = fs::read_to_string(&said).unwrap().trim().to_owned();
    (asking, pid)
}

fn alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // One that has ended and that nobody asked after yet is dead.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn a_successor_on_trial_ends_with_the_old_process_and_lets_the_ports_go() {
    let upstream = Upstream::saying("ok");
    let mut hubgate = Hubgate::before(upstream.addr);
    let programs = TempDir::new().unwrap();
    let (mut asking, successor) = on_trial(&hubgate, programs.path());
    hubgate.signal("KILL");
    assert_eq!(hubgate.wait(LONG).code(), None);
    asking.wait().unwrap();
    within(LONG, "the successor has ended", || !alive(&successor));
    let log = hubgate.log();
    assert!(log.contains("ended before it let go"), "{log}");
    assert!(!hubgate.socket().exists(), "left by the successor");
    for address in [hubgate.http, hubgate.https] {
        std::net::TcpListener::bind(address).unwrap();
    }
}

#[test]
fn a_stop_during_the_trial_stops_the_successor_too_and_answers_what_is_in_flight() {
    let upstream = Upstream::start(held);
    let more = "[server]\ndrain_timeout = \"60s\"\n";
    let mut hubgate = Hubgate::start(&(one_site(upstream.addr, "") + more));
    let programs = TempDir::new().unwrap();
    let before = in_flight(&upstream, hubgate.plain());
    let (mut asking, successor) = on_trial(&hubgate, programs.path());
    let during = in_flight(&upstream, hubgate.plain());
    hubgate.signal("TERM");
    hubgate.wait_log("stopping: no new connections");
    // Longer than the trial, after which the successor would be on its own.
    within(LONG, "the upgrade is given up", || {
        hubgate.log().contains("stopped meanwhile")
    });
    [before, during].into_iter().for_each(finish);
    assert_eq!(hubgate.wait(LONG).code(), Some(0));
    within(LONG, "the successor has ended", || !alive(&successor));
    asking.wait().unwrap();
}

#[test]
fn a_successor_that_dies_after_its_trial_is_told_of_and_costs_no_connection_that_is_open() {
    let upstream = Upstream::start(held);
    let more = "[server]\ndrain_timeout = \"5m\"\n";
    let mut hubgate = Hubgate::start(&(one_site(upstream.addr, "") + more));
    let client = in_flight(&upstream, hubgate.plain());
    hubgate.upgrade();
    hubgate.signal("KILL");
    hubgate.wait_log("upgrade.successor_ended");
    finish(client);
    within(LONG, "the old process has ended", || {
        hubgate.first_ended().is_some()
    });
    assert_eq!(hubgate.first_ended().unwrap().code(), Some(0));
}

#[test]
fn under_a_service_manager_an_old_process_whose_successor_died_ends_at_once() {
    let upstream = Upstream::start(held);
    let more = "[server]\ndrain_timeout = \"5m\"\n";
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("notify.sock");
    let _manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let toml = one_site(upstream.addr, "") + more;
    let mut hubgate = Hubgate::start_with(dir, &toml, |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let _client = in_flight(&upstream, hubgate.plain());
    hubgate.upgrade();
    hubgate.signal("KILL");
    within(LONG, "the old process has ended", || {
        hubgate.first_ended().is_some()
    });
    assert_eq!(hubgate.first_ended().unwrap().code(), Some(0));
}

#[test]
fn a_second_upgrade_is_refused_and_a_reload_waits_while_one_is_under_way() {
    let upstream = Upstream::saying("ok");
    // Longer than a command waits for what is done at once.
    let more = "[server]\nupgrade_timeout = \"13s\"\n";
    let mut hubgate = Hubgate::start(&(one_site(upstream.addr, "") + more));
    let programs = TempDir::new().unwrap();
    let slow = script(
        programs.path(),
        "slow",
        "#!/bin/sh\necho begun >&2\nexec sleep 600\n",
    );
    let mut first = command(&["upgrade", "--socket"])
        .arg(hubgate.socket())
        .arg("--program")
        .arg(&slow)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    hubgate.wait_log("begun");
    let (code, output) = hubgate.upgrade_with(&[]);
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("under way"), "{output}");
    let (code, output) = hubgate.reload();
    assert_eq!(code, 0, "{output}");
    assert!(
        output.contains("waiting: an upgrade is under way"),
        "{output}"
    );
    assert_eq!(first.wait().unwrap().code(), Some(1));
    serves(&hubgate, "ok");
}

#[test]
fn a_reload_during_an_upgrade_is_done_by_the_process_that_has_taken_over() {
    let upstream = Upstream::saying("ok");
    let toml = one_site(upstream.addr, "");
    for by_signal in [false, true] {
        let hubgate = Hubgate::start(&toml);
        let programs = TempDir::new().unwrap();
        let text = "#!/bin/sh\necho begun >&2\nread go < GO\nexec OWN \"$@\"\n";
        let go = programs.path().join("go");
        assert!(Command::new("mkfifo").arg(&go).status().unwrap().success());
        let own = own_program().display().to_string();
        let text = text.replace("GO", &go.display().to_string());
        let late = script(programs.path(), "late", &text.replace("OWN", &own));
        let mut asking = command(&["upgrade", "--program"]);
        let asking = asking.arg(&late).arg("--socket").arg(hubgate.socket());
        let mut asking = asking.spawn().unwrap();
        hubgate.wait_log("begun");
        let asked = match by_signal {
            true => {
                hubgate.signal("HUP");
                None
            }
            false => {
                let mut reload = command(&["reload", "--socket"]);
                let mut reload = reload.arg(hubgate.socket()).spawn().unwrap();
                let mut said = String::new();
                let mut stderr = BufReader::new(reload.stderr.take().unwrap());
                stderr.read_line(&mut said).unwrap();
                assert!(said.contains("an upgrade is under way"), "{said}");
                Some(reload)
            }
        };
        fs::write(&go, "\n").unwrap();
        assert_eq!(asking.wait().unwrap().code(), Some(0));
        if let Some(mut asked) = asked {
            assert_eq!(asked.wait().unwrap().code(), Some(0));
        }
        within(LONG, "the successor has reloaded", || {
            let metrics = hubgate.metrics();
            let done = "hubgate_reloads_total{result=\"done\"} 1";
            metrics.lines().any(|line| line == done)
        });
        serves(&hubgate, "ok");
    }
}

#[test]
fn an_upgrade_goes_back_to_the_program_before_as_well() {
    let upstream = Upstream::saying("ok");
    let mut hubgate = Hubgate::before(upstream.addr);
    let programs = TempDir::new().unwrap();
    let link = programs.path().join("hubgate-new");
    std::os::unix::fs::symlink(own_program(), &link).unwrap();
    let back = own_program();
    for program in [&link, &back] {
        let (code, output) = hubgate.upgrade_with(&["--program", program.to_str().unwrap()]);
        assert_eq!(code, 0, "{output}");
        let started = fs::read(format!("/proc/{}/cmdline", hubgate.pid())).unwrap();
        assert!(started.starts_with(program.as_os_str().as_encoded_bytes()));
        serves(&hubgate, "ok");
    }
}

#[test]
fn the_successor_flag_is_for_hubgate_itself() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let (code, output) = run(command(&["run", "--successor", "-c"]).arg(&hubgate.config));
    assert_eq!(code, 3, "{output}");
    assert!(output.contains("hubgate upgrade"), "{output}");
}
