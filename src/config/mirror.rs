//! `mirror` of a route, as checked: where its requests are sent a second time.
//!
//! Values only; sending is `proxy::mirror`'s.

/// Where requests are sent a second time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorTo {
    /// Paths of routes of the site, internal ones too.
    pub paths: Vec<Box<str>>,
    /// Whether their bodies are.
    pub body: bool,
}
