//! The crate instant-acme on our own way to an authority: it makes and signs the requests, this keeps what it drops.
//!
//! An authority's answer stays here as it came (status, Retry-After, Location, HTML), for the pure modules to judge; what
//! the crate makes of it decides nothing. Directory and nonces are `session`'s, which keeps them for all orders, so the
//! crate's own questions about them cost no request. Invariant: one request is sent at most [`TRIES`] times, again only
//! because the authority found fault with its nonce, which means that it did nothing else.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use instant_acme::{Account, AccountBuilder, BodyWrapper, BytesResponse, Error, HttpClient, Key};
use rustls::pki_types::PrivatePkcs8KeyDer;

use super::answer::{Answer, Lost};
use super::failure::{Failure, Reach};
use super::schedule::Class;
use super::session::{Session, TRIES};
use crate::observe::reasons::with_reasons;

/// The crate adds an authority's wait to the time of day, which must not overflow.
const LONGEST_WAIT: Duration = Duration::from_secs(366 * 86_400);

/// An account as the crate has it, and what the authority said to it last. For one conversation: no two at once.
pub(super) struct Line {
    pub(super) account: Account,
    heard: Arc<Heard>,
}

impl Line {
    /// Speaks as the account with this URL and key (PKCS#8 DER).
    pub(super) async fn open(
        session: &Arc<Session>,
        url: &str,
        key: &[u8],
    ) -> Result<Self, Failure> {
        session.directory().await?;
        Self::build(session, url, PrivatePkcs8KeyDer::from(key)).await
    }

    /// Speaks as nobody, which is enough for renewal information. The directory has been asked for before.
    pub(super) async fn anonymous(session: &Arc<Session>) -> Result<Self, Failure> {
        let made = Key::generate_pkcs8();
        let (_, key) = made.map_err(|error| Failure::of_storage("key", &error))?;
        Self::build(session, "", key).await
    }

    async fn build(
        session: &Arc<Session>,
        url: &str,
        key: PrivatePkcs8KeyDer<'_>,
    ) -> Result<Self, Failure> {
        let heard = Arc::new(Heard::default());
        let account = builder(session, &heard)
            .from_parts(url.to_owned(), key, session.url().to_owned())
            .await
            .map_err(|error| Failure {
                reach: Reach::Authority,
                ..Failure::new("directory", Class::CaUnavailable, with_reasons(&error))
            })?;
        Ok(Self { account, heard })
    }

    /// Asks which account has this key (RFC 8555 section 7.3.1). The directory has been asked for before.
    pub(super) async fn look_up(session: &Arc<Session>, key: &[u8]) -> Result<Answer, Lost> {
        let heard = Arc::new(Heard::default());
        let lost = |error: Error| Lost::new(with_reasons(&error));
        loop {
            let der = PrivatePkcs8KeyDer::from(key.to_vec());
            let pair = Key::from_pkcs8_der(der.clone_key()).map_err(lost)?;
            let url = session.url().to_owned();
            let done = builder(session, &heard).from_key((pair, der.into()), url);
            if let Some(outcome) = heard.outcome(&done.await) {
                return outcome;
            }
        }
    }

    /// What the authority itself answered to what the crate has just done, which may have been without success.
    ///
    /// `None`: it is to be done again, because the authority still finds fault with nonces.
    pub(super) fn outcome<T>(&self, done: &Result<T, Error>) -> Option<Result<Answer, Lost>> {
        self.heard.outcome(done)
    }
}

fn builder(session: &Arc<Session>, heard: &Arc<Heard>) -> AccountBuilder {
    Account::builder_with_http(Box::new(Wire {
        session: Arc::clone(session),
        heard: Arc::clone(heard),
    }))
}

/// What came last.
#[derive(Default)]
struct Heard(Mutex<Last>);

#[derive(Default)]
struct Last {
    outcome: Option<Result<Answer, Lost>>,
    /// How often in a row the nonce was refused.
    refused: u32,
}

impl Heard {
    fn outcome<T>(&self, done: &Result<T, Error>) -> Option<Result<Answer, Lost>> {
        self.with(|last| {
            let outcome = last.outcome.take();
            if outcome.is_some() && last.refused > 0 && last.refused < TRIES {
                return None;
            }
            last.refused = 0;
            Some(outcome.unwrap_or_else(|| {
                let why = done.as_ref().err().map(|error| with_reasons(error));
                Err(Lost::new(
                    why.unwrap_or_else(|| "nothing was asked".to_owned()),
                ))
            }))
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Last) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps it, and gives the crate its part of it.
    fn keep(&self, outcome: Result<Answer, Lost>) -> Result<Answer, Error> {
        self.with(|last| {
            let refused = outcome.as_ref().is_ok_and(Answer::is_bad_nonce);
            last.refused = if refused { last.refused + 1 } else { 0 };
            last.outcome = Some(outcome.clone());
        });
        outcome.map_err(|lost| Error::Other(lost.detail.into()))
    }
}

/// What the crate takes for its HTTP client.
struct Wire {
    session: Arc<Session>,
    heard: Arc<Heard>,
}

impl HttpClient for Wire {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (session, heard) = (Arc::clone(&self.session), Arc::clone(&self.heard));
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            if parts.method == Method::GET && session.is_directory(&parts.uri) {
                let answer = session.kept_directory();
                return response(&answer.ok_or(Error::Str("the directory"))?);
            }
            if parts.method == Method::HEAD {
                // Only nonces are asked for like this.
                let nonce = session.nonce().await;
                let answer = nonce.map(|nonce| Answer {
                    status: 200,
                    nonce: Some(nonce),
                    ..Answer::default()
                });
                return match answer {
                    Ok(answer) => response(&answer),
                    Err(lost) => response(&heard.keep(Err(lost))?),
                };
            }
            if heard.with(|last| last.refused >= TRIES) {
                return Err(Error::Str("a nonce that the authority accepts"));
            }
            let url = parts.uri.to_string();
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(never) => match never {},
            };
            let body = (parts.method == Method::POST).then(|| body.to_vec());
            let answer = session.send(parts.method, &url, body).await;
            // The nonce is the session's.
            let answer = answer.map(|answer| Answer {
                nonce: None,
                ..answer
            });
            response(&heard.keep(answer)?)
        })
    }
}

/// The answer as the crate wants to see it.
fn response(answer: &Answer) -> Result<BytesResponse, Error> {
    let mut response = Response::builder().status(answer.status);
    if let Some(location) = &answer.location {
        response = response.header(header::LOCATION, location);
    }
    if let Some(nonce) = &answer.nonce {
        response = response.header("replay-nonce", nonce);
    }
    if let Some(seconds) = answer.retry_after.as_deref().map(str::trim)
        && let Ok(seconds) = seconds.parse()
    {
        let wait = Duration::from_secs(seconds).min(LONGEST_WAIT);
        response = response.header(header::RETRY_AFTER, wait.as_secs());
    } else if let Some(date) = &answer.retry_after {
        response = response.header(header::RETRY_AFTER, date);
    }
    Ok(response
        .body(Full::<Bytes>::from(answer.body.clone()))?
        .into())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::acme::client::Transport;
    use crate::acme::clock::SystemClock;
    use async_trait::async_trait;
    use serde_json::{Value, json};

    /// An authority that answers as it is told, and remembers what was asked.
    pub(in crate::acme) struct Script {
        answer: Box<dyn Fn(&str) -> Answer + Send + Sync>,
        asked: Mutex<Vec<String>>,
    }

    impl Script {
        pub(in crate::acme) fn new(
            answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
        ) -> Arc<Self> {
            Arc::new(Self {
                answer: Box::new(answer),
                asked: Mutex::default(),
            })
        }

        pub(in crate::acme) fn asked(&self) -> Vec<String> {
            self.asked.lock().unwrap().clone()
        }

        pub(in crate::acme) async fn line(self: &Arc<Self>) -> Line {
            let transport = Arc::clone(self) as Arc<dyn Transport>;
            let url = "https://ca.test/directory";
            let session = Arc::new(Session::new(url, transport, Arc::new(SystemClock)));
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
            Line::open(&session, "https://ca.test/account/1", &key.serialize_der())
                .await
                .unwrap()
        }
    }

    pub(in crate::acme) fn answer(status: u16, body: &Value) -> Answer {
        Answer {
            status,
            body: body.to_string().into(),
            ..Answer::default()
        }
    }

    #[async_trait]
    impl Transport for Script {
        async fn send(&self, _: Method, url: &str, _: Option<Vec<u8>>) -> Result<Answer, Lost> {
            let path = url.strip_prefix("https://ca.test/").unwrap();
            self.asked.lock().unwrap().push(path.to_owned());
            let answer = match path {
                "directory" => answer(
                    200,
                    &json!({
                        "newNonce": "https://ca.test/nonce",
                        "newAccount": "https://ca.test/new-account",
                        "newOrder": "https://ca.test/new-order",
                        "renewalInfo": "https://ca.test/ari",
                    }),
                ),
                "nonce" => Answer::default(),
                other => (self.answer)(other),
            };
            let nonce = Some("nonce".to_owned());
            Ok(Answer { nonce, ..answer })
        }
    }

    #[tokio::test]
    async fn a_nonce_refused_for_ever_is_tried_five_times_with_nonces_that_came_for_nothing() {
        let kind = "urn:ietf:params:acme:error:badNonce";
        let script = Script::new(move |_| answer(400, &json!({"type": kind})));
        let line = script.line().await;
        let outcome = loop {
            let done = line.account.update_contacts(&[]).await;
            if let Some(outcome) = line.outcome(&done) {
                break outcome;
            }
        };
        assert!(outcome.unwrap().is_bad_nonce());
        let mut asked = vec!["directory"];
        asked.extend(["account/1"; 5]);
        assert_eq!(script.asked(), asked);
    }

    #[tokio::test]
    async fn a_wait_that_would_overflow_the_crates_clock_is_kept_from_it_and_not_from_us() {
        let endless = u64::MAX.to_string();
        let wait = endless.clone();
        let script = Script::new(move |_| Answer {
            retry_after: Some(wait.clone()),
            ..answer(503, &Value::Null)
        });
        let line = script.line().await;
        let id = instant_acme::CertificateIdentifier {
            authority_key_identifier: "aki".into(),
            serial: "serial".into(),
        };
        let done = line.account.renewal_info(&id).await;
        let outcome = line.outcome(&done).unwrap().unwrap();
        assert_eq!((outcome.status, outcome.retry_after), (503, Some(endless)));
        assert_eq!(script.asked(), ["directory", "ari/aki.serial"]);
    }
}
