//! The bytes below a link: a TCP socket, bare or with TLS on it.
//!
//! Only moves bytes; buffering, limits and deadlines are the link's.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{client, server};

/// The TCP socket below TLS. rustls hands over its records as a list; one record alone, as nearly always, leaves by
/// `send`, which costs the kernel less than `writev`.
#[derive(Debug)]
pub struct BelowTls(pub TcpStream);

impl AsyncRead for BelowTls {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for BelowTls {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        list: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match list {
            [one] => Pin::new(&mut self.0).poll_write(cx, one),
            list => Pin::new(&mut self.0).poll_write_vectored(cx, list),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Makes the coming close of `tcp` a reset, so that the peer cannot take what it has for the whole.
pub fn reset_on_close(tcp: &TcpStream) {
    if let Err(error) = socket2::SockRef::from(tcp).set_linger(Some(std::time::Duration::ZERO)) {
        tracing::debug!(%error, "cannot make the close a reset");
    }
}

/// A connection on a unix socket in the type of a TCP one.
pub fn as_tcp(stream: UnixStream) -> io::Result<TcpStream> {
    let descriptor = OwnedFd::from(stream.into_std()?);
    TcpStream::from_std(descriptor.into())
}

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// Bare TCP.
    Plain(TcpStream),
    /// TLS, as the server.
    Tls(Box<server::TlsStream<BelowTls>>),
    /// TLS, as the client.
    TlsClient(Box<ToServer>),
}

/// TLS to a server, and whether that one ended without saying so.
#[derive(Debug)]
pub struct ToServer {
    tls: client::TlsStream<BelowTls>,
    cut: bool,
}

impl Socket {
    /// Over a finished handshake with a server.
    pub fn to_tls_server(tls: client::TlsStream<BelowTls>) -> Self {
        Self::TlsClient(Box::new(ToServer { tls, cut: false }))
    }

    /// The TCP socket below.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &tls.get_ref().0.0,
            Self::TlsClient(to) => &to.tls.get_ref().0.0,
        }
    }

    /// Whether a TLS server's end came without `close_notify`: what has no other end may then have been cut by
    /// anybody (RFC 9112 section 9.8).
    pub fn was_cut(&self) -> bool {
        matches!(self, Self::TlsClient(to) if to.cut)
    }

    /// Whether TLS holds bytes, or an end, that were not read yet.
    fn has_decrypted(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => !tls.get_ref().1.wants_read(),
            Self::TlsClient(to) => !to.tls.get_ref().1.wants_read(),
        }
    }

    /// Makes the coming close a reset, so that the peer cannot take what it has for the whole.
    pub fn reset_on_close(&self) {
        reset_on_close(self.tcp());
    }

    /// Whether the peer has sent nothing that is still unread, neither bytes nor an end. Asks the kernel only when the
    /// event loop has not seen the last read come short.
    pub fn is_quiet(&self) -> bool {
        if matches!(self, Self::TlsClient(_)) && self.has_decrypted() {
            return false;
        }
        would_wait(self.tcp().try_io(Interest::READABLE, || peek(self.tcp())))
    }

    /// As [`Socket::is_quiet`], and the kernel is asked in any case: the event loop hears of an end only when it turns.
    pub fn is_quiet_now(&self) -> bool {
        self.is_quiet() && would_wait(peek(self.tcp()))
    }

    /// Ready when there may be something to read, or an end. Reads nothing.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_decrypted() {
            return Poll::Ready(());
        }
        // An error shows in the read.
        self.tcp().poll_read_ready(cx).map(drop)
    }

    /// Writes as much of `bytes` as the kernel takes now.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Self::TlsClient(to) => Pin::new(&mut to.tls).poll_write(cx, bytes),
        }
    }

    /// Hands what TLS still holds to the kernel.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Self::TlsClient(to) => Pin::new(&mut to.tls).poll_flush(cx),
        }
    }

    /// Ends the writing side: `close_notify` where there is TLS, then a FIN.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::TlsClient(to) => Pin::new(&mut to.tls).poll_shutdown(cx),
        }
    }

    /// Reads into `buf`; nothing read means the peer has ended its side.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => match Pin::new(&mut **tls).poll_read(cx, buf) {
                // A peer that closes without close_notify: for HTTP the framing tells whether something is missing.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(()))
                }
                Poll::Pending => Self::say_own(tls, cx),
                other => other,
            },
            Self::TlsClient(to) => match Pin::new(&mut to.tls).poll_read(cx, buf) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    to.cut = true;
                    Poll::Ready(Ok(()))
                }
                other => other,
            },
        }
    }

    /// What TLS itself has to say, as that it does not renegotiate, would otherwise wait for the next answer.
    fn say_own(
        tls: &mut server::TlsStream<BelowTls>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !tls.get_ref().1.wants_write() {
            return Poll::Pending;
        }
        match Pin::new(tls).poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Pending,
        }
    }
}

fn peek(tcp: &TcpStream) -> io::Result<usize> {
    let mut byte = [MaybeUninit::uninit()];
    socket2::SockRef::from(tcp).peek(&mut byte)
}

fn would_wait(peeked: io::Result<usize>) -> bool {
    peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}
