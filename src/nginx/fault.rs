//! What is wrong with an nginx configuration, in nginx's own words.
//!
//! Log watchers and people match these sentences, so they are kept to the letter: `unexpected "}" in FILE:LINE`.
//! Invariant: the first fault ends the reading, as in nginx; there is never a second one.
#![deny(clippy::disallowed_methods)]

use std::fmt;

use super::tree::Place;

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// The sentence, without the place.
    pub text: String,
    /// Where nginx was when it noticed.
    pub at: At,
}

/// Where a fault was noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// In a file: its name as nginx prints it, the line nginx had come to, and the place that is really meant.
    File {
        /// The file's path.
        file: String,
        /// Counted from 1; the line of the directive's end, where nginx stands when it looks at it.
        line: u32,
        /// Where the directive begins, or the very byte.
        place: Option<Place>,
    },
    /// In directives given by `-g`.
    CommandLine,
    /// In no place: about a block that has been read to its end.
    Block,
    /// In no place: about the whole, when all of it has been read.
    Nowhere,
}

impl Fault {
    /// nginx's level of it.
    pub fn level(&self) -> &'static str {
        match self.text.starts_with("pread()") {
            true => "crit",
            false => "emerg",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            At::File { file, line, .. } => write!(f, "{} in {file}:{line}", self.text),
            At::CommandLine => write!(f, "{} in command line", self.text),
            At::Block | At::Nowhere => f.write_str(&self.text),
        }
    }
}
