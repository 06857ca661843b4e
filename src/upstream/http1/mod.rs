//! HTTP/1.1 towards upstreams (RFC 9112): heads, bodies, and when a connection may be used again.
//!
//! hubgate's own, because the engine's client session makes a header map of every head and a 64 KiB buffer for every
//! body, only to have both copied. A [`Connection`] keeps its buffers from request to request. Invariant: a response
//! whose framing two parsers could read differently is refused, and one that was cut never ends clean.

mod body;
mod connection;
mod head;

pub use body::{BodyError, BodyProgress};
pub use connection::{Connection, HeadError, Request, RequestBody};
pub use head::{Field, FieldKind, HeadFault, Parsed, ResponseHead};

/// Heads for tests of what reads them.
#[cfg(test)]
pub(crate) mod testing {
    use super::head::{Parsed, ResponseHead};

    /// Gives the head that `bytes` are to `read`.
    pub(crate) fn with_head<T>(bytes: &[u8], read: impl FnOnce(ResponseHead<'_>) -> T) -> T {
        let mut parsed = Parsed::default();
        assert_eq!(parsed.parse(bytes).unwrap(), Some(bytes.len()));
        read(parsed.with(bytes))
    }
}
