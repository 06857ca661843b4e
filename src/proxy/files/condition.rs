//! Whether a request still wants a file that it may know already (RFC 9110 section 13), as nginx judges it.
//!
//! Pure: takes the request's fields, the file's time and its `ETag`.
#![deny(clippy::disallowed_methods)]

use std::time::UNIX_EPOCH;

use http::{HeaderMap, header};

use crate::config::Since;

/// What becomes of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The file is sent.
    Send,
    /// 304
    NotModified,
    /// 412
    Failed,
}

/// Judges.
pub fn judge(fields: &HeaderMap, modified: i64, etag: Option<&str>, since: Since) -> Verdict {
    let get = |name| fields.get(name).map(http::HeaderValue::as_bytes);
    if let Some(value) = get(header::IF_UNMODIFIED_SINCE)
        && seconds(value).is_none_or(|time| time < modified)
    {
        return Verdict::Failed;
    }
    if get(header::IF_MATCH).is_some_and(|list| !matches(list, etag, false)) {
        return Verdict::Failed;
    }
    let changed = get(header::IF_MODIFIED_SINCE).map(|value| changed(value, modified, since));
    let other = get(header::IF_NONE_MATCH).map(|list| !matches(list, etag, true));
    match (changed, other) {
        (None, None) | (Some(true), _) | (_, Some(true)) => Verdict::Send,
        _ => Verdict::NotModified,
    }
}

fn changed(value: &[u8], modified: i64, since: Since) -> bool {
    let Some(time) = seconds(value) else {
        return true;
    };
    match since {
        Since::Off => true,
        Since::Exact => time != modified,
        Since::Before => time < modified,
    }
}

/// Whether a list of tags has this one; `weak` compares without `W/`.
fn matches(list: &[u8], etag: Option<&str>, weak: bool) -> bool {
    if list == b"*" {
        return true;
    }
    let Some(etag) = etag.map(str::as_bytes) else {
        return false;
    };
    list.split(|byte| *byte == b',').any(|one| {
        let one = one.trim_ascii();
        let one = one.strip_prefix(b"W/").filter(|_| weak).unwrap_or(one);
        one == etag
    })
}

/// An HTTP date as seconds since 1970.
pub fn seconds(value: &[u8]) -> Option<i64> {
    let time = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sunday, 06-Nov-94 08:49:36 GMT";

    fn of(fields: &[(http::HeaderName, &str)], since: Since) -> Verdict {
        let fields = fields.iter().cloned();
        let fields = fields.map(|(name, value)| (name, value.parse().unwrap()));
        judge(&fields.collect(), 784_111_777, Some("\"a\""), since)
    }

    #[test]
    fn a_file_that_is_known_is_not_sent_again() {
        use header::{IF_MODIFIED_SINCE as SINCE, IF_NONE_MATCH as NONE};
        for (fields, wanted) in [
            (vec![(SINCE, TIME)], Verdict::NotModified),
            (vec![(SINCE, LATER)], Verdict::Send),
            (vec![(SINCE, "nonsense")], Verdict::Send),
            (vec![(NONE, "\"b\", W/\"a\"")], Verdict::NotModified),
            (vec![(NONE, "\"b\"")], Verdict::Send),
            (vec![(NONE, "*")], Verdict::NotModified),
            (vec![(NONE, "\"a\""), (SINCE, LATER)], Verdict::Send),
        ] {
            assert_eq!(of(&fields, Since::Exact), wanted, "{fields:?}");
        }
        assert_eq!(of(&[(SINCE, LATER)], Since::Before), Verdict::NotModified);
        assert_eq!(of(&[(SINCE, TIME)], Since::Off), Verdict::Send);
    }

    #[test]
    fn a_condition_that_does_not_hold_is_412() {
        use header::{IF_MATCH, IF_UNMODIFIED_SINCE as UNCHANGED};
        assert_eq!(of(&[(UNCHANGED, EARLIER)], Since::Exact), Verdict::Failed);
        assert_eq!(of(&[(UNCHANGED, TIME)], Since::Exact), Verdict::Send);
        assert_eq!(of(&[(IF_MATCH, "W/\"a\"")], Since::Exact), Verdict::Failed);
        assert_eq!(of(&[(IF_MATCH, "\"a\"")], Since::Exact), Verdict::Send);
    }
}
