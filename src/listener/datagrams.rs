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
use crate::snapshot::Slot;
use crate::stream::Session;
use crate::transport::datagrams::{DatagramSocket, Ends, LONGEST};
use crate::transport::now;
use crate::types::address::Address;

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
    ends: Ends,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.ends);
    }
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
        let session = known.or_else(|| self.begin(ends, key, context));
        let metrics = &context.shared.metrics;
        match session {
            Some(session) if session.send(bytes) => {}
            Some(_) => metrics.datagrams_lost.inc(),
            None => metrics.datagrams_refused.inc(),
        }
    }

    /// A new session, if there is room for one.
    fn begin(&self, ends: Ends, key: &ListenerKey, context: &Arc<Context>) -> Option<Arc<Session>> {
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
        let session = match Session::begin(client, &stream) {
            Ok(session) => Arc::new(session),
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
            ends,
        };
        let (running, socket) = (session.clone(), self.socket.clone());
        let (context, closing) = (context.clone(), self.open.subscribe());
        tokio::spawn(async move {
            let to = (&*socket, ends);
            running.run(to, &stream, &context.shared, closing).await;
            drop((listed, slot, permit, open, entry));
        });
        Some(session)
    }
}
