//! Names that tie parts of a configuration together.
//!
//! An [`UpstreamName`] is what a route points at; it is also a metric label and a log field, so it is short and plain.

use std::fmt;

/// The name of a named group of endpoints: `[upstream.NAME]`.
///
/// 1 to 64 characters of `A-Z a-z 0-9 _ - .`, cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamName(std::sync::Arc<str>);

impl UpstreamName {
    /// Takes the text of the table's key. Fails when it is empty, longer than 64 bytes or has another character.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > 64 {
            return Err(NameError::Length);
        }
        match text
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')))
        {
            Some(found) => Err(NameError::Character { found }),
            None => Ok(Self(text.into())),
        }
    }

    /// Of what routes that are answered here have in an upstream's place.
    pub fn nobody() -> Self {
        Self("-".into())
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty or too long.
    #[error("a name has 1 to 64 characters")]
    Length,
    /// A character outside `A-Z a-z 0-9 _ - .`.
    #[error("`{found}` cannot be part of a name; letters, digits, `_`, `-` and `.` can")]
    Character {
        /// The first character that is not allowed.
        found: char,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_slash_is_refused_with_the_slash_named() {
        assert_eq!(
            UpstreamName::parse("a/b"),
            Err(NameError::Character { found: '/' })
        );
    }

    #[test]
    fn an_empty_name_is_refused() {
        assert_eq!(UpstreamName::parse(""), Err(NameError::Length));
    }
}
