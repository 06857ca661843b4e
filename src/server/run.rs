//! Starts the process and runs it to its end.
//!
//! In this order, each step before anything that would have to be undone: configuration, logs, certificates, sockets,
//! workers, admin. The authority is never waited for.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::background::step_back;
use super::certificates;
use super::control::{self, Door};
use super::descriptors::room_for;
use super::notify::Notify;
use super::process::{Listening, Process, State};
use super::self_check::{self, SelfCheck};
use super::session_key::SessionKeys;
use super::start_error::{StartError, unavailable};
use super::watch::follow;
use super::worker::{Deaf, Worker};
use super::{health, reload, stop, told, upstream_files};
use crate::acme::challenge::Tokens;
use crate::acme::{Settings as AcmeSettings, Worker as AcmeWorker};
use crate::admin::{Admin, AdminSocket, serve_socket, serve_tcp};
use crate::config::{self, Config, Loaded, Paint};
use crate::limits::connections::ConnectionCaps;
use crate::listener::accept::ListenerKey;
use crate::listener::bind::{BindError, Carried, bind};
use crate::listener::connection::Context;
use crate::observe::access_log::AccessLogs;
use crate::observe::history::History;
use crate::observe::log;
use crate::observe::metrics::Metrics;
use crate::observe::reasons::with_reasons;
use crate::proxy::app::{Drain, Shared};
use crate::proxy::fallback::HandedOn;
use crate::snapshot::{BuildError, Snapshot};
use crate::tls::policies::Ground;
use crate::tls::tickets::TicketKeys;
use crate::tls::{self, Certificates, Known};
use crate::types::address::Address;

/// For log lines that are still queued at the end.
const FLUSH: Duration = Duration::from_secs(2);

/// Runs the configuration at `path` until a signal ends it. `ready` is called once clients are served.
pub fn run(path: &Path, ready: impl FnOnce()) -> Result<(), StartError> {
    tls::install_provider();
    let loaded =
        config::read(path).map_err(|report| StartError::Refused(report.render(Paint::Plain)))?;
    let metrics = Metrics::new();
    count_panics(&metrics);
    let log = log::init(&loaded.config.log, metrics.log_lines.clone())
        .map_err(|error| unavailable("cannot set up the event log", &error))?;
    if !loaded.report.is_empty() {
        tracing::warn!("{}", loaded.report.render(Paint::Plain));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_start(step_back)
        .build()
        .map_err(|error| unavailable("cannot start the event loop", &error))?;
    let outcome = runtime.block_on(async {
        // First of all, so that no signal finds its default, which ends the process.
        let signals =
            Signals::new().map_err(|error| unavailable("cannot listen to signals", &error))?;
        let status_page = bind_status_page(&loaded.config).await?;
        let (process, socket) = start(path, loaded, metrics, log)?;
        let outcome = live(&process, signals, socket, status_page, ready).await;
        if !process.access_logs.flush(FLUSH) || !process.log.flush(FLUSH) {
            // Where the lines would have gone is what does not take them.
            tracing::error!("log lines were lost at the stop");
        }
        outcome
    });
    runtime.shutdown_background();
    outcome
}

fn start(
    path: &Path,
    loaded: Loaded,
    metrics: Arc<Metrics>,
    log: log::LogHandle,
) -> Result<(Arc<Process>, AdminSocket), StartError> {
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
    let ground = Ground {
        certificates: certificates.clone(),
        tickets,
    };
    let access_logs = AccessLogs::new(&metrics);
    let config = Arc::new(config);
    let now = crate::transport::now();
    let snapshot =
        Snapshot::build(config.clone(), None, &access_logs, &ground, now).map_err(|error| {
            match error {
                // Files that the configuration names, as with certificates.
                BuildError::Tls { .. } => {
                    StartError::Refused(format!("error: {}\n", with_reasons(&error)))
                }
                error => unavailable("cannot prepare the configuration", &error),
            }
        })?;
    access_logs
        .start_writers()
        .map_err(|error| unavailable("cannot start the writer of an access log", &error))?;
    let session_keys = SessionKeys::default();
    session_keys.give_to(&snapshot);
    let bound = bind_all(&config)?;
    let socket = AdminSocket::bind(&config.admin.socket)
        .map_err(|error| unavailable("no admin socket", &error))?;
    let tokens = Tokens::default();
    let hosts = prepared.acme_hosts.clone();
    let (files, _) = prepared.apply(&certificates);
    let acme = AcmeWorker::start(settings, hosts, certificates.clone(), tokens.clone())
        .map_err(|error| unavailable("cannot look after certificates", &error))?;
    let (drain, drained) = watch::channel(Drain::Serving);
    let (shutdown, shut) = watch::channel(false);
    metrics.config_generation.set(snapshot.generation);
    let shared = Arc::new(Shared {
        snapshot: ArcSwap::from_pointee(snapshot),
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
    let context = |pool| Context {
        shared: shared.clone(),
        pool,
        caps: caps.clone(),
        certificates: certificates.clone(),
        shutdown: shut.clone(),
    };
    let deaf = Deaf::default();
    let workers = (0..workers(&config))
        .map(|index| Worker::start(index, deaf.clone(), context))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unavailable("cannot start a worker", &error))?;
    let mut state = State {
        workers,
        listeners: HashMap::new(),
        files: Some(files),
    };
    for (key, listening) in bound {
        state.listen(key, listening);
    }
    let process = Arc::new(Process {
        config_path: path.to_owned(),
        shared,
        ground,
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
        generation: watch::Sender::new(1),
        notify: Notify::from_env(),
        deaf,
    });
    Ok((process, socket))
}

/// As many as configured, or one for each core.
fn workers(config: &Config) -> usize {
    match config.server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}

fn bind_all(config: &Config) -> Result<Vec<(ListenerKey, Listening)>, StartError> {
    let mut all = Vec::new();
    let mut faults = String::new();
    for (key, listener) in reload::wanted(config) {
        let listener = listener.clone();
        match bind(&listener, Carried::Connections, workers(config)) {
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

/// Bound before anything is served, so that a start that fails here has served nobody.
async fn bind_status_page(config: &Config) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = config.admin.listen else {
        return Ok(None);
    };
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(source) => {
            let error = BindError::new(address, Carried::Connections, source);
            Err(StartError::Unavailable(format!(
                "error: {}\nhint: `admin.listen` is for the status page; {}\n",
                with_reasons(&error),
                error.hint()
            )))
        }
    }
}

/// The process at work: admin and signals, until it is told to stop and has drained.
async fn live(
    process: &Arc<Process>,
    mut signals: Signals,
    socket: AdminSocket,
    status_page: Option<TcpListener>,
    ready: impl FnOnce(),
) -> Result<(), StartError> {
    let admin = Admin::new(
        Arc::new(Door(process.clone())),
        process.shared.metrics.clone(),
    );
    let config = process.shared.snapshot.load().config.clone();
    let on_socket = tokio::spawn(serve_socket(socket, admin.clone()));
    let on_tcp = status_page.map(|listener| tokio::spawn(serve_tcp(listener, admin)));
    for ((address, kind), listening) in &process.state.lock().listeners {
        let socket = listening.bound.sockets.first();
        let actual = socket.and_then(|socket| socket.local_addr().ok()?.as_socket());
        let actual = actual.map_or(address.clone(), Address::Ip);
        tracing::info!(?kind, address = %actual, "listening");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = %process.config_path.display(),
        sites = config.sites.len(),
        "hubgate is ready"
    );
    process.notify.ready(&told::serving(process));
    ready();
    let telling = tokio::spawn(told::follow(process.clone()));
    let following = tokio::spawn(follow(process.clone()));
    let upstream_files = tokio::spawn(upstream_files::follow(process.clone()));
    let looking = tokio::spawn(self_check::run(process.clone()));
    let checking = tokio::spawn(health::run(process.clone()));
    loop {
        tokio::select! {
            Some(()) = signals.hang_up.recv() => { control::reload(process.clone()).await; }
            Some(()) = signals.user1.recv() => process.reopen_logs(),
            Some(()) = signals.user2.recv() => tracing::warn!("signal USR2 means nothing to hubgate"),
            () = process.deaf.heard() => return Err(StartError::Unavailable(
                "a worker ended with a panic, which the event log tells; ending, to be started again".to_owned(),
            )),
            () = stop_signal(&mut signals.terminate, &mut signals.interrupt) => break,
        }
    }
    process.notify.stopping();
    telling.abort();
    following.abort();
    upstream_files.abort();
    looking.abort();
    checking.abort();
    stop::drain(
        process,
        stop_signal(&mut signals.terminate, &mut signals.interrupt),
    )
    .await;
    on_socket.abort();
    if let Some(on_tcp) = on_tcp {
        on_tcp.abort();
    }
    // Its drop removes the socket's file, which must be gone when the process is.
    drop(on_socket.await);
    tracing::info!("stopped");
    Ok(())
}

struct Signals {
    hang_up: Signal,
    user1: Signal,
    user2: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

async fn stop_signal(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// A panic ends one request, or one task; it is counted and logged once, with its place.
fn count_panics(metrics: &Arc<Metrics>) {
    let metrics = metrics.clone();
    std::panic::set_hook(Box::new(move |panic| {
        metrics.panics.inc();
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(
            place,
            "panicked: {}",
            panic.payload_as_str().unwrap_or("no message")
        );
    }));
}
