//! One host's certificate on disk: its generations, its order under way, its back-off.
//!
//! A generation begins with its key, before anything is ordered, and is complete when `current` points at it. The
//! pointer is the only thing that changes; `meta.json` can be lost without harm.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::KeyPair;
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use tracing::warn;

use super::documents::{new_key, read_json, write_json};
use super::history::History;
use super::records::{Meta, Order, Record, Spec, VERSION, instant, milliseconds};
use super::store::{Expect, Key, Lease, Store, StoreError};
use crate::observe::reasons::with_reasons;
use crate::tls::pem::{Pair, Place, parse_pair};
use crate::tls::verify;
use crate::types::host::Host;

/// Complete generations kept besides the current one.
const KEEP_OLD: usize = 2;

/// `certs/<host>/`.
#[derive(Clone, Debug)]
pub(crate) struct CertificateDir {
    store: Arc<dyn Store>,
    key: Key,
    /// Under which everything is written, when there is one.
    lease: Option<Arc<Lease>>,
}

/// A certificate found on disk.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The pair, verified but for its dates.
    pub pair: Pair,
    /// The directory it came from, when that is known.
    pub(crate) directory: Option<String>,
    /// When it was stored, by this machine's clock, when that is known.
    pub(crate) issued: Option<OffsetDateTime>,
}

impl CertificateDir {
    pub(super) fn new(store: Arc<dyn Store>, key: Key) -> Self {
        Self {
            store,
            key,
            lease: None,
        }
    }

    /// The right to order for this host, under which the [`CertificateDir`] given back writes; `None` while another
    /// process has it. It is given back when the last clone is dropped.
    pub(crate) async fn leased(&self) -> Result<Option<Self>, StoreError> {
        let lease = self.store.lease(self.key.name()).await?;
        Ok(lease.map(|lease| Self {
            lease: Some(Arc::new(lease)),
            ..self.clone()
        }))
    }

    /// The newest good certificate for `host`; expired ones count. Damaged generations are set aside.
    pub(crate) async fn load(&self, host: &Host) -> Option<Stored> {
        let current = self.current().await;
        let mut generations = self.generations().await;
        generations
            .sort_unstable_by_key(|number| (Some(*number) != current, std::cmp::Reverse(*number)));
        for number in generations {
            if let Some(stored) = self.load_generation(number, host).await {
                self.mend(number, current).await;
                return Some(stored);
            }
        }
        None
    }

    /// Where the pointer to the current generation stands, as it is: another value means that somebody stored something.
    pub(crate) async fn mark(&self) -> Option<Vec<u8>> {
        self.read(&self.key.join("current")).await
    }

    /// Does what a kill between chain, pointer and the order's end left undone.
    async fn mend(&self, number: u32, current: Option<u32>) {
        if current != Some(number) {
            let (at, name) = (self.key.join("current"), generation_name(number));
            let lease = self.lease.as_deref();
            let put = self.store.put(&at, name.as_bytes(), Expect::Any, lease);
            if told(put.await).is_none() {
                return;
            }
        }
        let ordered = self.record::<Order>().await;
        if ordered.is_some_and(|order| order.generation == number) {
            self.clear_record::<Order>().await;
        }
    }

    async fn load_generation(&self, number: u32, host: &Host) -> Option<Stored> {
        let folder = self.generation(number);
        let (key, chain) = (folder.join("key.pem"), folder.join("chain.pem"));
        // No chain: the generation was never completed, or is being ordered.
        let chain_text = self.read(&chain).await?;
        let key_text = self.read(&key).await.unwrap_or_default();
        let place = |key: &Key| Place::File(PathBuf::from(key.as_str()));
        let read = parse_pair(&chain_text, place(&chain), &key_text, place(&key));
        let checked = read.map_err(|error| error.to_string()).and_then(|pair| {
            let hosts = std::slice::from_ref(host);
            let verified = verify::lasting(&pair, hosts).map_err(|fault| fault.to_string());
            verified.map(|()| pair)
        });
        match checked {
            Ok(pair) => {
                let meta: Option<Meta> = self.json(&folder.join("meta.json")).await;
                Some(Stored {
                    pair,
                    issued: meta.as_ref().map(|meta| instant(meta.issued_unix_ms)),
                    directory: meta.map(|meta| meta.directory),
                })
            }
            Err(reason) => {
                self.store.set_aside(&folder, &reason).await;
                None
            }
        }
    }

    /// Begins a generation: a new key, on the disk before this returns. Generations begun before and not ordered go.
    pub(crate) async fn begin(&self, host: &Host) -> Result<(u32, KeyPair), StoreError> {
        let spec = Spec {
            version: VERSION,
            host: host.as_str(),
        };
        self.save("spec.json", &spec).await?;
        let keys = self.keys().await;
        for number in numbers(&self.key, &keys) {
            if !keys.contains(&self.generation(number).join("chain.pem")) {
                self.remove_generation(number).await;
            }
        }
        let number = self.generations().await.into_iter().max().unwrap_or(0) + 1;
        let at = self.generation(number).join("key.pem");
        let key = new_key(&*self.store, &at, self.lease.as_deref()).await?;
        Ok((number, key))
    }

    /// Keeps a pair from elsewhere as a new generation and makes it the current one.
    pub(crate) async fn import(
        &self,
        host: &Host,
        chain: &[u8],
        key: &[u8],
    ) -> Result<(), StoreError> {
        let spec = Spec {
            version: VERSION,
            host: host.as_str(),
        };
        self.save("spec.json", &spec).await?;
        let number = self.generations().await.into_iter().max().unwrap_or(0) + 1;
        let folder = self.generation(number);
        let name = generation_name(number);
        for (at, bytes) in [
            (folder.join("key.pem"), key),
            (folder.join("chain.pem"), chain),
            (self.key.join("current"), name.as_bytes()),
        ] {
            let lease = self.lease.as_deref();
            self.store.put(&at, bytes, Expect::Any, lease).await?;
        }
        self.prune(number).await;
        Ok(())
    }

    /// The key of a generation under way; `None` when it is lost.
    pub(crate) async fn key(&self, generation: u32) -> Option<KeyPair> {
        let pem = self
            .read(&self.generation(generation).join("key.pem"))
            .await?;
        KeyPair::from_pem(std::str::from_utf8(&pem).ok()?).ok()
    }

    /// Completes a generation with its chain, counts it, and makes it the current one.
    pub(crate) async fn complete(
        &self,
        order: &Order,
        chain: &str,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let folder = self.generation(order.generation);
        let lease = self.lease.as_deref();
        let meta = Meta {
            version: VERSION,
            directory: order.directory.clone(),
            order: order.url.clone(),
            issued_unix_ms: milliseconds(now),
        };
        write_json(&*self.store, &folder.join("meta.json"), &meta, lease).await?;
        let mut history: History = self.record().await.unwrap_or_default();
        history.add(order, now);
        self.save_record(&history).await?;
        let put = |key: Key, text: String| async move {
            let text = text.as_bytes();
            self.store.put(&key, text, Expect::Any, lease).await
        };
        put(folder.join("chain.pem"), chain.to_owned()).await?;
        put(self.key.join("current"), generation_name(order.generation)).await?;
        self.prune(order.generation).await;
        Ok(())
    }

    /// What is remembered of this kind; what cannot be read or understood counts as nothing.
    pub(crate) async fn record<R: Record>(&self) -> Option<R> {
        let record: Option<R> = self.json(&self.key.join(R::NAME)).await;
        record.filter(|record| record.version() == VERSION)
    }

    /// Remembers it.
    pub(crate) async fn save_record<R: Record>(&self, record: &R) -> Result<(), StoreError> {
        self.save(R::NAME, record).await
    }

    /// Forgets it; a failure is only told by the log.
    pub(crate) async fn clear_record<R: Record>(&self) {
        self.remove(&self.key.join(R::NAME)).await;
    }

    async fn save<T: Serialize + Sync>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        let lease = self.lease.as_deref();
        let at = self.key.join(name);
        write_json(&*self.store, &at, value, lease).await.map(drop)
    }

    async fn json<T: DeserializeOwned>(&self, key: &Key) -> Option<T> {
        told(read_json(&*self.store, key).await).flatten()
    }

    async fn read(&self, key: &Key) -> Option<Vec<u8>> {
        told(self.store.get(key).await)
            .flatten()
            .map(|value| value.bytes)
    }

    async fn remove(&self, key: &Key) {
        let lease = self.lease.as_deref();
        told(self.store.delete(key, Expect::Any, lease).await).unwrap_or(());
    }

    async fn prune(&self, current: u32) {
        let mut old = self.generations().await;
        old.retain(|number| *number < current);
        old.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
        for number in old.into_iter().skip(KEEP_OLD) {
            self.remove_generation(number).await;
        }
    }

    /// The chain goes first: what is left of a removal that was cut looks like a generation that was never completed.
    async fn remove_generation(&self, number: u32) {
        let folder = self.generation(number);
        let mut keys = told(self.store.list(&folder).await).unwrap_or_default();
        keys.sort_by_key(|key| key.name() != "chain.pem");
        for key in keys {
            self.remove(&key).await;
        }
    }

    async fn current(&self) -> Option<u32> {
        let target = self.read(&self.key.join("current")).await?;
        number_of(std::str::from_utf8(&target).ok()?)
    }

    async fn keys(&self) -> Vec<Key> {
        told(self.store.list(&self.key).await).unwrap_or_default()
    }

    async fn generations(&self) -> Vec<u32> {
        numbers(&self.key, &self.keys().await)
    }

    fn generation(&self, number: u32) -> Key {
        self.key.join(&generation_name(number))
    }
}

/// What there is, or nothing and a line in the log.
fn told<T>(result: Result<T, StoreError>) -> Option<T> {
    result
        .inspect_err(|error| {
            warn!(event = "acme.store.error", error = %with_reasons(error), "the state directory fails");
        })
        .ok()
}

/// The numbers of the generations that have any file, each once.
fn numbers(folder: &Key, keys: &[Key]) -> Vec<u32> {
    let first = |key| folder.below(key)?.split('/').next();
    let mut numbers: Vec<u32> = keys
        .iter()
        .filter_map(first)
        .filter_map(number_of)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn generation_name(number: u32) -> String {
    format!("g{number:06}")
}

fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix('g')?;
    (digits.len() >= 6 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests;
