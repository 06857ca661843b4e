//! The ACME worker alone: a state directory, port 80 answered from its token map, and a look at what it serves.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hubgate::acme::schedule::Delays;
use hubgate::acme::{HostStatus, Listeners, Settings, Tokens, Worker, token_of};
use hubgate::config::{AcmeAuthority, ChallengeKind};
use hubgate::tls::Origin;
use hubgate::tls::{Certificates, Served};
use hubgate::types::host::{Authority, Host, HostPattern};
use tempfile::TempDir;

use super::pebble::Pebble;
use super::{PATIENCE, events, within};

pub const HOST: &str = "hub.example.test";

/// What outlives a worker: the state directory, port 80, and the waits of the test.
pub struct Edge {
    pub state: TempDir,
    pub tokens: Tokens,
    pub http_port: u16,
    pub delays: Delays,
}

impl Edge {
    pub fn new() -> Self {
        events::keep();
        hubgate::tls::install_provider();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let http_port = listener.local_addr().unwrap().port();
        let tokens = Tokens::default();
        let answers = tokens.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(&stream, &answers);
            }
        });
        let short = Duration::from_millis(300);
        Self {
            state: TempDir::new().unwrap(),
            tokens,
            http_port,
            delays: Delays {
                validation: [short, short, short, Duration::from_secs(3600)],
                ca_unavailable: short,
                ca_unavailable_max: short,
                store: short,
                ..Delays::default()
            },
        }
    }

    pub fn settings(&self, pebble: &Pebble, directory: &str) -> Settings {
        Settings {
            authorities: vec![authority(pebble, directory)],
            state_dir: self.state.path().to_owned(),
            listeners: Listeners {
                http: vec![SocketAddr::from(([127, 0, 0, 1], self.http_port))],
                https: Vec::new(),
            },
            delays: self.delays.clone(),
        }
    }

    pub fn run(&self, pebble: &Pebble, hosts: &[&str]) -> Running {
        self.run_at(pebble, &pebble.directory_url, hosts)
    }

    pub fn run_at(&self, pebble: &Pebble, directory: &str, hosts: &[&str]) -> Running {
        self.run_with(self.settings(pebble, directory), hosts)
    }

    /// A worker of its own settings.
    pub fn run_with(&self, settings: Settings, hosts: &[&str]) -> Running {
        let certificates = Certificates::new();
        let served = Arc::clone(&certificates);
        let worker = Worker::start(
            settings,
            self::hosts(hosts),
            served,
            self.tokens.clone(),
            true,
        )
        .unwrap();
        Running {
            worker,
            certificates,
        }
    }

    pub fn file(&self, host: &str, name: &str) -> std::path::PathBuf {
        self.state.path().join("acme/certs").join(host).join(name)
    }
}

pub fn authority(pebble: &Pebble, directory: &str) -> AcmeAuthority {
    AcmeAuthority {
        name: "pebble".to_owned(),
        directory: directory.to_owned(),
        contact: vec!["mailto:ops@example.test".to_owned()],
        ca_file: Some(pebble.ca_file.clone()),
        challenge: ChallengeKind::Http01,
        profile: None,
        profile_required: false,
        external_account: None,
        staging: None,
    }
}

pub struct Running {
    pub worker: Worker,
    pub certificates: Arc<Certificates>,
}

impl Running {
    pub fn served(&self, host: &str) -> Served {
        self.certificates
            .get(&HostPattern::parse(host).unwrap())
            .expect("something is served")
    }

    pub fn status(&self, host: &str) -> HostStatus {
        let all = self.worker.status();
        all.into_iter()
            .find(|row| row.host.as_str() == host)
            .unwrap_or_else(|| panic!("no status of {host}"))
    }

    #[track_caller]
    pub fn wait_for_certificate(&self, host: &str) -> Served {
        within(PATIENCE, "a certificate is served", || {
            self.served(host).origin == Origin::Acme
        });
        self.served(host)
    }
}

pub fn hosts(names: &[&str]) -> Vec<Host> {
    names
        .iter()
        .map(|name| Host::parse(name).unwrap())
        .collect()
}

/// Port 80: answers one request from the token map.
fn answer(stream: &std::net::TcpStream, tokens: &Tokens) {
    stream.set_read_timeout(Some(super::DEADLINE)).unwrap();
    let lines: Vec<String> = BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let path = lines
        .first()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap_or_default();
    let host = lines.iter().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("host:")
            .map(|host| host.trim().to_owned())
    });
    let found = host
        .and_then(|host| Authority::parse(&host).ok())
        .and_then(|authority| tokens.lookup(&authority.host, token_of(path.as_bytes())?));
    let text = match found {
        Some(body) => format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ),
        None => {
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
        }
    };
    let _ = (&mut &*stream).write_all(text.as_bytes());
}

pub fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
