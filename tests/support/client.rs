//! An HTTP/1 client that sends exactly the bytes it is given, over TCP or TLS.

use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::message::Response;
use super::wire::{Fault, Wire};
use super::{DEADLINE, tls};

/// A connection to send requests on.
pub struct Client(pub Wire);

impl Client {
    /// Plain TCP.
    #[track_caller]
    pub fn plain(addr: SocketAddr) -> Self {
        Self(Wire::new(
            TcpStream::connect_timeout(&addr, DEADLINE).expect("connect"),
        ))
    }

    /// A unix socket: in the type of a TCP one, whose calls are the same.
    #[track_caller]
    pub fn unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("connect");
        Self(Wire::new(TcpStream::from(OwnedFd::from(stream))))
    }

    /// TLS with this server name over a connection that is there already.
    #[track_caller]
    pub fn tls_over(tcp: TcpStream, name: &str) -> Self {
        let config = tls::config(&["http/1.1"]);
        Self(Wire::new(
            tls::handshake_over(tcp, name, config).expect("handshake"),
        ))
    }

    /// Plain TCP from another loopback address.
    pub fn plain_from(from: [u8; 4], addr: SocketAddr) -> Self {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket
            .connect_timeout(&addr.into(), DEADLINE)
            .expect("connect");
        Self(Wire::new(TcpStream::from(socket)))
    }

    /// Plain TCP whose receive window stays small from the start.
    pub fn plain_with_small_window(addr: SocketAddr) -> Self {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket
            .connect_timeout(&addr.into(), DEADLINE)
            .expect("connect");
        Self(Wire::new(TcpStream::from(socket)))
    }

    /// TLS with this server name (empty: none) and ALPN http/1.1.
    #[track_caller]
    pub fn tls(addr: SocketAddr, name: &str) -> Self {
        Self(Wire::new(
            tls::handshake(addr, name, tls::config(&["http/1.1"])).expect("handshake"),
        ))
    }

    /// Sends `request` and reads its answer.
    #[track_caller]
    pub fn exchange(&mut self, request: impl AsRef<[u8]>) -> Response {
        self.try_exchange(request).expect("an answer")
    }

    pub fn try_exchange(&mut self, request: impl AsRef<[u8]>) -> Result<Response, Fault> {
        let request = request.as_ref();
        // An answer may come and the connection end before everything is sent: what counts is the answer.
        let _ = self.0.try_send(request);
        self.0.try_response(request.starts_with(b"HEAD "))
    }

    /// `GET target` for `host`.
    #[track_caller]
    pub fn get(&mut self, host: &str, target: &str) -> Response {
        self.exchange(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    }
}

impl Deref for Client {
    type Target = Wire;
    fn deref(&self) -> &Wire {
        &self.0
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.0
    }
}
