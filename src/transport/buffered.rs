//! A socket and what waits to be written to it.
//!
//! Writing never waits: what the socket does not take now stays here until it is drained, and the caller looks at
//! [`BufferedSocket::waiting`] before it gives more. Reading is not buffered here. Invariant: bytes leave in the order
//! they were given.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::ReadBuf;

use super::deadline::now;
use super::socket::Socket;

/// A write of at least this size goes to the socket directly instead of through the buffer: a full TLS record.
pub(super) const DIRECT: usize = 16 * 1024;

/// A socket with a buffer for what is written.
#[derive(Debug)]
pub struct BufferedSocket {
    pub(super) socket: Socket,
    out: Vec<u8>,
    /// How much at the beginning of `out` has left.
    gone: usize,
    /// Whether TLS may still hold something back.
    unflushed: bool,
    pub(super) stalled_since: Option<Instant>,
    received: u64,
    pub(super) sent: u64,
    pub(super) ended: bool,
}

impl BufferedSocket {
    /// Nothing waits.
    pub fn new(socket: Socket) -> Self {
        Self {
            socket,
            out: Vec::new(),
            gone: 0,
            unflushed: false,
            stalled_since: None,
            received: 0,
            sent: 0,
            ended: false,
        }
    }

    /// Bytes that wait to leave.
    pub fn waiting(&self) -> usize {
        self.out.len() - self.gone
    }

    /// Where to append what is to leave next.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Bytes read from and written to the socket so far, in that order.
    pub fn counts(&self) -> (u64, u64) {
        (self.received, self.sent)
    }

    /// Since when the peer has taken nothing of what waits for it.
    pub fn stalled_since(&self) -> Option<Instant> {
        self.stalled_since
    }

    /// Whether the connection can wait for its next use: it is open, nothing has come, nothing waits to leave.
    pub fn is_idle(&self) -> bool {
        !self.ended && self.waiting() == 0 && self.socket.is_quiet()
    }

    /// As that, and the kernel knows of nothing either that the event loop has not met yet.
    pub fn is_idle_now(&self) -> bool {
        self.is_idle() && self.socket.is_quiet_now()
    }

    /// Whether the end that was read may not be the peer's own: see [`Socket::was_cut`].
    pub fn was_cut(&self) -> bool {
        self.socket.was_cut()
    }

    /// Gives back memory that large writes needed.
    pub fn trim(&mut self) {
        if self.waiting() == 0 && self.out.capacity() > DIRECT {
            self.out = Vec::new();
            self.gone = 0;
        }
    }

    /// Makes the close a reset and drops what waits to be written.
    pub fn abort(&mut self) {
        self.clear();
        self.socket.reset_on_close();
    }

    fn clear(&mut self) {
        self.out.clear();
        self.gone = 0;
    }

    /// Reads into `buf`; nothing read means the peer has ended its side.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = ready!(self.socket.poll_read(cx, buf));
        let count = buf.filled().len() - before;
        self.received += count as u64;
        self.ended = read.is_err() || (count == 0 && buf.remaining() > 0);
        Poll::Ready(read)
    }

    /// What was given since `sent` bytes had left, when none of it can have reached the peer: no write took a byte. TLS
    /// may have let a part of what it refused go, so nothing is known of it.
    pub fn take_undelivered(&mut self, sent: u64) -> Option<Vec<u8>> {
        let nothing_left = matches!(self.socket, Socket::Plain(_)) && self.sent == sent;
        nothing_left.then(|| {
            self.gone = 0;
            std::mem::take(&mut self.out)
        })
    }

    /// Takes all of `bytes`; large ones go to the socket first as far as it takes them. Fails when the peer is gone; what
    /// did not leave then waits as if it could.
    pub fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() < DIRECT {
            self.out.extend_from_slice(bytes);
            return Ok(());
        }
        let mut rest = bytes;
        if self.waiting() > 0 && self.waiting() < DIRECT {
            // A head before a large body: both leave in one full record.
            let count = DIRECT - self.waiting();
            self.out.extend_from_slice(&rest[..count]);
            rest = &rest[count..];
        }
        match self.poll_send(cx) {
            Poll::Ready(Ok(())) => {}
            unsent => {
                self.out.extend_from_slice(rest);
                return match unsent {
                    Poll::Ready(failed) => failed,
                    Poll::Pending => Ok(()),
                };
            }
        }
        while !rest.is_empty() {
            match self.socket.poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.sent += count as u64;
                    self.unflushed = true;
                    rest = &rest[count..];
                }
                Poll::Ready(Err(error)) => {
                    self.out.extend_from_slice(rest);
                    return Err(error);
                }
                Poll::Pending => {
                    self.out.extend_from_slice(rest);
                    break;
                }
            }
        }
        Ok(())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.waiting() > 0 {
            match self.socket.poll_write(cx, &self.out[self.gone..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    self.sent += count as u64;
                    self.unflushed = true;
                    self.stalled_since = None;
                    self.gone += count;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.stalled_since.get_or_insert_with(now);
                    self.compact();
                    return Poll::Pending;
                }
            }
        }
        self.clear();
        Poll::Ready(Ok(()))
    }

    /// Keeps what has left from piling up before a slow peer's rest.
    fn compact(&mut self) {
        if self.gone >= self.out.len() / 2 {
            self.out.drain(..self.gone);
            self.gone = 0;
        }
    }

    /// Ready when everything written has been handed to the kernel.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.waiting() > 0 {
            ready!(self.poll_send(cx))?;
        }
        if self.unflushed {
            match self.socket.poll_flush(cx) {
                Poll::Ready(flushed) => flushed?,
                Poll::Pending => {
                    self.stalled_since.get_or_insert_with(now);
                    return Poll::Pending;
                }
            }
            self.unflushed = false;
        }
        self.stalled_since = None;
        Poll::Ready(Ok(()))
    }

    /// Ends the writing side after everything written has left.
    pub fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        self.socket.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (BufferedSocket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (
            BufferedSocket::new(Socket::Plain(near.unwrap())),
            far.unwrap().0,
        )
    }

    fn reset(far: TcpStream) {
        let linger = Some(std::time::Duration::ZERO);
        socket2::SockRef::from(&far).set_linger(linger).unwrap();
    }

    #[tokio::test]
    async fn what_no_write_took_a_byte_of_is_given_back_whole() {
        for body in [10, 100_000] {
            let (mut wire, far) = pair().await;
            reset(far);
            wire.out().extend_from_slice(b"head");
            let body = vec![b'x'; body];
            let sent = poll_fn(|cx| {
                let written = wire.write(cx, &body);
                Poll::Ready(written.and_then(|()| match wire.poll_drain(cx) {
                    Poll::Ready(drained) => drained,
                    Poll::Pending => Ok(()),
                }))
            });
            assert!(sent.await.is_err());
            let expected = [b"head", &body[..]].concat();
            assert!(wire.take_undelivered(0) == Some(expected));
            assert_eq!(wire.waiting(), 0);
        }
    }

    #[tokio::test]
    async fn what_the_kernel_took_a_part_of_is_not_given_back() {
        let (mut wire, far) = pair().await;
        wire.out().extend_from_slice(b"head");
        poll_fn(|cx| wire.poll_drain(cx)).await.unwrap();
        reset(far);
        wire.out().extend_from_slice(b"body");
        assert!(poll_fn(|cx| wire.poll_drain(cx)).await.is_err());
        assert_eq!(wire.take_undelivered(0), None);
        assert_eq!(wire.take_undelivered(4), Some(b"body".to_vec()));
    }
}
