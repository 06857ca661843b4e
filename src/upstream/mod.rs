//! Upstreams, their endpoints, and connections to them.
//!
//! `group` decides which endpoint is next (pure), with `balance` for the choice, `endpoint`, `standing`, `rest` and
//! `ledger` for what is known; `protection` is what spares an upstream, with `retry`, `admission` and `circuit`; `pool` keeps idle
//! connections, one pool per worker; `health` asks endpoints how they are; `connect` makes new ones, secured by `tls`; `http1` speaks on them.

pub mod admission;
mod balance;
pub mod circuit;
pub mod connect;
pub mod endpoint;
pub mod endpoints_file;
pub mod group;
pub mod health;
pub mod http1;
pub mod http2;
mod ledger;
pub mod names;
pub mod peer;
pub mod pool;
pub mod protection;
mod rest;
pub mod retry;
mod standing;
pub mod tls;

pub use balance::Keys;
pub use balance::sticky::{CookieScope, SessionKey};
pub use ledger::Counts;
pub use standing::Record;
