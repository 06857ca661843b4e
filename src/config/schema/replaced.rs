//! Pairs of texts or expressions in the keys of heads: what `location_headers` and `cookies` put in the place of what.
//!
//! They are parts of `heads`' tables, and of others that replace. Expressions are compiled here, so that a fault has its place.

use toml::de::DeValue;

use super::action::text;
use super::reader::Reader;
use super::value::Field;
use super::{Key, Kind, Table};
use crate::config::heads::{CookieChanges, CookieFlag, FLAGS, Matcher, Replacement};
use crate::config::suggest::nearest;
use crate::config::text::Text;
use crate::types::pattern::Pattern;

pub(super) static COOKIES_TABLE: Table = Table {
    header: "cookies",
    about: "",
    keys: &[
        Key::new("domain", Kind::Pairs, "[]", "Of Domain."),
        Key::new("path", Kind::Pairs, "[]", "Of Path."),
        Key::new("flags", Kind::Pairs, "[]", "By name."),
    ],
};

/// Reads a list of pairs of texts.
pub(super) fn pairs<T>(
    reader: &Reader<'_>,
    key: &'static str,
    read: impl Fn(&Reader<'_>, &Field<'_>, &str, &Field<'_>, &str) -> Option<T>,
) -> Option<Vec<T>> {
    if reader.typed(key).is_none() {
        return Some(Vec::new());
    }
    let all = reader.list(key, |pair| {
        let two = match pair.raw() {
            DeValue::Array(_) => pair.list()?,
            _ => Vec::new(),
        };
        let [from, to] = two.as_slice() else {
            return pair.wrong_type(
                "pairs of texts",
                Some(format!("as in `{key} = [[\"a\", \"b\"]]`")),
            );
        };
        read(reader, from, from.text()?, to, to.text()?)
    })?;
    Some(all.into_iter().map(|at| at.value).collect())
}

/// Reads a pair; of expressions `no_case` says whether case counts for nothing in all of them.
pub(super) fn replacement(
    no_case: bool,
) -> impl Fn(&Reader<'_>, &Field<'_>, &str, &Field<'_>, &str) -> Option<Replacement> {
    move |reader, from_field, from, to_field, to| {
        let from = matcher(reader, from_field, from, no_case);
        let to = text(to_field, Text::parse_line(to, reader.own()));
        Some(Replacement {
            from: from?,
            to: to?,
        })
    }
}

fn matcher(reader: &Reader<'_>, field: &Field<'_>, typed: &str, no_case: bool) -> Option<Matcher> {
    let Some(expression) = typed.strip_prefix('~') else {
        return text(field, Text::parse_line(typed, reader.own())).map(Matcher::Text);
    };
    let (expression, no_case) = match expression.strip_prefix('*') {
        Some(expression) => (expression, true),
        None => (expression, no_case),
    };
    match Pattern::new(expression, no_case) {
        Ok(pattern) => Some(Matcher::Pattern(Box::new(pattern))),
        Err(error) => {
            let message = format!("`{expression}` is no regular expression");
            field.refuse("bad-regex", message, Some(error))
        }
    }
}

pub(super) fn cookies(reader: &Reader<'_>) -> Option<CookieChanges> {
    let domain = pairs(reader, "domain", replacement(true));
    let path = pairs(reader, "path", replacement(false));
    let flags = pairs(reader, "flags", |reader, name_field, name, field, words| {
        let name = matcher(reader, name_field, name, true);
        let words = words.split_ascii_whitespace().map(|word| flag(field, word));
        let words: Vec<_> = words.collect();
        Some((name?, words.into_iter().collect::<Option<Vec<_>>>()?))
    });
    Some(CookieChanges {
        domain: domain?,
        path: path?,
        flags: flags?,
    })
}

fn flag(field: &Field<'_>, word: &str) -> Option<CookieFlag> {
    match CookieFlag::parse(word) {
        Some(flag) => Some(flag),
        None => {
            let near = nearest(word, FLAGS.iter().map(|(known, _)| *known));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            field.refuse(
                "bad-word",
                format!("`{word}` is no attribute of cookies"),
                hint,
            )
        }
    }
}
