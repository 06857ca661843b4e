//! Another key for the account (RFC 8555 section 7.3.5), and which of two keys the authority knows.
//!
//! The request is our own: the crate's makes the key itself and shows it only when the authority has taken it. Steps: next
//! key* -> note that it is asked* -> ask -> adopt*; those with a star are on disk before the next begins. Invariants: nobody
//! speaks as the account while its key changes, and a key that the authority may still take is not thrown away.

use std::time::Duration;

use serde_json::Value;
use tracing::info;

use super::{Account, Accounts};
use crate::acme::failure::Failure;
use crate::acme::jose::{AccountKey, CannotSign, Signer};
use crate::acme::line::Line;
use crate::acme::schedule::Class;
use crate::acme::stop::stop_at;
use crate::acme::storage::{Rollover, StoreError, instant};

const STEP: &str = "rollover";
/// How long orders under way are waited for.
const PATIENCE: Duration = Duration::from_secs(100);
/// What an authority has not done after this it never will.
const AFTERWARDS: time::Duration = time::Duration::hours(1);

impl Accounts {
    /// Gives the account another key, as soon as no order is under way. False when there is no account.
    ///
    /// When it fails, the account goes on with whichever key the authority knows.
    pub(in crate::acme) async fn roll_over(&self) -> Result<bool, Failure> {
        let Ok(_alone) = tokio::time::timeout(PATIENCE, self.turn.write()).await else {
            let text = "orders are under way; nothing was changed, try again later";
            return Err(Failure::new(STEP, Class::CaUnavailable, text));
        };
        let mut open = self.open.lock().await;
        *open = None;
        let Some(account) = self.dir.registered().await.map_err(stored)? else {
            return Ok(false);
        };
        let before = self.dir.key().await.map_err(stored)?;
        let key = self.settled_key().await?;
        if key != before {
            return Ok(true); // what was begun before has been done
        }
        let directory = self.session.directory().await?;
        let Some(url) = &directory.key_change else {
            let text = "the authority does not change the keys of accounts";
            return Err(Failure::new(STEP, Class::Input, text));
        };
        let was_asked = self.dir.record::<Rollover>().await.is_some();
        let next = self.dir.make_next_key().await.map_err(stored)?;
        stop_at("next-key");
        let note = Rollover::new(self.clock.now());
        self.dir.save_record(&note).await.map_err(stored)?;
        let (old, payload) = hand_over(&key, &next, &account.url, url)
            .map_err(|error| Failure::new(STEP, Class::Store, error.to_string()))?;
        let signer = Signer::Account(&account.url);
        let sent = self.session.post(&old, signer, url, &payload).await;
        stop_at("key-change");
        let failure = match &sent {
            Ok(answer) if answer.is_ok() => return self.adopt().await.map(|()| true),
            Ok(answer) => Failure::of_answer(STEP, answer, self.clock.now()),
            Err(lost) => Failure::of_lost(STEP, lost),
        };
        let is_refused = sent.is_ok_and(|answer| (400..500).contains(&answer.status));
        match self.knows(&next).await {
            // It has been done all the same.
            Ok(true) => return self.adopt().await.map(|()| true),
            // What was asked before may still be on its way.
            Ok(false) if is_refused && !was_asked => {
                self.dir.drop_next_key().await.map_err(stored)?;
            }
            // The next to use the account finds out.
            Ok(false) | Err(_) => {}
        }
        Err(failure)
    }

    /// Whether the account is as it was when it was opened, by this process and any other.
    pub(super) async fn is_settled(&self, account: &Account) -> bool {
        let next = self.dir.next_key().await.ok().flatten();
        let key = self.dir.stored_key().await.ok().flatten();
        next.is_none() && key.is_none_or(|key| key == account.key)
    }

    /// The account's key; of two, the one that the authority knows.
    pub(super) async fn settled_key(&self) -> Result<Vec<u8>, Failure> {
        let key = self.dir.key().await.map_err(stored)?;
        let Some(next) = self.dir.next_key().await.map_err(stored)? else {
            return Ok(key);
        };
        if next == key {
            self.dir.drop_next_key().await.map_err(stored)?;
            return Ok(key);
        }
        if self.knows(&next).await? {
            self.adopt().await?;
            return Ok(next);
        }
        let asked = self.dir.record::<Rollover>().await;
        let now = self.clock.now();
        if asked.is_none_or(|note| (now - instant(note.asked_unix_ms)).abs() > AFTERWARDS) {
            self.dir.drop_next_key().await.map_err(stored)?;
        }
        Ok(key)
    }

    async fn adopt(&self) -> Result<(), Failure> {
        self.dir.adopt_next_key().await.map_err(stored)?;
        info!(
            event = "acme.account.key",
            directory = self.session.url(),
            "the account has another key"
        );
        Ok(())
    }

    /// Whether the authority has an account with this key.
    async fn knows(&self, key: &[u8]) -> Result<bool, Failure> {
        self.session.directory().await?;
        let answer = Line::look_up(&self.session, key).await;
        let answer = answer.map_err(|lost| Failure::of_lost(STEP, &lost))?;
        let failure = match answer.is_ok() {
            true => return Ok(true),
            false => self.refused(&answer),
        };
        match failure.account_unknown {
            true => Ok(false),
            false => Err(failure),
        }
    }
}

/// The key so far, and what it is to sign for the next one to take its place.
fn hand_over(
    key: &[u8],
    next: &[u8],
    account: &str,
    url: &str,
) -> Result<(AccountKey, Value), CannotSign> {
    let (old, next) = (AccountKey::new(key)?, AccountKey::new(next)?);
    let payload = old.hand_over(&next, account, url)?;
    Ok((old, payload))
}

fn stored(error: StoreError) -> Failure {
    Failure::of_storage(STEP, &error)
}
