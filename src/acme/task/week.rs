//! The authority's weekly limit on one set of names, which is one host here.
//!
//! Let's Encrypt issues the same names five times a week, whoever orders, and exempts replacements in its renewal window
//! (RFC 9773). Counted on disk by `storage`'s history. Invariant: the limit cannot let a certificate expire whose life
//! is so short that it needs more than that.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tracing::warn;

use super::Task;
use crate::acme::authority::Authority;
use crate::types::moment::rfc3339;

/// Certificates of one host in [`WEEK`].
pub(in crate::acme) const WEEKLY: usize = 5;
pub(in crate::acme) const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// Replacements too: a window that is always in the past would have us order for ever.
const MOST: usize = 10;
/// What lives shorter is renewed more often than such a limit would allow, so its authority has none.
const SHORT_LIFE: time::Duration = time::Duration::days(3);

impl Task {
    /// When the authority issues for this host again, if `most` were issued within a week.
    pub(super) fn used_up_until(
        &self,
        authority: &Authority,
        most: usize,
        now: OffsetDateTime,
    ) -> Option<OffsetDateTime> {
        let held = self.held.as_ref();
        let held = held.filter(|held| held.directory.as_deref() == Some(authority.directory()));
        let life = held.map(|held| held.pair.leaf.not_after - held.pair.leaf.not_before);
        if life.is_some_and(|life| life < SHORT_LIFE) {
            return None;
        }
        let limit = match self.is_replacement(authority) {
            true => (MOST, true),
            false => (most, false),
        };
        self.history
            .next_within(authority.directory(), limit, WEEK, now)
    }

    /// That, for hubgate's own orders, with what a person should know.
    pub(super) fn used_up(
        &self,
        authority: &Authority,
        now: OffsetDateTime,
    ) -> Option<(OffsetDateTime, String)> {
        let until = self.used_up_until(authority, WEEKLY, now)?;
        let text = format!(
            "order: {WEEKLY} certificates for `{}` were issued within a week, which is what {} allows; the next is ordered at {}. Look for what loses or revokes them",
            self.host,
            authority.name(),
            rfc3339(until)
        );
        Some((until, text))
    }

    /// Says once that a certificate that is due has to wait for this.
    pub(super) fn tell_used_up(&mut self, authority: usize, now: OffsetDateTime) {
        let shared = Arc::clone(&self.shared);
        let authority = shared.authorities.get(authority);
        let authority = authority.filter(|_| self.due(now).at <= now);
        let used_up = authority.and_then(|authority| self.used_up(authority, now));
        let until = used_up.as_ref().map(|(until, _)| *until);
        if until != self.told_used_up
            && let Some((next, detail)) = used_up
        {
            warn!(event = "acme.week.used", host = %self.host, detail, next = rfc3339(next), "no certificate yet");
        }
        self.told_used_up = until;
    }

    /// Whether the next certificate replaces one whose renewal window the authority tells.
    fn is_replacement(&self, authority: &Authority) -> bool {
        let serial = self.held.as_ref().map(|held| &held.pair.leaf.serial);
        let known = self.renewal.as_ref();
        known.is_some_and(|known| known.window.is_some() && Some(&known.serial) == serial)
            && self.replaces(authority).is_some()
    }
}
