//! Cuts an nginx file into directives: words, quotes, escapes, comments and braces, as nginx 1.22 cuts it.
//!
//! One [`Lexer::next`] a directive. Reads through a window of 4096 bytes as nginx does, for no other reason than that
//! nginx refuses a word that fills one, and what that is depends on where windows begin. What may follow what is for
//! `read`. Invariant: no input panics, and every call that is not the end moves forward.
#![deny(clippy::disallowed_methods)]

use super::tree::{Place, Word};

/// nginx's buffer for configuration files.
const WINDOW: usize = 4096;

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Words and `;`. Never empty.
    Statement(Vec<Word>),
    /// Words and `{`. Never empty.
    Open(Vec<Word>),
    /// `}`
    Close,
    /// The file's end.
    End,
}

/// Why the text cannot be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LexFault {
    /// nginx's sentence.
    pub(super) text: String,
    /// The line nginx names.
    pub(super) line: u32,
    /// The byte it is about.
    pub(super) place: Place,
}

/// A place in the text of one file.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    file: u32,
    at: usize,
    line: u32,
    /// Where the line begins.
    line_start: usize,
    /// The end of what nginx would have read by now.
    window_end: usize,
    /// Whether this is a file, rather than directives of the command line.
    from_file: bool,
}

/// Which quote a word stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

/// Where in a directive the lexer is.
struct State {
    words: Vec<Word>,
    /// The current word's first byte, after its quote.
    start: usize,
    start_line: u32,
    start_place: Place,
    quote: Quote,
    /// Between words.
    between: bool,
    /// A quoted word has ended; white space has to follow.
    need_space: bool,
    /// The byte before was a backslash.
    escaped: bool,
    /// The byte before was a `$`.
    variable: bool,
}

impl<'a> Lexer<'a> {
    /// Begins with the text of a file, or with the directives of a command line.
    pub(super) fn new(text: &'a [u8], file: u32, from_file: bool) -> Self {
        Self {
            text,
            file,
            at: 0,
            line: 1,
            line_start: 0,
            window_end: if from_file { 0 } else { text.len() },
            from_file,
        }
    }

    /// The line it has come to.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// Reads up to the next `;`, `{`, `}` or the end.
    ///
    /// # Errors
    /// nginx's sentence for what it would not read.
    pub(super) fn next(&mut self) -> Result<Token, LexFault> {
        let mut state = State {
            words: Vec::new(),
            start: self.at,
            start_line: self.line,
            start_place: self.place(self.at),
            quote: Quote::None,
            between: true,
            need_space: false,
            escaped: false,
            variable: false,
        };
        let mut comment = false;
        loop {
            if self.at >= self.window_end && self.refill(&state)? {
                return Ok(Token::End);
            }
            let Some(&byte) = self.text.get(self.at) else {
                return Ok(Token::End);
            };
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                self.line_start = self.at;
                comment = false;
            }
            if comment {
                continue;
            }
            if state.escaped {
                state.escaped = false;
                continue;
            }
            if state.need_space {
                match byte {
                    b' ' | b'\t' | b'\r' | b'\n' => {
                        state.between = true;
                        state.need_space = false;
                        continue;
                    }
                    b';' => return Ok(Token::Statement(state.words)),
                    b'{' => return Ok(Token::Open(state.words)),
                    b')' => {
                        state.between = true;
                        state.need_space = false;
                    }
                    _ => return Err(self.unexpected(byte)),
                }
            }
            if state.between {
                match self.begin(&mut state, byte)? {
                    Begin::Token(token) => return Ok(token),
                    Begin::Comment => comment = true,
                    Begin::Word => {}
                }
            } else if let Some(token) = self.go_on(&mut state, byte) {
                return Ok(token);
            }
        }
    }

    /// Lets the window move on. `true` at the end of everything.
    fn refill(&mut self, state: &State) -> Result<bool, LexFault> {
        if self.window_end >= self.text.len() {
            if state.words.is_empty() && state.between {
                return Ok(true);
            }
            let what = match self.from_file {
                true => "unexpected end of file, expecting \";\" or \"}\"",
                false => "unexpected end of parameter, expecting \";\"",
            };
            return Err(self.fault(what.to_owned(), self.at));
        }
        let held = self.at - state.start;
        if held >= WINDOW {
            let text = match state.quote {
                Quote::Double => too_long_in('"'),
                Quote::Single => too_long_in('\''),
                Quote::None => {
                    let end = self.text.len().min(state.start + 10);
                    let head = self.text.get(state.start..end).unwrap_or_default();
                    let head = String::from_utf8_lossy(head);
                    format!("too long parameter \"{head}...\" started")
                }
            };
            return Err(LexFault {
                text,
                line: state.start_line,
                place: state.start_place,
            });
        }
        self.window_end = (state.start + WINDOW).min(self.text.len());
        Ok(false)
    }

    /// A byte between words.
    fn begin(&mut self, state: &mut State, byte: u8) -> Result<Begin, LexFault> {
        state.start = self.at - 1;
        state.start_line = self.line;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return Ok(Begin::Word),
            b';' | b'{' if state.words.is_empty() => return Err(self.unexpected(byte)),
            b';' => return Ok(Begin::Token(Token::Statement(take(state)))),
            b'{' => return Ok(Begin::Token(Token::Open(take(state)))),
            b'}' if state.words.is_empty() => return Ok(Begin::Token(Token::Close)),
            b'}' => return Err(self.unexpected(byte)),
            b'#' => return Ok(Begin::Comment),
            b'\\' => state.escaped = true,
            b'$' => state.variable = true,
            b'"' => state.quote = Quote::Double,
            b'\'' => state.quote = Quote::Single,
            _ => {}
        }
        state.between = false;
        state.start_place = self.place(self.at - 1);
        if state.quote != Quote::None {
            state.start = self.at;
        }
        Ok(Begin::Word)
    }

    /// A byte in a word.
    fn go_on(&mut self, state: &mut State, byte: u8) -> Option<Token> {
        if byte == b'{' && state.variable {
            return None;
        }
        state.variable = false;
        let ended = match (byte, state.quote) {
            (b'\\', _) => {
                state.escaped = true;
                return None;
            }
            (b'$', _) => {
                state.variable = true;
                return None;
            }
            (b'"', Quote::Double) | (b'\'', Quote::Single) => {
                state.quote = Quote::None;
                state.need_space = true;
                true
            }
            (b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{', Quote::None) => {
                state.between = true;
                true
            }
            _ => false,
        };
        if !ended {
            return None;
        }
        let raw = self.text.get(state.start..self.at - 1).unwrap_or_default();
        state.words.push(Word {
            bytes: unescape(raw),
            place: state.start_place,
        });
        match byte {
            b';' => Some(Token::Statement(take(state))),
            b'{' => Some(Token::Open(take(state))),
            _ => None,
        }
    }

    /// Skips a block of Lua whose `{` has been read, up to and with its `}`; gives what is between.
    ///
    /// # Errors
    /// The block has no end.
    pub(super) fn skip_lua(&mut self) -> Result<&'a [u8], LexFault> {
        let start = self.at;
        let Some(length) = super::lua::length(self.text.get(start..).unwrap_or_default()) else {
            self.advance(self.text.len());
            let what = "unexpected end of file, expecting \"}\"".to_owned();
            return Err(self.fault(what, start));
        };
        self.advance(start + length + 1);
        Ok(self.text.get(start..start + length).unwrap_or_default())
    }

    /// Moves to a byte further on, counting lines.
    fn advance(&mut self, to: usize) {
        let passed = self.text.get(self.at..to).unwrap_or_default();
        for (index, byte) in passed.iter().enumerate() {
            if *byte == b'\n' {
                self.line += 1;
                self.line_start = self.at + index + 1;
            }
        }
        self.at = to;
        self.window_end = self.window_end.max(to);
    }

    fn unexpected(&self, byte: u8) -> LexFault {
        let shown = String::from_utf8_lossy(&[byte]).into_owned();
        self.fault(format!("unexpected \"{shown}\""), self.at - 1)
    }

    fn fault(&self, text: String, at: usize) -> LexFault {
        LexFault {
            text,
            line: self.line,
            place: self.place(at),
        }
    }

    /// Line and column of a byte of the current line.
    fn place(&self, at: usize) -> Place {
        let before = self.text.get(self.line_start..at).unwrap_or_default();
        let begins = |byte: &&u8| **byte & 0xc0 != 0x80;
        let characters = before.iter().filter(begins).count();
        Place {
            file: self.file,
            line: self.line,
            column: u32::try_from(characters + 1).unwrap_or(u32::MAX),
        }
    }
}

enum Begin {
    Token(Token),
    Comment,
    Word,
}

fn take(state: &mut State) -> Vec<Word> {
    std::mem::take(&mut state.words)
}

fn too_long_in(quote: char) -> String {
    format!("too long parameter, probably missing terminating \"{quote}\" character")
}

/// `\"`, `\'` and `\\` stand for the second byte, `\t`, `\r` and `\n` for white space; other backslashes stay.
fn unescape(raw: &[u8]) -> Box<[u8]> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        let (out_byte, used) = match (byte, after.first()) {
            (b'\\', Some(&quote @ (b'"' | b'\'' | b'\\'))) => (quote, 2),
            (b'\\', Some(b't')) => (b'\t', 2),
            (b'\\', Some(b'r')) => (b'\r', 2),
            (b'\\', Some(b'n')) => (b'\n', 2),
            _ => (byte, 1),
        };
        out.push(out_byte);
        rest = rest.get(used..).unwrap_or_default();
    }
    out.into()
}

#[cfg(test)]
mod tests;
