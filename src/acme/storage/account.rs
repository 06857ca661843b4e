//! One account on disk: its key, and what the authority calls it.
//!
//! The key is written before the account is registered, so that an answer that is lost costs no second account: the
//! same key registers the same account again (RFC 8555 section 7.3.1).

use std::path::PathBuf;

use rcgen::KeyPair;
use serde::{Deserialize, Serialize};

use super::{StorageError, files};

const VERSION: u32 = 1;

/// `accounts/<directory>/`.
#[derive(Debug)]
pub(crate) struct AccountDir {
    folder: PathBuf,
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
    pub(super) fn new(folder: PathBuf, directory: &str) -> Self {
        Self {
            folder,
            directory: directory.to_owned(),
        }
    }

    /// The account's key in PKCS#8 DER, made and stored when there is none yet.
    ///
    /// A damaged key is set aside; the account that comes next is a new one.
    pub(crate) fn key(&self) -> Result<Vec<u8>, StorageError> {
        files::make_folder(&self.folder)?;
        files::sweep(&self.folder);
        let path = self.folder.join("key.pem");
        if let Some(pem) = files::read(&path)? {
            files::mend_mode(&path, 0o600);
            match KeyPair::from_pem(&String::from_utf8_lossy(&pem)) {
                Ok(key) => return Ok(key.serialize_der()),
                Err(error) => {
                    files::set_aside(&path, &error.to_string());
                    self.forget()?;
                }
            }
        }
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|error| {
            StorageError {
                action: "make a key for",
                path: path.clone(),
                source: std::io::Error::other(error),
            }
        })?;
        files::replace(&path, key.serialize_pem().as_bytes())?;
        Ok(key.serialize_der())
    }

    /// The account, when it was registered at this very directory.
    pub(crate) fn registered(&self) -> Result<Option<Registered>, StorageError> {
        let record: Option<Record> = files::read_json(&self.folder.join("account.json"))?;
        Ok(record
            .filter(|record| record.version == VERSION && record.directory == self.directory)
            .map(|record| Registered {
                url: record.url,
                contact: record.contact,
            }))
    }

    /// Remembers the account.
    pub(crate) fn save(&self, account: &Registered) -> Result<(), StorageError> {
        files::write_json(
            &self.folder.join("account.json"),
            &Record {
                version: VERSION,
                directory: self.directory.clone(),
                url: account.url.clone(),
                contact: account.contact.clone(),
            },
        )
    }

    /// Forgets the account, not its key.
    pub(crate) fn forget(&self) -> Result<(), StorageError> {
        let path = self.folder.join("account.json");
        files::remove_if_there(&path).map_err(|source| StorageError {
            action: "remove",
            path,
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_the_same_and_a_damaged_one_makes_a_new_account() {
        let root = tempfile::tempdir().unwrap();
        let dir = AccountDir::new(root.path().join("ca"), "https://ca.test/dir");
        let key = dir.key().unwrap();
        let account = Registered {
            url: "https://ca.test/acct/1".to_owned(),
            contact: vec!["mailto:ops@example.test".to_owned()],
        };
        dir.save(&account).unwrap();
        assert_eq!(dir.key().unwrap(), key);
        assert_eq!(dir.registered().unwrap(), Some(account));
        std::fs::write(root.path().join("ca/key.pem"), "cut").unwrap();
        assert_ne!(dir.key().unwrap(), key);
        assert_eq!(dir.registered().unwrap(), None);
    }

    #[test]
    fn an_account_of_another_directory_is_not_used() {
        let root = tempfile::tempdir().unwrap();
        let dir = |url: &str| AccountDir::new(root.path().to_owned(), url);
        let account = Registered {
            url: "u".to_owned(),
            contact: Vec::new(),
        };
        dir("https://a.test/dir").save(&account).unwrap();
        assert_eq!(dir("https://b.test/dir").registered().unwrap(), None);
    }
}
