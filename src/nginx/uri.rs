//! Request targets as nginx normalises them: the copy that locations are matched with, and how it is written out again.
//!
//! Pure functions over bytes. The raw target stays beside the copy: `proxy_pass` without a URI forwards it untouched.
#![deny(clippy::disallowed_methods)]

/// A request target, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// `$uri`: decoded, dots resolved, slashes merged.
    pub path: Vec<u8>,
    /// `$args`: what follows the first `?`, as sent.
    pub args: Vec<u8>,
    /// `$request_uri`: the whole, as sent, without scheme and host.
    pub raw: Vec<u8>,
    /// Whether the path had escapes.
    pub quoted: bool,
    /// Whether it had a `+`.
    pub plus: bool,
    /// Whether the raw one may be forwarded: it has a path.
    pub has_path: bool,
}

impl Uri {
    /// The path and the arguments as they are asked for anew.
    pub fn asked(&self) -> Vec<u8> {
        let mut out = escape(&self.path);
        if !self.args.is_empty() {
            out.push(b'?');
            out.extend_from_slice(&self.args);
        }
        out
    }

    /// Whether what is taken from it is escaped where it becomes a part of something else, as nginx does.
    pub fn is_escaped(&self) -> bool {
        self.quoted || self.plus
    }

    /// A part of its path with its arguments: escaped where the request's path was.
    pub fn written(&self, path: &[u8]) -> Vec<u8> {
        let mut out = match self.quoted {
            true => escape(path),
            false => path.to_vec(),
        };
        if !self.args.is_empty() {
            out.push(b'?');
            out.extend_from_slice(&self.args);
        }
        out
    }
}

/// nginx answers 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request target is not one")]
pub struct Invalid;

/// Understands a target in origin or absolute form.
///
/// # Errors
/// [`Invalid`] where nginx answers 400.
pub fn parse(target: &[u8], merge_slashes: bool) -> Result<Uri, Invalid> {
    if target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err(Invalid);
    }
    let raw = match target.first() {
        Some(b'/') => target,
        _ => after_authority(target).ok_or(Invalid)?,
    };
    let (path, args) = cut(raw);
    let has_path = path.first() == Some(&b'/');
    let path = if has_path { path } else { b"/" };
    Ok(Uri {
        quoted: path.contains(&b'%'),
        plus: path.contains(&b'+'),
        path: normal(path, merge_slashes)?,
        args: args.to_vec(),
        raw: if raw.is_empty() {
            b"/".to_vec()
        } else {
            raw.to_vec()
        },
        has_path,
    })
}

/// What follows `scheme://host`.
fn after_authority(target: &[u8]) -> Option<&[u8]> {
    let colon = target.iter().position(|byte| *byte == b':')?;
    let (scheme, rest) = target.split_at_checked(colon)?;
    let rest = rest.strip_prefix(b"://")?;
    let letters = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let end = end.unwrap_or(rest.len());
    (letters && end > 0 && rest.get(end) != Some(&b'#')).then_some(rest.get(end..)?)
}

/// The path and the arguments; a fragment is dropped.
fn cut(raw: &[u8]) -> (&[u8], &[u8]) {
    let end = raw.iter().position(|byte| matches!(byte, b'?' | b'#'));
    let (path, rest) = raw.split_at(end.unwrap_or(raw.len()));
    let args = rest.strip_prefix(b"?").unwrap_or_default();
    let fragment = args.iter().position(|byte| *byte == b'#');
    (
        path,
        args.get(..fragment.unwrap_or(args.len()))
            .unwrap_or_default(),
    )
}

/// A raw path decoded, with `.` and `..` resolved, whether they were escaped or not.
fn normal(path: &[u8], merge_slashes: bool) -> Result<Vec<u8>, Invalid> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, after)) = rest.split_first() {
        let (byte, left) = match (first, after) {
            (b'%', [high, low, left @ ..]) => (decoded(*high, *low).ok_or(Invalid)?, left),
            (b'%', _) => return Err(Invalid),
            _ => (first, after),
        };
        rest = left;
        if byte == 0 {
            return Err(Invalid);
        }
        if byte != b'/' {
            out.push(byte);
            continue;
        }
        let resolved = resolve(&mut out)?;
        if !(resolved || merge_slashes && out.last() == Some(&b'/')) {
            out.push(b'/');
        }
    }
    resolve(&mut out)?;
    Ok(out)
}

/// Takes `.` or `..` from the end of what has been written, and says whether it did.
fn resolve(out: &mut Vec<u8>) -> Result<bool, Invalid> {
    if out.ends_with(b"/.") {
        out.pop();
        return Ok(true);
    }
    if !out.ends_with(b"/..") {
        return Ok(false);
    }
    out.truncate(out.len() - 3);
    let parent = out.iter().rposition(|byte| *byte == b'/').ok_or(Invalid)?;
    out.truncate(parent + 1);
    Ok(true)
}

fn decoded(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// A normalised path with the bytes escaped that a request line cannot carry, as nginx escapes them.
pub fn escape(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for &byte in path {
        match byte {
            0..=b' ' | 0x7f.. | b'"' | b'#' | b'%' | b'<' | b'>' | b'?' => hex(&mut out, byte),
            b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => hex(&mut out, byte),
            _ => out.push(byte),
        }
    }
    out
}

/// What was taken from a decoded path, escaped as nginx escapes it in a query and in a redirect.
pub fn escape_argument(taken: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(taken.len());
    for &byte in taken {
        match byte {
            0..=b' ' | 0x7f.. | b'"' | b'#' | b'%' | b'&' | b'+' | b';' => hex(&mut out, byte),
            b'<' | b'>' | b'?' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => hex(&mut out, byte),
            _ => out.push(byte),
        }
    }
    out
}

/// The address of a redirect with what need not be escaped in it decoded, as nginx does: up to the first `?`, which may be
/// decoded itself.
pub fn decode_redirect(address: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(address.len());
    let mut rest = address;
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match (byte, after) {
            (b'%', [high, low, after @ ..]) => match decoded(*high, *low) {
                Some(byte @ (b'&'..0x7f)) => (byte, after),
                _ => {
                    out.extend([b'%', *high, *low]);
                    rest = after;
                    continue;
                }
            },
            other => other,
        };
        out.push(byte);
        rest = after;
        if byte == b'?' {
            break;
        }
    }
    out.extend_from_slice(rest);
    out
}

/// A segment of a path, with every byte escaped that is not unreserved (RFC 3986 section 2.3), as in links.
pub fn escape_component(segment: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(segment.len());
    for &byte in segment {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => out.push(byte),
            false => hex(&mut out, byte),
        }
    }
    out
}

fn hex(out: &mut Vec<u8>, byte: u8) {
    let digit = |value: u8| match value {
        0..=9 => b'0' + value,
        _ => b'A' + value - 10,
    };
    out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_decoded_up_to_its_query_where_that_changes_nothing() {
        for (address, want) in [
            ("/a%20b%25c%41", "/a%20b%25cA"),
            ("https://h/a%3Fb%41", "https://h/a?b%41"),
            ("/a?%41", "/a?%41"),
            ("/%zz%4", "/%zz%4"),
            ("/%E4", "/%E4"),
        ] {
            assert_eq!(decode_redirect(address.as_bytes()), want.as_bytes());
        }
        assert_eq!(
            escape_argument(b"a b/c?d&e=f;%"),
            b"a%20b/c%3Fd%26e=f%3B%25"
        );
        assert_eq!(
            escape_argument(b"!\"$'()*,-.:<=>@[\\]^_`{|}~+\xff"),
            b"!%22$'()*,-.:%3C=%3E@[%5C]%5E_%60%7B%7C%7D~%2B%FF"
        );
    }

    fn path(target: &str) -> Option<String> {
        let uri = parse(target.as_bytes(), true).ok()?;
        Some(String::from_utf8_lossy(&uri.path).into_owned())
    }

    #[test]
    fn paths_are_normalised_as_nginx_does() {
        for (target, expected) in [
            ("/", Some("/")),
            ("//", Some("/")),
            ("/a//b", Some("/a/b")),
            ("/a/./b", Some("/a/b")),
            ("/a/../b", Some("/b")),
            ("/..", None),
            ("/a/..", Some("/")),
            ("/a/.", Some("/a/")),
            ("/a/...", Some("/a/...")),
            ("/a/..b", Some("/a/..b")),
            ("/%2e%2e/a", None),
            ("/a/%2e%2e/b", Some("/b")),
            ("/a%2f%2Fb", Some("/a/b")),
            ("/a%00b", None),
            ("/a%4", None),
            ("/%25", Some("/%")),
            ("/%2541", Some("/%41")),
            ("/a%3fb?c", Some("/a?b")),
            ("/a#b?c", Some("/a")),
            ("//../b", None),
            ("/a//../b", Some("/b")),
            ("/a%2f.", Some("/a/")),
            ("http://y?c", Some("/")),
            ("http://y/a//b", Some("/a/b")),
            ("*", None),
            ("a", None),
        ] {
            assert_eq!(path(target).as_deref(), expected, "{target}");
        }
    }

    #[test]
    fn slashes_stay_when_they_are_not_merged() {
        let path = |target: &str| parse(target.as_bytes(), false).map(|uri| uri.path);
        assert_eq!(path("/a//b"), Ok(b"/a//b".to_vec()));
        assert_eq!(path("/a//../b"), Ok(b"/a/b".to_vec()));
    }

    #[test]
    fn arguments_end_at_a_fragment_and_the_raw_target_does_not() {
        let uri = parse(b"/a?b?c#d", true).unwrap();
        assert_eq!((&*uri.args, &*uri.raw), (&b"b?c"[..], &b"/a?b?c#d"[..]));
    }

    #[test]
    fn what_a_request_line_cannot_carry_is_escaped() {
        assert_eq!(escape(b"/a \"%?\xff~[]"), b"/a%20%22%25%3F%FF~[]");
    }
}
