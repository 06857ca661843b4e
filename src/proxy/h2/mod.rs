//! HTTP/2 for clients: the connection and its streams, on the `h2` crate itself.
//!
//! `connection` drives frames and streams in one task; `rooms` is where streams are carried out; `stream` is a request's
//! client; `timers` holds their deadlines. What a request means, where it
//! goes and how it is answered is the same as for HTTP/1: `app`'s matter. Why not through the engine's own session:
//! docs/decisions/2026-11-21-h2-without-the-engine.md.

pub mod connection;
pub mod rooms;
pub mod stream;
pub mod timers;
