//! Follows the files of names and passwords that routes ask for.
//!
//! `named_files` says when to look, `access::passwords` whether there is something new. Invariant: a file that cannot be
//! read lets nobody in, and is told of once; what was right stays known while its hash is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::named_files::Follower;
use crate::access::passwords::Passwords;
use crate::snapshot::Snapshot;

/// What was told last, and has not been mended.
#[derive(Default)]
pub(super) struct Told {
    unreadable: BTreeSet<PathBuf>,
    unusable: BTreeMap<PathBuf, Vec<String>>,
}

impl Follower for Told {
    type Names = Arc<Passwords>;

    fn names(snapshot: &Snapshot) -> Vec<Arc<Passwords>> {
        snapshot.guarding.passwords.values().cloned().collect()
    }

    fn paths(passwords: &Arc<Passwords>) -> impl Iterator<Item = &Path> {
        std::iter::once(passwords.path())
    }

    fn look(&mut self, files: &[Arc<Passwords>]) {
        let before = std::mem::take(self);
        for passwords in files {
            let (file, shown) = (passwords.path(), passwords.path().display());
            if passwords.refresh() {
                tracing::info!(event = "access.passwords", file = %shown, "the file of passwords has changed");
            }
            if let Some(trouble) = passwords.trouble() {
                let missing = trouble.missing;
                if !before.unreadable.contains(file) {
                    tracing::error!(event = "access.passwords.unreadable", file = %shown, missing, "the file of passwords cannot be read; nobody is let in by it");
                }
                self.unreadable.insert(file.to_owned());
            }
            let unusable = passwords.unusable();
            if !unusable.is_empty() && before.unusable.get(file) != Some(&unusable) {
                let names = unusable.join(", ");
                tracing::warn!(event = "access.passwords.unusable", file = %shown, names, "passwords in a form that is not known here; set them anew with `htpasswd -B`");
            }
            self.unusable.insert(file.to_owned(), unusable);
        }
    }
}
