//! WebSockets for tests, on both sides, over whatever stream they are given.

use std::io::{Cursor, Read, Write};
use std::net::SocketAddr;

use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use super::client::Client;
use super::message::Head;
use super::wire::{Stream, Wire};

/// A stream with bytes that were read too far.
pub struct Joined {
    before: Cursor<Vec<u8>>,
    stream: Box<dyn Stream>,
}

impl Joined {
    pub fn new(wire: Wire) -> Self {
        let (before, stream) = wire.into_parts();
        Self {
            before: Cursor::new(before),
            stream,
        }
    }
    pub fn tcp(&self) -> &std::net::TcpStream {
        self.stream.tcp()
    }
}

impl Read for Joined {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self.before.read(buf)? {
            0 => self.stream.read(buf),
            n => Ok(n),
        }
    }
}

impl Write for Joined {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.stream.write(buf)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

pub type Socket = WebSocket<Joined>;

/// The request of a handshake, with further field lines.
pub fn handshake_request(host: &str, target: &str, more: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// Opens a WebSocket on `client`; fails unless the answer is 101.
#[track_caller]
pub fn open(mut client: Client, host: &str, target: &str, more: &str) -> (Socket, Head) {
    client.send(handshake_request(host, target, more));
    let (head, _) = client.final_head().expect("an answer to the handshake");
    assert_eq!(head.status(), 101, "{}", String::from_utf8_lossy(&head.raw));
    assert_eq!(
        head.one("sec-websocket-accept"),
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    (
        WebSocket::from_raw_socket(Joined::new(client.0), Role::Client, None),
        head,
    )
}

/// Opens a WebSocket over TLS.
#[track_caller]
pub fn open_tls(addr: SocketAddr, host: &str, target: &str) -> Socket {
    open(Client::tls(addr, host), host, target, "").0
}

/// The server's side: takes the handshake (with the first subprotocol offered) on a fresh connection.
#[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
pub fn accept(wire: Wire) -> Option<Socket> {
    let choose = |request: &Request, mut response: Response| {
        if let Some(offer) = request.headers().get("sec-websocket-protocol") {
            let first = offer
                .to_str()
                .unwrap()
                .split(',')
                .next()
                .unwrap()
                .trim()
                .to_owned();
            response
                .headers_mut()
                .insert("sec-websocket-protocol", first.parse().unwrap());
        }
        Ok(response)
    };
    tungstenite::accept_hdr(Joined::new(wire), choose).ok()
}

/// The server's side of an echo, until the peer leaves.
pub fn echo(wire: Wire) {
    let Some(mut socket) = accept(wire) else {
        return;
    };
    // It is the peer's to end it, however long a slow machine makes it silent.
    socket.get_ref().tcp().set_read_timeout(None).unwrap();
    while let Ok(message) = socket.read() {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).is_err()
        {
            break;
        }
    }
}

/// Sends a text and expects it back.
#[track_caller]
pub fn echoes(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).expect("send");
    let back = socket.read().expect("the echo");
    assert_eq!(back.to_text().unwrap(), text);
}
