//! hubgate as a process before an authority: a folder with configuration and state that outlives it, so that it can be
//! killed and started again, by another clock or with another wish.
//!
//! What it did is read from its log, which is JSON; each start has a log of its own, printed when the test fails. The
//! process ends, by its id, when [`Running`] is dropped: killed, so nothing is written on the way out.

use std::cell::Cell;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use hubgate::tls::pem::{Leaf, load_pair};
use serde_json::Value;
use tempfile::TempDir;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::fault_proxy::FaultProxy;
use super::hubgate::{filled, run};
use super::orders::HOST;
use super::pebble::{Options, Pebble};
use super::ports::free_addr;
use super::{PATIENCE, eventually, tls, within};

/// What time it is for hubgate.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The system's.
    True,
    /// Off by this, as libfaketime reads it (`+70d`); what measures waits runs as ever.
    Off(&'static str),
    /// So many times as fast, waits included.
    Fast(u32),
    /// Moved by [`Gate::pass`]; what measures waits runs as ever, and is looked at often.
    Moved,
}

/// A folder with a configuration, and the ports that go with it.
pub struct Gate {
    pub dir: TempDir,
    pub http: SocketAddr,
    pub https: SocketAddr,
    starts: Cell<u32>,
    ahead: Cell<i64>,
}

impl Gate {
    /// One site, [`HOST`], that orders from `pebble`.
    pub fn new(pebble: &Pebble, http: SocketAddr) -> Self {
        let gate = Self::with("", http);
        gate.sites(pebble, &pebble.directory_url, &[HOST]);
        gate
    }

    /// With this configuration, addresses and folders aside.
    pub fn with(toml: &str, http: SocketAddr) -> Self {
        let gate = Self {
            dir: TempDir::new().unwrap(),
            http,
            https: free_addr(),
            starts: Cell::new(0),
            ahead: Cell::new(0),
        };
        gate.configure(toml);
        gate
    }

    /// Replaces the configuration on disk.
    pub fn configure(&self, toml: &str) {
        let mut text = filled(toml, self.dir.path(), self.http, self.https);
        text = text.replacen("[log]\n", "[log]\nformat = \"json\"\n", 1);
        fs::write(self.config(), text).unwrap();
    }

    /// Replaces the configuration by one of these sites, each ordering at `directory`.
    pub fn sites(&self, pebble: &Pebble, directory: &str, hosts: &[&str]) {
        self.configure(&toml(pebble, directory, "", hosts));
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("hubgate.toml")
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// A file beside the certificate of [`HOST`].
    pub fn file(&self, name: &str) -> PathBuf {
        self.file_of(HOST, name)
    }

    pub fn file_of(&self, host: &str, name: &str) -> PathBuf {
        self.state().join("acme/certs").join(host).join(name)
    }

    /// The only authority's folder.
    pub fn account(&self) -> PathBuf {
        let all = fs::read_dir(self.state().join("acme/accounts")).unwrap();
        all.flatten().next().expect("an account").path()
    }

    /// Whether an authority has given an account.
    pub fn account_known(&self) -> bool {
        self.state().join("acme/accounts").exists() && self.account().join("account.json").exists()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hubgate"));
        command.args(arguments).arg("-c").arg(self.config());
        command
    }

    /// Runs it to its end; the exit code and all it printed.
    pub fn call(&self, arguments: &[&str]) -> (i32, String) {
        run(self
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()))
    }

    /// Makes the running process read the configuration again.
    #[track_caller]
    pub fn reload(&self) {
        let (code, text) = self.call(&["reload"]);
        assert_eq!(code, 0, "{text}");
    }

    pub fn start(&self, command: &mut Command) -> Running {
        self.starts.set(self.starts.get() + 1);
        let log = self.dir.path().join(format!("log-{}", self.starts.get()));
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Running {
            child,
            log,
            nudged: Cell::new(Instant::now()),
        }
    }

    pub fn run(&self) -> Running {
        self.run_by(Clock::True)
    }

    /// Starts it by another clock.
    pub fn run_by(&self, clock: Clock) -> Running {
        self.start(&mut self.command_by(clock))
    }

    /// `hubgate run` by another clock.
    pub fn command_by(&self, clock: Clock) -> Command {
        let mut command = self.command(&["run"]);
        match clock {
            Clock::True => return command,
            Clock::Off(by) => {
                command.env("FAKETIME", by);
                command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            }
            Clock::Fast(times) => {
                command.env("FAKETIME", format!("+0 x{times}"));
            }
            Clock::Moved => {
                self.pass(Duration::ZERO);
                command.env("FAKETIME_TIMESTAMP_FILE", self.dir.path().join("clock"));
                command.env("FAKETIME_NO_CACHE", "1");
                command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
                command.env("HUBGATE_ACME_NAP_MS", "50");
            }
        }
        command.env("LD_PRELOAD", faketime());
        command
    }

    /// Lets so much time pass at once for a process by [`Clock::Moved`].
    pub fn pass(&self, time: Duration) {
        self.turn_clock(time.as_secs().try_into().unwrap());
    }

    /// Moves that clock, back if `seconds` is below 0.
    pub fn turn_clock(&self, seconds: i64) {
        self.set_clock(self.ahead.get() + seconds);
    }

    /// Sets that clock so many seconds ahead.
    pub fn set_clock(&self, seconds: i64) {
        self.ahead.set(seconds);
        let file = self.dir.path().join("clock");
        let new = self.dir.path().join("clock.new");
        fs::write(&new, format!("{seconds:+}")).unwrap();
        fs::rename(new, file).unwrap();
    }

    /// What time it is by that clock.
    pub fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + time::Duration::seconds(self.ahead.get())
    }

    /// Lets time pass until `before` before `at`.
    pub fn pass_until(&self, at: OffsetDateTime, before: Duration) {
        self.turn_clock((at - before - self.now()).whole_seconds());
    }

    /// The serial number of the certificate being served, when an authority made it.
    pub fn served(&self) -> Option<String> {
        self.served_for(HOST)
    }

    pub fn served_for(&self, host: &str) -> Option<String> {
        let mut stream = tls::handshake(self.https, host, tls::config(&["http/1.1"])).ok()?;
        stream.conn.send_close_notify();
        let chain = stream.conn.peer_certificates()?;
        // A placeholder stands alone.
        (chain.len() > 1).then(|| Leaf::parse(&chain[0]).unwrap().serial)
    }

    #[track_caller]
    pub fn wait_served(&self) -> String {
        self.wait_served_for(HOST)
    }

    #[track_caller]
    pub fn wait_served_for(&self, host: &str) -> String {
        let mut served = None;
        within(PATIENCE, &format!("{host} has a certificate"), || {
            served = self.served_for(host);
            served.is_some()
        });
        served.unwrap()
    }

    /// The serial number of the stored certificate, which has to be whole.
    pub fn stored(&self) -> Option<String> {
        let chain = self.file("current/chain.pem");
        chain
            .exists()
            .then(|| load_pair(&chain, &self.file("current/key.pem")).unwrap())
            .map(|pair| pair.leaf.serial.clone())
    }

    #[track_caller]
    pub fn wait_stored(&self) -> String {
        eventually("it is stored", || self.stored().is_some());
        eventually("the order is done", || !self.file("order.json").exists());
        self.stored().unwrap()
    }

    /// Has a certificate served and stored, and ends.
    #[track_caller]
    pub fn prepare(&self) -> String {
        let _running = self.run();
        let served = self.wait_served();
        assert_eq!(self.wait_stored(), served);
        served
    }

    /// Waits until the next attempt for this host lies ahead by its clock, and so none is under way.
    #[track_caller]
    pub fn wait_idle(&self, host: &str) {
        within(
            PATIENCE,
            &format!("{host} waits for its next attempt"),
            || {
                let (code, text) = self.call(&["certs", "list", "--json"]);
                let rows: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
                let row = rows.iter().find(|row| row["host"] == host);
                let next = row.and_then(|row| row["next_attempt"].as_i64());
                code == 0 && next.is_some_and(|next| next > self.now().unix_timestamp())
            },
        );
    }

    /// What plain HTTP answers at `path` for `host`.
    pub fn plain(&self, host: &str, path: &str) -> super::Response {
        super::Client::plain(self.http).get(host, path)
    }
}

/// Sites of `hosts`, and where they order; `acme` are further lines of that.
pub fn toml(pebble: &Pebble, directory: &str, acme: &str, hosts: &[&str]) -> String {
    let sites: String = hosts
        .iter()
        .map(|host| format!("[site.\"{host}\"]\n"))
        .collect();
    format!(
        "[acme]\nname = \"pebble\"\ncontact = [\"ops@example.test\"]\ndirectory = \"{directory}\"\nca_file = \"{}\"\n{acme}\n{sites}",
        pebble.ca_file.display()
    )
}

/// libfaketime, wherever this machine has it.
fn faketime() -> &'static Path {
    let all = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    ];
    let found = all.map(Path::new).into_iter().find(|path| path.exists());
    found.expect("install Debian's package `libfaketime`")
}

/// A running process.
pub struct Running {
    pub child: Child,
    log: PathBuf,
    nudged: Cell<Instant>,
}

impl Running {
    pub fn log(&self) -> String {
        self.nudge();
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Has it write what it holds back. libfaketime knows nothing of the waits of threads, which last too long by a fast
    /// clock; that of the log ends when it is to be opened anew.
    fn nudge(&self) {
        const USR1: u64 = 1 << 9;
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let caught = status.unwrap_or_default();
        let caught = caught.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        if caught.is_some_and(|mask| mask & USR1 != 0)
            && self.nudged.get().elapsed() > Duration::from_millis(200)
        {
            self.nudged.set(Instant::now());
            let _ = Command::new("kill")
                .arg("-USR1")
                .arg(self.child.id().to_string())
                .status();
        }
    }

    /// The events so far of this kind that hold all these parts.
    pub fn events(&self, kind: &str, parts: &[&str]) -> Vec<Event> {
        let log = self.log();
        let lines = log.lines().filter(|line| {
            line.contains(&format!("\"event\":\"{kind}\""))
                && parts.iter().all(|p| line.contains(p))
        });
        lines
            .filter_map(|line| serde_json::from_str(line).ok().map(Event))
            .collect()
    }

    /// Waits for the `count`-th event of this kind that holds all these parts.
    #[track_caller]
    pub fn wait_event(&self, kind: &str, parts: &[&str], count: usize) -> Event {
        within(PATIENCE, &format!("{count} times {kind} {parts:?}"), || {
            self.events(kind, parts).len() >= count
        });
        self.events(kind, parts).swap_remove(count - 1)
    }

    /// Waits for the `count`-th failed attempt for `host`.
    #[track_caller]
    pub fn wait_failure(&self, host: &str, count: usize) -> Event {
        let host = format!("\"host\":\"{host}\"");
        self.wait_event("acme.order.failed", &[&host], count)
    }

    #[track_caller]
    pub fn wait_ready(&self) {
        within(PATIENCE, "hubgate is ready", || {
            self.log().contains("hubgate is ready")
        });
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end by itself.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "it still runs");
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

/// A line of the log.
#[derive(Clone, Debug)]
pub struct Event(Value);

impl Event {
    /// A field's text; empty when there is none.
    pub fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    /// When it was written, by hubgate's clock.
    pub fn at(&self) -> OffsetDateTime {
        OffsetDateTime::parse(self.text("timestamp"), &Rfc3339).unwrap()
    }

    /// When the next attempt is, by hubgate's clock.
    pub fn next(&self) -> OffsetDateTime {
        OffsetDateTime::parse(self.text("next"), &Rfc3339).unwrap()
    }

    /// How long from the line to the next attempt, in seconds.
    pub fn wait(&self) -> f64 {
        (self.next() - self.at()).as_seconds_f64()
    }
}

/// An authority, the proxy before it, and a gate whose sites order through both.
pub struct Scene {
    pub gate: Gate,
    pub proxy: FaultProxy,
    pub pebble: Pebble,
}

impl Scene {
    pub fn new(hosts: &[&str]) -> Self {
        Self::with(hosts, Options::default())
    }

    pub fn with(hosts: &[&str], options: Options) -> Self {
        let (pebble, http) = authority(options);
        let proxy = FaultProxy::before(&pebble);
        let gate = Gate::with("", http);
        gate.sites(&pebble, &proxy.directory_url, hosts);
        Self {
            gate,
            proxy,
            pebble,
        }
    }
}

/// An authority that asks at this address for challenges, and reuses nothing that it validated before.
pub fn authority(options: Options) -> (Pebble, SocketAddr) {
    hubgate::tls::install_provider();
    let http = free_addr();
    let options = Options {
        reuse: 0,
        ..options
    };
    (Pebble::start_with(http.port(), options), http)
}
