//! Groups of an expression: what may follow `(`, with its names, options, conditions and calls.
//!
//! Told as PCRE2 tells it; where a group ends is `expression`'s. Pure.
#![deny(clippy::disallowed_methods)]

use super::{NO_PARENTHESIS, Reader, Wrong};

impl<'a> Reader<'a> {
    /// What follows an opening parenthesis; whether what follows can be repeated.
    pub(super) fn group(&mut self, start: usize) -> Result<bool, Wrong> {
        if self.peek() == Some(b'*') {
            // A verb, or an assertion by its name.
            let end = self.rest().iter().position(|byte| *byte == b')');
            self.at += end.map_or(self.rest().len(), |end| end + 1);
            return Ok(false);
        }
        if !self.takes(b"?") {
            self.groups += 1;
            self.open.push((start, false));
            return Ok(false);
        }
        match self.peek() {
            None => Err((NO_PARENTHESIS, self.text.len())),
            Some(b'#') => match self.rest().iter().position(|byte| *byte == b')') {
                Some(end) => {
                    self.at += end + 1;
                    Ok(true)
                }
                None => Err(("missing ) after (?# comment", self.text.len())),
            },
            Some(b':' | b'|' | b'>' | b'=' | b'!' | b'*') => {
                self.at += 1;
                self.open.push((start, false));
                Ok(false)
            }
            Some(b'<') if matches!(self.text.get(self.at + 1), Some(b'=' | b'!' | b'*')) => {
                self.at += 2;
                self.open.push((start, true));
                Ok(false)
            }
            Some(b'<' | b'\'' | b'P') => self.named_group(start),
            Some(b'(' | b'&' | b'R' | b'0'..=b'9' | b'+' | b'C') => {
                // A condition or a call: what it names is not looked for.
                match self.peek() {
                    Some(b'(') => {
                        self.open.push((start, false));
                        self.condition()
                    }
                    _ => self.call(),
                }
            }
            Some(_) => self.options(start),
        }
    }

    fn condition(&mut self) -> Result<bool, Wrong> {
        let at = self.at;
        let inner = self.rest().get(1..).unwrap_or_default();
        let end = inner
            .iter()
            .position(|byte| *byte == b')')
            .unwrap_or(inner.len());
        let inner = inner.get(..end).unwrap_or_default();
        if inner.starts_with(b"?") {
            return Ok(false);
        }
        let number = std::str::from_utf8(inner).unwrap_or_default().parse();
        if let Ok(number) = number {
            self.numbers.push((number, at));
        }
        self.at += end + 2;
        Ok(false)
    }

    fn call(&mut self) -> Result<bool, Wrong> {
        let recursive = self.peek() == Some(b'R');
        match self.rest().iter().position(|byte| *byte == b')') {
            Some(end) => {
                let name = self.rest().get(1..end).unwrap_or_default();
                if self.peek() == Some(b'&') {
                    self.named.push((name, self.at + 1));
                }
                self.at += end + 1;
                Ok(true)
            }
            None if recursive => {
                let text = "(?R (recursive pattern call) must be followed by a closing parenthesis";
                Err((text, self.text.len()))
            }
            None => Err((NO_PARENTHESIS, self.text.len())),
        }
    }

    fn named_group(&mut self, start: usize) -> Result<bool, Wrong> {
        if self.takes(b"P") {
            let reference = self.peek() == Some(b'=');
            if reference || self.peek() == Some(b'>') {
                self.at += 1;
                let at = self.at;
                let name = self.name(b')')?;
                self.named.push((name, at));
                return Ok(true);
            }
            if self.peek() != Some(b'<') {
                return Err(("unrecognized character after (?P", self.at));
            }
        }
        let close = if self.takes(b"<") { b'>' } else { b'\'' };
        if close == b'\'' {
            self.at += 1;
        }
        let name = self.name(close)?;
        if !self.names.insert(name) {
            let text = "two named subpatterns have the same name (PCRE2_DUPNAMES not set)";
            return Err((text, self.at));
        }
        self.groups += 1;
        self.open.push((start, false));
        Ok(false)
    }

    /// `(?i)`, `(?s-m:`
    fn options(&mut self, start: usize) -> Result<bool, Wrong> {
        while let Some(byte) = self.peek() {
            match byte {
                b')' => {
                    self.at += 1;
                    return Ok(false);
                }
                b':' => {
                    self.at += 1;
                    self.open.push((start, false));
                    return Ok(false);
                }
                b'-' | b'^' | b'J' | b'U' | b'i' | b'm' | b'n' | b's' | b'x' => self.at += 1,
                _ => return Err(("unrecognized character after (? or (?-", self.at)),
            }
        }
        Err((NO_PARENTHESIS, self.text.len()))
    }
}
