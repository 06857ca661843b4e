//! Endpoints that are unix sockets: requests, tunnels, checks and streams reach them as they reach any other.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use crate::support::hubgate::{HOST, command, run};
use crate::support::ports::free_addr;
use crate::support::{Client, Hubgate, eventually};

/// A server on a unix socket that says what was asked for; of `/ws` it makes an echo.
struct App {
    path: PathBuf,
    checks: Arc<AtomicUsize>,
    _dir: TempDir,
}

impl App {
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("app.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let checks = Arc::<AtomicUsize>::default();
        let counted = checks.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let counted = counted.clone();
                std::thread::spawn(move || talk(stream, &counted));
            }
        });
        Self {
            path,
            checks,
            _dir: dir,
        }
    }
}

fn talk(mut stream: UnixStream, checks: &AtomicUsize) -> Option<()> {
    loop {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        if head.starts_with("GET /health ") {
            checks.fetch_add(1, Ordering::Relaxed);
        }
        if head.starts_with("GET /ws ") {
            let switch =
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
            stream.write_all(switch.as_bytes()).ok()?;
            loop {
                stream.read_exact(&mut byte).ok()?;
                stream.write_all(&byte).ok()?;
            }
        }
        let said = head.lines().next().unwrap_or_default().to_owned();
        let length = said.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{said}");
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

fn toml(app: &Path, more: &str) -> String {
    format!(
        "[site.\"{HOST}\"]\ncertificate = \"self-signed\"\nhttp = \"forward\"\n\
         [[site.\"{HOST}\".route]]\npath = \"/\"\nupstream = \"app\"\n\
         [upstream.app]\nendpoints = [\"unix:{}\"]\n{more}",
        app.display()
    )
}

fn shown(hubgate: &Hubgate, command_line: &[&str]) -> String {
    let mut command = command(command_line);
    let (code, output) = run(command.arg("--socket").arg(hubgate.socket()));
    assert_eq!(code, 0, "{output}");
    output
}

#[test]
fn requests_tunnels_and_checks_reach_a_unix_socket() {
    let app = App::start();
    let health =
        "[upstream.app.health]\npath = \"/health\"\ninterval = \"1s\"\ntimeout = \"900ms\"\n";
    let hubgate = Hubgate::start(&toml(&app.path, health));
    for mut client in [hubgate.plain(), hubgate.tls()] {
        assert_eq!(client.get(HOST, "/a?b=c").text(), "GET /a?b=c HTTP/1.1");
        assert_eq!(client.get(HOST, "/again").text(), "GET /again HTTP/1.1");
    }
    let mut tunnel = hubgate.plain();
    tunnel.send(format!(
        "GET /ws HTTP/1.1\r\nHost: {HOST}\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
    ));
    assert_eq!(tunnel.head().unwrap().status(), 101);
    tunnel.send("ping");
    assert_eq!(tunnel.exactly(4).unwrap(), b"ping");
    eventually("it is checked there", || {
        app.checks.load(Ordering::Relaxed) > 1
    });
    let label = format!("unix:{}", app.path.display());
    assert!(shown(&hubgate, &["status"]).contains(&label));
    assert!(shown(&hubgate, &["status", "--open"]).contains(&label));
    let drained = shown(&hubgate, &["upstream", "drain", &label]);
    assert!(drained.contains(&label), "{drained}");
}

#[test]
fn a_socket_that_is_not_there_is_an_endpoint_that_cannot_be_reached() {
    let app = App::start();
    let hubgate = Hubgate::start(&toml(Path::new("/nowhere/app.sock"), ""));
    let response = hubgate.plain().get(HOST, "/");
    assert_eq!(response.status, 502);
    assert_eq!(response.head.one("x-hubgate-cause"), "upstream_connect");
    // The next one is tried, as of any upstream.
    let both =
        toml(&app.path, "").replace("endpoints = [", "endpoints = [\"unix:/nowhere/app.sock\", ");
    hubgate.reload_to(&both);
    for _ in 0..4 {
        assert_eq!(hubgate.plain().get(HOST, "/x").text(), "GET /x HTTP/1.1");
    }
}

#[test]
fn a_stream_is_passed_on_to_a_unix_socket() {
    let app = App::start();
    let listen = free_addr();
    let stream = format!("[[stream]]\nlisten = \"{listen}\"\nupstream = \"app\"\n");
    let hubgate = Hubgate::start(&toml(&app.path, &stream));
    let mut client = Client::plain(listen);
    for target in ["/one", "/two"] {
        assert_eq!(
            client.get(HOST, target).text(),
            format!("GET {target} HTTP/1.1")
        );
    }
    drop(hubgate);
}
