//! What is kept about authorities and what they say to it, for `certs doctor`. Nothing is changed, here or there.
//!
//! For a command without an event loop: blocks until the authority has answered or its time is up.

use std::io;
use std::sync::Arc;

use serde_json::Value;
use time::OffsetDateTime;

use super::client::Https;
use super::clock::SystemClock;
use super::failure::Failure;
use super::line::Line;
use super::pace;
use super::session::Session;
use super::storage::{History, Limits, Storage};
use super::task::{WEEK, WEEKLY};
use crate::config::AcmeAuthority;
use crate::types::host::Host;

/// The account kept for an authority, and what became of it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLook {
    /// Its URL.
    pub url: String,
    /// `valid`, `deactivated`, `revoked`, or why that is not known.
    pub status: Result<String, String>,
    /// The authority does not know it any more.
    pub is_unknown: bool,
}

/// Asks the authority which account has our key (RFC 8555 section 7.3.1), which makes none. `None`: there is none yet. Fails
/// when the state directory cannot be read.
pub fn account(settings: &AcmeAuthority, storage: &Storage) -> io::Result<Option<AccountLook>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let kept = storage.account(&settings.directory).look().await;
        let Some((key, registered)) = kept.map_err(io::Error::other)? else {
            return Ok(None);
        };
        let url = registered.url;
        let asked = ask(settings, &key).await;
        Ok(Some(AccountLook {
            is_unknown: asked.as_ref().is_err_and(|failure| failure.account_unknown),
            status: asked.map_err(|failure| failure.detail),
            url,
        }))
    })
}

async fn ask(settings: &AcmeAuthority, key: &[u8]) -> Result<String, Failure> {
    const STEP: &str = "account";
    let failed = |error: &dyn std::error::Error| Failure::of_storage(STEP, error);
    let transport = Https::new(settings.ca_file.as_deref()).map_err(|error| failed(&error))?;
    let clock = Arc::new(SystemClock);
    let session = Session::new(&settings.directory, Arc::new(transport), clock);
    let session = Arc::new(session);
    session.directory().await?;
    let answer = Line::look_up(&session, key).await;
    let answer = answer.map_err(|lost| Failure::of_lost(STEP, &lost))?;
    if !answer.is_ok() {
        return Err(Failure::of_answer(STEP, &answer, OffsetDateTime::now_utc()));
    }
    let told: Result<Value, String> = answer.read();
    let status = told
        .ok()
        .and_then(|told| told["status"].as_str().map(str::to_owned));
    Ok(status.unwrap_or_else(|| "without a status".to_owned()))
}

/// What was used of an authority's limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsLook {
    /// Until when nothing is asked of it, and why.
    pub closed: Option<(OffsetDateTime, String)>,
    /// From when another order may be placed, when three hours' worth has been.
    pub orders_from: Option<OffsetDateTime>,
    /// Whether it answered when it was last asked.
    pub is_up: bool,
}

/// Reads it. Fails when there is no event loop to be had.
pub fn limits(settings: &AcmeAuthority, storage: &Storage) -> io::Result<LimitsLook> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let limits = runtime.block_on(storage.account(&settings.directory).record::<Limits>());
    let (limits, now) = (limits.unwrap_or_default(), OffsetDateTime::now_utc());
    let closed = pace::closed_until(&limits, now).map(|until| (until, limits.detail.clone()));
    Ok(LimitsLook {
        orders_from: pace::orders_from(&limits, pace::ORDERS, now).filter(|_| closed.is_none()),
        is_up: pace::is_up(&limits),
        closed,
    })
}

/// When the authority issues for `host` again, if the week's certificates are used up. Fails likewise.
pub fn used_up_until(
    settings: &AcmeAuthority,
    storage: &Storage,
    host: &Host,
) -> io::Result<Option<OffsetDateTime>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let history = runtime.block_on(storage.certificate(host).record::<History>());
    let now = OffsetDateTime::now_utc();
    Ok(history
        .and_then(|history| history.next_within(&settings.directory, (WEEKLY, false), WEEK, now)))
}
