//! What the tables mean together: names that must exist, addresses and hosts that must not meet twice.
//!
//! Takes tables as typed, gives the checked [`Config`]. `None` always means that a fault has been noted.

mod definition;
mod detours;
mod health;
mod limit;
mod listen;
mod route;
mod routes;
mod site;
mod stream;
mod stream_more;
mod tls;
mod upstream;
mod upstream_tls;

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::client_terms::ClientTerms;
use super::diagnostic::{Diagnostic, Sink};
use super::error_pages::ErrorPages;
use super::listener::Listener;
use super::model::Config;
use super::pieces::Pieces;
use super::schema::reader::{At, Context, Reader};
use super::schema::{self, ROOT, Table, kind_of};
use super::source::Span;
use crate::types::pause::pause;

/// Reads and checks a whole document; without `whole`, relations between tables are not checked. Its sites may be in
/// pieces: with `None` from them no fault need have been noted.
pub(super) fn document(
    document: &DeTable<'_>,
    pieces: Option<&Pieces<'_>>,
    whole: bool,
    context: Context<'_>,
) -> Option<Config> {
    let unheard = Sink::default();
    let relations = Context {
        sink: if whole { context.sink } else { &unheard },
        ..context
    };
    let root = Reader::new(&ROOT, String::new(), Some((document, 0..0)), context);
    let server = section(
        &root,
        "server",
        &schema::server::TABLE,
        context,
        schema::server::read,
    );
    let listen = section(
        &root,
        "listen",
        &schema::listen::TABLE,
        context,
        schema::listen::read,
    );
    let limits = section(
        &root,
        "limits",
        &schema::limits::TABLE,
        context,
        schema::limits::read,
    );
    let timeouts = section(
        &root,
        "timeouts",
        &schema::timeouts::TABLE,
        context,
        schema::timeouts::read,
    );
    let log = section(
        &root,
        "log",
        &schema::log::TABLE,
        context,
        schema::log::read,
    );
    let access_log = section(
        &root,
        "access_log",
        &schema::access_log::TABLE,
        context,
        schema::access_log::read,
    )
    .map(Arc::new);
    let error_pages = schema::error_pages::read(&root, context)
        .map(|pages| pages.over(&Arc::new(ErrorPages::default())));
    let tls = schema::tls::read(&root, context)
        .and_then(|typed| tls::check(&typed, &Arc::default(), relations));
    let admin = section(
        &root,
        "admin",
        &schema::admin::TABLE,
        context,
        schema::admin::read,
    );
    let why = section(
        &root,
        "why",
        &schema::why::TABLE,
        context,
        schema::why::read,
    );
    let acme = section(&root, "acme", &schema::acme::TABLE, context, |reader| {
        schema::acme::read(reader, context)
    });
    let resolver = section(
        &root,
        "resolver",
        &schema::resolver::TABLE,
        context,
        schema::resolver::read,
    );
    let definitions = definition::check_all(&root, context);
    let upstreams = upstreams(&root, context);
    let sites = match pieces {
        None => sites(&root, context),
        Some(pieces) => sites_of(pieces, context),
    };
    let streams = streams(&root, context);

    let only_streams = streams.as_ref().is_some_and(|streams| !streams.is_empty());
    let no_sites = sites.as_ref().is_some_and(Vec::is_empty);
    let (admin, admin_listen) = admin.unzip();
    let listen = listen.and_then(|listen| {
        listen::check(
            listen,
            admin_listen.as_ref().and_then(Option::as_ref),
            (&stream_listeners(&streams), only_streams || no_sites),
            &site::listeners(sites.as_deref()),
            relations,
        )
    });
    let rates = zones(
        &root,
        "rate",
        &schema::limit::RATE,
        context,
        schema::limit::rate,
    );
    let concurrency = zones(
        &root,
        "concurrency",
        &schema::limit::CONCURRENCY,
        context,
        schema::limit::concurrency,
    );
    limit::check_names((&sites, &streams), &rates, &concurrency, relations);
    let names = upstream::Names::new(&upstreams);
    // Routes of a file whose `[access_log]` has a fault are still checked; the result is refused anyway.
    let sites = site::check_all(
        (sites, only_streams),
        (access_log.as_ref(), error_pages.as_ref(), tls.as_ref()),
        &ClientTerms::usual(timeouts.as_ref()),
        (listen.as_ref(), acme.as_ref()),
        &names,
        context,
        relations,
    );
    let streams = stream::check_all(
        streams,
        (access_log.as_ref(), tls.as_ref()),
        (listen.as_ref(), sites.as_deref()),
        &names,
        context,
        relations,
    );
    let all_read = sites.as_deref().filter(|_| streams.is_some());
    let upstreams = upstream::check_all(upstreams, &names, all_read, relations);
    Some(Config {
        server: server?,
        listen: listen?,
        limits: limits?,
        timeouts: timeouts?,
        tls: tls?,
        log: log?,
        access_log: access_log?,
        error_pages: error_pages?,
        admin: admin?,
        why: why?,
        acme: acme?,
        sites: sites?,
        rates: rates?,
        concurrency: concurrency?,
        streams: streams?,
        upstreams: upstreams?,
        resolver: resolver?,
        definitions: Arc::new(definitions?),
    })
}

fn section<T>(
    root: &Reader<'_>,
    key: &'static str,
    schema: &'static Table,
    context: Context<'_>,
    read: impl FnOnce(&Reader<'_>) -> Option<T>,
) -> Option<T> {
    let table = root.table(key)?;
    read(&Reader::new(schema, format!("`[{key}]`"), table, context))
}

/// Where streams of connections listen, as far as it could be read.
fn stream_listeners(streams: &Option<Vec<schema::stream::Stream>>) -> Vec<&At<Listener>> {
    let streams = streams.iter().flatten();
    let carries_connections = |stream: &&schema::stream::Stream| {
        let udp = stream.udp.as_ref();
        udp.is_some_and(|udp| !udp.value)
    };
    streams
        .filter(carries_connections)
        .filter_map(|stream| stream.listen.as_ref())
        .collect()
}

/// A table under `[KEY.NAME]` with its name and its place.
type NamedTable<'a> = (At<String>, &'a DeTable<'a>, Span);

/// An upstream as typed, with its table's key.
type NamedUpstream = (At<String>, schema::upstream::Upstream);

fn upstreams(root: &Reader<'_>, context: Context<'_>) -> Option<Vec<NamedUpstream>> {
    let tables = named_tables(root, "upstream", &schema::upstream::TABLE, context)?;
    let read = tables.into_iter().map(|(name, table, span)| {
        let label = format!("`[upstream.{}]`", key_text(&name.value));
        let reader = Reader::new(
            &schema::upstream::TABLE,
            label,
            Some((table, span)),
            context,
        );
        (name, schema::upstream::read(&reader, context))
    });
    Some(read.collect())
}

/// The tables under `[KEY.NAME]`, by their names.
fn zones<T>(
    root: &Reader<'_>,
    key: &'static str,
    schema: &'static Table,
    context: Context<'_>,
    read: impl Fn(&Reader<'_>) -> Option<T>,
) -> Option<limit::Zones<T>> {
    let tables = named_tables(root, key, schema, context)?.into_iter();
    let all: Vec<_> = tables
        .map(|(name, table, span)| {
            let label = format!("`[{key}.{}]`", key_text(&name.value));
            let fine = |c: char| !c.is_control() && c != '"';
            if name.value.is_empty() || !name.value.chars().all(fine) {
                let message = format!("{label} has a name that cannot stand in a line of a log");
                let fault = Diagnostic::error("bad-name", name.span, message);
                return context.sink.refuse(fault);
            }
            let reader = Reader::new(schema, label, Some((table, span)), context);
            Some((name.value.into_boxed_str(), read(&reader)?))
        })
        .collect();
    all.into_iter().collect()
}

fn streams(root: &Reader<'_>, context: Context<'_>) -> Option<Vec<schema::stream::Stream>> {
    let tables = root.tables("stream")?.into_iter();
    let read = tables.map(|table| {
        let name = "a `[[stream]]`".to_owned();
        let reader = Reader::new(&schema::stream::TABLE, name, Some(table), context);
        schema::stream::read(&reader, context)
    });
    Some(read.collect())
}

fn sites(root: &Reader<'_>, context: Context<'_>) -> Option<schema::site::Sites> {
    let tables = named_tables(root, "site", &schema::site::TABLE, context)?;
    let read = tables.into_iter().map(|table| site(table, context));
    Some(read.collect())
}

fn sites_of(pieces: &Pieces<'_>, context: Context<'_>) -> Option<schema::site::Sites> {
    let mut sites = Vec::with_capacity(pieces.count());
    let read = pieces.each(|table| {
        let tables = tables_in(table, "site", &schema::site::TABLE, context)?;
        sites.extend(tables.into_iter().map(|table| site(table, context)));
        Some(())
    });
    read.ok().map(|()| sites)
}

fn site((host, table, span): NamedTable<'_>, context: Context<'_>) -> Box<schema::site::Site> {
    pause();
    let label = format!("`[site.{}]`", key_text(&host.value));
    let reader = Reader::new(&schema::site::TABLE, label, Some((table, span)), context);
    Box::new(schema::site::read(host, &reader, context))
}

/// The tables under `[KEY.NAME]`, in the order of the file.
fn named_tables<'a>(
    root: &Reader<'a>,
    key: &str,
    schema: &Table,
    context: Context<'_>,
) -> Option<Vec<NamedTable<'a>>> {
    match root.table(key)? {
        Some((table, _)) => tables_in(table, key, schema, context),
        None => Some(Vec::new()),
    }
}

/// The tables that a table has, in the order of the file.
fn tables_in<'a>(
    table: &'a DeTable<'a>,
    key: &str,
    schema: &Table,
    context: Context<'_>,
) -> Option<Vec<NamedTable<'a>>> {
    let mut tables = Vec::new();
    let mut good = true;
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    for (name, value) in entries {
        let fault = match value.get_ref() {
            DeValue::Table(inner) => match unquoted(name, inner, schema) {
                Some(meant) => Diagnostic::error(
                    "unquoted-name",
                    name.span(),
                    format!("`{meant}` has dots and needs quotes"),
                )
                .hint(format!("write `[{key}.\"{meant}\"]`")),
                None => {
                    let name = At {
                        value: name.get_ref().to_string(),
                        span: name.span(),
                    };
                    tables.push((name, inner, value.span()));
                    continue;
                }
            },
            _ => {
                let head = format!("[{key}.{}]", key_text(name.get_ref()));
                let message = format!("`{head}` is a table, not {}", kind_of(value.get_ref()));
                Diagnostic::error("wrong-type", value.span(), message)
                    .hint(format!("write `{head}`, with its keys on the lines below"))
            }
        };
        context.sink.push(fault);
        good = false;
    }
    good.then_some(tables)
}

/// The name a person meant by `[site.hub.example.org]`, which TOML takes for tables in tables.
fn unquoted(name: &Spanned<DeString<'_>>, table: &DeTable<'_>, schema: &Table) -> Option<String> {
    // A name that has dots already was quoted.
    if name.get_ref().contains('.') {
        return None;
    }
    let mut inner = table.iter();
    let (key, value) = inner.next().filter(|_| inner.next().is_none())?;
    let mut meant = format!("{}.{}", name.get_ref(), key.get_ref());
    let mut value = match value.get_ref() {
        DeValue::Table(table) if schema.key(key.get_ref()).is_none() => table,
        _ => return None,
    };
    while value.len() == 1 {
        match value.iter().next() {
            Some((key, next)) if schema.key(key.get_ref()).is_none() => match next.get_ref() {
                DeValue::Table(table) => {
                    meant = format!("{meant}.{}", key.get_ref());
                    value = table;
                }
                _ => break,
            },
            _ => break,
        }
    }
    Some(meant)
}

/// A table's key as TOML writes it.
pub(super) fn key_text(key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    match bare {
        true => key.to_owned(),
        false => super::show::quoted(key),
    }
}

/// Notes every value that meets an equal one before it; `what` makes the fault from the later and the earlier.
pub(super) fn each_once<'a, T: Ord + 'a>(
    all: impl IntoIterator<Item = &'a At<T>>,
    sink: &Sink,
    what: impl Fn(&At<T>, &At<T>) -> Diagnostic,
) {
    let mut seen: BTreeMap<&T, &At<T>> = BTreeMap::new();
    for at in all {
        pause();
        match seen.get(&at.value) {
            Some(first) => sink.push(what(at, first).related(first.span.clone(), "the first is")),
            None => {
                seen.insert(&at.value, at);
            }
        }
    }
}
