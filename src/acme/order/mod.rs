//! One order as a state machine: which request comes next, and what its answer means (RFC 8555 section 7.4).
//!
//! Pure: [`Order::next`] says what to do, `answered` and its like take what came of it; `attempt` does it. Invariants:
//! tokens are published before the authority is told, an order is finalized only when it is ready, and an order whose URL
//! is known is never replaced by another unless the authority says that it cannot succeed.
#![deny(clippy::disallowed_methods)]

mod authorize;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{CertificateIdentifier, ChallengeType, Identifier, OrderState, OrderStatus};
use time::OffsetDateTime;

use crate::acme::answer::{Answer, Lost, word};
use crate::acme::failure::Failure;
use crate::acme::schedule::Class;
use crate::types::host::Host;

/// How long an order may stay pending or processing before the attempt ends; it is resumed later.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often in one attempt the authority is told anew that challenges are ready when no answer came.
const TELLS: u32 = 3;
/// The first wait between two looks at an order; doubled each time when the authority does not say how long.
const PAUSE: Duration = Duration::from_millis(40);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// What is ordered, and how.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Goal {
    pub(super) identifier: Identifier,
    pub(super) challenge: ChallengeType,
    /// The certificate this one is for instead of (RFC 9773 section 5).
    pub(super) replaces: Option<CertificateIdentifier<'static>>,
    pub(super) profile: Option<String>,
    /// Rather no certificate than one of another profile.
    pub(super) profile_required: bool,
}

/// A challenge that waits for its token to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) token: String,
    /// The challenge's, by which it is known.
    pub(super) url: String,
    /// The authority does not know yet that it is ready.
    tell: bool,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Place the order.
    Place(Goal),
    /// Look at the order.
    Look,
    /// Look at this one of its authorizations.
    Authorization(usize),
    /// Answer these tokens from now on.
    Publish(Vec<Wanted>),
    /// Tell the authority that the challenge at this URL is ready.
    Ready(String),
    /// Send the signing request.
    Finalize,
    /// Fetch the certificate.
    Download,
    Wait(Duration),
    /// Verify and store this chain.
    Take(String),
}

/// An order on its way.
#[derive(Clone, Debug)]
pub(super) struct Order {
    goal: Goal,
    url: Option<String>,
    state: Option<Arc<OrderState>>,
    step: Step,
    waited: Duration,
    pause: Duration,
    /// The authority knows that the challenges are ready.
    told: bool,
    /// How often it was told without an answer.
    tells_lost: u32,
    /// What the authority said to the signing request, if it was no success.
    refused: Option<Failure>,
    finalized: bool,
    /// The order was there before this attempt.
    resumed: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Place,
    Look,
    Authorize {
        index: usize,
        wanted: Vec<Wanted>,
    },
    Publish(Vec<Wanted>),
    Tell {
        index: usize,
        wanted: Vec<Wanted>,
    },
    Wait(Duration),
    Finalize,
    Download,
    /// The order is invalid; its authorizations know why.
    Explain {
        index: usize,
    },
    Taken(String),
}

/// A host as an authority calls it.
pub(super) fn identifier(host: &Host) -> Identifier {
    match host.ip() {
        Some(ip) => Identifier::Ip(ip),
        None => Identifier::Dns(host.as_str().to_owned()),
    }
}

/// The crate's names of states as the protocol has them.
fn named(status: impl Debug) -> String {
    format!("{status:?}").to_lowercase()
}

impl Order {
    /// A new order.
    pub(super) fn new(goal: Goal) -> Self {
        Self {
            goal,
            url: None,
            state: None,
            step: Step::Place,
            waited: Duration::ZERO,
            pause: PAUSE,
            told: false,
            tells_lost: 0,
            refused: None,
            finalized: false,
            resumed: false,
        }
    }

    /// The order at this URL, placed by an attempt before.
    pub(super) fn resume(goal: Goal, url: String) -> Self {
        Self {
            url: Some(url),
            step: Step::Look,
            resumed: true,
            ..Self::new(goal)
        }
    }

    /// Where the order is, once it is placed.
    pub(super) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Whether it is ordered as a replacement; the authority may have refused that.
    pub(super) fn replaces(&self) -> bool {
        self.goal.replaces.is_some() && !self.resumed
    }

    /// The step's name, as in logs.
    pub(super) fn step(&self) -> &'static str {
        match &self.step {
            Step::Place => "order",
            Step::Look if self.resumed && self.state.is_none() => "resume",
            Step::Look | Step::Wait(_) if self.finalized => "issue",
            Step::Look | Step::Wait(_) | Step::Explain { .. } => "validate",
            Step::Authorize { .. } | Step::Publish(_) => "authorize",
            Step::Tell { .. } => "ready",
            Step::Finalize => "finalize",
            Step::Download | Step::Taken(_) => "download",
        }
    }

    /// What to do now.
    pub(super) fn next(&self) -> Action {
        match &self.step {
            Step::Place => Action::Place(self.goal.clone()),
            Step::Look => Action::Look,
            Step::Authorize { index, .. } | Step::Explain { index } => {
                Action::Authorization(*index)
            }
            Step::Publish(wanted) => Action::Publish(wanted.clone()),
            Step::Tell { index, wanted } => Action::Ready(
                wanted
                    .get(*index)
                    .map_or_else(String::new, |one| one.url.clone()),
            ),
            Step::Wait(wait) => Action::Wait(*wait),
            Step::Finalize => Action::Finalize,
            Step::Download => Action::Download,
            Step::Taken(chain) => Action::Take(chain.clone()),
        }
    }

    /// The tokens are answered from now on.
    pub(super) fn published(&mut self) {
        if let Step::Publish(wanted) = &self.step {
            let wanted: Vec<_> = wanted.iter().filter(|one| one.tell).cloned().collect();
            self.told = wanted.is_empty();
            self.step = match self.told {
                true => Step::Look,
                false => Step::Tell { index: 0, wanted },
            };
        }
    }

    /// The wait is over.
    pub(super) fn waited(&mut self) {
        if let Step::Wait(wait) = self.step {
            self.waited += wait;
            self.step = Step::Look;
        }
    }

    /// Takes the answer to what [`Order::next`] asked for. `asked` is how often our tokens have been asked for.
    pub(super) fn answered(
        &mut self,
        answer: &Answer,
        now: OffsetDateTime,
        asked: u32,
    ) -> Result<(), Failure> {
        let step = self.step();
        match self.step.clone() {
            Step::Place => self.placed(answer, now),
            Step::Look => self.looked(answer, now),
            Step::Authorize { index, wanted } => self.authorized(answer, now, index, wanted),
            Step::Tell { index, wanted } => self.was_told(answer, now, index, wanted),
            Step::Finalize => self.was_finalized(answer, now),
            Step::Download if answer.is_ok() => {
                let chain = String::from_utf8_lossy(&answer.body).into_owned();
                self.step = Step::Taken(chain);
                Ok(())
            }
            Step::Download => Err(Failure::of_answer(step, answer, now)),
            Step::Explain { index } => self.explained(answer, now, index, asked),
            Step::Publish(_) | Step::Wait(_) | Step::Taken(_) => Ok(()),
        }
    }

    /// The request [`Order::next`] asked for has no answer. Some are asked again, some end the attempt.
    pub(super) fn lost(&mut self, lost: &Lost) -> Result<(), Failure> {
        let failure = Failure::of_lost(self.step(), lost);
        match &self.step {
            // What became of it, the order and its challenges know; they are told again if they do not.
            Step::Tell { .. } => {
                self.not_told();
                Ok(())
            }
            Step::Finalize => {
                self.finalized = true;
                self.refused = Some(failure);
                self.step = Step::Look;
                Ok(())
            }
            Step::Look if self.state.is_some() => self.pause_after(None, Some(failure)),
            _ => Err(failure),
        }
    }

    fn has_authorization(&self, index: usize) -> bool {
        let state = self.state.as_ref();
        state.is_some_and(|state| index < state.authorizations.len())
    }

    fn placed(&mut self, answer: &Answer, now: OffsetDateTime) -> Result<(), Failure> {
        if !answer.is_ok() {
            return self.not_placed(answer, now);
        }
        let Some(url) = answer.location.clone() else {
            return Err(Failure::new(
                "order",
                Class::CaUnavailable,
                "the authority does not say where the order is",
            ));
        };
        // From here on nothing may lead to a second order, not even an answer that makes no sense.
        self.url = Some(url);
        self.step = Step::Look;
        match answer.read() {
            Ok(state) => self.route(state, answer, now),
            Err(_) => Ok(()),
        }
    }

    /// Drops what the authority does not like about the order, as long as that is not the order itself.
    fn not_placed(&mut self, answer: &Answer, now: OffsetDateTime) -> Result<(), Failure> {
        let problem = answer.problem();
        let about_replaces = match word(&problem) {
            "alreadyReplaced" => true,
            "malformed" | "about:blank" | "" => matches!(answer.status, 400 | 404 | 409),
            _ => matches!(answer.status, 404 | 409),
        };
        if about_replaces && self.goal.replaces.take().is_some() {
            return Ok(());
        }
        if word(&problem) == "invalidProfile"
            && !self.goal.profile_required
            && self.goal.profile.take().is_some()
        {
            return Ok(());
        }
        Err(Failure::of_answer("order", answer, now))
    }

    fn looked(&mut self, answer: &Answer, now: OffsetDateTime) -> Result<(), Failure> {
        let step = self.step();
        if answer.is_ok() {
            let state = answer
                .read()
                .map_err(|reason| Failure::new(step, Class::CaUnavailable, reason))?;
            return self.route(state, answer, now);
        }
        let failure = Failure::of_answer(step, answer, now);
        if self.state.is_some() && failure.class == Class::CaUnavailable {
            return self.pause_after(failure.retry_after, Some(failure));
        }
        // It has been forgotten, or is said not to be ours.
        let gone = matches!(answer.status, 400 | 401 | 403 | 404) && failure.class == Class::Input;
        Err(if gone { failure.forgotten() } else { failure })
    }

    fn route(
        &mut self,
        state: OrderState,
        answer: &Answer,
        now: OffsetDateTime,
    ) -> Result<(), Failure> {
        let status = state.status;
        let has_certificate = state.certificate.is_some();
        let first = self.state.replace(Arc::new(state)).is_none();
        match status {
            OrderStatus::Pending if !self.told => {
                self.step = Step::Authorize {
                    index: 0,
                    wanted: Vec::new(),
                };
            }
            OrderStatus::Pending | OrderStatus::Processing => {
                return self.pause_after(answer.wait(now), None);
            }
            OrderStatus::Ready => match self.refused.take() {
                Some(failure) => return Err(failure),
                None => self.step = Step::Finalize,
            },
            OrderStatus::Valid if has_certificate => self.step = Step::Download,
            OrderStatus::Valid => {
                let text = "the order is valid, but there is no certificate";
                return Err(Failure::new("download", Class::CaUnavailable, text));
            }
            OrderStatus::Invalid if first && self.resumed => {
                let text = "the order became invalid meanwhile";
                return Err(Failure::new("resume", Class::Validation, text).forgotten());
            }
            OrderStatus::Invalid => self.step = Step::Explain { index: 0 },
        }
        Ok(())
    }

    /// Waits before the next look, unless this has gone on for too long.
    fn pause_after(
        &mut self,
        said: Option<Duration>,
        failure: Option<Failure>,
    ) -> Result<(), Failure> {
        let said = said.map(|wait| wait.clamp(Duration::from_secs(1), LONGEST_PAUSE));
        let wait = said.unwrap_or(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        if self.waited + wait > PATIENCE {
            let status = self.state.as_ref();
            let status = status.map_or_else(|| "unknown".to_owned(), |s| named(s.status));
            let text = format!("the order is still {status} after {} s", PATIENCE.as_secs());
            return Err(
                failure.unwrap_or_else(|| Failure::new(self.step(), Class::CaUnavailable, text))
            );
        }
        self.step = Step::Wait(wait);
        Ok(())
    }

    /// The authority may not know that a challenge is ready; it is told again, but not for ever.
    fn not_told(&mut self) {
        self.tells_lost += 1;
        self.told = self.tells_lost >= TELLS;
        self.step = Step::Look;
    }

    fn was_told(
        &mut self,
        answer: &Answer,
        now: OffsetDateTime,
        index: usize,
        wanted: Vec<Wanted>,
    ) -> Result<(), Failure> {
        let failure = Failure::of_answer("ready", answer, now);
        if !answer.is_ok() && failure.class == Class::RateLimited {
            return Err(failure);
        }
        if answer.is_bad_nonce() {
            // Nothing was done: to wait for the order would be in vain.
            self.not_told();
            return Ok(());
        }
        // Any other refusal shows in the order, which is looked at next.
        if index + 1 < wanted.len() {
            self.step = Step::Tell {
                index: index + 1,
                wanted,
            };
        } else {
            self.told = true;
            self.step = Step::Wait(self.pause);
        }
        Ok(())
    }

    fn was_finalized(&mut self, answer: &Answer, now: OffsetDateTime) -> Result<(), Failure> {
        self.finalized = true;
        if answer.is_ok() {
            return match answer.read() {
                Ok(state) => self.route(state, answer, now),
                Err(_) => {
                    self.step = Step::Look;
                    Ok(())
                }
            };
        }
        let failure = Failure::of_answer("finalize", answer, now);
        let failure = match failure.class {
            Class::Input => failure.dead(),
            Class::RateLimited | Class::Human => return Err(failure),
            _ => failure,
        };
        // The work may be done all the same.
        self.refused = Some(failure);
        self.step = Step::Look;
        Ok(())
    }
}
