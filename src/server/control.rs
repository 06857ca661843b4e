//! What the operator can ask of the process, through the admin socket, by signal or by saving the configuration file.
//!
//! Answers in words; preparing and applying a change is `reload`'s and `process`'s. One reload at a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::background::{outcome, sometime};
use super::open;
use super::overrides;
use super::process::Process;
use super::reload::{self, Draft, Prepared, Refused};
use super::told;
use super::upgrade::{Ended, upgrade};
use crate::acme::State;
use crate::admin::{
    CertificateStatus, ChallengeProbe, Control, ReloadOutcome, ReloadReport, Status, StillOpen,
    Wish,
};
use crate::config::Source;
use crate::observe::history::Explained;
use crate::observe::metrics::{AcmeFacts, UpstreamFacts};
use crate::proxy::app::Drain;
use crate::tls::Origin;
use crate::types::host::Host;
use crate::upstream::endpoint::Override;

/// The process as admin sees it.
pub(super) struct Door(pub(super) Arc<Process>);

impl Control for Door {
    fn reload(&self) -> BoxFuture<'_, ReloadOutcome> {
        reload(self.0.clone()).boxed()
    }

    fn upgrade(&self, program: Option<PathBuf>) -> BoxFuture<'_, Result<String, String>> {
        let process = self.0.clone();
        async move {
            match upgrade(&process, program).await {
                Ended::Succeeded(pid) => Ok(format!(
                    "upgraded: process {pid} serves; process {} ends when its connections have",
                    std::process::id()
                )),
                Ended::Refused(why) => Err(why.trim_end().to_owned()),
            }
        }
        .boxed()
    }

    fn plan(&self) -> BoxFuture<'_, ReloadOutcome> {
        let process = self.0.clone();
        async move {
            match plan(&process).await {
                Ok(report) => ReloadOutcome::Done(report),
                Err(Refused(diagnostics)) => ReloadOutcome::Refused { diagnostics },
            }
        }
        .boxed()
    }

    fn open(&self, most: usize) -> BoxFuture<'_, StillOpen> {
        open::still(&self.0, most).boxed()
    }

    fn is_draining(&self) -> bool {
        *self.0.drain.borrow() != Drain::Serving
    }

    fn orders(&self) -> AcmeFacts {
        super::orders::facts(&self.0.acme, &self.0.shared)
    }

    fn upstreams(&self) -> Vec<UpstreamFacts> {
        super::upstreams::facts(&self.0.shared.snapshot.load(), crate::transport::now())
    }

    fn status(&self) -> Status {
        status(&self.0)
    }

    fn wish(&self, host: &str, wish: Wish) -> BoxFuture<'_, Result<String, String>> {
        let host = Host::parse(host).map_err(|error| error.to_string());
        let wishes = self.0.acme.wishes();
        async move {
            let host = host?;
            match wish {
                Wish::Renew(wish) => wishes.renew(&host, wish).await,
                Wish::Revoke { reason } => wishes.revoke(&host, reason).await,
            }
        }
        .boxed()
    }

    fn explain(&self, request_id: &str) -> Explained {
        self.0.shared.history.explain(request_id)
    }

    fn roll_over(&self, authority: Option<&str>) -> BoxFuture<'_, Result<String, String>> {
        let (wishes, authority) = (self.0.acme.wishes(), authority.map(str::to_owned));
        async move { wishes.roll_over(authority.as_deref()).await }.boxed()
    }

    fn override_endpoint(
        &self,
        upstream: Option<&str>,
        endpoint: &str,
        to: Override,
    ) -> Result<String, String> {
        let snapshot = self.0.shared.snapshot.load();
        overrides::set(&snapshot, upstream, endpoint, to)
    }

    fn probe(&self, host: &str) -> Option<ChallengeProbe> {
        let host = Host::parse(host).ok()?;
        let snapshot = self.0.shared.snapshot.load();
        snapshot.router.site(&host)?;
        let random = || std::iter::repeat_with(fastrand::alphanumeric);
        let probe = ChallengeProbe {
            token: random().take(43).collect(),
            // Not of the form of a key authorization, so that no authority can take it for one.
            answer: random().take(32).collect(),
        };
        let tokens = self.0.shared.tokens.for_probes();
        let published = tokens.publish(&host, &probe.token, &probe.answer).ok()?;
        tokio::spawn(async move {
            tokio::time::sleep(PROBE).await;
            drop(published);
        });
        Some(probe)
    }
}

/// From so many lines on, telling the log of a reload takes a while.
const MANY: usize = 100;

/// For as long as `certs doctor` may take to ask for a token.
const PROBE: Duration = Duration::from_secs(60);

/// Reloads, and says in the log what became of it.
pub(super) async fn reload(process: Arc<Process>) -> ReloadOutcome {
    let mut tried = process.turn.lock().await;
    if let Some(outcome) = taken_over(&process) {
        return outcome;
    }
    *tried = fetch(&process).await;
    attempt(&process, tried.clone()).await
}

/// What a reload comes to when another process serves already.
fn taken_over(process: &Process) -> Option<ReloadOutcome> {
    (*process.successor.borrow()).map(ReloadOutcome::TakenOver)
}

/// As [`reload`], if the running configuration asks for it and the file holds what has not been tried yet.
pub(super) async fn reload_if_changed(process: &Arc<Process>) {
    let mut tried = process.turn.lock().await;
    // Whoever had the turn may have switched it off, or tried this very text.
    if !process.reloads_on_change() || taken_over(process).is_some() {
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
    let fetched = outcome(move || reload::fetch(&process)).await;
    fetched.unwrap_or_else(|| Err(failed()))
}

/// Tries a text. To be called by whoever has the turn.
async fn attempt(process: &Arc<Process>, text: Result<Source, Refused>) -> ReloadOutcome {
    process.notify.reloading();
    let outcome = tried(process, text).await;
    process.notify.reloaded(match &outcome {
        ReloadOutcome::Done(_) | ReloadOutcome::TakenOver(_) => None,
        ReloadOutcome::Refused { diagnostics } => Some(diagnostics),
    });
    process.notify.ready(&told::serving(process));
    outcome
}

async fn tried(process: &Arc<Process>, text: Result<Source, Refused>) -> ReloadOutcome {
    let done = match text {
        Ok(source) => put_into_effect(process, source).await,
        Err(refused) => Err(refused),
    };
    match done {
        Ok(report) => {
            process.generation.send_replace(report.generation);
            ReloadOutcome::Done(report)
        }
        Err(Refused(diagnostics)) => {
            process.shared.metrics.reloads_refused.inc();
            tracing::error!("configuration refused, the old one stays:\n{diagnostics}");
            ReloadOutcome::Refused { diagnostics }
        }
    }
}

/// Prepares a change and applies it, and tells the log.
async fn put_into_effect(process: &Arc<Process>, source: Source) -> Result<ReloadReport, Refused> {
    let prepared = prepare(process, source).await?;
    prepared.apply_log(process);
    let process = process.clone();
    // In the background as well: with many sites even what is quick for each takes as long as many requests.
    let done = outcome(move || {
        let (changes, warnings) = prepared.apply(&process);
        let generation = process.shared.snapshot.load().generation;
        tracing::info!(
            generation,
            changes = changes.len(),
            "configuration reloaded"
        );
        let report = ReloadReport {
            generation,
            changes,
            warnings,
        };
        tell(&report);
        Ok(report)
    });
    done.await.unwrap_or_else(|| {
        Err(Refused(
            "error: hubgate failed to put the configuration into effect; its log says where\n"
                .to_owned(),
        ))
    })
}

/// Tells the log, in the background when it is much.
fn tell(report: &ReloadReport) {
    let lines = |report: &ReloadReport| {
        let generation = report.generation;
        for change in &report.changes {
            tracing::info!(generation, "{change}");
        }
        for warning in &report.warnings {
            tracing::warn!(generation, "{warning}");
        }
    };
    if report.changes.len() + report.warnings.len() < MANY {
        return lines(report);
    }
    let report = report.clone();
    sometime(move || lines(&report));
}

async fn plan(process: &Arc<Process>) -> Result<ReloadReport, Refused> {
    let source = fetch(process).await?;
    let prepared = prepare(process, source).await?;
    let process = process.clone();
    // Prepared and dropped: what could not be bound, loaded or opened is part of the answer.
    let report = outcome(move || Ok(prepared.into_report(&process)));
    report.await.unwrap_or_else(|| Err(failed()))
}

/// Everything that can fail of a reload.
async fn prepare(process: &Arc<Process>, source: Source) -> Result<Prepared, Refused> {
    let own = process.clone();
    let draft = outcome(move || Draft::new(&own, &source)).await;
    // Should it panic, the reload is refused and nothing has changed.
    let draft = draft.unwrap_or_else(|| Err(failed()))?;
    draft.settle().await;
    let own = process.clone();
    let prepared = outcome(move || draft.finish(&own)).await;
    let prepared = prepared.unwrap_or_else(|| Err(failed()))?;
    prepared.start_logs(process)?;
    Ok(prepared)
}

fn failed() -> Refused {
    Refused("error: hubgate failed to read the configuration; its log says where\n".to_owned())
}

/// What to tell of a host that the cluster orders for as well.
fn double(process: &Process, host: &Host) -> Option<String> {
    let text = "the cluster behind orders certificates for this host as well; see `acme.double` in the log";
    let both = process.shared.handed_on.is_double(host);
    both.then(|| text.to_owned())
}

fn status(process: &Process) -> Status {
    let snapshot = process.shared.snapshot.load();
    let mut status = Status::of(&snapshot.config);
    status.generation = snapshot.generation;
    status.upstreams = super::upstreams::status(&snapshot, crate::transport::now());
    status.config_file = process.config_path.display().to_string();
    let key_log = process.key_log.as_ref();
    status.tls_key_log = key_log.map(|path| path.display().to_string());
    status.draining = *process.drain.borrow() != Drain::Serving;
    status.upgrading = process.upgrading.try_lock().is_err();
    status.ends_in = open::ends_in(process);
    let orders = process.acme.status();
    status.certificates = process
        .certificates
        .list()
        .into_iter()
        .map(|served| {
            let order = orders
                .iter()
                .find(|order| served.pattern.exact() == Some(&order.host));
            let look = process.self_check.found(&served.pattern.to_string());
            CertificateStatus {
                not_before: Some(served.leaf.not_before.unix_timestamp()),
                issuer: Some(served.leaf.issuer.clone()),
                serial: Some(served.leaf.serial.clone()),
                state: order.map(|order| order.state.as_str().to_owned()),
                next_attempt: order
                    .and_then(|order| order.next_attempt)
                    .map(|at| at.unix_timestamp()),
                renew_at: order
                    .and_then(|order| order.renew_at)
                    .map(|at| at.unix_timestamp()),
                failures: order.map_or(0, |order| order.failures),
                served_as_kept: look.as_ref().map(Option::is_none),
                host: served.pattern.to_string(),
                source: match served.origin {
                    Origin::Files => "file".to_owned(),
                    other => other.to_string(),
                },
                not_after: Some(served.leaf.not_after.unix_timestamp()),
                trouble: order
                    .filter(|order| matches!(order.state, State::Backoff | State::Paused))
                    .and_then(|order| order.last_error.clone())
                    .or_else(|| look.flatten())
                    .or_else(|| double(process, served.pattern.exact()?)),
            }
        })
        .collect();
    status
}
