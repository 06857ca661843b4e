//! What runs: listeners, workers, certificates, logs, the current configuration. The one place that changes them.
//!
//! Applying a prepared change cannot fail; everything that can was done by `reload` before. Invariant: listeners and
//! live connections that a change does not concern are not touched.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Notify as Told, watch};

use super::kept;
use super::notify::Notify;
use super::reload::Refused;
use super::self_check::SelfCheck;
use super::session_key::SessionKeys;
use super::told;
use super::upgrade::{Predecessor, Program};
use super::worker::{Deaf, Order, Worker};
use crate::acme::worker::Worker as AcmeWorker;
use crate::admin::{AdminSocket, Gate};
use crate::config::{Listener, Source};
use crate::limits::connections::ConnectionCaps;
use crate::listener::accept::ListenerKey;
use crate::listener::bind::Bound;
use crate::nginx::Asked;
use crate::observe::access_log::AccessLogs;
use crate::observe::log::LogHandle;
use crate::observe::metrics::ListenerKind;
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
    /// Where the secrets of connections go.
    pub(super) key_log: Option<PathBuf>,
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
    /// Sockets that the service manager keeps for nothing, by its names.
    pub(super) left_names: Vec<String>,
    /// What is started as a successor.
    pub(super) program: Option<Program>,
    /// One upgrade at a time.
    pub(super) upgrading: tokio::sync::Mutex<()>,
    /// The process that has taken over from this one.
    pub(super) successor: watch::Sender<Option<u32>>,
    /// The operator's door, which a successor takes over too.
    pub(super) admin_socket: Arc<AdminSocket>,
    pub(super) status_page: Option<std::net::TcpListener>,
    /// Whether the two are open.
    pub(super) gate: watch::Sender<Gate>,
    /// Told when a worker or one of its listeners has ended by a panic.
    pub(super) deaf: Deaf,
    /// When a drain that has begun ends at the latest.
    pub(super) ends: OnceLock<Instant>,
    /// Told when the successor has failed, so that nobody accepts any more.
    pub(super) orphaned: Told,
    /// The process that this one has taken over from, while it drains.
    pub(super) predecessor: Mutex<Option<Predecessor>>,
    /// Whether an operator has it accept no connections.
    pub(super) paused: AtomicBool,
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

impl Listening {
    fn give_away(&self, given: bool) {
        if let Some(file) = &self.bound.file {
            file.give_away(given);
        }
    }
}

impl State {
    /// Has every worker accept from its socket, or from the one for all.
    pub(super) fn listen(&mut self, key: ListenerKey, listening: Listening) {
        self.share_out(&key, &listening);
        self.listeners.insert(key, listening);
    }

    /// Every socket gets a worker and every worker a socket, whichever there are more of: another process may have opened
    /// them.
    fn share_out(&self, key: &ListenerKey, listening: &Listening) {
        let (workers, sockets) = (&self.workers, &listening.bound.sockets);
        let most = match sockets.is_empty() || workers.is_empty() {
            true => 0,
            // Datagrams of one client belong to one worker.
            false if key.1 == ListenerKind::Udp => sockets.len(),
            false => workers.len().max(sockets.len()),
        };
        for turn in 0..most {
            match sockets[turn % sockets.len()].try_clone() {
                Ok(socket) => {
                    workers[turn % workers.len()].tell(Order::Listen(key.clone(), socket));
                }
                Err(error) => {
                    tracing::error!(address = %key.0, %error, "cannot give the listener to a worker");
                }
            }
        }
    }

    /// Accepts from nowhere any more; whoever comes waits in the sockets, for [`State::accept`] or another process.
    pub(super) fn pause(&self) {
        for (key, listening) in &self.listeners {
            listening.give_away(true);
            for worker in &self.workers {
                worker.tell(Order::Unlisten(key.clone()));
            }
        }
    }

    /// Accepts again after [`State::pause`].
    pub(super) fn accept(&self) {
        for (key, listening) in &self.listeners {
            listening.give_away(false);
            self.share_out(key, listening);
        }
    }

    /// Asks every worker for a sign of life.
    pub(super) fn ask_workers(&self, round: u64) {
        for worker in &self.workers {
            worker.tell(Order::Beat(round));
        }
    }

    /// Those that have not answered, by name.
    pub(super) fn late_workers(&self, round: u64) -> Vec<String> {
        let late = self.workers.iter().filter(|worker| worker.is_late(round));
        late.map(|worker| worker.name().to_owned()).collect()
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
    /// Whom the pid file is for: its owner, or everybody as nginx's.
    pub(super) fn pid_mode(&self) -> u32 {
        match Asked::by_name(&self.config_path).and_then(|asked| asked.habits) {
            Some(_) => 0o644,
            None => 0o600,
        }
    }

    /// Accepts no more connections; whoever comes waits. Those that are open go on.
    pub(super) fn pause(&self) {
        if !self.paused.swap(true, Ordering::Relaxed) {
            self.state.lock().pause();
        }
    }

    /// Accepts again after [`Process::pause`].
    pub(super) fn resume(&self) {
        if self.paused.swap(false, Ordering::Relaxed) {
            self.state.lock().accept();
        }
    }

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

    /// The files of sockets that were taken over are this process's to remove.
    pub(super) fn own_files(&self) {
        self.admin_socket.file.give_away(false);
        let state = self.state.lock();
        state
            .listeners
            .values()
            .for_each(|one| one.give_away(false));
    }

    /// Leaves the files of sockets to whoever is started next, where a service manager keeps the sockets until then.
    pub(super) fn leave_files(&self) {
        if self.notify.is_on() {
            self.admin_socket.file.give_away(true);
            let state = self.state.lock();
            state.listeners.values().for_each(|one| one.give_away(true));
        }
    }

    /// Tells the service manager that clients are served, and has it keep the sockets they come by over a restart.
    pub(super) fn tell_ready(&self) {
        self.notify.ready(&told::serving(self));
        // First: a name can be that of what was made anew.
        kept::let_go_left(&self.notify, &self.left_names);
        for (key, listening) in &self.state.lock().listeners {
            kept::keep(&self.notify, key, listening);
        }
        if let Some(page) = &self.status_page {
            kept::keep_status(&self.notify, page);
        }
        kept::keep_admin(&self.notify, &self.admin_socket);
    }

    /// Opens every log file again, for log rotation by renaming.
    pub(super) fn reopen_logs(&self) {
        self.access_logs.reopen();
        self.log.reopen();
        tracing::info!("log files reopened");
    }
}
