//! Pure changes to heads on their way through: what is stripped, set and kept.
//!
//! `hop_by_hop` strips what belongs to one connection; `forwarded` says who the client is; `request` and `response`
//! put a whole head together. None of them reads a clock or a socket.

pub mod edit;
pub mod forwarded;
pub mod hop_by_hop;
mod lines;
pub mod request;
pub mod response;
mod set_cookie;
pub mod trailers;
