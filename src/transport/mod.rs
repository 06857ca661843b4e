//! Connections as the engine and the forwarder share them.
//!
//! A [`Link`] is one TCP connection, plain or TLS. pingora-core reads and writes it through [`EngineStream`]; the
//! forwarder holds the same link and decides when bytes leave, when to read ahead and when time is up. That is what
//! lets both directions of an exchange go on at once although the engine's session is one value, lets a head and its
//! body leave in one write, and puts every limit on a client below the engine, where nothing can go around it.

mod buffered;
pub mod chunks;
pub mod datagrams;
mod deadline;
mod engine;
mod gate;
mod h2_room;
pub mod head;
mod link;
pub mod proxy_protocol;
pub mod proxy_values;
mod socket;
pub mod socket_file;

use std::sync::atomic::{AtomicU64, Ordering};

pub use buffered::BufferedSocket;
pub use deadline::{Deadline, now};
pub use engine::EngineStream;
pub use gate::{Gate, GateLimits, LinkFault, heads_begun};
pub use h2_room::poll_room;
pub use link::Link;
pub use socket::{BelowTls, Socket, as_tcp, reset_on_close};

/// The number of a connection among all of the process, from 1; each call gives another.
pub fn connection_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}
