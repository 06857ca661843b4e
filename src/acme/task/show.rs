//! One host's row for the operator.
//!
//! Nothing decides by it; it says what `plan` would do now.

use super::Task;
use crate::acme::authority::Authority;
use crate::acme::pace;
use crate::acme::schedule::Class;
use crate::acme::status::State;
use crate::acme::storage::{Failures, instant};

impl Task {
    /// Brings an authority's row up to date.
    pub(super) fn show_authority(&self, authority: &Authority) {
        let is_up = pace::is_up(&authority.limits());
        self.shared.board.set_up(authority.name(), is_up);
    }

    /// Brings the host's row up to date.
    pub(super) fn show(&self) {
        let now = self.shared.clock.now();
        let (index, next) = self.plan(now);
        let authority = self.shared.authorities.get(index);
        let last = authority.and_then(|a| self.backoff.at.get(a.directory()));
        let last = last.or_else(|| self.backoff.at.values().next());
        let failures = self.backoff.at.values().map(Failures::total).sum();
        let due = self.due(now);
        let used_up = authority.filter(|_| due.at <= now);
        let used_up = used_up.and_then(|authority| self.used_up(authority, now));
        self.shared.board.update(&self.host, |row| {
            row.state = match (&self.held, last) {
                (_, None) if used_up.is_some() => State::Backoff,
                (_, Some(last)) if last.class == Class::Human => State::Paused,
                (_, Some(_)) => State::Backoff,
                (Some(_), None) => State::Valid,
                (None, None) => State::Placeholder,
            };
            let leaf = self.held.as_ref().map(|held| &held.pair.leaf);
            row.not_after = leaf.map(|leaf| leaf.not_after);
            row.serial = leaf.map(|leaf| leaf.serial.clone());
            row.authority = self.issuer().map(|issuer| issuer.name().to_owned());
            row.renew_at = self.held.as_ref().map(|_| due.at);
            row.why = Some(due.why.as_str());
            row.next_attempt = Some(next.at);
            row.class = last.map(|last| last.class);
            row.last_error = last
                .map(|last| format!("{}: {}", last.step, last.detail))
                .or_else(|| used_up.map(|(_, text)| text));
            row.failures = failures;
            row.renewal_explanation = self.renewal.as_ref().and_then(|r| r.explanation.clone());
            row.renewal_silent_since = self
                .renewal
                .as_ref()
                .and_then(|renewal| renewal.silent_since_unix_ms)
                .map(instant);
        });
    }
}
