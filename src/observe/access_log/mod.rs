//! Access logs: one line a request, written off the request path.
//!
//! A snapshot holds an [`AccessLogHandle`] per site and route, with the logs of events that these have of their own.
//! Opening and closing targets is `targets`'s.

mod clock;
mod escape;
mod format;
mod record;
mod redact;
pub mod sentence;

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use clock::{Clock, epoch};
pub use record::{ClientCertificate, Record};
pub(super) use redact::url as redacted;

use super::events::EventLogs;
use super::frames::{frame, is_sound};
use super::metrics::Metrics;
use super::sink::Sink;
use super::syslog;
use super::targets::Targets;
use crate::config::{AccessLog, AccessLogFormat, Escape, LogTarget, Syslog, Text};

/// All open access logs of the process, and the logs of events that requests have of their own.
#[derive(Debug)]
pub struct AccessLogs {
    targets: Targets,
    events: Targets,
}

impl AccessLogs {
    /// None open yet; lines are counted in `metrics`.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            targets: Targets::new(Arc::clone(&metrics.access_log_lines)),
            events: Targets::new(Arc::clone(&metrics.log_lines)),
        }
    }

    /// Where a site's or route's records go. Opens the target unless it is open already; lines wait until
    /// [`Self::start_writers`].
    ///
    /// Fails when a file cannot be opened for appending.
    pub fn handle(&self, log: &AccessLog) -> io::Result<AccessLogHandle> {
        let mut next = AccessLogHandle::off();
        for log in log.also.iter().rev().chain([log]) {
            let sink = self.targets.sink(&log.target)?;
            let events = EventLogs::open(&log.events, &self.events)?;
            if sink.is_none() && !events.is_own() {
                continue;
            }
            next.on = Some(Arc::new(On {
                sink,
                events,
                form: match &log.target {
                    LogTarget::Chosen(text) => Form::Chosen(text.clone()),
                    LogTarget::Syslog(syslog) => Form::Syslog(syslog.clone()),
                    _ => Form::Plain,
                },
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
        self.targets.start_writers()?;
        self.events.start_writers()
    }

    /// Has every file opened again after what is queued was written to the old one: for log rotation by renaming.
    pub fn reopen(&self) {
        self.targets.reopen();
        self.events.reopen();
    }

    /// Waits until all lines so far are out, at most for `limit`; says whether they are. Blocks: not for a worker.
    pub fn flush(&self, limit: Duration) -> bool {
        let flushed = self.targets.flush(limit);
        self.events.flush(limit) && flushed
    }
}

/// Takes the records of one site or route. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLogHandle {
    on: Option<Arc<On>>,
}

#[derive(Debug)]
struct On {
    /// `None` where only events are told.
    sink: Option<Arc<Sink>>,
    events: EventLogs,
    form: Form,
    format: AccessLogFormat,
    escape: Escape,
    /// Of which requests there is a line.
    when: Option<Text>,
    secrets: Vec<String>,
    /// A further log of the same requests.
    next: AccessLogHandle,
}

/// What a line has to be for its target.
#[derive(Debug)]
enum Form {
    Plain,
    /// With the name of its file.
    Chosen(Text),
    /// A message.
    Syslog(Syslog),
}

impl On {
    /// Gives the target a line.
    fn push(&self, line: &[u8], record: &Record<'_>) {
        let Some(sink) = &self.sink else { return };
        let mut framed = Vec::new();
        match &self.form {
            Form::Plain => return sink.push(line),
            Form::Chosen(text) => {
                let name = record.values.map(|values| text.value(values));
                let name = name.filter(|name| is_sound(name));
                let Some(name) = name else {
                    tracing::debug!("the name of a log is none");
                    return;
                };
                frame(&name, line, &mut framed);
            }
            Form::Syslog(to) => syslog::message(to, to.severity, record.time, line, &mut framed),
        }
        sink.push(&framed);
    }

    fn wants(&self, record: &Record<'_>) -> bool {
        if self.sink.is_none() {
            return false;
        }
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

    /// Whether `other` is this very log.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.on, &other.on) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        }
    }

    /// Whether records are wanted; when not, the caller need not make one.
    pub fn enabled(&self) -> bool {
        let on = self.on.as_deref();
        on.is_some_and(|on| on.sink.is_some() || on.next.enabled())
    }

    /// Where events of the same requests are told.
    pub fn events(&self) -> &EventLogs {
        static NONE: EventLogs = EventLogs::none();
        self.on.as_ref().map_or(&NONE, |on| &on.events)
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
                on.push(line, record);
                // A request with a 64 KiB target must not leave every thread with a buffer for it.
                line.shrink_to(16 * 1024);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Instant, SystemTime};

    use http::HeaderMap;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn log(path: &Path) -> AccessLog {
        AccessLog {
            target: LogTarget::File(path.to_owned()),
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
            target: LogTarget::Off,
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
        assert_eq!(logs.targets.sinks().len(), 1);
        drop(first);
        write(&second, "still");
        assert!(logs.flush(LONG));
        drop(second);
        assert_eq!(logs.targets.sinks().len(), 0);
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
        assert_eq!(logs.targets.writers(), 1);
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
