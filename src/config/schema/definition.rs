//! `[map.NAME]`, `[geo.NAME]`, `[split.NAME]`, `[signed.NAME]`: variables that the configuration defines.
//!
//! As checked one by one; that none is made of itself is for `validate`.

use ipnet::IpNet;

use super::action::text;
use super::reader::{Context, Reader};
use super::replaced::pairs;
use super::value::Field;
use super::{Key, Kind, Table};
use crate::config::definition::{Case, Definer, Definition, Map};
use crate::config::diagnostic::Diagnostic;
use crate::config::signed::Signed;
use crate::config::text::Text;
use crate::types::pattern::Pattern;

const CASES: Key = Key::rule(
    "cases",
    Kind::Inline,
    "{}",
    "{ \"\" = \"close\", \"~*bot\" = \"robot $1\" }",
    "Values by what the text is, whatever its case; after `~` an expression (`~*` ignores case), tried in order, whose groups the value can name. A `\\` before a text that would be one.",
);

const NETWORKS: Key = Key::rule(
    "cases",
    Kind::Inline,
    "{}",
    "{ \"10.0.0.0/8\" = \"inside\" }",
    "Values by network; the narrowest wins. What is no address counts as 255.255.255.255.",
);

pub(in crate::config) static MAP: Table = Table {
    header: "[map.upgrade]",
    about: "A variable, named by the table, whose value follows from another text's.",
    keys: &[
        Key::required("of", Kind::Text, "\"$http_upgrade\"", "What is looked up."),
        Key::new("default", Kind::Text, "\"\"", "What no case is."),
        CASES,
        Key::new(
            "hosts",
            Kind::Flag,
            "false",
            "Whether the cases are hosts, of which `*.example.org`, `.example.org` and `www.example.*` are patterns.",
        ),
    ],
};

pub(in crate::config) static GEO: Table = Table {
    header: "[geo.inside]",
    about: "A variable, named by the table, whose value follows from an address.",
    keys: &[
        Key::new("of", Kind::Text, "\"$remote_addr\"", "The address."),
        Key::new("default", Kind::Text, "\"\"", "Of no network."),
        NETWORKS,
        Key::new(
            "proxies",
            Kind::Texts,
            "[]",
            "Networks: of an address in them, the last one of `X-Forwarded-For` counts.",
        ),
        Key::new(
            "recursive",
            Kind::Flag,
            "false",
            "Whether that goes on while the address found is in `proxies` as well.",
        ),
    ],
};

pub(in crate::config) static SPLIT: Table = Table {
    header: "[split.variant]",
    about: "A variable, named by the table, that shares of all requests get different values of, the same text always the same one.",
    keys: &[
        Key::required("of", Kind::Text, "\"$remote_addr\"", "What is shared out."),
        Key::rule(
            "shares",
            Kind::Pairs,
            "[]",
            "[[\"50%\", \"a\"], [\"0.5%\", \"b\"], [\"*\", \"c\"]]",
            "Each share with its value; `*` is what is left.",
        ),
    ],
};

pub(in crate::config) static SIGNED: Table = Table {
    header: "[signed.link]",
    about: "A variable, named by the table, that says whether a link is signed: `1`, `0` once it is too old, nothing if it is not.",
    keys: &[
        Key::required(
            "of",
            Kind::Text,
            "\"$arg_md5\"",
            "The signature: an MD5 in base64url.",
        ),
        Key::required(
            "md5",
            Kind::Text,
            "\"$arg_expires$uri secret\"",
            "What the MD5 has to be of.",
        ),
        Key::rule(
            "expires",
            Kind::Text,
            "never",
            "\"$arg_expires\"",
            "Until when the signature holds, in seconds since 1970.",
        ),
        Key::new(
            "in_path",
            Kind::Flag,
            "false",
            "Whether `of` is a path, as in `/p/MD5/signed`, with the MD5 in hexadecimal: then that has to be of what follows it and `md5`, and what follows it is the variable's value.",
        ),
    ],
};

/// Reads a `[signed.NAME]`.
pub(in crate::config) fn signed(reader: &Reader<'_>) -> Option<Definition> {
    let of = one(reader, "of");
    let md5 = one(reader, "md5");
    let expires = reader.optional("expires", |reader, key| {
        reader.field(key, |field| line(reader, field))
    });
    let in_path = reader.flag("in_path");
    Some(Definition {
        of: of?,
        by: Definer::Signed(Signed {
            md5: md5?,
            expires: expires?.map(|at| at.value),
            in_path: in_path?.value,
        }),
    })
}

/// Reads a `[map.NAME]`.
pub(in crate::config) fn map(reader: &Reader<'_>, context: Context<'_>) -> Option<Definition> {
    let of = one(reader, "of");
    let default = one(reader, "default");
    let hosts = reader.flag("hosts");
    let cases = cases(reader, &CASES, context, case);
    Some(Definition {
        of: of?,
        by: Definer::Map(Map::new(cases?, hosts?.value, default?)),
    })
}

/// Reads a `[geo.NAME]`.
pub(in crate::config) fn geo(reader: &Reader<'_>, context: Context<'_>) -> Option<Definition> {
    let of = one(reader, "of");
    let default = one(reader, "default");
    let networks = cases(reader, &NETWORKS, context, network);
    let proxies = reader.list("proxies", |field| network(field, field.text()?));
    let recursive = reader.flag("recursive");
    Some(Definition {
        of: of?,
        by: Definer::Geo {
            networks: networks?,
            default: default?,
            proxies: proxies?.into_iter().map(|at| at.value).collect(),
            recursive: recursive?.value,
        },
    })
}

/// Reads a `[split.NAME]`.
pub(in crate::config) fn split(reader: &Reader<'_>) -> Option<Definition> {
    let of = one(reader, "of");
    let shares = pairs(
        reader,
        "shares",
        |reader, field, share, value_field, value| {
            let value = text(value_field, Text::parse_line(value, reader.own()));
            Some((ten_thousandths(field, share)?, value?))
        },
    );
    let shares = shares?;
    let total: u64 = shares.iter().map(|(share, _)| u64::from(*share)).sum();
    if total > 10_000 {
        let message = format!("the shares of {} are more than all", reader.name());
        let fault = Diagnostic::error("bad-share", reader.span(), message);
        return reader.refuse(fault);
    }
    Some(Definition {
        of: of?,
        by: Definer::Split(shares),
    })
}

fn one(reader: &Reader<'_>, key: &'static str) -> Option<Text> {
    let read = |field: &Field<'_>| line(reader, field);
    reader.field(key, read).map(|at| at.value)
}

fn line(reader: &Reader<'_>, field: &Field<'_>) -> Option<Text> {
    text(field, Text::parse_line(field.text()?, reader.own()))
}

/// Reads a table of values by case, in the order of the file.
fn cases<T>(
    reader: &Reader<'_>,
    key: &'static Key,
    context: Context<'_>,
    read: impl Fn(&Field<'_>, &str) -> Option<T>,
) -> Option<Vec<(T, Text)>> {
    let Some((table, _)) = reader.table("cases")? else {
        return Some(Vec::new());
    };
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    let read = entries.into_iter().map(|(name, value)| {
        let at_name = Field::new(key, value.get_ref(), name.span(), context.sink);
        let at_value = Field::new(key, value.get_ref(), value.span(), context.sink);
        let case = read(&at_name, name.get_ref());
        let value = at_value.text();
        let value = value.and_then(|value| text(&at_value, Text::parse_line(value, reader.own())));
        Some((case?, value?))
    });
    read.collect::<Vec<_>>().into_iter().collect()
}

fn case(field: &Field<'_>, typed: &str) -> Option<Case> {
    let Some(expression) = typed.strip_prefix('~') else {
        let text = typed.strip_prefix('\\').unwrap_or(typed);
        return Some(Case::Text(text.into()));
    };
    let (expression, no_case) = match expression.strip_prefix('*') {
        Some(expression) => (expression, true),
        None => (expression, false),
    };
    match Pattern::new(expression, no_case) {
        Ok(pattern) => Some(Case::Pattern(Box::new(pattern))),
        Err(error) => {
            let message = format!("`{expression}` is no regular expression");
            field.refuse("bad-regex", message, Some(error))
        }
    }
}

fn network(field: &Field<'_>, typed: &str) -> Option<IpNet> {
    let net = typed.parse::<IpNet>().map(|net| net.trunc());
    match net.or_else(|_| {
        typed
            .parse()
            .map(|address: std::net::IpAddr| address.into())
    }) {
        Ok(net) => Some(net),
        Err(_) => {
            let message = format!("`{typed}` is no network");
            let hint = "as in \"10.0.0.0/8\" or \"192.0.2.1\"";
            field.refuse("bad-network", message, Some(hint.to_owned()))
        }
    }
}

/// `12.5%`; 0 is what is left.
fn ten_thousandths(field: &Field<'_>, typed: &str) -> Option<u32> {
    if typed == "*" {
        return Some(0);
    }
    let number = || {
        let (whole, part) = typed
            .strip_suffix('%')?
            .split_once('.')
            .unwrap_or((typed.strip_suffix('%')?, ""));
        let digits = part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        let part: u32 = format!("{part:0<2}").parse().ok().filter(|_| digits)?;
        let number = whole
            .parse::<u32>()
            .ok()?
            .checked_mul(100)?
            .checked_add(part)?;
        (1..=10_000).contains(&number).then_some(number)
    };
    match number() {
        Some(number) => Some(number),
        None => {
            let message = format!("`{typed}` is no share");
            let hint = "as in \"50%\", \"0.25%\" or \"*\"";
            field.refuse("bad-share", message, Some(hint.to_owned()))
        }
    }
}
