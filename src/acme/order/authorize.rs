//! What an order's authorizations say: which challenges wait for us, and why the authority was not convinced.
//!
//! Pure, as all of `order`. A token that the authority was told of before is answered again, but not told again.
#![deny(clippy::disallowed_methods)]

use time::OffsetDateTime;

use super::{Order, Step, Wanted};
use crate::acme::answer::Answer;
use crate::acme::failure::Failure;
use crate::acme::schedule::Class;
use crate::acme::wire::{Authorization, Challenge, Problem, Status};

impl Order {
    pub(super) fn authorized(
        &mut self,
        answer: &Answer,
        now: OffsetDateTime,
        index: usize,
        mut wanted: Vec<Wanted>,
    ) -> Result<(), Failure> {
        if !answer.is_ok() {
            return Err(Failure::of_answer("authorize", answer, now));
        }
        let authorization: Authorization = answer
            .read()
            .map_err(|reason| Failure::new("authorize", Class::CaUnavailable, reason))?;
        match authorization.status {
            Status::Valid => {}
            Status::Pending => {
                let challenge = self.choose(&authorization)?;
                wanted.push(Wanted {
                    token: challenge.token.clone(),
                    url: challenge.url.clone(),
                    tell: challenge.status == Status::Pending,
                });
            }
            other => {
                let text = format!("the authorization is {}", other.as_str());
                return Err(match error_of(&authorization) {
                    Some(error) => Failure::of_challenge(Some(error), 1),
                    None => Failure::new("authorize", Class::Validation, text).dead(),
                });
            }
        }
        self.step = match self.authorization(index + 1) {
            Some(_) => Step::Authorize {
                index: index + 1,
                wanted,
            },
            None => Step::Publish(wanted),
        };
        Ok(())
    }

    fn choose<'a>(&self, authorization: &'a Authorization) -> Result<&'a Challenge, Failure> {
        let kind = self.goal.challenge.as_str();
        let mut all = authorization.challenges.iter();
        all.find(|challenge| challenge.kind == kind && !challenge.token.is_empty())
            .ok_or_else(|| {
                let offered: Vec<_> = authorization
                    .challenges
                    .iter()
                    .map(|challenge| challenge.kind.as_str())
                    .collect();
                let text = format!(
                    "the authority offers no {kind} challenge for `{}`, only {}",
                    authorization.identifier.value,
                    offered.join(", ")
                );
                Failure::new("authorize", Class::Input, text).dead()
            })
    }

    /// The order itself never says why it is invalid; its authorizations' challenges do.
    pub(super) fn explained(
        &mut self,
        answer: &Answer,
        now: OffsetDateTime,
        index: usize,
        asked: u32,
    ) -> Result<(), Failure> {
        let authorization: Option<Authorization> =
            answer.is_ok().then(|| answer.read().ok()).flatten();
        if let Some(error) = authorization.as_ref().and_then(error_of) {
            return Err(Failure::of_challenge(Some(error), asked));
        }
        if self.authorization(index + 1).is_some() {
            self.step = Step::Explain { index: index + 1 };
            return Ok(());
        }
        let own = self.state.as_ref().and_then(|state| state.error.as_ref());
        Err(match own {
            Some(problem) => Failure::of_problem("issue", problem, now).dead(),
            None => Failure::of_challenge(None, asked),
        })
    }
}

fn error_of(authorization: &Authorization) -> Option<&Problem> {
    authorization
        .challenges
        .iter()
        .find_map(|challenge| challenge.error.as_ref())
}
