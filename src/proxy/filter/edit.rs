//! What a route changes in the head of an answer: fields that are hidden, rewritten, added.
//!
//! Works on a list of lines, made only where something changes. In nginx's order: first what is of the upstream's answer,
//! then `expires`, then what is added to every answer. Values that cannot stand in a field are left out.
#![deny(clippy::disallowed_methods)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

use super::response;
use super::set_cookie;
use crate::config::{AddField, Expires, Lookup, Replacement, ResponseHeads, Variable};
use crate::upstream::http1::ResponseHead;

/// A field's name, as it is written, and its value.
pub type Line = (Vec<u8>, Vec<u8>);

/// The lines of an upstream's answer as the client gets them with this status, without those that frame it or are of one connection.
pub fn lines(
    head: &ResponseHead<'_>,
    heads: &ResponseHeads,
    values: &dyn Lookup,
    (status, now): (u16, SystemTime),
) -> Vec<Line> {
    let mut lines = response::lines(head);
    lines.retain(|(name, _)| !heads.hide.iter().any(|hidden| is(name, hidden.as_str())));
    if heads.accel {
        let of_accel = |name: &[u8]| {
            let begin = name.get(..8).unwrap_or_default();
            is(begin, "x-accel-")
        };
        lines.retain(|(name, _)| !of_accel(name));
    }
    for (name, value) in &mut lines {
        if is(name, "location") {
            if rewrite(value, 0, &heads.locations, values) {
                complete(value, heads, values);
            }
        } else if is(name, "refresh") {
            if let Some(from) = after_url(value) {
                rewrite(value, from, &heads.locations, values);
            }
        } else if is(name, "set-cookie")
            && let Some(changed) = set_cookie::changed(value, &heads.cookies, values)
        {
            *value = changed;
        }
    }
    add(&mut lines, heads, status, values, now);
    lines
}

/// Adds what every answer gets, those of hubgate's own too.
pub fn add(
    lines: &mut Vec<Line>,
    heads: &ResponseHeads,
    status: u16,
    values: &dyn Lookup,
    now: SystemTime,
) {
    let usual = matches!(status, 200 | 201 | 204 | 206 | 301..=304 | 307 | 308);
    if let Some(expires) = heads.expires.as_ref().filter(|_| usual) {
        let said;
        let expires = match expires {
            Expires::By(text) => {
                said = String::from_utf8_lossy(&text.value(values)).into_owned();
                Expires::parse(&said)
            }
            other => Some(other.clone()),
        };
        if let Some(expires) = expires {
            expire(lines, &expires, now);
        }
    }
    for field in heads.add.iter().filter(|field| usual || field.always) {
        add_field(lines, field, values);
    }
}

fn add_field(lines: &mut Vec<Line>, field: &AddField, values: &dyn Lookup) {
    let value = field.value.value(values);
    if value.is_empty() || HeaderValue::from_bytes(&value).is_err() {
        return;
    }
    if field.replaces {
        lines.retain(|(name, _)| !is(name, field.name.as_str()));
    }
    lines.push((field.written.as_bytes().to_vec(), value.into_owned()));
}

fn is(name: &[u8], wanted: &str) -> bool {
    name.eq_ignore_ascii_case(wanted.as_bytes())
}

/// Changes the part of a value from `from` on as the first replacement says that fits.
/// Says whether one did.
fn rewrite(value: &mut Vec<u8>, from: usize, all: &[Replacement], values: &dyn Lookup) -> bool {
    let (before, rest) = value.split_at(from);
    let mut all = all.iter();
    let found = all.find_map(|replacement| replacement.of_beginning(rest, values));
    let Some((length, to)) = found else {
        return false;
    };
    let changed = [before, &to, rest.get(length..).unwrap_or_default()].concat();
    let fits = HeaderValue::from_bytes(&changed).is_ok();
    if fits {
        *value = changed;
    }
    fits
}

/// Puts what stands before paths before a `Location` that is one.
pub fn complete(value: &mut Vec<u8>, heads: &ResponseHeads, values: &dyn Lookup) {
    let Some(base) = heads.base.as_ref().filter(|_| value.starts_with(b"/")) else {
        return;
    };
    let mut whole = base.value(values).into_owned();
    if let Some(at) = memchr::memmem::find(&whole, b"://:") {
        // Nobody has named a host: it is the address that was connected to.
        let mut address = Vec::new();
        values.append(&Variable::ServerAddr, &mut address);
        whole.splice(at + 3..at + 3, address);
        if whole.ends_with(b":") {
            whole.pop();
        }
    }
    for (scheme, port) in [(&b"http://"[..], &b":80"[..]), (b"https://", b":443")] {
        if whole.starts_with(scheme) && whole.ends_with(port) {
            whole.truncate(whole.len() - port.len());
        }
    }
    whole.extend_from_slice(value);
    if HeaderValue::from_bytes(&whole).is_ok() {
        *value = whole;
    }
}

/// Where the address begins in a value of `Refresh`: `5; url=http://..`.
fn after_url(value: &[u8]) -> Option<usize> {
    let at = value
        .windows(4)
        .position(|four| four.eq_ignore_ascii_case(b"url="))?;
    Some(at + 4)
}

/// Says until when an answer may be kept, in place of what is said.
fn expire(lines: &mut Vec<Line>, expires: &Expires, now: SystemTime) {
    let date = |seconds: i64| {
        let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        // Later than year 9999 it could not be written.
        let time = UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH);
        httpdate::fmt_http_date(time).into_bytes()
    };
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_secs()).unwrap_or_default();
    let lasting = |at: i64, negative: bool| {
        let age = at.saturating_sub(now);
        let control = match negative || age < 0 {
            true => "no-cache".to_owned(),
            false => format!("max-age={age}"),
        };
        (date(at), control)
    };
    let (until, control) = match expires {
        Expires::Off | Expires::By(_) => return,
        Expires::Epoch => (
            b"Thu, 01 Jan 1970 00:00:01 GMT".to_vec(),
            "no-cache".to_owned(),
        ),
        Expires::Max => (
            b"Thu, 31 Dec 2037 23:55:55 GMT".to_vec(),
            "max-age=315360000".to_owned(),
        ),
        Expires::After(seconds) => lasting(now.saturating_add(*seconds), *seconds < 0),
        Expires::Modified(seconds) => {
            let from = modified(lines).unwrap_or(now);
            lasting(from.saturating_add(*seconds), *seconds < 0)
        }
        Expires::Daily(seconds) => {
            let today = now - now.rem_euclid(86_400) + seconds;
            lasting(if today > now { today } else { today + 86_400 }, false)
        }
    };
    put(lines, b"Expires", until);
    put(lines, b"Cache-Control", control.into_bytes());
}

/// When the answer's content was changed last, in seconds since 1970.
fn modified(lines: &[Line]) -> Option<i64> {
    let mut lines = lines.iter();
    let (_, value) = lines.find(|(name, _)| is(name, "last-modified"))?;
    let time = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// The only field of its name: in the place of the first, or at the end.
fn put(lines: &mut Vec<Line>, name: &[u8], value: Vec<u8>) {
    let same = |line: &Line| line.0.eq_ignore_ascii_case(name);
    match lines.iter().position(same) {
        None => lines.push((name.to_vec(), value)),
        Some(at) => {
            let mut seen = false;
            lines.retain(|line| !same(line) || !std::mem::replace(&mut seen, true));
            if let Some(line) = lines.get_mut(at) {
                line.1 = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expired(expires: &Expires, now: u64) -> (String, String) {
        let mut lines = vec![
            (b"cache-control".to_vec(), b"a".to_vec()),
            (
                b"Last-Modified".to_vec(),
                b"Thu, 01 Jan 1970 00:16:40 GMT".to_vec(),
            ),
            (b"Cache-Control".to_vec(), b"b".to_vec()),
        ];
        expire(&mut lines, expires, UNIX_EPOCH + Duration::from_secs(now));
        assert_eq!(lines.len(), 3);
        let text = |line: &Line| String::from_utf8(line.1.clone()).unwrap();
        (text(&lines[2]), text(&lines[0]))
    }

    #[test]
    fn what_expires_says_takes_the_place_of_what_was_said() {
        for (expires, now, until, control) in [
            (
                Expires::After(60),
                0,
                "Thu, 01 Jan 1970 00:01:00 GMT",
                "max-age=60",
            ),
            (
                Expires::After(-1),
                10,
                "Thu, 01 Jan 1970 00:00:09 GMT",
                "no-cache",
            ),
            (
                Expires::Modified(60),
                1000,
                "Thu, 01 Jan 1970 00:17:40 GMT",
                "max-age=60",
            ),
            (
                Expires::Modified(60),
                2000,
                "Thu, 01 Jan 1970 00:17:40 GMT",
                "no-cache",
            ),
            (
                Expires::Daily(3600),
                86_400,
                "Fri, 02 Jan 1970 01:00:00 GMT",
                "max-age=3600",
            ),
            (
                Expires::Daily(3600),
                90_000,
                "Sat, 03 Jan 1970 01:00:00 GMT",
                "max-age=86400",
            ),
            (
                Expires::Epoch,
                9,
                "Thu, 01 Jan 1970 00:00:01 GMT",
                "no-cache",
            ),
        ] {
            let found = expired(&expires, now);
            assert_eq!(found, (until.to_owned(), control.to_owned()), "{expires:?}");
        }
    }
}
