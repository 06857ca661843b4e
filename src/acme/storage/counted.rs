//! A store that counts what fails in the store behind it, for the metrics.
//!
//! Changes nothing else. A conflict is an answer, not a failure.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::store::{Changes, Expect, Key, Lease, Store, StoreError, Value, Version};

/// How often each call failed. Clones are the same counts.
#[derive(Clone, Debug)]
pub struct StoreFailures(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Default for StoreFailures {
    fn default() -> Self {
        let calls = ["get", "put", "list", "delete", "lease"];
        let none = calls.into_iter().map(|call| (call, 0)).collect();
        Self(Arc::new(Mutex::new(none)))
    }
}

impl StoreFailures {
    /// By call: `get`, `put`, `list`, `delete`, `lease`; all are there from the start.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.0.lock();
        counts.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note<T>(&self, call: &'static str, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result
            && !matches!(error, StoreError::Conflict { .. })
        {
            let counts = self.0.lock();
            let mut counts = counts.unwrap_or_else(PoisonError::into_inner);
            *counts.entry(call).or_default() += 1;
        }
        result
    }
}

/// The store behind, counted.
#[derive(Debug)]
pub(super) struct Counted<S> {
    inner: S,
    failures: StoreFailures,
}

impl<S> Counted<S> {
    pub(super) fn new(inner: S, failures: StoreFailures) -> Self {
        Self { inner, failures }
    }
}

#[async_trait]
impl<S: Store> Store for Counted<S> {
    async fn get(&self, key: &Key) -> Result<Option<Value>, StoreError> {
        self.failures.note("get", self.inner.get(key).await)
    }

    async fn put(
        &self,
        key: &Key,
        bytes: &[u8],
        expect: Expect<'_>,
        lease: Option<&Lease>,
    ) -> Result<Version, StoreError> {
        let put = self.inner.put(key, bytes, expect, lease).await;
        self.failures.note("put", put)
    }

    async fn list(&self, prefix: &Key) -> Result<Vec<Key>, StoreError> {
        self.failures.note("list", self.inner.list(prefix).await)
    }

    async fn delete(
        &self,
        key: &Key,
        expect: Expect<'_>,
        lease: Option<&Lease>,
    ) -> Result<(), StoreError> {
        let delete = self.inner.delete(key, expect, lease).await;
        self.failures.note("delete", delete)
    }

    async fn set_aside(&self, key: &Key, reason: &str) {
        self.inner.set_aside(key, reason).await;
    }

    async fn watch(&self, keys: &[Key]) -> Box<dyn Changes> {
        self.inner.watch(keys).await
    }

    async fn lease(&self, name: &str) -> Result<Option<Lease>, StoreError> {
        self.failures.note("lease", self.inner.lease(name).await)
    }
}

#[cfg(test)]
mod tests {
    use super::super::file_store::FileStore;
    use super::*;

    #[tokio::test]
    async fn failures_are_counted_by_call_and_conflicts_are_not() {
        let root = tempfile::tempdir().unwrap();
        let failures = StoreFailures::default();
        let place = root.path().join("acme");
        let store = Counted::new(FileStore::new(place.clone()), failures.clone());
        let key = Key::of("x.json");
        store.put(&key, b"1", Expect::Any, None).await.unwrap();
        let again = store.put(&key, b"2", Expect::Absent, None).await;
        assert!(matches!(again, Err(StoreError::Conflict { .. })));
        assert!(failures.counts().values().all(|count| *count == 0));
        std::fs::remove_dir_all(&place).unwrap();
        std::fs::write(&place, "in the way").unwrap();
        assert!(store.put(&key, b"3", Expect::Any, None).await.is_err());
        assert!(store.lease("a.test").await.is_err());
        let counts = failures.counts();
        assert_eq!((counts["put"], counts["lease"], counts["list"]), (1, 1, 0));
    }
}
