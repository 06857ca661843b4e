//! What sends a request of a site or a route elsewhere: `rules` before it is answered, `errors` in place of an error.
//!
//! Most have none; what there is of it is decided when the snapshot is built.
#![deny(clippy::disallowed_methods)]

use super::errors::{ErrorRule, ErrorTarget};
use super::rules::Rule;
use super::text::Text;

/// Rules and errors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detours {
    /// `rules`, in order.
    pub rules: Vec<Rule>,
    /// `errors`, in order.
    pub errors: Vec<ErrorRule>,
    /// Whether `errors` are also about errors on the way to an error's page.
    pub again: bool,
    /// Whether `errors` are about the upstream's own as well.
    pub intercepts: bool,
}

impl Detours {
    /// Its texts with variables.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        let errors = self.errors.iter().filter_map(ErrorRule::text);
        self.rules.iter().flat_map(Rule::texts).chain(errors)
    }

    /// The names of routes that it leads to, without their `@`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let errors = self.errors.iter().filter_map(|rule| match &rule.to {
            ErrorTarget::Route(name) => Some(&**name),
            ErrorTarget::Path(_) | ErrorTarget::Elsewhere(_) => None,
        });
        let entered = self.rules.iter().flat_map(Rule::entered);
        entered
            .chain(errors)
            .map(|name| name.trim_start_matches('@'))
    }
}
