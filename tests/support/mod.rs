//! The kit of the end-to-end tests: a running `hubgate`, upstreams that do what a script says, clients that send exact
//! bytes.
//!
//! Everything blocks, every wait has [`DEADLINE`], and ports are chosen when they are needed. Nothing here decides
//! what is right; the tests do.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::let_underscore_must_use,
    reason = "a kit for tests: each binary uses a part of it, and a broken assumption should stop the test"
)]

pub mod authority;
pub mod client;
pub mod events;
pub mod fault_proxy;
pub mod gate;
pub mod h2_client;
pub mod h2_frames;
pub mod h2_upstream;
pub mod hubgate;
pub mod message;
pub mod name_server;
pub mod nginx;
pub mod openssl;
pub mod orders;
pub mod pebble;
pub mod ports;
pub mod skip;
pub mod tls;
pub mod upstream;
pub mod websocket;
pub mod wire;

use std::time::{Duration, Instant};

pub use client::Client;
pub use h2_client::H2;
pub use h2_upstream::H2Upstream;
pub use hubgate::Hubgate;
pub use message::{Head, Response};
pub use name_server::{NameServer, Says};
pub use nginx::Nginx;
pub use upstream::{Conn, Upstream};
pub use wire::{End, Fault, Wire};

/// How long anything that must happen may take.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// How long what takes several processes may take on a machine that has other things to do.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until `holds` says so, or fails the test naming `what`; as long as a busy machine may need.
#[track_caller]
pub fn eventually(what: &str, holds: impl FnMut() -> bool) {
    within(PATIENCE, what, holds);
}

/// As [`eventually`], within `limit`.
#[track_caller]
pub fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
