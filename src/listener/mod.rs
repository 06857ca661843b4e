//! Sockets: bind, accept, TLS handshake, and the start of every connection.
//!
//! `bind` makes listening sockets (`holder` knows who has one that cannot be made), `accept` takes connections from them, as
//! a `door`, within the caps (`datagrams` those of UDP), `proxy_header` learns for whom a
//! load balancer made one, `passthrough` finds those that a stream takes unopened, `handshake` secures the others, `connection` brings each to the point where requests are read: from there on it is `proxy`'s.

pub mod accept;
pub mod beat;
pub mod bind;
pub mod client_hello;
pub mod connection;
pub mod datagrams;
pub mod door;
mod handshake;
pub mod holder;
pub mod passthrough;
mod peek;
pub mod proxy_header;
