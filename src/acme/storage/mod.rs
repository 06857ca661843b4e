//! The state directory's `acme/`: accounts and certificates, safe against crashes and damage.
//!
//! ```text
//! acme/accounts/<directory>/{key.pem, account.json}
//! acme/certs/<host>/{spec.json, order.json, backoff.json, g000001/{key.pem, chain.pem, meta.json}, current -> g000001}
//! ```
//! Folders are 0700 and files 0600; wider modes are mended with a warning. Invariants: what is read was written whole
//! (temporary file, fsync, rename, fsync of the folder); what is damaged is set aside as `bad-*` and never fatal.

mod account;
mod certificate;
mod files;
mod records;

use std::io;
use std::path::{Path, PathBuf};

pub(super) use account::{AccountDir, Registered};
pub(super) use certificate::CertificateDir;
pub(super) use records::{Backoff, Failures, Order};

use crate::types::host::Host;

/// Something that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{path}`")]
pub(super) struct StorageError {
    /// `write`, `read`, `create`.
    pub(super) action: &'static str,
    /// What.
    pub(super) path: PathBuf,
    /// Why.
    pub(super) source: io::Error,
}

/// `state_dir/acme`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    root: PathBuf,
}

impl Storage {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self {
            root: state_dir.join("acme"),
        }
    }

    /// The folder of a host's certificate; made when first written to.
    pub(super) fn certificate(&self, host: &Host) -> CertificateDir {
        // The only character of a host that has a meaning elsewhere is an IPv6 address's colon.
        let id = host.as_str().replace(':', "_");
        CertificateDir::new(self.root.join("certs").join(id))
    }

    /// The folder of the account at the authority with this directory URL.
    pub(super) fn account(&self, directory: &str) -> AccountDir {
        AccountDir::new(
            self.root.join("accounts").join(directory_id(directory)),
            directory,
        )
    }
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
