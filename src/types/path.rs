//! Path patterns of routes, matched on the raw bytes of the request target, or on a normalised copy where a site says so.
//!
//! Matching by itself never decodes: the backend sees the same bytes, so the two cannot disagree about which route a target
//! belongs to. The query is not part of the path.

use std::fmt;

use super::pattern::Pattern;

/// What part of the path space a route stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathPattern {
    /// Exactly this path.
    Exact(Box<str>),
    /// Every path that begins with these bytes and ends or goes on with `/` there.
    ///
    /// `/hub/` stands for `/hub/` and all below; `/hub` for `/hub`, `/hub/` and all below, but not `/hubble`.
    Prefix(Box<str>),
    /// Every path that begins with these bytes, wherever a segment ends: `/user` stands for `/users` too.
    Begins(Box<str>),
    /// Every path in which this is found.
    Regex(Box<Pattern>),
    /// No path: what routes with this name are reached by stands elsewhere in the configuration.
    Named(Box<str>),
}

impl PathPattern {
    /// Whether `path` (raw, without the query) belongs to this pattern.
    pub fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(own) => own.as_bytes() == path,
            Self::Prefix(own) => path.strip_prefix(own.as_bytes()).is_some_and(|rest| {
                own.ends_with('/') || rest.is_empty() || rest.first() == Some(&b'/')
            }),
            Self::Begins(own) => path.starts_with(own.as_bytes()),
            Self::Regex(own) => own.matches(path),
            Self::Named(_) => false,
        }
    }

    /// The path that those of the pattern are or begin with; `None` where there is no such one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Exact(own) | Self::Prefix(own) | Self::Begins(own) => Some(own),
            Self::Regex(_) | Self::Named(_) => None,
        }
    }

    /// The text of the pattern, without the mark of its kind.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Exact(own) | Self::Prefix(own) | Self::Begins(own) | Self::Named(own) => own,
            Self::Regex(own) => own.as_str(),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(own) => write!(f, "= {own}"),
            Self::Prefix(own) => f.write_str(own),
            Self::Begins(own) => write!(f, "{own}..."),
            Self::Regex(own) => write!(f, "~ {own}"),
            Self::Named(own) => write!(f, "@{own}"),
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
    fn what_begins_so_need_not_end_at_a_segment() {
        let user = PathPattern::Begins("/user".into());
        assert!(user.matches(b"/user") && user.matches(b"/users/x") && !user.matches(b"/use"));
        assert_eq!(user.path(), Some("/user"));
        assert!(!PathPattern::Named("app".into()).matches(b"app"));
    }

    #[test]
    fn an_encoded_slash_is_not_a_slash() {
        let hub = PathPattern::Prefix("/hub/".into());
        assert!(!hub.matches(b"/hub%2Fx"));
    }
}
