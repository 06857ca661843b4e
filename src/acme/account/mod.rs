//! The account at an authority: registered when first needed, never at start, and shared by all orders.
//!
//! Registering is our own request: the crate's either makes the key itself and gives it away only with the answer, or
//! takes ours and has no room for contacts and an external account. Invariant: one key per directory URL, on the disk before it is registered. An authority that has forgotten the
//! account, or whose answer was lost, gets the same key again (RFC 8555 section 7.3.1), so that there is never a second
//! account and tokens already published stay right.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use instant_acme::AuthorizationStatus;
use serde_json::{Value, json};
use tokio::sync::{Mutex, OwnedRwLockReadGuard, RwLock};
use tracing::{info, warn};

use super::answer::Answer;
use super::clock::Clock;
use super::failure::{Failure, Reach};
use super::jose::{self, AccountKey, Signer};
use super::line::Line;
use super::schedule::Class;
use super::session::Session;
use super::storage::{AccountDir, Registered};
use crate::config::{AcmeAuthority, ExternalAccount};

mod rollover;

const STEP: &str = "account";

/// An account, ready to sign.
pub(super) struct Account {
    /// PKCS#8 DER.
    pub(super) key: Vec<u8>,
    /// Its URL, which is its name at the authority.
    pub(super) url: String,
}

/// The account while somebody speaks as it; until this is dropped its key stays the same.
pub(super) struct InUse {
    account: Arc<Account>,
    turn: Arc<OwnedRwLockReadGuard<()>>,
}

impl Deref for InUse {
    type Target = Account;

    fn deref(&self) -> &Account {
        &self.account
    }
}

/// The account of one authority, opened once and kept.
pub(super) struct Accounts {
    contact: Vec<String>,
    external: Option<ExternalAccount>,
    dir: AccountDir,
    session: Arc<Session>,
    clock: Arc<dyn Clock>,
    open: Mutex<Option<Arc<Account>>>,
    /// Shared by all who speak as the account, and taken alone to give it another key.
    turn: Arc<RwLock<()>>,
}

impl Accounts {
    pub(super) fn new(
        authority: &AcmeAuthority,
        dir: AccountDir,
        session: Arc<Session>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            contact: authority.contact.clone(),
            external: authority.external_account.clone(),
            dir,
            session,
            clock,
            open: Mutex::default(),
            turn: Arc::default(),
        }
    }

    /// The account; the first call registers it if need be.
    pub(super) async fn get(&self) -> Result<InUse, Failure> {
        let turn = Arc::new(Arc::clone(&self.turn).read_owned().await);
        let mut open = self.open.lock().await;
        let account = match &*open {
            Some(account) if self.is_settled(account).await => Arc::clone(account),
            _ => Arc::new(self.open_or_register().await?),
        };
        *open = Some(Arc::clone(&account));
        Ok(InUse { account, turn })
    }

    /// Registers again with the same key, because the authority does not know `stale` any more.
    pub(super) async fn register_again(&self, stale: &InUse) -> Result<InUse, Failure> {
        let mut open = self.open.lock().await;
        let in_use = |account| InUse {
            account,
            turn: Arc::clone(&stale.turn),
        };
        if let Some(account) = &*open
            && account.url != stale.url
        {
            return Ok(in_use(Arc::clone(account))); // another order was faster
        }
        *open = None;
        let forgotten = self.dir.forget().await;
        forgotten.map_err(|error| Failure::of_storage(STEP, &error))?;
        let account = Arc::new(self.open_or_register().await?);
        *open = Some(Arc::clone(&account));
        Ok(in_use(account))
    }

    async fn open_or_register(&self) -> Result<Account, Failure> {
        let stored = |error| Failure::of_storage(STEP, &error);
        let key = self.settled_key().await?;
        let Some(known) = self.dir.registered().await.map_err(stored)? else {
            return self.register(key).await;
        };
        let account = Account {
            key,
            url: known.url,
        };
        if known.contact != self.contact {
            self.tell_contact(&account).await?;
        }
        Ok(account)
    }

    async fn register(&self, key: Vec<u8>) -> Result<Account, Failure> {
        let signing = AccountKey::new(&key)
            .map_err(|error| Failure::new(STEP, Class::Store, error.to_string()))?;
        let directory = self.session.directory().await?;
        let mut payload = json!({"termsOfServiceAgreed": true, "contact": self.contact});
        match &self.external {
            Some(external) => {
                payload["externalAccountBinding"] =
                    bind(&signing, external, &directory.new_account).await?;
            }
            None if directory.meta.external_account_required => {
                let text = "the authority asks for an external account: give `eab_key_id` and `eab_hmac_file`";
                return Err(human(text));
            }
            None => {}
        }
        let sent = self
            .session
            .post(&signing, Signer::Key, &directory.new_account, &payload);
        let answer = sent.await.map_err(|lost| Failure::of_lost(STEP, &lost))?;
        if !answer.is_ok() {
            return Err(self.refused(&answer));
        }
        let Some(url) = answer.location.clone() else {
            let text = "the authority does not say where the account is";
            return Err(Failure::new(STEP, Class::CaUnavailable, text));
        };
        info!(
            event = "acme.account",
            directory = self.session.url(),
            url,
            "account registered"
        );
        let account = Account { key, url };
        // An account that was there before (its answer was lost) keeps the contacts it was made with.
        match answer.status {
            201 => self.save(&account).await?,
            _ => self.tell_contact(&account).await?,
        }
        Ok(account)
    }

    /// Contacts that are not to the authority's taste are no reason to go without certificates.
    async fn tell_contact(&self, account: &Account) -> Result<(), Failure> {
        let line = Line::open(&self.session, &account.url, &account.key).await?;
        let contact: Vec<&str> = self.contact.iter().map(String::as_str).collect();
        let outcome = loop {
            let done = line.account.update_contacts(&contact).await;
            if let Some(outcome) = line.outcome(&done) {
                break outcome;
            }
        };
        let answer = outcome.map_err(|lost| Failure::of_lost(STEP, &lost))?;
        if !answer.is_ok() {
            let failure = self.refused(&answer);
            if failure.account_unknown || failure.class != Class::Input {
                return Err(failure);
            }
            warn!(
                event = "acme.account.contact",
                directory = self.session.url(),
                detail = failure.detail,
                "the authority refuses the contacts"
            );
        }
        self.save(account).await
    }

    fn refused(&self, answer: &Answer) -> Failure {
        let mut failure = Failure::of_answer(STEP, answer, self.clock.now());
        let closed: Option<AccountState> = answer.read().ok();
        if closed.is_some_and(|state| state.status != AuthorizationStatus::Valid) {
            failure.class = Class::Human;
        }
        if failure.reach == Reach::Certificate {
            failure.reach = Reach::Account;
        }
        failure
    }

    async fn save(&self, account: &Account) -> Result<(), Failure> {
        let registered = Registered {
            url: account.url.clone(),
            contact: self.contact.clone(),
        };
        let saved = self.dir.save(&registered).await;
        saved.map_err(|error| Failure::of_storage(STEP, &error))
    }
}

#[derive(serde::Deserialize)]
struct AccountState {
    status: AuthorizationStatus,
}

async fn bind(
    key: &AccountKey,
    external: &ExternalAccount,
    new_account: &str,
) -> Result<Value, Failure> {
    let secret = read_secret(&external.hmac_file).await?;
    let external = jose::ExternalAccount {
        key_id: &external.key_id,
        hmac_key: &secret,
    };
    Ok(key.bind(&external, new_account))
}

async fn read_secret(path: &Path) -> Result<Vec<u8>, Failure> {
    let text = tokio::fs::read_to_string(path).await.map_err(|error| {
        human(&format!(
            "cannot read `eab_hmac_file` `{}`: {error}",
            path.display()
        ))
    })?;
    jose::decode_secret(&text)
        .ok_or_else(|| human(&format!("`{}` is not base64url", path.display())))
}

fn human(text: &str) -> Failure {
    Failure {
        reach: Reach::Account,
        ..Failure::new(STEP, Class::Human, text)
    }
}
