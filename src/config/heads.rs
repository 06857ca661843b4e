//! What a route changes in the heads of requests and answers.
//!
//! As checked by `schema` and `validate`: names are those of fields, texts are taken apart, expressions are compiled.
//! Carrying it out is `proxy`'s. Nothing here frames a message or belongs to one connection.

use std::borrow::Cow;

use http::HeaderName;

use super::text::{Lookup, Text};
use super::variable::Variable;
use crate::types::pattern::{Captures, Pattern};

/// What changes in the head that goes to the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeads {
    /// `target`: what is asked for in place of the client's target.
    pub target: Option<Text>,
    /// `request_headers`
    pub fields: Vec<SetField>,
    /// `forwarded`: whether hubgate says who the client is.
    pub forwarded: bool,
    /// `method`: in place of the client's.
    pub method: Option<Text>,
    /// `client_headers`: whether the client's fields go on.
    pub passes: bool,
    /// `body`: in place of the client's.
    pub body: Option<Text>,
    /// `bind`: the address of this machine that connections to endpoints come from.
    pub bind: Option<Text>,
}

impl RequestHeads {
    /// Whether the head is another one than the client's with what hubgate says.
    pub fn changes(&self) -> bool {
        !self.forwarded
            || !self.fields.is_empty()
            || self.method.is_some()
            || !self.passes
            || self.body.is_some()
            || self.bind.is_some()
    }
}

impl Default for RequestHeads {
    fn default() -> Self {
        Self {
            target: None,
            fields: Vec::new(),
            forwarded: true,
            method: None,
            passes: true,
            body: None,
            bind: None,
        }
    }
}

/// A field with the value it has, whatever the client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetField {
    /// Its name.
    pub name: HeaderName,
    /// As it is written on the wire.
    pub written: Box<str>,
    /// Its value; where that is empty there is no such field.
    pub value: Text,
}

/// What changes in the head that goes to the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHeads {
    /// `hide_headers`: fields of the upstream's that stay here.
    pub hide: Vec<HeaderName>,
    /// `location_base`: what stands before a `Location` that is but a path; nothing for an empty text.
    pub base: Option<Text>,
    /// `location_headers`: what `Location` and `Refresh` of the upstream's begin with, and what they do then.
    pub locations: Vec<Replacement>,
    /// `cookies`: of the upstream's.
    pub cookies: CookieChanges,
    /// `expires`
    pub expires: Option<Expires>,
    /// `response_headers`
    pub add: Vec<AddField>,
    /// `accel`: whether `X-Accel-Redirect` of the upstream's leads to another route, and its `X-Accel-Limit-Rate` counts.
    pub accel: bool,
}

impl ResponseHeads {
    /// Whether a field that is added names one that is sent.
    pub fn names_sent(&self) -> bool {
        let mut named = self.add.iter().flat_map(|field| field.value.variables());
        named.any(|variable| matches!(variable, Variable::SentField(_)))
    }

    /// Whether answers of upstreams are left as they are.
    pub fn spares_upstreams(&self) -> bool {
        self.spares(self.locations.is_empty())
            && self.hide.is_empty()
            && !self.accel
            && self.cookies == CookieChanges::default()
    }

    fn spares(&self, locations: bool) -> bool {
        self.expires.is_none() && self.add.is_empty() && locations
    }

    /// Whether answers of hubgate's own are left as they are.
    pub fn spares_own(&self) -> bool {
        self.spares(self.base.is_none())
    }

    /// Whether of those only a `Location` may change.
    pub fn only_completes(&self) -> bool {
        self.spares(true)
    }

    /// Its texts with variables.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        let cookies = &self.cookies;
        let replaced = (self.locations.iter())
            .chain(&cookies.domain)
            .chain(&cookies.path);
        let expires = match &self.expires {
            Some(Expires::By(text)) => Some(text),
            _ => None,
        };
        let added = self.add.iter().map(|field| &field.value);
        added
            .chain(expires)
            .chain(&self.base)
            .chain(replaced.flat_map(Replacement::texts))
    }
}

/// A field that an answer gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddField {
    /// Its name.
    pub name: HeaderName,
    /// As it is written on the wire.
    pub written: Box<str>,
    /// Its value; where that is empty nothing is added.
    pub value: Text,
    /// Whether it takes the place of fields of its name.
    pub replaces: bool,
    /// Whether errors get it too.
    pub always: bool,
}

/// Puts one text in the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// What is looked for.
    pub from: Matcher,
    /// What comes.
    pub to: Text,
}

/// What a value is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// Its beginning, or all of it.
    Text(Text),
    /// It, anywhere.
    Pattern(Box<Pattern>),
}

impl Replacement {
    fn texts(&self) -> impl Iterator<Item = &Text> {
        let from = match &self.from {
            Matcher::Text(text) => Some(text),
            Matcher::Pattern(_) => None,
        };
        from.into_iter().chain([&self.to])
    }
}

/// What changes in `Set-Cookie`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CookieChanges {
    /// Of the value of `Domain`, which a text equals.
    pub domain: Vec<Replacement>,
    /// Of the value of `Path`, which a text begins.
    pub path: Vec<Replacement>,
    /// By the cookie's name.
    pub flags: Vec<(Matcher, Vec<CookieFlag>)>,
}

/// An attribute that a cookie gets or loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieFlag {
    /// `Secure`
    Secure(bool),
    /// `HttpOnly`
    HttpOnly(bool),
    /// `SameSite`, with its value; `None` takes it away.
    SameSite(Option<&'static str>),
}

/// The words of `flags`.
pub(super) const FLAGS: &[(&str, CookieFlag)] = &[
    ("secure", CookieFlag::Secure(true)),
    ("httponly", CookieFlag::HttpOnly(true)),
    ("samesite=strict", CookieFlag::SameSite(Some("Strict"))),
    ("samesite=lax", CookieFlag::SameSite(Some("Lax"))),
    ("samesite=none", CookieFlag::SameSite(Some("None"))),
    ("nosecure", CookieFlag::Secure(false)),
    ("nohttponly", CookieFlag::HttpOnly(false)),
    ("nosamesite", CookieFlag::SameSite(None)),
];

impl CookieFlag {
    /// By its word.
    pub fn parse(word: &str) -> Option<Self> {
        let known = FLAGS.iter().find(|(known, _)| *known == word);
        known.map(|(_, flag)| *flag)
    }

    /// As it is written in a configuration.
    pub fn word(self) -> &'static str {
        let mut known = FLAGS.iter().filter(|(_, flag)| *flag == self);
        known.next().map_or("", |(word, _)| word)
    }
}

/// How long an answer may be kept: `Expires` and `Cache-Control`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expires {
    /// Nothing is said.
    Off,
    /// It is old at once.
    Epoch,
    /// For ten years.
    Max,
    /// So many seconds from now; below zero it is old.
    After(i64),
    /// So many seconds from its last change.
    Modified(i64),
    /// Until so many seconds after the next midnight (UTC).
    Daily(i64),
    /// As this text says for each request.
    By(Text),
}

impl Expires {
    /// Takes a word apart: `off`, `epoch`, `max`, `30d`, `-1`, `modified 1h`, `@15h30m`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "off" => return Some(Self::Off),
            "epoch" => return Some(Self::Epoch),
            "max" => return Some(Self::Max),
            _ => {}
        }
        if let Some(time) = word.strip_prefix('@') {
            let seconds = seconds(time)?;
            return (seconds <= 86_400).then_some(Self::Daily(seconds));
        }
        let (modified, time) = match word.strip_prefix("modified ") {
            Some(time) => (true, time.trim_start()),
            None => (false, word),
        };
        let (sign, time) = match time.strip_prefix('-') {
            Some(time) => (-1, time),
            None => (1, time.strip_prefix('+').unwrap_or(time)),
        };
        let seconds = sign * seconds(time)?;
        Some(match modified {
            true => Self::Modified(seconds),
            false => Self::After(seconds),
        })
    }
}

/// nginx's times: `1y 6M 2w 1d 3h 30m 5s`, in this order; a number alone is seconds. At most a century.
fn seconds(text: &str) -> Option<i64> {
    const UNITS: &[(char, i64)] = &[
        ('y', 365 * 86_400),
        ('M', 30 * 86_400),
        ('w', 7 * 86_400),
        ('d', 86_400),
        ('h', 3600),
        ('m', 60),
        ('s', 1),
    ];
    let mut units = UNITS.iter();
    let mut total = 0i64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let number: i64 = number.parse().ok()?;
        let unit = after.chars().next();
        let worth = match unit {
            Some(unit) => units.find(|(known, _)| *known == unit)?.1,
            None => units.next_back()?.1,
        };
        total = number.checked_mul(worth)?.checked_add(total)?;
        rest = after.get(usize::from(unit.is_some())..)?.trim_start();
    }
    (total <= 100 * 365 * 86_400).then_some(total)
}

/// Values of a request, and before them what an expression has taken.
pub struct WithCaptures<'a> {
    /// What there is besides.
    pub values: &'a dyn Lookup,
    /// What was taken.
    pub captures: &'a Captures,
}

impl Lookup for WithCaptures<'_> {
    fn append(&self, variable: &Variable, out: &mut Vec<u8>) {
        let taken = match variable {
            Variable::Capture(number) => self.captures.groups.get(usize::from(*number)),
            Variable::Own(name) => {
                let mut named = self.captures.named.iter();
                named
                    .find(|(group, _)| **group == **name)
                    .map(|(_, value)| value)
            }
            _ => None,
        };
        match taken {
            Some(taken) => out.extend_from_slice(taken),
            None => self.values.append(variable, out),
        }
    }
}

impl Replacement {
    /// What takes the place of the beginning of `value`, and how long that beginning is; of all of it with an expression.
    pub fn of_beginning<'s>(
        &'s self,
        value: &[u8],
        values: &dyn Lookup,
    ) -> Option<(usize, Cow<'s, [u8]>)> {
        match &self.from {
            Matcher::Text(text) => {
                let from = text.value(values);
                value
                    .starts_with(&from)
                    .then(|| (from.len(), self.to.value(values)))
            }
            Matcher::Pattern(pattern) => {
                let captures = &pattern.find(value)?;
                let to = self.to.value(&WithCaptures { values, captures });
                Some((value.len(), Cow::Owned(to.into_owned())))
            }
        }
    }

    /// What takes the place of all of `value`, whose case does not matter.
    pub fn of_whole<'s>(&'s self, value: &[u8], values: &dyn Lookup) -> Option<Cow<'s, [u8]>> {
        match &self.from {
            Matcher::Text(text) => text
                .value(values)
                .eq_ignore_ascii_case(value)
                .then(|| self.to.value(values)),
            Matcher::Pattern(_) => self.of_beginning(value, values).map(|(_, to)| to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_nginxs() {
        for (word, wanted) in [
            ("30d", Some(Expires::After(30 * 86_400))),
            ("-1", Some(Expires::After(-1))),
            ("1h30m", Some(Expires::After(5400))),
            ("@15h30m", Some(Expires::Daily(55_800))),
            ("modified +24h", Some(Expires::Modified(86_400))),
            ("0", Some(Expires::After(0))),
            ("epoch", Some(Expires::Epoch)),
            ("@25h", None),
            ("30m1h", None),
            ("1x", None),
            ("", None),
        ] {
            assert_eq!(Expires::parse(word), wanted, "{word}");
        }
    }
}
