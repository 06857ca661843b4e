//! What an authority, a network, a clock and a person can do wrong, one test each, against Debian's Pebble behind a proxy
//! that does it. Disks and damaged files are in `acme_storage`, what happens to the worker alone in `acme`.
//!
//! A name that begins with `fault_NN` shows the fault of that number in the table that `make acme-faults` prints. Two or
//! more replicas (15, 16) and a cluster's store (23) come with the cluster, handing listeners over to a new process with
//! the upgrade.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "a broken assumption should stop the test"
)]

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod clocks;
mod crowd;
mod handed;
mod kills;
mod limits;
mod orders;
mod others;
mod outages;
mod reloads;
mod validation;
mod windows;
