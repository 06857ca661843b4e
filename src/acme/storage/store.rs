//! What certificates need of the place they are kept in, so that a cluster's store can stand where files stand now.
//!
//! Small values under [`Key`]s: read, written by compare-and-swap, listed, removed, watched; and leases, so that one of
//! several processes acts. Leases save orders, they do not make things safe: compare-and-swap and the fence of each
//! write do. Invariants every store keeps: a value is there whole or not at all, and survives a power cut once `put` has
//! returned; a write under a lease that went to another is refused.

use std::any::Any;
use std::fmt;
use std::io;

use async_trait::async_trait;

/// Where a value is: names joined by slashes, such as `certs/hub.example.org/order.json`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// The key of this name. Characters other than letters, digits, `.`, `-` and `_` become `_`, as does a first dot.
    pub fn of(name: &str) -> Self {
        Self(segment(name))
    }

    /// The key of this name below `self`.
    pub fn join(&self, name: &str) -> Self {
        Self(format!("{}/{}", self.0, segment(name)))
    }

    /// The whole key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its last name.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The names of a key that lies below `self`, as one text: `g000001/key.pem`.
    pub fn below<'a>(&self, key: &'a Self) -> Option<&'a str> {
        key.0.strip_prefix(&self.0)?.strip_prefix('/')
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// No name can lead out of its folder, or be mistaken for a file that is being written.
fn segment(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let mut out: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    if out.is_empty() || out.starts_with('.') {
        out.replace_range(..out.len().min(1), "_");
    }
    out
}

/// Which write of a value this is; only to be compared, and only at the store it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub(super) Vec<u8>);

/// A value and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The value itself.
    pub bytes: Vec<u8>,
    /// For a later [`Expect::At`].
    pub version: Version,
}

/// What must be there for a write to happen.
#[derive(Clone, Copy, Debug)]
pub enum Expect<'a> {
    /// Anything or nothing.
    Any,
    /// Nothing.
    Absent,
    /// What this version is of.
    At(&'a Version),
}

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused, or gave no answer in time.
    #[error("cannot {action} `{place}`")]
    Io {
        /// `write`, `read`, `create`.
        action: &'static str,
        /// The file, or whatever names it for a person.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// Something else was there than [`Expect`] said.
    #[error("`{place}` was changed by another process meanwhile")]
    Conflict {
        /// The file.
        place: String,
    },
    /// Somebody else has the lease now.
    #[error("another process took over `{lease}`")]
    Fenced {
        /// The lease's name.
        lease: String,
    },
}

impl StoreError {
    /// Whether it may be over without anybody changing the configuration: a full disk, another process at work.
    pub fn may_pass(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull, TimedOut};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded | TimedOut))
    }
}

/// The right to act for a name, until it is dropped or, at a store of a cluster, runs out.
pub struct Lease {
    pub(super) name: String,
    /// Grows with every holder; a write carries it, so that one who was too slow cannot overwrite his successor.
    pub(super) fence: u64,
    /// Whatever the store holds on to; its drop gives the lease back.
    pub(super) _held: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({}, {})", self.name, self.fence)
    }
}

/// Tells of changes made by anybody, other processes included.
#[async_trait]
pub trait Changes: Send {
    /// Returns when something may have changed, or when it is time to look without having been told.
    async fn next(&mut self);
}

/// The place. Every call ends within seconds, whatever has happened to the disk or the network.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// The value, or `None` when there is none.
    async fn get(&self, key: &Key) -> Result<Option<Value>, StoreError>;

    /// Writes a value if what is there is as expected and `lease`, when given, still holds.
    async fn put(
        &self,
        key: &Key,
        bytes: &[u8],
        expect: Expect<'_>,
        lease: Option<&Lease>,
    ) -> Result<Version, StoreError>;

    /// All keys below `prefix`, at any depth, sorted. None there is none, not an error.
    async fn list(&self, prefix: &Key) -> Result<Vec<Key>, StoreError>;

    /// Removes a value, with the same conditions as `put`; none there is fine.
    async fn delete(
        &self,
        key: &Key,
        expect: Expect<'_>,
        lease: Option<&Lease>,
    ) -> Result<(), StoreError>;

    /// Puts what is damaged out of the way, with all that lies below it, for a person to look at. Says so in the log;
    /// what cannot be moved stays.
    async fn set_aside(&self, key: &Key, reason: &str);

    /// Tells of changes to `keys`.
    async fn watch(&self, keys: &[Key]) -> Box<dyn Changes>;

    /// The right to act for `name`; `None` while another has it.
    async fn lease(&self, name: &str) -> Result<Option<Lease>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_leads_out_of_the_store_or_looks_unfinished() {
        assert_eq!(Key::of("..").as_str(), "_.");
        assert_eq!(Key::of("").as_str(), "_");
        assert_eq!(Key::of("../x").as_str(), "_._x");
        assert_eq!(Key::of("certs").join("::1").as_str(), "certs/__1");
        assert_eq!(Key::of("a").join(".new-x").as_str(), "a/_new-x");
        let below = Key::of("certs").join("a.test").join("order.json");
        assert_eq!(Key::of("certs").below(&below), Some("a.test/order.json"));
        assert_eq!(Key::of("cert").below(&below), None);
        assert_eq!(below.name(), "order.json");
    }
}
