//! An nginx configuration as written: directives with their words, blocks and places. Nothing is merged or inherited.
//!
//! `include` is resolved: what a file holds stands after the directive that named it, with its own file's places.
#![deny(clippy::disallowed_methods)]

use std::borrow::Cow;
use std::fmt;

use super::fault::{At, Fault};

/// What stands for a file's name where directives were given by `-g`.
pub(super) const COMMAND_LINE: &str = "command line";

/// A whole configuration and the files it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Paths, in the order they were opened; the main file is the first.
    pub files: Vec<String>,
    /// The directives of the main context.
    pub directives: Vec<Directive>,
    /// What nginx warns of, in its words.
    pub warnings: Vec<Fault>,
}

/// A position in one of the files, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Index into [`Tree::files`].
    pub file: u32,
    /// The line.
    pub line: u32,
    /// The character in the line.
    pub column: u32,
}

/// One word of a directive, quotes and escapes undone.
#[derive(Clone, PartialEq, Eq)]
pub struct Word {
    /// Its bytes, as nginx sees them. Not necessarily UTF-8.
    pub bytes: Box<[u8]>,
    /// Its first byte or quote.
    pub place: Place,
}

/// One directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Its name and arguments. Never empty.
    pub words: Vec<Word>,
    /// The line of its `;` or `{`: the one nginx names in messages.
    pub end_line: u32,
    /// The line of its `}`; without braces that of its end.
    pub close_line: u32,
    /// What stands in its braces.
    pub block: Option<Block>,
}

/// What stands in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// Directives.
    Directives(Vec<Directive>),
    /// Rows of a table, as in `map` or `types`: words without a directive's name.
    Rows(Vec<Directive>),
    /// Another language, skipped whole: its text.
    Foreign(Box<[u8]>),
}

impl Tree {
    /// The file of a place; empty for one that no file has.
    pub fn file(&self, place: Place) -> &str {
        let index = usize::try_from(place.file).unwrap_or(usize::MAX);
        self.files.get(index).map_or("", String::as_str)
    }

    /// Whether a file has been read at all.
    pub fn is_read(&self) -> bool {
        self.files.iter().any(|name| name != COMMAND_LINE)
    }

    /// Whether a directive of this name is anywhere.
    pub fn has(&self, name: &str) -> bool {
        self.directives.iter().any(|own| own.has(name))
    }

    /// Where nginx stands when it has read a directive.
    pub(super) fn at(&self, directive: &Directive) -> At {
        self.at_line(directive, directive.end_line)
    }

    /// Where nginx stands when it has read a block to its end.
    pub(super) fn at_end(&self, directive: &Directive) -> At {
        self.at_line(directive, directive.close_line)
    }

    fn at_line(&self, directive: &Directive, line: u32) -> At {
        let place = directive.place();
        match self.file(place) {
            COMMAND_LINE => At::CommandLine,
            file => At::File {
                file: file.to_owned(),
                line,
                place: Some(place),
            },
        }
    }

    /// `FILE:LINE`, as in messages.
    pub fn show(&self, place: Place) -> String {
        format!("{}:{}", self.file(place), place.line)
    }
}

impl Directive {
    /// Whether it has this name, or one within it has.
    fn has(&self, name: &str) -> bool {
        self.is(name) || self.children().iter().any(|own| own.has(name))
    }
}

impl Word {
    /// As text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?}@{}:{}",
            self.text(),
            self.place.line,
            self.place.column
        )
    }
}

impl Directive {
    /// Its name, or a row's first word.
    pub fn name(&self) -> Cow<'_, str> {
        self.words.first().map(Word::text).unwrap_or_default()
    }

    /// Whether this is its name.
    pub fn is(&self, name: &str) -> bool {
        self.words
            .first()
            .is_some_and(|word| &*word.bytes == name.as_bytes())
    }

    /// The words after the name.
    pub fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }

    /// An argument as text, counted from 0; empty when there is none.
    pub fn argument(&self, index: usize) -> Cow<'_, str> {
        self.arguments()
            .get(index)
            .map(Word::text)
            .unwrap_or_default()
    }

    /// Where it begins.
    pub fn place(&self) -> Place {
        let nowhere = Place {
            file: 0,
            line: 1,
            column: 1,
        };
        self.words.first().map_or(nowhere, |word| word.place)
    }

    /// The directives in its braces; none without.
    pub fn children(&self) -> &[Directive] {
        match &self.block {
            Some(Block::Directives(inner) | Block::Rows(inner)) => inner,
            _ => &[],
        }
    }
}
