//! The state directory's `acme/`: accounts and certificates, safe against crashes and damage.
//!
//! ```text
//! acme/accounts/<directory>/{key.pem, account.json}
//! acme/locks/{write, <host>}
//! acme/certs/<host>/{spec.json, order.json, backoff.json, g000001/{key.pem, chain.pem, meta.json}, current -> g000001}
//! ```
//! [`store::Store`] is what is asked of the place; `file_store` is the only one so far, `counted` stands before it; `account` and `certificate` say
//! what lies where. Invariants: what is read was written whole; what is damaged is set aside as `bad-*`, never fatal.

mod account;
mod certificate;
mod counted;
mod documents;
mod file_store;
mod files;
mod history;
mod records;
mod store;

use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

pub(super) use account::{AccountDir, Registered};
pub(super) use certificate::CertificateDir;
pub use certificate::Stored;
pub use counted::StoreFailures;
pub use file_store::FileStore;
pub(super) use history::History;
pub(super) use records::{
    Backoff, Failures, Limits, Order, Renewal, Rollover, Window, instant, milliseconds,
};
pub use store::{Changes, Expect, Key, Lease, Store, StoreError, Value, Version};

use self::counted::Counted;
use crate::tls::pem::Leaf;
use crate::types::host::Host;

/// A key, a chain and the records around them, each in blocks of its own.
const ROOM: usize = 16 * 1024;

/// Where accounts and certificates are kept. Clones are the same place.
#[derive(Clone, Debug)]
pub struct Storage {
    store: Arc<dyn Store>,
    /// This machine's own copy, for a start that waits for nobody.
    local: FileStore,
}

impl Storage {
    /// In `state_dir/acme`, which is made at the first write.
    pub fn new(state_dir: &Path) -> Self {
        Self::counting(state_dir, StoreFailures::default())
    }

    /// As [`Storage::new`], with what fails counted.
    pub fn counting(state_dir: &Path, failures: StoreFailures) -> Self {
        let local = FileStore::new(state_dir.join("acme"));
        Self {
            store: Arc::new(Counted::new(local.clone(), failures)),
            local,
        }
    }

    /// Tells of changes to what is kept for `hosts`, by whomever.
    pub(super) async fn watch(&self, hosts: impl Iterator<Item = &Host>) -> Box<dyn Changes> {
        let keys: Vec<_> = hosts
            .map(|host| certificate_key(host).join("current"))
            .collect();
        self.store.watch(&keys).await
    }

    /// Whether the state directory can be written; made if need be, and cleared of what a crash left.
    pub fn check(&self) -> Result<(), StoreError> {
        self.local.check()
    }

    /// Fails when there is no room for what an order and its certificate take.
    pub(super) async fn check_room(&self) -> Result<(), StoreError> {
        let probe = Key::of("probe");
        self.store
            .put(&probe, &[b'x'; ROOM], Expect::Any, None)
            .await?;
        self.store.delete(&probe, Expect::Any, None).await
    }

    /// A host's certificate.
    pub(super) fn certificate(&self, host: &Host) -> CertificateDir {
        CertificateDir::new(Arc::clone(&self.store), certificate_key(host))
    }

    /// The newest good certificate for `host` on this machine, without waiting for anything but the disk.
    pub fn load_now(&self, host: &Host) -> Option<Stored> {
        let local = CertificateDir::new(Arc::new(self.local.clone()), certificate_key(host));
        // Ready when first polled: the file store promises it.
        local.load(host).now_or_never().flatten()
    }

    /// Keeps a pair from elsewhere for `host` on this machine, as if it had been ordered. It has been verified.
    pub fn import_now(&self, host: &Host, chain: &[u8], key: &[u8]) -> Result<(), StoreError> {
        let local = CertificateDir::new(Arc::new(self.local.clone()), certificate_key(host));
        local
            .import(host, chain, key)
            .now_or_never()
            .unwrap_or(Ok(()))
    }

    /// The leaf that `current` points at for `host` on this machine, as it is.
    pub fn current_leaf(&self, host: &Host) -> Option<Leaf> {
        let chain = certificate_key(host).join("current").join("chain.pem");
        let pem = files::read(&self.local.path(&chain)).ok()??;
        let first = CertificateDer::pem_slice_iter(&pem).next()?.ok()?;
        Leaf::parse(&first).ok()
    }

    /// The account at the authority with this directory URL.
    pub(super) fn account(&self, directory: &str) -> AccountDir {
        let key = Key::of("accounts").join(&directory_id(directory));
        AccountDir::new(Arc::clone(&self.store), key, directory)
    }
}

fn certificate_key(host: &Host) -> Key {
    Key::of("certs").join(host.as_str())
}

/// A readable folder name for a directory URL: `https://localhost:14000/dir` gives `localhost-14000-dir`.
fn directory_id(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let name: String = rest
        .chars()
        .map(|c| match c {
            'a'..='z' | '0'..='9' | '.' | '-' => c,
            'A'..='Z' => c.to_ascii_lowercase(),
            _ => '-',
        })
        .take(120)
        .collect();
    name.trim_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_urls_become_folder_names_that_stay_inside() {
        assert_eq!(
            directory_id("https://localhost:14000/dir"),
            "localhost-14000-dir"
        );
        assert_eq!(
            directory_id("https://acme-v02.api.letsencrypt.org/directory"),
            "acme-v02.api.letsencrypt.org-directory"
        );
        assert!(!directory_id("https://x/../../etc").contains('/'));
        assert!(!directory_id("../..").contains(".."));
    }
}
