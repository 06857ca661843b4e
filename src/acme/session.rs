//! Requests to one authority: its directory, nonces, signatures (RFC 8555 sections 6 and 7.1).
//!
//! Answers come back as values, refusals too; only what is said about nonces is dealt with here. Remembers how far the
//! authority's clock is from ours. Invariant: a request is sent at most [`TRIES`] times, and only while the authority
//! finds fault with its nonce, which means that it did nothing else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::answer::{Answer, Lost};
use super::client::Transport;
use super::clock::Clock;
use super::failure::{Failure, Reach};
use super::jose::{AccountKey, Signer};
use super::schedule::Class;
use super::wire::Directory;

/// As many as an authority that refuses every second nonce needs.
const TRIES: u32 = 5;
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
    directory: Option<(Instant, Arc<Directory>)>,
    nonces: Vec<String>,
    skew: Option<time::Duration>,
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

    /// The directory, asked for when it is not known or minutes old, which brings the authority's clock with it.
    pub(super) async fn directory(&self) -> Result<Arc<Directory>, Failure> {
        self.directory_within(DIRECTORY_AGE).await
    }

    /// The directory, asked for when it is not known or older than `age`.
    pub(super) async fn directory_within(&self, age: Duration) -> Result<Arc<Directory>, Failure> {
        let known = self.with(|state| state.directory.clone());
        if let Some((at, directory)) = known
            && at.elapsed() < age
        {
            return Ok(directory);
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
        let directory: Arc<Directory> = answer.read().map(Arc::new).map_err(|reason| Failure {
            reach: Reach::Authority,
            ..Failure::new(step, Class::CaUnavailable, reason)
        })?;
        self.with(|state| state.directory = Some((Instant::now(), Arc::clone(&directory))));
        Ok(directory)
    }

    /// A signed POST; without a payload a POST-as-GET.
    pub(super) async fn post(
        &self,
        key: &AccountKey,
        signer: Signer<'_>,
        url: &str,
        payload: Option<&Value>,
    ) -> Result<Answer, Lost> {
        let mut tries = 0;
        loop {
            tries += 1;
            let nonce = match self.with(|state| state.nonces.pop()) {
                Some(nonce) => nonce,
                None => self.nonce().await?,
            };
            let body = key
                .sign(signer, &nonce, url, payload)
                .map_err(|error| Lost::new(error.to_string()))?;
            let answer = self.send(Method::POST, url, Some(body)).await?;
            if tries < TRIES && !answer.is_ok() && answer.problem().word() == "badNonce" {
                continue;
            }
            return Ok(answer);
        }
    }

    /// An unsigned GET, as renewal information is asked for.
    pub(super) async fn get(&self, url: &str) -> Result<Answer, Lost> {
        self.send(Method::GET, url, None).await
    }

    /// How far the authority's clock was ahead of ours when it last answered.
    pub(super) fn skew(&self) -> Option<time::Duration> {
        self.with(|state| state.skew)
    }

    async fn nonce(&self) -> Result<String, Lost> {
        let directory = match self.with(|state| state.directory.clone()) {
            Some((_, directory)) => directory,
            None => return Err(Lost::new("the directory is not known")),
        };
        self.send(Method::HEAD, &directory.new_nonce, None).await?;
        let nonce = self.with(|state| state.nonces.pop());
        nonce.ok_or_else(|| Lost::new("the authority gives no nonce"))
    }

    async fn send(&self, method: Method, url: &str, body: Option<Vec<u8>>) -> Result<Answer, Lost> {
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
