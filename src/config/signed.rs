//! `[signed.NAME]`: whether whoever wrote a link knew a secret, by an MD5 in it.
//!
//! What nginx's `secure_link` works out, with its forms and its leniency. MD5 is nginx's choice: such a link keeps honest
//! people out, and is no proof against others.
#![deny(clippy::disallowed_methods)]

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use md5::{Digest as _, Md5};

use super::text::{Lookup, Text};
use super::variable::Variable;

/// The longest signature in base64.
const LONGEST: usize = 24;

/// How a link is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What the MD5 is of; in a path what follows the signed part there.
    pub md5: Text,
    /// Until when it holds, in seconds since 1970.
    pub expires: Option<Text>,
    /// Whether it is the second part of a path, in hexadecimal, and signs what follows it.
    pub in_path: bool,
}

impl Signed {
    /// Appends what `of`, a signature or a path with one, is worth: `1` or the path behind it, `0` once it is too old,
    /// nothing if it is wrong.
    pub(super) fn append(&self, of: &[u8], values: &dyn Lookup, out: &mut Vec<u8>) {
        let expires = self.expires.as_ref().map(|text| text.value(values));
        let until = expires.map(|text| number(&text));
        if until.is_some_and(|until| until.is_none_or(|until| until == 0)) {
            return;
        }
        let md5 = self.md5.value(values);
        let signed = match self.in_path {
            true => behind(of, &md5),
            false => read(of)
                .is_some_and(|sum| *sum == *Md5::digest(&*md5))
                .then_some(&b"1"[..]),
        };
        let late = || until.flatten().is_some_and(|until| until < now(values));
        if let Some(signed) = signed {
            out.extend_from_slice(if late() { b"0" } else { signed });
        }
    }

    /// Its texts.
    pub(super) fn texts(&self) -> impl Iterator<Item = &Text> {
        [&self.md5].into_iter().chain(&self.expires)
    }
}

fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text)
        .ok()
        .filter(|_| digits)?
        .parse()
        .ok()
}

fn now(values: &dyn Lookup) -> u64 {
    let mut text = Vec::new();
    values.append(&Variable::Msec, &mut text);
    let whole = text.split(|byte| *byte == b'.').next();
    whole.and_then(number).unwrap_or(u64::MAX)
}

/// The MD5 that a signature in base64url stands for.
fn read(of: &[u8]) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&URL_SAFE, config);
    engine.decode(of.get(..of.len().min(LONGEST + 1))?).ok()
}

/// What follows the MD5 in `/first/MD5/rest`, if it is that of the rest and the word.
fn behind<'a>(path: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let mut parts = path.strip_prefix(b"/")?.splitn(3, |byte| *byte == b'/');
    let (_, sum, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let mut own = Md5::new();
    own.update(rest);
    own.update(word);
    let own: String = own
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    (!rest.is_empty() && sum.eq_ignore_ascii_case(own.as_bytes())).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `$msec` is 1000 s, anything else `2`.
    struct Given;

    impl Lookup for Given {
        fn append(&self, variable: &Variable, out: &mut Vec<u8>) {
            let value = match variable {
                Variable::Msec => "1000.250",
                _ => "2",
            };
            out.extend_from_slice(value.as_bytes());
        }
    }

    fn value(signed: &Signed, of: &str) -> String {
        let mut out = Vec::new();
        signed.append(of.as_bytes(), &Given, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn sum(expires: Option<&str>) -> Signed {
        Signed {
            md5: Text::parse("secret$uri").unwrap(),
            expires: expires.map(Text::constant),
            in_path: false,
        }
    }

    #[test]
    fn a_sum_holds_in_base64url_with_or_without_padding_and_until_its_time() {
        let good = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(Md5::digest("secret2"));
        for (signature, expires, wanted) in [
            (good.clone(), None, "1"),
            (format!("{good}=="), None, "1"),
            (good.clone(), Some("1000"), "1"),
            (good.clone(), Some("999"), "0"),
            (good.clone(), Some("0"), ""),
            (good.clone(), Some("x"), ""),
            (good.clone(), Some(""), ""),
            (good.replacen(&good[..1], "-", 1), None, ""),
            (format!("{good}AAAA"), None, ""),
            (String::new(), None, ""),
        ] {
            assert_eq!(
                value(&sum(expires), &signature),
                wanted,
                "{signature} {expires:?}"
            );
        }
    }

    #[test]
    fn a_path_is_worth_what_follows_the_sum_of_it_and_the_word() {
        let word = Signed {
            md5: Text::constant("secret"),
            expires: None,
            in_path: true,
        };
        let hex: String = Md5::digest("a/b?csecret")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(value(&word, &format!("/p/{hex}/a/b?c")), "a/b?c");
        assert_eq!(
            value(&word, &format!("/p/{}/a/b?c", hex.to_uppercase())),
            "a/b?c"
        );
        for wrong in [
            format!("/p/{hex}/a/b"),
            format!("/{hex}/a/b?c"),
            format!("/p/{hex}/"),
            "/".to_owned(),
        ] {
            assert_eq!(value(&word, &wrong), "", "{wrong}");
        }
    }
}
