//! The life of a request: checks, routing, forwarding, tunnels, answers of our own.
//!
//! `app` is its course from top to bottom; `filter`, `checks` and `answer` decide over values; `client` is the
//! client's side of an exchange, `exchange` moves both bodies at once, `admit` lets a request to its upstream,
//! `reach` connects, `forward` tries and tries again, `tunnel` takes over after a 101.

mod admit;
pub mod anew;
pub mod answer;
mod answered;
pub mod app;
mod aside;
mod ask;
pub mod checks;
pub mod client;
mod client_address;
mod client_certificate;
pub mod close;
pub(crate) mod connection_values;
mod contained;
pub mod date;
pub mod decide;
mod detours;
pub mod exchange;
mod facts;
pub mod fallback;
pub mod files;
pub mod filter;
pub mod forward;
mod gathered;
mod guard;
mod guarded;
pub mod h2;
mod heads;
mod known;
mod last_event;
mod led;
mod limited;
mod mirror;
mod outcome;
mod pace;
pub mod page;
pub mod present;
pub mod proxied;
mod reach;
mod recode;
pub mod record;
pub mod refuse;
pub mod request_id;
pub mod rules;
mod sentences;
mod shared;
pub mod splice;
mod standing;
pub mod strangers;
mod tell;
mod terms;
pub mod trace;
pub mod tunnel;
pub mod values;
