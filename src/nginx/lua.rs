//! Finds the end of a block of Lua: braces that stand in its strings and comments are not braces.
//!
//! Only as much of Lua as that takes: quoted strings with escapes, `--` comments, long brackets of any level.
#![deny(clippy::disallowed_methods)]

/// How many bytes come before the `}` that ends the block; `None` when there is none.
pub(super) fn length(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut depth = 0_usize;
    while let Some(&byte) = text.get(at) {
        let rest = text.get(at..).unwrap_or_default();
        at += match byte {
            b'{' => {
                depth += 1;
                1
            }
            b'}' if depth == 0 => return Some(at),
            b'}' => {
                depth -= 1;
                1
            }
            b'"' | b'\'' => quoted(rest, byte)?,
            b'-' if rest.starts_with(b"--") => {
                let comment = rest.get(2..).unwrap_or_default();
                2 + long_bracket(comment).unwrap_or_else(|| line(comment))
            }
            b'[' => long_bracket(rest).unwrap_or(1),
            _ => 1,
        };
    }
    None
}

/// Bytes of a quoted string, both quotes counted. One that its line does not end is taken to its line's end, as Lua
/// would refuse it there.
fn quoted(text: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'\\' => at += 2,
            b'\n' => return Some(at),
            byte if *byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// Bytes of `[[..]]` or `[==[..]==]`; `None` when it is not one.
fn long_bracket(text: &[u8]) -> Option<usize> {
    let inner = text.strip_prefix(b"[")?;
    let level = inner.iter().take_while(|byte| **byte == b'=').count();
    if inner.get(level) != Some(&b'[') {
        return None;
    }
    let equals = vec![b'='; level];
    let end = [&b"]"[..], &equals, b"]"].concat();
    let opened = level + 2;
    let rest = text.get(opened..)?;
    let found = memchr::memmem::find(rest, &end);
    Some(found.map_or(text.len(), |at| opened + at + end.len()))
}

/// Bytes up to the line's end.
fn line(text: &[u8]) -> usize {
    memchr::memchr(b'\n', text).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner(text: &str) -> Option<&str> {
        length(text.as_bytes()).map(|length| &text[..length])
    }

    #[test]
    fn braces_in_strings_and_comments_are_not_braces() {
        assert_eq!(
            inner("a = '}' .. \"\\\"}\" } x"),
            Some("a = '}' .. \"\\\"}\" ")
        );
        assert_eq!(inner("-- }\n x() } y"), Some("-- }\n x() "));
        assert_eq!(inner("--[[ } \n } ]] x } y"), Some("--[[ } \n } ]] x "));
        assert_eq!(inner("s = [==[ ]] } ]==] } y"), Some("s = [==[ ]] } ]==] "));
    }

    #[test]
    fn nested_tables_are_counted() {
        assert_eq!(inner("t = {{1}, {2}} }"), Some("t = {{1}, {2}} "));
        assert_eq!(inner("t = { a[b[1]] } "), None);
    }
}
