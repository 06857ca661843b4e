//! The paths that a table is made of, the short ones within the table's own memory.
//!
//! With thousands of routes each look at memory elsewhere is a wait, and a table's entry is looked at anyway.
#![deny(clippy::disallowed_methods)]

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

/// With it a key is as large as a slice and a half.
const INLINE: usize = 22;

/// A path, equal to its bytes.
#[derive(Debug)]
pub(super) enum Key {
    /// So many of these bytes.
    Short(u8, [u8; INLINE]),
    /// More than fit.
    Long(Box<[u8]>),
}

impl Key {
    /// The path itself.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(length, bytes) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Key {
    fn from(path: &[u8]) -> Self {
        let mut bytes = [0; INLINE];
        match bytes.get_mut(..path.len()) {
            Some(inline) => {
                inline.copy_from_slice(path);
                // At most `INLINE`.
                Self::Short(path.len() as u8, bytes)
            }
            None => Self::Long(path.into()),
        }
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.bytes()
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Key {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_path_whatever_its_length_and_takes_three_words() {
        for length in [0, 1, INLINE - 1, INLINE, INLINE + 1, 300] {
            let path = vec![b'a'; length];
            assert_eq!(Key::from(&path[..]).bytes(), path);
        }
        assert_eq!(size_of::<Key>(), 24);
    }
}
