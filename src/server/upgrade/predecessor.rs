//! The old process's side of an upgrade: starts the program, gives it everything, and takes it back unless all goes well.
//!
//! In this order: the successor prepares while this process serves; then nobody accepts for as long as it takes to say so;
//! then the successor serves and is watched for [`TRIAL`]; then this process drains, which is `stop`'s. A fault at any
//! point ends the successor, and this process serves on with the sockets it never closed.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::carried::Carried;
use super::handover::{Answer, Channel, Opening, PROTOCOL, Word};
use super::program::Program;
use super::questions;
use super::sockets::{Kind, Slot};
use crate::acme::challenge::Published;
use crate::admin::Gate;
use crate::nginx::{Asked, title};
use crate::observe::metrics::ListenerKind;
use crate::server::pid_file::PidFile;
use crate::server::process::Process;
use crate::transport::now;
use crate::types::address::Address;

/// From the word to go until clients are accepted, when all that can fail is done.
const BEGINNING: Duration = Duration::from_secs(10);
/// For so long the successor must serve before this process lets go.
const TRIAL: Duration = Duration::from_secs(2);
/// For a program that has gone silent to end by itself.
const END: Duration = Duration::from_secs(2);
/// Of what a program wrote to standard error, its end is kept for whoever asked for the upgrade.
const LAST_WORDS: usize = 4096;

/// How an upgrade went.
pub(in crate::server) enum Ended {
    /// This process has taken over.
    Succeeded(u32),
    /// Nothing has changed, for this reason: text for a terminal.
    Refused(String),
}

/// Has `program` take over, or the file this process was started from.
pub(in crate::server) async fn upgrade(process: &Arc<Process>, program: Option<PathBuf>) -> Ended {
    let Ok(_only) = process.upgrading.try_lock() else {
        return Ended::Refused("error: an upgrade is under way already\n".to_owned());
    };
    // A reload waits for the end of the upgrade, and an upgrade for that of a reload.
    let _turn = process.turn.lock().await;
    if let Some(pid) = *process.successor.borrow() {
        return Ended::Refused(format!("error: process {pid} has taken over already\n"));
    }
    if *process.shutdown.borrow() {
        return Ended::Refused("error: hubgate is stopping\n".to_owned());
    }
    let wished = program.map(|file| Program::at(&file));
    let Some(program) = process.program.clone().map(|own| wished.unwrap_or(own)) else {
        return Ended::Refused("error: the demonstration takes no successor\n".to_owned());
    };
    tracing::info!(event = "upgrade.begun", program = %program.file.display(), "starting the successor");
    let metrics = &process.shared.metrics;
    match attempt(process, program).await {
        Ok(pid) => {
            tracing::info!(
                event = "upgrade.done",
                successor = pid,
                "the successor serves"
            );
            process.successor.send_replace(Some(pid));
            Ended::Succeeded(pid)
        }
        Err(why) => {
            metrics.upgrades_refused.inc();
            let does = match *process.shutdown.borrow() {
                true => "stops",
                false => "serves on",
            };
            tracing::error!(
                event = "upgrade.refused",
                "no upgrade, this process {does}:\n{why}"
            );
            Ended::Refused(why)
        }
    }
}

async fn attempt(process: &Arc<Process>, program: Program) -> Result<u32, String> {
    let limit = process.shared.snapshot.load().config.server.upgrade_timeout;
    let (slots, passed) = passed(process)
        .map_err(|error| format!("error: the sockets cannot be passed on: {error}\n"))?;
    let opening = Opening {
        protocol: PROTOCOL,
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        slots,
        carried: Carried::of(&process.shared, &process.ground.tickets),
    };
    let config = process.config_path.clone();
    let deadline = now() + limit;
    let trainee = apart(move || {
        let mut trainee = Trainee::start(&program.file, &config)?;
        let ready = trainee.prepare(&opening, &passed, deadline);
        trainee.unless(ready, |_| {
            format!("it was not ready within {limit:?} (`server.upgrade_timeout`)")
        })
    })
    .await?;
    let resting = Resting::begin(process).await;
    let carried = Carried::of(&process.shared, &process.ground.tickets);
    let trial = apart(move || {
        let mut trainee = trainee;
        let served = trainee.serve(carried);
        trainee.unless(served, |_| {
            format!("it did not begin to serve within {BEGINNING:?}")
        })
    })
    .await;
    match trial {
        // The successor stops as well, once it hears no more from here.
        Ok(_) if *process.shutdown.borrow() => {
            Err("error: hubgate was stopped meanwhile\n".to_owned())
        }
        Ok(trainee) => {
            process.notify.main_pid(trainee.child.id());
            resting.for_ever();
            Ok(trainee.settle(process))
        }
        Err(why) => {
            resting.end();
            Err(why)
        }
    }
}

/// Work that waits for another process.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| {
        Err("error: the upgrade ended by a defect, which the log tells\n".to_owned())
    })
}

/// Everything there is to pass on, and copies of it.
fn passed(process: &Process) -> io::Result<(Vec<Slot>, Vec<OwnedFd>)> {
    let (mut slots, mut all) = (Vec::new(), Vec::new());
    let mut pass = |kind, address: String, own: Vec<OwnedFd>, foreign| {
        let count = own.len();
        all.extend(own);
        slots.push(Slot {
            kind,
            address,
            count,
            foreign,
        });
    };
    pass(
        Kind::Stderr,
        String::new(),
        vec![io::stderr().as_fd().try_clone_to_owned()?],
        false,
    );
    let path = process.admin_socket.path().display().to_string();
    pass(
        Kind::Admin,
        path,
        vec![process.admin_socket.listener()?.into()],
        false,
    );
    if let Some(page) = &process.status_page
        && let Some(address) = process.shared.snapshot.load().config.admin.listen
    {
        pass(
            Kind::Status,
            address.to_string(),
            vec![page.try_clone()?.into()],
            false,
        );
    }
    for ((address, kind), listening) in &process.state.lock().listeners {
        let own = listening.bound.sockets.iter();
        let own = own.map(|socket| Ok(socket.try_clone()?.into()));
        let own = own.collect::<io::Result<_>>()?;
        let kind = match kind {
            ListenerKind::Http | ListenerKind::Https | ListenerKind::Stream => Kind::Connections,
            ListenerKind::Udp => Kind::Datagrams,
        };
        let foreign = matches!(address, Address::Unix(_)) && listening.bound.file.is_none();
        pass(kind, address.to_string(), own, foreign);
    }
    Ok((slots, all))
}

/// This process while it accepts nothing, so that another can.
struct Resting {
    process: Arc<Process>,
    /// Of orders that the successor goes on with.
    _tokens: Vec<Published>,
}

impl Resting {
    async fn begin(process: &Arc<Process>) -> Self {
        let tokens = &process.shared.tokens;
        let held = tokens.hand_over();
        let held = held.iter().filter_map(|one| tokens.take_over(one));
        let _tokens = held.collect();
        process.acme.rest().await;
        process.admin_socket.file.give_away(true);
        process.gate.send_replace(Gate::Shut);
        process.state.lock().pause();
        Self {
            process: process.clone(),
            _tokens,
        }
    }

    /// Everything as it was before.
    fn end(self) {
        self.process.state.lock().accept();
        self.process.admin_socket.file.give_away(false);
        self.process.gate.send_replace(Gate::Open);
        self.process.acme.resume();
        let config = self.process.shared.snapshot.load().config.clone();
        PidFile::write(config.server.pid_file.as_deref(), self.process.pid_mode());
    }

    fn for_ever(self) {}
}

/// The program that is to take over.
struct Trainee {
    file: PathBuf,
    child: Child,
    channel: Channel,
    heard: Arc<Mutex<Vec<u8>>>,
    listening: Option<JoinHandle<()>>,
}

impl Trainee {
    fn start(file: &Path, config: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| {
            let hint = match error.raw_os_error() {
                Some(libc::ENOEXEC) => {
                    "hint: it is no program for this machine: is it of another architecture?\n"
                }
                Some(libc::EACCES) => {
                    "hint: it has to be executable for the account that hubgate runs as\n"
                }
                Some(libc::ENOENT) => {
                    "hint: is the path right? A program that needs a loader which is missing fails like this too\n"
                }
                _ => "",
            };
            format!("error: cannot start `{}`: {error}\n{hint}", file.display())
        };
        let (channel, theirs) = Channel::pair().map_err(failed)?;
        let mut command = Command::new(file);
        if Asked::by_name(config).is_some_and(|asked| asked.habits.is_some()) {
            command.arg0(title::of(file.as_os_str()));
        }
        command
            .args(["run", "--successor", "-c"])
            .arg(config)
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDNAMES")
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::from(theirs))
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        // With it goes the copy of the successor's end.
        drop(command);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listening = child.stderr.take().map(|from| {
            let heard = heard.clone();
            std::thread::spawn(move || overhear(from, &heard))
        });
        Ok(Self {
            file: file.to_owned(),
            child,
            channel,
            heard,
            listening,
        })
    }

    fn prepare(
        &mut self,
        opening: &Opening,
        passed: &[OwnedFd],
        deadline: Instant,
    ) -> io::Result<Answer> {
        self.channel.say(opening, deadline)?;
        let borrowed: Vec<_> = passed.iter().map(AsFd::as_fd).collect();
        self.channel.pass(&borrowed, deadline)?;
        self.channel.hear(deadline)
    }

    /// Has it begin, and watches it.
    fn serve(&mut self, carried: Carried) -> io::Result<Answer> {
        let deadline = now() + BEGINNING;
        self.channel.say(&Word::Go(Box::new(carried)), deadline)?;
        let answer: Answer = self.channel.hear(deadline)?;
        if !matches!(answer, Answer::Serving) {
            return Ok(answer);
        }
        // Nothing more is to be said: what can be heard is its end.
        match self.channel.hear::<Answer>(now() + TRIAL) {
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(answer),
            other => other,
        }
    }

    /// Goes on after what was wanted, and else ends the program and says why.
    fn unless(
        mut self,
        step: io::Result<Answer>,
        late: impl FnOnce(&Self) -> String,
    ) -> Result<Self, String> {
        let what = match step {
            Ok(Answer::Ready | Answer::Serving) => return Ok(self),
            Ok(Answer::Refused { text, .. }) => {
                self.end();
                return Err(text);
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => late(&self),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ) =>
            {
                match self.ended() {
                    Some(status) => how(status),
                    None => "it closed the connection to this process".to_owned(),
                }
            }
            Err(error) => format!("the conversation with it failed: {error}"),
        };
        self.end();
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = String::from_utf8_lossy(&heard);
        let (file, heard) = (self.file.display(), heard.trim());
        Err(match heard.is_empty() {
            true => format!("error: the successor `{file}` failed: {what}\n"),
            false => format!("error: the successor `{file}` failed: {what}; it wrote:\n{heard}\n"),
        })
    }

    /// How it ended, if it ends soon.
    fn ended(&mut self) -> Option<ExitStatus> {
        let deadline = now() + END;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                _ => return None,
            }
        }
    }

    /// Ends it, if it has not ended, and hears it out.
    fn end(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_)))
            && let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop))
        {
            tracing::error!(pid = self.child.id(), %error, "the successor that failed cannot be ended");
        }
        let deadline = now() + END;
        // A process that it started may hold the pipe open.
        while self
            .listening
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
            && now() < deadline
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Lets it know that the work is its own. Gives its id.
    fn settle(mut self, process: &Arc<Process>) -> u32 {
        let pid = self.child.id();
        if let Err(error) = self.channel.say(&Word::Settled, now() + BEGINNING) {
            // It finds out by the end of this process.
            tracing::warn!(%error, pid, "the successor was not told that this process lets go");
        }
        questions::answer(self.channel, self.child, process.clone());
        pid
    }
}

/// Passes on what the program writes until it has a standard error of its own, and keeps the end of it.
fn overhear(mut from: impl Read, heard: &Mutex<Vec<u8>>) {
    let mut space = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut space) {
        let new = &space[..read];
        if let Err(error) = io::stderr().write_all(new) {
            tracing::debug!(%error, "standard error takes nothing");
        }
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.extend_from_slice(new);
        let surplus = heard.len().saturating_sub(LAST_WORDS);
        heard.drain(..surplus);
    }
}

/// In words.
fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "it ended at once and without an error: is it hubgate?".to_owned(),
        (Some(code), _) => format!("it ended with exit code {code}"),
        (None, Some(signal)) => format!("it was killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}
