//! The keys of a route that say what answers in place of an upstream: `respond`, `redirect` and `answer`.
//!
//! They are part of that table, and read apart from it because their texts are.

use super::files::types;
use super::reader::{At, Context, Reader, value};
use super::route::Read;
use super::value::Field;
use super::{Key, Kind, Table};
use crate::config::action::{OwnAnswer, Redirect, Respond};
use crate::config::diagnostic::Diagnostic;
use crate::config::text::{Text, TextError};

pub(super) const RESPOND: Key = Key::rule(
    "respond",
    Kind::Inline,
    "none",
    "{ status = 200, body = \"edge of $host\", type = \"text/plain\" }",
    "Answers here, in place of an `upstream`: with this status (200 to 599), and a body in which $variables count. Keys left out: 200, no body (an error without one says its name), \"text/plain\". With `by_extension` the extension of the path says the type where it is a known one: `types` (`{ EXTENSION = \"TYPE\" }`) takes the place of the built-in media types.",
);
pub(super) const REDIRECT: Key = Key::rule(
    "redirect",
    Kind::Inline,
    "none",
    "{ to = \"https://hub.example.org$request_uri\", status = 301 }",
    "Answers with a redirect, in place of an `upstream`. `status` is 301, 302 (when it is left out), 303, 307 or 308.",
);

pub(super) const ANSWER: Key = Key::rule(
    "answer",
    Kind::Word(OwnAnswer::WORDS),
    "none",
    "\"counts\"",
    "Answers GET and HEAD here, in place of an `upstream`: \"counts\" with how many connections and requests there are, in the form of nginx's `stub_status`; \"pixel\" with an image of one transparent pixel.",
);

static RESPOND_TABLE: Table = Table {
    header: "respond",
    about: "",
    keys: &[
        Key::new("status", Kind::Count(200, 599), "200", "The status."),
        Key::new("body", Kind::Text, "\"\"", "The body."),
        Key::new("type", Kind::Text, "\"text/plain\"", "Content-Type."),
        Key::new("by_extension", Kind::Flag, "false", "The path's."),
        Key::table("types", "media types by extension"),
    ],
};

static REDIRECT_TABLE: Table = Table {
    header: "redirect",
    about: "",
    keys: &[
        Key::required(
            "to",
            Kind::Text,
            "\"https://hub.example.org$request_uri\"",
            "Location.",
        ),
        Key::new(
            "status",
            Kind::Status(&[301, 302, 303, 307, 308]),
            "302",
            "The status.",
        ),
    ],
};

/// Reads `answer`.
pub(super) fn own(reader: &Reader<'_>) -> Read<OwnAnswer> {
    reader.optional("answer", |reader, key| {
        let word = reader.word(key)?;
        let (value, span) = (OwnAnswer::parse(&word.value)?, word.span);
        Some(At { value, span })
    })
}

/// Reads `respond`.
pub(super) fn respond(reader: &Reader<'_>, context: Context<'_>) -> Read<Respond> {
    read(reader, "respond", &RESPOND_TABLE, context, |reader| {
        let status = reader.count("status");
        let body = reader.field("body", |field| {
            text(field, Text::parse_with(field.text()?, reader.own()))
        });
        let kind = reader.field("type", |field| {
            let kind = field.text()?;
            match http::HeaderValue::from_str(kind) {
                Ok(_) => Some(kind.into()),
                Err(_) => field.refuse("bad-type", format!("`{kind}` is no media type"), None),
            }
        });
        let (by_extension, types) = (reader.flag("by_extension"), types(reader, context));
        let (status, body) = (status?, body?);
        if matches!(status.value, 204 | 304) && body.value.as_constant() != Some("") {
            let message = format!("an answer with status {} has no body", status.value);
            let fault = Diagnostic::error("body-of-none", body.span, message);
            return reader.refuse(fault.hint("leave `body` out, or give another `status`"));
        }
        Some(Respond {
            status: status.value,
            body: body.value,
            kind: value(kind)?,
            by_extension: value(by_extension)?,
            types: types?,
        })
    })
}

/// Reads `redirect`.
pub(super) fn redirect(reader: &Reader<'_>, context: Context<'_>) -> Read<Redirect> {
    read(reader, "redirect", &REDIRECT_TABLE, context, |reader| {
        let to = reader.field("to", |field| {
            text(field, Text::parse_line(field.text()?, reader.own()))
        });
        let status = reader.status("status");
        Some(Redirect {
            to: value(to)?,
            status: value(status)?,
        })
    })
}

pub(super) fn read<T>(
    reader: &Reader<'_>,
    key: &'static str,
    table: &'static Table,
    context: Context<'_>,
    read: impl FnOnce(&Reader<'_>) -> Option<T>,
) -> Read<T> {
    let span = reader
        .typed(key)
        .map_or_else(|| reader.span(), |typed| typed.span());
    let found = reader.inline(key, table, context, read)?;
    Some(found.map(|value| At { value, span }))
}

/// A text in which variables count.
pub(super) fn text(field: &Field<'_>, parsed: Result<Text, TextError>) -> Option<Text> {
    parsed.map_or_else(
        |error| {
            let hint = error
                .nearest()
                .map(|near| format!("did you mean `{near}`?"));
            field.refuse("bad-text", error.to_string(), hint)
        },
        Some,
    )
}
