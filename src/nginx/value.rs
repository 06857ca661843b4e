//! Values as nginx writes them: flags, numbers, sizes and times.
//!
//! Pure. Each gives `None` for what nginx refuses, and nothing for what nginx takes is refused.
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;

use super::table::Form;
use super::tree::{Directive, Word};

/// Of memory, as nginx counts it in least sizes.
pub const PAGE: i64 = 4096;

/// `on` or `off`, in any case.
pub fn flag(word: &[u8]) -> Option<bool> {
    match word {
        _ if word.eq_ignore_ascii_case(b"on") => Some(true),
        _ if word.eq_ignore_ascii_case(b"off") => Some(false),
        _ => None,
    }
}

/// A whole number without a sign.
pub fn number(word: &[u8]) -> Option<i64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0_i64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Bytes: `8k`, `1m`.
pub fn size(word: &[u8]) -> Option<i64> {
    let (digits, scale) = match word.split_last()? {
        (b'k' | b'K', digits) => (digits, 1 << 10),
        (b'm' | b'M', digits) => (digits, 1 << 20),
        _ => (word, 1),
    };
    number(digits)?.checked_mul(scale)
}

/// Bytes: `8k`, `1m`, `2g`.
pub fn offset(word: &[u8]) -> Option<i64> {
    match word.split_last()? {
        (b'g' | b'G', digits) => number(digits)?.checked_mul(1 << 30),
        _ => size(word),
    }
}

/// A time in milliseconds: `1h 30m`, `90`, `250ms`.
pub fn milliseconds(word: &[u8]) -> Option<i64> {
    time(word, Unit::Millisecond)
}

/// A time in seconds: `1y 2M`, `90`.
pub fn seconds(word: &[u8]) -> Option<i64> {
    time(word, Unit::Second)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Second,
    Millisecond,
}

/// The larger units come first, each once; a number without one is seconds.
fn time(word: &[u8], unit: Unit) -> Option<i64> {
    let in_seconds = unit == Unit::Second;
    let thousand = if in_seconds { 1 } else { 1000 };
    let mut rank = if in_seconds { 0 } else { 2 };
    let (mut total, mut value, mut digits) = (0_i64, 0_i64, false);
    let mut rest = word;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte.is_ascii_digit() {
            value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
            digits = true;
            continue;
        }
        let (own, scale) = match byte {
            b'y' => (1, 365 * 86_400 * thousand),
            b'M' => (2, 30 * 86_400 * thousand),
            b'w' => (3, 7 * 86_400 * thousand),
            b'd' => (4, 86_400 * thousand),
            b'h' => (5, 3600 * thousand),
            b'm' if after.first() == Some(&b's') => {
                rest = after.get(1..).unwrap_or_default();
                (8, 1)
            }
            b'm' => (6, 60 * thousand),
            b's' | b' ' => (7, thousand),
            _ => return None,
        };
        if own <= rank || (own == 8 && in_seconds) {
            return None;
        }
        rank = own;
        total = total.checked_add(value.checked_mul(scale)?)?;
        value = 0;
        rest = rest.trim_ascii_start();
    }
    match digits {
        true => total.checked_add(value.checked_mul(thousand)?),
        false => None,
    }
}

/// Whether it is an address, or one and the length of its prefix.
pub(super) fn is_network(word: &str) -> bool {
    let (address, most) = match word.split_once('/') {
        Some((address, length)) => (address, number(length.as_bytes())),
        None => (word, Some(0)),
    };
    match (address.parse::<IpAddr>(), most) {
        (Ok(IpAddr::V4(_)), Some(length)) => length <= 32,
        (Ok(IpAddr::V6(_)), Some(length)) => length <= 128,
        _ => false,
    }
}

/// Why a directive's value is refused, in nginx's words.
pub(super) fn refusal(form: Form, directive: &Directive) -> Option<String> {
    let name = directive.name();
    let words = directive.arguments();
    let one = |word: &Word| match form {
        Form::Flag if flag(&word.bytes).is_none() => {
            let value = word.text();
            Some(format!(
                "invalid value \"{value}\" in \"{name}\" directive, it must be \"on\" or \"off\""
            ))
        }
        Form::Number if number(&word.bytes).is_none() => {
            Some(format!("\"{name}\" directive invalid number"))
        }
        Form::Size => invalid(&name, size(&word.bytes)),
        Form::Offset => invalid(&name, offset(&word.bytes)),
        Form::Time => invalid(&name, milliseconds(&word.bytes)),
        Form::Seconds => invalid(&name, seconds(&word.bytes)),
        _ => None,
    };
    match words {
        [word] => one(word),
        [count, bytes] if form == Form::Buffers => {
            let fine = number(&count.bytes).zip(size(&bytes.bytes));
            invalid(&name, fine.filter(|(count, size)| *count > 0 && *size > 0))
        }
        _ => None,
    }
}

fn invalid<T>(name: &str, value: Option<T>) -> Option<String> {
    match value {
        Some(_) => None,
        None => Some(format!("\"{name}\" directive invalid value")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_nginx_reads_them() {
        for (text, expected) in [
            ("1", Some(1000)),
            ("1s", Some(1000)),
            ("250ms", Some(250)),
            ("1d1h", Some(90_000_000)),
            ("1d 1h", Some(90_000_000)),
            ("1s1", Some(2000)),
            ("1m1", Some(61_000)),
            ("60 ", Some(60_000)),
            ("1h1d", None),
            ("1h 1h", None),
            ("5 s", None),
            ("1M", None),
            ("1y", None),
            ("1ms1s", None),
            ("1.5s", None),
            ("", None),
            ("s", None),
            ("9223372036854775807", None),
        ] {
            assert_eq!(milliseconds(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(seconds(b"1y"), Some(31_536_000));
        assert_eq!(seconds(b"1M 1d"), Some(31 * 86_400));
        assert_eq!(seconds(b"1ms"), None);
    }

    #[test]
    fn sizes_have_kilobytes_and_megabytes_and_offsets_gigabytes() {
        assert_eq!(size(b"8k"), Some(8192));
        assert_eq!(size(b"1M"), Some(1 << 20));
        assert_eq!(size(b"1g"), None);
        assert_eq!(offset(b"2g"), Some(2 << 30));
        assert_eq!(size(b"k"), None);
        assert_eq!(number(b"-1"), None);
        assert_eq!(number(b"9223372036854775808"), None);
    }
}
