//! The socket below a connection: what all streams have to say in one turn leaves in one write.
//!
//! Notes when the peer was last heard. Invariant: at most [`HIGH_WATER`] bytes and one frame wait here.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::State;
use crate::transport::BufferedSocket;

const HIGH_WATER: usize = 256 * 1024;

/// A socket for one connection.
pub(super) struct Io {
    pub(super) wire: BufferedSocket,
    pub(super) state: Arc<State>,
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(self.wire.poll_read(cx, buf));
        self.state.heard();
        Poll::Ready(read)
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.wire.waiting() >= HIGH_WATER {
            ready!(self.wire.poll_drain(cx))?;
        }
        Poll::Ready(self.wire.write(cx, bytes).map(|()| bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.wire.poll_drain(cx))?;
        self.wire.trim();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_finish(cx)
    }
}
