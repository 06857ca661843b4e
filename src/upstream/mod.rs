//! Upstreams, their endpoints, and connections to them.
//!
//! `group` decides which endpoint is next (pure), with `balance` for the choice, `endpoint`, `standing` and `ledger` for
//! what is known; `pool` keeps idle connections, one pool per worker; `connect` makes new ones, secured by `tls`; `http1`
//! speaks on them.

mod balance;
pub mod connect;
pub mod endpoint;
pub mod group;
pub mod http1;
mod ledger;
pub mod pool;
mod standing;
pub mod tls;

pub use balance::Keys;
pub use ledger::Counts;
