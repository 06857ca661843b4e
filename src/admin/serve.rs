//! Carries admin requests: HTTP/1.1 over the unix socket and over TCP, bounded in number and time.
//!
//! At most [`CONNECTIONS`] at once per listener; further ones wait in the system's queue. A connection ends when its
//! head is late, when it has been idle, or after [`LONGEST`]. Dropping the returned future ends all of them.

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
use tokio::task::JoinSet;

use super::answer::{Door, answer};
use super::{Admin, AdminSocket};

/// Connections served at once, per listener.
const CONNECTIONS: usize = 32;
/// For a request's head, and between two requests.
const HEAD: Duration = Duration::from_secs(10);
/// For a whole connection; a reload is the slowest thing on it.
const LONGEST: Duration = Duration::from_secs(120);
/// After a failed accept (no file descriptor left), so that it is not tried in a loop.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves the unix socket until the future is dropped; the socket's file goes with it. Fails only to begin.
pub async fn serve_socket(socket: AdminSocket, admin: Admin) -> io::Result<()> {
    let listener = UnixListener::from_std(socket.listener()?)?;
    accept(
        || async { listener.accept().await.map(|(stream, _)| stream) },
        &admin,
        Door::Socket,
    )
    .await
}

/// Serves `listener`, read only, until the future is dropped. Fails only to begin.
pub async fn serve_tcp(listener: TcpListener, admin: Admin) -> io::Result<()> {
    let door = Door::Tcp(listener.local_addr()?);
    accept(
        || async { listener.accept().await.map(|(stream, _)| stream) },
        &admin,
        door,
    )
    .await
}

async fn accept<S, F>(next: impl Fn() -> F, admin: &Admin, door: Door) -> io::Result<()>
where
    F: Future<Output = io::Result<S>>,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let admin = Arc::new(admin.clone());
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = next() => match accepted {
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
    match tokio::time::timeout(LONGEST, pin!(served)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection ended early"),
        Err(_) => tracing::debug!("an admin connection took too long"),
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
