//! Access logs: one line a request, written off the request path.
//!
//! [`AccessLogs`] opens each target once, however many sites and routes name it; a snapshot holds an
//! [`AccessLogHandle`] per site and route. A target is closed when the last handle is gone, which is how a reload
//! forgets logs that are no longer configured and keeps those that are.

mod clock;
mod escape;
mod format;
mod record;
mod redact;
pub mod sentence;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

pub use clock::{Clock, epoch};
pub use record::{ClientCertificate, Record};
pub(super) use redact::url as redacted;

use super::metrics::Metrics;
use super::output::{FileOutput, Output, StandardStream};
use super::sink::{LineCounts, Sink, Watch, Writer};
use crate::config::{AccessLog, AccessLogFormat, AccessLogTarget, Escape, Text};

/// All open access logs of the process.
#[derive(Debug)]
pub struct AccessLogs {
    open: Mutex<Open>,
    counts: Arc<LineCounts>,
}

#[derive(Debug, Default)]
struct Open {
    sinks: HashMap<AccessLogTarget, Weak<Sink>>,
    /// Of every sink that may still have lines to write, those that a reload closed among them.
    writers: Vec<Watch>,
    /// Of sinks that were opened since [`AccessLogs::start_writers`].
    waiting: Vec<Writer>,
}

impl AccessLogs {
    /// None open yet; lines are counted in `metrics`.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            open: Mutex::default(),
            counts: Arc::clone(&metrics.access_log_lines),
        }
    }

    /// Where a site's or route's records go. Opens the target unless it is open already; lines wait until
    /// [`Self::start_writers`].
    ///
    /// Fails when the file cannot be opened for appending.
    pub fn handle(&self, log: &AccessLog) -> io::Result<AccessLogHandle> {
        let mut next = AccessLogHandle::off();
        for log in log.also.iter().rev().chain([log]) {
            let Some(sink) = self.sink(&log.target)? else {
                continue;
            };
            next.on = Some(Arc::new(On {
                sink,
                format: log.format.clone(),
                escape: log.escape,
                when: log.when.clone(),
                secrets: log.redact.clone(),
                next: next.clone(),
            }));
        }
        Ok(next)
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

    fn sink(&self, target: &AccessLogTarget) -> io::Result<Option<Arc<Sink>>> {
        let mut open = self.lock();
        if let Some(sink) = open.sinks.get(target).and_then(Weak::upgrade) {
            return Ok(Some(sink));
        }
        let output: Box<dyn Output> = match target {
            AccessLogTarget::Off => return Ok(None),
            AccessLogTarget::Stdout => Box::new(StandardStream::Out),
            AccessLogTarget::File(path) => Box::new(FileOutput::open(path)?),
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

    fn sinks(&self) -> Vec<Arc<Sink>> {
        self.lock()
            .sinks
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the records of one site or route. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLogHandle {
    on: Option<Arc<On>>,
}

#[derive(Debug)]
struct On {
    sink: Arc<Sink>,
    format: AccessLogFormat,
    escape: Escape,
    /// Of which requests there is a line.
    when: Option<Text>,
    secrets: Vec<String>,
    /// A further log of the same requests.
    next: AccessLogHandle,
}

impl On {
    fn wants(&self, record: &Record<'_>) -> bool {
        let Some((when, values)) = self.when.as_ref().zip(record.values) else {
            return true;
        };
        !matches!(&*when.value(values), b"" | b"0")
    }
}

impl AccessLogHandle {
    /// A log that takes nothing.
    pub fn off() -> Self {
        Self { on: None }
    }

    /// Whether records are wanted; when not, the caller need not make one.
    pub fn enabled(&self) -> bool {
        self.on.is_some()
    }

    /// Formats `record` and queues the line. Never waits for a file; what does not fit is dropped and counted.
    pub fn write(&self, record: &Record<'_>) {
        thread_local! {
            static SCRATCH: RefCell<(Clock, Vec<u8>)> = RefCell::new((Clock::default(), Vec::with_capacity(1024)));
        }
        let mut log = self;
        while let Some(on) = &log.on {
            log = &on.next;
            if !on.wants(record) {
                continue;
            }
            SCRATCH.with_borrow_mut(|(clock, line)| {
                line.clear();
                let style = (&on.secrets[..], on.escape);
                format::line(&on.format, style, record, clock, line);
                on.sink.push(line);
                // A request with a 64 KiB target must not leave every thread with a buffer for it.
                line.shrink_to(16 * 1024);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::SystemTime;

    use http::HeaderMap;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn log(path: &Path) -> AccessLog {
        AccessLog {
            target: AccessLogTarget::File(path.to_owned()),
            format: AccessLogFormat::Template(Text::parse("$request_id").unwrap()),
            ..AccessLog::off()
        }
    }

    fn open(logs: &AccessLogs, log: &AccessLog) -> AccessLogHandle {
        let handle = logs.handle(log).unwrap();
        logs.start_writers().unwrap();
        handle
    }

    #[test]
    fn lines_wait_for_a_writer_that_is_not_started_yet() {
        let dir = tempfile::tempdir().unwrap();
        let logs = AccessLogs::new(&Metrics::new());
        let handle = logs.handle(&log(&dir.path().join("a.log"))).unwrap();
        write(&handle, "early");
        assert!(!logs.flush(Duration::ZERO));
        logs.start_writers().unwrap();
        assert!(logs.flush(LONG));
    }

    fn write(handle: &AccessLogHandle, id: &str) {
        let fields = HeaderMap::new();
        handle.write(&Record {
            request_id: id,
            ..Record::new(SystemTime::now(), ([127, 0, 0, 1], 1).into(), &fields)
        });
    }

    #[test]
    fn a_log_that_is_off_takes_nothing() {
        let logs = AccessLogs::new(&Metrics::new());
        let off = AccessLog {
            target: AccessLogTarget::Off,
            ..log(Path::new(""))
        };
        let handle = open(&logs, &off);
        assert!(!handle.enabled());
        write(&handle, "x");
        assert!(logs.flush(Duration::ZERO));
    }

    #[test]
    fn sites_that_name_the_same_file_share_it_until_the_last_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let logs = AccessLogs::new(&Metrics::new());
        let first = open(&logs, &log(&dir.path().join("a.log")));
        let second = open(&logs, &log(&dir.path().join("a.log")));
        assert_eq!(logs.sinks().len(), 1);
        drop(first);
        write(&second, "still");
        assert!(logs.flush(LONG));
        drop(second);
        assert_eq!(logs.sinks().len(), 0);
        assert_eq!(
            std::fs::read_to_string(dir.path().join("a.log")).unwrap(),
            "still\n"
        );
    }

    #[test]
    fn a_flush_waits_for_logs_that_were_closed_just_before() {
        let dir = tempfile::tempdir().unwrap();
        let logs = AccessLogs::new(&Metrics::new());
        let handle = open(&logs, &log(&dir.path().join("a.log")));
        write(&handle, "last");
        drop(handle);
        assert!(logs.flush(LONG));
        assert_eq!(
            std::fs::read_to_string(dir.path().join("a.log")).unwrap(),
            "last\n"
        );
        let _other = open(&logs, &log(&dir.path().join("b.log")));
        assert_eq!(logs.lock().writers.len(), 1);
    }

    #[test]
    fn renaming_and_reopening_under_load_loses_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let metrics = Metrics::new();
        let logs = AccessLogs::new(&metrics);
        let handle = open(&logs, &log(&path));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let handle = handle.clone();
                scope.spawn(move || {
                    (0..5_000).for_each(|n| write(&handle, &format!("{thread}-{n}")))
                });
            }
            for rotation in 0..10 {
                std::fs::rename(&path, dir.path().join(format!("a.log.{rotation}"))).unwrap();
                logs.reopen();
                let deadline = Instant::now() + LONG;
                while !path.exists() {
                    assert!(Instant::now() < deadline, "the log was not reopened");
                    std::thread::yield_now();
                }
            }
        });
        assert!(logs.flush(LONG));
        let mut lines: Vec<String> = Vec::new();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            lines.extend(text.lines().map(str::to_owned));
        }
        lines.sort_unstable();
        let mut wanted: Vec<String> = (0..4)
            .flat_map(|t| (0..5_000).map(move |n| format!("{t}-{n}")))
            .collect();
        wanted.sort_unstable();
        assert_eq!(lines, wanted);
        assert_eq!(metrics.access_log_lines.dropped.get(), 0);
    }

    #[test]
    fn a_pipe_without_a_reader_loses_lines_but_not_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        let metrics = Metrics::new();
        let logs = AccessLogs::new(&metrics);
        let handle = open(&logs, &log(&path));
        write(&handle, "x");
        assert!(logs.flush(LONG));
        assert_eq!(metrics.access_log_lines.dropped.get(), 1);
    }
}
