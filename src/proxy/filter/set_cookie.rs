//! What a route changes in the upstream's `Set-Cookie`: `Domain`, `Path`, and which attributes there are.
//!
//! Taken apart and put together again as nginx does it. A field that nothing changes in stays as it came.
#![deny(clippy::disallowed_methods)]

use http::HeaderValue;

use crate::config::{CookieChanges, CookieFlag, Lookup, Matcher, Replacement};

/// A part between semicolons. The first is the cookie itself.
struct Part {
    key: Vec<u8>,
    /// What follows its `=`, if there is one.
    value: Option<Vec<u8>>,
}

/// The value of a `Set-Cookie` with the changes; `None` when it stays as it is.
pub(super) fn changed(
    cookie: &[u8],
    changes: &CookieChanges,
    values: &dyn Lookup,
) -> Option<Vec<u8>> {
    let mut parts = parts(cookie);
    let first = parts.first()?;
    first.value.as_ref()?;
    let mut touched = false;
    for part in parts.iter_mut().skip(1) {
        let Some(value) = &mut part.value else {
            continue;
        };
        let new = match () {
            () if part.key.eq_ignore_ascii_case(b"domain") => {
                domain(value, &changes.domain, values)
            }
            () if part.key.eq_ignore_ascii_case(b"path") => path(value, &changes.path, values),
            () => None,
        };
        if let Some(new) = new {
            *value = new;
            touched = true;
        }
    }
    let name = parts
        .first()
        .map(|part| part.key.clone())
        .unwrap_or_default();
    let fits = |matcher: &Matcher| match matcher {
        Matcher::Text(text) => text.value(values).eq_ignore_ascii_case(&name),
        Matcher::Pattern(pattern) => pattern.matches(&name),
    };
    let mut all = changes.flags.iter();
    if let Some((_, flags)) = all.find(|(matcher, _)| fits(matcher)) {
        touched = true;
        for flag in flags {
            set(&mut parts, *flag);
        }
    }
    let written = touched.then(|| join(&parts))?;
    HeaderValue::from_bytes(&written).is_ok().then_some(written)
}

fn parts(cookie: &[u8]) -> Vec<Part> {
    let spaces = |byte: &u8| *byte == b' ';
    let trim = |text: &[u8]| -> Vec<u8> {
        let from = text.iter().position(|byte| !spaces(byte));
        let to = text.iter().rposition(|byte| !spaces(byte));
        match (from, to) {
            (Some(from), Some(to)) => text.get(from..=to).unwrap_or_default().to_vec(),
            _ => Vec::new(),
        }
    };
    let each = cookie.split(|byte| *byte == b';').map(|part| {
        let mut halves = part.splitn(2, |byte| *byte == b'=');
        Part {
            key: trim(halves.next().unwrap_or_default()),
            value: halves.next().map(trim),
        }
    });
    each.collect()
}

/// A dot at the beginning stays, and does not count.
fn domain(value: &[u8], all: &[Replacement], values: &dyn Lookup) -> Option<Vec<u8>> {
    all.iter().find_map(|replacement| match &replacement.from {
        Matcher::Text(_) => {
            let bare = value.strip_prefix(b".");
            let to = replacement.of_whole(bare.unwrap_or(value), values)?;
            let dot: &[u8] = if bare.is_some() { b"." } else { b"" };
            Some([dot, &to].concat())
        }
        Matcher::Pattern(_) => replacement
            .of_whole(value, values)
            .map(std::borrow::Cow::into_owned),
    })
}

fn path(value: &[u8], all: &[Replacement], values: &dyn Lookup) -> Option<Vec<u8>> {
    all.iter().find_map(|replacement| {
        let (length, to) = replacement.of_beginning(value, values)?;
        Some([&*to, value.get(length..).unwrap_or_default()].concat())
    })
}

fn set(parts: &mut Vec<Part>, flag: CookieFlag) {
    let (key, on, value) = match flag {
        CookieFlag::Secure(on) => ("Secure", on, None),
        CookieFlag::HttpOnly(on) => ("HttpOnly", on, None),
        CookieFlag::SameSite(value) => ("SameSite", value.is_some(), value),
    };
    let value = value.map(|value| value.as_bytes().to_vec());
    let is = |part: &Part| part.key.eq_ignore_ascii_case(key.as_bytes());
    if !on {
        let mut first = true;
        parts.retain(|part| std::mem::take(&mut first) || !is(part));
        return;
    }
    match parts.iter_mut().skip(1).find(|part| is(part)) {
        // A value that is there is overwritten; the attribute keeps its place.
        Some(part) if value.is_some() => part.value = value,
        Some(_) => {}
        None => parts.push(Part {
            key: key.as_bytes().to_vec(),
            value,
        }),
    }
}

fn join(parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b"; ");
        }
        out.extend_from_slice(&part.key);
        if let Some(value) = &part.value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    out
}
