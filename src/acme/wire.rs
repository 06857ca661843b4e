//! The messages of RFC 8555 and RFC 9773 as values: what an authority answers, without what nobody here asks for.
//!
//! Unknown fields and unknown words are accepted; what is missing and needed makes the whole message unreadable.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where everything is (RFC 8555 section 7.1.1).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Directory {
    pub(super) new_nonce: String,
    pub(super) new_account: String,
    pub(super) new_order: String,
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
    /// Names of profiles, and what they mean.
    #[serde(default)]
    pub(super) profiles: BTreeMap<String, String>,
}

/// Of orders, authorizations, challenges and accounts alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Pending,
    Ready,
    Processing,
    Valid,
    Invalid,
    Deactivated,
    Expired,
    Revoked,
    #[serde(other)]
    Unknown,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Processing => "processing",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Deactivated => "deactivated",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
        }
    }
}

/// RFC 8555 section 7.1.3.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct OrderState {
    pub(super) status: Status,
    #[serde(default)]
    pub(super) authorizations: Vec<String>,
    pub(super) finalize: String,
    pub(super) certificate: Option<String>,
    pub(super) error: Option<Problem>,
}

/// RFC 8555 section 7.1.4.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Authorization {
    pub(super) identifier: Identifier,
    pub(super) status: Status,
    #[serde(default)]
    pub(super) challenges: Vec<Challenge>,
}

/// RFC 8555 section 8. `token` is missing in kinds that are not ours.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Challenge {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) url: String,
    #[serde(default)]
    pub(super) token: String,
    pub(super) status: Status,
    pub(super) error: Option<Problem>,
}

/// `dns` or `ip` (RFC 8738).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identifier {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) value: String,
}

/// RFC 8555 section 6.7.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) status: Option<u16>,
    #[serde(default)]
    pub(super) subproblems: Vec<Subproblem>,
}

/// What is wrong with one of several names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Subproblem {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) identifier: Option<Identifier>,
}

impl Problem {
    /// The type's last word: `rateLimited`.
    pub(super) fn word(&self) -> &str {
        let kind = self.kind.as_deref().unwrap_or_default();
        kind.strip_prefix("urn:ietf:params:acme:error:")
            .unwrap_or(kind)
    }

    /// `type: detail`, with what is said about single names.
    pub(super) fn text(&self) -> String {
        let mut text = match (&self.kind, &self.detail) {
            (Some(kind), Some(detail)) => format!("{kind}: {detail}"),
            (Some(only), None) | (None, Some(only)) => only.clone(),
            (None, None) => format!("status {}", self.status.unwrap_or(0)),
        };
        for sub in &self.subproblems {
            let name = sub.identifier.as_ref().map_or("", |id| id.value.as_str());
            let kind = sub.kind.as_deref().unwrap_or_default();
            let detail = sub.detail.as_deref().unwrap_or_default();
            text.push_str(&format!("; {name}: {kind}: {detail}"));
        }
        text
    }
}

/// RFC 9773 section 4.2; times as text, so that one that cannot be read is not the end of the message.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RenewalInfo {
    pub(super) suggested_window: SuggestedWindow,
    #[serde(rename = "explanationURL")]
    pub(super) explanation: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct SuggestedWindow {
    pub(super) start: String,
    pub(super) end: String,
}
