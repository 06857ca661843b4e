//! The account at the authority: registered when first needed, never at start, and shared by all orders.
//!
//! Invariant: one key per directory URL. An authority that has forgotten the account gets the same key again, so tokens
//! already published stay right.

use std::path::PathBuf;

use instant_acme::{Account, Key};
use rustls::pki_types::PrivatePkcs8KeyDer;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tracing::info;

use super::client::{AcmeHttp, last_answer};
use super::failure::Failure;
use super::schedule::Class;
use super::storage::{AccountDir, Registered, Storage};

/// Where the account is and what the authority shall know of us.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    /// The directory's URL.
    pub(super) directory: String,
    /// Mail addresses, with or without `mailto:`.
    pub(super) contact: Vec<String>,
    /// Extra roots.
    pub(super) ca_file: Option<PathBuf>,
}

/// The account, opened once and kept.
pub(super) struct Accounts {
    authority: Authority,
    dir: AccountDir,
    open: Mutex<Option<Account>>,
}

impl Accounts {
    pub(super) fn new(authority: Authority, storage: &Storage) -> Self {
        Self {
            dir: storage.account(&authority.directory),
            authority,
            open: Mutex::new(None),
        }
    }

    /// The directory's URL.
    pub(super) fn directory(&self) -> &str {
        &self.authority.directory
    }

    /// The account; the first call asks the authority for its directory and registers if need be.
    pub(super) async fn get(&self) -> Result<Account, Failure> {
        let mut open = self.open.lock().await;
        if let Some(account) = &*open {
            return Ok(account.clone());
        }
        let account = self.open_or_register().await?;
        *open = Some(account.clone());
        Ok(account)
    }

    /// Registers again with the same key, because the authority does not know `stale` any more.
    pub(super) async fn register_again(&self, stale: &Account) -> Result<Account, Failure> {
        let mut open = self.open.lock().await;
        if let Some(account) = &*open
            && account.id() != stale.id()
        {
            return Ok(account.clone()); // another order was faster
        }
        *open = None;
        self.dir
            .forget()
            .await
            .map_err(|error| Failure::of_storage("account", &error))?;
        let account = self.open_or_register().await?;
        *open = Some(account.clone());
        Ok(account)
    }

    async fn open_or_register(&self) -> Result<Account, Failure> {
        let stored = |error| Failure::of_storage("account", &error);
        let refused =
            |error| Failure::of_acme("account", &error, &last_answer(), OffsetDateTime::now_utc());
        let key = self.dir.key().await.map_err(stored)?;
        let http = AcmeHttp::new(self.authority.ca_file.as_deref())
            .map_err(|error| Failure::new("account", Class::Store, error.to_string()))?;
        let builder = Account::builder_with_http(Box::new(http));
        let directory = self.authority.directory.clone();
        let contact = self.contact();
        let known = self.dir.registered().await.map_err(stored)?;
        let (account, told) = match known {
            Some(known) => {
                let account =
                    builder.from_parts(known.url, PrivatePkcs8KeyDer::from(key), directory);
                (account.await.map_err(refused)?, known.contact)
            }
            None => {
                let signing = Key::from_pkcs8_der(PrivatePkcs8KeyDer::from(key.as_slice()))
                    .map_err(refused)?;
                let der = PrivatePkcs8KeyDer::from(key.clone());
                let (account, _) = builder
                    .create_from_key((signing, der.into()), directory)
                    .await
                    .map_err(refused)?;
                info!(
                    event = "acme.account",
                    directory = self.authority.directory,
                    url = account.id(),
                    "account registered"
                );
                self.save(&account, Vec::new()).await?;
                (account, Vec::new())
            }
        };
        if told != contact {
            let contacts: Vec<&str> = contact.iter().map(String::as_str).collect();
            account.update_contacts(&contacts).await.map_err(refused)?;
            self.save(&account, contact).await?;
        }
        Ok(account)
    }

    async fn save(&self, account: &Account, contact: Vec<String>) -> Result<(), Failure> {
        let registered = Registered {
            url: account.id().to_owned(),
            contact,
        };
        self.dir
            .save(&registered)
            .await
            .map_err(|error| Failure::of_storage("account", &error))
    }

    fn contact(&self) -> Vec<String> {
        let with_scheme = |address: &String| match address.split_once(':') {
            Some(_) => address.clone(),
            None => format!("mailto:{address}"),
        };
        self.authority.contact.iter().map(with_scheme).collect()
    }
}
