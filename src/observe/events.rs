//! Logs of events in the form of nginx's error log: of the process, and of single sites, routes and streams.
//!
//! What is told while a request with logs of its own is served goes to those, in place of the process's; which these
//! are is said by [`enter`] within [`scoped`]. Each log has a level of its own. Opening targets is `targets`'s.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::nginx_lines;
use super::sink::Sink;
use super::syslog;
use super::targets::Targets;
use crate::config::{ErrorLog, LogLevel, LogTarget, Syslog};

/// Logs that get the same events. Cheap to clone; without any, the process's count.
#[derive(Clone, Debug, Default)]
pub struct EventLogs(Option<Arc<Vec<One>>>);

#[derive(Debug)]
struct One {
    sink: Arc<Sink>,
    level: LogLevel,
    syslog: Option<Syslog>,
}

impl EventLogs {
    /// Without any.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Opens the logs' targets. Fails when a file cannot be opened for appending.
    pub fn open(logs: &[ErrorLog], targets: &Targets) -> io::Result<Self> {
        let mut all = Vec::new();
        for log in logs {
            let Some(sink) = targets.sink(&log.target)? else {
                continue;
            };
            all.push(One {
                sink,
                level: log.level,
                syslog: match &log.target {
                    LogTarget::Syslog(syslog) => Some(syslog.clone()),
                    _ => None,
                },
            });
        }
        Ok(Self((!logs.is_empty()).then(|| Arc::new(all))))
    }

    /// Whether there are any.
    pub fn is_own(&self) -> bool {
        self.0.is_some()
    }

    fn tell(&self, event: &Event<'_>) {
        let Some(all) = &self.0 else { return };
        let (level, line) = nginx_lines::rendered(event);
        for one in all.iter().filter(|one| level <= one.level) {
            match &one.syslog {
                None => one.sink.push(line.as_bytes()),
                Some(syslog) => {
                    let mut frame = Vec::with_capacity(line.len() + 64);
                    let (severity, at) = (level as u8, SystemTime::now());
                    syslog::message(syslog, severity, at, line.as_bytes(), &mut frame);
                    one.sink.push(&frame);
                }
            }
        }
    }
}

tokio::task_local! {
    static OWN: RefCell<EventLogs>;
}

/// Serves, with a place for logs of its own.
pub async fn scoped<F: Future>(serving: F) -> F::Output {
    OWN.scope(RefCell::default(), serving).await
}

/// From here on the events of this request are told in `logs`, if any, and in the process's else.
pub fn enter(logs: &EventLogs) {
    // Outside of a scope nobody has logs of its own.
    OWN.try_with(|own| own.borrow_mut().clone_from(logs)).ok();
}

/// Tells events in `logs`, if any, of a request that has been served.
pub fn within(logs: &EventLogs, tell: impl FnOnce()) {
    match logs.is_own() {
        true => OWN.sync_scope(RefCell::new(logs.clone()), tell),
        false => tell(),
    }
}

/// The logs of the request that is served.
fn own() -> Option<EventLogs> {
    let own = OWN.try_with(|own| own.borrow().clone()).ok()?;
    own.is_own().then_some(own)
}

/// Whether the request that is served has logs of its own.
pub(super) fn has_own() -> bool {
    own().is_some()
}

/// Tells events in the logs of the requests that have any.
#[derive(Debug)]
pub(super) struct OfRequests;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for OfRequests {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if let Some(own) = own() {
            own.tell(event);
        }
    }
}

/// Tells all other events.
#[derive(Debug)]
pub(super) struct OfProcess(pub(super) EventLogs);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for OfProcess {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if !has_own() {
            self.0.tell(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn a_requests_own_logs_get_its_events_by_their_levels_and_the_process_all_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let log = |name: &str, level| ErrorLog {
            target: LogTarget::File(path(name)),
            level,
        };
        let targets = Targets::new(Arc::default());
        let all = [log("all", LogLevel::Info)];
        let process = EventLogs::open(&all, &targets).unwrap();
        let own = [log("own", LogLevel::Info), log("grave", LogLevel::Crit)];
        let own = EventLogs::open(&own, &targets).unwrap();
        targets.start_writers().unwrap();
        let layers = tracing_subscriber::registry()
            .with(OfProcess(process))
            .with(OfRequests);
        tracing::subscriber::with_default(layers, || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.build().unwrap();
            runtime.block_on(scoped(async {
                tracing::error!("before");
                enter(&own);
                tracing::error!("within");
                tracing::debug!("unheard");
                tracing::info!(severity = "alert", "grave");
            }));
            tracing::info!(severity = "info", "after");
        });
        assert!(targets.flush(Duration::from_secs(20)));
        let told = |name: &str| {
            let text = std::fs::read_to_string(path(name)).unwrap();
            let words = text.lines().map(|line| line.rsplit(' ').next().unwrap());
            words.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told("all"), "before after");
        assert_eq!(told("own"), "within grave");
        assert_eq!(told("grave"), "grave");
    }
}
