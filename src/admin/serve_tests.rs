//! The admin door from outside, over real sockets.
//!
//! Apart from `serve` to keep that file readable.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;

use super::*;
use crate::admin::{CertificateStatus, Control, ReloadOutcome, ReloadReport, Status};
use crate::observe::metrics::Metrics;

/// Refuses every second reload; waits for `gate` when it has one.
#[derive(Default)]
struct Fake {
    reloads: AtomicUsize,
    finished: AtomicUsize,
    gate: Option<Arc<Notify>>,
}

impl Control for Fake {
    fn reload(&self) -> BoxFuture<'_, ReloadOutcome> {
        Box::pin(async {
            let number = self.reloads.fetch_add(1, Ordering::SeqCst);
            if let Some(gate) = &self.gate {
                gate.notified().await;
            }
            self.finished.fetch_add(1, Ordering::SeqCst);
            if number % 2 == 1 {
                return ReloadOutcome::Refused {
                    diagnostics: "error[x]: no\n".to_owned(),
                };
            }
            ReloadOutcome::Done(ReloadReport {
                generation: 2,
                changes: vec!["site `a` is new".to_owned()],
                warnings: vec![],
            })
        })
    }

    fn plan(&self) -> BoxFuture<'_, ReloadOutcome> {
        Box::pin(async { ReloadOutcome::Done(ReloadReport::default()) })
    }

    fn orders(&self) -> crate::observe::metrics::AcmeFacts {
        Default::default()
    }

    fn status(&self) -> Status {
        Status {
            certificates: vec![CertificateStatus {
                host: "a.test".to_owned(),
                source: "acme".to_owned(),
                not_before: Some(1_790_000_000),
                not_after: Some(1_800_000_000),
                trouble: None,
                ..CertificateStatus::default()
            }],
            ..Status::default()
        }
    }
}

fn admin(control: &Arc<Fake>) -> Admin {
    Admin::new(Arc::clone(control) as Arc<dyn Control>, Metrics::new())
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), read)
        .await
        .unwrap()
        .unwrap();
    answer
}

fn request(line: &str, host: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

async fn over_socket(path: &Path, line: &str) -> String {
    exchange(
        UnixStream::connect(path).await.unwrap(),
        &request(line, "hubgate"),
    )
    .await
}

/// A gate that stays open.
fn open() -> watch::Receiver<Gate> {
    watch::Sender::new(Gate::Open).subscribe()
}

#[tokio::test]
async fn the_socket_shows_everything_and_reloads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let control = Arc::new(Fake::default());
    let socket = AdminSocket::bind(&path).unwrap();
    let server = tokio::spawn(serve_socket(Arc::new(socket), admin(&control), open()));
    for (line, status, contained) in [
        ("GET /health", 200, "ok"),
        ("GET /status", 200, "\"generation\": 0"),
        ("GET /metrics", 200, "hubgate_requests_total"),
        (
            "GET /metrics",
            200,
            "hubgate_certificate_not_after_seconds{host=\"a.test\"} 1800000000",
        ),
        ("GET /", 200, "<!doctype html>"),
        ("POST /reload", 200, "site `a` is new"),
        ("POST /reload", 422, "error[x]: no"),
        ("POST /reload?plan=1", 200, "\"changes\": []"),
        ("POST /reload?plan=yes", 400, "plan=1"),
        ("GET /reload", 405, "allow: POST"),
        ("DELETE /status", 405, "allow: GET, HEAD"),
        ("GET /x", 404, "GET /status"),
    ] {
        let answer = over_socket(&path, line).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{line}: {answer}"
        );
        assert!(answer.contains(contained), "{line}: {answer}");
    }
    assert_eq!(control.reloads.load(Ordering::SeqCst), 2);
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    assert!(!path.exists());
}

#[tokio::test]
async fn over_tcp_nothing_can_be_changed_and_no_other_name_answers() {
    let control = Arc::new(Fake::default());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let _server = tokio::spawn(serve_tcp(listener, admin(&control), open()));
    for (line, host, status) in [
        ("GET /status", "localhost", 200),
        ("HEAD /metrics", "127.0.0.1:9180", 200),
        ("GET /status", "evil.example", 421),
        ("POST /reload", "localhost", 403),
        ("POST /reload?plan=1", "localhost", 403),
        ("POST /reload", "evil.example", 421),
    ] {
        let stream = TcpStream::connect(address).await.unwrap();
        let answer = exchange(stream, &request(line, host)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{line} {host}: {answer}"
        );
    }
    assert_eq!(control.reloads.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_reload_runs_to_its_end_when_the_client_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let gate = Arc::new(Notify::new());
    let control = Arc::new(Fake {
        gate: Some(Arc::clone(&gate)),
        ..Fake::default()
    });
    let _server = tokio::spawn(serve_socket(
        Arc::new(AdminSocket::bind(&path).unwrap()),
        admin(&control),
        open(),
    ));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream
        .write_all(request("POST /reload", "hubgate").as_bytes())
        .await
        .unwrap();
    until(|| control.reloads.load(Ordering::SeqCst) == 1).await;
    drop(stream);
    assert!(over_socket(&path, "GET /health").await.contains("ok"));
    gate.notify_one();
    until(|| control.finished.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test(start_paused = true)]
async fn silent_connections_give_their_place_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let control = Arc::new(Fake::default());
    let _server = tokio::spawn(serve_socket(
        Arc::new(AdminSocket::bind(&path).unwrap()),
        admin(&control),
        open(),
    ));
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS {
        silent.push(UnixStream::connect(&path).await.unwrap());
    }
    let mut late = UnixStream::connect(&path).await.unwrap();
    late.write_all(request("GET /health", "hubgate").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    late.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("ok\n"), "{answer}");
}

async fn until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}
