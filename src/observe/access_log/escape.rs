//! Makes any bytes safe inside one log line.
//!
//! Invariant: what is appended is printable ASCII (text) or valid UTF-8 without control characters (JSON), and holds
//! no bare quote or backslash. So no request can end its line, forge another, leave its quotes or drive a terminal.
#![deny(clippy::disallowed_methods)]

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends `bytes` as nginx does in its text formats: quotes, backslashes and all but printable ASCII become `\xHH`.
pub(super) fn text(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some(plain) = rest
        .iter()
        .position(|b| !(0x20..0x7f).contains(b) || matches!(b, b'"' | b'\\'))
    {
        out.extend_from_slice(&rest[..plain]);
        let byte = rest[plain];
        out.extend_from_slice(&[
            b'\\',
            b'x',
            HEX[usize::from(byte >> 4)],
            HEX[usize::from(byte & 15)],
        ]);
        rest = &rest[plain + 1..];
    }
    out.extend_from_slice(rest);
}

/// Appends `bytes` as the inside of a JSON string (RFC 8259); bytes that are not UTF-8 become U+FFFD.
pub(super) fn json(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes
        .iter()
        .all(|b| (0x20..0x7f).contains(b) && !matches!(b, b'"' | b'\\'))
    {
        // Nearly always; the walk over characters below costs several times as much.
        return out.extend_from_slice(bytes);
    }
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(plain) = rest.find(|c: char| c.is_control() || matches!(c, '"' | '\\')) {
            out.extend_from_slice(&rest.as_bytes()[..plain]);
            let mut after = rest[plain..].chars();
            if let Some(special) = after.next() {
                json_character(special, out);
            }
            rest = after.as_str();
        }
        out.extend_from_slice(rest.as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Control characters are all below U+00A0, so two hexadecimal digits say which.
fn json_character(special: char, out: &mut Vec<u8>) {
    match special {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        _ => {
            let code = special as usize;
            out.extend_from_slice(&[
                b'\\',
                b'u',
                b'0',
                b'0',
                HEX[(code >> 4) & 15],
                HEX[code & 15],
            ]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(with: fn(&[u8], &mut Vec<u8>), bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        with(bytes, &mut out);
        out
    }

    #[test]
    fn text_is_escaped_as_nginx_does() {
        assert_eq!(
            escaped(text, b"a\"b\\c\nd\x7f\xff~ e"),
            b"a\\x22b\\x5Cc\\x0Ad\\x7F\\xFF~ e"
        );
    }

    proptest! {
        #[test]
        fn text_never_leaves_its_line_or_its_quotes(bytes: Vec<u8>) {
            let out = escaped(text, &bytes);
            prop_assert!(out.iter().all(|b| (0x20..0x7f).contains(b) && *b != b'"'));
            prop_assert_eq!(out.iter().filter(|b| **b == b'\\').count(), out.windows(2).filter(|w| w == b"\\x").count());
        }

        #[test]
        fn json_gives_back_every_text_and_stands_any_bytes(bytes: Vec<u8>, string in "\\PC*[\\x00-\\x1f\"\\\\\\x7f-\\xa0]*") {
            let quoted = |inner: Vec<u8>| String::from_utf8([b"\"".to_vec(), inner, b"\"".to_vec()].concat()).unwrap();
            let any = quoted(escaped(json, &bytes));
            prop_assert!(!any.chars().any(char::is_control));
            prop_assert!(serde_json::from_str::<String>(&any).is_ok());
            prop_assert_eq!(serde_json::from_str::<String>(&quoted(escaped(json, string.as_bytes()))).unwrap(), string);
        }
    }
}
