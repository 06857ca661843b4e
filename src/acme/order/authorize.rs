//! What an order's authorizations say: which challenges wait for us, and why the authority was not convinced.
//!
//! Pure, as all of `order`. A token that the authority was told of before is answered again, but not told again.
#![deny(clippy::disallowed_methods)]

use instant_acme::{
    AuthorizationState, AuthorizationStatus, Challenge, ChallengeStatus, ChallengeType, Problem,
};
use time::OffsetDateTime;

use super::{Order, Step, Wanted, named};
use crate::acme::answer::Answer;
use crate::acme::failure::Failure;
use crate::acme::schedule::Class;

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
        let authorization: AuthorizationState = answer
            .read()
            .map_err(|reason| Failure::new("authorize", Class::CaUnavailable, reason))?;
        match authorization.status {
            AuthorizationStatus::Valid => {}
            AuthorizationStatus::Pending => {
                let challenge = self.choose(&authorization)?;
                wanted.push(Wanted {
                    token: challenge.token.clone(),
                    url: challenge.url.clone(),
                    tell: challenge.status == ChallengeStatus::Pending,
                });
            }
            other => {
                let text = format!("the authorization is {}", named(other));
                return Err(match error_of(&authorization) {
                    Some(error) => Failure::of_challenge(Some(error), 1),
                    None => Failure::new("authorize", Class::Validation, text).dead(),
                });
            }
        }
        self.step = match self.has_authorization(index + 1) {
            true => Step::Authorize {
                index: index + 1,
                wanted,
            },
            false => Step::Publish(wanted),
        };
        Ok(())
    }

    fn choose<'a>(&self, authorization: &'a AuthorizationState) -> Result<&'a Challenge, Failure> {
        let kind = &self.goal.challenge;
        let mut all = authorization.challenges.iter();
        all.find(|challenge| challenge.r#type == *kind && !challenge.token.is_empty())
            .ok_or_else(|| {
                let offered: Vec<_> = authorization
                    .challenges
                    .iter()
                    .map(|challenge| name_of(&challenge.r#type))
                    .collect();
                let text = format!(
                    "the authority offers no {} challenge for `{}`, only {}",
                    name_of(kind),
                    authorization.identifier(),
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
        let authorization: Option<AuthorizationState> =
            answer.is_ok().then(|| answer.read().ok()).flatten();
        if let Some(error) = authorization.as_ref().and_then(error_of) {
            return Err(Failure::of_challenge(Some(error), asked));
        }
        if self.has_authorization(index + 1) {
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

fn name_of(kind: &ChallengeType) -> &str {
    match kind {
        ChallengeType::Http01 => "http-01",
        ChallengeType::Dns01 => "dns-01",
        ChallengeType::TlsAlpn01 => "tls-alpn-01",
        ChallengeType::Unknown(name) => name,
        _ => "another",
    }
}

fn error_of(authorization: &AuthorizationState) -> Option<&Problem> {
    authorization
        .challenges
        .iter()
        .find_map(|challenge| challenge.error.as_ref())
}
