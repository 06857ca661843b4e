//! The event log: what hubgate itself has to say, through tracing, to standard error or a file.
//!
//! Records that dependencies make with the `log` crate join in; those that would let a client fill the log (pingora
//! reports every broken handshake and head as an error, and hubgate counts them itself) are off unless the operator's
//! filter names their crate. Lines leave through a [`Sink`], so that logging never waits for a disk.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_log::{AsLog, LogTracer};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use super::events::{EventLogs, OfProcess, OfRequests};
use super::nginx_lines::NginxLines;
use super::output::{FileOutput, Output, StandardStream};
use super::sink::{LineCounts, Sink};
use super::targets::Targets;
use crate::config::{Log, LogFormat};

/// Put before the operator's filter; a directive for the same crate replaces these.
const QUIET: &str = "pingora=off,h2=warn,hyper=warn,rustls=warn,notify=warn,nginx=off";
/// What only nginx tells, so that whoever did not ask for its form does not get it either.
pub const AS_NGINX: &str = "nginx";

/// Why the event log could not be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is no filter.
    #[error("`{level}` is not a log filter")]
    Level {
        /// What was given.
        level: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The file cannot be written to.
    #[error("cannot open the log `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The system gives no thread for the writer.
    #[error("cannot start the log writer")]
    Thread(#[source] io::Error),
    /// The subscriber in use is not the one this handle belongs to any more.
    #[error("cannot change the running log")]
    Change(#[source] reload::Error),
    /// Another part of the program set up logging before.
    #[error("logging is set up already")]
    AlreadySet,
}

/// Changes the running event log. Keep it as long as the process: its lines are flushed through it.
pub struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
    layer: reload::Handle<FormatLayer, Filtered>,
    lines: Lines,
    /// Of `logs`.
    targets: Targets,
    counts: Arc<LineCounts>,
    current: Mutex<Log>,
}

type Filtered = tracing_subscriber::layer::Layered<reload::Layer<EnvFilter, Registry>, Registry>;
type FormatLayer = Box<dyn Layer<Filtered> + Send + Sync>;

/// Sets up the process's event log as `log` says. Once a process.
pub fn init(log: &Log, counts: Arc<LineCounts>) -> Result<LogHandle, LogError> {
    let (subscriber, handle) = build(log, counts)?;
    LogTracer::init().map_err(|_| LogError::AlreadySet)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadySet)?;
    set_log_crate_level(&filter(log)?);
    Ok(handle)
}

/// The filter of `[log]`, for its form.
fn filter(log: &Log) -> Result<EnvFilter, LogError> {
    if log.logs.is_empty() {
        return parse_filter(&log.level);
    }
    let mut words = log.level.split(',').map(str::trim);
    let whole = words.rfind(|word| !word.contains('=')).unwrap_or("error");
    parse_filter(&format!("{},{AS_NGINX}={whole}", log.level))
}

/// The filter of `[log].level`, with what is quiet by default.
///
/// Fails on what is no filter, so that a check can refuse it.
pub fn parse_filter(level: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder()
        .parse(format!("{QUIET},{level}"))
        .map_err(|source| LogError::Level {
            level: level.to_owned(),
            source,
        })
}

impl LogHandle {
    /// Makes the running log what `log` says: filter, format and file. Changes nothing when it fails.
    pub fn configure(&self, log: &Log) -> Result<(), LogError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == *log {
            return Ok(()); // another filter has every place that logs asked again
        }
        let filter = filter(log)?;
        if log.file != current.file {
            let sink = open(log, Arc::clone(&self.counts))?;
            self.lines.0.store(Arc::new(sink));
        }
        let form = |log: &Log| (log.format, log.file.clone(), log.logs.clone());
        if form(log) != form(&current) {
            let layer = format_layer(log, self.lines.clone(), &self.targets)?;
            self.layer.reload(layer).map_err(LogError::Change)?;
        }
        set_log_crate_level(&filter);
        self.filter.reload(filter).map_err(LogError::Change)?;
        current.clone_from(log);
        Ok(())
    }

    /// Says whether [`LogHandle::configure`] would find its file; changes nothing. A missing file is made.
    pub fn check(&self, log: &Log) -> Result<(), LogError> {
        filter(log)?;
        let files = log.logs.iter().filter_map(|log| log.target.file());
        for path in files {
            FileOutput::open(path).map_err(|source| LogError::Open {
                path: path.to_owned(),
                source,
            })?;
        }
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match &log.file {
            Some(path) if log.file != current.file => match FileOutput::open(path) {
                Ok(_) => Ok(()),
                Err(source) => Err(LogError::Open {
                    path: path.clone(),
                    source,
                }),
            },
            _ => Ok(()),
        }
    }

    /// Has the file opened again, after what is queued was written to the old one.
    pub fn reopen(&self) {
        self.lines.0.load().reopen();
        self.targets.reopen();
    }

    /// Waits until all lines so far are out, at most for `limit`; says whether they are. Blocks: not for a worker.
    pub fn flush(&self, limit: Duration) -> bool {
        let flushed = self.lines.0.load_full().flush(Instant::now() + limit);
        self.targets.flush(limit) && flushed
    }
}

/// The subscriber and its handle, not installed yet.
fn build(
    log: &Log,
    counts: Arc<LineCounts>,
) -> Result<(impl Subscriber + Send + Sync + use<>, LogHandle), LogError> {
    let (filter, filter_handle) = reload::Layer::new(filter(log)?);
    let sink = open(log, Arc::clone(&counts))?;
    let lines = Lines(Arc::new(ArcSwap::from_pointee(sink)));
    let targets = Targets::new(Arc::clone(&counts));
    let layer = format_layer(log, lines.clone(), &targets)?;
    let (layer, layer_handle) = reload::Layer::new(layer);
    let subscriber = Registry::default()
        .with(filter)
        .with(layer)
        .with(OfRequests);
    let handle = LogHandle {
        filter: filter_handle,
        layer: layer_handle,
        lines,
        targets,
        counts,
        current: Mutex::new(log.clone()),
    };
    Ok((subscriber, handle))
}

fn open(log: &Log, counts: Arc<LineCounts>) -> Result<Sink, LogError> {
    let output: Box<dyn Output> = match &log.file {
        None => Box::new(StandardStream::Err),
        Some(path) => Box::new(FileOutput::open(path).map_err(|source| LogError::Open {
            path: path.clone(),
            source,
        })?),
    };
    Sink::start(output, counts).map_err(LogError::Thread)
}

fn format_layer(log: &Log, lines: Lines, targets: &Targets) -> Result<FormatLayer, LogError> {
    if !log.logs.is_empty() {
        let logs = EventLogs::open(&log.logs, targets).map_err(|source| LogError::Open {
            path: { log.logs.iter().filter_map(|log| log.target.file()) }.collect(),
            source,
        })?;
        targets.start_writers().map_err(LogError::Thread)?;
        return Ok(OfProcess(logs).boxed());
    }
    let layer = tracing_subscriber::fmt::layer().with_writer(lines);
    Ok(match log.format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Nginx => layer.with_ansi(false).event_format(NginxLines).boxed(),
        LogFormat::Text => {
            let terminal = log.file.is_none() && io::IsTerminal::is_terminal(&io::stderr());
            layer.with_ansi(terminal).boxed()
        }
    })
}

/// Lets the `log` crate's macros stay as cheap as tracing's for what nobody wants to see.
fn set_log_crate_level(filter: &EnvFilter) {
    let level = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    tracing_log::log::set_max_level(level.as_log());
}

/// Hands whole lines to the sink of the moment; the format layer writes each event in one piece.
#[derive(Clone)]
struct Lines(Arc<ArcSwap<Sink>>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(self.0.load_full())
    }
}

/// Takes one event.
struct Line(Arc<Sink>);

impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn log(file: &Path, level: &str) -> Log {
        Log {
            level: level.to_owned(),
            format: LogFormat::Text,
            file: Some(file.to_owned()),
            logs: Vec::new(),
        }
    }

    fn text(handle: &LogHandle, file: &Path) -> String {
        assert!(handle.flush(Duration::from_secs(20)));
        std::fs::read_to_string(file).unwrap()
    }

    #[test]
    fn pingora_is_heard_only_when_the_filter_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.log");
        let (subscriber, handle) = build(&log(&file, "debug"), Arc::default()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: "pingora_core::apps", "one");
            tracing::debug!(target: "h2::codec", "two");
            tracing::debug!("three");
            handle
                .configure(&log(&file, "info,pingora_core=error"))
                .unwrap();
            tracing::error!(target: "pingora_core::apps", "four");
            tracing::debug!("five");
        });
        let text = text(&handle, &file);
        let heard: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split(' ').next_back())
            .collect();
        assert_eq!(heard, ["three", "four"]);
    }

    #[test]
    fn a_reload_moves_the_log_to_another_file_and_format() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("a.log"), dir.path().join("b.log"));
        let (subscriber, handle) = build(&log(&first, "info"), Arc::default()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("one");
            let json = Log {
                format: LogFormat::Json,
                ..log(&second, "info")
            };
            handle.configure(&json).unwrap();
            tracing::info!(port = 80, "two");
        });
        let line: serde_json::Value = serde_json::from_str(&text(&handle, &second)).unwrap();
        assert_eq!(
            (&line["message"], &line["port"]),
            (&"two".into(), &80.into())
        );
        let deadline = Instant::now() + Duration::from_secs(20);
        while !std::fs::read_to_string(&first).unwrap().ends_with("one\n") {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_refused_change_leaves_the_log_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.log");
        let (subscriber, handle) = build(&log(&file, "info"), Arc::default()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            assert!(
                handle
                    .configure(&log(&dir.path().join("none/b.log"), "off"))
                    .is_err()
            );
            assert!(handle.configure(&log(&file, "info,=loud=")).is_err());
            tracing::info!("still");
        });
        assert!(text(&handle, &file).ends_with("still\n"));
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        assert!(parse_filter("info,hubgate=loud").is_err());
    }
}
