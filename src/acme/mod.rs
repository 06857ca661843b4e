//! Certificates from an ACME authority (RFC 8555) by HTTP-01.
//!
//! Pure: [`challenge`] (which paths are challenges, which tokens are ours), [`schedule`] (when to renew and to retry),
//! `failure` (what an error means for the next attempt). IO: `storage` (state directory), `client` (HTTP), `account`,
//! `order` (one attempt), `task` (one host for ever), [`worker`] (all hosts). Answering on port 80 is `proxy`'s.
//! Invariant: a start or a reload never waits for the authority, and every host asked for is served at once: by what is
//! on disk, or by a self-signed placeholder.

mod account;
pub mod challenge;
mod client;
mod failure;
mod order;
pub mod schedule;
mod status;
pub mod storage;
mod task;
pub mod worker;

pub use challenge::{Tokens, token_of};
pub use client::SettingsError;
pub use status::{HostStatus, State};
pub use worker::{Settings, StartError, Worker};
