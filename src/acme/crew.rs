//! What lives on the worker's thread: a task for every host, as the plan of the moment wants it.
//!
//! Invariant: a host has at most one task, and its wishes reach that one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;
use tracing::error;

use super::authority::{Authority, Connect};
use super::challenge::Tokens;
use super::clock::Clock;
use super::command::Command;
use super::settings::Settings;
use super::status::Board;
use super::storage::Storage;
use super::task::{self, Shared, Wanted};
use crate::observe::reasons::with_reasons;
use crate::tls::Certificates;
use crate::types::host::Host;

/// Which hosts, by which settings.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) settings: Settings,
    pub(super) hosts: BTreeSet<Host>,
}

/// Everything the tasks are made of.
pub(super) struct Crew {
    pub(super) plans: watch::Receiver<Plan>,
    pub(super) commands: mpsc::Receiver<(Host, Command)>,
    pub(super) connect: Arc<Connect>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tokens: Tokens,
    pub(super) certificates: Arc<Certificates>,
    pub(super) board: Board,
    pub(super) wanted: Wanted,
}

/// A host's task, and the way to it.
struct Running {
    task: AbortHandle,
    commands: mpsc::Sender<Command>,
}

impl Crew {
    /// Carries out one plan after the other until the sender is gone.
    pub(super) async fn run(mut self) {
        let mut plan = self.plans.borrow_and_update().clone();
        let mut shared = self.shared(&plan.settings).await;
        let mut tasks: HashMap<Host, Running> = HashMap::new();
        loop {
            tasks.retain(|host, running| {
                let keep = plan.hosts.contains(host);
                if !keep {
                    running.task.abort();
                }
                keep
            });
            // A task that was cancelled may have written its row meanwhile.
            self.board.retain(|host| plan.hosts.contains(host));
            if let Some(shared) = &shared {
                shared.asked.notify_waiters();
                for host in &plan.hosts {
                    tasks
                        .entry(host.clone())
                        .or_insert_with(|| begin(shared, host));
                }
            }
            if !self.next_plan(&tasks).await {
                return;
            }
            let next = self.plans.borrow_and_update().clone();
            if next.settings != plan.settings {
                tasks.drain().for_each(|(_, running)| running.task.abort());
                shared = self.shared(&next.settings).await;
            }
            plan = next;
        }
    }

    /// Hands wishes on until there is another plan; false when there will be none.
    async fn next_plan(&mut self, tasks: &HashMap<Host, Running>) -> bool {
        loop {
            tokio::select! {
                changed = self.plans.changed() => return changed.is_ok(),
                Some((host, command)) = self.commands.recv() => {
                    // Dropped when there is no such task or it has its hands full; whoever asked sees that.
                    if let Some(running) = tasks.get(&host)
                        && let Err(error) = running.commands.try_send(command)
                    {
                        error!(event = "acme.wish.lost", %host, %error, "a wish cannot be carried out");
                    }
                }
            }
        }
    }

    async fn shared(&self, settings: &Settings) -> Option<Arc<Shared>> {
        let storage = Storage::new(&settings.state_dir);
        let mut authorities = Vec::new();
        for one in &settings.authorities {
            match Authority::open(one, &storage, &self.clock, &*self.connect).await {
                Ok(authority) => authorities.push(authority),
                // Looked at before by `Settings::check`; the file may have gone since.
                Err(error) => {
                    error!(event = "acme.ca.unusable", ca = one.name, error = %with_reasons(&error), "the authority cannot be asked");
                }
            }
        }
        if authorities.is_empty() {
            return None;
        }
        Some(Arc::new(Shared {
            authorities,
            storage,
            listeners: settings.listeners.clone(),
            delays: settings.delays.clone(),
            tokens: self.tokens.clone(),
            certificates: Arc::clone(&self.certificates),
            board: self.board.clone(),
            clock: Arc::clone(&self.clock),
            wanted: Arc::clone(&self.wanted),
            asked: Notify::new(),
        }))
    }
}

fn begin(shared: &Arc<Shared>, host: &Host) -> Running {
    let (commands, wishes) = mpsc::channel(4);
    let task = tokio::spawn(task::run(Arc::clone(shared), host.clone(), wishes));
    Running {
        task: task.abort_handle(),
        commands,
    }
}
