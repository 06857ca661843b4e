//! What a person may ask of a host's certificate, and the revocation itself (RFC 8555 section 7.6).
//!
//! The task obeys between two of its own steps, so that nothing is ever ordered twice at once.

use instant_acme::{RevocationReason, RevocationRequest};
use tokio::sync::oneshot;

use super::answer::word;
use super::authority::Authority;
use super::clock::Clock;
use super::failure::Failure;
use super::line::Line;
use super::schedule::Class;
use crate::tls::pem::Pair;
use crate::types::host::Host;

/// What was done, or why nothing was, as a sentence.
pub type Outcome = Result<String, String>;

/// How another certificate is wished for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Renew {
    /// Also when the week's certificates for this host are used up.
    pub force: bool,
    /// Only if its time has come, or there is none; failures before are forgotten.
    pub only_due: bool,
    /// At the staging directory, storing nothing.
    pub at_staging: bool,
}

/// A wish.
pub(super) enum Command {
    /// Order now, whatever the dates and failures say.
    Renew {
        wish: Renew,
        reply: oneshot::Sender<Outcome>,
    },
    /// Revoke what is served, and replace it.
    Revoke {
        /// RFC 5280 section 5.3.1.
        reason: u8,
        reply: oneshot::Sender<Outcome>,
    },
}

/// What is wished of a host's certificate, or of the accounts.
pub(super) enum Errand {
    Of(Host, Command),
    /// Give the account at this authority another key, or the accounts at all.
    RollOver {
        authority: Option<String>,
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
    let input = |text: String| Failure::new(STEP, Class::Input, text);
    let (Some(_), Some(leaf)) = (&directory.revoke_cert, pair.key.cert.first()) else {
        return Err(input("the authority offers no revocation".to_owned()));
    };
    let Some(reason) = reason_of(reason) else {
        return Err(input(format!("there is no reason {reason} for revoking")));
    };
    let account = authority.accounts.get().await?;
    let line = Line::open(&authority.session, &account.url, &account.key).await?;
    let request = RevocationRequest {
        certificate: leaf,
        reason: Some(reason),
    };
    let outcome = loop {
        let done = line.account.revoke(&request).await;
        if let Some(outcome) = line.outcome(&done) {
            break outcome;
        }
    };
    let answer = outcome.map_err(|lost| Failure::of_lost(STEP, &lost))?;
    if answer.is_ok() || word(&answer.problem()) == "alreadyRevoked" {
        return Ok(());
    }
    Err(Failure::of_answer(STEP, &answer, clock.now()))
}

/// RFC 5280 section 5.3.1, where 7 means nothing.
fn reason_of(number: u8) -> Option<RevocationReason> {
    use RevocationReason as Reason;
    Some(match number {
        0 => Reason::Unspecified,
        1 => Reason::KeyCompromise,
        2 => Reason::CaCompromise,
        3 => Reason::AffiliationChanged,
        4 => Reason::Superseded,
        5 => Reason::CessationOfOperation,
        6 => Reason::CertificateHold,
        8 => Reason::RemoveFromCrl,
        9 => Reason::PrivilegeWithdrawn,
        10 => Reason::AaCompromise,
        _ => return None,
    })
}
