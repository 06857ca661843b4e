//! Upstreams, their endpoints, and connections to them.
//!
//! `group` decides which endpoint is next (pure); `pool` keeps idle connections, one pool per worker; `connect` makes
//! new ones; `http1` speaks on them.

pub mod connect;
pub mod group;
pub mod http1;
pub mod pool;
