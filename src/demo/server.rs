//! Runs the stand-in hub: a listener on a free loopback port, one thread, one task a connection.
//!
//! Answers are `answers`' and `websocket`'s business. Invariant: dropping [`Hub`] ends its thread and every connection.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::demo::answers;

/// Connections served at once; more wait in the listener's queue.
const CONNECTIONS: usize = 1024;
/// Above what hubgate keeps an idle connection for, so that hubgate is the one to close it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The stand-in hub, running on its own thread until dropped.
#[derive(Debug)]
pub struct Hub {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Hub {
    /// Starts it on a free port of 127.0.0.1. Fails when there is no port, thread or runtime to be had.
    pub fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("demo-hub".to_owned())
            .spawn(move || {
                let served = runtime.block_on(serve(listener, stopped));
                if let Err(error) = served {
                    tracing::error!(%error, "the demo hub cannot listen");
                }
            })?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the demo hub's thread panicked");
        }
    }
}

/// Accepts until `stopped` is sent or dropped; the connections end with the set that holds them. Fails only at first.
async fn serve(
    listener: std::net::TcpListener,
    mut stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            _ = &mut stopped => return Ok(()),
        };
        match accepted {
            Ok((stream, place)) => {
                connections.spawn(async move {
                    connection(stream).await;
                    drop(place);
                });
            }
            // Out of file descriptors, most likely: others must end before this can go well again.
            Err(error) => {
                tracing::warn!(%error, "the demo hub cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// A connection and its place among those served at once, taken first.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = places
        .clone()
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn connection(stream: TcpStream) {
    // Events are small and wanted at once.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the demo hub cannot set TCP_NODELAY");
    }
    let service =
        service_fn(|request| async { Ok::<_, Infallible>(answers::answer(request).await) });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the demo hub ended early");
    }
}

#[cfg(test)]
mod tests;
