//! `[why]` as checked: what is remembered of single requests.
//!
//! Plain data, read by `observe::history` when the process starts.

use crate::types::amount::ByteSize;

/// `[why]`: what is remembered of single requests. Takes effect at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// For all of it.
    pub memory: ByteSize,
    /// Every how manieth request that did not fail is kept; 0: none.
    pub sample: u32,
}
