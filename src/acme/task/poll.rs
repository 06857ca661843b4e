//! Asking an authority when it wants one certificate renewed, and keeping what it says (RFC 9773 section 4).
//!
//! What an answer means is `renewal`'s. An authority that does not answer counts as one that does not answer orders.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::CertificateIdentifier;
use tracing::{info, warn};

use super::Task;
use crate::acme::answer::{Answer, Lost};
use crate::acme::failure::Failure;
use crate::acme::keys;
use crate::acme::line::Line;
use crate::acme::renewal::{self, Told};
use crate::acme::session::Session;
use crate::acme::storage::{Renewal, instant};
use crate::types::moment::rfc3339;

/// Where renewal information is does not move often.
const DAY: Duration = Duration::from_secs(86_400);

/// The authority's own answer about this certificate.
async fn ask(session: &Arc<Session>, id: &CertificateIdentifier<'_>) -> Result<Answer, Lost> {
    let line = Line::anonymous(session).await;
    let line = line.map_err(|failure| Lost::new(failure.detail))?;
    loop {
        let done = line.account.renewal_info(id).await;
        if let Some(outcome) = line.outcome(&done) {
            return outcome;
        }
    }
}

impl Task {
    /// Asks the authority when it wants the certificate renewed (RFC 9773 section 4).
    pub(super) async fn poll(&mut self) {
        let shared = Arc::clone(&self.shared);
        let Some(held) = &self.held else { return };
        let Some(authority) = shared.issuer(held) else {
            return;
        };
        let (leaf, now) = (Arc::clone(&held.pair.leaf), shared.clock.now());
        let mut renewal = match self.renewal.take() {
            Some(renewal) if renewal.serial == leaf.serial => renewal,
            _ => Renewal::new(&leaf.serial),
        };
        let answer = match authority.session.directory_within(DAY).await {
            Ok(directory) => {
                let id = held.pair.key.cert.first().and_then(keys::certificate_id);
                match id.filter(|_| directory.renewal_info.is_some()) {
                    Some(id) => Some(ask(&authority.session, &id).await),
                    // An authority without it may have it one day.
                    None => None,
                }
            }
            Err(failure) => {
                authority.failed(&failure, &shared.delays).await;
                Some(Err(Lost::new(failure.detail)))
            }
        };
        match &answer {
            Some(Ok(_)) => authority.answered().await,
            Some(Err(lost)) => {
                let failure = Failure::of_lost("ari", lost);
                authority.failed(&failure, &shared.delays).await;
            }
            None => {}
        }
        self.show_authority(authority);
        let told = match &answer {
            Some(answer) => {
                let jitter = fastrand::f64();
                renewal::fold(&mut renewal, &leaf, answer, &shared.delays, now, jitter)
            }
            None => renewal::unsupported(&mut renewal, &shared.delays, now),
        };
        shared.board.count_ari(told.as_str());
        match &told {
            Told::Moved => {
                let due = renewal::due(&leaf, now, Some(&renewal), self.jitter);
                info!(event = "acme.ari.changed", host = %self.host, ca = authority.name(), renew_at = rfc3339(due.at), explanation = renewal.explanation, "the authority says when to renew");
            }
            Told::Nothing(reason) if answer.is_some() => {
                warn!(event = "acme.ari.failed", host = %self.host, ca = authority.name(), detail = reason, next = rfc3339(instant(renewal.poll_unix_ms)), "no renewal information; the certificate's dates decide");
            }
            Told::Same | Told::Nothing(_) => {}
        }
        if let Err(error) = self.dir.save_record(&renewal).await {
            self.warn_unsaved(&error);
        }
        self.renewal = Some(renewal);
        self.show();
    }
}
