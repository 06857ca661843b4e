//! Replaces the values of secret query parameters in anything that looks like a URL.
//!
//! JupyterHub and notebook servers take `?token=`, and it comes back inside `next=` and in the referrer. Names are
//! compared as a server would read them: any case, `%`-decoded. A value that itself holds an encoded URL with a secret
//! parameter is replaced as a whole. Invariant: bytes outside replaced values stay as they are.
#![deny(clippy::disallowed_methods)]

use std::borrow::Cow;

/// What stands in a log instead of a secret.
pub(super) const REDACTED: &[u8] = b"REDACTED";

/// How often an encoded URL may stand inside another before we stop looking.
const DEPTH: usize = 4;

/// `url` with the value of each parameter in `names` (lower case) replaced; borrowed when there is none.
pub(in crate::observe) fn url<'a>(url: &'a [u8], names: &[String]) -> Cow<'a, [u8]> {
    let Some(query) = memchr::memchr(b'?', url).filter(|_| !names.is_empty()) else {
        return Cow::Borrowed(url);
    };
    let mut out: Option<Vec<u8>> = None;
    let mut start = query + 1;
    while start <= url.len() {
        let mut end = url[start..]
            .iter()
            .position(is_separator)
            .map_or(url.len(), |at| start + at);
        let equals = memchr::memchr(b'=', &url[start..end]);
        let value = equals.map_or(end, |at| start + at + 1);
        if equals.is_some() && is_secret(&url[start..value - 1], &url[value..end], names) {
            end = memchr::memchr(b'&', &url[value..]).map_or(url.len(), |at| value + at);
            let out = out.get_or_insert_with(|| url[..start].to_vec());
            out.extend_from_slice(&url[start..value]);
            if value < end {
                out.extend_from_slice(REDACTED);
            }
        } else if let Some(out) = &mut out {
            out.extend_from_slice(&url[start..end]);
        }
        if let (Some(out), Some(separator)) = (&mut out, url.get(end)) {
            out.push(*separator);
        }
        start = end + 1;
    }
    out.map_or(Cow::Borrowed(url), Cow::Owned)
}

/// What a parameter may begin after. A second `?` is among them: browsers and people put URLs into URLs unencoded. A
/// secret goes on to the next `&`, because servers differ in what else ends a value.
fn is_separator(byte: &u8) -> bool {
    matches!(byte, b'&' | b';' | b'?' | b'#')
}

fn is_secret(name: &[u8], value: &[u8], names: &[String]) -> bool {
    is_named(&decoded(name), names) || holds_secret(value, names)
}

fn is_named(name: &[u8], names: &[String]) -> bool {
    names
        .iter()
        .any(|secret| secret.as_bytes().eq_ignore_ascii_case(name))
}

/// Whether decoding `value` brings a secret parameter to light.
fn holds_secret(value: &[u8], names: &[String]) -> bool {
    let mut value = Cow::Borrowed(value);
    for _ in 0..DEPTH {
        if memchr::memchr(b'%', &value).is_none() {
            return false;
        }
        value = Cow::Owned(decoded(&value).into_owned());
        let parameters = value.split(is_separator).skip(1);
        for parameter in parameters {
            if let Some(equals) = memchr::memchr(b'=', parameter)
                && is_named(&decoded(&parameter[..equals]), names)
            {
                return true;
            }
        }
    }
    false
}

/// `%HH` and `+` decoded; a `%` without two hexadecimal digits stays.
fn decoded(bytes: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'+', bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(text: &str) -> String {
        String::from_utf8(
            url(text.as_bytes(), &["token".to_owned(), "code".to_owned()]).into_owned(),
        )
        .unwrap()
    }

    #[test]
    fn only_values_of_named_parameters_are_replaced() {
        for (given, wanted) in [
            ("/a?token=s3cret", "/a?token=REDACTED"),
            ("/a?x=1&TOKEN=s&y=2#z", "/a?x=1&TOKEN=REDACTED&y=2#z"),
            ("/a?x=1;token=s", "/a?x=1;token=REDACTED"),
            (
                "/a?%74oken=s&c%6Fde=t",
                "/a?%74oken=REDACTED&c%6Fde=REDACTED",
            ),
            ("/a?token=a=b&x", "/a?token=REDACTED&x"),
            ("https://h/x?y?token=s", "https://h/x?y?token=REDACTED"),
            ("/a?token=s?t;u#v&x=1", "/a?token=REDACTED&x=1"),
            ("/a?next=%3Ftoken%3Ds;t&x=1", "/a?next=REDACTED&x=1"),
            ("/token=s", "/token=s"),
            ("/a?tokens=1&token=&token", "/a?tokens=1&token=&token"),
            ("/a?", "/a?"),
            (
                "/login?next=%2Flab%3Ftoken%3Ds&x=1",
                "/login?next=REDACTED&x=1",
            ),
            (
                "/login?next=%252Flab%253Fx%253D1%2526token%253Ds",
                "/login?next=REDACTED",
            ),
            (
                "/login?next=%2Flab%3Fx%3Dtoken",
                "/login?next=%2Flab%3Fx%3Dtoken",
            ),
        ] {
            assert_eq!(redacted(given), wanted);
        }
    }

    #[test]
    fn nothing_is_copied_when_nothing_is_secret() {
        assert!(matches!(
            url(b"/a?b=c&d", &["token".to_owned()]),
            Cow::Borrowed(_)
        ));
        assert!(matches!(url(b"/a?token=c", &[]), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn a_secret_never_comes_through(before in "[a-z/?&;=%0-9A-F]{0,20}", middle in "[?;=%#+/]{0,5}", after in "[a-z/?&;=%0-9A-F]{0,20}") {
            let out = redacted(&format!("/{before}?{before}&token=QZ7{middle}QZ7&{after}"));
            prop_assert!(!out.contains("QZ7"), "{}", out);
        }

        #[test]
        fn a_url_without_secrets_is_unchanged(bytes: Vec<u8>) {
            let names = ["\u{0}never".to_owned()];
            prop_assert_eq!(&*url(&bytes, &names), &bytes[..]);
        }
    }
}
