//! `access` of a site and of a route: who is let in.
//!
//! The table is read here whole; that a route without one has its site's is for `validate`.

use std::sync::Arc;

use http::Method;

use super::action::text;
use super::reader::{At, Context, Reader, value};
use super::rules::values;
use super::{Key, Kind, Table};
use crate::config::access::{Access, AddressRule, Ask, Basic, Need, Others};
use crate::config::text::Text;

pub(super) const ACCESS: Key = Key::rule(
    "access",
    Kind::Inline,
    "everybody is let in; in a route: as its site says",
    "{ rules = [\"allow 10.0.0.0/8\", \"deny all\"], basic = { realm = \"staff\", file = \"htpasswd\" }, ask = { path = \"/auth\", take = { user = \"$upstream_http_x_user\" } }, need = \"all\" }",
    "Who is let in. `rules`: \"allow\" or \"deny\" with an address, a network, \"all\" or \"unix:\"; the first that matches counts. `basic`: a name and a password from a file that `htpasswd` writes (bcrypt, SHA-2 crypt, `$apr1$`, `$1$`, {SSHA}, {SHA}, {PLAIN}), read again on change; `realm` is what browsers show, with $variables. `ask`: a route of the site, internal or not, is asked with a GET, the request's own fields and no body: 2xx lets in, 401 and 403 are the answer, anything else is 500. The rules on its way count, and variables are those of both. `take` gives variables values when it has answered, such as fields of its answer. A `realm` with $variables that comes to `off` asks nobody. `need`: \"all\" of them must agree, or \"any\" one is enough. `delay`: whoever gets 401 waits so long for it. `others = { than = [\"GET\"], rules = [\"deny all\"] }`: what counts instead for all methods but these, with the same keys; the `rules` of the route are not carried out for those. `access = {}` in a route lets everybody in. Also as a table.",
);

const RULES_KEY: Key = Key::new("rules", Kind::Texts, "[]", "By address.");
const BASIC_KEY: Key = Key::rule(
    "basic",
    Kind::Inline,
    "none",
    "{ realm = \"staff\", file = \"htpasswd\" }",
    "By password.",
);
const ASK_KEY: Key = Key::rule(
    "ask",
    Kind::Inline,
    "none",
    "{ path = \"/auth\" }",
    "By another route.",
);
const NEED_KEY: Key = Key::new("need", Kind::Word(Need::WORDS), "\"all\"", "How many.");
const DELAY_KEY: Key = Key::rule("delay", Kind::Duration(1), "none", "\"1s\"", "Of 401.");

static TABLE: Table = Table {
    header: "access",
    about: "",
    keys: &[
        RULES_KEY,
        BASIC_KEY,
        ASK_KEY,
        NEED_KEY,
        DELAY_KEY,
        Key::rule(
            "others",
            Kind::Inline,
            "none",
            "{ than = [\"GET\"], rules = [\"deny all\"] }",
            "By method.",
        ),
    ],
};

static OTHERS: Table = Table {
    header: "others",
    about: "",
    keys: &[
        Key::required("than", Kind::Texts, "[\"GET\"]", "Methods."),
        RULES_KEY,
        BASIC_KEY,
        ASK_KEY,
        NEED_KEY,
        DELAY_KEY,
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

static ASK: Table = Table {
    header: "ask",
    about: "",
    keys: &[
        Key::required("path", Kind::Text, "\"/auth\"", "What is asked for."),
        Key::rule(
            "take",
            Kind::Inline,
            "none",
            "{ user = \"$upstream_http_x_user\" }",
            "Of its answer.",
        ),
    ],
};

fn ask(reader: &Reader<'_>, context: Context<'_>) -> Option<Ask> {
    let path = reader.field("path", |field| {
        let path = field.text()?;
        match path.starts_with('/') && !path.contains(['?', '#', ' ']) {
            true => Some(path.into()),
            false => field.refuse("bad-path", format!("`{path}` is no path"), None),
        }
    });
    let take = values(reader, "take", context);
    Some(Ask {
        path: value(path)?,
        take: take?.unwrap_or_default().into_iter().collect(),
    })
}

/// Rules by address.
pub(super) fn address_rules(
    reader: &Reader<'_>,
    key: &'static str,
) -> Option<Vec<At<AddressRule>>> {
    reader.list(key, |field| {
        let typed = field.text()?;
        AddressRule::parse(typed).map_or_else(
            || {
                let message = format!("`{typed}` is no rule");
                let hint = "write `allow` or `deny` and an address, a network, `all` or `unix:`";
                field.refuse("bad-rule", message, Some(hint.to_owned()))
            },
            Some,
        )
    })
}

/// Reads `access`: `Some(None)` when it is not written.
pub(super) fn read(reader: &Reader<'_>, context: Context<'_>) -> Option<Option<Arc<Access>>> {
    reader.inline("access", &TABLE, context, |reader| {
        let own = keys(reader, context);
        let others = reader.inline("others", &OTHERS, context, |reader| {
            let than = reader.list("than", |field| {
                let name = field.text()?;
                match Method::from_bytes(name.as_bytes()) {
                    Ok(method) => Some(method),
                    Err(_) => field.refuse("bad-method", format!("`{name}` is no method"), None),
                }
            });
            let access = keys(reader, context);
            Some(Box::new(Others {
                than: than?.into_iter().map(|at| at.value).collect(),
                access: Arc::new(access?),
            }))
        });
        Some(Arc::new(Access {
            others: others?,
            ..own?
        }))
    })
}

/// What counts for all methods, or for some.
fn keys(reader: &Reader<'_>, context: Context<'_>) -> Option<Access> {
    let rules = address_rules(reader, "rules");
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
    let ask = reader.inline("ask", &ASK, context, |reader| ask(reader, context));
    let need = reader.word("need");
    let delay = reader.optional("delay", Reader::duration);
    Some(Access {
        rules: rules?.into_iter().map(|at| at.value).collect(),
        basic: basic?,
        ask: ask?,
        need: match &*need?.value {
            "any" => Need::Any,
            _ => Need::All,
        },
        delay: delay?.map(|at| at.value),
        others: None,
    })
}
