//! The life of a request: checks, routing, forwarding, tunnels, answers of our own.
//!
//! `app` is its course from top to bottom; `filter`, `checks` and `answer` decide over values; `client` is the
//! client's side of an exchange, `exchange` moves both bodies at once, `forward` chooses and retries, `tunnel` takes
//! over after a 101.

pub mod answer;
pub mod checks;
pub mod client;
pub mod exchange;
pub mod forward;
pub mod filter;
pub mod trace;
pub mod tunnel;
