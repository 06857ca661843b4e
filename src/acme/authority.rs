//! One authority as the tasks see it: its session, its account, its limits, and the queue before it.
//!
//! Which authority is asked is `choice`'s, how fast `pace`'s. Invariants: at most [`ORDERS`] orders under way, those whose
//! certificate ends first go first; what was used of the limits is on disk before the order begins.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;
use tracing::{info, warn};

use super::account::Accounts;
use super::client::{Https, SettingsError, Transport};
use super::clock::Clock;
use super::failure::Failure;
use super::pace::{self, Admission};
use super::schedule::Delays;
use super::session::Session;
use super::storage::{AccountDir, Limits, Storage};
use crate::config::AcmeAuthority;
use crate::observe::reasons::with_reasons;
use crate::types::host::Host;
use crate::types::moment::rfc3339;

/// Orders at once.
const ORDERS: usize = 4;
/// A wait longer than this is left to the task, which may find another authority meanwhile.
const SHORT: Duration = Duration::from_secs(30);

/// How a way to an authority is made; tests make another.
pub(super) type Connect =
    dyn Fn(&AcmeAuthority) -> Result<Arc<dyn Transport>, SettingsError> + Send + Sync;

/// Over HTTPS.
pub(super) fn connect(authority: &AcmeAuthority) -> Result<Arc<dyn Transport>, SettingsError> {
    Ok(Arc::new(Https::new(authority.ca_file.as_deref())?))
}

/// An authority, or its staging twin.
pub(super) struct Authority {
    pub(super) settings: AcmeAuthority,
    pub(super) session: Arc<Session>,
    pub(super) accounts: Accounts,
    pub(super) staging: Option<Arc<Self>>,
    dir: AccountDir,
    clock: Arc<dyn Clock>,
    /// In three hours.
    most_orders: usize,
    limits: Mutex<Limits>,
    queue: Mutex<Queue>,
    moved: Notify,
}

/// When the certificate ends, in seconds since 1970 (0 when there is none), and whose it is.
pub(super) type Place = (i64, Host);

#[derive(Default)]
struct Queue {
    waiting: BTreeSet<Place>,
    under_way: usize,
}

impl Authority {
    /// Reads what was used of its limits. Talks to nobody.
    pub(super) async fn open(
        settings: &AcmeAuthority,
        storage: &Storage,
        clock: &Arc<dyn Clock>,
        connect: &Connect,
    ) -> Result<Self, SettingsError> {
        let staging = match &settings.staging {
            Some(directory) => {
                let twin = AcmeAuthority {
                    name: format!("{} (staging)", settings.name),
                    directory: directory.clone(),
                    external_account: None,
                    staging: None,
                    ..settings.clone()
                };
                Some(Arc::new(Self {
                    most_orders: pace::STAGING_ORDERS,
                    ..Self::single(&twin, storage, clock, connect).await?
                }))
            }
            None => None,
        };
        Ok(Self {
            staging,
            ..Self::single(settings, storage, clock, connect).await?
        })
    }

    async fn single(
        settings: &AcmeAuthority,
        storage: &Storage,
        clock: &Arc<dyn Clock>,
        connect: &Connect,
    ) -> Result<Self, SettingsError> {
        let transport = connect(settings)?;
        let session = Arc::new(Session::new(
            &settings.directory,
            transport,
            Arc::clone(clock),
        ));
        let dir = storage.account(&settings.directory);
        let limits = dir.record::<Limits>().await.unwrap_or_default();
        Ok(Self {
            accounts: Accounts::new(
                settings,
                storage.account(&settings.directory),
                Arc::clone(&session),
                Arc::clone(clock),
            ),
            settings: settings.clone(),
            session,
            staging: None,
            dir,
            clock: Arc::clone(clock),
            most_orders: pace::ORDERS,
            limits: Mutex::new(limits),
            queue: Mutex::default(),
            moved: Notify::new(),
        })
    }

    /// What it is called in logs.
    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Its directory's URL.
    pub(super) fn directory(&self) -> &str {
        &self.settings.directory
    }

    /// What was used of its limits, and whether it answers.
    pub(super) fn limits(&self) -> Limits {
        self.with(|limits| limits.clone())
    }

    /// Until when nothing is asked of it.
    pub(super) fn closed_until(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        self.with(|limits| pace::closed_until(limits, now))
    }

    /// From when it can be asked for an order, if not now.
    pub(super) fn orders_from(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        self.with(|limits| pace::orders_from(limits, self.most_orders, now))
    }

    /// Leave to order, when it is this one's turn; or until when there is none.
    pub(super) async fn turn(&self, place: Place) -> Result<Turn<'_>, OffsetDateTime> {
        let mut waiting = Waiting::join(self, place);
        loop {
            let moved = self.moved.notified();
            let mut moved = std::pin::pin!(moved);
            moved.as_mut().enable();
            let now = self.clock.now();
            match waiting.admit(now) {
                Some(Admission::Go) => {
                    self.save().await;
                    return Ok(waiting.begin());
                }
                Some(Admission::NotBefore(until)) => {
                    let wait = Duration::try_from(until - now).unwrap_or_default();
                    if wait > SHORT {
                        return Err(until);
                    }
                    let pause = wait.max(Duration::from_millis(1));
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = moved => {}
                    }
                }
                None => moved.await,
            }
        }
    }

    /// It has answered, whatever it said.
    pub(super) async fn answered(&self) {
        let was = self.with(|limits| {
            let was = limits.clone();
            pace::answered(limits);
            was
        });
        if was.failures > 0 {
            if !pace::is_up(&was) {
                info!(
                    event = "acme.ca.up",
                    ca = self.name(),
                    "the authority answers again"
                );
            }
            self.save().await;
        }
    }

    /// Takes note of a failure, and says so when it closes the authority for all.
    pub(super) async fn failed(&self, failure: &Failure, delays: &Delays) {
        let now = self.clock.now();
        let (was, is) = self.with(|limits| {
            let was = limits.clone();
            pace::failed(limits, failure, delays, now, fastrand::f64());
            (was, limits.clone())
        });
        if was == is {
            return;
        }
        if let Some(until) = pace::closed_until(&is, now)
            && pace::closed_until(&was, now) != Some(until)
        {
            warn!(
                event = "acme.ca.closed",
                ca = self.name(),
                class = failure.class.as_str(),
                failures = is.failures,
                detail = failure.detail,
                next = rfc3339(until),
                "nothing is asked of the authority for a while"
            );
        }
        self.save().await;
    }

    async fn save(&self) {
        let limits = self.limits();
        if let Err(error) = self.dir.save_record(&limits).await {
            warn!(event = "acme.store.error", ca = self.name(), error = %with_reasons(&error), "what was used of the limits cannot be remembered");
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Limits) -> T) -> T {
        change(&mut self.limits.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn queue<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        change(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A place in the queue.
struct Waiting<'a> {
    authority: &'a Authority,
    place: Option<Place>,
}

impl<'a> Waiting<'a> {
    fn join(authority: &'a Authority, place: Place) -> Self {
        authority.queue(|queue| queue.waiting.insert(place.clone()));
        Self {
            authority,
            place: Some(place),
        }
    }

    /// Asks for leave, if nobody is before us.
    fn admit(&self, now: OffsetDateTime) -> Option<Admission> {
        self.authority.queue(|queue| {
            let first = queue.under_way < ORDERS && queue.waiting.first() == self.place.as_ref();
            first.then(|| {
                let admission = self
                    .authority
                    .with(|limits| pace::admit(limits, self.authority.most_orders, now));
                if admission == Admission::Go {
                    queue.under_way += 1;
                }
                admission
            })
        })
    }

    fn begin(&mut self) -> Turn<'a> {
        Turn(self.authority)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.authority.queue(|queue| queue.waiting.remove(&place));
            self.authority.moved.notify_waiters();
        }
    }
}

/// An order under way; dropping it lets the next one begin.
pub(super) struct Turn<'a>(&'a Authority);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.queue(|queue| queue.under_way -= 1);
        self.0.moved.notify_waiters();
    }
}
