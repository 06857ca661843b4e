//! Classes of characters in an expression: `[a-z]`, `[^\\w.-]`, `[[:alpha:]]`.
//!
//! Told as PCRE2 tells it; the rest of an expression is `expression`'s. Pure.
#![deny(clippy::disallowed_methods)]

use super::{NO_BRACKET, Reader, Wrong};

impl Reader<'_> {
    /// What follows an opening bracket.
    pub(super) fn class(&mut self) -> Result<(), Wrong> {
        let none = (NO_BRACKET, self.text.len());
        self.takes(b"^");
        // The first member may be the bracket itself.
        let mut first = true;
        // The last member, when a range may begin with it; whether one is a kind of characters.
        let (mut last, mut kind): (Option<u8>, bool) = (None, false);
        loop {
            let at = self.at;
            let byte = self.peek().ok_or(none)?;
            self.at += 1;
            let member = match byte {
                b']' if !first => return Ok(()),
                b'[' if matches!(self.peek(), Some(b':')) && self.posix()? => None,
                b'\\' => self.member()?,
                b'-' if last.is_some() && self.peek().is_some_and(|next| next != b']') => {
                    let from = last.take();
                    let end = self.at;
                    let to = self.peek().ok_or(none)?;
                    self.at += 1;
                    let to = match to {
                        b'\\' => self.member()?,
                        b'[' if self.peek() == Some(b':') && self.posix()? => None,
                        to => Some(to),
                    };
                    match (from, to) {
                        (Some(from), Some(to)) if to < from => {
                            return Err(("range out of order in character class", end));
                        }
                        (_, None) => return Err(("invalid range in character class", self.at)),
                        _ => {}
                    }
                    first = false;
                    continue;
                }
                b'-' if kind && self.peek().is_some_and(|next| next != b']') => {
                    return Err(("invalid range in character class", at));
                }
                byte => Some(byte),
            };
            first = false;
            kind = member.is_none();
            last = member;
        }
    }

    /// `[:alpha:]`; whether it is one.
    fn posix(&mut self) -> Result<bool, Wrong> {
        #[rustfmt::skip]
        const KINDS: &[&[u8]] = &[
            b"alpha", b"lower", b"upper", b"alnum", b"ascii", b"blank", b"cntrl", b"digit", b"graph", b"print", b"punct",
            b"space", b"word", b"xdigit",
        ];
        let rest = self.rest().get(1..).unwrap_or_default();
        let Some(end) = rest.windows(2).position(|two| two == b":]") else {
            return Ok(false);
        };
        let name = rest.get(..end).unwrap_or_default();
        let plain = name.strip_prefix(b"^").unwrap_or(name);
        if !plain.iter().all(u8::is_ascii_alphabetic) {
            return Ok(false);
        }
        if !KINDS.contains(&plain) {
            return Err(("unknown POSIX class name", self.at + 1));
        }
        self.at += end + 3;
        Ok(true)
    }

    /// An escaped member of a class; `None` for a kind of characters.
    fn member(&mut self) -> Result<Option<u8>, Wrong> {
        let byte = self.peek().ok_or((NO_BRACKET, self.text.len()))?;
        match byte {
            b'd' | b'D' | b'w' | b'W' | b's' | b'S' | b'h' | b'H' | b'v' | b'V' | b'N' | b'R' => {
                self.at += 1;
                Ok(None)
            }
            b'p' | b'P' => {
                self.at += 1;
                let end = match self.peek() {
                    Some(b'{') => self
                        .rest()
                        .iter()
                        .position(|byte| *byte == b'}')
                        .map(|end| end + 1),
                    _ => Some(1),
                };
                self.at += end.unwrap_or(0);
                Ok(None)
            }
            b'x' | b'o' | b'c' | b'0'..=b'9' | b'Q' | b'E' | b'k' => {
                let start = self.at + 1;
                let references = self.numbers.len();
                match byte {
                    b'Q' | b'E' | b'k' => self.at = start,
                    _ => {
                        self.escape()?;
                    }
                }
                self.numbers.truncate(references);
                if byte == b'x' && self.at == start {
                    while self.at < start + 2
                        && self.peek().is_some_and(|own| own.is_ascii_hexdigit())
                    {
                        self.at += 1;
                    }
                }
                // Which character it is does not matter: no range is known to be wrong.
                Ok(Some(b'-'))
            }
            byte => {
                self.at += 1;
                Ok(Some(match byte {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    byte => byte,
                }))
            }
        }
    }
}
