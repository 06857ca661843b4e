//! A new configuration while clients are served: all of it or nothing, and nobody who is being served notices.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::support::hubgate::{HOST, filled, one_site};
use crate::support::ports::free_addr;
use crate::support::{Client, Conn, Hubgate, Upstream, eventually, tls, within};

/// Answers when the test writes a byte more: the request is in flight until then.
pub(crate) fn held(conn: &mut Conn) {
    while let Some(head) = conn.request_head() {
        if conn.request_body(&head).is_err() {
            return;
        }
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
}

/// A request in flight: its head is at the upstream, its last byte is not.
pub(crate) fn in_flight(upstream: &Upstream, mut client: Client) -> Client {
    let before = upstream.requests().len();
    client.send("POST /held HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 2\r\n\r\nx");
    upstream.wait_requests(before + 1);
    client
}

#[track_caller]
pub(crate) fn finish(mut client: Client) {
    client.send("x");
    let response = client.response();
    assert_eq!(
        (response.text().as_str(), response.complete),
        ("ok", Ok(()))
    );
}

#[test]
fn a_refused_configuration_leaves_the_old_one_serving_and_says_why() {
    let upstream = Upstream::saying("old");
    let hubgate = Hubgate::before(upstream.addr);
    let good = fs::read_to_string(&hubgate.config).unwrap();
    for (what, text, word) in [
        ("syntax", "[site".to_owned(), "hubgate.toml:1"),
        ("unknown key", good.replace("path = ", "paht = "), "paht"),
        (
            "unknown upstream",
            good.replace("upstream = \"up\"", "upstream = \"pu\""),
            "pu",
        ),
        (
            "bad address",
            good.replace(&format!("\"{}\"", upstream.addr), "\"nowhere\""),
            "nowhere",
        ),
        (
            "no certificate file",
            good.replace(
                "\"self-signed\"",
                "{ chain = \"none.pem\", key = \"none.key\" }",
            ),
            "none.pem",
        ),
        ("empty file", String::new(), ""),
    ] {
        hubgate.rewrite_raw(&text);
        let (code, output) = hubgate.reload();
        if what != "empty file" {
            assert_eq!(code, 1, "{what}: {output}");
        }
        assert!(output.contains(word), "{what}: {output}");
        if code == 1 {
            assert_eq!(hubgate.plain().get(HOST, "/").text(), "old", "{what}");
            assert_eq!(hubgate.tls().get(HOST, "/").text(), "old", "{what}");
        } else {
            hubgate.rewrite_raw(&good);
            assert_eq!(hubgate.reload().0, 0);
        }
    }
    hubgate.rewrite_raw(&good);
    assert_eq!(hubgate.reload().0, 0);
}

#[test]
fn a_missing_file_refuses_the_reload() {
    let upstream = Upstream::saying("old");
    let hubgate = Hubgate::before(upstream.addr);
    fs::remove_file(&hubgate.config).unwrap();
    let (code, output) = hubgate.reload();
    assert_eq!(code, 1, "{output}");
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "old");
}

#[test]
fn routes_sites_and_upstreams_change_on_live_connections() {
    let (old, new) = (Upstream::saying("old"), Upstream::saying("new"));
    let hubgate = Hubgate::before(old.addr);
    let mut client = hubgate.tls();
    let mut h2 = hubgate.h2();
    assert_eq!(
        (client.get(HOST, "/").text(), h2.get("/").text()),
        ("old".into(), "old".into())
    );
    hubgate.reload_to(&one_site(new.addr, ""));
    assert_eq!(
        (client.get(HOST, "/").text(), h2.get("/").text()),
        ("new".into(), "new".into())
    );
    hubgate.reload_to(&one_site(new.addr, "").replace("path = \"/\"", "path = \"/only/\""));
    assert_eq!(
        (client.get(HOST, "/").status, h2.get("/only/").text()),
        (404, "new".into())
    );
    hubgate.reload_to(
        &(one_site(new.addr, "") + "[site.\"added.test\"]\ncertificate = \"self-signed\"\n"),
    );
    assert_eq!(
        Client::tls(hubgate.https, "added.test")
            .get("added.test", "/")
            .status,
        404
    );
    hubgate.reload_to(&one_site(new.addr, ""));
    assert_eq!(hubgate.plain().get("added.test", "/").status, 421);
}

#[test]
fn a_request_in_flight_finishes_on_the_configuration_it_began_with() {
    let upstream = Upstream::start(held);
    let hubgate = Hubgate::before(upstream.addr);
    let clients = [
        in_flight(&upstream, hubgate.plain()),
        in_flight(&upstream, hubgate.tls()),
    ];
    hubgate.reload_to(&one_site(free_addr(), "").replace("path = \"/\"", "path = \"/other/\""));
    for client in clients {
        finish(client);
    }
    assert_eq!(hubgate.plain().get(HOST, "/held").status, 404);
}

#[test]
fn listeners_are_added_and_removed_and_their_requests_in_flight_finish() {
    let upstream = Upstream::start(held);
    let listen = "[listen]\nhttp = [\"@HTTP@\"";
    let extra = free_addr();
    let base = one_site(upstream.addr, "") + listen;
    let hubgate = Hubgate::start(&(base.clone() + "]\n"));
    hubgate.reload_to(&format!("{base}, \"{extra}\"]\n"));
    within(Duration::from_secs(1), "the added listener answers", || {
        TcpStream::connect(extra).is_ok()
    });
    let client = in_flight(&upstream, Client::plain(extra));
    hubgate.reload_to(&(base + "]\n"));
    within(
        Duration::from_secs(1),
        "the removed listener refuses",
        || TcpStream::connect(extra).is_err(),
    );
    finish(client);
    finish(in_flight(&upstream, hubgate.plain()));
}

#[test]
fn an_added_listener_on_a_port_in_use_refuses_the_whole_reload() {
    let upstream = Upstream::saying("old");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let hubgate = Hubgate::before(upstream.addr);
    let addr = taken.local_addr().unwrap();
    hubgate.rewrite(
        &(one_site(free_addr(), "") + &format!("[listen]\nhttp = [\"@HTTP@\", \"{addr}\"]\n")),
    );
    let (code, output) = hubgate.reload();
    assert_eq!(code, 1, "{output}");
    assert!(output.contains(&addr.to_string()), "{output}");
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "old");
}

#[test]
fn a_plan_tells_what_would_change_and_changes_nothing() {
    let (old, new) = (Upstream::saying("old"), Upstream::saying("new"));
    let hubgate = Hubgate::before(old.addr);
    hubgate.rewrite(
        &(one_site(new.addr, "") + "[site.\"added.test\"]\ncertificate = \"self-signed\"\n"),
    );
    let (code, output) = hubgate.reload_with(&["--plan"]);
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("added.test"), "{output}");
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "old");
    assert_eq!(hubgate.plain().get("added.test", "/").status, 421);
    assert_eq!(hubgate.reload().0, 0);
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "new");
}

#[test]
fn hup_reloads_and_survives_a_bad_file() {
    let (old, new) = (Upstream::saying("old"), Upstream::saying("new"));
    let mut hubgate = Hubgate::before(old.addr);
    hubgate.rewrite(&one_site(new.addr, ""));
    hubgate.signal("HUP");
    eventually("the new configuration serves", || {
        hubgate.plain().get(HOST, "/").text() == "new"
    });
    hubgate.rewrite_raw("[site");
    hubgate.signal("HUP");
    hubgate.wait_log("hubgate.toml:1");
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "new");
    assert!(hubgate.is_running());
}

#[test]
fn a_reload_that_reaches_no_process_exits_3() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = crate::support::hubgate::command(&["reload", "--socket"]);
    let (code, output) = crate::support::hubgate::run(command.arg(dir.path().join("admin.sock")));
    assert_eq!(code, 3, "{output}");
    assert!(output.contains("admin.sock"), "{output}");
}

/// Writes a fresh certificate and key for `hub.test` with these names, and returns the certificate's DER.
fn write_pair(dir: &std::path::Path, chain: &str, key: &str) -> Vec<u8> {
    use std::os::unix::fs::PermissionsExt;
    let pair = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
    for (name, text) in [
        (key, pair.signing_key.serialize_pem()),
        (chain, pair.cert.pem()),
    ] {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    pair.cert.der().to_vec()
}

fn site_with_files(upstream: &Upstream) -> String {
    one_site(upstream.addr, "").replace(
        "\"self-signed\"",
        "{ chain = \"chain.pem\", key = \"key.pem\" }",
    )
}

#[test]
fn a_certificate_rewritten_on_disk_is_served_without_a_reload() {
    let upstream = Upstream::saying("ok");
    let dir = tempfile::tempdir().unwrap();
    let first = write_pair(dir.path(), "chain.pem", "key.pem");
    let hubgate = Hubgate::start_in(dir, &site_with_files(&upstream));
    assert_eq!(tls::certificate_of(hubgate.https, HOST), first);
    let mut open = hubgate.tls();
    let second = write_pair(hubgate.dir.path(), "chain.pem", "key.pem");
    eventually("the new certificate is shown", || {
        tls::certificate_of(hubgate.https, HOST) == second
    });
    // Written aside and renamed, as careful tools do.
    let third = write_pair(hubgate.dir.path(), "chain.new", "key.new");
    fs::rename(
        hubgate.dir.path().join("key.new"),
        hubgate.dir.path().join("key.pem"),
    )
    .unwrap();
    fs::rename(
        hubgate.dir.path().join("chain.new"),
        hubgate.dir.path().join("chain.pem"),
    )
    .unwrap();
    eventually("the renamed certificate is shown", || {
        tls::certificate_of(hubgate.https, HOST) == third
    });
    assert_eq!(open.get(HOST, "/").text(), "ok", "open connections stay");
}

#[test]
fn a_broken_certificate_on_disk_leaves_the_last_good_one() {
    let upstream = Upstream::saying("ok");
    let dir = tempfile::tempdir().unwrap();
    let good = write_pair(dir.path(), "chain.pem", "key.pem");
    let hubgate = Hubgate::start_in(dir, &site_with_files(&upstream));
    fs::write(
        hubgate.dir.path().join("chain.pem"),
        "-----BEGIN CERTIFICATE-----\nAAAA",
    )
    .unwrap();
    hubgate.wait_log("chain.pem");
    assert_eq!(tls::certificate_of(hubgate.https, HOST), good);
    let (code, output) = hubgate.reload();
    assert_eq!(code, 1, "{output}");
    assert_eq!(tls::certificate_of(hubgate.https, HOST), good);
    let renewed = write_pair(hubgate.dir.path(), "chain.pem", "key.pem");
    eventually("the next good one is shown", || {
        tls::certificate_of(hubgate.https, HOST) == renewed
    });
}

#[test]
fn fifty_reloads_leave_descriptors_and_the_size_of_pages_as_they_were() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let other = one_site(upstream.addr, "body_limit = \"1MiB\"");
    for toml in [&other, &one_site(upstream.addr, "")] {
        hubgate.reload_to(toml);
        hubgate.plain().get(HOST, "/");
    }
    let before = hubgate.descriptors();
    for _ in 0..25 {
        for toml in [&other, &one_site(upstream.addr, "")] {
            hubgate.reload_to(toml);
        }
    }
    eventually("no descriptor is left behind", || {
        hubgate.descriptors() <= before + 2
    });
    // Large ones again, which a reload does without while it is made.
    let status = |of: &str| fs::read_to_string(format!("/proc/{of}/status")).unwrap();
    let large = |of: &str| status(of).contains("THP_enabled:\t1");
    let own = hubgate.pid().to_string();
    assert_eq!(large(&own), large("self"));
}

/// What `hubgate status` gives as the generation that runs.
#[track_caller]
fn generation(hubgate: &Hubgate) -> u64 {
    let mut command = crate::support::hubgate::command(&["status", "--json", "--socket"]);
    let (code, output) = crate::support::hubgate::run(command.arg(hubgate.socket()));
    assert_eq!(code, 0, "{output}");
    let status: serde_json::Value = serde_json::from_str(&output).unwrap();
    status["generation"].as_u64().unwrap()
}

/// [`one_site`] with its file followed.
fn followed(upstream: &Upstream) -> String {
    one_site(upstream.addr, "") + "[server]\nreload_on_change = true\n"
}

/// Saves as careful editors do: a file beside it, renamed.
fn save(hubgate: &Hubgate, toml: &str) {
    let aside = hubgate.dir.path().join("hubgate.toml.new");
    fs::write(
        &aside,
        filled(toml, hubgate.dir.path(), hubgate.http, hubgate.https),
    )
    .unwrap();
    fs::rename(aside, &hubgate.config).unwrap();
}

#[track_caller]
fn eventually_says(hubgate: &Hubgate, text: &str) {
    eventually(&format!("`{text}` is served"), || {
        hubgate.plain().get(HOST, "/").text() == text
    });
}

/// Replaces the certificate beside the configuration and waits until it is shown. The two are followed in the same way
/// and with the same pauses, so what was to happen to the configuration has happened, or is about to.
#[track_caller]
fn let_a_change_pass(hubgate: &Hubgate) {
    let new = write_pair(hubgate.dir.path(), "chain.pem", "key.pem");
    eventually("the new certificate is shown", || {
        tls::certificate_of(hubgate.https, HOST) == new
    });
}

#[test]
fn a_saved_file_is_applied_without_being_asked() {
    let said = ["old", "renamed", "rewritten"].map(Upstream::saying);
    let hubgate = Hubgate::start(&followed(&said[0]));
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "old");
    save(&hubgate, &followed(&said[1]));
    eventually_says(&hubgate, "renamed");
    hubgate.rewrite(&followed(&said[2]));
    eventually_says(&hubgate, "rewritten");
}

#[test]
fn a_configuration_behind_a_flipped_symlink_is_applied_without_being_asked() {
    use std::os::unix::fs::symlink;
    let (old, new) = (Upstream::saying("old"), Upstream::saying("new"));
    let dir = tempfile::tempdir().unwrap();
    // As Kubernetes mounts a ConfigMap.
    fs::create_dir(dir.path().join("..1")).unwrap();
    symlink("..1", dir.path().join("..data")).unwrap();
    symlink("..data/hubgate.toml", dir.path().join("hubgate.toml")).unwrap();
    let hubgate = Hubgate::start_in(dir, &followed(&old));
    let at = |name: &str| hubgate.dir.path().join(name);
    assert!(at("..1/hubgate.toml").is_file());
    fs::create_dir(at("..2")).unwrap();
    fs::write(
        at("..2/hubgate.toml"),
        filled(
            &followed(&new),
            hubgate.dir.path(),
            hubgate.http,
            hubgate.https,
        ),
    )
    .unwrap();
    symlink("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    eventually_says(&hubgate, "new");
    fs::write(
        at("..2/hubgate.toml"),
        fs::read_to_string(at("..1/hubgate.toml")).unwrap(),
    )
    .unwrap();
    eventually_says(&hubgate, "old");
}

#[test]
fn a_saved_file_that_is_refused_or_empty_changes_nothing_and_the_next_good_one_is_applied() {
    let (old, new) = (Upstream::saying("old"), Upstream::saying("new"));
    let dir = tempfile::tempdir().unwrap();
    write_pair(dir.path(), "chain.pem", "key.pem");
    let on = "[server]\nreload_on_change = true\n";
    let hubgate = Hubgate::start_in(dir, &(site_with_files(&old) + on));
    save(
        &hubgate,
        &(site_with_files(&old) + on + "[upstream.no]\nendpoints = [\"nowhere\"]\n"),
    );
    hubgate.wait_log("nowhere");
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "old");
    hubgate.rewrite_raw("\n");
    hubgate.wait_log("the configuration file is empty");
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "old");
    let_a_change_pass(&hubgate);
    save(&hubgate, &(site_with_files(&new) + on));
    eventually_says(&hubgate, "new");
    let log = hubgate.log();
    assert_eq!(log.matches("configuration refused").count(), 1, "{log}");
    assert_eq!(generation(&hubgate), 2);
}

#[test]
fn touching_the_file_does_not_reload_it() {
    let (old, new) = (Upstream::saying("old"), Upstream::saying("new"));
    let dir = tempfile::tempdir().unwrap();
    write_pair(dir.path(), "chain.pem", "key.pem");
    let on = "[server]\nreload_on_change = true\n";
    let hubgate = Hubgate::start_in(dir, &(site_with_files(&old) + on));
    save(&hubgate, &(site_with_files(&old) + on));
    let_a_change_pass(&hubgate);
    save(&hubgate, &(site_with_files(&new) + on));
    eventually_says(&hubgate, "new");
    assert_eq!(generation(&hubgate), 2);
}

#[test]
fn a_saved_file_waits_for_the_reload_unless_the_running_configuration_follows_it() {
    let said = ["old", "asked for", "followed", "last"].map(Upstream::saying);
    let dir = tempfile::tempdir().unwrap();
    write_pair(dir.path(), "chain.pem", "key.pem");
    let hubgate = Hubgate::start_in(dir, &site_with_files(&said[0]));
    let first = generation(&hubgate);
    let switch = |on: bool| format!("[server]\nreload_on_change = {on}\n");

    save(&hubgate, &(site_with_files(&said[1]) + &switch(true)));
    let_a_change_pass(&hubgate);
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "old");
    assert_eq!(hubgate.reload().0, 0);
    assert_eq!(generation(&hubgate), first + 1);
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "asked for");

    save(&hubgate, &(site_with_files(&said[2]) + &switch(false)));
    eventually_says(&hubgate, "followed");
    assert_eq!(generation(&hubgate), first + 2);

    save(&hubgate, &site_with_files(&said[3]));
    let_a_change_pass(&hubgate);
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "followed");
    assert_eq!(hubgate.reload().0, 0);
    assert_eq!(generation(&hubgate), first + 3);
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "last");
}

#[test]
fn a_log_file_that_cannot_be_opened_refuses_the_reload() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    hubgate.rewrite(&(one_site(upstream.addr, "") + "[log]\nfile = \"@DIR@/none/event.log\"\n"));
    let (code, output) = hubgate.reload();
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("none/event.log"), "{output}");
}

/// How far each thread of a process steps back, by its name.
fn niceness(pid: u32) -> Vec<(String, i32)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    stats
        .map(|stat| {
            let (name, rest) = stat.rsplit_once(')').unwrap();
            let name = name.split_once('(').unwrap().1;
            let nice = rest.split_whitespace().nth(16).unwrap();
            (name.to_owned(), nice.parse().unwrap())
        })
        .collect()
}

#[test]
fn whoever_writes_a_log_that_came_with_a_reload_steps_back_for_nobody() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let before = niceness(hubgate.pid());
    let usual = before.iter().map(|(_, nice)| *nice).min().unwrap();
    let logs = "[access_log]\ntarget = \"@DIR@/access.log\"\n[log]\nfile = \"@DIR@/event.log\"\n";
    hubgate.reload_to(&(one_site(upstream.addr, "") + logs));
    assert_eq!(hubgate.plain().get(HOST, "/").status, 200);
    let after = niceness(hubgate.pid());
    let writers = |all: &[(String, i32)]| {
        let all = all.iter().filter(|(name, _)| name == "log-writer");
        all.map(|(_, nice)| *nice).collect::<Vec<_>>()
    };
    assert!(writers(&after).len() > writers(&before).len(), "{after:?}");
    assert!(
        writers(&after).iter().all(|nice| *nice == usual),
        "{after:?}"
    );
}
