//! What a person asks of one host's certificate: renew, rehearse, revoke.
//!
//! Obeyed between two of the task's own steps. Failures count as those of any attempt do.

use std::sync::Arc;

use tracing::info;

use super::Task;
use super::week::WEEKLY;
use crate::acme::command::{self, Command, Outcome, Renew};
use crate::acme::failure::Failure;
use crate::acme::storage::Backoff;
use crate::types::moment::rfc3339;

impl Task {
    /// Does what a person asks for.
    pub(super) async fn obey(&mut self, command: Command) {
        let (outcome, reply) = match command {
            Command::Renew { wish, reply } => (self.renew(wish).await, reply),
            Command::Revoke { reason, reply } => (self.revoke(reason).await, reply),
        };
        // Whoever asked may be gone.
        drop(reply.send(outcome));
    }

    async fn renew(&mut self, wish: Renew) -> Outcome {
        let now = self.shared.clock.now();
        let due = self.due(now).at;
        if wish.only_due && due > now {
            return Ok(format!("not due before {}", rfc3339(due)));
        }
        if wish.at_staging {
            return self.rehearse().await;
        }
        if !wish.force
            && let Some(authority) = self.shared.authorities.first()
            && let Some(until) = self.used_up_until(authority, WEEKLY - 1, now)
        {
            return Err(format!(
                "{} certificates were issued for `{}` within a week; {} issues {WEEKLY}, and the last is kept for hubgate's own renewal. The next may be ordered at {}, or now with --force",
                WEEKLY - 1,
                self.host,
                authority.name(),
                rfc3339(until)
            ));
        }
        self.backoff = Backoff::default();
        let attempt = self.attempt(0).await;
        attempt.map_err(|failure| failure_text(&failure))?;
        Ok("renewed".to_owned())
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
            Ok(()) => self.ask(staging, true).await,
            Err(failure) => Err(failure),
        };
        self.show();
        outcome.map_err(|failure| failure_text(&failure))?;
        Ok(format!("{} would issue", staging.name()))
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
        let attempt = self.attempt(0).await;
        attempt.map_err(|failure| {
            format!("revoked, but not yet replaced: {}", failure_text(&failure))
        })?;
        Ok("revoked and replaced".to_owned())
    }
}

fn failure_text(failure: &Failure) -> String {
    format!("{}: {}", failure.step, failure.detail)
}
