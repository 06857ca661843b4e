//! `errors` of a site or a route as checked: who answers in place of an error.
//!
//! What an error looks like is `error_pages`'; sending a request on is `proxy::anew`'s.
#![deny(clippy::disallowed_methods)]

use super::text::Text;

/// What is done about some statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRule {
    /// The statuses.
    pub on: Box<[u16]>,
    /// Who answers.
    pub to: ErrorTarget,
    /// With which status.
    pub status: ErrorStatus,
}

/// Who answers in place of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorTarget {
    /// The route of this path, which may have a query; asked with GET, unless it was HEAD.
    Path(Text),
    /// The route with this name.
    Route(Box<str>),
    /// Somebody else: a redirect.
    Elsewhere(Text),
}

/// The status of what is answered in place of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorStatus {
    /// That of the error; 302 for a redirect.
    Same,
    /// That of the answer.
    OfAnswer,
    /// This one.
    Fixed(u16),
}

impl ErrorRule {
    /// The first of `rules` that is about a status.
    pub fn find(rules: &[Self], status: u16) -> Option<&Self> {
        rules.iter().find(|rule| rule.on.contains(&status))
    }

    /// Its text with variables, if it has one.
    pub fn text(&self) -> Option<&Text> {
        match &self.to {
            ErrorTarget::Path(text) | ErrorTarget::Elsewhere(text) => Some(text),
            ErrorTarget::Route(_) => None,
        }
    }
}
