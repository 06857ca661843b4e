//! A listening socket that connections are taken from: TCP, or a unix socket.
//!
//! A connection on a unix socket is handed on in the type of a TCP one: reading, writing, looking ahead and splicing are
//! the same calls, and no request pays for telling them apart. What only TCP has, an address and `TCP_NODELAY`, is never
//! asked of it: its client is [`THIS_HOST`].

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

use socket2::{SockRef, Socket};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::beat::Beat;
use crate::transport::as_tcp;
use crate::types::address::{Address, THIS_HOST};

/// A listening socket in an event loop.
#[derive(Debug)]
pub enum Door {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

impl Door {
    /// Puts a socket of `address` into the event loop of the caller.
    pub fn new(address: &Address, socket: Socket) -> io::Result<Self> {
        match address {
            Address::Ip(_) => TcpListener::from_std(socket.into()).map(Self::Tcp),
            Address::Unix(_) => UnixListener::from_std(socket.into()).map(Self::Unix),
        }
    }

    /// The next connection and its peer. `beat` answers each time this is polled.
    pub(super) async fn next(&self, beat: &Beat) -> io::Result<(TcpStream, SocketAddr)> {
        match self {
            Self::Tcp(listener) => {
                poll_fn(|cx| {
                    beat.answer(cx);
                    listener.poll_accept(cx)
                })
                .await
            }
            Self::Unix(listener) => {
                let next = poll_fn(|cx| {
                    beat.answer(cx);
                    listener.poll_accept(cx)
                });
                let (stream, _) = next.await?;
                Ok((as_tcp(stream)?, THIS_HOST))
            }
        }
    }

    /// A connection that waits already; `None` when there is none. Asks the kernel, not the event loop.
    pub(super) fn waiting(&self) -> Option<(TcpStream, SocketAddr)> {
        let socket = match self {
            Self::Tcp(listener) => SockRef::from(listener),
            Self::Unix(listener) => SockRef::from(listener),
        };
        loop {
            match socket.accept() {
                Ok((stream, peer)) => {
                    let begun = stream
                        .set_nonblocking(true)
                        .and_then(|()| TcpStream::from_std(stream.into()));
                    match begun {
                        Ok(stream) => return Some((stream, peer.as_socket().unwrap_or(THIS_HOST))),
                        Err(error) => tracing::debug!(%error, "a connection that waited is lost"),
                    }
                }
                Err(error) if super::accept::is_of_one_connection(&error) => {
                    if error.kind() == io::ErrorKind::WouldBlock {
                        return None;
                    }
                }
                Err(_) => return None,
            }
        }
    }
}
