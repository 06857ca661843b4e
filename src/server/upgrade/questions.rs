//! What a process and its successor say to each other afterwards: what is still open in the old one, which drains.
//!
//! The successor asks when somebody wants to know; the old one also learns here that its successor has died. Blocks, in
//! threads for that. Invariant: an old process that is silent costs whoever asks [`PATIENCE`], once.

use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::handover::{Channel, Question};
use crate::admin::Draining;
use crate::server::open;
use crate::server::process::Process;
use crate::transport::now;

/// For the old process to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longer than any drain: whoever waits is woken by the end of the other process.
const FOR_EVER: Duration = Duration::from_secs(366 * 86_400);

/// The process before this one, while it drains.
pub(in crate::server) struct Predecessor {
    pid: u32,
    channel: Channel,
    /// Whether the conversation has come out of step.
    lost: bool,
}

impl Predecessor {
    pub(super) fn new(pid: u32, channel: Channel) -> Self {
        Self {
            pid,
            channel,
            lost: false,
        }
    }

    /// What is still open there; `None` when it has ended.
    pub(in crate::server) fn ask(&mut self, most: usize) -> Option<Draining> {
        let deadline = now() + PATIENCE;
        let asked = self.channel.say(&Question { most }, deadline);
        match asked.and_then(|()| self.channel.hear(deadline)) {
            Ok(told) => Some(told),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                self.lost = true;
                Some(Draining {
                    pid: self.pid,
                    ..Draining::default()
                })
            }
            Err(_) => None,
        }
    }

    /// Whether it is of no use to ask again.
    pub(in crate::server) fn is_lost(&self) -> bool {
        self.lost
    }
}

/// Answers the successor for as long as this process is there, and tells the process should the successor fail.
pub(super) fn answer(mut channel: Channel, mut successor: Child, process: Arc<Process>) {
    let runtime = Handle::current();
    // Not waited for: it ends with the process, or with the successor.
    drop(tokio::task::spawn_blocking(move || {
        while let Ok(Question { most }) = channel.hear(now() + FOR_EVER) {
            let told = runtime.block_on(open::draining(&process, most));
            if channel.say(&told, now() + PATIENCE).is_err() {
                break;
            }
        }
        // Also when it asks nothing any more: it may be of a version that never does.
        match successor.wait() {
            Ok(status) if !status.success() => {
                tracing::error!(
                    event = "upgrade.successor_ended",
                    pid = successor.id(),
                    %status,
                    "the successor has ended while this process drains: nobody accepts connections until another hubgate is started"
                );
                process.orphaned.notify_one();
            }
            Ok(_) => tracing::info!(pid = successor.id(), "the successor was stopped"),
            Err(error) => tracing::debug!(%error, "it is not known how the successor ended"),
        }
    }));
}
