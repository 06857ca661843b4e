//! Tunnels: connections after a 101, outside the HTTP engine.
//!
//! `relay` copies bytes both ways until both sides have ended, nothing moves for too long, or the drain ends; `frames`
//! knows where WebSocket frames begin, so that a drain can say goodbye (1001) without cutting one.

pub mod frames;
mod relay;

pub use relay::{Ended, Relay, Totals};
