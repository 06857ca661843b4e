//! Upstreams, their endpoints, and connections to them.
//!
//! `group` decides which endpoint is next (pure); `pool` keeps idle connections, one pool per worker; `connect` makes
//! new ones.

pub mod connect;
pub mod group;
pub mod pool;
