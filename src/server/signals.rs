//! What signals ask of the process: in hubgate's own way, or in nginx's when it was called as `nginx`.
//!
//! nginx's way is told in nginx's sentences, which log watchers match. Carrying out what was asked is `run`'s. Invariant:
//! from the moment this is made no signal of those finds its default, which ends the process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::nginx::Habits;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Read the configuration again.
    Reload,
    /// Open the log files again.
    Reopen,
    /// Have a new program take over.
    Upgrade,
    /// Accept no more connections, until the next reload.
    Pause,
    /// End when what is open has ended.
    Stop,
    /// End now.
    StopAtOnce,
}

/// The signals of this process.
pub(super) struct Signals {
    hang_up: Signal,
    user1: Signal,
    user2: Signal,
    terminate: Signal,
    interrupt: Signal,
    nginx: Option<Nginx>,
}

/// Those that mean something to nginx only.
struct Nginx {
    quit: Signal,
    window: Signal,
    daemon: bool,
}

impl Signals {
    /// Begins to listen to them.
    pub(super) fn new(habits: Option<&Habits>) -> io::Result<Self> {
        let nginx = match habits {
            None => None,
            Some(habits) => Some(Nginx {
                quit: signal(SignalKind::quit())?,
                window: signal(SignalKind::window_change())?,
                daemon: habits.daemon,
            }),
        };
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            nginx,
        })
    }

    /// Waits for the next one, and says so as nginx would.
    pub(super) async fn next(&mut self) -> Wish {
        let Some(nginx) = &mut self.nginx else {
            return tokio::select! {
                Some(()) = self.hang_up.recv() => Wish::Reload,
                Some(()) = self.user1.recv() => Wish::Reopen,
                Some(()) = self.user2.recv() => Wish::Upgrade,
                _ = self.terminate.recv() => Wish::Stop,
                _ = self.interrupt.recv() => Wish::Stop,
            };
        };
        loop {
            let (wish, number, name, action) = tokio::select! {
                Some(()) = self.hang_up.recv() => (Wish::Reload, 1, "HUP", ", reconfiguring"),
                Some(()) = self.user1.recv() => (Wish::Reopen, 10, "USR1", ", reopening logs"),
                Some(()) = self.user2.recv() => (Wish::Upgrade, 12, "USR2", ", changing binary"),
                Some(()) = nginx.quit.recv() => (Wish::Stop, 3, "QUIT", ", shutting down"),
                Some(()) = nginx.window.recv() => match nginx.daemon {
                    // A terminal that changes its size sends it too.
                    false => continue,
                    true => (Wish::Pause, 28, "WINCH", ", stop accepting connections"),
                },
                _ = self.terminate.recv() => (Wish::StopAtOnce, 15, "TERM", ", exiting"),
                _ = self.interrupt.recv() => (Wish::StopAtOnce, 2, "INT", ", exiting"),
            };
            tracing::info!("signal {number} (SIG{name}) received{action}");
            return wish;
        }
    }

    /// Waits for one that ends a process that is ending already.
    pub(super) async fn hurry(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
