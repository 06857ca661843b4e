//! One attempt at a certificate: from the key to the verified chain on disk, or to a [`Failure`] that says why not.
//!
//! Steps: key* -> order* -> tokens -> ready -> poll -> finalize -> download -> verify -> store*; those with a star are on
//! disk before the next begins, so that an attempt cut anywhere goes on where it was. Invariants: at most one order leads
//! to a certificate, tokens are answered before the authority is told, and nothing unverified leaves this file.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeStatus, ChallengeType, Error, Identifier, NewOrder,
    Order, OrderStatus,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::challenge::{Published, Tokens};
use super::client::last_answer;
use super::failure::Failure;
use super::schedule::Class;
use super::storage::{self, CertificateDir};
use crate::tls::pem::{Pair, load_pair_from_memory};
use crate::types::host::{Host, HostPattern};

/// How long an order may stay pending or processing before the attempt ends; it is resumed later.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL_FIRST: Duration = Duration::from_millis(250);
const POLL_LONGEST: Duration = Duration::from_secs(8);
/// Authorities date certificates an hour back; this much ahead is our own clock's fault.
const CLOCK_SLACK: Duration = Duration::from_secs(300);

/// What an attempt works with.
pub(super) struct Attempt<'a> {
    pub(super) host: &'a Host,
    pub(super) directory: &'a str,
    pub(super) account: &'a Account,
    pub(super) dir: &'a CertificateDir,
    pub(super) tokens: &'a Tokens,
}

/// A certificate, verified.
pub(super) struct Issued {
    pub(super) pair: Pair,
    /// It is served, but could not be written: the order stays, and the next attempt downloads it again.
    pub(super) unsaved: Option<Failure>,
}

impl Attempt<'_> {
    /// Carries the attempt out. An order that cannot succeed any more is forgotten on the way out.
    pub(super) async fn run(&self) -> Result<Issued, Failure> {
        let result = self.steps().await;
        if let Err(failure) = &result
            && failure.order_is_dead
        {
            self.dir.clear_record::<storage::Order>().await;
        }
        result
    }

    async fn steps(&self) -> Result<Issued, Failure> {
        let (mut order, record, key) = match self.resume().await? {
            Some(resumed) => resumed,
            None => self.begin().await?,
        };
        if order.state().status == OrderStatus::Pending {
            let tokens = self.answer_challenges(&mut order).await?;
            self.poll(&mut order, "validate", |status| {
                status != OrderStatus::Pending
            })
            .await?;
            if order.state().status == OrderStatus::Invalid {
                return Err(self.why_invalid(&mut order, &tokens).await);
            }
        }
        if order.state().status == OrderStatus::Ready {
            self.finalize(&mut order, &key).await?;
        }
        self.poll(&mut order, "issue", |status| {
            !matches!(status, OrderStatus::Processing | OrderStatus::Ready)
        })
        .await?;
        if order.state().status != OrderStatus::Valid {
            return Err(self.why_invalid(&mut order, &[]).await);
        }
        let chain = order
            .certificate()
            .await
            .map_err(|error| self.refused("download", &error))?;
        let chain = chain.ok_or_else(|| {
            Failure::new(
                "download",
                Class::CaUnavailable,
                "the order is valid, but there is no certificate",
            )
        })?;
        let pair = self.verify(&chain, &key)?;
        Ok(Issued {
            pair,
            unsaved: self.store(&record, &chain).await.err(),
        })
    }

    /// The order on disk, when it is ours, alive, and its key is there.
    async fn resume(&self) -> Result<Option<(Order, storage::Order, KeyPair)>, Failure> {
        let Some(record) = self.dir.record::<storage::Order>().await else {
            return Ok(None);
        };
        let key = self.dir.key(record.generation).await;
        let ours = record.directory == self.directory && record.account == self.account.id();
        let (Some(key), true) = (key, ours) else {
            self.dir.clear_record::<storage::Order>().await;
            return Ok(None);
        };
        match self.account.order(record.url.clone()).await {
            Ok(mut order) => {
                let status = order.state().status;
                if status == OrderStatus::Invalid {
                    self.dir.clear_record::<storage::Order>().await;
                    return Ok(None);
                }
                info!(event = "acme.order.resume", host = %self.host, order = record.url, ?status, "order resumed");
                Ok(Some((order, record, key)))
            }
            // The authority has forgotten the order, or says that it is not ours.
            Err(Error::Api(problem)) if matches!(problem.status, Some(400 | 401 | 403 | 404)) => {
                let failure = self.refused("resume", &Error::Api(problem));
                if failure.account_unknown || failure.class == Class::RateLimited {
                    return Err(failure);
                }
                self.dir.clear_record::<storage::Order>().await;
                Ok(None)
            }
            Err(error) => Err(self.refused("resume", &error)),
        }
    }

    /// A key on disk, then a new order, which is on disk before anything else happens.
    async fn begin(&self) -> Result<(Order, storage::Order, KeyPair), Failure> {
        let (generation, key) = self
            .dir
            .begin(self.host)
            .await
            .map_err(|error| Failure::of_storage("key", &error))?;
        let identifiers = [match self.host.ip() {
            Some(address) => Identifier::Ip(address),
            None => Identifier::Dns(self.host.as_str().to_owned()),
        }];
        info!(event = "acme.order.start", host = %self.host, directory = self.directory, generation, "ordering a certificate");
        let order = self
            .account
            .new_order(&NewOrder::new(&identifiers))
            .await
            .map_err(|error| self.refused("order", &error))?;
        let record =
            storage::Order::new(self.directory, self.account.id(), order.url(), generation);
        self.dir
            .save_record(&record)
            .await
            .map_err(|error| Failure::of_storage("order", &error))?;
        Ok((order, record, key))
    }

    /// Publishes the tokens of all pending challenges, and only then tells the authority.
    async fn answer_challenges(&self, order: &mut Order) -> Result<Vec<Published>, Failure> {
        let mut published = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization =
                authorization.map_err(|error| self.refused("authorize", &error))?;
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                other => {
                    let error = authorization
                        .challenges
                        .iter()
                        .find_map(|challenge| challenge.error.as_ref());
                    let text = format!("the authorization is {other:?}").to_lowercase();
                    let failure = error.map_or_else(
                        || Failure::new("authorize", Class::Validation, text),
                        |e| Failure::of_challenge(Some(e), 1),
                    );
                    return Err(failure.dead());
                }
            }
            let mut challenge =
                authorization
                    .challenge(ChallengeType::Http01)
                    .ok_or_else(|| {
                        Failure::new(
                            "authorize",
                            Class::Input,
                            "the authority offers no http-01 challenge",
                        )
                        .dead()
                    })?;
            let token = challenge.token.clone();
            let answer = challenge.key_authorization();
            let guard = self
                .tokens
                .publish(self.host, &token, answer.as_str())
                .map_err(|error| Failure::new("authorize", Class::Store, error.to_string()))?;
            published.push(guard);
            if challenge.status == ChallengeStatus::Pending {
                challenge
                    .set_ready()
                    .await
                    .map_err(|error| self.refused("ready", &error))?;
            }
        }
        Ok(published)
    }

    async fn finalize(&self, order: &mut Order, key: &KeyPair) -> Result<(), Failure> {
        let unusable =
            |error: rcgen::Error| Failure::new("finalize", Class::Store, error.to_string());
        let mut params =
            CertificateParams::new(vec![self.host.as_str().to_owned()]).map_err(unusable)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(key).map_err(unusable)?;
        let Err(error) = order.finalize_csr(request.der()).await else {
            return Ok(());
        };
        // The answer may be lost and the work done; the order knows.
        let failure = self.refused("finalize", &error);
        match order.refresh().await {
            Ok(state) if matches!(state.status, OrderStatus::Processing | OrderStatus::Valid) => {
                Ok(())
            }
            _ if failure.class == Class::Input => Err(failure.dead()),
            _ => Err(failure),
        }
    }

    /// Asks for the order's state until `done` likes it. Single failures of the authority are sat out.
    async fn poll(
        &self,
        order: &mut Order,
        step: &'static str,
        done: impl Fn(OrderStatus) -> bool,
    ) -> Result<(), Failure> {
        let end = Instant::now() + PATIENCE;
        let mut pause = POLL_FIRST;
        while !done(order.state().status) {
            let now = OffsetDateTime::now_utc();
            let said = last_answer()
                .wait(now)
                .map(|wait| wait.clamp(Duration::from_secs(1), POLL_LONGEST));
            let wait = said.unwrap_or(pause);
            if Instant::now() + wait > end {
                let status = format!("{:?}", order.state().status).to_lowercase();
                return Err(Failure::new(
                    step,
                    Class::CaUnavailable,
                    format!("the order is still {status} after {} s", PATIENCE.as_secs()),
                ));
            }
            sleep(wait).await;
            pause = (pause * 2).min(POLL_LONGEST);
            if let Err(error) = order.refresh().await {
                let failure = self.refused(step, &error);
                if failure.class != Class::CaUnavailable {
                    return Err(failure);
                }
                warn!(event = "acme.poll.failed", host = %self.host, step, detail = failure.detail, "the authority did not answer; asking again");
            }
        }
        Ok(())
    }

    /// The order itself never says why; its authorizations' challenges do.
    async fn why_invalid(&self, order: &mut Order, tokens: &[Published]) -> Failure {
        let asked = if tokens.is_empty() {
            1
        } else {
            tokens.iter().map(Published::asked).sum()
        };
        let own = order.state().error.clone();
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if let Ok(state) = authorization.refresh().await
                && let Some(error) = state
                    .challenges
                    .iter()
                    .find_map(|challenge| challenge.error.as_ref())
            {
                return Failure::of_challenge(Some(error), asked);
            }
        }
        match own {
            Some(problem) => self.refused("issue", &Error::Api(problem)).dead(),
            None => Failure::of_challenge(None, asked),
        }
    }

    /// Refuses a chain that is not for our key, our host and our time.
    fn verify(&self, chain: &str, key: &KeyPair) -> Result<Pair, Failure> {
        let pair = load_pair_from_memory(chain.as_bytes(), key.serialize_pem().as_bytes())
            .map_err(|error| Failure::new("verify", Class::Input, error.to_string()).dead())?;
        if !pair.leaf.covers(&HostPattern::Exact(self.host.clone())) {
            return Err(Failure::new(
                "verify",
                Class::Input,
                "the certificate does not name the host",
            )
            .dead());
        }
        let now = OffsetDateTime::now_utc();
        if pair.leaf.not_before <= now + CLOCK_SLACK && pair.leaf.not_after > now {
            return Ok(pair);
        }
        let text = format!(
            "the certificate is valid from {} to {}, but this machine's clock says {now}",
            pair.leaf.not_before, pair.leaf.not_after
        );
        if last_answer().disagrees_with(now) {
            // The order is kept: once the clock is right, the same certificate is fetched again.
            let text = format!(
                "{text}, and the authority's clock something else; check this machine's clock"
            );
            return Err(Failure::new("verify", Class::Store, text));
        }
        Err(Failure::new("verify", Class::Validation, text).dead())
    }

    async fn store(&self, record: &storage::Order, chain: &str) -> Result<(), Failure> {
        self.dir
            .complete(record, chain, OffsetDateTime::now_utc())
            .await
            .map_err(|error| Failure::of_storage("store", &error))?;
        self.dir.clear_record::<storage::Order>().await;
        Ok(())
    }

    fn refused(&self, step: &'static str, error: &Error) -> Failure {
        Failure::of_acme(step, error, &last_answer(), OffsetDateTime::now_utc())
    }
}
