//! The keys of sites and routes that say what happens to the bodies of answers and what is said of them (`compress`,
//! `decompress`, `charset`, `replace`), and `referers`.
//!
//! They are part of those tables, and read apart from them because they stand in both.

use std::sync::Arc;

use toml::de::DeValue;

use super::action::text;
use super::reader::{Context, Reader, value};
use super::replaced::pairs;
use super::{Key, Kind, Table};
use crate::config::bodies::{Bodies, Charset, Compress, Compression, MediaTypes, Proxied, Replace};
use crate::config::client_address::ClientAddress;
use crate::config::diagnostic::Diagnostic;
use crate::config::referers::Referers;
use crate::config::text::Text;
use crate::types::pattern::Pattern;

pub(super) const COMPRESS: Key = Key::rule(
    "compress",
    Kind::Inline,
    "answers go as they come; in a route: as its site says",
    "{ types = [\"text/html\", \"text/css\"], min_length = \"256B\", level = 4, vary = true }",
    "Compresses answers with gzip for clients that take it: with the statuses 200, 403 and 404, of these media `types` (\"*\" is all), and those that say that they are shorter than `min_length` aside. What is compressed already, parts (206) and 304 are left alone. `level`: 1 is fast, 9 is small. `vary`: caches are told. `proxied`: which answers to requests with `Via`: \"off\", \"any\", \"expired\", \"no-cache\", \"no-store\", \"private\", \"no_last_modified\", \"no_etag\", \"auth\". `http_1_0`: clients of HTTP/1.0 too. `except`: expressions for the User-Agents of clients that get none. `false` is none.",
);
pub(super) const DECOMPRESS: Key = Key::rule(
    "decompress",
    Kind::Flag,
    "false; in a route: as its site says",
    "true",
    "Whether an upstream's gzip is undone for clients that do not take it.",
);

pub(super) const CHARSET: Key = Key::rule(
    "charset",
    Kind::Inline,
    "nothing is said; in a route: as its site says",
    "{ name = \"utf-8\", types = [\"text/html\", \"text/plain\"], replace = false }",
    "The charset that answers of these media types are said to have in Content-Type, where they do not say one themselves; with `replace` those too. Nothing is recoded. `false` says none.",
);
pub(super) const REPLACE: Key = Key::rule(
    "replace",
    Kind::Inline,
    "nothing; in a route: as its site says",
    "{ pairs = [[\"http://inside.example\", \"https://$host\"]], once = true, types = [\"text/html\"], last_modified = false }",
    "Texts in answers of these media types (whatever their case), and what takes their places, with $variables: the first of each, or all without `once`. What is compressed is not looked into: ask the upstream for it plain (`request_headers = { Accept-Encoding = \"\" }`). `last_modified`: Last-Modified and ETag stay. `false` is none.",
);
pub(super) const REFERERS: Key = Key::rule(
    "referers",
    Kind::Texts,
    "all; in a route: as its site says",
    "[\"none\", \"blocked\", \"*.example.org\", \"example.net/shop/\"]",
    "Which values of Referer are valid: `$invalid_referer` is \"1\" with any other, and empty else, for `rules`. \"none\": no such field, \"blocked\": one without a scheme, hosts with patterns as in `hosts` and what follows them, `~` and an expression for all after the scheme, `host~` and one for the host.",
);

pub(super) const CLIENT_ADDRESS: Key = Key::rule(
    "client_address",
    Kind::Inline,
    "by `server.trusted_proxies`",
    "{ from = [\"10.0.0.0/8\"], header = \"X-Real-IP\", recursive = false }",
    "In the place of `server.trusted_proxies` for rules, limits, logs and variables: a connection from an address or network in `from`, or with \"unix:\" in it on a unix socket, has the client's address in this field, whose last entry counts; with `recursive` the last one that is not in `from`. A route's is asked where its site's finds nothing.",
);

static CLIENT_ADDRESS_TABLE: Table = Table {
    header: "client_address",
    about: "",
    keys: &[
        Key::required(
            "from",
            Kind::Texts,
            "[\"10.0.0.0/8\"]",
            "Who may speak for others.",
        ),
        Key::new(
            "header",
            Kind::Text,
            "\"X-Forwarded-For\"",
            "Where they say it.",
        ),
        Key::new(
            "recursive",
            Kind::Flag,
            "false",
            "Whether entries of `from` are looked past.",
        ),
    ],
};

static REPLACE_TABLE: Table = Table {
    header: "replace",
    about: "",
    keys: &[
        Key::new("pairs", Kind::Pairs, "[]", "What by what."),
        Key::new("once", Kind::Flag, "true", "The first only."),
        Key::new("types", Kind::Texts, "[\"text/html\"]", "In which."),
        Key::new("last_modified", Kind::Flag, "false", "Kept."),
    ],
};

static CHARSET_TABLE: Table = Table {
    header: "charset",
    about: "",
    keys: &[
        Key::required("name", Kind::Text, "\"utf-8\"", "Its name."),
        Key::new(
            "types",
            Kind::Texts,
            "[\"text/html\", \"text/xml\", \"text/plain\", \"text/vnd.wap.wml\", \"application/javascript\", \"application/rss+xml\"]",
            "Of which.",
        ),
        Key::new("replace", Kind::Flag, "false", "In any case."),
    ],
};

static TABLE: Table = Table {
    header: "compress",
    about: "",
    keys: &[
        Key::new(
            "types",
            Kind::Texts,
            "[\"text/html\", \"text/css\", \"text/plain\", \"text/xml\", \"text/javascript\", \"text/markdown\", \"application/javascript\", \"application/json\", \"application/manifest+json\", \"application/wasm\", \"application/xml\", \"application/x-ipynb+json\", \"image/svg+xml\"]",
            "Media types.",
        ),
        Key::new(
            "min_length",
            Kind::Size(0, 1 << 40),
            "\"256B\"",
            "At least.",
        ),
        Key::new("level", Kind::Count(1, 9), "4", "Of compression."),
        Key::new("vary", Kind::Flag, "true", "Whether caches are told."),
        Key::new("proxied", Kind::Texts, "[\"any\"]", "With Via."),
        Key::new("http_1_0", Kind::Flag, "false", "Old clients too."),
        Key::new("except", Kind::Texts, "[]", "By User-Agent."),
    ],
};

/// Reads them.
pub(super) fn bodies(reader: &Reader<'_>, context: Context<'_>) -> Option<Bodies> {
    let compress = compression(reader, context);
    let decompress = reader.optional("decompress", Reader::flag);
    let charset = charset(reader, context);
    let replace = replace(reader, context);
    Some(Bodies {
        compress: compress?.map(Arc::new),
        decompress: decompress?.map(|at| at.value),
        charset: charset?,
        replace: replace?,
    })
}

fn replace(reader: &Reader<'_>, context: Context<'_>) -> Option<Option<Option<Arc<Replace>>>> {
    if is_false(reader, "replace") {
        return Some(Some(None));
    }
    reader.inline("replace", &REPLACE_TABLE, context, |reader| {
        let pairs = pairs(reader, "pairs", |reader, from_field, from, to_field, to| {
            let from = text(from_field, Text::parse_with(from, reader.own()));
            let to = text(to_field, Text::parse_with(to, reader.own()));
            Some((from?, to?))
        });
        let once = reader.flag("once");
        let types = reader.texts("types");
        let last_modified = reader.flag("last_modified");
        let types = types?;
        Some(Some(Arc::new(Replace {
            pairs: pairs?,
            once: value(once)?,
            types: MediaTypes::new(types.iter().map(|at| &*at.value)),
            last_modified: value(last_modified)?,
        })))
    })
}

fn is_false(reader: &Reader<'_>, key: &str) -> bool {
    let typed = reader.typed(key);
    typed.is_some_and(|typed| matches!(typed.get_ref(), DeValue::Boolean(false)))
}

fn charset(reader: &Reader<'_>, context: Context<'_>) -> Option<Option<Option<Arc<Charset>>>> {
    if is_false(reader, "charset") {
        return Some(Some(None));
    }
    reader.inline("charset", &CHARSET_TABLE, context, |reader| {
        let name = reader.field("name", |field| {
            let name = field.text()?;
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+".contains(&byte);
            match !name.is_empty() && name.bytes().all(fine) {
                true => Some(name.into()),
                false => field.refuse("bad-charset", format!("`{name}` is no charset"), None),
            }
        });
        let types = reader.texts("types");
        let replace = reader.flag("replace");
        let (name, types) = (value(name)?, types?);
        Some(Some(Arc::new(Charset {
            name,
            types: MediaTypes::new(types.iter().map(|at| &*at.value)),
            replace: value(replace)?,
        })))
    })
}

/// Reads `referers`: `Some(None)` when it is not written.
pub(super) fn referers(reader: &Reader<'_>) -> Option<Option<Arc<Referers>>> {
    if reader.typed("referers").is_none() {
        return Some(None);
    }
    let words = reader.texts("referers")?.into_iter();
    match Referers::parse(words.map(|at| at.value.into()).collect()) {
        Ok(referers) => Some(Some(Arc::new(referers))),
        Err(message) => {
            let span = reader.typed("referers").map(|typed| typed.span());
            let span = span.unwrap_or_else(|| reader.span());
            reader.refuse(Diagnostic::error("bad-referer", span, message))
        }
    }
}

/// Reads `client_address`: `Some(None)` when it is not written.
pub(super) fn client_address(
    reader: &Reader<'_>,
    context: Context<'_>,
) -> Option<Option<Arc<ClientAddress>>> {
    reader.inline("client_address", &CLIENT_ADDRESS_TABLE, context, |reader| {
        let from = reader.list("from", |field| match field.text()? {
            "unix:" => Some(None),
            _ => field.network().map(Some),
        });
        let header = reader.field("header", |field| {
            let name = field.text()?;
            name.parse().map_or_else(
                |_| field.refuse("bad-header", format!("`{name}` is no field's name"), None),
                Some,
            )
        });
        let recursive = reader.flag("recursive");
        Some(Arc::new(ClientAddress {
            from_unix: from.as_ref()?.iter().any(|at| at.value.is_none()),
            from: from?.into_iter().filter_map(|at| at.value).collect(),
            header: value(header)?,
            recursive: value(recursive)?,
        }))
    })
}

fn compression(reader: &Reader<'_>, context: Context<'_>) -> Option<Option<Compression>> {
    if is_false(reader, "compress") {
        return Some(Some(Compression::Off));
    }
    reader.inline("compress", &TABLE, context, |reader| {
        let types = reader.texts("types");
        let min_length = reader.size("min_length");
        let level = reader.count("level");
        let vary = reader.flag("vary");
        let http_1_0 = reader.flag("http_1_0");
        let proxied = reader.list("proxied", |field| {
            Proxied::of([field.text()?]).map_or_else(
                |(word, near)| {
                    let hint = near.map(|near| format!("did you mean `{near}`?"));
                    field.refuse("bad-word", format!("`proxied` cannot be `{word}`"), hint)
                },
                Some,
            )
        });
        let except = reader.list("except", |field| {
            let text = field.text()?;
            Pattern::new(text, false).map_or_else(
                |reason| {
                    let message = format!("`{text}` is no expression");
                    field.refuse("bad-regex", message, Some(reason))
                },
                Some,
            )
        });
        let types = types?;
        let proxied = proxied?.into_iter().map(|at| at.value);
        Some(Compression::On(Box::new(Compress {
            types: MediaTypes::new(types.iter().map(|at| &*at.value)),
            min_length: value(min_length)?,
            level: value(level)?,
            vary: value(vary)?,
            proxied: proxied.fold(Proxied::OFF, Proxied::and),
            http_1_0: value(http_1_0)?,
            except: except?.into_iter().map(|at| at.value).collect(),
        })))
    })
}
