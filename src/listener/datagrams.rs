//! Takes datagrams from a UDP socket and gives each to its client's session, within the caps.
//!
//! A session is a client's address and port, and the address of ours that it sent to. Those of one client come to one
//! worker, as the kernel spreads them by just that. A datagram of no session, for which there is no room, is dropped and
//! counted. What becomes of a session is `stream`'s.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use parking_lot::Mutex;
use socket2::Socket;
use tokio::sync::watch;

use super::accept::{Failing, ListenerKey, count};
use super::beat::Beat;
use super::connection::Context;
use crate::snapshot::stream::Slot;
use crate::stream::{Begun, Session};
use crate::transport::datagrams::{DatagramSocket, Ends, LONGEST};
use crate::transport::now;
use crate::types::address::{Address, THIS_HOST};

/// The sessions of one socket.
type Sessions = Mutex<HashMap<Ends, Arc<Session>>>;

/// A UDP socket in an event loop, with its sessions.
#[derive(Debug)]
pub struct Post {
    socket: Arc<DatagramSocket>,
    sessions: Arc<Sessions>,
    /// Sessions end a while after it is dropped.
    open: watch::Sender<()>,
}

/// A session's place in the table, given back when this is dropped.
struct Listed {
    sessions: Arc<Sessions>,
    session: Arc<Session>,
    ends: Ends,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut sessions = self.sessions.lock();
        // Another one may have its place by now.
        if let Some(own) = sessions.get(&self.ends)
            && Arc::ptr_eq(own, &self.session)
        {
            sessions.remove(&self.ends);
        }
    }
}

/// Whose a datagram is.
enum Next {
    Session(Arc<Session>),
    /// Nobody's: this is said to it.
    Answered(Vec<u8>),
    Refused,
}

impl Post {
    /// Puts a socket of `address` into the event loop of the caller.
    pub fn new(address: &Address, socket: Socket) -> io::Result<Self> {
        Ok(Self {
            socket: Arc::new(DatagramSocket::new(socket, address.is_any())?),
            sessions: Arc::default(),
            open: watch::Sender::new(()),
        })
    }

    /// Takes datagrams until the future is dropped; sessions go on for a while without it. `beat` answers while the loop runs.
    pub async fn receive(self, key: ListenerKey, context: Arc<Context>, beat: &Beat) {
        let mut space = vec![0; LONGEST];
        let mut failing = Failing::default();
        loop {
            let received = {
                let mut next = pin!(self.socket.receive(&mut space));
                let next = poll_fn(|cx| {
                    beat.answer(cx);
                    next.as_mut().poll(cx)
                });
                next.await
            };
            match received {
                Ok((size, ends)) => self.deliver(&space[..size], ends, &key, &context),
                Err(error) => failing.pause(&error, &key.0, &context).await,
            }
            tokio::task::consume_budget().await;
        }
    }

    fn deliver(&self, bytes: &[u8], ends: Ends, key: &ListenerKey, context: &Arc<Context>) {
        let known = self.sessions.lock().get(&ends).cloned();
        let session = match known {
            Some(session) => Next::Session(session),
            None => self.begin(ends, key, context).unwrap_or(Next::Refused),
        };
        let metrics = &context.shared.metrics;
        match session {
            Next::Session(session) => {
                if !session.send(bytes) {
                    metrics.datagrams_lost.inc();
                }
                if session.is_spent() {
                    // It goes on for its answers.
                    let mut sessions = self.sessions.lock();
                    let same = sessions
                        .get(&ends)
                        .is_some_and(|own| Arc::ptr_eq(own, &session));
                    same.then(|| sessions.remove(&ends));
                }
            }
            Next::Answered(answer) => {
                if self.socket.answer(&answer, ends).is_err() {
                    metrics.datagrams_lost.inc();
                }
            }
            Next::Refused => metrics.datagrams_refused.inc(),
        }
    }

    /// A new session, if there is room for one.
    fn begin(&self, ends: Ends, key: &ListenerKey, context: &Arc<Context>) -> Option<Next> {
        let client = SocketAddr::new(ends.client.ip().to_canonical(), ends.client.port());
        let stream = {
            let snapshot = context.shared.snapshot.load();
            let index = snapshot.streams.of_datagrams(&key.0)?;
            snapshot.running_streams.get(index)?.clone()
        };
        let most = stream.config.udp?.sessions;
        let slot = Slot::take(&stream.sessions, most);
        let Some(slot) = slot else {
            tracing::debug!(peer = %client, stream = &*stream.name, most, "no room for another session");
            return None;
        };
        let permit = match context.caps.try_acquire(client.ip()) {
            Ok(permit) => permit,
            Err(refused) => {
                count(&refused, client, context);
                return None;
            }
        };
        let entry = context.book.open(client, now());
        let local = self.local(ends, key);
        let session: Arc<Session> = match Session::begin(client, local, &stream) {
            Ok(Begun::Session(session)) => Arc::from(session),
            Ok(Begun::Answered(answer)) => return Some(Next::Answered(answer)),
            Err(cause) => {
                tracing::debug!(peer = %client, stream = &*stream.name, cause = cause.code(), "no session");
                return None;
            }
        };
        session.note(&entry, &stream);
        let open = context.shared.metrics.connection_opened(key.1);
        self.sessions.lock().insert(ends, session.clone());
        let listed = Listed {
            sessions: self.sessions.clone(),
            session: session.clone(),
            ends,
        };
        let (running, socket) = (session.clone(), self.socket.clone());
        let (context, closing) = (context.clone(), self.open.subscribe());
        tokio::spawn(async move {
            let to = (&*socket, ends);
            running.run(to, &stream, &context.shared, closing).await;
            drop((listed, slot, permit, open, entry));
        });
        Some(Next::Session(session))
    }

    /// The address that a datagram came to.
    fn local(&self, ends: Ends, key: &ListenerKey) -> SocketAddr {
        let own = key.0.ip().unwrap_or(THIS_HOST);
        SocketAddr::new(ends.local.unwrap_or(own.ip()).to_canonical(), own.port())
    }
}
