//! Carries out what an order's state machine asks for, through the crate, and gives back the authority's own answer.
//!
//! Decides nothing. The crate's order is only its handle: what it knows of the order's state is what the state machine
//! was told last. Invariant: an order whose URL is known is never placed again, whatever the crate made of the answer.

use instant_acme::{ChallengeType, Error, KeyAuthorization, NewOrder, Order};

use super::answer::{Answer, Lost};
use super::line::Line;
use super::order::{Action, Goal};

/// One order's conversation with its authority.
pub(super) struct Dialogue {
    line: Line,
    challenge: ChallengeType,
    /// `None` as long as the crate has no order: before it is placed, before one that goes on is looked at, and when the
    /// crate refused an answer that said where the order is.
    order: Option<Order>,
}

impl Dialogue {
    pub(super) fn new(line: Line, challenge: ChallengeType) -> Self {
        Self {
            line,
            challenge,
            order: None,
        }
    }

    /// Asks the authority for this. `url` is the order's, once it is known; `csr` is for finalizing.
    pub(super) async fn ask(
        &mut self,
        action: &Action,
        url: Option<&str>,
        csr: &[u8],
    ) -> Result<Answer, Lost> {
        loop {
            let done = self.carry_out(action, url, csr).await;
            if let Some(outcome) = self.line.outcome(&done) {
                return outcome;
            }
        }
    }

    async fn carry_out(
        &mut self,
        action: &Action,
        url: Option<&str>,
        csr: &[u8],
    ) -> Result<(), Error> {
        match action {
            Action::Place(goal) => self.place(goal).await,
            Action::Look if self.order.is_some() => {
                self.order(url).await?.refresh().await.map(drop)
            }
            Action::Look => self.order(url).await.map(drop),
            Action::Authorization(index) => {
                let mut authorizations = self.order(url).await?.authorizations();
                for _ in 0..=*index {
                    if let Some(authorization) = authorizations.next().await {
                        authorization?;
                    }
                }
                Ok(())
            }
            Action::Ready(challenge) => self.tell(url, challenge).await,
            Action::Finalize => self.order(url).await?.finalize_csr(csr).await,
            Action::Download => self.order(url).await?.certificate().await.map(drop),
            Action::Publish(_) | Action::Wait(_) | Action::Take(_) => {
                Err(Error::Str("this is no request"))
            }
        }
    }

    async fn place(&mut self, goal: &Goal) -> Result<(), Error> {
        let identifiers = [goal.identifier.clone()];
        let mut order = NewOrder::new(&identifiers);
        if let Some(replaces) = &goal.replaces {
            order = order.replaces(replaces.clone());
        }
        if let Some(profile) = &goal.profile {
            order = order.profile(profile);
        }
        self.order = Some(self.line.account.new_order(&order).await?);
        Ok(())
    }

    /// The crate's order, which is looked at to have it.
    async fn order(&mut self, url: Option<&str>) -> Result<&mut Order, Error> {
        if self.order.is_none() {
            let url = url.ok_or(Error::Str("the order's URL"))?;
            self.order = Some(self.line.account.order(url.to_owned()).await?);
        }
        self.order.as_mut().ok_or(Error::Str("the order"))
    }

    async fn tell(&mut self, url: Option<&str>, challenge: &str) -> Result<(), Error> {
        let kind = self.challenge.clone();
        // Looked at before, so that nothing is asked for here.
        let mut authorizations = self.order(url).await?.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if let Some(mut found) = authorization.challenge(kind.clone())
                && found.url == challenge
            {
                return found.set_ready().await;
            }
        }
        Err(Error::Str("the challenge"))
    }

    /// What the challenge at this URL is answered with, when its authorization has been looked at.
    pub(super) async fn key_authorization(&mut self, challenge: &str) -> Option<KeyAuthorization> {
        let mut authorizations = self.order.as_mut()?.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if let Some(found) = authorization.challenge(self.challenge.clone())
                && found.url == challenge
            {
                return Some(found.key_authorization());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use instant_acme::{CertificateIdentifier, Identifier};
    use serde_json::json;

    use super::*;
    use crate::acme::line::tests::{Script, answer};

    fn goal() -> Goal {
        Goal {
            identifier: Identifier::Dns("a.test".to_owned()),
            challenge: ChallengeType::Http01,
            replaces: Some(CertificateIdentifier {
                authority_key_identifier: Cow::Borrowed("aki"),
                serial: Cow::Borrowed("serial"),
            }),
            profile: None,
            profile_required: false,
        }
    }

    #[tokio::test]
    async fn an_order_that_the_crate_will_not_have_is_looked_at_and_not_placed_again() {
        let script = Script::new(|path| match path {
            // `replaces` is not repeated, as RFC 9773 says that it must be.
            "new-order" | "order/1" => Answer {
                location: Some("https://ca.test/order/1".to_owned()),
                ..answer(
                    201,
                    &json!({"status": "pending", "authorizations": ["https://ca.test/authz/1"], "finalize": "https://ca.test/finalize/1"}),
                )
            },
            _ => answer(
                200,
                &json!({"identifier": {"type": "dns", "value": "a.test"}, "status": "pending", "challenges": [
                    {"type": "http-01", "url": "https://ca.test/challenge/1", "token": "t", "status": "pending"}
                ]}),
            ),
        });
        let line = script.line().await;
        let thumbprint = line.account.key_thumbprint().to_owned();
        let mut dialogue = Dialogue::new(line, ChallengeType::Http01);
        let placed = dialogue.ask(&Action::Place(goal()), None, &[]).await;
        let url = placed.unwrap().location.unwrap();
        let asked = dialogue.ask(&Action::Authorization(0), Some(&url), &[]);
        assert_eq!(asked.await.unwrap().status, 200);
        let challenge = "https://ca.test/challenge/1";
        let text = dialogue.key_authorization(challenge).await.unwrap();
        assert_eq!(text.as_str(), format!("t.{thumbprint}"));
        let ready = Action::Ready(challenge.to_owned());
        dialogue.ask(&ready, Some(&url), &[]).await.unwrap();
        let requests = [
            "directory",
            "new-order",
            "order/1",
            "authz/1",
            "challenge/1",
        ];
        assert_eq!(script.asked(), requests);
    }

    #[tokio::test]
    async fn what_the_crate_cannot_read_reaches_us_as_it_came() {
        let script = Script::new(|_| Answer {
            retry_after: Some("120".to_owned()),
            body: "<html>down</html>".into(),
            ..answer(503, &json!(null))
        });
        let mut dialogue = Dialogue::new(script.line().await, ChallengeType::Http01);
        let placed = dialogue
            .ask(&Action::Place(goal()), None, &[])
            .await
            .unwrap();
        assert_eq!(placed.status, 503);
        assert_eq!(placed.retry_after.as_deref(), Some("120"));
        assert!(placed.body.starts_with(b"<html>"));
    }
}
