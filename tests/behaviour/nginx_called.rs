//! Called as `nginx`: what unit files, hooks, log watchers and nginx's own test suite do with it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::ports::free_addr;
use crate::support::skip::can_be_shown;
use crate::support::{Client, Upstream, within};

const LONG: Duration = Duration::from_secs(30);

/// A folder with an `nginx` in it, and a configuration.
struct Nginx {
    dir: TempDir,
    addr: SocketAddr,
}

impl Nginx {
    fn new(main: &str, upstream: SocketAddr) -> Self {
        let dir = TempDir::new().unwrap();
        symlink(env!("CARGO_BIN_EXE_hubgate"), dir.path().join("nginx")).unwrap();
        let own = Self {
            dir,
            addr: free_addr(),
        };
        let (addr, logs) = (own.addr, own.path("access.log"));
        own.write(&format!(
            "{main}\nevents {{ }}\nhttp {{\n access_log {};\n server {{\n listen {addr};\n server_name localhost;\n location / {{ proxy_pass http://{upstream}; }}\n }}\n}}\n",
            logs.display()
        ));
        own
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, text: &str) {
        fs::write(self.path("nginx.conf"), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// As nginx's own tests call it.
    fn command(&self, more: &[&str]) -> Command {
        let dir = self.dir.path().display();
        let globals = format!("pid {dir}/nginx.pid; error_log {dir}/error.log debug;");
        let mut command = Command::new(self.path("nginx"));
        command
            .args([
                "-p",
                &format!("{dir}/"),
                "-c",
                "nginx.conf",
                "-e",
                "error.log",
            ])
            .args(more)
            .args(["-g", &globals])
            .stdin(Stdio::null());
        command
    }

    fn output(&self, more: &[&str]) -> (i32, String) {
        let Output { status, stderr, .. } = self.command(more).output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        (status.code().unwrap_or(-1), said)
    }

    fn start(&self) -> Child {
        let child = self.command(&[]).spawn().unwrap();
        within(LONG, "the pid file is there", || {
            self.path("nginx.pid").exists()
        });
        assert_eq!(self.pid(), child.id());
        child
    }

    fn pid(&self) -> u32 {
        self.read("nginx.pid").trim().parse().unwrap()
    }

    fn logged(&self, sentence: &str) {
        within(LONG, sentence, || self.read("error.log").contains(sentence));
    }

    fn get(&self) -> String {
        // As nginx's own tests ask: lines end as the text of the test does.
        let answer = Client::plain(self.addr).exchange(b"GET / HTTP/1.0\nHost: localhost\n\n");
        answer.text()
    }
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

fn is_gone(pid: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat"));
    state.map_or(true, |text| text.contains(") Z "))
}

#[test]
fn one_worker_serves_where_the_file_says_no_number() {
    let upstream = Upstream::saying("hello");
    let nginx = Nginx::new("daemon off;", upstream.addr);
    let mut child = nginx.start();
    for _ in 0..12 {
        assert_eq!(nginx.get(), "hello");
    }
    // Workers share no connections.
    assert_eq!(upstream.connections(), 1);
    signal(child.id(), "QUIT");
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_harness_of_nginxs_own_tests_starts_reloads_and_stops_it() {
    let upstream = Upstream::saying("hello");
    let nginx = Nginx::new("daemon off;", upstream.addr);
    let mut child = nginx.start();
    // The pid file appears only once the sockets listen.
    assert_eq!(nginx.get(), "hello");
    signal(child.id(), "HUP");
    nginx.logged("signal 1 (SIGHUP) received, reconfiguring");
    nginx.logged("gracefully shutting down");
    assert_eq!(nginx.get(), "hello");
    nginx.write("events { }\nhttp { oops on; }\n");
    signal(child.id(), "HUP");
    nginx.logged("[emerg]");
    nginx.logged("unknown directive \"oops\" in");
    assert_eq!(nginx.get(), "hello");
    signal(child.id(), "USR1");
    nginx.logged("signal 10 (SIGUSR1) received, reopening logs");
    signal(child.id(), "QUIT");
    let mut ended = None;
    within(LONG, "it ends", || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.unwrap().code(), Some(0));
    assert!(!nginx.path("nginx.pid").exists());
    let log = nginx.read("error.log");
    for sentence in [
        "start worker processes",
        "signal 3 (SIGQUIT) received, shutting down",
    ] {
        assert!(log.contains(sentence), "{sentence}: {log}");
    }
    assert!(log.trim_end().ends_with(": exit"), "{log}");
    assert!(!log.contains("[alert]"), "{log}");
    let lines = nginx.read("access.log");
    assert_eq!(lines.lines().count(), 3, "{lines}");
    assert!(
        lines.contains("\"GET / HTTP/1.0\" 200 5 \"-\" \"-\""),
        "{lines}"
    );
}

#[test]
fn a_configuration_is_tested_and_shown_without_being_run() {
    let nginx = Nginx::new("# mine\ndaemon off;", free_addr());
    let file = nginx.path("nginx.conf");
    let file = file.display();
    let (code, said) = nginx.output(&["-t"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!(
        "nginx: the configuration file {file} syntax is ok\n"
    )));
    assert!(said.contains(&format!(
        "nginx: configuration file {file} test is successful\n"
    )));
    assert_eq!(nginx.output(&["-t", "-q"]), (0, String::new()));
    let shown = nginx.command(&["-T", "-q"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.starts_with(&format!("# configuration file {file}:\n# mine\n")),
        "{shown}"
    );
    nginx.write("events { }\n}\n");
    let (code, said) = nginx.output(&["-t"]);
    assert_eq!(code, 1);
    assert_eq!(
        said,
        format!(
            "nginx: [emerg] unexpected \"}}\" in {file}:2\nnginx: configuration file {file} test failed\n"
        )
    );
    assert!(nginx.read("error.log").contains("[emerg]"));
    assert!(!nginx.path("nginx.pid").exists());
    let (code, said) = nginx.output(&["-s", "reload"]);
    assert_eq!(code, 1, "a signal needs the configuration, too: {said}");
}

#[test]
fn a_daemon_is_left_behind_once_it_serves_and_obeys_signals() {
    let upstream = Upstream::saying("hello");
    let nginx = Nginx::new("worker_processes 1;", upstream.addr);
    let (code, said) = nginx.output(&["-s", "quit"]);
    let pid_file = nginx.path("nginx.pid");
    assert_eq!(code, 1);
    assert_eq!(
        said,
        format!(
            "nginx: [error] open() \"{}\" failed (2: No such file or directory)\n",
            pid_file.display()
        )
    );
    assert_eq!(nginx.output(&[]), (0, String::new()));
    let pid = nginx.pid();
    assert_eq!(nginx.get(), "hello");
    assert_eq!(nginx.output(&["-s", "reload"]), (0, String::new()));
    nginx.logged("signal process started");
    nginx.logged("signal 1 (SIGHUP) received, reconfiguring");
    // A second one finds the port taken, says so and leaves the first one's file alone.
    let (code, said) = nginx.output(&[]);
    assert_eq!(code, 1);
    let bind = format!(
        "nginx: [emerg] bind() to {} failed (98: Address already in use)",
        nginx.addr
    );
    assert!(said.contains(&bind), "{said}");
    assert_eq!(nginx.pid(), pid);
    signal(pid, "WINCH");
    nginx.logged("signal 28 (SIGWINCH) received, stop accepting connections");
    assert_eq!(nginx.output(&["-s", "reload"]), (0, String::new()));
    assert_eq!(nginx.get(), "hello");
    assert_eq!(nginx.output(&["-s", "stop"]), (0, String::new()));
    within(LONG, "it ends", || is_gone(pid));
    assert!(!pid_file.exists());
}

#[test]
fn a_new_binary_takes_over_and_the_old_one_is_in_oldbin_until_it_ends() {
    let upstream = Upstream::saying("hello");
    let nginx = Nginx::new("", upstream.addr);
    assert_eq!(nginx.output(&[]), (0, String::new()));
    let old = nginx.pid();
    assert_eq!(nginx.get(), "hello");
    signal(old, "USR2");
    within(LONG, "another process serves", || {
        nginx.path("nginx.pid").exists() && nginx.read("nginx.pid").trim() != old.to_string()
    });
    let new = nginx.pid();
    // The old one has nothing to do and waits to be sent away.
    nginx.logged("the successor serves");
    assert_eq!(listed(new), listed(old));
    assert_eq!(nginx.read("nginx.pid.oldbin").trim(), old.to_string());
    signal(new, "USR2");
    within(LONG, "a third process serves", || {
        let (old, now) = (nginx.read("nginx.pid.oldbin"), nginx.read("nginx.pid"));
        old.trim() == new.to_string() && !now.is_empty() && now != old
    });
    within(LONG, "the first is not waited for any more", || {
        is_gone(old)
    });
    let (old, new) = (new, nginx.pid());
    signal(old, "QUIT");
    within(LONG, "the old one ends", || is_gone(old));
    within(LONG, "and its file is gone", || {
        !nginx.path("nginx.pid.oldbin").exists()
    });
    assert_eq!(nginx.get(), "hello");
    assert_eq!(nginx.output(&["-s", "quit"]), (0, String::new()));
    within(LONG, "the new one ends", || is_gone(new));
    drop(TcpListener::bind(nginx.addr).unwrap());
}

/// What the kernel calls a process, and the beginning of what listings show of it.
fn listed(pid: u32) -> (String, String) {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    let title = read("cmdline").replace('\0', " ");
    let program = title.split(" -").next().unwrap_or_default();
    let program = program.split(" run").next().unwrap_or_default();
    (read("comm"), program.to_owned())
}

#[test]
fn monitoring_finds_it_by_the_name_and_the_title_that_nginx_has() {
    let upstream = Upstream::saying("hello");
    let nginx = Nginx::new("worker_processes 1;", upstream.addr);
    let program = nginx.path("nginx").display().to_string();
    let want = (
        "nginx\n".to_owned(),
        format!("nginx: master process {program}"),
    );
    assert_eq!(nginx.output(&[]), (0, String::new()));
    let pid = nginx.pid();
    assert_eq!(listed(pid), want);
    let by_name = |more: &[&str]| {
        let done = Command::new("start-stop-daemon")
            .args(["--stop", "--quiet", "--name", "nginx", "--pidfile"])
            .arg(nginx.path("nginx.pid"))
            .args(more)
            .status();
        assert!(done.unwrap().success(), "{more:?}");
    };
    // As Debian's script rotates the logs and ends it.
    fs::rename(nginx.path("access.log"), nginx.path("access.log.1")).unwrap();
    by_name(&["--signal", "USR1"]);
    within(LONG, "the log is there anew", || {
        nginx.path("access.log").exists()
    });
    by_name(&["--retry", "QUIT/5"]);
    assert!(is_gone(pid));
    let nginx = Nginx::new("daemon off;", upstream.addr);
    let mut child = nginx.start();
    let (name, title) = listed(child.id());
    assert_eq!(name, want.0);
    assert!(title.starts_with("nginx: master process "), "{title}");
    signal(child.id(), "TERM");
    assert!(child.wait().unwrap().success());
}

#[test]
fn it_says_what_it_is_and_what_it_lacks() {
    let nginx = Nginx::new("", free_addr());
    let (code, said) = nginx.output(&["-V"]);
    assert_eq!(code, 0);
    for part in [
        "nginx version: nginx/1.22.1",
        "TLS SNI support enabled",
        "configure arguments: ",
        "--with-http_ssl_module",
        "--without-http_fastcgi_module",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(
        nginx.output(&["-x"]),
        (1, "nginx: invalid option: \"x\"\n".to_owned())
    );
}

#[test]
fn a_host_without_an_address_refuses_the_start_and_a_reload_keeps_what_there_was() {
    let upstream = Upstream::saying("hello");
    let nginx = Nginx::new("daemon off;", upstream.addr);
    let good = nginx.read("nginx.conf");
    let bad = good.replace(&upstream.addr.to_string(), "nosuch.invalid");
    let file = nginx.path("nginx.conf");
    let refused = format!(
        "[emerg] host not found in upstream \"nosuch.invalid\" in {}:8",
        file.display()
    );
    nginx.write(&bad);
    let (code, said) = nginx.output(&[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&refused), "{said}");
    // What only a request names is nobody's affair before there is one.
    nginx.write(&bad.replace("nosuch.invalid", "nosuch.invalid$uri"));
    assert_eq!(nginx.output(&["-t", "-q"]).0, 0);
    nginx.write(&good);
    let mut child = nginx.start();
    nginx.write(&bad);
    signal(child.id(), "HUP");
    nginx.logged("host not found in upstream \"nosuch.invalid\"");
    assert_eq!(nginx.get(), "hello");
    signal(child.id(), "QUIT");
    within(LONG, "it ends", || child.try_wait().unwrap().is_some());
}

#[test]
fn logs_are_there_before_a_line_is_and_programs_on_unix_sockets_are_told_as_unix() {
    let nginx = Nginx::new("daemon off;", free_addr());
    let (socket, stream) = (nginx.path("s"), nginx.path("t"));
    nginx.write(&format!(
        "daemon off;\nevents {{ }}\nhttp {{\n access_log http.log;\n server {{\n listen unix:{};\n access_log server.log;\n root none;\n location /in {{ access_log in.log; }}\n }}\n}}\nstream {{ server {{ listen unix:{}; proxy_pass {}; }} }}\n",
        socket.display(),
        stream.display(),
        free_addr()
    ));
    let mut child = nginx.start();
    for name in ["http.log", "server.log", "in.log"] {
        assert_eq!(fs::read(nginx.path(name)).unwrap(), b"", "{name}");
    }
    let mut client = UnixStream::connect(&socket).unwrap();
    client.write_all(b"GET /x HTTP/1.0\r\n\r\n").unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
    nginx.logged("(2: No such file or directory), client: unix:, server: ");
    let mut client = UnixStream::connect(&stream).unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
    let place = format!("client unix: connected to unix:{}", stream.display());
    nginx.logged(&place);
    nginx.logged("while connecting to upstream, client: unix:, server: unix:/");
    signal(child.id(), "QUIT");
    within(LONG, "it ends", || child.try_wait().unwrap().is_some());
    for sentence in ["OS: Linux ", "getrlimit(RLIMIT_NOFILE): ", ": exiting"] {
        nginx.logged(sentence);
    }
}

#[test]
fn without_any_server_it_runs_and_serves_nobody() {
    let nginx = Nginx::new("", free_addr());
    nginx.write("daemon off;\nevents { }\nhttp { }\n");
    let mut child = nginx.start();
    assert_eq!(nginx.output(&["-s", "reload"]), (0, String::new()));
    nginx.logged("gracefully shutting down");
    signal(child.id(), "QUIT");
    within(LONG, "it ends", || child.try_wait().unwrap().is_some());
}

#[test]
fn error_logs_of_servers_and_locations_get_what_is_theirs_by_their_levels_and_syslog_too() {
    let syslog = UdpSocket::bind("127.0.0.1:0").unwrap();
    syslog.set_read_timeout(Some(LONG)).unwrap();
    let server = syslog.local_addr().unwrap();
    let nginx = Nginx::new("daemon off;", free_addr());
    let addr = nginx.addr;
    nginx.write(&format!(
        r#"daemon off;
events {{ }}
http {{
    root .;
    log_format short "$uri:$status";
    access_log access.log short;
    limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;
    error_log http.log;
    server {{
        listen {addr};
        location / {{ }}
        location /own {{ error_log own.log; error_log quiet.log crit; }}
        location /syslog {{ error_log syslog:server={server},facility=user,tag=edge; }}
        location /told {{ access_log syslog:server={server},severity=alert,nohostname short; }}
        location /limited {{ limit_req zone=one; limit_req_log_level info; error_log info.log info; }}
        location /chosen {{ access_log chosen-$arg_f.log short; return 204; }}
        location /packed {{ access_log packed.gz short gzip; return 204; }}
    }}
}}
"#
    ));
    let mut child = nginx.start();
    let ask = |path: &str| {
        let head = format!("GET {path} HTTP/1.0\nHost: localhost\n\n");
        Client::plain(addr).exchange(head.as_bytes()).text()
    };
    let message = || {
        let mut message = [0; 2000];
        let count = syslog.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..count]).into_owned()
    };
    for path in [
        "/a",
        "/own/b",
        "/limited",
        "/limited",
        "/chosen?f=x",
        "/chosen?f=../y",
        "/packed",
    ] {
        ask(path);
    }
    ask("/syslog");
    let said = message();
    assert!(said.starts_with("<11>"), "{said}");
    assert!(
        said.contains(" edge: ") && said.contains("[error]"),
        "{said}"
    );
    ask("/told");
    let said = message();
    assert!(said.starts_with("<185>"), "{said}");
    assert!(said.ends_with(" nginx: /told:404"), "{said}");
    signal(child.id(), "QUIT");
    within(LONG, "it ends", || child.try_wait().unwrap().is_some());
    let told = |name: &str, path: &str| nginx.read(name).matches(path).count();
    for (name, path, count) in [
        ("http.log", "\"GET /a HTTP/1.0\"", 1),
        ("http.log", "\"GET /own/b HTTP/1.0\"", 0),
        ("error.log", "\"GET /a HTTP/1.0\"", 0),
        (
            "own.log",
            "failed (2: No such file or directory), client: 127.0.0.1, server: ",
            1,
        ),
        ("own.log", "\"GET /own/b HTTP/1.0\", host: \"localhost\"", 1),
        ("quiet.log", "", 1),
        ("info.log", "[info]", 1),
        ("info.log", "limiting requests, excess: ", 1),
        ("chosen-x.log", "/chosen:204\n", 1),
        ("y.log", "", 1),
        ("access.log", "/a:404\n", 1),
    ] {
        assert_eq!(told(name, path), count, "{path} in {name}");
    }
    let packed = fs::File::open(nginx.path("packed.gz")).unwrap();
    let text = std::io::read_to_string(flate2::read::MultiGzDecoder::new(packed));
    assert_eq!(text.unwrap(), "/packed:204\n");
}

#[test]
fn a_server_tells_in_its_log_and_in_a_locations_own_why_an_upstream_failed() {
    let nginx = Nginx::new("daemon off;", free_addr());
    let (addr, nobody) = (nginx.addr, free_addr());
    nginx.write(&format!(
        "daemon off;\nerror_log all.log;\nevents {{ }}\nhttp {{\n access_log off;\n server {{\n listen {addr};\n location / {{ proxy_pass http://{nobody}; }}\n location /own {{ proxy_pass http://{nobody}; error_log own.log; }}\n }}\n}}\n"
    ));
    let mut child = nginx.start();
    for target in ["/all", "/own"] {
        let mut tcp = TcpStream::connect(addr).unwrap();
        tcp.write_all(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes())
            .unwrap();
        let answer = std::io::read_to_string(tcp).unwrap();
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    }
    signal(child.id(), "QUIT");
    within(LONG, "it ends", || child.try_wait().unwrap().is_some());
    for (log, target) in [("all.log", "/all"), ("own.log", "/own")] {
        let text = nginx.read(log);
        let lines = text.lines().filter(|line| line.contains("[error]"));
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines.len(), 1, "{log}: {text}");
        let why = "connect() failed (111: Connection refused) while connecting to upstream, client: 127.0.0.1, server: ";
        assert!(lines[0].contains(why), "{log}: {text}");
        assert!(
            lines[0].contains(&format!(
                ", request: \"GET {target} HTTP/1.0\", upstream: \"http://{nobody}{target}\""
            )),
            "{log}: {text}"
        );
    }
}

#[test]
fn a_stream_tells_in_logs_of_its_own_what_nginx_s_tells() {
    let nginx = Nginx::new("daemon off;", free_addr());
    let (addr, nobody) = (nginx.addr, free_addr());
    nginx.write(&format!(
        "daemon off;\nevents {{ }}\nstream {{\n server {{\n listen {addr};\n proxy_pass {nobody};\n error_log own.log info;\n }}\n}}\n"
    ));
    let mut child = nginx.start();
    drop(TcpStream::connect(addr).unwrap());
    let refused = format!(
        "connect() failed (111: Connection refused) while connecting to upstream, client: 127.0.0.1, server: {addr}, upstream: \"{nobody}\""
    );
    within(LONG, "it is told", || {
        nginx.read("own.log").contains(&refused)
    });
    assert!(nginx.read("own.log").contains("[info]"));
    assert!(!nginx.read("error.log").contains(&refused));
    signal(child.id(), "QUIT");
    within(LONG, "it ends", || child.try_wait().unwrap().is_some());
}

#[test]
fn a_proxy_header_is_heard_of_anybody_and_believed_of_those_that_are_named_where_it_is_asked_for() {
    let nginx = Nginx::new("daemon off;", free_addr());
    let (addr, stream, believing) = (nginx.addr, free_addr(), free_addr());
    nginx.write(&format!(
        r#"daemon off;
events {{ }}
http {{
    access_log off;
    server {{
        listen {addr} proxy_protocol;
        set_real_ip_from 127.0.0.1;
        location / {{ return 200 "$remote_addr $proxy_protocol_addr:$proxy_protocol_port $proxy_protocol_server_addr"; }}
        location /real {{ real_ip_header proxy_protocol; return 200 "$remote_addr:$remote_port $realip_remote_addr"; }}
    }}
}}
stream {{
    server {{ listen {stream} proxy_protocol; set_real_ip_from 198.51.100.0/24; return "$remote_addr $proxy_protocol_addr"; }}
    server {{ listen {believing} proxy_protocol; set_real_ip_from 127.0.0.1; return "$remote_addr:$remote_port $realip_remote_addr"; }}
}}
"#
    ));
    let mut child = nginx.start();
    let head = "PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\r\n";
    let said = |addr: SocketAddr, text: &str| {
        let mut tcp = TcpStream::connect(addr).unwrap();
        tcp.set_read_timeout(Some(LONG)).unwrap();
        tcp.write_all(format!("{head}{text}").as_bytes()).unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).unwrap();
        answer
    };
    let get = |path: &str| said(addr, &format!("GET {path} HTTP/1.0\r\nHost: a\r\n\r\n"));
    let answer = get("/");
    assert!(
        answer.ends_with("\r\n\r\n127.0.0.1 192.0.2.1:123 192.0.2.2"),
        "{answer}"
    );
    let answer = get("/real");
    assert!(
        answer.ends_with("\r\n\r\n192.0.2.1:123 127.0.0.1"),
        "{answer}"
    );
    assert_eq!(said(stream, ""), "127.0.0.1 192.0.2.1");
    assert_eq!(said(believing, ""), "192.0.2.1:123 127.0.0.1");
    signal(child.id(), "QUIT");
    within(LONG, "it ends", || child.try_wait().unwrap().is_some());
}

#[test]
fn what_nginx_warns_of_is_told_at_a_start_and_at_a_reload_and_in_a_file_of_its_own_once() {
    let upstream = Upstream::saying("hello");
    let nginx = Nginx::new("daemon off;", upstream.addr);
    let good = nginx.read("nginx.conf");
    let text = "low address bits of 10.1.2.3/8 are meaningless in";
    let low = good.replace(
        "server_name localhost;",
        "server_name localhost; allow 10.1.2.3/8; allow all;",
    );
    nginx.write(&low);
    let mut child = nginx.command(&[]).stderr(Stdio::piped()).spawn().unwrap();
    within(LONG, "the pid file is there", || {
        nginx.path("nginx.pid").exists()
    });
    let times = |log: &str| log.matches(text).count();
    assert_eq!(times(&nginx.read("error.log")), 1);
    signal(child.id(), "HUP");
    within(LONG, "it is told again", || {
        times(&nginx.read("error.log")) == 2
    });
    let log = nginx.read("error.log");
    let line = log.lines().rfind(|line| line.contains(text)).unwrap();
    assert!(line.contains("[warn]"), "{line}");
    signal(child.id(), "QUIT");
    let mut said = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(times(&said), 1, "{said}");
    assert!(said.starts_with(&format!("nginx: [warn] {text}")), "{said}");
}

#[test]
fn whoever_runs_beside_nginx_is_told_what_it_warns_of_and_what_listens_nowhere() {
    let nginx = Nginx::new("", free_addr());
    let text = nginx.read("nginx.conf").replace(
        "server_name localhost;",
        "server_name a/b; allow 10.1.2.3/8; allow all;",
    );
    nginx.write(&text);
    let (from, to) = (nginx.addr, free_addr());
    let mut child = Command::new(env!("CARGO_BIN_EXE_hubgate"))
        .args(["run", "--nginx"])
        .arg(nginx.path("nginx.conf"))
        .args(["--at", &format!("{from}={to}"), "--at", "1=2"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    within(LONG, "it serves", || TcpStream::connect(to).is_ok());
    signal(child.id(), "TERM");
    let mut said = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    for sentence in [
        "server name \"a/b\" has suspicious symbols in",
        "low address bits of 10.1.2.3/8 are meaningless in",
        "--at 1=2: nothing listens there",
    ] {
        assert!(said.contains(sentence), "{sentence}: {said}");
    }
    assert!(!said.contains(&format!("--at {from}")), "{said}");
}

#[test]
fn clients_are_served_as_the_account_that_the_file_names_and_reloads_are_roots() {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let can = is_root && accounts.contains("\nnobody:");
    if !can_be_shown((!can).then_some("root, and an account called nobody")) {
        return;
    }
    let nginx = Nginx::new("", free_addr());
    let dir = nginx.dir.path();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    for (name, mode) in [("open", 0o644), ("closed", 0o600)] {
        fs::write(dir.join(name), name).unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let text = |group: &str, more: &str| {
        format!(
            "daemon off; user nobody {group};\nevents {{ }}\nhttp {{ access_log off; server {{ listen {}; root {}; {more} }} }}\n",
            nginx.addr,
            dir.display()
        )
    };
    let group = match fs::read_to_string("/etc/group") {
        Ok(groups) if groups.contains("nogroup:") => "nogroup",
        _ => "nobody",
    };
    nginx.write(&text(group, ""));
    let mut child = nginx.start();
    let status = |path: &str| {
        let head = format!("GET /{path} HTTP/1.0\nHost: localhost\n\n");
        Client::plain(nginx.addr).exchange(head.as_bytes()).status
    };
    assert_eq!((status("open"), status("closed")), (200, 403));
    // Only root may read it now.
    nginx.write(&text(group, "location /new { return 204; }"));
    let file = nginx.path("nginx.conf");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    signal(child.id(), "HUP");
    within(LONG, "it is reloaded", || status("new") == 204);
    assert_eq!((status("open"), status("closed")), (200, 403));
    signal(child.id(), "QUIT");
    within(LONG, "it ends", || child.try_wait().unwrap().is_some());
}

#[test]
fn a_pid_file_that_holds_no_number_is_told_and_nobody_gets_a_signal() {
    let nginx = Nginx::new("", free_addr());
    let pid = nginx.path("nginx.pid");
    for text in ["-5", "abc", "", "0", " 12", "99999999999999999999"] {
        fs::write(&pid, format!("{text}\n")).unwrap();
        let said = format!(
            "nginx: [error] invalid PID number \"{text}\" in \"{}\"\n",
            pid.display()
        );
        assert_eq!(nginx.output(&["-s", "reload"]), (1, said));
    }
}

#[test]
fn heads_have_the_bounds_that_the_file_says_and_room_for_a_hubs_cookies_where_it_says_none() {
    let upstream = Upstream::saying("yes");
    let field = |length: usize| format!("Cookie: {}\r\n", "a".repeat(length));
    for (said, large) in [("", 200), ("large_client_header_buffers 4 8k;", 400)] {
        let nginx = Nginx::new("daemon off;", upstream.addr);
        let text = nginx.read("nginx.conf");
        nginx.write(&text.replace("location / {", &format!("{said} location / {{ return 200;")));
        let mut child = nginx.start();
        let status = |fields: &str| {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
            Client::plain(nginx.addr).exchange(head).status
        };
        assert_eq!(status(&field(8150)), 200, "{said}");
        assert_eq!(status(&field(8200)), large, "{said}");
        assert_eq!(status(&field(7000).repeat(4)), 200, "{said}");
        assert_eq!(status(&field(7000).repeat(5)), large, "{said}");
        assert_eq!(status(&"X-A: a\r\n".repeat(200)), 200, "{said}");
        signal(child.id(), "TERM");
        child.wait().unwrap();
    }
}
