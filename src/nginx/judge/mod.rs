//! What nginx refuses of a directive's words, beyond their number and their form.
//!
//! Each file knows one kind of words and gives nginx's sentence to the letter; where it is told is `read`'s affair. Pure:
//! names are not looked up here, and no file is opened. Invariant: nothing that nginx 1.22 takes is refused.
#![deny(clippy::disallowed_methods)]

mod url;
mod variables;

use super::table::Context;
use super::tree::Directive;

pub(super) use url::{Host, Kind, Url, host_of_pass, is_pass};
pub(super) use variables::unknown;

/// Why a directive is refused for its words.
pub(super) fn refusal(directive: &Directive, context: Context) -> Option<String> {
    url::refusal(directive, context).or_else(|| variables::refusal(directive, context))
}
