//! One host's certificate on disk: its generations, its order under way, its back-off.
//!
//! A generation begins with its key, before anything is ordered, and is complete when `current` points at it. The
//! pointer is the only thing that changes; `meta.json` can be lost without harm.

use std::fs;
use std::path::PathBuf;

use rcgen::KeyPair;
use time::OffsetDateTime;
use tracing::warn;

use super::records::{Meta, Order, Record, Spec, VERSION, instant, milliseconds};
use super::{StorageError, files};
use crate::tls::pem::{Pair, Place, parse_pair};
use crate::types::host::{Host, HostPattern};

/// Complete generations kept besides the current one.
const KEEP_OLD: usize = 2;

/// `certs/<host>/`.
#[derive(Clone, Debug)]
pub(crate) struct CertificateDir {
    folder: PathBuf,
}

/// A certificate found on disk.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) pair: Pair,
    /// The directory it came from, when that is known.
    pub(crate) directory: Option<String>,
    /// When it was stored, by this machine's clock, when that is known.
    pub(crate) issued: Option<OffsetDateTime>,
}

impl CertificateDir {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The newest good certificate for `host`; expired ones count. Damaged generations are set aside.
    pub(crate) fn load(&self, host: &Host) -> Option<Stored> {
        files::sweep(&self.folder);
        let current = fs::read_link(self.folder.join("current")).ok();
        let current = current.and_then(|target| number_of(&target.to_string_lossy()));
        let mut generations = self.generations();
        generations
            .sort_unstable_by_key(|number| (Some(*number) != current, std::cmp::Reverse(*number)));
        generations
            .into_iter()
            .find_map(|number| self.load_generation(number, host))
    }

    fn load_generation(&self, number: u32, host: &Host) -> Option<Stored> {
        let folder = self.generation(number);
        let (key, chain) = (folder.join("key.pem"), folder.join("chain.pem"));
        let texts = files::read(&chain).and_then(|chain| Ok((chain, files::read(&key)?)));
        let (chain_text, key_text) = match texts {
            // No chain: the generation was never completed, or is being ordered.
            Ok((None, _)) => return None,
            Ok((Some(chain_text), key_text)) => (chain_text, key_text.unwrap_or_default()),
            Err(error) => {
                warn!(event = "acme.store.error", %error, reason = %error.source, "a stored certificate cannot be read");
                return None;
            }
        };
        files::mend_mode(&folder, 0o700);
        files::mend_mode(&key, 0o600);
        match parse_pair(&chain_text, Place::File(chain), &key_text, Place::File(key)) {
            Ok(pair) if pair.leaf.covers(&HostPattern::Exact(host.clone())) => {
                let meta = files::read_json::<Meta>(&folder.join("meta.json"))
                    .ok()
                    .flatten();
                Some(Stored {
                    pair,
                    issued: meta.as_ref().map(|meta| instant(meta.issued_unix_ms)),
                    directory: meta.map(|meta| meta.directory),
                })
            }
            Ok(_) => {
                files::set_aside(&folder, "the certificate does not name the host");
                None
            }
            Err(error) => {
                files::set_aside(&folder, &error.to_string());
                None
            }
        }
    }

    /// Begins a generation: a new key, on the disk before this returns. Generations begun before and not ordered go.
    pub(crate) fn begin(&self, host: &Host) -> Result<(u32, KeyPair), StorageError> {
        files::make_folder(&self.folder)?;
        let spec = Spec {
            version: VERSION,
            host: host.as_str(),
        };
        files::write_json(&self.folder.join("spec.json"), &spec)?;
        for number in self.generations() {
            if !self.generation(number).join("chain.pem").exists() {
                self.remove_generation(number);
            }
        }
        let number = self.generations().into_iter().max().unwrap_or(0) + 1;
        let folder = self.generation(number);
        files::make_folder(&folder)?;
        let path = folder.join("key.pem");
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|error| {
            StorageError {
                action: "make a key for",
                path: path.clone(),
                source: std::io::Error::other(error),
            }
        })?;
        files::replace(&path, key.serialize_pem().as_bytes())?;
        files::sync_folder_of(&folder).map_err(|source| StorageError {
            action: "write",
            path: self.folder.clone(),
            source,
        })?;
        Ok((number, key))
    }

    /// The key of a generation under way; `None` when it is lost.
    pub(crate) fn key(&self, generation: u32) -> Option<KeyPair> {
        let pem = files::read(&self.generation(generation).join("key.pem")).ok()??;
        KeyPair::from_pem(std::str::from_utf8(&pem).ok()?).ok()
    }

    /// Completes a generation with its chain and makes it the current one.
    pub(crate) fn complete(
        &self,
        order: &Order,
        chain: &str,
        now: OffsetDateTime,
    ) -> Result<(), StorageError> {
        let folder = self.generation(order.generation);
        let meta = Meta {
            version: VERSION,
            directory: order.directory.clone(),
            order: order.url.clone(),
            issued_unix_ms: milliseconds(now),
        };
        files::write_json(&folder.join("meta.json"), &meta)?;
        files::replace(&folder.join("chain.pem"), chain.as_bytes())?;
        files::point(
            &self.folder.join("current"),
            &generation_name(order.generation),
        )?;
        self.prune(order.generation);
        Ok(())
    }

    /// What is remembered of this kind; what cannot be read or understood counts as nothing.
    pub(crate) fn record<R: Record>(&self) -> Option<R> {
        let record: Option<R> = self.lenient(files::read_json(&self.folder.join(R::NAME)));
        record.filter(|record| record.version() == VERSION)
    }

    /// Remembers it.
    pub(crate) fn save_record<R: Record>(&self, record: &R) -> Result<(), StorageError> {
        files::make_folder(&self.folder)?;
        files::write_json(&self.folder.join(R::NAME), record)
    }

    /// Forgets it.
    pub(crate) fn clear_record<R: Record>(&self) {
        self.remove(R::NAME);
    }

    fn lenient<T>(&self, result: Result<Option<T>, StorageError>) -> Option<T> {
        result
            .inspect_err(|error| warn!(event = "acme.store.error", %error, reason = %error.source, "state cannot be read"))
            .ok()
            .flatten()
    }

    fn remove(&self, name: &str) {
        let path = self.folder.join(name);
        if let Err(error) = files::remove_if_there(&path) {
            warn!(event = "acme.store.error", path = %path.display(), %error, "state cannot be removed");
        }
    }

    fn prune(&self, current: u32) {
        let mut old: Vec<u32> = self
            .generations()
            .into_iter()
            .filter(|number| *number < current)
            .collect();
        old.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
        for number in old.into_iter().skip(KEEP_OLD) {
            self.remove_generation(number);
        }
    }

    fn remove_generation(&self, number: u32) {
        let folder = self.generation(number);
        if let Err(error) = fs::remove_dir_all(&folder) {
            warn!(event = "acme.store.error", path = %folder.display(), %error, "an old generation cannot be removed");
        }
    }

    fn generations(&self) -> Vec<u32> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| number_of(&entry.file_name().to_string_lossy()))
            .collect()
    }

    fn generation(&self, number: u32) -> PathBuf {
        self.folder.join(generation_name(number))
    }
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
