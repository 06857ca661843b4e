//! HTTP/2 towards upstreams (RFC 9113), on the `h2` crate: connections that carry many requests, pooled per worker.
//!
//! `connection` is one connection and the task that moves its frames, `pool` keeps them and says which one takes the
//! next request, `stream` is one request with its response, `head` turns heads into the form of HTTP/1 and back, `io`
//! is the socket below. Invariants: a response whose stream was reset never ends as if it were complete; a request
//! that the endpoint says it has not looked at is told apart from one that it may have carried out.

mod connection;
mod head;
mod io;
mod pool;
mod stream;

pub use pool::{Pool, alone};
pub use stream::Stream;
