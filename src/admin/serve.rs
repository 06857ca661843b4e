//! Carries admin requests: HTTP/1.1 over the unix socket and over TCP, bounded in number and time.
//!
//! At most [`CONNECTIONS`] at once per listener; further ones wait in the system's queue. A connection ends when its
//! head is late, when it has been idle, or after [`LONGEST`]. Dropping the returned future ends all of them; shutting the [`Gate`] none.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::answer::{Door, answer};
use super::{Admin, AdminSocket};

/// Connections served at once, per listener.
const CONNECTIONS: usize = 32;
/// For a request's head, and between two requests.
const HEAD: Duration = Duration::from_secs(10);
/// For a whole connection: over the socket an upgrade is the slowest thing on it, over TCP reading.
const LONGEST: Duration = Duration::from_secs(700);
const LONGEST_READ: Duration = Duration::from_secs(120);
/// After the end of serving, for what is under way.
const GOODBYE: Duration = Duration::from_millis(500);
/// After a failed accept (no file descriptor left), so that it is not tried in a loop.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether connections are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// Yes.
    #[default]
    Open,
    /// Not now; those that are there go on.
    Shut,
    /// Never again: serving ends with those that are there, or a little later.
    Ended,
}

/// Serves the unix socket until the gate has ended. Fails only to begin.
pub async fn serve_socket(
    socket: Arc<AdminSocket>,
    admin: Admin,
    gate: watch::Receiver<Gate>,
) -> io::Result<()> {
    let listener = UnixListener::from_std(socket.listener()?)?;
    accept(
        || async { listener.accept().await.map(|(stream, _)| stream) },
        &admin,
        Door::Socket,
        gate,
    )
    .await;
    Ok(())
}

/// Serves `listener`, read only, until the gate has ended. Fails only to begin.
pub async fn serve_tcp(
    listener: std::net::TcpListener,
    admin: Admin,
    gate: watch::Receiver<Gate>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let door = Door::Tcp(listener.local_addr()?);
    accept(
        || async { listener.accept().await.map(|(stream, _)| stream) },
        &admin,
        door,
        gate,
    )
    .await;
    Ok(())
}

async fn accept<S, F>(
    next: impl Fn() -> F,
    admin: &Admin,
    door: Door,
    mut gate: watch::Receiver<Gate>,
) where
    F: Future<Output = io::Result<S>>,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let admin = Arc::new(admin.clone());
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        let state = *gate.borrow_and_update();
        if state == Gate::Ended {
            break;
        }
        tokio::select! {
            // Without anybody who could change it, it stays as it is.
            Ok(()) = gate.changed() => {}
            accepted = next(), if state == Gate::Open => match accepted {
                Ok(stream) => {
                    connections.spawn(connection(stream, Arc::clone(&admin), door));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an admin connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    // The answer that the end was asked for with is on its way.
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GOODBYE, all).await.is_err() {
        tracing::debug!("admin connections cut at the end");
    }
}

async fn connection<S>(stream: S, admin: Arc<Admin>, door: Door)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let admin = Arc::clone(&admin);
        async move { Ok::<_, Infallible>(answer(&admin, door, &request.into_parts().0).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(64)
        .max_buf_size(32 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let longest = match door {
        Door::Socket => LONGEST,
        Door::Tcp(_) => LONGEST_READ,
    };
    match tokio::time::timeout(longest, pin!(served)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection ended early"),
        Err(_) => tracing::debug!("an admin connection took too long"),
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
