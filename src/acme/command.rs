//! What a person may ask of a host's certificate, and the revocation itself (RFC 8555 section 7.6).
//!
//! The task obeys between two of its own steps, so that nothing is ever ordered twice at once.

use serde_json::json;
use tokio::sync::oneshot;

use super::authority::Authority;
use super::clock::Clock;
use super::failure::Failure;
use super::jose::{self, Signer};
use super::schedule::Class;
use crate::tls::pem::Pair;

/// Done, or a sentence that says why not.
pub type Outcome = Result<(), String>;

/// A wish.
pub(super) enum Command {
    /// Order now, whatever the dates and failures say.
    Renew {
        /// Also when the week's certificates for this host are used up.
        force: bool,
        /// At the staging directory, storing nothing.
        trial: bool,
        reply: oneshot::Sender<Outcome>,
    },
    /// Revoke what is served, and replace it.
    Revoke {
        /// RFC 5280 section 5.3.1.
        reason: u8,
        reply: oneshot::Sender<Outcome>,
    },
}

/// Revokes the pair's leaf by the account that ordered it.
pub(super) async fn revoke(
    authority: &Authority,
    pair: &Pair,
    reason: u8,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    const STEP: &str = "revoke";
    let directory = authority.session.directory().await?;
    let account = authority.accounts.get().await?;
    let (Some(url), Some(leaf)) = (&directory.revoke_cert, pair.key.cert.first()) else {
        let text = "the authority offers no revocation";
        return Err(Failure::new(STEP, Class::Input, text));
    };
    let payload = json!({"certificate": jose::encode(leaf), "reason": reason});
    let signer = Signer::Account(&account.url);
    let session = &authority.session;
    let answer = session
        .post(&account.key, signer, url, Some(&payload))
        .await
        .map_err(|lost| Failure::of_lost(STEP, &lost))?;
    if answer.is_ok() || answer.problem().word() == "alreadyRevoked" {
        return Ok(());
    }
    Err(Failure::of_answer(STEP, &answer, clock.now()))
}
