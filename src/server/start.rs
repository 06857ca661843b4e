//! Makes the process that a configuration asks for, in the order in which nothing has to be undone.
//!
//! Sockets that another process opened are used as they are. Nothing is accepted and nothing ordered yet: [`begin`] does
//! that, for the successor at an upgrade when its predecessor says so. Invariant: a start that fails has served nobody.

use std::collections::HashMap;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::background;
use super::certificates;
use super::descriptors::room_for;
use super::kept;
use super::notify::Notify;
use super::privileges;
use super::process::{Listening, Process, State};
use super::reload;
use super::self_check::SelfCheck;
use super::session_key::SessionKeys;
use super::start_error::{StartError, unavailable};
use super::upgrade::{Carried, Kind, Program, Sockets};
use super::worker::{Deaf, Worker};
use crate::acme::challenge::Tokens;
use crate::acme::{Settings as AcmeSettings, Worker as AcmeWorker};
use crate::admin::{AdminSocket, Gate};
use crate::config::{Config, Loaded};
use crate::limits::connections::ConnectionCaps;
use crate::listener::accept::ListenerKey;
use crate::listener::bind::{BindError, Bound, Carried as Traffic, bind};
use crate::listener::connection::Context;
use crate::observe::access_log::AccessLogs;
use crate::observe::history::History;
use crate::observe::log::LogHandle;
use crate::observe::metrics::Metrics;
use crate::observe::reasons::with_reasons;
use crate::proxy::app::{Drain, Shared};
use crate::proxy::fallback::HandedOn;
use crate::snapshot::{BuildError, Snapshot};
use crate::tls::key_log::KeyLog;
use crate::tls::policies::Ground;
use crate::tls::tickets::TicketKeys;
use crate::tls::{Certificates, Known};

/// What the process is given at its start.
#[derive(Default)]
pub(super) struct Given {
    /// What is started as its successor, if it may have one.
    pub(super) program: Option<Program>,
    /// Listening already.
    pub(super) sockets: Sockets,
    /// What the process before it knew.
    pub(super) carried: Carried,
    /// Where the secrets of connections go.
    pub(super) key_log: Option<PathBuf>,
}

/// Opens the file, and says loudly what that means.
fn key_log(path: &Path) -> Result<Arc<KeyLog>, StartError> {
    let log = KeyLog::open(path)
        .map_err(|error| unavailable("cannot write the file of `--tls-key-log`", &error))?;
    tracing::warn!(event = "tls.key_log", file = %path.display(), "THE SECRETS OF ALL TLS CONNECTIONS ARE WRITTEN TO A FILE: whoever reads it reads them; start without `--tls-key-log` and remove the file when the trial is over");
    Ok(Arc::new(log))
}

/// A process that could serve, and its listeners.
pub(super) struct Ready {
    pub(super) process: Arc<Process>,
    bound: Vec<(ListenerKey, Listening)>,
}

impl Ready {
    /// Serves, and looks after certificates, with what the process before it has learned until now.
    pub(super) fn begin(self, carried: &Carried) -> Arc<Process> {
        let Self { process, bound } = self;
        let shared = &process.shared;
        carried.restore_health(&shared.snapshot.load());
        carried.restore_counts(shared);
        carried.restore_tickets(&process.ground.tickets);
        carried.publish_tokens(shared);
        {
            let mut state = process.state.lock();
            for (key, listening) in bound {
                state.listen(key, listening);
            }
        }
        process.acme.resume();
        process
    }
}

/// Makes it, from the configuration that was read at `path`.
pub(super) fn start(
    path: &Path,
    loaded: Loaded,
    (metrics, log): (Arc<Metrics>, LogHandle),
    mut given: Given,
) -> Result<Ready, StartError> {
    let Loaded { config, report } = loaded;
    let certificates = Certificates::new();
    let prepared =
        certificates::prepare(&config, &certificates, &Known::default()).map_err(|faults| {
            StartError::Refused(
                faults
                    .iter()
                    .map(|fault| format!("error: {fault}\n"))
                    .collect(),
            )
        })?;
    let settings = AcmeSettings::new(&config);
    settings
        .check()
        .map_err(|error| StartError::Refused(format!("error: {}\n", with_reasons(&error))))?;
    settings
        .check_storage(&prepared.acme_hosts)
        .map_err(|error| unavailable("certificates cannot be kept", &error))?;
    for doubt in prepared.doubts() {
        tracing::warn!("{doubt}");
    }
    let tickets = TicketKeys::new(config.tls.ticket_rotation)
        .map_err(|error| unavailable("cannot set up TLS", &error))?;
    given.carried.restore_tickets(&tickets);
    let ground = Ground {
        certificates: certificates.clone(),
        tickets,
        key_log: given.key_log.as_deref().map(key_log).transpose()?,
    };
    let access_logs = AccessLogs::new(&metrics);
    let config = Arc::new(config);
    let now = crate::transport::now();
    let snapshot =
        Snapshot::build(config.clone(), None, &access_logs, &ground, now).map_err(|error| {
            match error {
                // Files that the configuration names, as with certificates.
                BuildError::Tls { .. } | BuildError::Policy(_) => {
                    StartError::Refused(format!("error: {}\n", with_reasons(&error)))
                }
                error => unavailable("cannot prepare the configuration", &error),
            }
        });
    let mut snapshot = snapshot?;
    given.carried.number(&mut snapshot);
    given.carried.restore_health(&snapshot);
    access_logs
        .start_writers()
        .map_err(|error| unavailable("cannot start the writer of an access log", &error))?;
    let session_keys = SessionKeys::default();
    session_keys.give_to(&snapshot);
    let bound = bind_all(&config, &mut given.sockets)?;
    let status_page = status_page(&config, &mut given.sockets)?;
    let admin_socket = admin_socket(&config.admin.socket, &mut given.sockets)?;
    for socket in given.sockets.left() {
        tracing::warn!(
            socket,
            "a socket that was passed on is not in the configuration"
        );
    }
    given.sockets.remove_left_files();
    let tokens = Tokens::default();
    let hosts = prepared.acme_hosts.clone();
    let (files, _) = prepared.apply(&certificates, None);
    let acme = AcmeWorker::start(settings, hosts, certificates.clone(), tokens.clone(), false)
        .map_err(|error| unavailable("cannot look after certificates", &error))?;
    let (drain, drained) = watch::channel(Drain::Serving);
    let (shutdown, shut) = watch::channel(false);
    metrics.config_generation.set(snapshot.generation);
    let shared = Arc::new(Shared {
        snapshot: ArcSwap::from_pointee(snapshot),
        retired: Mutex::default(),
        metrics,
        tokens,
        handed_on: HandedOn::default(),
        history: History::new(&config.why),
        drain: drained,
    });
    let (room, doubt) = room_for(config.limits.connections);
    if let Some(doubt) = doubt {
        tracing::warn!("{doubt}");
    }
    let caps = ConnectionCaps::new(room, config.limits.connections_per_client);
    let context = || {
        let (shared, caps) = (shared.clone(), caps.clone());
        let (certificates, shutdown) = (certificates.clone(), shut.clone());
        move |pool, book| Context {
            shared,
            pool,
            book,
            caps,
            certificates,
            shutdown,
        }
    };
    let deaf = Deaf::default();
    let account = privileges::of_workers(&config)?;
    if account.is_some() {
        // What a worker starts is its account's.
        background::begin_now();
    }
    let workers = (0..workers(&config))
        .map(|index| Worker::start(index, account.clone(), deaf.clone(), context()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unavailable("cannot start a worker", &error))?;
    let state = State {
        workers,
        listeners: HashMap::new(),
        files: Some(files),
    };
    let generation = shared.snapshot.load().generation;
    let process = Arc::new(Process {
        config_path: path.to_owned(),
        shared,
        ground,
        key_log: given.key_log,
        certificates,
        caps,
        access_logs,
        log,
        acme,
        self_check: SelfCheck::default(),
        session_keys,
        drain,
        shutdown,
        state: Mutex::new(state),
        turn: tokio::sync::Mutex::new(Ok(report.source_text().clone())),
        generation: watch::Sender::new(generation),
        notify: Notify::from_env(),
        left_names: given.sockets.names_left(),
        program: given.program,
        upgrading: tokio::sync::Mutex::new(()),
        successor: watch::Sender::new(None),
        admin_socket: Arc::new(admin_socket),
        status_page,
        gate: watch::Sender::new(Gate::Open),
        deaf,
        ends: OnceLock::new(),
        orphaned: tokio::sync::Notify::new(),
        predecessor: Mutex::new(None),
        paused: AtomicBool::new(false),
    });
    Ok(Ready { process, bound })
}

/// As many as configured, or one for each core.
fn workers(config: &Config) -> usize {
    match config.server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}

fn bind_all(
    config: &Config,
    sockets: &mut Sockets,
) -> Result<Vec<(ListenerKey, Listening)>, StartError> {
    let workers = workers(config);
    let mut all = Vec::new();
    let mut faults = String::new();
    for (key, listener) in reload::wanted(config) {
        let listener = listener.clone();
        let traffic = reload::carried(key.1);
        let bound = match sockets.take_listeners(traffic, &key.0) {
            None => bind(&listener, traffic, workers),
            Some(given) => {
                let own = (given.sockets, given.foreign);
                Bound::take_over(&listener, traffic, own, workers).or_else(|error| {
                    tracing::warn!(address = %key.0, error = %with_reasons(&error), "sockets that were passed on are made anew");
                    sockets.give_up(given.names);
                    bind(&listener, traffic, workers)
                })
            }
        };
        match bound {
            Ok(bound) => all.push((key, Listening { listener, bound })),
            Err(error) => faults.push_str(&format!(
                "error: {}\nhint: {}\n",
                with_reasons(&error),
                error.hint()
            )),
        }
    }
    match faults.is_empty() {
        true => Ok(all),
        false => Err(StartError::Unavailable(faults)),
    }
}

/// The listener of the status page, if there is to be one.
fn status_page(config: &Config, sockets: &mut Sockets) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = config.admin.listen else {
        return Ok(None);
    };
    if let Some(given) = sockets.take(&Kind::Status, &address.to_string()).pop() {
        return Ok(Some(given.into()));
    }
    TcpListener::bind(address).map(Some).map_err(|source| {
        let error = BindError::new(address, Traffic::Connections, source);
        StartError::Unavailable(format!(
            "error: {}\nhint: `admin.listen` is for the status page; {}\n",
            with_reasons(&error),
            error.hint()
        ))
    })
}

fn admin_socket(path: &Path, sockets: &mut Sockets) -> Result<AdminSocket, StartError> {
    if let Some(given) = sockets
        .take(&Kind::Admin, &path.display().to_string())
        .pop()
    {
        let taken = AdminSocket::take_over(UnixListener::from(given), path);
        match taken {
            Ok(socket) => return Ok(socket),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the admin socket that was passed on is made anew");
                sockets.give_up(vec![kept::admin_name(path)]);
            }
        }
    }
    AdminSocket::bind(path).map_err(|error| unavailable("no admin socket", &error))
}
