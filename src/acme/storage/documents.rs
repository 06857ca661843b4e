//! JSON records and private keys in a store: damaged ones are set aside and count as none.
//!
//! What the records say is `records`' and the callers' business.

use rcgen::KeyPair;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::store::{Expect, Key, Lease, Store, StoreError, Version};

/// Reads a record; `None` when there is none, or when it was damaged and is set aside now.
pub(crate) async fn read_json<T: DeserializeOwned>(
    store: &dyn Store,
    key: &Key,
) -> Result<Option<T>, StoreError> {
    let Some(value) = store.get(key).await? else {
        return Ok(None);
    };
    match serde_json::from_slice(&value.bytes) {
        Ok(record) => Ok(Some(record)),
        Err(error) => {
            store.set_aside(key, &error.to_string()).await;
            Ok(None)
        }
    }
}

/// Writes a record, for people to read too.
pub(crate) async fn write_json<T: Serialize + Sync>(
    store: &dyn Store,
    key: &Key,
    record: &T,
    lease: Option<&Lease>,
) -> Result<Version, StoreError> {
    let text = serde_json::to_vec_pretty(record).map_err(|error| StoreError::Io {
        action: "write",
        place: key.to_string(),
        source: error.into(),
    })?;
    store.put(key, &text, Expect::Any, lease).await
}

/// Makes a key (ECDSA P-256) and keeps it where nothing is yet; it is on the disk before this returns.
pub(crate) async fn new_key(
    store: &dyn Store,
    key: &Key,
    lease: Option<&Lease>,
) -> Result<KeyPair, StoreError> {
    let made =
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|error| StoreError::Io {
            action: "make a key for",
            place: key.to_string(),
            source: std::io::Error::other(error),
        })?;
    let pem = made.serialize_pem();
    store
        .put(key, pem.as_bytes(), Expect::Absent, lease)
        .await?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::super::file_store::FileStore;
    use super::*;

    #[tokio::test]
    async fn damaged_json_is_set_aside_and_counts_as_none() {
        let root = tempfile::tempdir().unwrap();
        let store = FileStore::new(root.path().to_owned());
        let key = Key::of("x.json");
        std::fs::write(root.path().join("x.json"), "{\"a\":").unwrap();
        let read = read_json::<serde_json::Value>(&store, &key).await.unwrap();
        assert_eq!(read, None);
        assert!(!root.path().join("x.json").exists());
        let left = std::fs::read_dir(root.path()).unwrap().next();
        let left = left.unwrap().unwrap().file_name();
        assert!(left.to_string_lossy().starts_with("bad-x.json-"));
    }

    #[tokio::test]
    async fn a_key_is_never_written_over_another() {
        let root = tempfile::tempdir().unwrap();
        let store = FileStore::new(root.path().to_owned());
        new_key(&store, &Key::of("key.pem"), None).await.unwrap();
        let again = new_key(&store, &Key::of("key.pem"), None).await;
        assert!(matches!(again, Err(StoreError::Conflict { .. })));
    }
}
