//! Pebble, the ACME authority for tests, with its DNS server: real protocol, ephemeral ports, own roots.
//!
//! Every name resolves to 127.0.0.1 unless [`Pebble::resolve`] says otherwise, and challenges are asked for at the HTTP
//! port given at the start. Both processes end, by their ids, when this is dropped.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;
use time::OffsetDateTime;

use super::ports::free_addr;
use super::{eventually, tls};

/// What a test may want different.
pub struct Options {
    /// Seconds a certificate is valid.
    pub validity: u64,
    /// Percent of requests refused with `badNonce`.
    pub bad_nonces: u8,
    /// Percent of new orders that reuse valid authorizations.
    pub reuse: u8,
    /// Its own HTTPS has been valid for a minute only.
    pub young: bool,
    /// Longest time in seconds that it sleeps before it validates.
    pub sleep: u32,
    /// The port of TLS-ALPN-01 challenges; 0: one where nobody listens.
    pub tls_port: u16,
    /// The name and value (base64url) of the one key that accounts must be bound to; none: they need not.
    pub external_account: Option<(&'static str, &'static str)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            validity: 7_776_000,
            bad_nonces: 0,
            reuse: 50,
            young: false,
            sleep: 0,
            tls_port: 0,
            external_account: None,
        }
    }
}

/// A test authority, up or down.
pub struct Pebble {
    /// To be put into `[acme] directory`.
    pub directory_url: String,
    /// To be put into `[acme] ca_file`: the root of Pebble's own HTTPS.
    pub ca_file: PathBuf,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Serves `localhost` under the root in `ca_file`: chain and key.
    pub pair: (PathBuf, PathBuf),
    management: SocketAddr,
    dns: SocketAddr,
    dns_management: SocketAddr,
    options: Options,
    dir: TempDir,
    dns_server: Option<Child>,
    server: Option<Child>,
}

impl Pebble {
    /// Starts an authority that validates hosts at `127.0.0.1:http_port`.
    #[track_caller]
    pub fn start(http_port: u16) -> Self {
        Self::start_with(http_port, Options::default())
    }

    /// As [`Pebble::start`], with other options.
    #[track_caller]
    pub fn start_with(http_port: u16, options: Options) -> Self {
        let mut pebble = Self::stopped(http_port, options);
        pebble.up();
        pebble
    }

    /// An authority that is down; its URL and roots are known already.
    #[track_caller]
    pub fn stopped(http_port: u16, options: Options) -> Self {
        let dir = TempDir::new().unwrap();
        let [addr, management, dns, dns_management] = [(); 4].map(|()| free_addr());
        let pair = write_pair(dir.path(), options.young);
        let tls_port = match options.tls_port {
            0 => free_addr().port(),
            port => port,
        };
        let keys: serde_json::Map<_, _> = options
            .external_account
            .map(|(name, value)| (name.to_owned(), value.into()))
            .into_iter()
            .collect();
        let config = serde_json::json!({"pebble": {
            "listenAddress": addr.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": pair.0,
            "privateKey": pair.1,
            "httpPort": http_port,
            "tlsPort": tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": !keys.is_empty(),
            "externalAccountMACKeys": keys,
            "domainBlocklist": ["blocked.test"],
            "certificateValidityPeriod": options.validity,
        }});
        fs::write(dir.path().join("pebble.json"), config.to_string()).unwrap();
        Self {
            directory_url: format!("https://localhost:{}/dir", addr.port()),
            ca_file: dir.path().join("ca.pem"),
            addr,
            pair,
            management,
            dns,
            dns_management,
            options,
            dir,
            dns_server: None,
            server: None,
        }
    }

    /// Starts it. What it knew when it was up before is gone, its issuing root included.
    #[track_caller]
    pub fn up(&mut self) {
        if self.dns_server.is_none() {
            let mut command = Command::new("pebble-challtestsrv");
            command.args([
                "-dns01",
                &self.dns.to_string(),
                "-management",
                &self.dns_management.to_string(),
            ]);
            command.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
            command.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]);
            self.dns_server = Some(self.spawn(command, "dns.log"));
            let addr = self.dns_management;
            eventually("pebble-challtestsrv listens", || {
                TcpStream::connect(addr).is_ok()
            });
        }
        let mut command = Command::new("pebble");
        command
            .arg("-config")
            .arg(self.dir.path().join("pebble.json"));
        command.args(["-dnsserver", &self.dns.to_string()]);
        match self.options.sleep {
            0 => command.env("PEBBLE_VA_NOSLEEP", "1"),
            seconds => command.env("PEBBLE_VA_SLEEPTIME", seconds.to_string()),
        };
        command.env(
            "PEBBLE_WFE_NONCEREJECT",
            self.options.bad_nonces.to_string(),
        );
        command.env("PEBBLE_AUTHZREUSE", self.options.reuse.to_string());
        self.server = Some(self.spawn(command, "pebble.log"));
        let (addr, management) = (self.addr, self.management);
        eventually("pebble listens", || {
            TcpStream::connect(addr).is_ok() && TcpStream::connect(management).is_ok()
        });
    }

    /// Stops it; its log begins anew at the next [`Pebble::up`].
    pub fn down(&mut self) {
        end(&mut self.server);
    }

    /// Has it issue certificates of so many seconds after the next [`Pebble::up`].
    pub fn set_validity(&self, seconds: u64) {
        let path = self.dir.path().join("pebble.json");
        let mut config: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config["pebble"]["certificateValidityPeriod"] = seconds.into();
        fs::write(path, config.to_string()).unwrap();
    }

    /// The root of the certificates it issues, in PEM.
    pub fn issuing_root(&self) -> String {
        let stream = tls::handshake(self.management, "localhost", tls::config(&["http/1.1"]))
            .expect("pebble's management port");
        exchange(stream, "GET /roots/0 HTTP/1.0\r\nHost: localhost\r\n\r\n")
    }

    /// The name server that it asks.
    pub fn name_server(&self) -> SocketAddr {
        self.dns
    }

    /// Changes its name server's answers, by one of pebble-challtestsrv's calls: `/add-aaaa`, `/add-caa`.
    pub fn names(&self, call: &str, body: &serde_json::Value) {
        let body = body.to_string();
        let request = format!(
            "POST {call} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        exchange(TcpStream::connect(self.dns_management).unwrap(), &request);
    }

    /// Resolves `host` to `address` from now on.
    pub fn resolve(&self, host: &str, address: &str) {
        self.names("/clear-a", &serde_json::json!({"host": host}));
        let add = serde_json::json!({"host": host, "addresses": [address]});
        self.names("/add-a", &add);
    }

    /// How many certificates it has issued since it is up.
    pub fn issued(&self) -> usize {
        self.count("Issued certificate serial")
    }

    /// How many orders were placed since it is up, refused ones included.
    pub fn orders(&self) -> usize {
        self.count("POST /order-plz ->")
    }

    /// How many times an account was registered or looked up since it is up.
    pub fn registrations(&self) -> usize {
        self.count("POST /sign-me-up ->")
    }

    fn count(&self, part: &str) -> usize {
        let log = fs::read(self.dir.path().join("pebble.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).matches(part).count()
    }

    #[track_caller]
    fn spawn(&self, mut command: Command, log: &str) -> Child {
        let log = File::create(self.dir.path().join(log)).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("install Debian's package `pebble`")
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        end(&mut self.server);
        end(&mut self.dns_server);
        if std::thread::panicking() {
            let log = fs::read(self.dir.path().join("pebble.log")).unwrap_or_default();
            eprintln!("--- pebble ---\n{}", String::from_utf8_lossy(&log));
        }
    }
}

fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Writes a request, reads to the end, gives the body.
fn exchange(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A close without close_notify is this server's way to end an answer.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"),
        "{answer}"
    );
    answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
}

/// A root in `ca.pem` and a pair for `localhost` under it.
fn write_pair(dir: &Path, young: bool) -> (PathBuf, PathBuf) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.distinguished_name
        .push(rcgen::DnType::CommonName, "pebble's own https");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let root = ca.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut leaf =
        CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    if young {
        leaf.not_before = OffsetDateTime::now_utc() - Duration::from_secs(60);
    }
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    fs::write(dir.join("ca.pem"), root.pem()).unwrap();
    let (chain_file, key_file) = (dir.join("https.pem"), dir.join("https.key"));
    fs::write(&chain_file, leaf.pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    (chain_file, key_file)
}
