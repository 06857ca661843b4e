//! One connection, shared between the engine and the forwarder.
//!
//! The engine writes into the link and never waits; whoever drives the exchange looks at [`Link::buffered`] and drains.
//! Towards clients a [`Gate`] watches what arrives: the deadline and the bounds of every request head, the wait between
//! requests, the preface of HTTP/2. Invariants: bytes leave in the order they were written; what was read ahead is
//! delivered before anything newer; a link is used by the thread that made it and by no other.

use std::cell::{RefCell, RefMut};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use fragile::Fragile;
use pingora::protocols::l4::ext::get_tcp_info;
use tokio::io::ReadBuf;

use super::Deadline;
use super::buffered::BufferedSocket;
use super::deadline::now;
use super::gate::{Gate, LinkFault, Phase};
use super::socket::Socket;
use crate::config::TcpFact;

/// The most that is read ahead of the engine while an exchange watches for the peer's end.
const READ_AHEAD: usize = 16 * 1024;
/// Read and thrown away at once.
const DISCARD: usize = 16 * 1024;

/// One connection. Made once, shared by reference counting, closed when the last holder lets go.
pub struct Link {
    /// A connection stays with the worker that accepted it: what a lock cost was more than what it guarded.
    state: Fragile<RefCell<State>>,
    /// Whether the drain has begun.
    leaving: AtomicBool,
}

struct State {
    wire: BufferedSocket,
    /// Read from the socket, not yet by the engine.
    ahead: BytesMut,
    gate: Option<Gate>,
    deadline: Deadline,
    /// Every deadline has come.
    over: bool,
    /// Requests before the current one.
    requests: u64,
    /// Whether some of the current one had come before the answer to the one before.
    pipelined: bool,
    /// What had been given before it.
    given_before: u64,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link")
    }
}

impl Link {
    /// A link over `socket`, guarded when it leads to a client.
    pub fn new(socket: Socket, gate: Option<Gate>) -> Self {
        Self::over(BufferedSocket::new(socket), gate)
    }

    /// A link that goes on where `wire` is.
    pub fn over(wire: BufferedSocket, gate: Option<Gate>) -> Self {
        Self {
            state: Fragile::new(RefCell::new(State {
                wire,
                ahead: BytesMut::new(),
                gate,
                deadline: Deadline::default(),
                over: false,
                requests: 0,
                pipelined: false,
                given_before: 0,
            })),
            leaving: AtomicBool::new(false),
        }
    }

    fn state(&self) -> RefMut<'_, State> {
        self.state.get().borrow_mut()
    }

    /// Prepares the gate for the next request, of which `prefix` has already been read.
    pub fn await_request(&self, prefix: &mut [u8]) {
        let mut state = self.state();
        // A connection that waits does not keep what a large answer needed.
        state.wire.trim();
        state.requests += 1;
        state.pipelined = !prefix.is_empty();
        state.given_before = state.given();
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
        self.state().gate.as_ref().and_then(|gate| gate.fault)
    }

    /// The target of the current request, when the engine saw it masked.
    pub fn odd_target(&self) -> Option<Box<[u8]>> {
        let state = self.state();
        let gate = state.gate.as_ref()?;
        gate.scanner.odd_target().map(Into::into)
    }

    /// Which of the connection's requests the current one is, from 1.
    pub fn requests(&self) -> u64 {
        let state = self.state();
        state.requests + u64::from(!Self::is_h2(&state))
    }

    /// Counts a request of HTTP/2.
    pub fn count_request(&self) {
        self.state().requests += 1;
    }

    /// Whether some of the current request had come before the answer to the one before.
    pub fn is_pipelined(&self) -> bool {
        self.state().pipelined
    }

    /// Bytes of the current request's head; `None` with HTTP/2.
    pub fn head_size(&self) -> Option<u64> {
        let state = self.state();
        let gate = state.gate.as_ref().filter(|_| !Self::is_h2(&state))?;
        Some(gate.scanner.size() as u64)
    }

    /// Bytes given to the peer since the current request began; `None` with HTTP/2, whose requests share them.
    pub fn given(&self) -> Option<u64> {
        let state = self.state();
        (!Self::is_h2(&state)).then(|| state.given().saturating_sub(state.given_before))
    }

    /// The trailers of the current request's body, once it is complete; empty when there are none.
    pub fn request_trailers(&self) -> Vec<u8> {
        let state = self.state();
        match &state.gate {
            Some(gate) if gate.phase == Phase::Open && gate.scanner.is_chunked() => {
                gate.chunks.trailers().to_vec()
            }
            _ => Vec::new(),
        }
    }

    /// What the kernel knows of the connection; `None` of one that is no TCP.
    pub fn tcp_info(&self, fact: TcpFact) -> Option<u32> {
        let state = self.state();
        let known = get_tcp_info(state.wire.socket.tcp().as_raw_fd()).ok()?;
        Some(match fact {
            TcpFact::Rtt => known.tcpi_rtt,
            TcpFact::RttVariance => known.tcpi_rttvar,
            TcpFact::Window => known.tcpi_snd_cwnd,
            TcpFact::Space => known.tcpi_rcv_space,
        })
    }

    /// Has `write` append to what is to leave next.
    pub fn append(&self, write: impl FnOnce(&mut Vec<u8>)) {
        write(self.state().wire.out());
    }

    /// Bytes written and not yet taken by the socket.
    pub fn buffered(&self) -> usize {
        self.state().wire.waiting()
    }

    /// Ready when everything written has been handed to the kernel.
    pub fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state().wire.poll_drain(cx)
    }

    /// Since when the peer has taken nothing of what waits for it.
    pub fn stalled_since(&self) -> Option<Instant> {
        self.state().wire.stalled_since()
    }

    /// Ready when the peer has ended or reset the connection. Reads ahead, within bounds, to find out.
    pub fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        loop {
            if state.wire.ended {
                return Poll::Ready(());
            }
            if state.ahead.len() >= READ_AHEAD {
                // Enough has come early; a reset still shows in the writes.
                return Poll::Pending;
            }
            if state.wire.socket.poll_readable(cx).is_pending() {
                return Poll::Pending;
            }
            let mut scratch = [const { MaybeUninit::<u8>::uninit() }; 1024];
            let mut buf = ReadBuf::uninit(&mut scratch);
            match state.wire.poll_read(cx, &mut buf) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => state.ahead.extend_from_slice(buf.filled()),
                // It has noted the end.
                Poll::Ready(Err(_)) => {}
            }
        }
    }

    /// Ready when the next request may have begun, when the peer has ended, or when the wait is over. What it is shows
    /// in the read that follows; until then nobody needs a buffer to read into.
    pub fn poll_request(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if !state.ahead.is_empty() || state.wire.ended {
            return Poll::Ready(());
        }
        match state.wire.socket.poll_readable(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => state.wait(cx).map(drop),
        }
    }

    /// Reads into `buf`, first what was read ahead.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.state().poll_read(cx, buf)
    }

    /// Takes all of `bytes` without waiting; large ones go to the socket first as far as it takes them.
    pub fn write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        self.state().wire.write(cx, bytes)
    }

    /// As [`Self::write`], with what `before` appends in front of the bytes and `after` behind them.
    pub fn write_between(
        &self,
        cx: &mut Context<'_>,
        before: impl FnOnce(&mut Vec<u8>),
        bytes: &[u8],
        after: &[u8],
    ) -> io::Result<()> {
        let mut state = self.state();
        before(state.wire.out());
        state.wire.write(cx, bytes)?;
        state.wire.out().extend_from_slice(after);
        Ok(())
    }

    /// Ends the writing side after everything written has left.
    pub fn poll_finish(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state().wire.poll_finish(cx)
    }

    /// Gives back memory that large writes needed.
    pub fn trim(&self) {
        self.state().wire.trim();
    }

    /// Polls the link's own timer, which one task at a time may use.
    pub fn poll_deadline(&self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.over {
            return Poll::Ready(());
        }
        state.deadline.poll(at, cx)
    }

    /// Has every deadline come now, because the process ends. The task that waits must poll again by itself.
    pub fn end_waits(&self) {
        self.state().over = true;
    }

    /// Whether every deadline has come because the process ends.
    pub fn is_over(&self) -> bool {
        self.state().over
    }

    /// Begins the connection's part of a drain: answers from now on close it, and a wait for a request, this one or a
    /// later one, takes no longer than `wait`. The task that reads must poll again by itself.
    pub fn last_call(&self, wait: Duration) {
        self.leaving.store(true, Relaxed);
        if let Some(gate) = &mut self.state().gate {
            gate.last_call(wait);
        }
    }

    /// Whether [`Self::last_call`] has been.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Relaxed)
    }

    /// Reads and throws away what still comes; ready at its end.
    pub fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        state.ahead.clear();
        let mut scratch = [const { MaybeUninit::<u8>::uninit() }; DISCARD];
        // A bound for one turn, so that a fast sender does not hold the worker.
        for _ in 0..16 {
            if state.wire.ended {
                return Poll::Ready(());
            }
            // An error is an end, which it has noted.
            if state
                .wire
                .poll_read(cx, &mut ReadBuf::uninit(&mut scratch))
                .is_pending()
            {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads and throws away what comes next; false at the end.
    pub async fn discard_some(&self) -> bool {
        std::future::poll_fn(|cx| {
            let mut state = self.state();
            state.ahead.clear();
            if state.wire.ended {
                return Poll::Ready(false);
            }
            let mut scratch = [const { MaybeUninit::<u8>::uninit() }; DISCARD];
            let read = state.wire.poll_read(cx, &mut ReadBuf::uninit(&mut scratch));
            // An error is an end, which it has noted.
            read.map(|_| !state.wire.ended)
        })
        .await
    }

    /// How long the connection waits for its next request.
    pub fn keep_alive(&self, time: Duration) {
        if let Some(gate) = &mut self.state().gate
            && !gate.draining
        {
            gate.limits.keep_alive = time;
        }
    }

    /// Makes the close a reset and drops what waits to be written.
    pub fn abort(&self) {
        self.state().wire.abort();
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
        let mut state = self.state();
        if !Self::is_h2(&state) {
            return Poll::Ready(Ok(()));
        }
        let flushed = state.wire.socket.poll_flush(cx);
        state.stalled(flushed, cx)
    }

    /// As `write`, or straight to the socket for HTTP/2.
    pub(super) fn poll_engine_write(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        if !Self::is_h2(&state) {
            return Poll::Ready(state.wire.write(cx, bytes).map(|()| bytes.len()));
        }
        let written = state.wire.socket.poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = &written {
            state.wire.sent += *count as u64;
        }
        state.stalled(written, cx)
    }
}

impl State {
    /// Bytes given to the peer so far, those that wait to leave included.
    fn given(&self) -> u64 {
        self.wire.sent + self.wire.waiting() as u64
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(fault) = self.gate.as_ref().and_then(|gate| gate.fault) {
            return Poll::Ready(Err(refused(fault)));
        }
        let before = buf.filled().len();
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead[..count]);
            let delivered = self.judge(&mut buf.filled_mut()[before..])?;
            buf.set_filled(before + delivered);
            self.ahead.advance(delivered);
            return Poll::Ready(Ok(()));
        }
        match self.wire.poll_read(cx, buf) {
            Poll::Ready(Ok(())) if buf.filled().len() > before => {
                let delivered = self.judge(&mut buf.filled_mut()[before..])?;
                // The rest is for the next read.
                self.ahead
                    .extend_from_slice(&buf.filled()[before + delivered..]);
                buf.set_filled(before + delivered);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(ended) => Poll::Ready(ended),
            Poll::Pending => self.wait(cx),
        }
    }

    /// How many of the bytes may be delivered now.
    fn judge(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match &mut self.gate {
            Some(gate) => gate.pass(bytes).map_err(refused),
            None => Ok(bytes.len()),
        }
    }

    /// Nothing has come: looks whether the wait is over.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(gate) = &mut self.gate else {
            return Poll::Pending;
        };
        let Some(until) = gate.waits_until() else {
            return Poll::Pending;
        };
        if !self.over {
            std::task::ready!(self.deadline.poll(until, cx));
        }
        match gate.phase {
            // The peer may not know yet: what it sends meanwhile is still read, if only to be thrown away.
            Phase::Idle(_) if gate.draining => Poll::Ready(Ok(())),
            // Between requests the wait just ends, as if the client had left.
            Phase::Idle(_) => {
                self.wire.ended = true;
                Poll::Ready(Ok(()))
            }
            _ => Poll::Ready(Err(refused(gate.refuse(LinkFault::HeadTimeout)))),
        }
    }

    /// Watches a write of HTTP/2 that does not get on.
    fn stalled<T>(
        &mut self,
        outcome: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.wire.stalled_since = None;
            return outcome;
        }
        let since = *self.wire.stalled_since.get_or_insert_with(now);
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
