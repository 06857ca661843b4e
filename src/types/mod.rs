//! Values every other layer speaks in: names, hosts, paths, patterns, amounts, header names.
//!
//! Pure and at the bottom of the layers: nothing here knows about files, clocks, sockets or other modules. Each type
//! is made by a constructor that refuses what it must never hold, so that no later code has to check again.
#![deny(clippy::disallowed_methods)]

pub mod address;
pub mod amount;
pub mod authority;
pub mod cause;
pub mod dns_name;
pub mod endpoint_address;
pub mod header;
pub mod host;
pub mod moment;
pub mod name;
pub mod path;
pub mod pattern;
pub mod pause;
