//! An authority's directory, as far as the crate does not show it (RFC 8555 section 7.1.1).
//!
//! Pure. Unknown fields are accepted; what is missing and needed makes the whole directory unreadable.
#![deny(clippy::disallowed_methods)]

use http::Uri;
use serde::Deserialize;

use super::answer::Answer;

/// Where things are.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Directory {
    pub(super) new_nonce: String,
    pub(super) new_account: String,
    pub(super) key_change: Option<String>,
    pub(super) revoke_cert: Option<String>,
    /// RFC 9773.
    pub(super) renewal_info: Option<String>,
    #[serde(default)]
    pub(super) meta: Meta,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    #[serde(default)]
    pub(super) external_account_required: bool,
}

impl Directory {
    /// The directory, or the reason why it is none.
    pub(super) fn read(answer: &Answer) -> Result<Self, String> {
        let directory: Self = answer.read()?;
        // The crate takes this one for granted.
        match directory.new_nonce.parse::<Uri>() {
            Ok(_) => Ok(directory),
            Err(error) => Err(format!(
                "the authority's nonces are at `{}`, which is no URL ({error})",
                directory.new_nonce
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_whose_nonces_are_nowhere_is_refused() {
        let with = |nonces: &str| {
            let body = serde_json::json!({"newNonce": nonces, "newAccount": "https://ca.test/a"});
            Directory::read(&Answer {
                status: 200,
                body: body.to_string().into(),
                ..Answer::default()
            })
        };
        assert!(with("https://ca.test/nonce").is_ok());
        assert!(with("no such place").unwrap_err().contains("no such place"));
    }
}
