//! What is known about an endpoint: rests, ejections, checks, an operator's word, and since when it takes part.
//!
//! A state machine without clock and locks. `endpoint` feeds it with what requests met, `health` with checks, `group`
//! reads from it who may be chosen; how one comes back that was left out is `rest`'s. Invariant: time, requests and checks
//! that go well bring an endpoint back from a rest or an ejection, from failed checks only checks.
#![deny(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::endpoint::{Endpoint, Override, Reason};
use super::ledger::Ledger;
use super::rest::{Rest, TRIAL};

/// An endpoint that joins or comes back begins with one part of its weight in so many, and gains one at a time.
pub(super) const STEPS: u32 = 10;

/// What the checks say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Checked {
    /// Nothing, or that it is up.
    #[default]
    Up,
    Down(Reason),
}

/// What of a standing counts for an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    /// How long an endpoint that joins or comes back takes to its full share.
    pub(super) slow_start: Duration,
    /// Whether the upstream is checked: else what checks said once is forgotten.
    pub(super) is_checked: bool,
}

/// What is known about an endpoint, for a process that takes over from this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What the operator said.
    pub overridden: Override,
    /// Why checks took it out.
    pub down: Option<String>,
    /// How long it is still left out because of what requests met.
    pub rests_for: Option<Duration>,
    /// Ejections in a row.
    pub ejections: u32,
}

/// Something to tell the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Down {
        reason: Reason,
        back_in: Option<Duration>,
    },
    /// It fails, and may not be left out.
    Doubted {
        reason: Reason,
    },
    Up {
        after: Duration,
    },
}

/// See above.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    pub(super) overridden: Override,
    checked: Checked,
    /// Checks in a row that say the opposite.
    doubts: u32,
    rest: Option<Rest>,
    /// Failures in a row.
    failures: u32,
    /// When the last of them was.
    failed_at: Option<Instant>,
    /// Ejections in a row, and when the last ended or ends.
    ejections: u32,
    ejected_until: Option<Instant>,
    /// When it last began to take part, after others.
    joined: Option<Instant>,
    /// Since when the operator has been told that it is down.
    told_down: Option<Instant>,
}

/// Whether an endpoint can be chosen, as far as requests and checks tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Well,
    /// It failed, and has yet to show that it is well again.
    OnTrial,
    /// Left out for what requests met.
    Resting,
    /// Left out for what checks saw.
    Down,
}

/// How far an endpoint takes part, and until when that is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) fit: Fit,
    /// Its weight's part in [`STEPS`].
    pub(super) part: u32,
    /// When this has to be asked again.
    pub(super) until: Option<Instant>,
}

impl Standing {
    /// Of a new endpoint; `joined` when it joins others. Without `up` it is down until its first check.
    pub(super) fn new(joined: Option<Instant>, up: bool) -> Self {
        Self {
            joined,
            checked: match up {
                true => Checked::Up,
                false => Checked::Down(Reason::NotChecked),
            },
            ..Self::default()
        }
    }

    /// What outlives the process; times count from `now`.
    pub(super) fn record(&self, now: Instant) -> Record {
        let rest = self.rest.as_ref().filter(|rest| rest.until > now);
        Record {
            overridden: self.overridden,
            down: match &self.checked {
                Checked::Up => None,
                Checked::Down(reason) => Some(reason.to_string()),
            },
            rests_for: rest.map(|rest| rest.until.saturating_duration_since(now)),
            ejections: self.ejections,
        }
    }

    /// Takes over what a process before this one knew.
    pub(super) fn restore(&mut self, record: &Record, now: Instant) {
        self.overridden = record.overridden;
        self.checked = match &record.down {
            None => Checked::Up,
            Some(reason) => Checked::Down(Reason::Before(reason.as_str().into())),
        };
        self.rest = record.rests_for.map(|rest| {
            let reason = Reason::Before("it was left out before the upgrade".into());
            Rest::new(reason, record.ejections == 0, now, rest)
        });
        self.ejections = record.ejections;
        self.ejected_until = self.rest.as_ref().map(|rest| rest.until);
    }

    /// What a choice depends on, but for the time.
    pub(super) fn place(&self) -> impl PartialEq + use<> {
        let rest = self.rest.as_ref().map(|rest| rest.until);
        (
            self.overridden,
            matches!(self.checked, Checked::Down(_)),
            rest,
        )
    }

    /// Whether a success would change something.
    pub(super) fn is_troubled(&self) -> bool {
        let is_down = matches!(self.checked, Checked::Down(_));
        self.failures > 0
            || self.ejections > 0
            || self.rest.is_some()
            // What a check took out, no request brings back.
            || (self.told_down.is_some() && !is_down)
    }

    /// Whether it can be chosen at `now`, whatever the operator says.
    pub(super) fn at(&self, terms: Terms, now: Instant) -> Place {
        let place = |fit, part, until| Place { fit, part, until };
        if terms.is_checked && matches!(self.checked, Checked::Down(_)) {
            return place(Fit::Down, STEPS, None);
        }
        let (fit, ramp) = match &self.rest {
            Some(rest) if !rest.is_over(now) => {
                return place(Fit::Resting, STEPS, Some(rest.until));
            }
            Some(_) => (Fit::OnTrial, terms.slow_start.max(TRIAL)),
            None => (Fit::Well, terms.slow_start),
        };
        let began = (self.rest.as_ref().map(|rest| rest.until)).max(self.joined);
        let step = ramp / STEPS;
        let gone = began
            .filter(|_| !step.is_zero())
            .map(|began| now.saturating_duration_since(began).as_nanos() / step.as_nanos());
        match (began, gone.and_then(|gone| u32::try_from(gone).ok())) {
            (Some(began), Some(gone)) if gone + 1 < STEPS => {
                place(fit, gone + 1, Some(began + step * (gone + 1)))
            }
            _ => place(fit, STEPS, None),
        }
    }

    /// Why it is left out at `now`.
    pub(super) fn reason(&self, terms: Terms, now: Instant) -> Option<Reason> {
        match &self.checked {
            Checked::Down(reason) if terms.is_checked => Some(reason.clone()),
            _ => (self.rest.as_ref())
                .filter(|rest| !rest.is_over(now))
                .map(|rest| rest.reason.clone()),
        }
    }

    /// Why it is on trial at `now`.
    pub(super) fn trial(&self, now: Instant) -> Option<Reason> {
        let rest = self.rest.as_ref().filter(|rest| rest.is_over(now))?;
        Some(rest.reason.clone())
    }

    /// A connection was accepted.
    pub(super) fn connected(&mut self, now: Instant) -> Option<Event> {
        let rest = self.rest.take_if(|rest| rest.for_connect)?;
        self.joined = Some(rest.until.min(now));
        self.back(now)
    }

    /// A request that was sent at `sent` got an answer that is none of the failures.
    pub(super) fn answered(
        &mut self,
        sent: Instant,
        endpoint: &Endpoint,
        ledger: &Ledger,
        now: Instant,
    ) -> Option<Event> {
        self.forget(endpoint, now);
        if let Some(rest) = self.rest.take_if(|rest| rest.passes(sent)) {
            self.joined = Some(rest.until.min(now));
            self.end_ejection(endpoint, ledger, now);
        }
        // As long as the last ejection is not far behind, the next one is longer.
        let calm = |until: Instant| now.saturating_duration_since(until) > Duration::from_secs(60);
        if self.ejected_until.is_none_or(calm) {
            self.ejections = 0;
            self.ejected_until = None;
        }
        self.back(now)
    }

    /// Failures are in a row no more: after a success, or, within a window, when they are long past.
    fn forget(&mut self, endpoint: &Endpoint, now: Instant) {
        let past = |at: Instant, window| now.saturating_duration_since(at) > window;
        let ended = match (endpoint.rules.outlier.window, self.failed_at) {
            (Some(window), Some(at)) => past(at, window),
            _ => true,
        };
        if ended {
            self.failures = 0;
        }
    }

    /// It counts no more as one of those that are ejected.
    fn end_ejection(&mut self, endpoint: &Endpoint, ledger: &Ledger, now: Instant) {
        if self.ejected_until.is_some_and(|until| until > now) {
            self.ejected_until = Some(now);
            ledger.take_back(endpoint.address);
        }
    }

    /// A health check saw this.
    pub(super) fn checked(
        &mut self,
        seen: Result<(), Reason>,
        (rise, fall): (u32, u32),
        endpoint: &Endpoint,
        ledger: &Ledger,
        now: Instant,
    ) -> Option<Event> {
        match (&self.checked, seen) {
            (Checked::Up, Err(reason)) => {
                self.doubts += 1;
                if let Some(rest) = &mut self.rest {
                    rest.check_failed();
                }
                if self.doubts < fall {
                    return None;
                }
                self.doubts = 0;
                self.checked = Checked::Down(reason.clone());
                self.out(reason, None, now)
            }
            (Checked::Down(_), Ok(())) => {
                self.doubts += 1;
                // Of an endpoint that nobody has asked yet, the first answer tells.
                if self.doubts < rise && !matches!(self.checked, Checked::Down(Reason::NotChecked))
                {
                    return None;
                }
                self.doubts = 0;
                self.checked = Checked::Up;
                // What requests met before it was repaired says nothing any more.
                self.rest = None;
                self.failures = 0;
                self.end_ejection(endpoint, ledger, now);
                self.joined = Some(now);
                self.back(now)
            }
            (Checked::Up, Ok(())) => {
                self.doubts = 0;
                if (self.rest.as_mut()).is_some_and(|rest| rest.check_passed(rise, now)) {
                    self.end_ejection(endpoint, ledger, now);
                }
                None
            }
            (Checked::Down(_), Err(reason)) => {
                self.doubts = 0;
                self.checked = Checked::Down(reason);
                None
            }
        }
    }

    /// No connection could be made.
    pub(super) fn not_connected(
        &mut self,
        reason: Reason,
        rest: Duration,
        now: Instant,
    ) -> Option<Event> {
        let until = now + rest;
        if rest.is_zero() || self.rest.as_ref().is_some_and(|rest| rest.until >= until) {
            return None;
        }
        self.rest = Some(Rest::new(reason.clone(), true, now, rest));
        self.out(reason, Some(rest), now)
    }

    /// A request failed on a connection.
    pub(super) fn failed(
        &mut self,
        reason: Reason,
        endpoint: &Endpoint,
        ledger: &Ledger,
        now: Instant,
    ) -> Option<Event> {
        let (rules, members) = (&endpoint.rules.outlier, endpoint.rules.members);
        if rules.window.is_some() {
            self.forget(endpoint, now);
        }
        self.failures = self.failures.saturating_add(1);
        self.failed_at = Some(now);
        if rules.failures == 0 || rules.max_ejected == 0 || members < 2 {
            return None;
        }
        let on_trial = match &mut self.rest {
            Some(rest) => {
                rest.failed(reason.clone(), now);
                if !rest.is_over(now) {
                    return None;
                }
                true
            }
            None => false,
        };
        if !on_trial && self.failures < rules.failures {
            return None;
        }
        let time = (rules.ejection * (self.ejections + 1)).min(rules.longest_ejection);
        let until = now + time;
        let share = members * usize::from(rules.max_ejected) / 100;
        let most = share.max(1).min(members - 1);
        self.failures = 0;
        if ledger.eject(endpoint.address, until, most, now) {
            self.ejections = self.ejections.saturating_add(1);
            self.ejected_until = Some(until);
            self.rest = Some(Rest::new(reason.clone(), false, now, time));
            return self.out(reason, Some(time), now);
        }
        if !on_trial {
            self.rest = Some(Rest::new(reason.clone(), false, now, Duration::ZERO));
        }
        self.doubt(reason, now)
    }

    fn doubt(&mut self, reason: Reason, now: Instant) -> Option<Event> {
        self.out(reason.clone(), None, now)?;
        Some(Event::Doubted { reason })
    }

    fn out(&mut self, reason: Reason, back_in: Option<Duration>, now: Instant) -> Option<Event> {
        if self.told_down.is_some() {
            return None;
        }
        self.told_down = Some(now);
        Some(Event::Down { reason, back_in })
    }

    fn back(&mut self, now: Instant) -> Option<Event> {
        if self.rest.is_some() || matches!(self.checked, Checked::Down(_)) {
            return None;
        }
        let since = self.told_down.take()?;
        Some(Event::Up {
            after: now.saturating_duration_since(since),
        })
    }
}
