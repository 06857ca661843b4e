//! nginx's habits of a process that was called as `nginx`: its sentences in the log, and its pid files.
//!
//! Log watchers wait for these sentences, scripts for these files. What signals mean is `signals`'s. Invariant: without
//! the habits every call does nothing.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use tokio::time::timeout;

use super::process::Process;
use super::signals::{Signals, Wish};
use crate::admin::ReloadOutcome;
use crate::nginx::{Habits, UNDERSTOOD};

/// How often an old process looks whether it is waited for.
const LOOKS: Duration = Duration::from_millis(500);

/// nginx's habits, if the process has them.
#[derive(Clone, Debug)]
pub(super) struct Manners {
    pid_file: Option<PathBuf>,
    on: bool,
}

impl Manners {
    /// Those of a process.
    pub(super) fn of(habits: Option<&Habits>, process: &Process) -> Self {
        let config = &process.shared.snapshot.load().config;
        Self {
            pid_file: habits.and(config.server.pid_file.clone()),
            on: habits.is_some(),
        }
    }

    /// Whether it has any.
    pub(super) fn on(&self) -> bool {
        self.on
    }

    fn say(&self, sentences: &[&str]) {
        for sentence in sentences.iter().filter(|_| self.on) {
            tracing::info!("{sentence}");
        }
    }

    /// Clients are served.
    pub(super) fn started(&self) {
        self.say(&["using the \"epoll\" event method"]);
        if self.on {
            tracing::info!("nginx/{UNDERSTOOD}");
            let kernel = |name: &str| {
                let text = fs::read_to_string(format!("/proc/sys/kernel/{name}"));
                text.unwrap_or_default().trim().to_owned()
            };
            tracing::info!("OS: {} {}", kernel("ostype"), kernel("osrelease"));
            if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
                tracing::info!("getrlimit(RLIMIT_NOFILE): {soft}:{hard}");
            }
        }
        self.workers();
    }

    /// Whoever serves is this process, whose number is the only one there is.
    fn workers(&self) {
        self.say(&["start worker processes"]);
        if self.on {
            tracing::info!("start worker process {}", std::process::id());
        }
    }

    /// Logs are about to be opened again.
    pub(super) fn reopening(&self) {
        self.say(&["reopening logs"]);
    }

    /// A reload has begun.
    pub(super) fn reconfiguring(&self) {
        self.say(&["reconfiguring"]);
    }

    /// What came of it. nginx's sentence about its own configuration is told as nginx tells it.
    pub(super) fn reconfigured(&self, outcome: &ReloadOutcome) {
        match outcome {
            ReloadOutcome::Done(_) => {
                self.say(&["using the \"epoll\" event method"]);
                self.workers();
                self.say(&["gracefully shutting down", "exiting", "exit"]);
            }
            ReloadOutcome::Refused { diagnostics } if self.on => {
                tracing::error!(severity = "emerg", "{}", sentence(diagnostics));
            }
            ReloadOutcome::Refused { .. } | ReloadOutcome::TakenOver(_) => {}
        }
    }

    /// The end has begun.
    pub(super) fn stopping(&self, at_once: bool) {
        match at_once {
            true => self.say(&["exiting"]),
            false => self.say(&["gracefully shutting down"]),
        }
    }

    /// A process whose successor serves stays until it is told to go, as scripts expect that look for `.oldbin` first; or until
    /// the file is another's.
    pub(super) async fn dismissed(&self, signals: &mut Signals) {
        let named = || {
            let old = self.old_pid_file();
            old.is_some_and(|old| fs::read_to_string(old).is_ok_and(|text| is_own(&text)))
        };
        while self.on && named() {
            match timeout(LOOKS, signals.next()).await {
                Ok(Wish::Stop | Wish::StopAtOnce) => return,
                Ok(other) => tracing::info!(?other, "left to the process that has taken over"),
                Err(_) => {}
            }
        }
    }

    /// The last words.
    pub(super) fn ended(&self, at_once: bool) {
        if !at_once {
            self.say(&["exiting"]);
        }
        self.say(&["exit"]);
        if let Some(old) = self.old_pid_file()
            && fs::read_to_string(&old).is_ok_and(|text| is_own(&text))
            && let Err(error) = fs::remove_file(&old)
        {
            tracing::warn!(file = %old.display(), %error, "the old pid file cannot be removed");
        }
    }

    /// A new program is about to take over: the old one's number is in `.oldbin` from now on.
    pub(super) fn changing_binary(&self) {
        self.say(&["changing binary"]);
        self.rename(false);
    }

    /// It did not.
    pub(super) fn kept_binary(&self) {
        self.rename(true);
    }

    fn old_pid_file(&self) -> Option<PathBuf> {
        let mut old = self.pid_file.clone()?.into_os_string();
        old.push(".oldbin");
        Some(old.into())
    }

    fn rename(&self, back: bool) {
        let (Some(new), Some(old)) = (self.pid_file.clone(), self.old_pid_file()) else {
            return;
        };
        let (from, to) = if back { (old, new) } else { (new, old) };
        let own = fs::read_to_string(&from).is_ok_and(|text| is_own(&text));
        if own && let Err(error) = fs::rename(&from, &to) {
            tracing::warn!(file = %from.display(), %error, "the pid file cannot be renamed");
        }
    }
}

fn is_own(text: &str) -> bool {
    text.trim() == std::process::id().to_string()
}

/// What nginx would say of a refused configuration.
fn sentence(diagnostics: &str) -> &str {
    let nginx = diagnostics.split_once("nginx: [emerg] ");
    let text = nginx.map_or(diagnostics, |(_, text)| text);
    let line = text.lines().find(|line| !line.trim().is_empty());
    line.unwrap_or_default()
}
