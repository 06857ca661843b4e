//! What a client and an upstream see of a running hubgate: one module for each area, one binary for all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "tests: a broken assumption should stop the test"
)]

#[path = "../support/mod.rs"]
mod support;

mod kit;
