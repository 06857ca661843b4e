//! Starts the process and runs it to its end: until a signal, or until a successor has taken over.
//!
//! What is made in which order is `start`'s. The successor at an upgrade stops short of serving until its predecessor has
//! stopped accepting. Invariant: from the first moment no signal finds its default, which ends the process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::background::{apart, step_back};
use super::control::{self, Door};
use super::habits::Manners;
use super::kept;
use super::names;
use super::pid_file::PidFile;
use super::privileges::drop_to_account;
use super::process::Process;
use super::signals::{Signals, Wish};
use super::start::{Given, Ready, start};
use super::start_error::{StartError, unavailable};
use super::upgrade::{Carried, Program, Successor};
use super::watch::follow;
use super::{
    client_trust, health, named_files, password_files, self_check, stop, told, upgrade,
    upstream_files, watchdog,
};
use crate::admin::{Admin, Gate, ReloadOutcome, serve_socket, serve_tcp};
use crate::config::{Loaded, Paint};
use crate::nginx::{Asked, Habits, origin, title};
use crate::observe::log::{self, LogHandle};
use crate::observe::metrics::Metrics;
use crate::tls;
use crate::types::address::Address;

/// For log lines that are still queued at the end.
const FLUSH: Duration = Duration::from_secs(2);
/// For what the old process said last, once this one ends.
const LETTING_GO: Duration = Duration::from_millis(500);

/// How a process comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By itself.
    Fresh,
    /// By itself, with a hub that ends with it: it has no successor.
    Demo,
    /// As the successor of the process that started it, which is at the other end of standard input.
    Successor,
}

/// Runs the configuration at `path` until a signal ends it, or a successor has taken over. `ready` is called once clients
/// are served. The secrets of their connections go to the file `key_log`, if there is one.
pub fn run(
    path: &Path,
    how: How,
    key_log: Option<&Path>,
    ready: impl FnOnce(),
) -> Result<(), StartError> {
    let read = || {
        let read = apart(|| origin::read(path));
        let loaded = read.map_err(|report| StartError::Refused(report.render(Paint::Plain)))?;
        Ok(loaded)
    };
    run_as(path, (how, key_log), read, ready)
}

/// As [`run`], of what was read from `path` a moment ago.
pub fn run_read(path: &Path, loaded: Loaded, ready: impl FnOnce()) -> Result<(), StartError> {
    run_as(path, (How::Fresh, None), || Ok(loaded), ready)
}

fn run_as(
    path: &Path,
    (how, key_log): (How, Option<&Path>),
    read: impl FnOnce() -> Result<Loaded, StartError>,
    ready: impl FnOnce(),
) -> Result<(), StartError> {
    let mut given = Given {
        key_log: key_log.map(Path::to_path_buf),
        ..Given::default()
    };
    if how == How::Fresh {
        given.sockets = kept::given();
    }
    if how != How::Demo {
        // Before anything else, while the file is still where it was.
        let own = Program::own();
        let own = own.map_err(|error| unavailable("cannot find this program's file", &error))?;
        given.program = Some(own);
    }
    let mut successor = None;
    if how == How::Successor {
        let (met, sockets, carried) = Successor::meet()?;
        (given.sockets, given.carried) = (sockets, carried);
        successor = Some(met);
    }
    tls::install_provider();
    let habits = Asked::by_name(path).and_then(|asked| asked.habits);
    if habits.is_some()
        && let Err(error) = std::fs::write("/proc/self/comm", title::NAME)
    {
        // Without /proc scripts find the process by its pid file only.
        tracing::debug!(%error, "the kernel is not told that this is nginx");
    }
    let (loaded, metrics, log) = match read().and_then(|loaded| begin_log(loaded, habits.is_none()))
    {
        Ok(loaded) => loaded,
        Err(error) => return Err(refused(successor, error)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_start(step_back)
        .build()
        .map_err(|error| unavailable("cannot start the event loop", &error))?;
    let outcome = runtime.block_on(async {
        let signals = Signals::new(habits.as_ref())
            .map_err(|error| unavailable("cannot listen to signals", &error));
        let prepared = signals.and_then(|signals| {
            let prepared = start(path, loaded, (metrics, log), given)?;
            Ok((signals, prepared))
        });
        let (signals, prepared) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Err(refused(successor, error)),
        };
        names::settle(&prepared.process.shared.snapshot.load_full()).await;
        let (process, succession) = begin(prepared, successor)?;
        let outcome = live(&process, signals, (habits.as_ref(), succession), ready).await;
        if !process.access_logs.flush(FLUSH) || !process.log.flush(FLUSH) {
            // Where the lines would have gone is what does not take them.
            tracing::error!("log lines were lost at the stop");
        }
        outcome
    });
    runtime.shutdown_background();
    outcome
}

fn begin_log(loaded: Loaded, tell: bool) -> Result<(Loaded, Arc<Metrics>, LogHandle), StartError> {
    // While there is one thread, and before any file is made.
    drop_to_account(&loaded.config)?;
    let metrics = Metrics::new();
    count_panics(&metrics);
    let log = log::init(&loaded.config.log, metrics.log_lines.clone())
        .map_err(|error| unavailable("cannot set up the event log", &error))?;
    if tell {
        for note in loaded.report.source_text().notes() {
            tracing::warn!("{note}");
        }
    }
    if !loaded.report.is_empty() {
        tracing::warn!("{}", loaded.report.render(Paint::Plain));
    }
    Ok((loaded, metrics, log))
}

/// The predecessor hears why there is no successor.
fn refused(successor: Option<Successor>, error: StartError) -> StartError {
    match successor {
        Some(successor) => successor.refuse(error),
        None => error,
    }
}

/// What a process waits for that takes over from another.
struct Succession {
    /// Tells when the predecessor dies before it let go.
    left: oneshot::Receiver<StartError>,
    /// Ends once the work is this process's alone.
    settling: Option<JoinHandle<()>>,
}

/// Has the process serve, when a predecessor lets it.
fn begin(
    prepared: Ready,
    successor: Option<Successor>,
) -> Result<(Arc<Process>, Succession), StartError> {
    let (leave, left) = oneshot::channel();
    let Some(mut successor) = successor else {
        let process = prepared.begin(&Carried::default());
        // Over a restart the service manager has kept them.
        process.own_files();
        let settling = None;
        return Ok((process, Succession { left, settling }));
    };
    let carried = successor.ready()?;
    prepared.process.notify.mute(true);
    let process = prepared.begin(&carried);
    process.shared.metrics.upgrades_done.inc();
    tracing::info!(predecessor = successor.pid, "taking over");
    let settled = process.clone();
    let settling = tokio::task::spawn_blocking(move || {
        let outcome = successor.settle();
        // Until now the old process could have taken everything back.
        settled.own_files();
        match outcome {
            Ok(predecessor) => {
                *settled.predecessor.lock() = predecessor;
                settled.notify.mute(false);
                settled.tell_ready();
            }
            Err(error) => {
                // At once, for whoever is started in the old process's place; that one may have the very sockets.
                settled.leave_files();
                settled.gate.send_replace(Gate::Ended);
                settled.admin_socket.file.remove();
                // Where nobody listens, this process is ending already.
                drop(leave.send(error));
            }
        }
    });
    let settling = Some(settling);
    Ok((process, Succession { left, settling }))
}

/// The process at work: admin and signals, until it is told to stop and has drained.
async fn live(
    process: &Arc<Process>,
    mut signals: Signals,
    (habits, succession): (Option<&Habits>, Succession),
    ready: impl FnOnce(),
) -> Result<(), StartError> {
    let admin = Admin::new(
        Arc::new(Door(process.clone())),
        process.shared.metrics.clone(),
    );
    let config = process.shared.snapshot.load().config.clone();
    let on_socket = tokio::spawn(serve_socket(
        process.admin_socket.clone(),
        admin.clone(),
        process.gate.subscribe(),
    ));
    let page = process.status_page.as_ref();
    let page = page.and_then(|listener| listener.try_clone().ok());
    let on_tcp =
        page.map(|listener| tokio::spawn(serve_tcp(listener, admin, process.gate.subscribe())));
    let manners = Manners::of(habits, process);
    let pid_file = PidFile::write(config.server.pid_file.as_deref(), process.pid_mode());
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
    manners.started();
    process.tell_ready();
    ready();
    let watching = tokio::spawn(watchdog::run(process.clone()));
    let telling = tokio::spawn(told::follow(process.clone()));
    let following = tokio::spawn(follow(process.clone()));
    let upstream_files = tokio::spawn(named_files::follow::<upstream_files::Troubles>(
        process.clone(),
    ));
    let client_trust = tokio::spawn(named_files::follow::<client_trust::Told>(process.clone()));
    let password_files = tokio::spawn(named_files::follow::<password_files::Told>(process.clone()));
    let looking = tokio::spawn(self_check::run(process.clone()));
    let checking = tokio::spawn(health::run(process.clone()));
    let naming = tokio::spawn(names::run(process.clone()));
    let mut succeeded = process.successor.subscribe();
    let mut outcome = Ok(());
    let mut left = std::pin::pin!(async {
        match succession.left.await {
            Ok(error) => error,
            Err(_) => std::future::pending().await,
        }
    });
    let mut sent_away = false;
    let at_once = loop {
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::Stop => {
                    if manners.on() {
                        // nginx's QUIT to an old process never ends the new one, which here is on trial at first.
                        drop(process.upgrading.lock().await);
                    }
                    sent_away = true;
                    break false;
                }
                Wish::StopAtOnce => break true,
                other => obey(process, &manners, other),
            },
            Ok(_) = succeeded.wait_for(Option::is_some) => break false,
            () = process.deaf.heard() => {
                process.leave_files();
                return Err(StartError::Unavailable(
                    "a worker ended with a panic, which the event log tells; ending, to be started again".to_owned(),
                ));
            }
            error = &mut left => {
                tracing::error!(event = "upgrade.left", "the old process ended before it let go");
                outcome = Err(error);
                break false;
            }
        }
    };
    manners.stopping(at_once);
    let successor = *process.successor.borrow();
    if successor.is_none() {
        process.notify.stopping();
        process.leave_files();
    }
    telling.abort();
    watching.abort();
    following.abort();
    upstream_files.abort();
    client_trust.abort();
    password_files.abort();
    looking.abort();
    checking.abort();
    naming.abort();
    stop::drain(process, async {
        if at_once {
            return;
        }
        // A service manager sends the signal to both, the one that drains and the one that serves.
        if (successor.is_some() || outcome.is_err()) && !manners.on() {
            signals.hurry().await;
        }
        signals.hurry().await;
    })
    .await;
    process.gate.send_replace(Gate::Ended);
    for serving in [Some(on_socket), on_tcp].into_iter().flatten() {
        if let Ok(Err(error)) = serving.await {
            tracing::error!(%error, "the operator's door was never open");
        }
    }
    if let Some(settling) = succession.settling {
        // The old process may have let go a moment ago, and then the files are this one's to remove.
        drop(timeout(LETTING_GO, settling).await);
    }
    // These must be gone when the process is.
    process.admin_socket.file.remove();
    pid_file.remove();
    if successor.is_some() && !at_once && !sent_away {
        manners.dismissed(&mut signals).await;
    }
    tracing::info!("stopped");
    manners.ended(at_once);
    outcome
}

/// Carries out what does not end the process.
fn obey(process: &Arc<Process>, manners: &Manners, wish: Wish) {
    let (process, manners) = (process.clone(), manners.clone());
    match wish {
        Wish::Reload => {
            manners.reconfiguring();
            process.resume();
            tokio::spawn(async move {
                let outcome = control::reload(process).await;
                if let ReloadOutcome::TakenOver(pid) = outcome
                    && !manners.on()
                {
                    pass_on(pid);
                }
                manners.reconfigured(&outcome);
            });
        }
        Wish::Reopen => {
            manners.reopening();
            process.reopen_logs();
        }
        Wish::Upgrade => {
            manners.changing_binary();
            tokio::spawn(async move {
                // The log tells how it ended.
                if let upgrade::Ended::Refused(_) = upgrade::upgrade(&process, None).await {
                    manners.kept_binary();
                }
            });
        }
        Wish::Pause => process.pause(),
        Wish::Stop | Wish::StopAtOnce => {}
    }
}

/// A reload that was asked for by signal while another process took over is that one's.
fn pass_on(pid: u32) {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let told = process.map(|process| kill_process(process, Signal::HUP));
    match told {
        Some(Ok(())) => tracing::info!(pid, "the process that has taken over was told to reload"),
        other => tracing::error!(
            pid,
            ?other,
            "the process that has taken over cannot be told to reload"
        ),
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
