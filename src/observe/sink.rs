//! Takes finished lines from any thread and writes them from one of its own: the end of both logs.
//!
//! [`Sink::push`] copies a line under a short lock and returns; it never waits for a file. What does not fit in
//! [`QUEUE_BYTES`] is dropped and counted, and so is what a file refuses, so a full disk or a pipe that nobody reads
//! costs lines, never requests. What the lines say is the callers' matter; `output` knows files.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::count::Counter;
use super::output::Output;

/// Bytes that wait for the writer before lines are dropped.
pub const QUEUE_BYTES: usize = 8 << 20;
/// From here on the writer is woken at once instead of after [`LINGER`].
const BATCH_BYTES: usize = 64 << 10;
/// How long a line waits for others, so that a busy server writes some large pieces instead of many small ones.
const LINGER: Duration = Duration::from_millis(100);
/// An idle buffer larger than this is given back.
const KEEP_BYTES: usize = 1 << 20;
/// At most one message about a failing file in this time.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// What became of lines.
#[derive(Debug, Default)]
pub struct LineCounts {
    /// Handed to the system.
    pub written: Counter,
    /// Lost: the queue was full or the file refused them.
    pub dropped: Counter,
}

/// One target's queue and its writer thread, which ends after the sink is dropped and its lines are out.
#[derive(Debug)]
pub struct Sink {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something for the writer: the first line, a full batch, or an order.
    work: Condvar,
    /// For `flush`: the writer disposed of a batch.
    disposed: Condvar,
    counts: Arc<LineCounts>,
}

#[derive(Debug, Default)]
struct State {
    buffer: Vec<u8>,
    buffered_lines: u64,
    /// Lines ever taken, and of these the ones written or given up.
    taken: u64,
    done: u64,
    hurry: bool,
    reopen: bool,
    closed: bool,
}

impl Sink {
    /// A sink with its writer at work. Fails when the system gives no thread.
    pub fn start(output: Box<dyn Output>, counts: Arc<LineCounts>) -> io::Result<Self> {
        let (sink, writer) = Self::new(output, counts);
        writer.start()?;
        Ok(sink)
    }

    /// A sink, and the writer of `output`, which is to be started: lines wait for it.
    pub fn new(output: Box<dyn Output>, counts: Arc<LineCounts>) -> (Self, Writer) {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            disposed: Condvar::new(),
            counts,
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            output,
            complained: None,
        };
        (Self { shared }, writer)
    }

    /// Queues `line`, which has its line end, or drops and counts it. Never waits for the writer.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.shared.lock();
        let before = state.buffer.len();
        if before + line.len() > QUEUE_BYTES {
            drop(state);
            self.shared.counts.dropped.inc();
            return;
        }
        state.buffer.extend_from_slice(line);
        state.buffered_lines += 1;
        state.taken += 1;
        drop(state);
        if before == 0 || (before < BATCH_BYTES && before + line.len() >= BATCH_BYTES) {
            self.shared.work.notify_one();
        }
    }

    /// Has the writer open its file anew, after it wrote what is queued to the old one. Returns at once.
    pub fn reopen(&self) {
        self.shared.lock().reopen = true;
        self.shared.work.notify_one();
    }

    /// Waits until every line taken so far is out, or `deadline` has come; says which.
    pub fn flush(&self, deadline: Instant) -> bool {
        self.watch().flush(deadline)
    }

    /// Follows the writer, also beyond the life of this sink.
    pub fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.shared))
    }
}

/// Waits for a writer without keeping its sink open.
#[derive(Clone, Debug)]
pub struct Watch(Arc<Shared>);

impl Watch {
    /// Whether the sink is gone and every line it took is out.
    pub fn is_finished(&self) -> bool {
        let state = self.0.lock();
        state.closed && state.done == state.taken
    }

    /// Waits until every line taken so far is out, or `deadline` has come; says which.
    pub fn flush(&self, deadline: Instant) -> bool {
        let mut state = self.0.lock();
        let wanted = state.taken;
        state.hurry = true;
        self.0.work.notify_one();
        while state.done < wanted {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = (self.0.disposed.wait_timeout(state, left))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
    }
}

impl Shared {
    /// The state is valid between any two statements that change it, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what a sink takes.
pub struct Writer {
    shared: Arc<Shared>,
    output: Box<dyn Output>,
    complained: Option<Instant>,
}

/// What the writer has to do, taken out of the state.
struct Work {
    lines: u64,
    reopen: bool,
    closed: bool,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({})", self.output.name())
    }
}

impl Writer {
    /// Begins, on a thread of its own that is scheduled as the caller's is. Fails when the system gives no thread.
    pub fn start(self) -> io::Result<()> {
        std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || self.run())
            .map(drop)
    }

    fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let work = self.wait(&mut batch);
            if !batch.is_empty() {
                self.write(&batch, work.lines);
                batch.clear();
                batch.shrink_to(KEEP_BYTES);
                self.shared.lock().done += work.lines;
                self.shared.disposed.notify_all();
            }
            if work.reopen {
                self.output.reopen();
            }
            if work.closed {
                return;
            }
        }
    }

    /// Waits for something to do, then a little longer for more of it; swaps the queue into the empty `batch`.
    fn wait(&self, batch: &mut Vec<u8>) -> Work {
        let pressed = |state: &State| state.hurry || state.reopen || state.closed;
        let work = &self.shared.work;
        let state = work
            .wait_while(self.shared.lock(), |state| {
                state.buffer.is_empty() && !pressed(state)
            })
            .unwrap_or_else(PoisonError::into_inner);
        let (mut state, _) = work
            .wait_timeout_while(state, LINGER, |state| {
                state.buffer.len() < BATCH_BYTES && !pressed(state)
            })
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.buffer, batch);
        state.hurry = false;
        Work {
            lines: std::mem::take(&mut state.buffered_lines),
            reopen: std::mem::take(&mut state.reopen),
            closed: state.closed,
        }
    }

    fn write(&mut self, batch: &[u8], lines: u64) {
        match self.output.write(batch) {
            Ok(()) => self.shared.counts.written.add(lines),
            Err(error) => {
                self.shared.counts.dropped.add(lines);
                if self
                    .complained
                    .is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY)
                {
                    self.complained = Some(Instant::now());
                    tracing::error!(log = %self.output.name(), lines, %error, "log lines were lost");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Writes when the test lets it, and tells the test what.
    struct Gated {
        permits: mpsc::Receiver<io::Result<()>>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Output for Gated {
        fn write(&mut self, batch: &[u8]) -> io::Result<()> {
            self.permits.recv().unwrap_or(Ok(()))?;
            self.written.send(batch.to_vec()).map_err(io::Error::other)
        }
        fn reopen(&mut self) {}
        fn name(&self) -> String {
            "gated".to_owned()
        }
    }

    type Permits = mpsc::Sender<io::Result<()>>;

    fn gated() -> (Sink, Permits, mpsc::Receiver<Vec<u8>>, Arc<LineCounts>) {
        let (permit, permits) = mpsc::channel();
        let (written, output) = mpsc::channel();
        let counts = Arc::new(LineCounts::default());
        let sink = Sink::start(Box::new(Gated { permits, written }), Arc::clone(&counts)).unwrap();
        (sink, permit, output, counts)
    }

    #[test]
    fn lines_beyond_the_queue_are_dropped_and_counted_while_the_file_stands_still() {
        let (sink, permit, output, counts) = gated();
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        let fits = (QUEUE_BYTES / line.len()) as u64;
        // The writer takes at most one batch away before it stands still at the gate.
        for _ in 0..3 * fits {
            sink.push(&line);
        }
        let dropped = counts.dropped.get();
        assert!((fits..2 * fits + 1).contains(&dropped), "{dropped}");
        drop(permit);
        assert!(sink.flush(Instant::now() + Duration::from_secs(10)));
        assert_eq!(counts.written.get() + dropped, 3 * fits);
        drop(sink);
        assert_eq!(
            output.iter().map(|batch| batch.len()).sum::<usize>() as u64,
            counts.written.get() * 1024
        );
    }

    #[test]
    fn lines_a_file_refuses_are_counted_as_dropped() {
        let (sink, permit, _output, counts) = gated();
        permit.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
        sink.push(b"lost\n");
        assert!(sink.flush(Instant::now() + Duration::from_secs(10)));
        permit.send(Ok(())).unwrap();
        sink.push(b"kept\n");
        assert!(sink.flush(Instant::now() + Duration::from_secs(10)));
        assert_eq!((counts.written.get(), counts.dropped.get()), (1, 1));
    }

    #[test]
    fn a_flush_gives_up_at_its_deadline() {
        let (sink, permit, _output, _counts) = gated();
        sink.push(b"stuck\n");
        assert!(!sink.flush(Instant::now() + Duration::from_millis(20)));
        drop(permit);
    }

    #[test]
    fn a_dropped_sink_still_writes_what_it_took() {
        let (sink, permit, output, _counts) = gated();
        drop(permit);
        sink.push(b"last\n");
        drop(sink);
        assert_eq!(
            output.recv_timeout(Duration::from_secs(10)).unwrap(),
            b"last\n"
        );
    }
}
