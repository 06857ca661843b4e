//! Reads one table of a file by its description: unknown keys, missing keys, defaults, and the place of each value.
//!
//! A fault is noted and reading goes on, so one run finds them all. `None` from a read always means that a fault has
//! been noted. What single values may be is in `value`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use time::OffsetDateTime;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::listener::listener;
use super::value::Field;
use super::{Default, Key, Kind, TABLES, Table};
use crate::config::diagnostic::{Diagnostic, Sink};
use crate::config::listener::Listener;
use crate::config::own_names::OwnNames;
use crate::config::source::{Source, Span};
use crate::config::suggest::nearest;
use crate::types::address::Address;
use crate::types::amount::ByteSize;

/// A value with its place in the text. A default's place is the head of its table.
#[derive(Clone, Debug)]
pub(in crate::config) struct At<T> {
    pub(in crate::config) value: T,
    pub(in crate::config) span: Span,
}

/// The value without its place.
pub(super) fn value<T>(at: Option<At<T>>) -> Option<T> {
    at.map(|at| at.value)
}

/// What every reader of one file shares.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Context<'a> {
    pub(in crate::config) source: &'a Source,
    pub(in crate::config) sink: &'a Sink,
    pub(in crate::config) files: Files,
    /// Variables that the file itself names.
    pub(in crate::config) own: &'a OwnNames,
}

/// Reads a file of at most so many bytes, or says why not.
pub(in crate::config) type ReadFile = fn(&Path, u64) -> Result<String, String>;

/// How files are read whose contents are part of the configuration; `None`: they are not looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::config) struct Files(pub(in crate::config) Option<(ReadFile, OffsetDateTime)>);

impl Files {
    /// The text of a file of at most `most` bytes.
    pub(in crate::config) fn read(self, path: &Path, most: u64) -> Option<Result<String, String>> {
        self.0.map(|(read, _)| read(path, most))
    }

    /// The time at which what they hold has to be good.
    pub(in crate::config) fn time(self) -> Option<OffsetDateTime> {
        self.0.map(|(_, now)| now)
    }
}

/// One table being read.
pub(in crate::config) struct Reader<'a> {
    schema: &'static Table,
    /// As it is called in messages: `[server]`.
    name: String,
    table: Option<&'a DeTable<'a>>,
    span: Span,
    context: Context<'a>,
}

impl<'a> Reader<'a> {
    /// A reader of `table`, called `name` in messages; notes its unknown keys. Without a table all is default.
    pub(in crate::config) fn new(
        schema: &'static Table,
        name: String,
        table: Option<(&'a DeTable<'a>, Span)>,
        context: Context<'a>,
    ) -> Self {
        Self::open(schema, name, table, context, |_| false)
    }

    /// As [`Reader::new`], of a table that takes further keys: those for which `also` holds.
    pub(super) fn open(
        schema: &'static Table,
        name: String,
        table: Option<(&'a DeTable<'a>, Span)>,
        context: Context<'a>,
        also: impl Fn(&str) -> bool,
    ) -> Self {
        let (table, span) = table.map_or((None, 0..0), |(table, span)| (Some(table), span));
        let reader = Self {
            schema,
            name,
            table,
            span,
            context,
        };
        for (key, _) in table.into_iter().flatten() {
            if schema.key(key.get_ref()).is_none() && !also(key.get_ref()) {
                reader.note(reader.unknown_key(key.get_ref(), key.span()));
            }
        }
        reader
    }

    /// A reader of a table within this one.
    pub(in crate::config) fn inner(
        &self,
        schema: &'static Table,
        name: String,
        table: (&'a DeTable<'a>, Span),
    ) -> Self {
        Self::new(schema, name, Some(table), self.context)
    }

    /// The head of the table.
    pub(in crate::config) fn span(&self) -> Span {
        self.span.clone()
    }

    /// As the table is called in messages.
    pub(in crate::config) fn name(&self) -> &str {
        &self.name
    }

    /// Variables that the file itself names.
    pub(in crate::config) fn own(&self) -> &'a OwnNames {
        self.context.own
    }

    /// Notes something.
    pub(in crate::config) fn note(&self, diagnostic: Diagnostic) {
        self.context.sink.push(diagnostic);
    }

    /// Notes a fault and says "no value".
    pub(in crate::config) fn refuse<T>(&self, diagnostic: Diagnostic) -> Option<T> {
        self.context.sink.refuse(diagnostic)
    }

    /// `path` as seen from the configuration file's folder.
    pub(in crate::config) fn resolve(&self, path: &str) -> PathBuf {
        self.context.source.resolve(path)
    }

    /// Where the key's value is, when it is written.
    pub(in crate::config) fn typed(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table?
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(_, value)| value)
    }

    /// Reads the key when it is written: `Some(None)` when it is not, `None` when it has a fault.
    pub(in crate::config) fn optional<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Self, &'static str) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.typed(key) {
            Some(_) => read(self, key).map(Some),
            None => Some(None),
        }
    }

    /// `true` or `false`.
    pub(in crate::config) fn flag(&self, key: &'static str) -> Option<At<bool>> {
        self.field(key, |field| field.flag())
    }

    /// A whole number within the key's bounds.
    pub(in crate::config) fn count<N: TryFrom<u64>>(&self, key: &'static str) -> Option<At<N>> {
        self.field(key, |field| field.count())
    }

    /// A length of time.
    pub(in crate::config) fn duration(&self, key: &'static str) -> Option<At<Duration>> {
        self.field(key, |field| field.duration())
    }

    /// A number of bytes within the key's bounds.
    pub(in crate::config) fn size(&self, key: &'static str) -> Option<At<ByteSize>> {
        self.field(key, |field| field.size())
    }

    /// A number of bytes, or none.
    pub(in crate::config) fn size_or_none(
        &self,
        key: &'static str,
    ) -> Option<At<Option<ByteSize>>> {
        self.field(key, |field| field.size_or_none())
    }

    /// One of the key's words.
    pub(in crate::config) fn word(&self, key: &'static str) -> Option<At<String>> {
        self.field(key, |field| field.word())
    }

    /// Several of the key's words.
    pub(in crate::config) fn words(&self, key: &'static str) -> Option<Vec<At<String>>> {
        self.list(key, |field| field.word())
    }

    /// A whole number of percent.
    pub(in crate::config) fn percent(&self, key: &'static str) -> Option<At<u8>> {
        self.field(key, |field| field.percent())
    }

    /// One of the key's numbers.
    pub(in crate::config) fn status(&self, key: &'static str) -> Option<At<u16>> {
        self.field(key, |field| field.status())
    }

    /// Text.
    pub(in crate::config) fn text(&self, key: &'static str) -> Option<At<String>> {
        self.field(key, |field| field.text().map(str::to_owned))
    }

    /// A path, made absolute or seen from the configuration file's folder.
    pub(in crate::config) fn path(&self, key: &'static str) -> Option<At<PathBuf>> {
        self.field(key, |field| field.path(self.context.source))
    }

    /// The keys that are written, in the order of the text.
    pub(super) fn written(&self) -> Vec<String> {
        let keys = self.table.into_iter().flatten();
        let mut keys: Vec<_> = keys.map(|(key, _)| key).collect();
        keys.sort_by_key(|key| key.span().start);
        keys.into_iter()
            .map(|key| key.get_ref().to_string())
            .collect()
    }

    /// The path under a key that the schema does not name, and that takes what `like` takes.
    pub(super) fn path_as(&self, key: &str, like: &'static Key) -> Option<At<PathBuf>> {
        self.field_as(key, like, |field| field.path(self.context.source))
    }

    /// What is under a key that the schema does not name, read as one that takes what `like` takes.
    pub(super) fn field_as<T>(
        &self,
        key: &str,
        like: &'static Key,
        read: impl FnOnce(&Field<'_>) -> Option<T>,
    ) -> Option<At<T>> {
        let typed = self.typed(key)?;
        let span = typed.span();
        let field = Field::new(like, typed.get_ref(), span.clone(), self.context.sink);
        let value = read(&field)?;
        Some(At { value, span })
    }

    /// An IP address with a port to listen on.
    pub(in crate::config) fn address(&self, key: &'static str) -> Option<At<SocketAddr>> {
        self.field(key, |field| field.address())
    }

    /// Addresses that are listened on, of sockets of any kind.
    pub(in crate::config) fn addresses(&self, key: &'static str) -> Option<Vec<At<Address>>> {
        self.list(key, |field| field.listen_address(self.context.source))
    }

    /// A listener.
    pub(in crate::config) fn listener(&self, key: &'static str) -> Option<At<Listener>> {
        self.field(key, |field| listener(field, self.context))
    }

    /// Several of them.
    pub(in crate::config) fn listeners(&self, key: &'static str) -> Option<Vec<At<Listener>>> {
        self.list(key, |field| listener(field, self.context))
    }

    /// Networks and single addresses.
    pub(in crate::config) fn networks(&self, key: &'static str) -> Option<Vec<IpNet>> {
        let all = self.list(key, |field| field.network())?;
        Some(all.into_iter().map(|at| at.value).collect())
    }

    /// Reads the table that a key may have: `Some(None)` when it is not written.
    pub(super) fn inline<T>(
        &self,
        key: &'static str,
        schema: &'static Table,
        context: Context<'_>,
        read: impl FnOnce(&Reader<'_>) -> Option<T>,
    ) -> Option<Option<T>> {
        let Some(table) = self.table(key)? else {
            return Some(None);
        };
        let name = format!("`{key}` of {}", self.name);
        read(&Reader::new(schema, name, Some(table), context)).map(Some)
    }

    /// Several texts.
    pub(in crate::config) fn texts(&self, key: &'static str) -> Option<Vec<At<String>>> {
        self.list(key, |field| field.text().map(str::to_owned))
    }

    /// Reads the key, or its default, with `read`.
    pub(in crate::config) fn field<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Field<'_>) -> Option<T>,
    ) -> Option<At<T>> {
        let schema = self.schema.key(key)?;
        if let Some(typed) = self.typed(key) {
            let span = typed.span();
            let field = Field::new(schema, typed.get_ref(), span.clone(), self.context.sink);
            return read(&field).map(|value| At { value, span });
        }
        match schema.default {
            Default::Value(text) => {
                let default = DeValue::parse(text).ok()?;
                let field = Field::new(schema, default.get_ref(), self.span(), self.context.sink);
                read(&field).map(|value| At {
                    value,
                    span: self.span(),
                })
            }
            Default::Required(example) => self.refuse(self.missing_key(schema, example)),
            Default::Rule(..) | Default::Either(..) | Default::Table => None,
        }
    }

    /// Reads each element of a list; all are read before a fault ends it.
    pub(super) fn list<T>(
        &self,
        key: &'static str,
        read: impl Fn(&Field<'_>) -> Option<T>,
    ) -> Option<Vec<At<T>>> {
        let all = self.field(key, |field| {
            let elements = field.list()?;
            let read = elements.iter().map(|element| {
                read(element).map(|value| At {
                    value,
                    span: element.span(),
                })
            });
            Some(read.collect::<Vec<_>>())
        })?;
        all.value.into_iter().collect()
    }

    /// The table under a key, a fault when it is none.
    pub(in crate::config) fn table(&self, key: &str) -> Option<Option<(&'a DeTable<'a>, Span)>> {
        let Some(typed) = self.typed(key) else {
            return Some(None);
        };
        match typed.get_ref() {
            DeValue::Table(table) => Some(Some((table, typed.span()))),
            other => self.refuse(
                Diagnostic::error(
                    "wrong-type",
                    typed.span(),
                    format!("`{key}` is a table, not {}", super::value::kind_of(other)),
                )
                .hint(match key {
                    "site" => "write it as `[site.\"hub.example.org\"]`".to_owned(),
                    "upstream" => "write it as `[upstream.hub]`".to_owned(),
                    key => format!("write it as `[{key}]`, with its keys on the lines below"),
                }),
            ),
        }
    }

    /// The tables of a list of them; one that is none of all is a fault.
    pub(in crate::config) fn tables(&self, key: &str) -> Option<Vec<(&'a DeTable<'a>, Span)>> {
        let Some(typed) = self.typed(key) else {
            return Some(Vec::new());
        };
        let refuse = |span: Span, found: &DeValue<'_>| {
            let whole = match self.name.trim_matches(['`', '[', ']']) {
                "" => key.to_owned(),
                name => format!("{name}.{key}"),
            };
            let message = format!(
                "`{key}` is a list of tables, not {}",
                super::value::kind_of(found)
            );
            self.note(Diagnostic::error("wrong-type", span, message).hint(format!(
                "write each {key} as `[[{whole}]]`, with double brackets"
            )));
        };
        let DeValue::Array(array) = typed.get_ref() else {
            refuse(typed.span(), typed.get_ref());
            return None;
        };
        let tables = array.iter().map(|element| match element.get_ref() {
            DeValue::Table(table) => Some((table, element.span())),
            other => {
                refuse(element.span(), other);
                None
            }
        });
        // All are looked at before a fault ends it.
        tables.collect::<Vec<_>>().into_iter().collect()
    }

    fn missing_key(&self, key: &Key, example: &str) -> Diagnostic {
        Diagnostic::error(
            "missing-key",
            self.span(),
            format!("{} has no `{}`", self.name, key.name),
        )
        .label(format!("needs `{}`", key.name))
        .hint(format!("add `{} = {example}`", key.name))
    }

    fn unknown_key(&self, key: &str, span: Span) -> Diagnostic {
        let message = match self.name.as_str() {
            "" => format!("`{key}` is not a key or a table of the file"),
            name => format!("`{key}` is not a key of {name}"),
        };
        let diagnostic = Diagnostic::error("unknown-key", span, message);
        if let Some(nearest) = nearest(key, self.schema.keys.iter().map(|key| key.name)) {
            return diagnostic.did_you_mean(Some(nearest));
        }
        let home = TABLES.iter().find(|table| {
            table
                .key(key)
                .is_some_and(|key| !matches!(key.kind, Kind::Table))
        });
        match home {
            Some(table) => diagnostic.hint(format!("`{key}` belongs in `{}`", table.header)),
            None => {
                let known: Vec<_> = self
                    .schema
                    .keys
                    .iter()
                    .map(|key| format!("`{}`", key.name))
                    .collect();
                diagnostic.hint(format!("known here: {}", known.join(", ")))
            }
        }
    }
}
