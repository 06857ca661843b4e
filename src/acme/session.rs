//! What all conversations with one authority share: its directory, its nonces (RFC 8555 sections 6.5 and 7.1.1), and how
//! far its clock is from ours.
//!
//! Requests are the crate's, see `line`; what is posted here are the few that it cannot make. Answers come back as values,
//! refusals too; only what is said about nonces is dealt with here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, Uri};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::answer::{Answer, Lost};
use super::client::Transport;
use super::clock::Clock;
use super::directory::Directory;
use super::failure::{Failure, Reach};
use super::jose::{AccountKey, Signer};
use super::schedule::Class;
use crate::tls::verify::CLOCK_SLACK;

/// As many as an authority that refuses every second nonce needs.
pub(super) const TRIES: u32 = 5;
/// Nonces kept for later; an order under way needs one at a time.
const NONCES: usize = 16;
/// A directory is asked for again after this long.
const DIRECTORY_AGE: Duration = Duration::from_secs(600);

/// What is known of one authority while the process runs.
pub(super) struct Session {
    url: String,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    directory: Option<Kept>,
    nonces: Vec<String>,
    skew: Option<time::Duration>,
}

/// The directory, and the answer it came in.
#[derive(Clone)]
struct Kept {
    at: Instant,
    /// When that was by the wall clock, which may jump.
    wall: OffsetDateTime,
    answer: Answer,
    directory: Arc<Directory>,
}

impl Session {
    pub(super) fn new(url: &str, transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        Self {
            url: url.to_owned(),
            transport,
            clock,
            state: Mutex::default(),
        }
    }

    /// The directory's URL.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The directory, asked for when it is not known or minutes old, or our clock has jumped since: it brings the
    /// authority's clock with it.
    pub(super) async fn directory(&self) -> Result<Arc<Directory>, Failure> {
        self.directory_within(DIRECTORY_AGE).await
    }

    /// The directory, asked for when it is not known or older than `age`.
    pub(super) async fn directory_within(&self, age: Duration) -> Result<Arc<Directory>, Failure> {
        let known = self.with(|state| state.directory.clone());
        if let Some(kept) = known
            && kept.at.elapsed() < age
            && !self.has_jumped_since(&kept)
        {
            return Ok(kept.directory);
        }
        let step = "directory";
        let answer = self.send(Method::GET, &self.url, None).await;
        let answer = answer.map_err(|lost| Failure::of_lost(step, &lost))?;
        if !answer.is_ok() {
            let mut failure = Failure::of_answer(step, &answer, self.clock.now());
            failure.reach = Reach::Authority;
            if failure.class == Class::Input {
                failure.class = Class::CaUnavailable;
            }
            return Err(failure);
        }
        let directory = Directory::read(&answer).map_err(|reason| Failure {
            reach: Reach::Authority,
            ..Failure::new(step, Class::CaUnavailable, reason)
        })?;
        let kept = Kept {
            at: Instant::now(),
            wall: self.clock.now(),
            answer,
            directory: Arc::new(directory),
        };
        let directory = Arc::clone(&kept.directory);
        self.with(|state| state.directory = Some(kept));
        Ok(directory)
    }

    /// Whether our clock has been set since, so that nothing is known of how far it is off.
    fn has_jumped_since(&self, kept: &Kept) -> bool {
        let passed = self.clock.now() - kept.wall;
        (passed - kept.at.elapsed()).abs() > CLOCK_SLACK
    }

    /// Whether this is the directory's URL.
    pub(super) fn is_directory(&self, url: &Uri) -> bool {
        self.url.parse::<Uri>().is_ok_and(|own| own == *url)
    }

    /// The directory as it came, however old.
    pub(super) fn kept_directory(&self) -> Option<Answer> {
        self.with(|state| state.directory.as_ref().map(|kept| kept.answer.clone()))
    }

    /// A POST signed by `key`.
    pub(super) async fn post(
        &self,
        key: &AccountKey,
        signer: Signer<'_>,
        url: &str,
        payload: &Value,
    ) -> Result<Answer, Lost> {
        let mut tries = 0;
        loop {
            tries += 1;
            let nonce = self.nonce().await?;
            let body = key
                .sign(signer, Some(&nonce), url, payload)
                .map_err(|error| Lost::new(error.to_string()))?
                .to_string();
            let answer = self
                .send(Method::POST, url, Some(body.into_bytes()))
                .await?;
            if tries < TRIES && answer.is_bad_nonce() {
                continue;
            }
            return Ok(answer);
        }
    }

    /// How far the authority's clock was ahead of ours when it last answered.
    pub(super) fn skew(&self) -> Option<time::Duration> {
        self.with(|state| state.skew)
    }

    /// A nonce: one that came with an answer, or one that is asked for.
    pub(super) async fn nonce(&self) -> Result<String, Lost> {
        if let Some(nonce) = self.with(|state| state.nonces.pop()) {
            return Ok(nonce);
        }
        let directory = match self.with(|state| state.directory.clone()) {
            Some(kept) => kept.directory,
            None => return Err(Lost::new("the directory is not known")),
        };
        self.send(Method::HEAD, &directory.new_nonce, None).await?;
        let nonce = self.with(|state| state.nonces.pop());
        nonce.ok_or_else(|| Lost::new("the authority gives no nonce"))
    }

    /// One request; keeps the nonce and the time that come with its answer.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Lost> {
        let answer = self.transport.send(method, url, body).await?;
        let now = self.clock.now();
        self.with(|state| {
            if let Some(nonce) = &answer.nonce
                && state.nonces.len() < NONCES
            {
                state.nonces.push(nonce.clone());
            }
            if let Some(date) = answer.date() {
                state.skew = Some(date - now);
            }
        });
        Ok(answer)
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
