//! A configuration's text with the name people know it by, and the folder its relative paths start from.
//!
//! Turns byte positions into lines and columns. Pure: `read` is what fetches the text.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// Bytes of a source, from the first to past the last.
pub type Span = Range<usize>;

/// One configuration file's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    name: String,
    folder: PathBuf,
    text: String,
    notes: Vec<String>,
}

/// Where a byte is, counted from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl Source {
    /// Takes the name shown in messages, the folder that relative paths in the file start from, and the text.
    pub fn new(
        name: impl Into<String>,
        folder: impl Into<PathBuf>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            folder: folder.into(),
            text: text.into(),
            notes: Vec::new(),
        }
    }

    /// The same, with what whoever wrote the text warns of.
    #[must_use]
    pub fn with_notes(self, notes: Vec<String>) -> Self {
        Self { notes, ..self }
    }

    /// What whoever wrote the text warns of: nothing where that was a person.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The name shown in messages: the path as the user gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is nothing in it but white space.
    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// `path` as seen from the file's folder; an absolute path stays as it is.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(Path::new(path))
    }

    /// Line and column of a byte; a byte past the end is taken for the end.
    pub fn position(&self, byte: usize) -> Position {
        let before = &self.text[..self.floor(byte)];
        let start = before.rfind('\n').map_or(0, |n| n + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[start..]
                .trim_start_matches('\u{feff}')
                .chars()
                .count()
                + 1,
        }
    }

    /// The line that holds a byte, without its end, and the line's place in the text.
    pub(super) fn line(&self, byte: usize) -> (&str, Span) {
        let byte = self.floor(byte);
        let start = self.text[..byte].rfind('\n').map_or(0, |n| n + 1);
        let start = if self.text[start..].starts_with('\u{feff}') {
            start + 3
        } else {
            start
        };
        let end = self.text[start.max(byte)..]
            .find('\n')
            .map_or(self.text.len(), |n| start.max(byte) + n);
        let line = self.text[start..end].trim_end_matches('\r');
        (line, start..start + line.len())
    }

    /// The nearest character boundary at or before `byte`.
    fn floor(&self, byte: usize) -> usize {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_not_bytes() {
        let source = Source::new("a.toml", "/etc", "x = 1\nü = \"y\"\n");
        assert_eq!(source.position(11), Position { line: 2, column: 5 });
    }

    #[test]
    fn a_byte_past_the_end_is_the_end() {
        let source = Source::new("a.toml", "/etc", "x");
        assert_eq!(source.position(99), Position { line: 1, column: 2 });
        assert_eq!(source.line(99), ("x", 0..1));
    }

    #[test]
    fn relative_paths_start_from_the_files_folder() {
        let source = Source::new("a.toml", "/etc/hubgate", "");
        assert_eq!(
            source.resolve("tls/chain.pem"),
            Path::new("/etc/hubgate/tls/chain.pem")
        );
        assert_eq!(
            source.resolve("/srv/chain.pem"),
            Path::new("/srv/chain.pem")
        );
    }
}
