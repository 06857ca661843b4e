//! `errors` of a site or a route: who answers in place of an error.
//!
//! As typed and in itself sound; that a route it names is there is `validate`'s.

use toml::de::DeValue;

use super::action::text;
use super::reader::{Context, Reader, value};
use super::value::Field;
use super::{Key, Kind, Table};
use crate::config::errors::{ErrorRule, ErrorStatus, ErrorTarget};
use crate::config::text::Text;

pub(super) const ERRORS: Key = Key::rule(
    "errors",
    Kind::Inline,
    "none",
    "[{ on = [502, 504], to = \"/sorry.html\" }]",
    "Who answers in place of an error: a list of tables with the statuses (`on`, 300 to 599, those below 400 of upstreams with `own_errors = \"intercept\"`) and `to`, a path that is routed anew with GET, a route's name (\"@app\", the method stays), or an address elsewhere for a redirect. `status` is that of the error when it is left out, \"=\" for that of the answer, or a number. Those of a route come before those of its site. An error on the way is told as it is, unless `errors_again` says otherwise.",
);

static TABLE: Table = Table {
    header: "errors",
    about: "",
    keys: &[
        Key::required("on", Kind::Count(300, 599), "[502]", "The statuses."),
        Key::required("to", Kind::Text, "\"/sorry.html\"", "Who answers."),
        Key::rule(
            "status",
            Kind::Count(200, 599),
            "the error's",
            "200",
            "Of the answer.",
        ),
    ],
};

/// Reads `errors`.
pub(super) fn errors(reader: &Reader<'_>, context: Context<'_>) -> Option<Vec<ErrorRule>> {
    let tables = reader.tables("errors")?.into_iter();
    let rules: Vec<_> = tables
        .map(|table| {
            let name = format!("`errors` of {}", reader.name());
            rule(&Reader::new(&TABLE, name, Some(table), context), context)
        })
        .collect();
    // All are looked at before a fault ends it.
    rules.into_iter().collect()
}

fn rule(reader: &Reader<'_>, context: Context<'_>) -> Option<ErrorRule> {
    let on = reader.list("on", |field| field.count::<u16>());
    let to = reader.field("to", |field| target(field, context));
    let status = match reader.typed("status") {
        None => Some(ErrorStatus::Same),
        Some(_) => value(reader.field("status", status)),
    };
    Some(ErrorRule {
        on: on?.into_iter().map(|at| at.value).collect(),
        to: value(to)?,
        status: status?,
    })
}

fn status(field: &Field<'_>) -> Option<ErrorStatus> {
    match field.raw() {
        DeValue::String(text) if text == "=" => Some(ErrorStatus::OfAnswer),
        _ => field.count().map(ErrorStatus::Fixed),
    }
}

fn target(field: &Field<'_>, context: Context<'_>) -> Option<ErrorTarget> {
    let typed = field.text()?;
    if typed.starts_with('@') {
        return Some(ErrorTarget::Route(typed.into()));
    }
    let parsed = text(field, Text::parse_line(typed, context.own))?;
    if typed.starts_with('/') {
        return Some(ErrorTarget::Path(parsed));
    }
    match typed.contains("://") || typed.starts_with('$') {
        true => Some(ErrorTarget::Elsewhere(parsed)),
        false => field.refuse(
            "bad-target",
            format!("`{typed}` is no path, no route's name and no address"),
            Some("a path begins with `/`, a name with `@`, an address with `https://`".to_owned()),
        ),
    }
}
