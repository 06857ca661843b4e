//! Bounds on what clients may take: connections in total and per client, challenge tokens handed on, requests by rate and
//! at once.
//!
//! Sync and without sockets: the accept loop asks before it serves, and keeps the permit as long as the connection
//! lives. What a refusal looks like to the client is the listener's business.
#![deny(clippy::disallowed_methods)]

pub mod challenges;
pub mod concurrency;
pub mod connections;
pub mod rate;
