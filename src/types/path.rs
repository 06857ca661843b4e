//! Path patterns of routes, matched on the raw bytes of the request target.
//!
//! Matching never decodes: the backend sees the same bytes, so the two cannot disagree about which route a target
//! belongs to. The query is not part of the path.

use std::fmt;

/// What part of the path space a route stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathPattern {
    /// Exactly this path.
    Exact(Box<str>),
    /// Every path that begins with these bytes and ends or goes on with `/` there.
    ///
    /// `/hub/` stands for `/hub/` and all below; `/hub` for `/hub`, `/hub/` and all below, but not `/hubble`.
    Prefix(Box<str>),
}

impl PathPattern {
    /// Whether `path` (raw, without the query) belongs to this pattern.
    pub fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(own) => own.as_bytes() == path,
            Self::Prefix(own) => path.strip_prefix(own.as_bytes()).is_some_and(|rest| {
                own.ends_with('/') || rest.is_empty() || rest.first() == Some(&b'/')
            }),
        }
    }

    /// The text of the pattern, without the mark of its kind.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Exact(own) | Self::Prefix(own) => own,
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(own) => write!(f, "= {own}"),
            Self::Prefix(own) => f.write_str(own),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let hub = PathPattern::Prefix("/hub".into());
        assert!(hub.matches(b"/hub") && hub.matches(b"/hub/") && hub.matches(b"/hub/x"));
        assert!(!hub.matches(b"/hubble") && !hub.matches(b"/hu"));
    }

    #[test]
    fn an_encoded_slash_is_not_a_slash() {
        let hub = PathPattern::Prefix("/hub/".into());
        assert!(!hub.matches(b"/hub%2Fx"));
    }
}
