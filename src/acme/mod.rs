//! Certificates from ACME authorities (RFC 8555), by HTTP-01 or TLS-ALPN-01, renewed when they say (RFC 9773).
//!
//! Pure: [`challenge`] (what asks for challenges, which are ours), [`schedule`] and `renewal` (when to renew and to
//! retry), `choice` (whom to ask), `pace` (how fast), `order` (one order, request by request), `failure` (what an error
//! means), `verify`, `keys`, `jose`, `directory`. IO: `storage` (state directory), `client` and `session` (one
//! authority), `line` and `dialogue` (the crate instant-acme, which speaks the protocol), `account`, `authority`,
//! `attempt` (carries an order out), `precheck` (before one), `task` (one host for ever), `crew` and [`worker`] (all).
//! Answering challenges is `proxy`'s and `listener`'s. Invariant: a start or a reload never waits for an authority, and
//! every host asked for is served at once: by what is on disk, or by a self-signed placeholder.

mod account;
mod answer;
mod attempt;
mod authority;
pub mod challenge;
mod choice;
mod client;
mod clock;
mod command;
mod crew;
mod dialogue;
mod directory;
mod failure;
pub mod inspect;
mod jose;
mod keys;
mod line;
mod order;
mod pace;
mod precheck;
mod renewal;
pub mod schedule;
mod session;
mod settings;
mod status;
mod stop;
pub mod storage;
mod task;
mod verify;
pub mod worker;
#[cfg(test)]
mod year;

pub use challenge::{Tokens, token_of};
pub use client::SettingsError;
pub use command::{Outcome, Renew};
pub use settings::{Listeners, Settings};
pub use status::{Counts, HostStatus, ORDER_SECONDS, OrderTime, State};
pub use worker::{StartError, Wishes, Worker};
