//! gRPC end to end: a real client and a real server (grpcio), hubgate between them, with and without TLS behind it.
//!
//! `tests/install.sh test` installs what it runs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use support::authority::Authority;
use support::hubgate::{HOST, command, one_site, run};
use support::{Hubgate, eventually};
use tempfile::TempDir;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/grpc")
        .join(name)
}

fn python(script: &str) -> Command {
    let python = file(".venv/bin/python");
    assert!(python.exists(), "no grpcio: run `tests/install.sh test`");
    let mut command = Command::new(python);
    command.arg(file(script));
    command
}

/// A gRPC server, until it is dropped.
struct Server {
    addr: SocketAddr,
    said: Arc<Mutex<Vec<String>>>,
    child: Child,
    stdin: Mutex<ChildStdin>,
}

impl Server {
    fn start(files: &[PathBuf]) -> Self {
        let mut command = python("server.py");
        command
            .args(files)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port: u16 = lines.next().unwrap().unwrap().parse().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let all = said.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                all.lock().unwrap().push(line);
            }
        });
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], port)),
            said,
            child,
            stdin: Mutex::new(stdin),
        }
    }

    /// Has its health service say this of a service; `-` is the whole server.
    fn says(&self, service: &str, status: &str) {
        let line = format!("{service} {status}");
        writeln!(self.stdin.lock().unwrap(), "{line}").unwrap();
        eventually("it says so", || self.has_said(&format!("set {line}")));
    }

    fn has_said(&self, line: &str) -> bool {
        self.said.lock().unwrap().iter().any(|said| said == line)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn every_kind_of_call_passes(dir: TempDir, authority: &Authority, server: &Server, lines: &str) {
    authority.issue(&[HOST]).files(dir.path(), "site");
    let toml = one_site(server.addr, "body_limit = \"none\"").replace(
        "certificate = \"self-signed\"",
        "certificate = { chain = \"site.pem\", key = \"site.key\" }",
    );
    let hubgate = Hubgate::start_in(dir, &(toml + lines));
    let output = python("client.py")
        .arg(hubgate.https.to_string())
        .arg(HOST)
        .arg(hubgate.dir.path().join("ca.pem"))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{text}");
    for cancelled in ["cancelled unary", "cancelled downloads"] {
        eventually(cancelled, || server.has_said(cancelled));
    }
}

fn folder(authority: &Authority) -> TempDir {
    let dir = TempDir::new().unwrap();
    authority.file(dir.path());
    dir
}

#[test]
fn grpc_passes_to_an_upstream_without_tls() {
    let authority = Authority::new("ours");
    let server = Server::start(&[]);
    let dir = folder(&authority);
    every_kind_of_call_passes(dir, &authority, &server, "protocol = \"h2c\"\n");
}

#[test]
fn grpc_passes_to_an_upstream_with_tls() {
    let authority = Authority::new("ours");
    let dir = folder(&authority);
    authority
        .issue(&["grpc.internal"])
        .files(dir.path(), "grpc");
    let files = ["grpc.pem", "grpc.key"].map(|name| dir.path().join(name));
    let server = Server::start(&files);
    let lines =
        "protocol = \"h2\"\ntls = { server_name = \"grpc.internal\", ca_file = \"ca.pem\" }\n";
    every_kind_of_call_passes(dir, &authority, &server, lines);
}

/// State and reason of the only endpoint.
fn state(hubgate: &Hubgate) -> (String, String) {
    let mut list = command(&["upstream", "list", "--json", "--socket"]);
    let (code, text) = run(list.arg(hubgate.socket()));
    assert_eq!(code, 0, "{text}");
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let one = &all[0]["endpoints"][0];
    let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("reason"))
}

fn health_is_followed(dir: TempDir, server: &Server, lines: &str) {
    let check = |service: &str| {
        format!(
            "health = {{ kind = \"grpc\", service = \"{service}\", interval = \"50ms\", rise = 1, fall = 1, initial = \"down\" }}\n"
        )
    };
    let site = one_site(server.addr, "");
    let hubgate = Hubgate::start_in(dir, &format!("{site}{}{lines}", check("test.Echo")));
    let is = |wanted: &str, why: &str| {
        eventually(&format!("{wanted}, {why}"), || {
            let (state, reason) = state(&hubgate);
            state == wanted && reason.contains(why)
        });
    };
    is("down", "knows no service `test.Echo`");
    server.says("test.Echo", "SERVING");
    is("up", "");
    server.says("test.Echo", "NOT_SERVING");
    is("down", "not serving");
    server.says("test.Echo", "UNKNOWN");
    is("down", "does not know whether");
    server.says("test.Echo", "SERVING");
    is("up", "");
    // The server as a whole, which says so from its start.
    hubgate.reload_to(&format!("{site}{}{lines}", check("")));
    server.says("test.Echo", "NOT_SERVING");
    server.says("-", "NOT_SERVING");
    is("down", "not serving");
    server.says("-", "SERVING");
    is("up", "");
}

#[test]
fn what_a_servers_health_service_says_is_followed_without_tls() {
    let server = Server::start(&[]);
    health_is_followed(TempDir::new().unwrap(), &server, "protocol = \"h2c\"\n");
}

#[test]
fn what_a_servers_health_service_says_is_followed_by_tls() {
    let authority = Authority::new("ours");
    let dir = folder(&authority);
    authority
        .issue(&["grpc.internal"])
        .files(dir.path(), "server");
    let files = ["server.pem", "server.key"].map(|name| dir.path().join(name));
    let server = Server::start(&files);
    let tls =
        "protocol = \"h2\"\ntls = { server_name = \"grpc.internal\", ca_file = \"ca.pem\" }\n";
    health_is_followed(dir, &server, tls);
}
