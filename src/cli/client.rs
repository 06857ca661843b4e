//! Asks the running process, over its admin socket, and says in plain words when that fails.
//!
//! One request, [`DEADLINE`] for all of it, at most [`MOST_BYTES`] of answer.

use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::socket::{self, Found, SocketError};
use super::{Door, complain, exit};
use crate::admin::StatusReport;

/// For connecting, asking and the whole answer.
const DEADLINE: Duration = Duration::from_secs(10);
const MOST_BYTES: usize = 16 << 20;

/// What the process answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// The exit code it means.
    pub(super) code: u8,
    /// What, where, why and what to do; several lines.
    pub(super) text: String,
}

/// Sends `method` `target` to the process behind `door`.
pub(super) fn ask(door: &Door, method: Method, target: &str) -> Result<Answer, Failure> {
    ask_within(DEADLINE, door, method, target)
}

/// What the running process knows, or the exit code after the user was told why that is not to be had.
pub(super) fn status(command: &str, door: &Door) -> Result<StatusReport, u8> {
    let (code, text) = match ask(door, Method::GET, "/status") {
        Ok(answer) if answer.status == StatusCode::OK => match serde_json::from_str(&answer.body) {
            Ok(report) => return Ok(report),
            Err(error) => {
                let other = "the running hubgate is of another version and answers in a form that is not known here";
                (exit::UNREACHABLE, format!("{other}: {error}\n"))
            }
        },
        Ok(answer) => {
            let body = answer.body.trim_end();
            let text = format!("the process answered {}: {body}\n", answer.status);
            (exit::UNREACHABLE, text)
        }
        Err(failure) => (failure.code, failure.text),
    };
    complain(&format!("{command}: {text}"));
    Err(code)
}

/// As [`ask`], for what may take longer.
pub(super) fn ask_within(
    deadline: Duration,
    door: &Door,
    method: Method,
    target: &str,
) -> Result<Answer, Failure> {
    let found = socket::find(door).map_err(unfound)?;
    runtime()?.block_on(async {
        match tokio::time::timeout(deadline, exchange(&found.path, method, target)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(unreached(&found, &error)),
            Err(_) => Err(late(&found, deadline)),
        }
    })
}

/// Where exchanges run.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(|error| Failure {
        code: exit::UNREACHABLE,
        text: format!("cannot start: {error}\n"),
    })
}

/// One request and its answer. To be given a deadline.
pub(super) async fn exchange(path: &Path, method: Method, target: &str) -> io::Result<Answer> {
    let stream = UnixStream::connect(path).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(http::header::HOST, "hubgate")
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let answer = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST_BYTES)
            .collect()
            .await;
        let body = body.map_err(io::Error::other)?.to_bytes();
        Ok(Answer {
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    };
    // The connection ends with the answer; what is wrong with it shows there.
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => {
            ended.map_err(io::Error::other)?;
            answer.await
        }
    }
}

pub(super) fn unfound(error: SocketError) -> Failure {
    let code = match error {
        SocketError::Read { .. } => exit::UNREACHABLE,
        SocketError::Syntax { .. } => exit::REFUSED,
    };
    let text = format!(
        "{}\n  `--socket PATH` reaches the running process without the file\n",
        chain(&error)
    );
    Failure { code, text }
}

pub(super) fn unreached(found: &Found, error: &io::Error) -> Failure {
    let path = found.path.display();
    let (what, advice) = match error.kind() {
        ErrorKind::NotFound => (
            format!("no hubgate listens at `{path}`: there is no such socket"),
            "is hubgate running? `systemctl status hubgate` says",
        ),
        ErrorKind::ConnectionRefused => (
            format!("no hubgate listens at `{path}` any more: it left its socket behind"),
            "is hubgate running? `systemctl status hubgate` says; its log says why it ended",
        ),
        ErrorKind::PermissionDenied => (
            format!("`{path}` is not yours to use: permission denied"),
            "only the account that hubgate runs as and root may; try the same with `sudo`",
        ),
        _ => (
            format!("hubgate at `{path}` gave no answer: {}", chain(error)),
            "its log may say more",
        ),
    };
    Failure {
        code: exit::UNREACHABLE,
        text: format!("{what}\n  {advice}\n  the socket is {}\n", found.origin),
    }
}

pub(super) fn late(found: &Found, deadline: Duration) -> Failure {
    Failure {
        code: exit::UNREACHABLE,
        text: format!(
            "hubgate at `{}` gave no answer within {} s\n  a reload that was begun goes on; `hubgate status` shows the \
             generation that runs\n  the socket is {}\n",
            found.path.display(),
            deadline.as_secs(),
            found.origin
        ),
    }
}

/// An error with its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let level = error.to_string();
        if !text.ends_with(&level) {
            let written = write!(text, ": {}", level.trim_end());
            debug_assert!(written.is_ok(), "a String takes every write");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::sync::Arc;

    use futures_util::future::BoxFuture;

    use super::*;
    use crate::admin::{
        Admin, AdminSocket, Control, Gate, ReloadOutcome, ReloadReport, Status, serve_socket,
    };
    use crate::observe::metrics::Metrics;

    fn failure(socket: PathBuf) -> Failure {
        let door = Door {
            socket: Some(socket),
            config: None,
        };
        ask(&door, Method::GET, "/status").unwrap_err()
    }

    struct Refusing;

    impl Control for Refusing {
        fn orders(&self) -> crate::observe::metrics::AcmeFacts {
            Default::default()
        }

        fn reload(&self) -> BoxFuture<'_, ReloadOutcome> {
            let diagnostics = "error[x]: no\n".repeat(20);
            Box::pin(async { ReloadOutcome::Refused { diagnostics } })
        }
        fn plan(&self) -> BoxFuture<'_, ReloadOutcome> {
            Box::pin(async { ReloadOutcome::Done(ReloadReport::default()) })
        }
        fn status(&self) -> Status {
            Status::default()
        }
    }

    #[test]
    fn the_faults_of_the_running_process_arrive_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let socket = AdminSocket::bind(&path).unwrap();
        let server = tokio::runtime::Runtime::new().unwrap();
        server.spawn(serve_socket(
            Arc::new(socket),
            Admin::new(Arc::new(Refusing), Metrics::new()),
            tokio::sync::watch::Sender::new(Gate::Open).subscribe(),
        ));
        let door = Door {
            socket: Some(path),
            config: None,
        };
        let refused = ask(&door, Method::POST, "/reload").unwrap();
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.body, "error[x]: no\n".repeat(20));
        assert_eq!(crate::cli::reload::run(&door, false), exit::REFUSED);
        assert_eq!(crate::cli::reload::run(&door, true), exit::OK);
        assert_eq!(crate::cli::status::run(&door, false, None), exit::OK);
    }

    #[test]
    fn a_missing_socket_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let failure = failure(path.clone());
        assert_eq!(failure.code, exit::UNREACHABLE);
        for part in [
            path.to_str().unwrap(),
            "is hubgate running?",
            "given with --socket",
        ] {
            assert!(failure.text.contains(part), "{}", failure.text);
        }
    }

    #[test]
    fn a_socket_left_behind_is_told_from_a_missing_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(failure(path).text.contains("left its socket behind"));
    }

    #[test]
    fn a_process_that_hangs_up_is_an_answer_that_never_came() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || drop(listener.accept()));
        let failure = failure(path);
        server.join().unwrap();
        assert!(failure.text.contains("gave no answer"), "{}", failure.text);
    }

    #[test]
    fn a_file_that_is_no_toml_is_refused_and_not_unreachable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hubgate.toml");
        std::fs::write(&path, "[admin").unwrap();
        let door = Door {
            socket: None,
            config: Some(path),
        };
        let failure = ask(&door, Method::GET, "/").unwrap_err();
        assert_eq!(failure.code, exit::REFUSED);
        assert!(failure.text.contains("--socket PATH"), "{}", failure.text);
    }
}
