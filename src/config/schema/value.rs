//! Single values: from TOML to what they stand for, or a fault that says what the key takes.
//!
//! Each read checks the bounds that the key's description gives. Nothing here knows about other keys.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::{Key, Kind};
use crate::config::diagnostic::{Diagnostic, Sink};
use crate::config::show::quoted;
use crate::config::source::{Source, Span};
use crate::config::suggest::nearest;
use crate::types::amount::{ByteSize, format_duration, parse_duration};

/// A key's value, or an element of its list.
pub(in crate::config) struct Field<'a> {
    key: &'static Key,
    value: &'a DeValue<'a>,
    span: Span,
    pub(super) sink: &'a Sink,
}

impl<'a> Field<'a> {
    pub(super) fn new(
        key: &'static Key,
        value: &'a DeValue<'a>,
        span: Span,
        sink: &'a Sink,
    ) -> Self {
        Self {
            key,
            value,
            span,
            sink,
        }
    }

    /// Where it is.
    pub(in crate::config) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The value as TOML gives it.
    pub(in crate::config) fn raw(&self) -> &'a DeValue<'a> {
        self.value
    }

    /// Notes a fault at this place.
    pub(in crate::config) fn refuse<T>(
        &self,
        code: &'static str,
        message: String,
        hint: Option<String>,
    ) -> Option<T> {
        let mut diagnostic = Diagnostic::error(code, self.span(), message);
        diagnostic.hints.extend(hint);
        self.sink.refuse(diagnostic)
    }

    /// The elements of a list.
    pub(super) fn list(&self) -> Option<Vec<Self>> {
        match self.value {
            DeValue::Array(array) => Some(
                array
                    .iter()
                    .map(|element| {
                        Self::new(self.key, element.get_ref(), element.span(), self.sink)
                    })
                    .collect(),
            ),
            DeValue::String(text) => self.wrong_type(
                "a list",
                Some(format!("write `{} = [{}]`", self.key.name, quoted(text))),
            ),
            _ => self.wrong_type("a list", None),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.wrong_type("`true` or `false`", None),
        }
    }

    /// Text.
    pub(in crate::config) fn text(&self) -> Option<&'a str> {
        self.text_as("a text in quotes", None)
    }

    /// A path.
    pub(super) fn path(&self, source: &Source) -> Option<PathBuf> {
        match self.text_as("a path in quotes", None)? {
            "" => self.refuse("bad-path", format!("`{}` is empty", self.key.name), None),
            path => Some(source.resolve(path)),
        }
    }

    /// A whole number within the key's bounds.
    pub(super) fn count<N: TryFrom<u64>>(&self) -> Option<N> {
        let number = self.integer()?;
        let Kind::Count(least, most) = self.key.kind else {
            return None;
        };
        let fitting = u64::try_from(number)
            .ok()
            .filter(|n| (least..=most).contains(n));
        match fitting.and_then(|n| N::try_from(n).ok()) {
            Some(number) => Some(number),
            None => self.refuse(
                "out-of-range",
                format!(
                    "`{}` is {number}, but takes {least} to {most}",
                    self.key.name
                ),
                None,
            ),
        }
    }

    /// One of the key's numbers.
    pub(super) fn status(&self) -> Option<u16> {
        let number = self.integer()?;
        let Kind::Status(known) = self.key.kind else {
            return None;
        };
        match known.iter().find(|status| i128::from(**status) == number) {
            Some(status) => Some(*status),
            None => {
                let known: Vec<_> = known.iter().map(u16::to_string).collect();
                self.refuse(
                    "bad-status",
                    format!(
                        "`{}` is {number}, but takes one of {}",
                        self.key.name,
                        known.join(", ")
                    ),
                    None,
                )
            }
        }
    }

    /// A length of time, at least the key's least.
    pub(super) fn duration(&self) -> Option<Duration> {
        let example = match self.value {
            DeValue::Integer(number) => Some(format!(
                "with its unit: `{} = \"{number}s\"`",
                self.key.name
            )),
            _ => None,
        };
        let text = self.text_as("a duration in quotes, as in `\"60s\"`", example)?;
        let duration = match parse_duration(text) {
            Ok(duration) => duration,
            Err(error) => return self.refuse("bad-duration", error.to_string(), None),
        };
        match self.key.kind {
            Kind::Duration(least) if duration.as_millis() < u128::from(least) => {
                let hint = match self.key.name {
                    "keep_alive_idle" => "to keep no idle connection write `keep_alive = 0`",
                    _ => "this limit cannot be turned off; write a long time, as in `\"24h\"`",
                };
                let message = format!(
                    "`{}` is {}, but must be above zero",
                    self.key.name,
                    format_duration(duration)
                );
                self.refuse("out-of-range", message, Some(hint.to_owned()))
            }
            _ => Some(duration),
        }
    }

    /// A number of bytes within the key's bounds.
    pub(super) fn size(&self) -> Option<ByteSize> {
        let size = self.any_size("a size in quotes, as in `\"64KiB\"`")?;
        match self.key.kind {
            Kind::Size(least, most) if !(least..=most).contains(&size.0) => self.refuse(
                "out-of-range",
                format!(
                    "`{}` is {size}, but takes {} to {}",
                    self.key.name,
                    ByteSize(least),
                    ByteSize(most)
                ),
                None,
            ),
            _ => Some(size),
        }
    }

    /// A number of bytes above zero, or `"none"`.
    pub(super) fn size_or_none(&self) -> Option<Option<ByteSize>> {
        if matches!(self.value, DeValue::String(text) if text == "none") {
            return Some(None);
        }
        match self.any_size("a size in quotes, as in `\"64MB\"`, or `\"none\"`")? {
            ByteSize(0) => self.refuse(
                "out-of-range",
                format!("`{}` is 0, which would refuse every body", self.key.name),
                Some("for no limit write `\"none\"`".to_owned()),
            ),
            size => Some(Some(size)),
        }
    }

    /// One of the key's words.
    pub(super) fn word(&self) -> Option<String> {
        let (Kind::Word(known) | Kind::Words(known)) = self.key.kind else {
            return None;
        };
        let allowed = known
            .iter()
            .map(|word| format!("\"{word}\""))
            .collect::<Vec<_>>()
            .join(" or ");
        let text = self.text_as(&allowed, None)?;
        if known.contains(&text) {
            return Some(text.to_owned());
        }
        let diagnostic = Diagnostic::error(
            "bad-word",
            self.span(),
            format!("`{}` cannot be `{text}`", self.key.name),
        )
        .label(format!("takes {allowed}"))
        .did_you_mean(nearest(text, known.iter().copied()));
        self.sink.refuse(diagnostic)
    }

    /// A whole number of percent within the key's bounds.
    pub(super) fn percent(&self) -> Option<u8> {
        let Kind::Percent(least, most) = self.key.kind else {
            return None;
        };
        let hint = match self.value {
            DeValue::Integer(number) => Some(format!(
                "with its sign: `{} = \"{number}%\"`",
                self.key.name
            )),
            _ => None,
        };
        let text = self.text_as("a share in quotes, as in `\"20%\"`", hint)?;
        let number = text.strip_suffix('%').map(str::trim_end);
        match number.and_then(|number| number.parse().ok()) {
            Some(percent) if (least..=most).contains(&percent) => Some(percent),
            _ => {
                let message = format!(
                    "`{}` is `{text}`, but takes {least}% to {most}%, a whole number",
                    self.key.name
                );
                self.refuse("bad-percent", message, None)
            }
        }
    }

    /// Notes a value of the wrong kind.
    pub(in crate::config) fn wrong_type<T>(&self, takes: &str, hint: Option<String>) -> Option<T> {
        let message = format!(
            "`{}` takes {takes}, not {}",
            self.key.name,
            kind_of(self.value)
        );
        self.refuse("wrong-type", message, hint)
    }

    pub(super) fn text_as(&self, takes: &str, hint: Option<String>) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => self.wrong_type(takes, hint),
        }
    }

    fn integer(&self) -> Option<i128> {
        let DeValue::Integer(number) = self.value else {
            let hint = match self.value {
                DeValue::String(text) if text.parse::<i128>().is_ok() => {
                    Some("write it without quotes".to_owned())
                }
                _ => None,
            };
            return self.wrong_type("a whole number", hint);
        };
        match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Some(number),
            Err(_) => self.refuse(
                "out-of-range",
                format!("`{}` is far too large a number", self.key.name),
                None,
            ),
        }
    }

    fn any_size(&self, takes: &str) -> Option<ByteSize> {
        let hint = match self.value {
            DeValue::Integer(number) => Some(format!(
                "with its unit: `{} = \"{number}B\"`",
                self.key.name
            )),
            _ => None,
        };
        let text = self.text_as(takes, hint)?;
        match ByteSize::parse(text) {
            Ok(size) => Some(size),
            Err(error) => self.refuse("bad-size", error.to_string(), None),
        }
    }
}

/// What a value is, in words.
pub(in crate::config) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
