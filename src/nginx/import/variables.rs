//! nginx's words with variables as hubgate's texts.
//!
//! A variable is carried when hubgate has one of its name, or when it is worth the same for every request of a route. An
//! unknown one makes the whole word one that is not carried: a part of a value would be a wrong value.

use super::Import;
use crate::config::{OwnNames, Text, TextError};
use crate::nginx::text::{Part, Text as Word};

/// What variables of one location are worth.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// `$proxy_host`
    pub(super) proxy_host: Option<String>,
    /// `$proxy_port`
    pub(super) proxy_port: Option<String>,
}

/// A word as a text; or which variable is not carried.
pub(super) fn text(import: &Import<'_>, word: &[u8], known: &Known) -> Result<String, String> {
    text_with(import, word, known, &[])
}

/// As [`text`], where an expression has named `groups`.
pub(super) fn text_with(
    import: &Import<'_>,
    word: &[u8],
    known: &Known,
    groups: &[String],
) -> Result<String, String> {
    parsed(import, word, known, groups, Text::parse_line)
}

/// As [`text`], where line breaks are as good as anything.
pub(super) fn lines(import: &Import<'_>, word: &[u8]) -> Result<String, String> {
    parsed(import, word, &Known::default(), &[], Text::parse_with)
}

fn parsed(
    import: &Import<'_>,
    word: &[u8],
    known: &Known,
    groups: &[String],
    parse: fn(&str, &OwnNames) -> Result<Text, TextError>,
) -> Result<String, String> {
    let parsed = Word::parse(word)?;
    let mut out = String::new();
    for part in &parsed.parts {
        match part {
            Part::Literal(bytes) => {
                let text = std::str::from_utf8(bytes);
                let text = text.map_err(|_| "the word is no UTF-8".to_owned())?;
                out.push_str(&text.replace('$', "$$"));
            }
            Part::Group(number) => out.push_str(&format!("${number}")),
            Part::Variable(name) => match &**name {
                "proxy_host" if known.proxy_host.is_some() => {
                    out.extend(known.proxy_host.as_deref());
                }
                "proxy_port" if known.proxy_port.is_some() => {
                    out.extend(known.proxy_port.as_deref());
                }
                "secure_link" | "secure_link_expires" => {
                    let link = import.link.as_ref();
                    let value = link.and_then(|link| link.value(name));
                    out.push_str(value.ok_or("it depends on a `secure_link` that is not here")?);
                }
                name => out.push_str(&format!("${{{name}}}")),
            },
        }
    }
    let own = OwnNames::with(import.own.iter().chain(groups).map(String::as_str));
    match parse(&out, &own) {
        Ok(text) if import.has_all(&text) => Ok(out),
        Ok(_) => Err("it names what only streams have".to_owned()),
        Err(error) => Err(format!("{error} of hubgate's")),
    }
}

/// The names of an expression's groups.
pub(super) fn groups(expression: &str) -> Vec<String> {
    let own = OwnNames::of_expression(expression);
    own.iter().map(str::to_owned).collect()
}
