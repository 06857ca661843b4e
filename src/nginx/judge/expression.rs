//! Whether a regular expression is one, in the words of the PCRE2 that nginx is built with.
//!
//! A reading of PCRE2's grammar as far as its mistakes go; what it means is `types::pattern`'s. What is not known to be a
//! mistake is none: an expression that only PCRE2 can run is told as lost, not refused. Pure.
#![deny(clippy::disallowed_methods)]

mod classes;
mod groups;

use std::collections::HashSet;

/// What is wrong, and how many bytes were right.
type Wrong = (&'static str, usize);

const NO_PARENTHESIS: &str = "missing closing parenthesis";
const NO_BRACKET: &str = "missing terminating ] for character class";
const NO_REFERENCE: &str = "reference to non-existent subpattern";
const NO_TERMINATOR: &str = "syntax error in subpattern name (missing terminator?)";

/// nginx's sentence about an expression.
pub(super) fn refusal(expression: &str) -> Option<String> {
    let (what, at) = wrong(expression)?;
    let rest = expression.get(at..).unwrap_or_default();
    let place = match rest {
        "" => String::new(),
        rest => format!(" at \"{rest}\""),
    };
    Some(format!(
        "pcre2_compile() failed: {what} in \"{expression}\"{place}"
    ))
}

/// How many groups an expression has that are kept.
pub(super) fn groups(expression: &str) -> usize {
    let mut reader = Reader::new(expression);
    // What is wrong with it has been told.
    reader.all().map_or(0, |()| reader.groups)
}

fn wrong(expression: &str) -> Option<Wrong> {
    let mut reader = Reader::new(expression);
    reader
        .all()
        .err()
        .or_else(|| reader.references())
        .or(reader.unbounded)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// Groups that are open: where, and whether they look behind.
    open: Vec<(usize, bool)>,
    groups: usize,
    names: HashSet<&'a [u8]>,
    /// References by number and by name, and where they are.
    numbers: Vec<(usize, usize)>,
    named: Vec<(&'a [u8], usize)>,
    /// A group that looks behind and has no length.
    unbounded: Option<Wrong>,
}

impl<'a> Reader<'a> {
    fn new(expression: &'a str) -> Self {
        Self {
            text: expression.as_bytes(),
            at: 0,
            open: Vec::new(),
            groups: 0,
            names: HashSet::new(),
            numbers: Vec::new(),
            named: Vec::new(),
            unbounded: None,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn takes(&mut self, text: &[u8]) -> bool {
        let there = self.rest().starts_with(text);
        self.at += if there { text.len() } else { 0 };
        there
    }

    fn all(&mut self) -> Result<(), Wrong> {
        // Whether something can be repeated here.
        let mut item = false;
        while let Some(byte) = self.peek() {
            let start = self.at;
            self.at += 1;
            match byte {
                b'\\' => item = self.escape()?,
                b'[' => {
                    self.class()?;
                    item = true;
                }
                b'(' => {
                    item = self.group(start)?;
                }
                b')' => {
                    if self.open.pop().is_none() {
                        return Err(("unmatched closing parenthesis", start));
                    }
                    item = true;
                }
                b'|' | b'^' | b'$' => item = false,
                b'*' | b'+' | b'?' => {
                    if !item {
                        return Err(("quantifier does not follow a repeatable item", start));
                    }
                    self.repeats(false);
                    item = false;
                }
                b'{' => match self.count()? {
                    Some(_) if !item => {
                        return Err(("quantifier does not follow a repeatable item", start));
                    }
                    Some(fixed) => {
                        self.repeats(fixed);
                        item = false;
                    }
                    None => item = true,
                },
                _ => item = true,
            }
        }
        match self.open.is_empty() {
            true => Ok(()),
            false => Err((NO_PARENTHESIS, self.text.len())),
        }
    }

    /// What may follow a quantifier, and what it does to a group that looks behind.
    fn repeats(&mut self, fixed: bool) {
        if matches!(self.peek(), Some(b'?' | b'+')) {
            self.at += 1;
        }
        if let Some((start, _)) = self.open.iter().rev().find(|(_, behind)| *behind)
            && !fixed
        {
            let text = "lookbehind assertion is not fixed length";
            self.unbounded.get_or_insert((text, *start));
        }
    }

    /// `2}`, `2,}` or `2,3}`; whether it is one number. `None` when the brace is itself.
    fn count(&mut self) -> Result<Option<bool>, Wrong> {
        let rest = self.rest();
        let Some(end) = rest.iter().position(|byte| *byte == b'}') else {
            return Ok(None);
        };
        let inner = rest.get(..end).unwrap_or_default();
        let mut parts = inner.split(|byte| *byte == b',');
        let (least, most, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
        if least.is_empty() || !digits(least) || !most.is_none_or(digits) || more.is_some() {
            return Ok(None);
        }
        let close = self.at + end;
        let number = |text: &[u8]| {
            let text = std::str::from_utf8(text).unwrap_or_default();
            text.parse::<u32>().ok().filter(|number| *number <= 65_535)
        };
        let big = ("number too big in {} quantifier", close);
        let first = number(least).ok_or(big)?;
        let last = match most {
            None => Some(first),
            Some(b"") => None,
            Some(most) => Some(number(most).ok_or(big)?),
        };
        if last.is_some_and(|last| last < first) {
            return Err(("numbers out of order in {} quantifier", close));
        }
        self.at = close + 1;
        Ok(Some(last == Some(first)))
    }

    /// What follows a backslash; whether it can be repeated.
    fn escape(&mut self) -> Result<bool, Wrong> {
        let Some(byte) = self.peek() else {
            return Err(("\\ at end of pattern", self.text.len()));
        };
        self.at += 1;
        match byte {
            b'Q' => {
                let rest = self.rest();
                let end = rest.windows(2).position(|two| two == b"\\E");
                self.at += end.map_or(rest.len(), |end| end + 2);
            }
            b'c' if self.peek().is_none() => {
                return Err(("\\c at end of pattern", self.text.len()));
            }
            b'c' => self.at += 1,
            b'x' if self.peek() == Some(b'{') => {
                self.digits(
                    u8::is_ascii_hexdigit,
                    "non-hex character in \\x{} (closing brace missing?)",
                )?;
            }
            b'o' if self.peek() == Some(b'{') => {
                let octal = |byte: &u8| (b'0'..=b'7').contains(byte);
                self.digits(
                    octal,
                    "non-octal character in \\o{} (closing brace missing?)",
                )?;
            }
            b'1'..=b'9' => {
                let start = self.at - 1;
                while matches!(self.peek(), Some(b'0'..=b'9')) {
                    self.at += 1;
                }
                let digits = self.text.get(start..self.at).unwrap_or_default();
                let number = std::str::from_utf8(digits).unwrap_or_default().parse();
                let number: usize = number.unwrap_or(usize::MAX);
                // Others are characters by their numbers.
                if number < 10 {
                    self.numbers.push((number, self.at - 1));
                }
            }
            b'k' => self.named_reference()?,
            b'F' | b'L' | b'l' | b'U' | b'u' => {
                let text = "PCRE2 does not support \\F, \\L, \\l, \\N{name}, \\U, or \\u";
                return Err((text, self.at));
            }
            b'i' | b'j' | b'm' | b'q' | b'y' | b'I' | b'J' | b'M' | b'O' | b'T' | b'Y' => {
                return Err(("unrecognized character follows \\", self.at));
            }
            b'b' | b'B' | b'A' | b'Z' | b'z' | b'G' | b'K' | b'E' => return Ok(false),
            _ => {}
        }
        Ok(true)
    }

    fn digits(&mut self, fits: impl Fn(&u8) -> bool, wrong: &'static str) -> Result<(), Wrong> {
        self.at += 1;
        while self.peek().as_ref().is_some_and(&fits) {
            self.at += 1;
        }
        match self.takes(b"}") {
            true => Ok(()),
            false => Err((wrong, self.at)),
        }
    }

    fn named_reference(&mut self) -> Result<(), Wrong> {
        let close = match self.peek() {
            Some(b'{') => b'}',
            Some(b'<') => b'>',
            Some(b'\'') => b'\'',
            _ => {
                let text = "\\k is not followed by a braced, angle-bracketed, or quoted name";
                return Err((text, self.at));
            }
        };
        self.at += 1;
        let start = self.at;
        let name = self.name(close)?;
        self.named.push((name, start));
        Ok(())
    }

    /// A name up to what closes it.
    fn name(&mut self, close: u8) -> Result<&'a [u8], Wrong> {
        let start = self.at;
        if matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(("subpattern name must start with a non-digit", start));
        }
        while self
            .peek()
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            self.at += 1;
        }
        let name = self.text.get(start..self.at).unwrap_or_default();
        if name.is_empty() {
            return Err(("subpattern name expected", start));
        }
        match self.takes(&[close]) {
            true => Ok(name),
            false => Err((NO_TERMINATOR, self.at)),
        }
    }

    /// A group that is named and that nobody has written.
    fn references(&self) -> Option<Wrong> {
        let number = self
            .numbers
            .iter()
            .find(|(number, _)| *number > self.groups);
        let name = self
            .named
            .iter()
            .find(|(name, _)| !self.names.contains(name));
        let number = number.map(|(_, at)| (NO_REFERENCE, *at));
        number.or(name.map(|(_, at)| (NO_REFERENCE, *at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_as_pcre2_tells_them() {
        for (expression, said) in [
            ("(a", "missing closing parenthesis in \"(a\""),
            ("a)", "unmatched closing parenthesis in \"a)\" at \")\""),
            (
                "[z-a]",
                "range out of order in character class in \"[z-a]\" at \"a]\"",
            ),
            (
                "a{2,1}",
                "numbers out of order in {} quantifier in \"a{2,1}\" at \"}\"",
            ),
            (
                "(?<=a+)b",
                "lookbehind assertion is not fixed length in \"(?<=a+)b\" at \"(?<=a+)b\"",
            ),
        ] {
            let expected = format!("pcre2_compile() failed: {said}");
            assert_eq!(refusal(expression), Some(expected));
        }
    }

    #[test]
    fn what_pcre2_takes_is_no_mistake() {
        for expression in [
            r"\.(png|css)$",
            r"^/(?!private)(?<a>x)\k<a>(?P=a)\1$",
            r"[]a][^]b][\w.-][a\-z][\x00-\x1f][[:alpha:]_-]",
            r"a{b}x{,5}\Qa(b\E(?i:x)(?#y)z(?|(a)|(b))",
            r"(?R)?(?1)(a)(?(1)b|c)\d+?x*+\p{L}\x{41}",
            "",
        ] {
            assert_eq!(refusal(expression), None, "{expression}");
        }
    }
}
