//! One connection to an endpoint: how full it is, whether it is alive, and the task that moves its frames.
//!
//! The task ends with the connection: when the peer or a fault ends it, when a ping stays unanswered, or when the pool
//! and all streams have let go of it. A connection takes requests once the peer's settings are known, since one too many
//! would wait in it for the end of another. A silent connection is asked by one ping, and only when another request is to go
//! on it: endpoints take regular pings for an attack (gRPC servers answer with `ENHANCE_YOUR_CALM`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong, Reason};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::io::Io;
use crate::transport::{BufferedSocket, Socket, now};

/// Streams at once on one connection, if the peer allows as many: they share one task and one window.
pub(super) const STREAMS: usize = 100;
/// Stands for a limit that has not been said yet: no peer can say so much.
const UNKNOWN: usize = usize::MAX - 1;
/// What one stream may be sent ahead of its client.
const STREAM_WINDOW: u32 = 128 * 1024;
/// As much for all of them, so that clients which take nothing leave room for the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;
/// Bytes of a response's head, as its fields are counted (RFC 9113 section 6.5.2).
const LARGEST_HEAD: u32 = 256 * 1024;
/// How long a connection with streams may be silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// After this a further request is a reason to ask.
    silence: Duration,
    /// How long the answer to that may take.
    pong: Duration,
}

pub(super) const PATIENCE: Patience = Patience {
    silence: Duration::from_secs(10),
    pong: Duration::from_secs(10),
};

/// A connection in the pool's hands. Dropped, it ends after its last stream.
pub(super) struct Connection {
    send: SendRequest<Bytes>,
    pub(super) state: Arc<State>,
}

/// What is known about a connection.
#[derive(Debug)]
pub(super) struct State {
    streams: AtomicUsize,
    /// How many there may be, as far as refusals have taught.
    most: AtomicUsize,
    served: AtomicBool,
    begun: Instant,
    /// Milliseconds after `begun`.
    heard: AtomicU64,
    idle_since: AtomicU64,
    ask: Notify,
    /// Something has come, or the connection has ended.
    came: Notify,
    ended: Mutex<Option<Result<(), h2::Error>>>,
    patience: Patience,
}

/// One stream's part of a connection.
#[derive(Debug)]
pub(super) struct Place(Arc<State>);

impl Connection {
    /// Begins to speak on a socket that has just been connected; ready when the peer has said how much it takes, though
    /// it may be over by then. Must be called on the worker's event loop.
    pub(super) async fn open(socket: Socket, patience: Patience) -> Result<Self, h2::Error> {
        let state = Arc::new(State {
            streams: AtomicUsize::new(0),
            most: AtomicUsize::new(STREAMS),
            served: AtomicBool::new(false),
            begun: now(),
            heard: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            ask: Notify::new(),
            came: Notify::new(),
            ended: Mutex::new(None),
            patience,
        });
        let io = Io {
            wire: BufferedSocket::new(socket),
            state: Arc::clone(&state),
        };
        let (send, mut connection) = Builder::new()
            .enable_push(false)
            .initial_max_send_streams(UNKNOWN)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(LARGEST_HEAD)
            .handshake::<_, Bytes>(io)
            .await?;
        let pings = connection.ping_pong();
        let own = Arc::clone(&state);
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = connection => ended,
                () = until_dead(pings, &own) => {
                    tracing::warn!("an HTTP/2 connection to an endpoint was silent and left a ping unanswered; it is closed");
                    Ok(())
                }
            };
            if let Err(error) = &ended {
                tracing::debug!(%error, "an HTTP/2 connection to an endpoint ended");
            }
            *own.ended.lock() = Some(ended);
            own.came.notify_one();
        });
        // Settings may come with a farewell: that is no fault, but a connection which is over.
        while send.current_max_send_streams() == UNKNOWN {
            if let Some(ended) = state.ended.lock().take() {
                return Err(ended.err().unwrap_or_else(|| Reason::NO_ERROR.into()));
            }
            state.came.notified().await;
            // What came is looked at by the connection's own task.
            tokio::task::yield_now().await;
        }
        Ok(Self { send, state })
    }

    /// Whether it will never take another request.
    pub(super) fn is_over(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        matches!(
            self.send.clone().poll_ready(&mut cx),
            std::task::Poll::Ready(Err(_))
        )
    }

    /// A place for a request, when there is one; and what to send it by.
    pub(super) fn enter(&self, now: Instant) -> Option<(SendRequest<Bytes>, Place)> {
        let peers = self.send.current_max_send_streams();
        let most = self.state.most.load(Ordering::Relaxed).min(peers);
        let streams = self.state.streams.load(Ordering::Relaxed);
        if streams >= most {
            return None;
        }
        if streams > 0 && now > self.state.heard_at() + self.state.patience.silence {
            self.state.ask.notify_one();
        }
        // The pool is one worker's, so nobody comes between.
        self.state.streams.fetch_add(1, Ordering::Relaxed);
        Some((self.send.clone(), Place(Arc::clone(&self.state))))
    }

    /// Since when it has had no stream; `None` while it has one.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let idle = self.state.streams.load(Ordering::Relaxed) == 0;
        let since = || self.state.idle_since.load(Ordering::Relaxed);
        idle.then(|| self.state.begun + Duration::from_millis(since()))
    }
}

impl State {
    /// Notes that something has come.
    pub(super) fn heard(&self) {
        self.heard.store(self.millis(), Ordering::Relaxed);
        self.came.notify_one();
    }

    /// Whether it has answered a request.
    pub(super) fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    fn heard_at(&self) -> Instant {
        self.begun + Duration::from_millis(self.heard.load(Ordering::Relaxed))
    }

    fn millis(&self) -> u64 {
        let millis = now().saturating_duration_since(self.begun).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX)
    }
}

impl Place {
    /// Notes that the peer answered.
    pub(super) fn served(&self) {
        self.0.served.store(true, Ordering::Relaxed);
    }

    /// Notes that the peer takes no more streams than there were beside this one.
    pub(super) fn refused(&self) {
        let others = self.0.streams.load(Ordering::Relaxed).saturating_sub(1);
        self.0.most.fetch_min(others.max(1), Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.idle_since.store(self.0.millis(), Ordering::Relaxed);
        }
    }
}

/// Asks when it is told to; ready when there was no answer.
async fn until_dead(pings: Option<PingPong>, state: &State) {
    let Some(mut pings) = pings else {
        return std::future::pending().await;
    };
    loop {
        state.ask.notified().await;
        match tokio::time::timeout(state.patience.pong, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            // The connection has an end of its own.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    async fn opened(patience: Patience) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let mut far = far.unwrap().0;
        // Settings that say nothing, and no word after them.
        far.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        let socket = Socket::Plain(near.unwrap());
        let connection = Connection::open(socket, patience).await.unwrap();
        (connection, far)
    }

    #[tokio::test]
    async fn a_silent_connection_is_over_when_a_ping_stays_unanswered_and_not_before_it_is_asked() {
        let patience = Patience {
            silence: Duration::ZERO,
            pong: Duration::from_millis(30),
        };
        let (connection, _deaf) = opened(patience).await;
        let later = || now() + Duration::from_millis(1);
        let (_send, _first) = connection.enter(later()).unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(!connection.is_over(), "nobody waits behind it");
        let (_send, _second) = connection.enter(later()).unwrap();
        let until = now() + Duration::from_secs(5);
        while !connection.is_over() {
            assert!(now() < until, "it goes on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_connection_is_idle_after_its_last_stream_and_takes_as_many_as_it_learnt() {
        let (connection, _far) = opened(PATIENCE).await;
        let places: Vec<_> = (0..STREAMS)
            .map(|_| connection.enter(now()).unwrap().1)
            .collect();
        assert!(connection.enter(now()).is_none());
        assert!(connection.idle_since().is_none());
        places[0].refused();
        drop(places);
        assert!(connection.idle_since().is_some());
        let places: Vec<_> = (0..STREAMS - 1)
            .map(|_| connection.enter(now()).unwrap().1)
            .collect();
        assert!(connection.enter(now()).is_none());
        drop(places);
    }
}
