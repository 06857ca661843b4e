//! One account on disk: its key, the key it is being given, and what the authority calls it.
//!
//! A key is written before the authority hears of it, so that an answer that is lost costs no account: the same key
//! registers the same account again (RFC 8555 section 7.3.1), and of two keys the authority knows one.

use std::sync::Arc;

use rcgen::KeyPair;
use serde::{Deserialize, Serialize};

use super::documents::{new_key, read_json, write_json};
use super::records::{Record as _, Rollover};
use super::store::{Expect, Key, Store, StoreError};
use crate::acme::stop::stop_at;

const VERSION: u32 = 1;
const KEY: &str = "key.pem";
/// The key an account is being given.
const NEXT: &str = "key-next.pem";

/// `accounts/<directory>/`.
#[derive(Debug)]
pub(crate) struct AccountDir {
    store: Arc<dyn Store>,
    key: Key,
    directory: String,
}

/// `account.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    version: u32,
    directory: String,
    url: String,
    contact: Vec<String>,
}

/// A registered account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    /// The account's URL, which is its name at the authority.
    pub(crate) url: String,
    /// The contacts the authority was told, `mailto:` included.
    pub(crate) contact: Vec<String>,
}

impl AccountDir {
    pub(super) fn new(store: Arc<dyn Store>, key: Key, directory: &str) -> Self {
        Self {
            store,
            key,
            directory: directory.to_owned(),
        }
    }

    /// The account's key in PKCS#8 DER, made and stored when there is none yet.
    ///
    /// A damaged key is set aside; the account that comes next is a new one.
    pub(crate) async fn key(&self) -> Result<Vec<u8>, StoreError> {
        if let Some(key) = self.read_key(KEY).await? {
            return Ok(key);
        }
        self.forget().await?;
        let key = new_key(&*self.store, &self.key.join(KEY), None).await?;
        Ok(key.serialize_der())
    }

    /// The key, if there is one.
    pub(crate) async fn stored_key(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.read_key(KEY).await
    }

    async fn read_key(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let at = self.key.join(name);
        let Some(pem) = self.store.get(&at).await? else {
            return Ok(None);
        };
        match KeyPair::from_pem(&String::from_utf8_lossy(&pem.bytes)) {
            Ok(key) => Ok(Some(key.serialize_der())),
            Err(error) => {
                self.store.set_aside(&at, &error.to_string()).await;
                Ok(None)
            }
        }
    }

    /// The key the account is being given, in PKCS#8 DER; none when that is done or was never begun.
    pub(crate) async fn next_key(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.read_key(NEXT).await
    }

    /// Makes the key that the account is to be given, unless there is one.
    pub(crate) async fn make_next_key(&self) -> Result<Vec<u8>, StoreError> {
        if let Some(key) = self.next_key().await? {
            return Ok(key);
        }
        let key = new_key(&*self.store, &self.key.join(NEXT), None).await?;
        Ok(key.serialize_der())
    }

    /// Makes the next key the key: the authority knows it, and the one before not any more.
    pub(crate) async fn adopt_next_key(&self) -> Result<(), StoreError> {
        if let Some(pem) = self.store.get(&self.key.join(NEXT)).await? {
            let at = self.key.join(KEY);
            self.store.put(&at, &pem.bytes, Expect::Any, None).await?;
        }
        stop_at("adopt");
        self.drop_next_key().await
    }

    /// Removes the next key: the authority does not know it and will not be asked to any more, or it is the key.
    pub(crate) async fn drop_next_key(&self) -> Result<(), StoreError> {
        for name in [NEXT, Rollover::NAME] {
            let at = self.key.join(name);
            self.store.delete(&at, Expect::Any, None).await?;
        }
        Ok(())
    }

    /// The key in PKCS#8 DER and the account, as they are; nothing is made, mended or set aside.
    pub(crate) async fn look(&self) -> Result<Option<(Vec<u8>, Registered)>, StoreError> {
        let key = self.store.get(&self.key.join(KEY)).await?;
        let record = self.store.get(&self.key.join("account.json")).await?;
        let key = key.and_then(|pem| KeyPair::from_pem(&String::from_utf8_lossy(&pem.bytes)).ok());
        let record: Option<Record> =
            record.and_then(|record| serde_json::from_slice(&record.bytes).ok());
        Ok(key
            .zip(record)
            .filter(|(_, record)| record.directory == self.directory)
            .map(|(key, record)| {
                let registered = Registered {
                    url: record.url,
                    contact: record.contact,
                };
                (key.serialize_der(), registered)
            }))
    }

    /// The account, when it was registered at this very directory.
    pub(crate) async fn registered(&self) -> Result<Option<Registered>, StoreError> {
        let record: Option<Record> =
            read_json(&*self.store, &self.key.join("account.json")).await?;
        Ok(record
            .filter(|record| record.version == VERSION && record.directory == self.directory)
            .map(|record| Registered {
                url: record.url,
                contact: record.contact,
            }))
    }

    /// Remembers the account.
    pub(crate) async fn save(&self, account: &Registered) -> Result<(), StoreError> {
        let record = Record {
            version: VERSION,
            directory: self.directory.clone(),
            url: account.url.clone(),
            contact: account.contact.clone(),
        };
        let at = self.key.join("account.json");
        write_json(&*self.store, &at, &record, None).await.map(drop)
    }

    /// What is remembered of this kind; what cannot be read or understood counts as nothing.
    pub(crate) async fn record<R: super::records::Record>(&self) -> Option<R> {
        let at = self.key.join(R::NAME);
        let record: Option<R> = read_json(&*self.store, &at).await.ok().flatten();
        record.filter(|record| record.version() == super::records::VERSION)
    }

    /// Remembers it.
    pub(crate) async fn save_record<R: super::records::Record>(
        &self,
        record: &R,
    ) -> Result<(), StoreError> {
        let at = self.key.join(R::NAME);
        write_json(&*self.store, &at, record, None).await.map(drop)
    }

    /// Forgets the account, not its key.
    pub(crate) async fn forget(&self) -> Result<(), StoreError> {
        let at = self.key.join("account.json");
        self.store.delete(&at, Expect::Any, None).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::file_store::FileStore;
    use super::*;

    fn dir(root: &tempfile::TempDir, url: &str) -> AccountDir {
        let store = FileStore::new(root.path().to_owned());
        AccountDir::new(Arc::new(store), Key::of("ca"), url)
    }

    #[tokio::test]
    async fn the_key_stays_the_same_and_a_damaged_one_makes_a_new_account() {
        let root = tempfile::tempdir().unwrap();
        let dir = dir(&root, "https://ca.test/dir");
        let key = dir.key().await.unwrap();
        let account = Registered {
            url: "https://ca.test/acct/1".to_owned(),
            contact: vec!["mailto:ops@example.test".to_owned()],
        };
        dir.save(&account).await.unwrap();
        assert_eq!(dir.key().await.unwrap(), key);
        assert_eq!(dir.registered().await.unwrap(), Some(account));
        std::fs::write(root.path().join("ca/key.pem"), "cut").unwrap();
        assert_ne!(dir.key().await.unwrap(), key);
        assert_eq!(dir.registered().await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_next_key_stays_the_same_until_it_is_the_key() {
        let root = tempfile::tempdir().unwrap();
        let dir = dir(&root, "https://ca.test/dir");
        let (first, next) = (dir.key().await.unwrap(), dir.make_next_key().await.unwrap());
        assert_ne!(first, next);
        assert_eq!(dir.make_next_key().await.unwrap(), next);
        assert_eq!(dir.key().await.unwrap(), first);
        dir.adopt_next_key().await.unwrap();
        assert_eq!(dir.key().await.unwrap(), next);
        assert_eq!(dir.next_key().await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_account_of_another_directory_is_not_used() {
        let root = tempfile::tempdir().unwrap();
        let account = Registered {
            url: "u".to_owned(),
            contact: Vec::new(),
        };
        dir(&root, "https://a.test/dir")
            .save(&account)
            .await
            .unwrap();
        let other = dir(&root, "https://b.test/dir").registered().await;
        assert_eq!(other.unwrap(), None);
    }
}
