//! What a person asks of one host's certificate: renew, rehearse, revoke.
//!
//! Obeyed between two of the task's own steps. Failures count as those of any attempt do.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tracing::info;

use super::Task;
use crate::acme::command::{self, Command, Outcome};
use crate::acme::failure::Failure;
use crate::acme::storage::{Backoff, History};

/// Let's Encrypt issues one set of names five times a week.
const WEEKLY: usize = 5;
const WEEK: Duration = Duration::from_secs(7 * 86_400);

impl Task {
    /// Does what a person asks for.
    pub(super) async fn obey(&mut self, command: Command) {
        match command {
            Command::Renew {
                force,
                trial,
                reply,
            } => {
                let outcome = match trial {
                    true => self.rehearse().await,
                    false => self.renew(force).await,
                };
                // Whoever asked may be gone.
                drop(reply.send(outcome));
            }
            Command::Revoke { reason, reply } => {
                let outcome = self.revoke(reason).await;
                drop(reply.send(outcome));
            }
        }
    }

    async fn renew(&mut self, force: bool) -> Outcome {
        if !force && let Some(until) = self.weekly_limit().await {
            return Err(format!(
                "{WEEKLY} certificates for `{}` were issued in the last week, which is what Let's Encrypt allows; the next may be ordered at {until}, or now by force",
                self.host
            ));
        }
        self.backoff = Backoff::default();
        self.attempt(0)
            .await
            .map_err(|failure| failure_text(&failure))
    }

    async fn rehearse(&mut self) -> Outcome {
        let shared = Arc::clone(&self.shared);
        let Some(staging) = shared
            .authorities
            .first()
            .and_then(|a| a.staging.as_deref())
        else {
            return Err("the first authority has no `staging` directory".to_owned());
        };
        let outcome = match self.precheck(staging).await {
            Ok(()) => self.order(staging, true).await.map(|_| ()),
            Err(failure) => Err(failure),
        };
        outcome.map_err(|failure| failure_text(&failure))
    }

    async fn revoke(&mut self, reason: u8) -> Outcome {
        let Some(held) = &self.held else {
            return Err(format!("there is no certificate for `{}`", self.host));
        };
        let Some(authority) = self.issuer() else {
            return Err("the certificate is not from one of the configured authorities".to_owned());
        };
        let revoked = command::revoke(authority, &held.pair, reason, &*self.shared.clock);
        revoked.await.map_err(|failure| failure_text(&failure))?;
        info!(event = "acme.revoked", host = %self.host, ca = authority.name(), serial = held.pair.leaf.serial, reason, "certificate revoked");
        self.attempt(0)
            .await
            .map_err(|failure| format!("revoked, but not yet replaced: {}", failure_text(&failure)))
    }

    /// When the week's certificates for this host are used up: when the next may be ordered.
    async fn weekly_limit(&self) -> Option<OffsetDateTime> {
        let history: History = self.dir.record().await?;
        let directory = self.shared.authorities.first()?.directory();
        history.next_within(directory, WEEKLY, WEEK, self.shared.clock.now())
    }
}

fn failure_text(failure: &Failure) -> String {
    format!("{}: {}", failure.step, failure.detail)
}
