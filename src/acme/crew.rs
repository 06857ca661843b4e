//! What lives on the worker's thread: a task for every host, as the plan of the moment wants it.
//!
//! Invariant: a host has at most one task, and its wishes reach that one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tracing::{error, warn};

use super::authority::{Authority, Connect};
use super::challenge::Tokens;
use super::clock::Clock;
use super::command::{Command, Errand, Outcome};
use super::settings::Settings;
use super::status::Board;
use super::storage::Storage;
use super::task::{self, Shared, Wanted};
use crate::observe::reasons::with_reasons;
use crate::tls::Certificates;
use crate::types::host::Host;
use crate::types::moment::rfc3339;

/// Which hosts, by which settings.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) settings: Settings,
    pub(super) hosts: BTreeSet<Host>,
}

/// Everything the tasks are made of.
pub(super) struct Crew {
    pub(super) plans: watch::Receiver<Plan>,
    pub(super) commands: mpsc::Receiver<Errand>,
    pub(super) connect: Arc<Connect>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tokens: Tokens,
    pub(super) certificates: Arc<Certificates>,
    pub(super) board: Board,
    pub(super) wanted: Wanted,
    /// Whether others may store certificates too, which is then noticed.
    pub(super) watches: bool,
}

/// Tells the tasks of changes in the store until it is dropped.
struct Watching(AbortHandle);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
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
        let mut errands = JoinSet::new();
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
            let _watching = shared
                .as_ref()
                .filter(|_| self.watches)
                .map(|shared| watch_store(shared, &plan.hosts));
            if !self.next_plan(&tasks, shared.as_ref(), &mut errands).await {
                return;
            }
            let next = self.plans.borrow_and_update().clone();
            if next.settings != plan.settings {
                tasks.drain().for_each(|(_, running)| running.task.abort());
                errands.shutdown().await;
                shared = self.shared(&next.settings).await;
            }
            plan = next;
        }
    }

    /// Hands wishes on until there is another plan; false when there will be none.
    async fn next_plan(
        &mut self,
        tasks: &HashMap<Host, Running>,
        shared: Option<&Arc<Shared>>,
        errands: &mut JoinSet<()>,
    ) -> bool {
        loop {
            tokio::select! {
                changed = self.plans.changed() => return changed.is_ok(),
                // Dropped when there is no such task or it has its hands full; whoever asked sees that.
                Some(errand) = self.commands.recv() => match errand {
                    Errand::Of(host, command) => {
                        if let Some(running) = tasks.get(&host)
                            && let Err(error) = running.commands.try_send(command)
                        {
                            error!(event = "acme.wish.lost", %host, %error, "a wish cannot be carried out");
                        }
                    }
                    Errand::RollOver { authority, reply } => {
                        if let Some(shared) = shared.cloned() {
                            errands.spawn(async move {
                                // Whoever asked may be gone.
                                drop(reply.send(roll_over(&shared, authority.as_deref()).await));
                            });
                        }
                    }
                },
                Some(_) = errands.join_next() => {}
            }
        }
    }

    async fn shared(&self, settings: &Settings) -> Option<Arc<Shared>> {
        let storage = Storage::counting(&settings.state_dir, self.board.store_failures());
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
            changed: watch::Sender::new(()),
        }))
    }
}

/// Gives accounts another key, one after the other; a failure at one does not keep the others from it.
async fn roll_over(shared: &Shared, name: Option<&str>) -> Outcome {
    let asked = shared.authorities.iter();
    let asked = asked.filter(|authority| name.is_none_or(|name| authority.name() == name));
    let all: Vec<_> = asked
        .flat_map(|authority| std::iter::once(authority).chain(authority.staging.as_deref()))
        .collect();
    if all.is_empty() {
        let known: Vec<_> = shared.authorities.iter().map(Authority::name).collect();
        let name = name.unwrap_or_default();
        return Err(format!(
            "there is no authority `{name}`, only {}",
            known.join(", ")
        ));
    }
    let (mut done, mut failed) = (Vec::new(), false);
    for authority in all {
        let now = shared.clock.now();
        done.push(match authority.closed_until(now) {
            Some(until) => {
                failed = true;
                format!(
                    "{}: nothing is asked of it before {}",
                    authority.name(),
                    rfc3339(until)
                )
            }
            None => match authority.accounts.roll_over().await {
                Ok(true) => format!("{}: the account has another key", authority.name()),
                Ok(false) => format!("{}: there is no account", authority.name()),
                Err(failure) => {
                    failed = true;
                    warn!(
                        event = "acme.account.key.failed",
                        ca = authority.name(),
                        step = failure.step,
                        class = failure.class.as_str(),
                        detail = failure.detail,
                        "the account's key was not changed"
                    );
                    format!("{}: {}", authority.name(), failure.detail)
                }
            },
        });
    }
    let text = done.join("\n");
    if failed { Err(text) } else { Ok(text) }
}

/// Has every task look whenever something may have changed, by whomever.
fn watch_store(shared: &Arc<Shared>, hosts: &BTreeSet<Host>) -> Watching {
    let (shared, hosts) = (Arc::clone(shared), hosts.clone());
    let task = tokio::spawn(async move {
        let mut changes = shared.storage.watch(hosts.iter()).await;
        loop {
            changes.next().await;
            shared.changed.send_replace(());
        }
    });
    Watching(task.abort_handle())
}

fn begin(shared: &Arc<Shared>, host: &Host) -> Running {
    let (commands, wishes) = mpsc::channel(4);
    let task = tokio::spawn(task::run(Arc::clone(shared), host.clone(), wishes));
    Running {
        task: task.abort_handle(),
        commands,
    }
}
