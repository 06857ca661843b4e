//! Upstreams, their endpoints, and connections to them.
