//! Which parts of a file a request asks for (RFC 9110 section 14), as nginx understands it.
//!
//! Pure. Whoever asks for what is not there, for too many parts, or for more than the whole gets the whole, or 416.
#![deny(clippy::disallowed_methods)]

use std::ops::Range;

use http::{HeaderMap, header};

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All of it.
    Whole,
    /// These parts, in the order they were asked for; never none, none empty.
    Parts(Vec<Range<u64>>),
    /// Nothing that is there: 416.
    Beyond,
}

/// What `fields` ask for of `length` bytes, in at most `most` parts. `modified` and `etag` are the file's, for `If-Range`.
pub fn asked(
    fields: &HeaderMap,
    length: u64,
    most: usize,
    modified: i64,
    etag: Option<&str>,
) -> Asked {
    let Some(value) = fields.get(header::RANGE).map(|value| value.as_bytes()) else {
        return Asked::Whole;
    };
    let unit = value.get(..6).map(<[u8]>::to_ascii_lowercase);
    let Some(list) = value
        .get(6..)
        .filter(|_| unit.as_deref() == Some(b"bytes="))
    else {
        return Asked::Whole;
    };
    if most == 0 || list.is_empty() || !unchanged(fields, modified, etag) {
        return Asked::Whole;
    }
    parse(list, length, most)
}

/// Whether the file is still the one that `If-Range` names; without one it is.
fn unchanged(fields: &HeaderMap, modified: i64, etag: Option<&str>) -> bool {
    let Some(value) = fields.get(header::IF_RANGE).map(|value| value.as_bytes()) else {
        return true;
    };
    if value.len() >= 2 && value.ends_with(b"\"") {
        return etag.is_some_and(|etag| etag.as_bytes() == value);
    }
    super::condition::seconds(value) == Some(modified)
}

fn parse(list: &[u8], length: u64, most: usize) -> Asked {
    let mut parts = Vec::new();
    let mut size = 0u64;
    for one in list.split(|byte| *byte == b',') {
        let Some((start, end)) = bounds(one, length) else {
            return Asked::Beyond;
        };
        if start < end {
            if parts.len() == most {
                return Asked::Whole;
            }
            size = size.saturating_add(end - start);
            parts.push(start..end);
        } else if start == 0 {
            return Asked::Whole;
        }
    }
    match parts.is_empty() {
        true => Asked::Beyond,
        // More than there is: not asked for in earnest, and dear.
        false if size > length => Asked::Whole,
        false => Asked::Parts(parts),
    }
}

/// `a-b`, `a-` or `-n`, with spaces between: the first byte and the one after the last.
fn bounds(one: &[u8], length: u64) -> Option<(u64, u64)> {
    let dash = one.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (one.get(..dash)?, one.get(dash + 1..)?);
    let first = first.trim_ascii_start();
    if first.is_empty() {
        // Before a suffix's number nginx takes no space.
        let count = number(last.trim_ascii_end())?;
        return Some((length.saturating_sub(count), length));
    }
    let start = number(first.trim_ascii_end())?;
    match last.trim_ascii() {
        b"" => Some((start, length)),
        last => Some((start, number(last)?.saturating_add(1).min(length))),
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(digits).ok()?.parse::<u64>().ok()?;
    (number <= i64::MAX as u64).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(value: &str) -> Asked {
        let mut fields = HeaderMap::new();
        fields.insert(header::RANGE, value.parse().unwrap());
        asked(&fields, 10, 3, 7, Some("\"x\""))
    }

    #[test]
    fn parts_are_cut_to_what_is_there() {
        let parts = |list: &[(u64, u64)]| {
            Asked::Parts(list.iter().map(|(start, end)| *start..*end).collect())
        };
        for (value, wanted) in [
            ("bytes=0-0", parts(&[(0, 1)])),
            ("Bytes=2-", parts(&[(2, 10)])),
            ("bytes=-3", parts(&[(7, 10)])),
            ("bytes=-30", parts(&[(0, 10)])),
            ("bytes=8-99, 1 - 2", parts(&[(8, 10), (1, 3)])),
            ("bytes=10-", Asked::Beyond),
            ("bytes=10-,1-1", parts(&[(1, 2)])),
            ("bytes=-0", Asked::Beyond),
            ("bytes=a", Asked::Beyond),
            ("bytes=1", Asked::Beyond),
            ("bytes=99999999999999999999-", Asked::Beyond),
            ("bytes=0-7,0-7", Asked::Whole),
            ("bytes=0-1,2-3,4-5,6-7", Asked::Whole),
            ("lines=1-2", Asked::Whole),
        ] {
            assert_eq!(of(value), wanted, "{value}");
        }
    }

    #[test]
    fn a_part_of_another_file_is_not_sent() {
        let mut fields = HeaderMap::new();
        fields.insert(header::RANGE, "bytes=0-0".parse().unwrap());
        for (if_range, same) in [
            ("\"x\"", true),
            ("\"y\"", false),
            ("Thu, 01 Jan 1970 00:00:07 GMT", true),
            ("Thu, 01 Jan 1970 00:00:08 GMT", false),
        ] {
            fields.insert(header::IF_RANGE, if_range.parse().unwrap());
            let got = asked(&fields, 10, 3, 7, Some("\"x\""));
            assert_eq!(got != Asked::Whole, same, "{if_range}");
        }
    }

    proptest! {
        #[test]
        fn parts_lie_inside_the_file_and_are_no_more_than_it(value in "bytes=[-0-9, ]{0,20}", length in 0u64..30) {
            let mut fields = HeaderMap::new();
            fields.insert(header::RANGE, value.parse().unwrap());
            if let Asked::Parts(parts) = asked(&fields, length, 5, 0, None) {
                prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= length));
                prop_assert!(parts.iter().map(|part| part.end - part.start).sum::<u64>() <= length);
            }
        }
    }
}
