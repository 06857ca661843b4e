//! `rules` of a site or a route as checked: what is done with a request before it is answered.
//!
//! nginx's `set`, `if`, `rewrite`, `break` and `return` under other names. Carrying them out is `proxy::rules`'.
#![deny(clippy::disallowed_methods)]

use super::action::{Redirect, Respond};
use super::text::Text;
use crate::types::pattern::Pattern;

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// When it counts; always without.
    pub when: Option<Condition>,
    /// What it does.
    pub act: Act,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Gives variables values.
    Set(Vec<(Box<str>, Text)>),
    /// Puts another path in place of one that matches.
    Rewrite(Box<Rewriting>),
    /// Answers.
    Respond(Box<Respond>),
    /// Answers with a redirect.
    Redirect(Box<Redirect>),
    /// Does all these.
    Rules(Vec<Rule>),
    /// Ends the rules.
    Stop,
    /// Takes the route with this name.
    Enter(Box<str>),
}

/// `rewrite`
#[derive(Clone, Debug, PartialEq)]
pub struct Rewriting {
    /// What the path has to match.
    pub pattern: Pattern,
    /// The new path, with its query.
    pub to: Text,
    /// What then.
    pub then: Then,
}

/// What follows a rewrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next rule; at their end the new path's route is looked for.
    Next,
    /// The new path's route is looked for.
    Find,
    /// The rules end, and this route answers.
    Stay,
    /// A redirect with this status.
    Redirect(u16),
}

/// When a rule counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A text is neither empty nor `0`.
    Holds(Text),
    /// Two texts are the same; `false`: are not.
    Same(Text, Text, bool),
    /// A text matches; `false`: does not.
    Matches(Text, Pattern, bool),
    /// There is such a file; `false`: there is not.
    There(FileTest, Text, bool),
}

/// What a file is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileTest {
    /// Whether it is a regular file.
    File,
    /// Whether it is a folder.
    Folder,
    /// Whether it is there.
    Any,
    /// Whether it may be executed.
    Executable,
}

impl Rule {
    /// Its texts with variables.
    pub fn texts(&self) -> Vec<&Text> {
        let mut texts = match &self.when {
            None => Vec::new(),
            Some(Condition::Holds(text) | Condition::Matches(text, ..)) => vec![text],
            Some(Condition::There(_, text, _)) => vec![text],
            Some(Condition::Same(text, other, _)) => vec![text, other],
        };
        match &self.act {
            Act::Set(values) => texts.extend(values.iter().map(|(_, text)| text)),
            Act::Rewrite(rewriting) => texts.push(&rewriting.to),
            Act::Respond(respond) => texts.push(&respond.body),
            Act::Redirect(redirect) => texts.push(&redirect.to),
            Act::Rules(rules) => texts.extend(rules.iter().flat_map(Self::texts)),
            Act::Stop | Act::Enter(_) => {}
        }
        texts
    }

    /// The names of routes it may take.
    pub fn entered(&self) -> Vec<&str> {
        match &self.act {
            Act::Enter(name) => vec![name],
            Act::Rules(rules) => rules.iter().flat_map(Self::entered).collect(),
            _ => Vec::new(),
        }
    }
}
