//! A row of numbers that looks like chance and is the same each time, so that a comparison can be made again.
//!
//! For choosing requests only: nothing here is hard to guess.
#![deny(clippy::disallowed_methods)]

/// Where the row is.
#[derive(Clone, Debug)]
pub(super) struct Row(u64);

impl Row {
    /// Its beginning.
    pub(super) fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    /// A number below `most`; 0 for none.
    pub(super) fn below(&mut self, most: usize) -> usize {
        // xorshift64*: good enough to mix a few lists.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let wide = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        let wide = usize::try_from(wide).unwrap_or(0);
        wide.checked_rem(most).unwrap_or(0)
    }

    /// One of a list.
    pub(super) fn one<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        list.get(self.below(list.len()))
    }
}
