//! The targets of logs that are open: each once, however many logs name it.
//!
//! A target is closed when the last sink is gone, which is how a reload forgets those that are no longer configured and
//! keeps those that are. What is written is the callers' matter.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::frames::{ChosenFiles, GzipFile};
use super::output::{FileOutput, Output, StandardStream};
use super::sink::{LineCounts, Sink, Watch, Writer};
use super::syslog::SyslogOutput;
use crate::config::LogTarget;

/// Open targets.
#[derive(Debug)]
pub struct Targets {
    open: Mutex<Open>,
    counts: Arc<LineCounts>,
}

#[derive(Debug, Default)]
struct Open {
    sinks: HashMap<LogTarget, Weak<Sink>>,
    /// Of every sink that may still have lines to write, those that a reload closed among them.
    writers: Vec<Watch>,
    /// Of sinks that were opened since [`Targets::start_writers`].
    waiting: Vec<Writer>,
}

impl Targets {
    /// None open yet; lines are counted in `counts`.
    pub fn new(counts: Arc<LineCounts>) -> Self {
        Self {
            open: Mutex::default(),
            counts,
        }
    }

    /// The target's sink, opened unless it is open already; `None` for none. Lines wait until [`Self::start_writers`].
    ///
    /// Fails when a file cannot be opened for appending.
    pub fn sink(&self, target: &LogTarget) -> io::Result<Option<Arc<Sink>>> {
        let mut open = self.lock();
        if let Some(sink) = open.sinks.get(target).and_then(Weak::upgrade) {
            return Ok(Some(sink));
        }
        let output: Box<dyn Output> = match target {
            LogTarget::Off => return Ok(None),
            LogTarget::Stdout => Box::new(StandardStream::Out),
            LogTarget::Stderr => Box::new(StandardStream::Err),
            LogTarget::File(path) => Box::new(FileOutput::open(path)?),
            LogTarget::Gzip(path) => Box::new(GzipFile::open(path)?),
            LogTarget::Chosen(text) => Box::new(ChosenFiles::new(text)),
            LogTarget::Syslog(syslog) => Box::new(SyslogOutput::new(syslog)),
        };
        let (sink, writer) = Sink::new(output, Arc::clone(&self.counts));
        let sink = Arc::new(sink);
        open.waiting.push(writer);
        open.sinks.retain(|_, sink| sink.strong_count() > 0);
        open.writers.retain(|writer| !writer.is_finished());
        open.sinks.insert(target.clone(), Arc::downgrade(&sink));
        open.writers.push(sink.watch());
        Ok(Some(sink))
    }

    /// Starts the writers of what was opened since the last time. Their threads are scheduled as the caller's is, which
    /// is why a thread that steps aside for others must not start them. Fails when no thread can be had.
    pub fn start_writers(&self) -> io::Result<()> {
        let waiting = std::mem::take(&mut self.lock().waiting);
        waiting.into_iter().try_for_each(Writer::start)
    }

    /// Has every file opened again after what is queued was written to the old one: for log rotation by renaming.
    pub fn reopen(&self) {
        for sink in self.sinks() {
            sink.reopen();
        }
    }

    /// Waits until all lines so far are out, at most for `limit`; says whether they are. Blocks: not for a worker.
    pub fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let writers = self.lock().writers.clone();
        let late = writers
            .iter()
            .filter(|writer| !writer.flush(deadline))
            .count();
        late == 0
    }

    pub(super) fn sinks(&self) -> Vec<Arc<Sink>> {
        self.lock()
            .sinks
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// Sinks that may still have lines to write.
    #[cfg(test)]
    pub(super) fn writers(&self) -> usize {
        self.lock().writers.len()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
