//! What runs: listeners, workers, certificates, logs, the current configuration. The one place that changes them.
//!
//! Applying a prepared change cannot fail; everything that can was done by `reload` before. Invariant: listeners and
//! live connections that a change does not concern are not touched.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::notify::Notify;
use super::reload::Refused;
use super::self_check::SelfCheck;
use super::session_key::SessionKeys;
use super::worker::{Deaf, Order, Worker};
use crate::acme::worker::Worker as AcmeWorker;
use crate::config::{Listener, Source};
use crate::limits::connections::ConnectionCaps;
use crate::listener::accept::ListenerKey;
use crate::listener::bind::Bound;
use crate::observe::access_log::AccessLogs;
use crate::observe::log::LogHandle;
use crate::proxy::app::{Drain, Shared};
use crate::tls::policies::Ground;
use crate::tls::watch::FileWatch;
use crate::tls::{Certificates, Known};

/// The running process.
pub(super) struct Process {
    pub(super) config_path: PathBuf,
    pub(super) shared: Arc<Shared>,
    pub(super) certificates: Arc<Certificates>,
    pub(super) ground: Ground,
    pub(super) caps: Arc<ConnectionCaps>,
    pub(super) access_logs: AccessLogs,
    pub(super) log: LogHandle,
    pub(super) acme: AcmeWorker,
    pub(super) self_check: SelfCheck,
    pub(super) session_keys: SessionKeys,
    pub(super) drain: watch::Sender<Drain>,
    /// As the engine wants to be told: true once the drain has begun.
    pub(super) shutdown: watch::Sender<bool>,
    pub(super) state: Mutex<State>,
    /// One reload at a time. Holds the text that was tried last, at first that of the start.
    pub(super) turn: tokio::sync::Mutex<Result<Source, Refused>>,
    /// The generation that runs; told with every reload that took effect.
    pub(super) generation: watch::Sender<u64>,
    pub(super) notify: Notify,
    /// Told when a worker or one of its listeners has ended by a panic.
    pub(super) deaf: Deaf,
}

/// What changes.
pub(super) struct State {
    pub(super) workers: Vec<Worker>,
    pub(super) listeners: HashMap<ListenerKey, Listening>,
    pub(super) files: Option<FileWatch>,
}

/// Sockets clients connect to, at one address.
pub(super) struct Listening {
    /// What was configured when they were made, or last changed.
    pub(super) listener: Listener,
    /// The sockets.
    pub(super) bound: Bound,
}

impl State {
    /// Has every worker accept from its socket, or from the one for all.
    pub(super) fn listen(&mut self, key: ListenerKey, listening: Listening) {
        let sockets = &listening.bound.sockets;
        for (index, worker) in self.workers.iter().enumerate() {
            let Some(socket) = sockets.get(index).or(sockets.first()) else {
                continue;
            };
            match socket.try_clone() {
                Ok(socket) => worker.tell(Order::Listen(key.clone(), socket)),
                Err(error) => {
                    tracing::error!(address = %key.0, %error, "cannot give the listener to a worker");
                }
            }
        }
        self.listeners.insert(key, listening);
    }

    /// Closes the listener once what waits there is accepted; its connections go on.
    pub(super) fn unlisten(&mut self, key: &ListenerKey) {
        for worker in &self.workers {
            worker.tell(Order::Unlisten(key.clone()));
        }
        self.listeners.remove(key);
    }
}

impl Process {
    /// Whether the running configuration asks to follow its file.
    pub(super) fn reloads_on_change(&self) -> bool {
        self.shared.snapshot.load().config.server.reload_on_change
    }

    /// The certificates that are served from files.
    pub(super) fn known_files(&self) -> Known {
        let state = self.state.lock();
        let files = state.files.as_ref();
        files.map(|files| files.known().clone()).unwrap_or_default()
    }

    /// Opens every log file again, for log rotation by renaming.
    pub(super) fn reopen_logs(&self) {
        self.access_logs.reopen();
        self.log.reopen();
        tracing::info!("log files reopened");
    }
}
