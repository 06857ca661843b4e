//! What the operator can ask of the process, through the admin socket, by signal or by saving the configuration file.
//!
//! Answers in words; preparing and applying a change is `reload`'s and `process`'s. One reload at a time.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::process::Process;
use super::reload::{self, Prepared, Refused};
use crate::acme::State;
use crate::admin::{CertificateStatus, Control, ReloadOutcome, ReloadReport, Status};
use crate::config::Source;
use crate::proxy::app::Drain;
use crate::tls::Origin;

/// The process as admin sees it.
pub(super) struct Door(pub(super) Arc<Process>);

impl Control for Door {
    fn reload(&self) -> BoxFuture<'_, ReloadOutcome> {
        reload(self.0.clone()).boxed()
    }

    fn plan(&self) -> BoxFuture<'_, ReloadOutcome> {
        let process = self.0.clone();
        async move {
            match blocking(move || plan(&process)).await {
                Ok(report) => ReloadOutcome::Done(report),
                Err(Refused(diagnostics)) => ReloadOutcome::Refused { diagnostics },
            }
        }
        .boxed()
    }

    fn status(&self) -> Status {
        status(&self.0)
    }
}

/// Reloads, and says in the log what became of it.
pub(super) async fn reload(process: Arc<Process>) -> ReloadOutcome {
    let mut tried = process.turn.lock().await;
    *tried = fetch(&process).await;
    attempt(&process, tried.clone()).await
}

/// As [`reload`], if the running configuration asks for it and the file holds what has not been tried yet.
pub(super) async fn reload_if_changed(process: &Arc<Process>) {
    let mut tried = process.turn.lock().await;
    // Whoever had the turn may have switched it off, or tried this very text.
    if !process.reloads_on_change() {
        return;
    }
    let now = fetch(process).await;
    if now == *tried {
        return;
    }
    *tried = now.clone();
    if now.as_ref().is_ok_and(Source::is_blank) {
        // A valid configuration without sites, but hardly meant: a full disk or a slow writer leaves such a file.
        tracing::warn!("the configuration file is empty, the old configuration stays");
        return;
    }
    tracing::info!("the configuration file has changed");
    // Nobody asked; the log has been told.
    drop(attempt(process, now).await);
}

async fn fetch(process: &Arc<Process>) -> Result<Source, Refused> {
    let process = process.clone();
    blocking(move || reload::fetch(&process)).await
}

/// Tries a text. To be called by whoever has the turn.
async fn attempt(process: &Arc<Process>, text: Result<Source, Refused>) -> ReloadOutcome {
    let prepared = match text {
        Ok(source) => {
            let process = process.clone();
            blocking(move || Prepared::new(&process, &source)).await
        }
        Err(refused) => Err(refused),
    };
    match prepared {
        Ok(prepared) => {
            let (changes, warnings) = prepared.apply(process);
            process.reloaded.notify_one();
            let generation = process.shared.snapshot.load().generation;
            tracing::info!(
                generation,
                changes = changes.len(),
                "configuration reloaded"
            );
            for change in &changes {
                tracing::info!(generation, "{change}");
            }
            for warning in &warnings {
                tracing::warn!(generation, "{warning}");
            }
            ReloadOutcome::Done(ReloadReport {
                generation,
                changes,
                warnings,
            })
        }
        Err(Refused(diagnostics)) => {
            process.shared.metrics.reloads_refused.inc();
            tracing::error!("configuration refused, the old one stays:\n{diagnostics}");
            ReloadOutcome::Refused { diagnostics }
        }
    }
}

fn plan(process: &Process) -> Result<ReloadReport, Refused> {
    let source = reload::fetch(process)?;
    let (_, plan, warnings) = reload::check(process, &source)?;
    // Prepared and dropped: what could not be bound, loaded or opened is part of the answer.
    drop(Prepared::new(process, &source)?);
    let generation = process.shared.snapshot.load().generation + 1;
    Ok(ReloadReport {
        generation,
        changes: plan.changes.iter().map(ToString::to_string).collect(),
        warnings,
    })
}

/// Runs what reads files off the event loop. Should it panic, the reload is refused and nothing has changed.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Refused(format!(
            "error: hubgate failed to read the configuration: {error}\n"
        ))),
    }
}

fn status(process: &Process) -> Status {
    let snapshot = process.shared.snapshot.load();
    let mut status = Status::of(&snapshot.config);
    status.generation = snapshot.generation;
    status.config_file = process.config_path.display().to_string();
    status.draining = *process.drain.borrow() != Drain::Serving;
    let orders = process.acme.status();
    status.certificates = process
        .certificates
        .list()
        .into_iter()
        .map(|served| {
            let order = orders
                .iter()
                .find(|order| served.pattern.exact() == Some(&order.host));
            CertificateStatus {
                host: served.pattern.to_string(),
                source: match served.origin {
                    Origin::Files => "file".to_owned(),
                    other => other.to_string(),
                },
                not_after: Some(served.leaf.not_after.unix_timestamp()),
                trouble: order
                    .filter(|order| order.state == State::Backoff)
                    .and_then(|order| order.last_error.clone()),
            }
        })
        .collect();
    status
}
