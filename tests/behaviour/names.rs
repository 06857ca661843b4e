//! Endpoints by name: followed as DNS changes, kept while it fails, and never waited for by a request.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::hubgate::{HOST, command, filled, one_site, run};
use crate::support::ports::free_addr;
use crate::support::{Conn, Hubgate, NameServer, Says, Upstream, eventually, within};

/// Upstreams on one port of several addresses of this host, as one name needs them: 127.0.0.2 and so on.
fn same_port(names: &[&'static str]) -> (u16, Vec<Upstream>) {
    for _ in 0..100 {
        let first = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let more = (3..).take(names.len() - 1);
        let more = more.map(|last| TcpListener::bind(address(last, port)));
        let Ok(more) = more.collect::<Result<Vec<_>, _>>() else {
            continue;
        };
        let all = std::iter::once(first).chain(more).zip(names);
        return (
            port,
            all.map(|(on, name)| Upstream::on(on, saying(name)))
                .collect(),
        );
    }
    panic!("no port is free on all addresses");
}

fn saying(name: &'static str) -> impl Fn(&mut Conn) + Send + Sync + 'static {
    move |conn| {
        while conn.request().is_some() {
            let length = name.len();
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}"
            ));
        }
    }
}

fn address(last: u8, port: u16) -> SocketAddr {
    (ip(last), port).into()
}

fn ip(last: u8) -> IpAddr {
    [127, 0, 0, last].into()
}

fn addresses(all: &[u8], ttl: u32) -> Says {
    Says::Addresses(all.iter().map(|last| ip(*last)).collect(), ttl)
}

/// A site whose upstream has these keys for endpoints.
fn site(keys: &str, resolver: &str) -> String {
    let site = one_site("127.0.0.1:1".parse().unwrap(), "");
    site.replace("endpoints = [\"127.0.0.1:1\"]", keys) + "keep_alive = 0\n" + resolver
}

fn named(port: u16, resolver: &str) -> String {
    site(&format!("endpoints = [\"hub.test:{port}\"]"), resolver)
}

fn who(hubgate: &Hubgate) -> String {
    hubgate.plain().get(HOST, "/").text()
}

fn cause(hubgate: &Hubgate) -> String {
    hubgate
        .plain()
        .get(HOST, "/")
        .head
        .one("x-hubgate-cause")
        .to_owned()
}

/// The only upstream, as `hubgate upstream list --json` tells it.
fn listed(hubgate: &Hubgate) -> Value {
    let mut list = command(&["upstream", "list", "--json", "--socket"]);
    let (code, text) = run(list.arg(hubgate.socket()));
    assert_eq!(code, 0, "{text}");
    serde_json::from_str::<Value>(&text).unwrap()[0].clone()
}

fn endpoints(hubgate: &Hubgate) -> Vec<String> {
    let upstream = listed(hubgate);
    let all = upstream["endpoints"].as_array().unwrap().iter();
    all.map(|one| one["address"].as_str().unwrap().to_owned())
        .collect()
}

fn error(hubgate: &Hubgate) -> String {
    listed(hubgate)["names"][0]["error"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

const QUICK: &str = "min_ttl = \"50ms\"\ntimeout = \"300ms\"";

#[test]
fn traffic_follows_a_name_within_its_time() {
    let (port, _upstreams) = same_port(&["a", "b"]);
    let dns = NameServer::start();
    dns.say("hub.test", addresses(&[2], 1));
    let hubgate = Hubgate::start(&named(port, &dns.table("min_ttl = \"1s\"")));
    assert_eq!(who(&hubgate), "a", "known before the first request");
    dns.say("hub.test", addresses(&[3], 1));
    let changed = Instant::now();
    within(Duration::from_secs(10), "the other address is used", || {
        who(&hubgate) == "b"
    });
    println!(
        "traffic moved {:?} after the answer did, whose time is 1 s",
        changed.elapsed()
    );
    dns.say("hub.test", addresses(&[2, 3], 1));
    eventually("both are used", || {
        let mut all = [who(&hubgate), who(&hubgate)];
        all.sort();
        all == ["a", "b"]
    });
    let upstream = listed(&hubgate);
    let name = &upstream["names"][0];
    assert_eq!(name["name"], format!("hub.test:{port}"));
    assert_eq!(name["addresses"].as_array().unwrap().len(), 2);
    assert!(
        name["age"].as_u64().unwrap() < 60 && name["error"].is_null(),
        "{name}"
    );
    eventually("each change is told", || {
        hubgate.log().matches("upstream.endpoints").count() == 3
    });
}

#[test]
fn the_last_good_addresses_stay_whatever_name_servers_do() {
    let (port, _upstreams) = same_port(&["a"]);
    let dns = NameServer::start();
    dns.say("hub.test", addresses(&[2], 0));
    let hubgate = Hubgate::start(&named(port, &dns.table(QUICK)));
    let wrong = [
        (Says::Code(2), "SERVFAIL"),
        (Says::Code(5), "REFUSED"),
        (Says::Silence, "does not answer"),
        (Says::Garbage, "does not answer"),
        (Says::CutForGood, "cannot be asked"),
        (Says::Code(3), "no such name"),
        (Says::Code(0), "no address"),
        (Says::Alias("nobody.test"), "no such name"),
        (
            Says::Addresses(
                vec!["0.0.0.0".parse().unwrap(), "224.0.0.1".parse().unwrap()],
                9,
            ),
            "be connected to",
        ),
    ];
    for (says, told) in wrong {
        let text = format!("{says:?}");
        dns.say("hub.test", says);
        eventually(&format!("`{told}` is told for {text}"), || {
            error(&hubgate).contains(told)
        });
        assert_eq!(who(&hubgate), "a", "{text}");
        assert_eq!(
            endpoints(&hubgate),
            [address(2, port).to_string()],
            "{text}"
        );
        dns.say("hub.test", addresses(&[2], 0));
        eventually("it is well again", || error(&hubgate).is_empty());
    }
    assert!(hubgate.log().contains("upstream.names.kept"));
}

#[test]
fn a_name_that_is_empty_for_long_enough_loses_its_endpoints_and_that_is_told_loudly() {
    let (port, _upstreams) = same_port(&["a"]);
    let dns = NameServer::start();
    dns.say("hub.test", addresses(&[2], 0));
    let quick = format!("{QUICK}\nempty_after = \"2s\"");
    let hubgate = Hubgate::start(&named(port, &dns.table(&quick)));
    dns.say("hub.test", Says::Code(3));
    hubgate.wait_log("upstream.names.kept");
    assert_eq!(who(&hubgate), "a");
    hubgate.wait_log("upstream.names.gone");
    eventually("nobody is left", || {
        cause(&hubgate) == "upstream_unresolved"
    });
    dns.say("hub.test", addresses(&[2], 0));
    eventually("it is back", || who(&hubgate) == "a");
}

#[test]
fn a_name_that_nobody_knows_does_not_keep_hubgate_from_starting() {
    let (port, _upstreams) = same_port(&["a"]);
    let dns = NameServer::start();
    let toml = named(port, &dns.table(QUICK));
    let hubgate = Hubgate::start(&toml);
    assert_eq!(cause(&hubgate), "upstream_unresolved");
    dns.say("hub.test", addresses(&[2], 60));
    eventually("it is found", || who(&hubgate) == "a");
    // Nobody answers at all: the start waits a moment, and no longer.
    dns.say("hub.test", Says::Silence);
    let begun = Instant::now();
    let other = Hubgate::start(&toml);
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(cause(&other), "upstream_unresolved");
}

#[test]
fn no_request_waits_for_dns() {
    let (port, upstreams) = same_port(&["a"]);
    let dns = NameServer::start();
    dns.say("hub.test", addresses(&[2], 0));
    let hubgate = Hubgate::start(&named(
        port,
        &dns.table("min_ttl = \"50ms\"\ntimeout = \"5s\""),
    ));
    dns.say("hub.test", Says::Silence);
    let before = dns.asked("hub.test");
    eventually("it is asked in vain", || dns.asked("hub.test") > before);
    // Each question hangs for five seconds; no answer may.
    let mut slowest = Duration::ZERO;
    for _ in 0..300 {
        let begun = Instant::now();
        assert_eq!(who(&hubgate), "a");
        slowest = slowest.max(begun.elapsed());
    }
    println!("slowest of 300 requests while name servers hang: {slowest:?}");
    assert!(slowest < Duration::from_secs(4), "{slowest:?}");
    assert_eq!(upstreams[0].requests().len(), 300);
}

#[test]
fn lies_about_time_are_bounded_and_a_thousand_addresses_come_by_tcp() {
    let (port, _upstreams) = same_port(&["a"]);
    let dns = NameServer::start();
    // No time at all is not asked for all the time, and 2^31 seconds are not believed (RFC 2181 section 8).
    dns.say("hub.test", addresses(&[2], 0));
    let hubgate = Hubgate::start(&named(
        port,
        &dns.table("min_ttl = \"1s\"\nmax_ttl = \"1s\""),
    ));
    let (begun, before) = (Instant::now(), dns.asked("hub.test"));
    eventually("asked again", || dns.asked("hub.test") >= before + 4);
    assert!(
        begun.elapsed() > Duration::from_millis(900),
        "twice, for both families"
    );
    for ttl in [1 << 31, u32::MAX, i32::MAX.cast_unsigned()] {
        dns.say("hub.test", addresses(&[2], ttl));
        let before = dns.asked("hub.test");
        within(Duration::from_secs(20), "asked again", || {
            dns.asked("hub.test") >= before + 6
        });
    }
    for (count, taken) in [(1_000_u32, 1_000), (1_200, 1_000)] {
        let all = (0..count).map(|n| IpAddr::from((0x7f01_0000 + n).to_be_bytes()));
        dns.say("hub.test", Says::Addresses(all.collect(), 1));
        eventually("all of them that may be are there", || {
            endpoints(&hubgate).len() == taken
        });
    }
    hubgate.wait_log("upstream.names.many");
}

#[test]
fn a_service_gives_ports_weights_and_backups() {
    let all: Vec<_> = ["a", "b", "spare"].map(Upstream::saying).into();
    let port = |index: usize| all[index].addr.port();
    let dns = NameServer::start();
    let records = vec![
        (10, 30, port(0), "node-1.test"),
        (10, 10, port(1), "node-1.test"),
        (20, 10, port(2), "node-2.test"),
    ];
    dns.say("_http._tcp.hub.test", Says::Services(records.clone(), 0));
    dns.say("node-1.test", addresses(&[1], 0));
    dns.say("node-2.test", addresses(&[1], 0));
    let toml = site("endpoints_srv = \"_http._tcp.hub.test\"", &dns.table(QUICK));
    let hubgate = Hubgate::start(&toml);
    let seen: Vec<_> = (0..40).map(|_| who(&hubgate)).collect();
    let count = |name: &str| seen.iter().filter(|one| *one == name).count();
    assert_eq!((count("a"), count("b"), count("spare")), (30, 10, 0));
    dns.say(
        "_http._tcp.hub.test",
        Says::Services(records[2..].to_vec(), 0),
    );
    eventually("the spare one is all there is", || {
        (0..4).all(|_| who(&hubgate) == "spare")
    });
    // Its target cannot be found out about: what is known of it stays.
    dns.say("node-2.test", Says::Code(2));
    eventually("that is told", || error(&hubgate).contains("SERVFAIL"));
    assert_eq!(who(&hubgate), "spare");
    // "Not to be had" (RFC 2782) is not believed at once either.
    dns.say(
        "_http._tcp.hub.test",
        Says::Services(vec![(0, 0, 0, ".")], 0),
    );
    eventually("that is told", || error(&hubgate).contains("not to be had"));
    assert_eq!(who(&hubgate), "spare");
}

#[test]
fn names_and_addresses_mix_and_a_reload_keeps_what_is_known() {
    let (port, _upstreams) = same_port(&["a"]);
    let fixed = Upstream::saying("fixed");
    let dns = NameServer::start();
    dns.say("hub.test", addresses(&[2], 60));
    let keys = format!(
        "endpoints = [\"{}\", {{ address = \"hub.test:{port}\", backup = true }}]",
        fixed.addr
    );
    let toml = site(&keys, &dns.table(QUICK));
    let hubgate = Hubgate::start(&toml);
    assert!(
        (0..4).all(|_| who(&hubgate) == "fixed"),
        "the name is a backup"
    );
    let all = endpoints(&hubgate);
    assert_eq!(all, [fixed.addr.to_string(), address(2, port).to_string()]);
    let disabled = fixed.addr.to_string();
    let mut say = command(&["upstream", "disable", &disabled, "--socket"]);
    assert_eq!(run(say.arg(hubgate.socket())).0, 0);
    assert_eq!(who(&hubgate), "a");
    // Name servers are gone when the upstream changes; nothing that is known goes with them.
    dns.say("hub.test", Says::Silence);
    let asked = dns.asked("hub.test");
    hubgate.reload_to(&toml.replace("keep_alive = 0", "keep_alive = 1"));
    assert_eq!(
        (who(&hubgate), dns.asked("hub.test")),
        ("a".to_owned(), asked)
    );
    // A reload to a name that is new waits for it.
    dns.say("other.test", addresses(&[2], 60));
    hubgate.reload_to(&named(port, &dns.table(QUICK)).replace("hub.test:", "other.test:"));
    assert_eq!(who(&hubgate), "a");
    let (code, plan) = {
        hubgate.rewrite(&named(port, &dns.table("")).replace("hub.test:", "third.test:"));
        hubgate.reload_with(&["--plan"])
    };
    assert_eq!(code, 0, "{plan}");
    assert!(
        plan.contains("third.test") && plan.contains("min_ttl"),
        "{plan}"
    );
}

#[test]
fn localhost_needs_no_name_server() {
    let upstream = Upstream::saying("here");
    let port = upstream.addr.port();
    let nobody = format!(
        "[resolver]\nservers = [\"{}\"]\nipv6 = false\n",
        free_addr()
    );
    let toml = site(&format!("endpoints = [\"localhost:{port}\"]"), &nobody);
    let hubgate = Hubgate::start(&toml);
    assert_eq!(who(&hubgate), "here");
}

#[test]
fn check_and_doctor_tell_of_names_that_nobody_knows() {
    let (port, _upstreams) = same_port(&["a"]);
    let dns = NameServer::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hubgate.toml");
    let toml = named(port, &dns.table(QUICK));
    std::fs::write(&file, filled(&toml, dir.path(), free_addr(), free_addr())).unwrap();
    let (code, text) = run(command(&["check", "-c"]).arg(&file));
    assert_eq!(code, 0, "it can be run: {text}");
    assert!(
        text.contains("hub.test") && text.contains("no such name"),
        "{text}"
    );
    let (code, text) = run(command(&["doctor", "-c"]).arg(&file));
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("hub.test") && text.contains("no such name"),
        "{text}"
    );
    dns.say("hub.test", addresses(&[2], 60));
    let (code, text) = run(command(&["check", "-c"]).arg(&file));
    assert!(code == 0 && !text.contains("warning"), "{text}");
    let (code, text) = run(command(&["doctor", "-c"]).arg(&file));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(&address(2, port).to_string()), "{text}");
}

/// dnsmasq with these further arguments, ended when it is dropped.
struct Dnsmasq {
    addr: SocketAddr,
    hosts: tempfile::NamedTempFile,
    child: Child,
}

impl Dnsmasq {
    /// `None` where dnsmasq is not installed.
    fn start(more: &[&str]) -> Option<Self> {
        let program = ["/usr/sbin/dnsmasq", "/usr/bin/dnsmasq"];
        let program = program.iter().find(|path| std::fs::exists(path).unwrap())?;
        // Another may take the port between the look for one that is free and its use.
        (0..10).find_map(|_| Self::on(program, free_addr(), more))
    }

    /// `None` where the port is another's.
    fn on(program: &str, addr: SocketAddr, more: &[&str]) -> Option<Self> {
        let hosts = tempfile::NamedTempFile::new().unwrap();
        let child = Command::new(program)
            .args([
                "--keep-in-foreground",
                "--no-resolv",
                "--no-hosts",
                "--no-daemon",
                "--user=root",
            ])
            .args([
                "--conf-file=/dev/null",
                "--bind-interfaces",
                "--listen-address=127.0.0.1",
                "--local-ttl=1",
            ])
            .arg(format!("--port={}", addr.port()))
            .arg(format!("--addn-hosts={}", hosts.path().display()))
            .args(more)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut own = Self { addr, hosts, child };
        let mut ended = false;
        eventually("dnsmasq listens, or ends", || {
            ended = own.child.try_wait().unwrap().is_some();
            ended || TcpListener::bind(addr).is_err()
        });
        (!ended).then_some(own)
    }

    /// Knows these names instead.
    fn knows(&self, hosts: &str) {
        std::fs::write(self.hosts.path(), hosts).unwrap();
        let sent = Command::new("kill")
            .arg("-HUP")
            .arg(self.child.id().to_string())
            .status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_name_server_is_followed_from_address_to_address() {
    let (port, _upstreams) = same_port(&["a", "b"]);
    let service = format!("--srv-host=_http._tcp.hub.test,hub.test,{port},0,5");
    let Some(dns) = Dnsmasq::start(&[&service, "--cname=alias.test,hub.test", "--local=/test/"])
    else {
        println!("NOT TESTED: dnsmasq is not installed");
        return;
    };
    dns.knows("127.0.0.2 hub.test\n");
    let table = format!(
        "[resolver]\nservers = [\"{}\"]\nmin_ttl = \"100ms\"\n",
        dns.addr
    );
    for keys in [
        format!("endpoints = [\"hub.test:{port}\"]"),
        format!("endpoints = [\"alias.test:{port}\"]"),
        "endpoints_srv = \"_http._tcp.hub.test\"".to_owned(),
    ] {
        let hubgate = Hubgate::start(&site(&keys, &table));
        eventually(&format!("{keys}: the first"), || who(&hubgate) == "a");
        dns.knows("127.0.0.3 hub.test\n");
        eventually(&format!("{keys}: the second"), || {
            (0..4).all(|_| who(&hubgate) == "b")
        });
        // Emptied, it says NXDOMAIN.
        dns.knows("");
        hubgate.wait_log("upstream.names.kept");
        assert_eq!(who(&hubgate), "b");
        dns.knows("127.0.0.2 hub.test\n127.0.0.3 hub.test\n");
        eventually(&format!("{keys}: both"), || endpoints(&hubgate).len() == 2);
        dns.knows("127.0.0.2 hub.test\n");
    }
    // More than 512 bytes: by TCP.
    let many: String = (1..=200)
        .map(|n| format!("127.0.1.{n} many.test\n"))
        .collect();
    dns.knows(&many);
    let toml = site(&format!("endpoints = [\"many.test:{port}\"]"), &table);
    let hubgate = Hubgate::start(&toml);
    eventually("all are there", || endpoints(&hubgate).len() == 200);
}
