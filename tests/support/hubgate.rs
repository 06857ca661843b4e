//! A running `hubgate` for one test: its own folder, ports, state and socket.
//!
//! The configuration is what the test writes, with addresses, state folder and admin socket filled in where the test
//! says nothing. The process and its successors end when this is dropped, and also when the test itself is killed; the log
//! is printed when the test failed.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use toml::{Table, Value};

use super::ports::free_addr;
use super::{Client, H2, PATIENCE, Upstream, eventually};

/// A host every simple test uses.
pub const HOST: &str = "hub.test";

/// A site `hub.test` with these lines in its `tls`, and `other.test` without; both lead to the upstream.
pub fn two_sites(upstream: &Upstream, tls: &str) -> String {
    let site = |host: &str, tls: &str| {
        format!(
            "[site.\"{host}\"]\ncertificate = \"self-signed\"\n[site.\"{host}\".tls]\n{tls}\n\
             [[site.\"{host}\".route]]\npath = \"/\"\nupstream = \"up\"\n"
        )
    };
    let end = format!("[upstream.up]\nendpoints = [\"{}\"]\n", upstream.addr);
    site(HOST, tls) + &site("other.test", "") + &end
}

/// One site `hub.test` with a self-signed certificate that also serves plain HTTP, everything under `/` going to
/// `upstream`; `more` are lines of the route.
pub fn one_site(upstream: SocketAddr, more: &str) -> String {
    format!(
        "[site.\"{HOST}\"]\ncertificate = \"self-signed\"\nhttp = \"forward\"\n\
         [[site.\"{HOST}\".route]]\npath = \"/\"\nupstream = \"up\"\n{more}\n\
         [upstream.up]\nendpoints = [\"{upstream}\"]\n"
    )
}

/// A running process.
pub struct Hubgate {
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub config: PathBuf,
    pub dir: TempDir,
    child: Child,
    /// Processes that took over, by their ids: not children of the test.
    successors: Vec<u32>,
    group: Group,
    output: Arc<Mutex<Vec<u8>>>,
    printed: Arc<Mutex<Vec<u8>>>,
}

impl Hubgate {
    /// Starts with this configuration and waits until it is ready (a test's `log.file` is `@DIR@/event.log`).
    #[track_caller]
    pub fn start(toml: &str) -> Self {
        Self::start_in(TempDir::new().unwrap(), toml)
    }

    /// Starts with [`one_site`].
    #[track_caller]
    pub fn before(upstream: SocketAddr) -> Self {
        Self::start(&one_site(upstream, ""))
    }

    /// As [`Hubgate::start`], in a folder that already holds files (`@DIR@` in the text stands for it).
    #[track_caller]
    pub fn start_in(dir: TempDir, toml: &str) -> Self {
        Self::start_with(dir, toml, |_| {})
    }

    /// As [`Hubgate::start_in`], by a command with more to it.
    #[track_caller]
    pub fn start_with(mut dir: TempDir, toml: &str, more: impl Fn(&mut Command)) -> Self {
        for _ in 0..3 {
            let (http, https) = (free_addr(), free_addr());
            match Self::try_start(dir, toml, (http, https), &more) {
                Ok(running) => return running,
                Err(back) => dir = back, // somebody took a port meanwhile
            }
        }
        panic!("hubgate found its ports in use three times");
    }

    #[track_caller]
    fn try_start(
        dir: TempDir,
        toml: &str,
        (http, https): (SocketAddr, SocketAddr),
        more: &impl Fn(&mut Command),
    ) -> Result<Self, TempDir> {
        let config = dir.path().join("hubgate.toml");
        fs::write(&config, filled(toml, dir.path(), http, https)).unwrap();
        let group = Group::new();
        let mut command = command(&["run", "-c"]);
        command.process_group(group.id());
        more(command.arg(&config));
        let mut child = command.spawn().expect("spawn hubgate");
        let output = collect(child.stderr.take().unwrap());
        let printed = collect(child.stdout.take().unwrap());
        let mut running = Self {
            http,
            https,
            config,
            dir,
            child,
            successors: Vec::new(),
            group,
            output,
            printed,
        };
        let start = Instant::now();
        while !running.is_ready() {
            if let Some(status) = running.child.try_wait().unwrap() {
                let log = running.log();
                assert_eq!(status.code(), Some(3), "hubgate did not start:\n{log}");
                return Err(std::mem::replace(&mut running.dir, TempDir::new().unwrap()));
            }
            assert!(
                start.elapsed() < PATIENCE,
                "hubgate does not accept:\n{}",
                running.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(running)
    }

    /// Whether it says so, where its log is, and both ports accept.
    fn is_ready(&self) -> bool {
        let file = fs::read_to_string(self.dir.path().join("event.log")).unwrap_or_default();
        (self.log() + &file).contains("hubgate is ready")
            && [self.http, self.https]
                .iter()
                .all(|addr| TcpStream::connect(addr).is_ok())
    }

    /// Of the process that was started, or of the one that has taken over last.
    pub fn pid(&self) -> u32 {
        self.successors
            .last()
            .copied()
            .unwrap_or_else(|| self.child.id())
    }

    /// Runs `hubgate upgrade` with these further arguments; the exit code and all it printed.
    pub fn upgrade_with(&mut self, more: &[&str]) -> (i32, String) {
        let mut command = command(&["upgrade", "--socket"]);
        let (code, output) = run(command.arg(self.socket()).args(more));
        if code == 0 {
            self.follow(successor_in(&output));
        }
        (code, output)
    }

    /// Has the program's own file take over; fails the test when that is refused.
    #[track_caller]
    pub fn upgrade(&mut self) {
        let (code, output) = self.upgrade_with(&[]);
        assert_eq!(code, 0, "upgrade: {output}");
    }

    /// Takes this process for the one that serves.
    pub fn follow(&mut self, pid: u32) {
        self.successors.push(pid);
    }

    /// Whether the process that was started first has ended, and how.
    pub fn first_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// An HTTP/1 client on the plain port.
    #[track_caller]
    pub fn plain(&self) -> Client {
        Client::plain(self.http)
    }

    /// An HTTP/1 client over TLS for `hub.test`.
    #[track_caller]
    pub fn tls(&self) -> Client {
        Client::tls(self.https, HOST)
    }

    /// An HTTP/2 client for `hub.test`.
    #[track_caller]
    pub fn h2(&self) -> H2 {
        H2::connect(self.https, HOST)
    }

    /// Replaces the configuration on disk, with the same addresses.
    pub fn rewrite(&self, toml: &str) {
        fs::write(
            &self.config,
            filled(toml, self.dir.path(), self.http, self.https),
        )
        .unwrap();
    }

    /// Replaces the configuration on disk by exactly this text.
    pub fn rewrite_raw(&self, text: &str) {
        fs::write(&self.config, text).unwrap();
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("admin.sock")
    }

    /// Runs `hubgate reload` with these further arguments; the exit code and all it printed.
    pub fn reload_with(&self, more: &[&str]) -> (i32, String) {
        let mut command = command(&["reload", "--socket"]);
        run(command.arg(self.socket()).args(more))
    }

    pub fn reload(&self) -> (i32, String) {
        self.reload_with(&[])
    }

    /// Replaces the configuration and reloads; fails the test when that is refused.
    #[track_caller]
    pub fn reload_to(&self, toml: &str) {
        self.rewrite(toml);
        let (code, output) = self.reload();
        assert_eq!(code, 0, "reload: {output}");
    }

    /// Sends a signal by its name without SIG.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for the process's end.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                start.elapsed() < limit,
                "hubgate still runs after {limit:?}:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends TERM and waits for the end.
    #[track_caller]
    pub fn stop_and_wait(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait(PATIENCE)
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }

    /// What it wrote to standard output so far.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&self.printed.lock().unwrap()).into_owned()
    }

    /// Waits for a text in the log.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        eventually(&format!("`{text}` in the log"), || {
            self.log().contains(text)
        });
    }

    /// All that it counts.
    pub fn metrics(&self) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        let ask = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(ask.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> usize {
        self.status_field("VmRSS:") * 1024
    }

    fn status_field(&self, name: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Lowers the process's limit of open files.
    pub fn limit_descriptors(&self, limit: usize) {
        let done = Command::new("prlimit")
            .arg(format!("--nofile={limit}:{limit}"))
            .arg(format!("--pid={}", self.pid()))
            .status()
            .unwrap();
        assert!(done.success());
    }

    /// Processor time used so far, in steps of 10 ms.
    pub fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        let ticks = fields
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().unwrap());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// Open file descriptors.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .count()
    }
}

impl Drop for Hubgate {
    fn drop(&mut self) {
        self.group.end();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- hubgate's log\n{}---", self.log());
        }
    }
}

/// The processes that come of one `hubgate run`, successors included: they end with this, or with the test's process.
struct Group(Child);

impl Group {
    /// Its first process waits for the end of the test's, which holds the other end of its standard input.
    fn new() -> Self {
        let warden = Command::new("sh")
            .args(["-c", "read -r nothing; kill -9 0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        Self(warden.expect("spawn sh"))
    }

    fn id(&self) -> i32 {
        self.0.id().try_into().unwrap()
    }

    /// The warden is there as long, so that the number is no other group's.
    fn end(&mut self) {
        let _ = Command::new("kill")
            .args(["-9", "--", &format!("-{}", self.id())])
            .stderr(Stdio::null())
            .status();
        let _ = self.0.wait();
    }
}

/// The process that has taken over, as `hubgate upgrade` says.
#[track_caller]
pub fn successor_in(output: &str) -> u32 {
    let rest = output.split("upgraded: process ").nth(1);
    let pid = rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    pid.unwrap_or_else(|| panic!("no process is named: {output}"))
}

/// The binary with these arguments, its output captured; `HUBGATE` names another one, such as the release.
pub fn command(args: &[&str]) -> Command {
    let program = std::env::var_os("HUBGATE").unwrap_or(env!("CARGO_BIN_EXE_hubgate").into());
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a command to its end; the exit code and all it printed.
pub fn run(command: &mut Command) -> (i32, String) {
    let output = command.output().expect("run hubgate");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

fn collect(mut from: impl Read + Send + 'static) -> Arc<Mutex<Vec<u8>>> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let writer = all.clone();
    std::thread::spawn(move || {
        let mut space = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut space) {
            writer.lock().unwrap().extend_from_slice(&space[..n]);
        }
    });
    all
}

/// The configuration's text with addresses, state folder and admin socket where it says nothing of them.
///
/// `@DIR@`, `@HTTP@` and `@HTTPS@` stand for the folder and the two addresses.
pub fn filled(toml: &str, dir: &Path, http: SocketAddr, https: SocketAddr) -> String {
    let toml = toml
        .replace("@DIR@", &dir.display().to_string())
        .replace("@HTTP@", &http.to_string())
        .replace("@HTTPS@", &https.to_string());
    let mut root: Table = toml
        .parse()
        .unwrap_or_else(|e| panic!("the test's configuration: {e}\n{toml}"));
    let mut fill = |table: &str, key: &str, value: Value| {
        let table = root
            .entry(table)
            .or_insert_with(|| Value::Table(Table::new()));
        table.as_table_mut().unwrap().entry(key).or_insert(value);
    };
    fill(
        "server",
        "state_dir",
        dir.join("state").display().to_string().into(),
    );
    fill("server", "drain_timeout", "5s".into());
    fill("server", "workers", 1.into());
    fill("listen", "http", vec![http.to_string()].into());
    fill("listen", "https", vec![https.to_string()].into());
    fill(
        "admin",
        "socket",
        dir.join("admin.sock").display().to_string().into(),
    );
    fill("log", "level", "debug".into());
    toml::to_string(&root).unwrap()
}
