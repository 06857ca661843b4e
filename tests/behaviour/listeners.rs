//! Where connections come in: unix sockets, options of sockets, addresses that others have, and a system out of descriptors.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::h2_frames::{self, Outcome, PREFACE, SETTINGS, frame};
use crate::support::hubgate::{HOST, command, filled, one_site, run};
use crate::support::ports::free_addr;
use crate::support::skip::can_be_shown;
use crate::support::wire::Wire;
use crate::support::{Client, Hubgate, Upstream, eventually};

fn unix(path: &Path) -> Client {
    Client::unix(path)
}

/// The exit code of a start with this configuration, and what it printed.
fn refused_start(toml: &str, dir: &TempDir) -> (i32, String) {
    let config = dir.path().join("hubgate.toml");
    fs::write(&config, filled(toml, dir.path(), free_addr(), free_addr())).unwrap();
    let start = Instant::now();
    let refused = run(command(&["run", "-c"]).arg(&config));
    assert!(start.elapsed() < Duration::from_secs(2), "{refused:?}");
    refused
}

#[test]
fn sites_are_served_on_unix_sockets_which_go_with_the_process() {
    let upstream = Upstream::saying("ok");
    let site = one_site(upstream.addr, "") + "[server]\nworkers = 2\n";
    let mut hubgate = Hubgate::start(
        &(site
            + "[listen]\nhttp = [\"@HTTP@\", { address = \"unix:@DIR@/http.sock\", mode = \"0640\", backlog = 9 }]\n\
               https = [\"@HTTPS@\", \"unix:@DIR@/https.sock\"]\n"),
    );
    let (http, https) = (
        hubgate.dir.path().join("http.sock"),
        hubgate.dir.path().join("https.sock"),
    );
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&http), mode(&https)), (0o640, 0o660));
    for _ in 0..4 {
        assert_eq!(unix(&http).get(HOST, "/").text(), "ok");
    }
    assert_eq!(
        upstream.last_request().head.one("x-forwarded-for"),
        "127.0.0.1"
    );
    let mut tls = Client::tls_over(unix_stream(&https), HOST);
    assert_eq!(tls.get(HOST, "/").text(), "ok");
    drop(tls);
    assert!(hubgate.stop_and_wait().success());
    assert!(!http.exists() && !https.exists());
}

fn unix_stream(path: &Path) -> std::net::TcpStream {
    let stream = std::os::unix::net::UnixStream::connect(path).unwrap();
    std::os::fd::OwnedFd::from(stream).into()
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_or_a_file_never() {
    let upstream = Upstream::saying("ok");
    let toml =
        one_site(upstream.addr, "") + "[listen]\nhttp = [\"@HTTP@\", \"unix:@DIR@/http.sock\"]\n";
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("http.sock");
    let live = UnixListener::bind(&path).unwrap();
    let (code, output) = refused_start(&toml, &dir);
    assert_eq!(code, 3, "{output}");
    assert!(
        output.contains("http.sock") && output.contains("in use"),
        "{output}"
    );
    drop(live);
    let hubgate = Hubgate::start_in(dir, &toml);
    assert_eq!(unix(&path).get(HOST, "/").text(), "ok");
    let without = one_site(upstream.addr, "");
    hubgate.reload_to(&without);
    eventually("the socket goes with its listener", || !path.exists());
    fs::write(&path, "precious").unwrap();
    hubgate.rewrite(&toml);
    let (code, output) = hubgate.reload();
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("is no socket"), "{output}");
    fs::remove_file(&path).unwrap();
    hubgate.reload_to(&toml);
    assert_eq!(unix(&path).get(HOST, "/").text(), "ok");
    hubgate.reload_to(&toml.replace(
        "\"unix:@DIR@/http.sock\"",
        "{ address = \"unix:@DIR@/http.sock\", mode = \"0600\" }",
    ));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(unix(&path).get(HOST, "/").text(), "ok");
}

#[test]
fn a_program_on_a_unix_socket_may_speak_for_its_clients() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::start(
        &(one_site(upstream.addr, "")
            + "[listen]\nhttp = [\"@HTTP@\", \"unix:@DIR@/http.sock\"]\n\
               proxy_protocol_from = [\"127.0.0.1\"]\nproxy_protocol_required = [\"unix:@DIR@/http.sock\"]\n"),
    );
    let mut client = unix(&hubgate.dir.path().join("http.sock"));
    client.send("PROXY TCP4 192.0.2.7 198.51.100.1 8080 443\r\n");
    assert_eq!(client.get(HOST, "/").text(), "ok");
    assert_eq!(upstream.last_request().head.one("x-real-ip"), "192.0.2.7");
}

#[test]
fn the_process_that_has_a_port_is_named_at_start_and_at_reload() {
    let upstream = Upstream::saying("ok");
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let toml =
        one_site(upstream.addr, "") + &format!("[listen]\nhttp = [\"@HTTP@\", \"{taken}\"]\n");
    let named = format!("pid {}", std::process::id());
    let (code, output) = refused_start(&toml, &TempDir::new().unwrap());
    assert_eq!(code, 3, "{output}");
    assert!(
        output.contains(&named) && output.contains(&taken.to_string()),
        "{output}"
    );
    let hubgate = Hubgate::start(&one_site(upstream.addr, ""));
    hubgate.rewrite(&toml);
    let (code, output) = hubgate.reload();
    assert_eq!(code, 1, "{output}");
    assert!(output.contains(&named), "{output}");
    drop(holder);
    assert_eq!(hubgate.reload().0, 0);
    assert_eq!(Client::plain(taken).get(HOST, "/").text(), "ok");
}

#[test]
fn one_socket_for_all_workers_and_one_that_takes_both_families_serve_and_follow_a_reload() {
    let upstream = Upstream::saying("ok");
    let (one, both) = (free_addr(), free_addr().port());
    let toml = |options: &str| {
        format!(
            "{}[server]\nworkers = 3\n[listen]\nhttp = [\"@HTTP@\", {{ address = \"{one}\", reuse_port = false{options} }}, \
             {{ address = \"[::]:{both}\", ipv6_only = false, fast_open = 16 }}]\n",
            one_site(upstream.addr, "")
        )
    };
    let hubgate = Hubgate::start(&toml(""));
    for _ in 0..6 {
        assert_eq!(Client::plain(one).get(HOST, "/").text(), "ok");
    }
    let v4 = format!("127.0.0.1:{both}").parse().unwrap();
    assert_eq!(Client::plain(v4).get(HOST, "/").text(), "ok");
    assert_eq!(upstream.last_request().head.one("x-real-ip"), "127.0.0.1");
    hubgate.rewrite(&toml(", backlog = 77, tcp_keep_alive = { idle = \"30s\" }"));
    let (code, output) = hubgate.reload();
    assert_eq!(code, 0, "{output}");
    assert!(
        output.contains("backlog") && !output.contains("next start"),
        "{output}"
    );
    assert_eq!(Client::plain(one).get(HOST, "/").text(), "ok");
    hubgate.rewrite(&toml("").replace(", reuse_port = false", ""));
    let (code, output) = hubgate.reload();
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("next start"), "{output}");
}

#[test]
fn connections_that_wait_at_a_listener_are_served_though_it_is_removed() {
    let upstream = Upstream::saying("ok");
    let extra = free_addr();
    let listen = |more: &str| {
        format!(
            "{}[server]\nworkers = 2\n[listen]\nhttp = [\"@HTTP@\"{more}]\n",
            one_site(upstream.addr, "")
        )
    };
    let hubgate = Hubgate::start(&listen(&format!(", \"{extra}\"")));
    hubgate.rewrite(&listen(""));
    hubgate.signal("STOP");
    let waiting: Vec<_> = (0..40)
        .map(|_| {
            let mut client = Client::plain(extra);
            client.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
            client
        })
        .collect();
    hubgate.signal("HUP");
    hubgate.signal("CONT");
    for mut client in waiting {
        assert_eq!(client.response().text(), "ok");
    }
    eventually("the listener is gone", || {
        std::net::TcpStream::connect(extra).is_err()
    });
}

/// Nothing is accepted while `starve` holds and until `relieve`: it tries ten times a second, no more, says so once, and
/// serves those that waited.
fn waits_instead_of_spinning(
    more: impl Fn(&mut Command),
    starve: impl FnOnce(&Hubgate),
    relieve: impl FnOnce(&Hubgate, Vec<Client>),
    advice: &str,
) {
    let upstream = Upstream::saying("ok");
    let status = free_addr();
    let toml = one_site(upstream.addr, "") + &format!("[admin]\nlisten = \"{status}\"\n");
    let hubgate = Hubgate::start_with(TempDir::new().unwrap(), &toml, more);
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
    let mut counting = Client::plain(status);
    let mut failed = || -> u64 {
        let page = counting.get("127.0.0.1", "/metrics").text();
        let line = page
            .lines()
            .find(|line| line.starts_with("hubgate_accepts_failed_total "));
        line.unwrap().split(' ').nth(1).unwrap().parse().unwrap()
    };
    assert_eq!(failed(), 0);
    starve(&hubgate);
    let crowd: Vec<_> = (0..40).map(|_| hubgate.plain()).collect();
    eventually("accepts fail", || failed() > 0);
    let (before, since) = (hubgate.cpu_time(), Instant::now());
    let wanted = failed() + 10;
    eventually("accepts go on failing", || failed() >= wanted);
    let (used, took) = (hubgate.cpu_time() - before, since.elapsed());
    // As many listeners as there are workers may each have tried ten times a second.
    let tried = std::thread::available_parallelism().unwrap().get();
    let least = Duration::from_millis(800) / u32::try_from(tried).unwrap();
    assert!(took > least, "{took:?} for 10 tries");
    assert!(used < took / 4, "{used:?} of {took:?} were spent");
    relieve(&hubgate, crowd);
    eventually("clients are served again", || {
        let client = hubgate
            .plain()
            .try_exchange(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        client.is_ok_and(|response| response.status == 200)
    });
    let log = hubgate.log();
    let told = log.matches("cannot accept connections").count();
    assert!((1..=2 * tried).contains(&told), "told {told} times");
    assert!(log.contains(advice), "{log}");
}

#[test]
fn without_descriptors_it_waits_instead_of_spinning_says_so_once_and_recovers() {
    waits_instead_of_spinning(
        |_| {},
        |hubgate| hubgate.limit_descriptors(hubgate.descriptors() + 6),
        |_, crowd| drop(crowd),
        "`LimitNOFILE=`",
    );
}

/// What the whole machine has nothing left of cannot be made for one process: its accept4(2) says so instead.
#[test]
fn without_what_the_system_gives_it_waits_and_serves_those_that_waited() {
    let dir = TempDir::new().unwrap();
    let (library, number) = (dir.path().join("fails.so"), dir.path().join("number"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/accept_fails.c");
    let mut compile = Command::new("cc");
    compile
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source]);
    let made = compile.arg("-ldl").status();
    let missing = (!made.is_ok_and(|made| made.success())).then_some("a C compiler, `cc`");
    if !can_be_shown(missing) {
        return;
    }
    for (code, advice) in [
        (libc::ENFILE, "`sysctl fs.file-max`"),
        (libc::ENOBUFS, "memory for sockets"),
        (libc::ENOMEM, "memory for sockets"),
    ] {
        waits_instead_of_spinning(
            |command| {
                command
                    .env("LD_PRELOAD", &library)
                    .env("ACCEPT_FAILS", &number);
            },
            |_| fs::write(&number, code.to_string()).unwrap(),
            |_, crowd| {
                fs::remove_file(&number).unwrap();
                for mut client in crowd {
                    assert_eq!(client.get(HOST, "/").text(), "ok");
                }
            },
            advice,
        );
    }
}

#[test]
fn http2_without_tls_is_spoken_where_the_configuration_says_so_and_begins_with_its_preface() {
    let upstream = Upstream::saying("ok");
    let site = one_site(upstream.addr, "");
    let hubgate = Hubgate::start(&(site + "[listen]\nh2c = [\"@HTTP@\"]\n"));
    let mut wire = Wire::new(std::net::TcpStream::connect(hubgate.http).unwrap());
    let begin = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
    // In two pieces, the first of which could still be a request of HTTP/1.
    wire.send(&begin[..9]);
    std::thread::yield_now();
    wire.send(&begin[9..]);
    let head: [(&str, &[u8]); 4] = [
        (":method", b"GET"),
        (":scheme", b"http"),
        (":authority", HOST.as_bytes()),
        (":path", b"/"),
    ];
    let answered = h2_frames::outcome_of(&mut wire, &head);
    assert_eq!(answered, Outcome::Answered("ok".to_owned()));
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "ok");
}

#[test]
fn http2_without_tls_needs_a_listener_of_plain_http() {
    let dir = TempDir::new().unwrap();
    let toml = one_site("127.0.0.1:1".parse().unwrap(), "") + "[listen]\nh2c = [\"@HTTPS@\"]\n";
    let (code, printed) = refused_start(&toml, &dir);
    assert_eq!(code, 1, "{printed}");
    assert!(
        printed.contains("not listened on for plain HTTP"),
        "{printed}"
    );
}

#[test]
fn a_program_on_a_unix_socket_has_no_address_and_may_name_its_clients() {
    let what = "$remote_addr|$remote_port|$server_addr|$binary_remote_addr|$realip_remote_addr|$proxy_add_x_forwarded_for";
    let hubgate = Hubgate::start(&format!(
        "[listen]\nhttp = [\"@HTTP@\", {{ address = \"unix:@DIR@/http.sock\", mode = \"0666\" }}]\nhttps = [\"@HTTPS@\"]\n\
         [access_log]\ntarget = \"@DIR@/access.log\"\nformat = \"$remote_addr|$remote_port|$status\"\n\
         [site.\"{HOST}\"]\ncertificate = \"self-signed\"\nhttp = \"forward\"\n\
         [[site.\"{HOST}\".route]]\npath = \"/\"\nrespond = {{ body = \"{what}\" }}\n\
         [[site.\"{HOST}\".route]]\npath = \"/named/\"\nclient_address = {{ from = [\"unix:\"], header = \"X-Real-IP\" }}\n\
         respond = {{ body = \"$remote_addr\" }}\n"
    ));
    let path = hubgate.dir.path().join("http.sock");
    let expected = format!("unix:||unix:{}|unix:|unix:|unix:", path.display());
    assert_eq!(unix(&path).get(HOST, "/").text(), expected);
    let named = |client: &mut Client| {
        let request =
            format!("GET /named/ HTTP/1.1\r\nHost: {HOST}\r\nX-Real-IP: 192.0.2.7\r\n\r\n");
        client.exchange(request).text()
    };
    assert_eq!(named(&mut unix(&path)), "192.0.2.7");
    assert_eq!(named(&mut hubgate.plain()), "127.0.0.1");
    let log = hubgate.dir.path().join("access.log");
    eventually("the log says so", || {
        let log = fs::read_to_string(&log).unwrap_or_default();
        log.starts_with("unix:||200\n192.0.2.7|")
    });
}

#[test]
fn plain_http_on_a_port_for_tls_is_led_where_its_site_says() {
    let hubgate = Hubgate::start(&format!(
        "[listen]\nhttp = [\"@HTTP@\"]\nhttps = []\n\
         [site.\"{HOST}\"]\ncertificate = \"self-signed\"\nlisten = [{{ address = \"@HTTPS@\", tls = true }}]\n\
         errors = [{{ on = [497], to = \"https://$host$request_uri\", status = 301 }}]\n\
         [[site.\"{HOST}\".route]]\npath = \"/\"\nrespond = {{ body = \"x\" }}\n\
         [site.other]\nhosts = [\"other.example\"]\ncertificate = \"none\"\nlisten = [\"@HTTP@\"]\n\
         [[site.other.route]]\npath = \"/\"\nrespond = {{ body = \"x\" }}\n"
    ));
    let answer = Client::plain(hubgate.https).get(HOST, "/a?b");
    assert_eq!(answer.status, 301);
    let location = format!("https://{HOST}/a?b");
    assert_eq!(answer.head.one("location"), location);
    assert_eq!(hubgate.tls().get(HOST, "/").text(), "x");
}
