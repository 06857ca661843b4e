//! `access` of a site and of a route: who is let in.
//!
//! The table is read here whole; that a route without one has its site's is for `validate`.

use std::sync::Arc;

use super::action::text;
use super::reader::{Context, Reader, value};
use super::{Key, Kind, Table};
use crate::config::access::{Access, AddressRule, Basic, Need};
use crate::config::text::Text;

pub(super) const ACCESS: Key = Key::rule(
    "access",
    Kind::Inline,
    "everybody is let in; in a route: as its site says",
    "{ rules = [\"allow 10.0.0.0/8\", \"deny all\"], basic = { realm = \"staff\", file = \"htpasswd\" }, need = \"all\" }",
    "Who is let in. `rules`: \"allow\" or \"deny\" with an address, a network, \"all\" or \"unix:\"; the first that matches counts. `basic`: a name and a password from a file that `htpasswd` writes (bcrypt, SHA-2 crypt, `$apr1$`, `$1$`, {SSHA}, {SHA}, {PLAIN}), read again on change; `realm` is what browsers show, with $variables. `need`: \"all\" of them must agree, or \"any\" one is enough. `access = {}` in a route lets everybody in. Also as a table.",
);

static TABLE: Table = Table {
    header: "access",
    about: "",
    keys: &[
        Key::new("rules", Kind::Texts, "[]", "By address."),
        Key::rule(
            "basic",
            Kind::Inline,
            "none",
            "{ realm = \"staff\", file = \"htpasswd\" }",
            "By password.",
        ),
        Key::new("need", Kind::Word(Need::WORDS), "\"all\"", "How many."),
    ],
};

static BASIC: Table = Table {
    header: "basic",
    about: "",
    keys: &[
        Key::required("realm", Kind::Text, "\"staff\"", "What browsers show."),
        Key::required("file", Kind::Path, "\"htpasswd\"", "Names and hashes."),
    ],
};

/// Reads `access`: `Some(None)` when it is not written.
pub(super) fn read(reader: &Reader<'_>, context: Context<'_>) -> Option<Option<Arc<Access>>> {
    reader.inline("access", &TABLE, context, |reader| {
        let rules = reader.list("rules", |field| {
            let typed = field.text()?;
            AddressRule::parse(typed).map_or_else(
                || {
                    let message = format!("`{typed}` is no rule");
                    let hint =
                        "write `allow` or `deny` and an address, a network, `all` or `unix:`";
                    field.refuse("bad-rule", message, Some(hint.to_owned()))
                },
                Some,
            )
        });
        let basic = reader.inline("basic", &BASIC, context, |reader| {
            let realm = reader.field("realm", |field| {
                text(field, Text::parse_line(field.text()?, reader.own()))
            });
            let file = reader.path("file");
            Some(Basic {
                realm: value(realm)?,
                file: value(file)?,
            })
        });
        let need = reader.word("need");
        Some(Arc::new(Access {
            rules: rules?.into_iter().map(|at| at.value).collect(),
            basic: basic?,
            need: match &*need?.value {
                "any" => Need::Any,
                _ => Need::All,
            },
        }))
    })
}
