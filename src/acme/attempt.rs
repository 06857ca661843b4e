//! One attempt at a certificate: has done what [`Order`] asks for, from the key to the verified chain on disk.
//!
//! Steps: key* -> order* -> tokens -> ready -> poll -> finalize -> download -> verify -> store*; those with a star are on
//! disk before the next begins, so that an attempt cut anywhere goes on where it was. Invariants: at most one order leads
//! to a certificate, tokens are answered before the authority is told, and nothing unverified leaves this file.

use std::collections::BTreeSet;

use instant_acme::{CertificateIdentifier, ChallengeType};
use rcgen::KeyPair;
use tokio::time::sleep;
use tracing::{debug, info};

use super::account::Account;
use super::authority::Authority;
use super::challenge::{Published, Tokens};
use super::clock::Clock;
use super::dialogue::Dialogue;
use super::failure::{Failure, OrderFate};
use super::keys;
use super::line::Line;
use super::order::{self, Action, Goal, Order, Wanted};
use super::schedule::Class;
use super::stop::stop_at;
use super::storage::{self, CertificateDir};
use super::verify;
use crate::config::ChallengeKind;
use crate::tls::pem::Pair;
use crate::types::host::Host;

/// Chains of one order that may be unfit before another order is begun.
const UNFIT: u32 = 3;

/// What an attempt works with.
pub(super) struct Attempt<'a> {
    pub(super) host: &'a Host,
    pub(super) authority: &'a Authority,
    pub(super) account: &'a Account,
    pub(super) dir: &'a CertificateDir,
    pub(super) tokens: &'a Tokens,
    pub(super) clock: &'a dyn Clock,
    /// The certificate that is to be replaced, as its authority calls it.
    pub(super) replaces: Option<CertificateIdentifier<'static>>,
    /// Only to see whether the authority would issue: nothing is stored.
    pub(super) trial: bool,
}

/// A certificate, verified.
pub(super) struct Issued {
    pub(super) pair: Pair,
    /// It is served, but could not be written: the order stays, and the next attempt downloads it again.
    pub(super) unsaved: Option<Failure>,
}

/// An order under way: the record on disk and the key it names.
struct Under {
    order: Order,
    record: Option<storage::Order>,
    generation: u32,
    key: KeyPair,
}

impl Attempt<'_> {
    /// Carries the attempt out. An order that cannot succeed any more is forgotten on the way out.
    pub(super) async fn run(&self) -> Result<Issued, Failure> {
        let mut result = self.once().await;
        if let Err(failure) = &result
            && failure.order == OrderFate::Forgotten
        {
            info!(event = "acme.order.forgotten", host = %self.host, ca = self.authority.name(), detail = failure.detail, "the order is gone; ordering anew");
            self.forget().await;
            result = self.once().await;
        }
        if let Err(failure) = &result
            && failure.order != OrderFate::Lives
        {
            self.forget().await;
        }
        result
    }

    async fn forget(&self) {
        self.dir.clear_record::<storage::Order>().await;
    }

    async fn once(&self) -> Result<Issued, Failure> {
        let (session, account) = (&self.authority.session, self.account);
        let line = Line::open(session, &account.url, &account.key).await?;
        let goal = self.goal(&line).await?;
        let mut dialogue = Dialogue::new(line, goal.challenge.clone());
        let mut under = match self.resume(&goal).await? {
            Some(under) => under,
            None => self.begin(goal).await?,
        };
        let mut published = Vec::new();
        loop {
            let step = under.order.step();
            let asked = published.iter().map(Published::asked).sum();
            match under.order.next() {
                Action::Wait(wait) => {
                    sleep(wait).await;
                    under.order.waited();
                }
                Action::Publish(wanted) => {
                    published = self.publish(&mut dialogue, &wanted).await?;
                    stop_at("tokens");
                    under.order.published();
                }
                Action::Take(chain) => return self.take(under, &chain).await,
                request => {
                    debug!(event = "acme.step", host = %self.host, ca = self.authority.name(), step, "asking the authority");
                    let csr = match &request {
                        Action::Finalize => self.signing_request(&under.key)?,
                        _ => Vec::new(),
                    };
                    let answer = dialogue.ask(&request, under.order.url(), &csr).await;
                    let outcome = match &answer {
                        Ok(answer) => under.order.answered(answer, self.clock.now(), asked),
                        Err(lost) => under.order.lost(lost),
                    };
                    self.remember(&mut under).await?;
                    outcome?;
                    stop_at(step);
                }
            }
        }
    }

    /// The order is on disk as soon as it is known where it is.
    async fn remember(&self, under: &mut Under) -> Result<(), Failure> {
        let (None, Some(url)) = (&under.record, under.order.url()) else {
            return Ok(());
        };
        let directory = self.authority.directory();
        let mut record = storage::Order::new(directory, &self.account.url, url, under.generation);
        record.replaces = under.order.replaces();
        let saved = self.dir.save_record(&record).await;
        under.record = Some(record);
        saved.map_err(|error| Failure::of_storage("order", &error))
    }

    /// The order on disk, when it is ours and its key is there.
    async fn resume(&self, goal: &Goal) -> Result<Option<Under>, Failure> {
        let Some(record) = self.dir.record::<storage::Order>().await else {
            return Ok(None);
        };
        let key = self.dir.key(record.generation).await;
        let directory = self.authority.directory();
        let ours = record.directory == directory && record.account == self.account.url;
        let (Some(key), true) = (key, ours) else {
            self.forget().await;
            return Ok(None);
        };
        info!(event = "acme.order.resume", host = %self.host, ca = self.authority.name(), order = record.url, generation = record.generation, "resuming an order");
        Ok(Some(Under {
            order: Order::resume(goal.clone(), record.url.clone()),
            generation: record.generation,
            record: Some(record),
            key,
        }))
    }

    /// A key on disk, before anything is ordered.
    async fn begin(&self, goal: Goal) -> Result<Under, Failure> {
        let begun = self.dir.begin(self.host).await;
        let (generation, key) = begun.map_err(|error| Failure::of_storage("key", &error))?;
        stop_at("key");
        let replaces = goal.replaces.as_ref().map(ToString::to_string);
        info!(event = "acme.order.start", host = %self.host, ca = self.authority.name(), directory = self.authority.directory(), generation, profile = goal.profile, replaces, "ordering a certificate");
        Ok(Under {
            order: Order::new(goal),
            record: None,
            generation,
            key,
        })
    }

    /// What is ordered, as far as the authority has it.
    async fn goal(&self, line: &Line) -> Result<Goal, Failure> {
        let directory = self.authority.session.directory().await?;
        let settings = &self.authority.settings;
        let profiles: BTreeSet<&str> = line.account.profiles().map(|one| one.name).collect();
        let known = |name: &&String| profiles.is_empty() || profiles.contains(name.as_str());
        let profile = settings.profile.as_ref().filter(known).cloned();
        if settings.profile_required && profile.is_none() && settings.profile.is_some() {
            let has: Vec<_> = profiles.into_iter().collect();
            let text = format!(
                "the authority has no profile `{}`, only {}",
                settings.profile.as_deref().unwrap_or_default(),
                has.join(", ")
            );
            return Err(Failure::new("order", Class::Input, text));
        }
        Ok(Goal {
            identifier: order::identifier(self.host),
            challenge: match settings.challenge {
                ChallengeKind::Http01 => ChallengeType::Http01,
                ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
            },
            replaces: self
                .replaces
                .clone()
                .filter(|_| directory.renewal_info.is_some()),
            profile,
            profile_required: settings.profile_required,
        })
    }

    /// Answers the tokens until the guards are dropped.
    async fn publish(
        &self,
        dialogue: &mut Dialogue,
        wanted: &[Wanted],
    ) -> Result<Vec<Published>, Failure> {
        let failed = |reason: String| Failure::new("authorize", Class::Store, reason);
        let mut published = Vec::new();
        for one in wanted {
            let Some(text) = dialogue.key_authorization(&one.url).await else {
                return Err(failed(format!("the challenge at `{}` is gone", one.url)));
            };
            let guard = match self.authority.settings.challenge {
                ChallengeKind::Http01 => self.tokens.publish(self.host, &one.token, text.as_str()),
                ChallengeKind::TlsAlpn01 => {
                    let digest = text.digest();
                    let digest = digest.as_ref().try_into();
                    let digest = digest.map_err(|_| failed("no SHA-256".to_owned()))?;
                    let pair = keys::challenge_pair(self.host, digest)
                        .map_err(|error| failed(error.to_string()))?;
                    self.tokens.publish_pair(self.host, &one.token, pair)
                }
            };
            published.push(guard.map_err(|error| failed(error.to_string()))?);
        }
        Ok(published)
    }

    fn signing_request(&self, key: &KeyPair) -> Result<Vec<u8>, Failure> {
        keys::signing_request(self.host, key).map_err(|error| {
            let text = crate::observe::reasons::with_reasons(&error);
            Failure::new("finalize", Class::Store, text)
        })
    }

    /// Verifies the chain and stores it.
    async fn take(&self, under: Under, chain: &str) -> Result<Issued, Failure> {
        let record = under.record.unwrap_or_else(|| {
            // Unreachable in practice: a chain comes from an order that has a URL.
            storage::Order::new(self.authority.directory(), "", "", under.generation)
        });
        let skew = self.authority.session.skew();
        let now = self.clock.now();
        let pair = match verify::check(chain, &under.key, self.host, now, skew) {
            Ok(pair) => pair,
            Err(failure) => return Err(self.unfit(failure, record).await),
        };
        stop_at("verify");
        if self.trial {
            self.forget().await;
            return Ok(Issued {
                pair,
                unsaved: None,
            });
        }
        let stored = self.dir.complete(&record, chain, now).await;
        let unsaved = stored
            .map_err(|error| Failure::of_storage("store", &error))
            .err();
        stop_at("store");
        if unsaved.is_none() {
            self.forget().await;
        }
        Ok(Issued { pair, unsaved })
    }

    /// A chain that is cut or not ours may be a fault of the way; the order is asked for it again, but not for ever.
    async fn unfit(&self, failure: Failure, mut record: storage::Order) -> Failure {
        if failure.order != OrderFate::Lives || failure.class != Class::CaUnavailable {
            return failure;
        }
        record.unfit = record.unfit.saturating_add(1);
        if record.unfit >= UNFIT || self.dir.save_record(&record).await.is_err() {
            return failure.dead();
        }
        failure
    }
}
