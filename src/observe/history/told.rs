//! What is told of a kept request: the fields of `GET /why` and of `hubgate why --json`.
//!
//! Field names are an interface: they are added to, never renamed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::observe::cause::Cause;
use crate::types::endpoint_address::EndpointAddress;

/// One attempt at one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// Which endpoint.
    pub endpoint: EndpointAddress,
    /// When it began, after the request did.
    pub at: Duration,
    /// How long it took, to the head of its answer or to its failure.
    pub took: Duration,
    /// How long a new connection took; `None` when one was reused or none was had.
    pub connect: Option<Duration>,
    /// The status it answered with.
    pub status: Option<u16>,
    /// Why there was no answer, or not a whole one.
    pub cause: Option<Cause>,
}

/// An endpoint's health at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which endpoint.
    pub endpoint: EndpointAddress,
    /// In a word or two: `ready`, `resting`.
    pub state: String,
}

/// The answer to `GET /why`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// The requests with that id, newest first: one, unless a trusted proxy gave the id to several.
    pub found: Vec<Told>,
    /// Ids that all begin or end like what was asked for.
    pub candidates: Vec<String>,
    /// What there is to look in.
    pub kept: Overview,
}

/// What is kept in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// Failures.
    pub failures: usize,
    /// Others.
    pub samples: usize,
    /// When the oldest failure ended, in milliseconds since 1970.
    pub since: Option<u64>,
    /// Every how manieth of the others is kept; 0: none.
    pub sample: u32,
}

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Its id.
    pub request_id: String,
    /// `memory`, or the log's path.
    pub source: String,
    /// When it ended, in milliseconds since 1970; 0 when the log's form does not tell.
    pub ended: u64,
    /// How long it took, in seconds.
    pub took: Option<f64>,
    /// The client's address and, from memory, its port.
    pub client: String,
    /// As it was asked for; secrets are replaced.
    pub method: Option<String>,
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// Without its port.
    pub host: Option<String>,
    /// Raw.
    pub target: Option<String>,
    /// `HTTP/2.0`.
    pub protocol: Option<String>,
    /// The TLS version.
    pub tls: Option<String>,
    /// The name in the TLS handshake.
    pub server_name: Option<String>,
    /// Where it led: the site by its name.
    pub site: Option<String>,
    /// By its path.
    pub route: Option<String>,
    /// By its name.
    pub upstream: Option<String>,
    /// The number of the configuration.
    pub generation: Option<u64>,
    /// What the client got; 499 when it had left.
    pub status: u16,
    /// What the upstream said.
    pub upstream_status: Option<u16>,
    /// Bytes of the request's body.
    pub bytes_received: u64,
    /// Bytes of the answer's body.
    pub bytes_sent: u64,
    /// Bytes through a tunnel, from the client.
    pub tunnel_received: u64,
    /// To the client.
    pub tunnel_sent: u64,
    /// The cause's code.
    pub cause: Option<String>,
    /// What that means.
    pub meaning: Option<String>,
    /// What to do about it.
    pub advice: Option<String>,
    /// Endpoints tried, in turn.
    pub tries: Vec<ToldTry>,
    /// Tries that are not told for lack of room.
    pub tries_left_out: u64,
    /// The health of the upstream's endpoints when it ended.
    pub endpoints: Vec<ToldCondition>,
    /// The log's line, where it came from one.
    pub line: Option<String>,
}

/// An endpoint's health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldCondition {
    /// Address and port.
    pub endpoint: String,
    /// In a word or two.
    pub state: String,
}

impl Told {
    /// With the words for its cause.
    #[must_use]
    pub fn explained(mut self) -> Self {
        if let Some(cause) = self.cause.as_deref().and_then(Cause::of_code) {
            self.meaning = Some(cause.sentence().to_owned());
            self.advice = Some(cause.advice().to_owned());
        }
        self
    }
}

/// One try. Times in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToldTry {
    /// Address and port.
    pub endpoint: String,
    /// When it began, after the request did.
    pub at: Option<f64>,
    /// To the head of its answer or to its failure.
    pub took: Option<f64>,
    /// For a new connection.
    pub connect: Option<f64>,
    /// The status it gave.
    pub status: Option<u16>,
    /// Why it gave none, or not a whole one.
    pub cause: Option<String>,
}
