//! The exit codes, once. What they mean to a user is in `--help`.
//!
//! An interface: never renumbered.
#![deny(clippy::disallowed_methods)]

/// Done.
pub(super) const OK: u8 = 0;
/// The configuration was refused.
pub(super) const REFUSED: u8 = 1;
/// The command line is wrong; clap's own number for that.
pub(super) const USAGE: u8 = 2;
/// The process could not start or be reached.
pub(super) const UNREACHABLE: u8 = 3;
