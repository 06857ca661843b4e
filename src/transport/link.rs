//! One connection, shared between the engine and the forwarder.
//!
//! The engine writes into the link and never waits; whoever drives the exchange looks at [`Link::buffered`] and drains.
//! Towards clients a [`Gate`] watches what arrives: the deadline and the bounds of every request head, the wait between
//! requests, the preface of HTTP/2. Invariants: bytes leave in the order they were written; what was read ahead is
//! delivered before anything newer; the lock is never held across an await.

use std::io;
use std::mem::MaybeUninit;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::io::ReadBuf;

use super::Deadline;
use super::deadline::now;
use super::gate::{Gate, LinkFault, Phase};
use super::socket::Socket;
use super::tap::Tap;

/// The most that is read ahead of the engine while an exchange watches for the peer's end.
const READ_AHEAD: usize = 16 * 1024;
/// A write of at least this size goes to the socket directly instead of through the buffer: a full TLS record.
const DIRECT: usize = 16 * 1024;

/// One connection. Made once, shared by reference counting, closed when the last holder lets go.
pub struct Link {
    state: Mutex<State>,
}

struct State {
    socket: Socket,
    /// Written by the engine, not yet taken by the socket.
    out: BytesMut,
    /// Whether TLS may still hold something back.
    unflushed: bool,
    /// Read from the socket, not yet by the engine.
    ahead: BytesMut,
    ended: bool,
    gate: Option<Gate>,
    tap: Tap,
    /// For heads in the making; kept, so that a connection allocates it once.
    scratch: Vec<u8>,
    deadline: Deadline,
    stalled_since: Option<Instant>,
    received: u64,
    sent: u64,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link")
    }
}

impl Link {
    /// A link over `socket`, guarded when it leads to a client.
    pub fn new(socket: Socket, gate: Option<Gate>) -> Self {
        Self {
            state: Mutex::new(State {
                socket,
                out: BytesMut::new(),
                unflushed: false,
                ahead: BytesMut::new(),
                ended: false,
                gate,
                tap: Tap::default(),
                scratch: Vec::new(),
                deadline: Deadline::default(),
                stalled_since: None,
                received: 0,
                sent: 0,
            }),
        }
    }

    /// Prepares the gate for the next request, of which `prefix` has already been read.
    pub fn await_request(&self, prefix: &mut [u8]) {
        let mut state = self.state.lock();
        if state.out.is_empty() && state.out.capacity() > DIRECT {
            // A connection that waits does not keep what a large answer needed.
            state.out = BytesMut::new();
        }
        let Some(gate) = &mut state.gate else { return };
        gate.scanner.reset();
        gate.fault = None;
        gate.phase = Phase::Idle(None);
        if !prefix.is_empty() {
            // A fault stays in the gate, where the next read and `fault` find it.
            if let Err(fault) = gate.pass(prefix) {
                gate.fault = Some(fault);
            }
        }
    }

    /// Why the gate refused what came, if it did.
    pub fn fault(&self) -> Option<LinkFault> {
        self.state.lock().gate.as_ref().and_then(|gate| gate.fault)
    }

    /// The target of the current request, when the engine saw it masked.
    pub fn odd_target(&self) -> Option<Box<[u8]>> {
        let state = self.state.lock();
        let gate = state.gate.as_ref()?;
        gate.scanner.odd_target().map(Into::into)
    }

    /// The trailers of the current request's body, once it is complete; empty when there are none.
    pub fn request_trailers(&self) -> Vec<u8> {
        let state = self.state.lock();
        match &state.gate {
            Some(gate) if gate.phase == Phase::Open && gate.scanner.is_chunked() => {
                gate.chunks.trailers().to_vec()
            }
            _ => Vec::new(),
        }
    }

    /// Begins to watch for the trailers of a response: what comes now is its head.
    pub fn tap_head(&self) {
        self.state.lock().tap.begin();
    }

    /// Says that the response's heads had `heads` bytes, and whether its body is chunked.
    pub fn tap_body(&self, heads: usize, chunked: bool) {
        self.state.lock().tap.head_read(heads, chunked);
    }

    /// The trailers of the response's body, once it is complete; empty when there are none.
    pub fn response_trailers(&self) -> Vec<u8> {
        self.state.lock().tap.trailers()
    }

    /// Replaces everything that waits to be written by what `write` makes.
    pub fn rewrite(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        state.scratch.clear();
        let mut scratch = std::mem::take(&mut state.scratch);
        write(&mut scratch);
        state.out.clear();
        state.out.extend_from_slice(&scratch);
        state.scratch = scratch;
    }

    /// Adds field lines to a head that was written last and has not left yet, before its empty line.
    pub fn amend_head(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        state.scratch.clear();
        let mut scratch = std::mem::take(&mut state.scratch);
        write(&mut scratch);
        let end = state.out.len().saturating_sub(2);
        state.out.truncate(end);
        state.out.extend_from_slice(&scratch);
        state.out.extend_from_slice(b"\r\n");
        state.scratch = scratch;
    }

    /// Bytes written and not yet taken by the socket.
    pub fn buffered(&self) -> usize {
        self.state.lock().out.len()
    }

    /// Bytes read from and written to the socket so far, in that order.
    pub fn counts(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.received, state.sent)
    }

    /// Adds bytes behind those already written.
    pub fn push(&self, bytes: &[u8]) {
        self.state.lock().out.extend_from_slice(bytes);
    }

    /// Ready when everything written has been handed to the kernel.
    pub fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.lock().poll_drain(cx)
    }

    /// Since when the peer has taken nothing of what waits for it.
    pub fn stalled_since(&self) -> Option<Instant> {
        self.state.lock().stalled_since
    }

    /// Ready when the peer has ended or reset the connection. Reads ahead, within bounds, to find out.
    pub fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        loop {
            if state.ended {
                return Poll::Ready(());
            }
            if state.ahead.len() >= READ_AHEAD {
                // Enough has come early; a reset still shows in the writes.
                return Poll::Pending;
            }
            let mut scratch = [const { MaybeUninit::<u8>::uninit() }; 1024];
            let mut buf = ReadBuf::uninit(&mut scratch);
            match state.socket.poll_read(cx, &mut buf) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    state.received += buf.filled().len() as u64;
                    state.ahead.extend_from_slice(buf.filled());
                }
                Poll::Ready(_) => state.ended = true,
            }
        }
    }

    /// Reads into `buf`, first what was read ahead.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.state.lock().poll_read(cx, buf)
    }

    /// Takes bytes without waiting; large ones go to the socket first as far as it takes them.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.state.lock().poll_write(cx, bytes)
    }

    /// Ends the writing side after everything written has left.
    pub fn poll_finish(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        std::task::ready!(state.poll_drain(cx))?;
        state.socket.poll_shutdown(cx)
    }

    /// Gives back memory that large writes needed.
    pub fn trim(&self) {
        let mut state = self.state.lock();
        if state.out.is_empty() && state.out.capacity() > DIRECT {
            state.out = BytesMut::new();
        }
    }

    /// Polls the link's own timer, which one task at a time may use.
    pub fn poll_deadline(&self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.state.lock().deadline.poll(at, cx)
    }

    /// Ends the wait for the next request, now or when it begins. The task that reads must poll again by itself.
    pub fn end_when_idle(&self) {
        let mut state = self.state.lock();
        if let Some(gate) = &mut state.gate {
            gate.draining = true;
        }
    }

    /// Reads and throws away what still comes; ready at its end.
    pub fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        state.ahead.clear();
        let mut scratch = [const { MaybeUninit::<u8>::uninit() }; DIRECT];
        // A bound for one turn, so that a fast sender does not hold the worker.
        for _ in 0..16 {
            if state.ended {
                return Poll::Ready(());
            }
            let mut buf = ReadBuf::uninit(&mut scratch);
            match state.socket.poll_read(cx, &mut buf) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                Poll::Ready(_) => state.ended = true,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Makes the close a reset and drops what waits to be written.
    pub fn abort(&self) {
        let mut state = self.state.lock();
        state.out.clear();
        state.socket.reset_on_close();
    }

    /// Whether a connection that waits in a pool can still be used: nothing has come, nothing waits to be written.
    pub fn is_reusable(&self) -> bool {
        let state = self.state.lock();
        !state.ended && state.ahead.is_empty() && state.out.is_empty() && state.socket.is_quiet()
    }

    /// Whether writes are passed on at once instead of being kept until drained (HTTP/2 brings its own buffer).
    fn is_h2(state: &State) -> bool {
        matches!(
            state.gate,
            Some(Gate {
                phase: Phase::H2 | Phase::Preface { .. },
                ..
            })
        )
    }

    /// As `poll_drain`, but only HTTP/2 waits for it; for HTTP/1 the forwarder drains.
    pub(super) fn poll_engine_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        if !Self::is_h2(&state) {
            return Poll::Ready(Ok(()));
        }
        let flushed = state.socket.poll_flush(cx);
        state.stalled(flushed, cx)
    }

    /// As `poll_write`, or straight to the socket for HTTP/2.
    pub(super) fn poll_engine_write(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock();
        if !Self::is_h2(&state) {
            return state.poll_write(cx, bytes);
        }
        let written = state.socket.poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = &written {
            state.sent += *count as u64;
        }
        state.stalled(written, cx)
    }
}

impl State {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(fault) = self.gate.as_ref().and_then(|gate| gate.fault) {
            return Poll::Ready(Err(refused(fault)));
        }
        let before = buf.filled().len();
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead[..count]);
            self.ahead.advance(count);
            return Poll::Ready(self.judge(&mut buf.filled_mut()[before..]));
        }
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        match self.socket.poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                let read = &buf.filled()[before..];
                self.received += read.len() as u64;
                if read.is_empty() {
                    self.ended = buf.capacity() > before;
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(self.judge(&mut buf.filled_mut()[before..]))
            }
            Poll::Ready(Err(error)) => {
                self.ended = true;
                Poll::Ready(Err(error))
            }
            Poll::Pending => self.wait(cx),
        }
    }

    fn judge(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.tap.see(bytes);
        match &mut self.gate {
            Some(gate) => gate.pass(bytes).map_err(refused),
            None => Ok(()),
        }
    }

    /// Nothing has come: looks whether the wait is over.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(gate) = &mut self.gate else {
            return Poll::Pending;
        };
        if gate.draining && matches!(gate.phase, Phase::Idle(_)) {
            self.ended = true;
            return Poll::Ready(Ok(()));
        }
        let Some(until) = gate.waits_until() else {
            return Poll::Pending;
        };
        std::task::ready!(self.deadline.poll(until, cx));
        match gate.phase {
            // Between requests the wait just ends, as if the client had left.
            Phase::Idle(_) => {
                self.ended = true;
                Poll::Ready(Ok(()))
            }
            _ => Poll::Ready(Err(refused(gate.refuse(LinkFault::HeadTimeout)))),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.len() < DIRECT {
            self.out.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        let mut rest = bytes;
        if !self.out.is_empty() && self.out.len() < DIRECT {
            // A head before a large body: both leave in one full record.
            let count = DIRECT - self.out.len();
            self.out.extend_from_slice(&rest[..count]);
            rest = &rest[count..];
        }
        match self.poll_drain_out(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                self.out.extend_from_slice(rest);
                return Poll::Ready(Ok(bytes.len()));
            }
        }
        while !rest.is_empty() {
            match self.socket.poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    self.sent += count as u64;
                    self.unflushed = true;
                    rest = &rest[count..];
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.out.extend_from_slice(rest);
                    break;
                }
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_drain_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            match self.socket.poll_write(cx, &self.out) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    self.sent += count as u64;
                    self.unflushed = true;
                    self.stalled_since = None;
                    self.out.advance(count);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.stalled_since.get_or_insert_with(now);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_drain_out(cx))?;
        if self.unflushed {
            match self.socket.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.stalled_since.get_or_insert_with(now);
                    return Poll::Pending;
                }
            }
        }
        self.stalled_since = None;
        Poll::Ready(Ok(()))
    }

    /// Watches a write of HTTP/2 that does not get on.
    fn stalled<T>(
        &mut self,
        outcome: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled_since = None;
            return outcome;
        }
        let since = *self.stalled_since.get_or_insert_with(now);
        let Some(limit) = self.gate.as_ref().map(|gate| gate.limits.write) else {
            return Poll::Pending;
        };
        std::task::ready!(self.deadline.poll(since + limit, cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

fn refused(fault: LinkFault) -> io::Error {
    match fault {
        LinkFault::Head(fault) => io::Error::new(io::ErrorKind::InvalidData, fault),
        LinkFault::Body(fault) => io::Error::new(io::ErrorKind::InvalidData, fault),
        LinkFault::HeadTimeout => io::ErrorKind::TimedOut.into(),
    }
}
