//! What is known of each host's certificate, for the operator.
//!
//! Written by the tasks, read by admin; nothing decides by it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;

use crate::types::host::Host;

/// What a host's task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A certificate is served; it is renewed at `next_attempt`.
    Valid,
    /// Nothing but a self-signed certificate is there yet, and no attempt has failed.
    Placeholder,
    /// An order is under way.
    Ordering,
    /// The last attempt failed; the next is made at `next_attempt`.
    Backoff,
}

impl State {
    /// As in listings and metrics: `backoff`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Placeholder => "placeholder",
            Self::Ordering => "ordering",
            Self::Backoff => "backoff",
        }
    }
}

/// One host's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostStatus {
    /// Whom the certificate is for.
    pub host: Host,
    /// What is being done.
    pub state: State,
    /// When the certificate of the authority that is served ends; `None` for a placeholder.
    pub not_after: Option<OffsetDateTime>,
    /// When something is tried next: a renewal or a retry.
    pub next_attempt: Option<OffsetDateTime>,
    /// Why the last attempt failed, if it did.
    pub last_error: Option<String>,
    /// Failures in a row, of all classes.
    pub failures: u32,
}

/// All rows, shared.
#[derive(Clone, Debug, Default)]
pub(super) struct Board {
    rows: Arc<Mutex<BTreeMap<Host, HostStatus>>>,
}

impl Board {
    pub(super) fn list(&self) -> Vec<HostStatus> {
        self.rows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// When the certificate that the row tells of ends.
    pub(super) fn not_after(&self, host: &Host) -> Option<OffsetDateTime> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.get(host)?.not_after
    }

    /// Changes a host's row, which is made if need be.
    pub(super) fn update(&self, host: &Host, change: impl FnOnce(&mut HostStatus)) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        change(rows.entry(host.clone()).or_insert_with(|| HostStatus {
            host: host.clone(),
            state: State::Placeholder,
            not_after: None,
            next_attempt: None,
            last_error: None,
            failures: 0,
        }));
    }

    pub(super) fn retain(&self, keep: impl Fn(&Host) -> bool) {
        self.rows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|host, _| keep(host));
    }
}
