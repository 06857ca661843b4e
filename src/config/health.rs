//! How the endpoints of an upstream are checked.
//!
//! Values only. Presets belong to routes and checks to upstreams: an upstream is checked as the preset of the first
//! route that leads to it asks (docs/decisions), which is decided once, where routes and upstreams are known.

use std::time::Duration;

use super::Preset;

/// `[upstream.NAME.health]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What is asked.
    pub kind: CheckKind,
    /// Another port than requests use.
    pub port: Option<u16>,
    /// From one check of an endpoint to the next.
    pub interval: Duration,
    /// Percent of the interval by which a check is sooner or later.
    pub jitter: u8,
    /// For one check, from its connect to the last byte it needs.
    pub timeout: Duration,
    /// Successes in a row that bring an endpoint back.
    pub rise: u32,
    /// Failures in a row that take it out.
    pub fall: u32,
    /// What an endpoint is until its first check.
    pub initially_up: bool,
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// Whether a connection is accepted, with TLS where requests have it.
    Tcp,
    /// What GET of a path answers.
    Http(HttpCheck),
    /// What gRPC's health service says (`grpc.health.v1`).
    Grpc(GrpcCheck),
}

/// A gRPC check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcCheck {
    /// Whose state is asked for; empty for that of the whole server.
    pub service: Box<str>,
    /// `:authority`; `None` is the endpoint's address.
    pub host: Option<Box<str>>,
}

/// An HTTP check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// Asked for.
    pub path: Box<str>,
    /// `Host`; `None` is the endpoint's address.
    pub host: Option<Box<str>>,
    /// Statuses that pass, first and last.
    pub expect: Vec<(u16, u16)>,
    /// Bytes that the answer must have.
    pub body: Option<Box<str>>,
    /// Whose words the answer is in: what it says is read.
    pub speaks: Option<Preset>,
}

impl HttpCheck {
    /// Whether a status passes.
    pub fn expects(&self, status: u16) -> bool {
        let within = |(first, last): &(u16, u16)| (*first..=*last).contains(&status);
        self.expect.iter().any(within)
    }
}
