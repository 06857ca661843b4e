//! One end of a connection for tests: exact bytes out, buffered bytes in, every read with a deadline.
//!
//! Leaves the meaning of the bytes to `message`. Invariant: bytes are handed out once and in order; how the connection
//! ended is remembered.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, ServerConnection, StreamOwned};

use super::DEADLINE;

/// Plain or TLS, as long as the socket can be reached.
pub trait Stream: Read + Write + Send {
    fn tcp(&self) -> &TcpStream;
    /// TLS: says goodbye properly. Plain: nothing to say.
    fn close_notify(&mut self) {}
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
    fn close_notify(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
    }
}

impl Stream for StreamOwned<ServerConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
    fn close_notify(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
    }
}

/// How the peer ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// FIN; over TLS after a close_notify.
    Clean,
    /// RST, or over TLS an end without close_notify.
    Abrupt,
}

/// Why bytes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Closed(End),
    TimedOut,
    /// What came is no message.
    Malformed,
}

/// One end of a connection.
pub struct Wire {
    stream: Box<dyn Stream>,
    pending: Vec<u8>,
    end: Option<End>,
    limit: Duration,
}

impl Wire {
    pub fn new(stream: impl Stream + 'static) -> Self {
        if stream.tcp().local_addr().is_ok() {
            stream.tcp().set_nodelay(true).unwrap(); // a unix socket has no address, and never waits
        }
        stream.tcp().set_write_timeout(Some(DEADLINE)).unwrap();
        Self {
            stream: Box::new(stream),
            pending: Vec::new(),
            end: None,
            limit: DEADLINE,
        }
    }

    /// Changes how long one read may take from now on.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.stream.tcp().local_addr().unwrap()
    }

    pub fn tcp(&self) -> &TcpStream {
        self.stream.tcp()
    }

    /// The bytes read ahead and the stream, for another protocol.
    pub fn into_parts(self) -> (Vec<u8>, Box<dyn Stream>) {
        self.stream.tcp().set_read_timeout(Some(DEADLINE)).unwrap();
        (self.pending, self.stream)
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("send");
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// Sends in pieces of `size` bytes, each its own segment.
    #[track_caller]
    pub fn send_in_pieces(&mut self, bytes: impl AsRef<[u8]>, size: usize) {
        for piece in bytes.as_ref().chunks(size) {
            self.send(piece);
            std::thread::sleep(Duration::from_millis(1)); // so that the pieces are segments
        }
    }

    /// Ends our direction and keeps reading.
    pub fn finish_sending(&mut self) {
        self.stream.close_notify();
        let _ = self.stream.tcp().shutdown(Shutdown::Write);
    }

    /// Ends the connection with RST.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(self.stream.tcp()).set_linger(Some(Duration::ZERO));
    }

    /// Makes the kernel take little of what the peer sends.
    pub fn shrink_receive_buffer(&self) {
        let _ = socket2::SockRef::from(self.stream.tcp()).set_recv_buffer_size(4096);
    }

    /// Reads once; the number of new bytes is at least one.
    pub fn fill(&mut self, until: Instant) -> Result<usize, Fault> {
        if let Some(end) = self.end {
            return Err(Fault::Closed(end));
        }
        let mut space = vec![0; 64 * 1024];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Fault::TimedOut);
            }
            self.stream.tcp().set_read_timeout(Some(left)).unwrap();
            let end = match self.stream.read(&mut space) {
                Ok(0) => End::Clean,
                Ok(n) => {
                    self.pending.extend_from_slice(&space[..n]);
                    return Ok(n);
                }
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) =>
                {
                    continue;
                }
                Err(_) => End::Abrupt,
            };
            self.end = Some(end);
            return Err(Fault::Closed(end));
        }
    }

    fn until(&self) -> Instant {
        Instant::now() + self.limit
    }

    /// Bytes that have come and were not handed out.
    pub fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// Everything up to and including `mark`.
    pub fn through(&mut self, mark: &[u8]) -> Result<Vec<u8>, Fault> {
        let until = self.until();
        loop {
            if let Some(at) = self.pending.windows(mark.len()).position(|w| w == mark) {
                return Ok(self.pending.drain(..at + mark.len()).collect());
            }
            self.fill(until)?;
        }
    }

    /// Puts bytes back before those that have not been handed out.
    pub fn give_back(&mut self, mut bytes: Vec<u8>) {
        bytes.append(&mut self.pending);
        self.pending = bytes;
    }

    /// Exactly `count` bytes.
    pub fn exactly(&mut self, count: usize) -> Result<Vec<u8>, Fault> {
        let until = self.until();
        while self.pending.len() < count {
            self.fill(until)?;
        }
        Ok(self.pending.drain(..count).collect())
    }

    /// Whatever is there, at least one byte.
    pub fn some(&mut self) -> Result<Vec<u8>, Fault> {
        let until = self.until();
        if self.pending.is_empty() {
            self.fill(until)?;
        }
        Ok(std::mem::take(&mut self.pending))
    }

    /// Everything until the peer ends, and how it did.
    #[track_caller]
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        let until = self.until();
        loop {
            match self.fill(until) {
                Ok(_) => {}
                Err(Fault::Closed(end)) => return (std::mem::take(&mut self.pending), end),
                Err(_) => panic!(
                    "the connection was still open after {:?}; it had sent {:?}",
                    self.limit,
                    String::from_utf8_lossy(&self.pending)
                ),
            }
        }
    }

    /// Whether the peer ends within `limit`; what it sends until then is dropped.
    pub fn closes_within(&mut self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        loop {
            match self.fill(until) {
                Ok(_) => self.pending.clear(),
                Err(Fault::Closed(_)) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Whether nothing at all comes, not even an end, for `time`.
    pub fn silent_for(&mut self, time: Duration) -> bool {
        self.pending.is_empty() && self.fill(Instant::now() + time) == Err(Fault::TimedOut)
    }
}
