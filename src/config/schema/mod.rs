//! What may be typed: every table and key with its kind, bounds, default and meaning, one file per TOML table.
//!
//! The same description finds unknown keys, checks each value, fills in defaults and makes `conf/reference.toml`,
//! so that none of them can say something else. What values mean together is for `validate`.

mod access;
pub(super) mod access_log;
pub(super) mod acme;
mod action;
mod address;
pub(super) mod admin;
pub(super) mod balancing;
mod bodies;
pub(super) mod client_terms;
mod client_trust;
pub(super) mod definition;
mod detours;
pub(super) mod error_pages;
mod errors;
mod files;
pub(super) mod heads;
pub(super) mod health;
pub(super) mod limit;
pub(super) mod limits;
pub(super) mod listen;
pub(super) mod listener;
pub(super) mod log;
mod log_target;
mod mirror;
mod protection;
pub(super) mod reader;
mod replaced;
pub(super) mod resolver;
pub(super) mod route;
mod rules;
pub(super) mod server;
pub(super) mod site;
pub(super) mod stream;
pub(super) mod timeouts;
pub(super) mod tls;
pub(super) mod upstream;
pub(super) mod upstream_tls;
mod value;
pub(super) mod why;

pub(super) use value::kind_of;

/// A TOML table.
#[derive(Debug)]
pub(super) struct Table {
    /// As it is written at the head: `[server]`.
    pub(super) header: &'static str,
    /// What it is about, for the reference.
    pub(super) about: &'static str,
    /// Its keys, in the order of the reference.
    pub(super) keys: &'static [Key],
}

impl Table {
    /// The description of one of its keys.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// A key of a table.
#[derive(Debug)]
pub(super) struct Key {
    /// As it is written.
    pub(super) name: &'static str,
    /// What it takes.
    pub(super) kind: Kind,
    /// What it is when it is not written.
    pub(super) default: Default,
    /// What it means, with its unit.
    pub(super) about: &'static str,
}

/// What a key is when it is not written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Default {
    /// This TOML value.
    Value(&'static str),
    /// No fixed value: the rule in words, and an example in TOML.
    Rule(&'static str, &'static str),
    /// It or the key named here has to be written; an example in TOML.
    Either(&'static str, &'static str),
    /// It has to be written; an example in TOML.
    Required(&'static str),
    /// It is a table of its own.
    Table,
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number between two bounds, both included.
    Count(u64, u64),
    /// A length of time, at least so many milliseconds: 0, or 1 for "above zero".
    Duration(u64),
    /// A number of bytes between two bounds, both included.
    Size(u64, u64),
    /// A size or `"none"`.
    SizeOrNone,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of these words.
    Words(&'static [&'static str]),
    /// A share between two bounds, both included: `"20%"`.
    Percent(u8, u8),
    /// Text of a form that `about` tells.
    Text,
    /// A file or folder; a relative path starts from the configuration file's folder.
    Path,
    /// One IP address with a port.
    Address,
    /// A list of IP addresses with ports.
    Addresses,
    /// An address to listen on, or a table with more.
    Listener,
    /// A list of them.
    Listeners,
    /// A list of IP addresses with ports, or tables with more.
    Endpoints,
    /// A table whose keys `about` tells.
    Inline,
    /// A list of tables whose keys `about` tells.
    Inlines,
    /// A list of texts.
    Texts,
    /// A list of pairs of texts.
    Pairs,
    /// A certificate's source.
    Certificate,
    /// `true`, `false` or a table: TLS to an upstream.
    Tls,
    /// One of these numbers.
    Status(&'static [u16]),
    /// A table, or several.
    Table,
}

/// Every table but the root, in the order of the reference.
pub(super) static TABLES: &[&Table] = &[
    &server::TABLE,
    &listen::TABLE,
    &limits::TABLE,
    &timeouts::TABLE,
    &tls::TABLE,
    &log::TABLE,
    &access_log::TABLE,
    &error_pages::TABLE,
    &admin::TABLE,
    &why::TABLE,
    &acme::TABLE,
    &site::TABLE,
    &route::TABLE,
    &limit::RATE,
    &limit::CONCURRENCY,
    &stream::TABLE,
    &upstream::TABLE,
    &resolver::TABLE,
    &definition::MAP,
    &definition::GEO,
    &definition::SPLIT,
    &definition::SIGNED,
];

/// The file itself.
pub(super) static ROOT: Table = Table {
    header: "the file",
    about: "",
    keys: &[
        Key::table("server", "the process"),
        Key::table("listen", "addresses every site answers on"),
        Key::table("limits", "bounds on what clients may take"),
        Key::table(
            "timeouts",
            "what a client gets before its connection is ended",
        ),
        Key::table("tls", "how connections of clients are secured"),
        Key::table("log", "events of the process"),
        Key::table("access_log", "one line a request"),
        Key::table(
            "error_pages",
            "what people are told when something goes wrong",
        ),
        Key::table("admin", "where the running process is asked and told"),
        Key::table("why", "what is remembered of single requests"),
        Key::table("acme", "the certificate authority"),
        Key::table("site", "sites, by host"),
        Key::table("rate", "how often requests may come, by name"),
        Key::table("concurrency", "how many requests at once, by name"),
        Key::table("stream", "connections that are passed on unopened"),
        Key::table("upstream", "groups of endpoints, by name"),
        Key::table("resolver", "how names of endpoints are looked up"),
        Key::table("map", "variables by another text"),
        Key::table("geo", "variables by address"),
        Key::table("split", "variables by share"),
        Key::table("signed", "variables by what signs a link"),
    ],
};

impl Key {
    /// A key with a fixed default, written in TOML.
    const fn new(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        about: &'static str,
    ) -> Self {
        let default = Default::Value(default);
        Self {
            name,
            kind,
            default,
            about,
        }
    }

    /// A key whose default follows a rule.
    const fn rule(
        name: &'static str,
        kind: Kind,
        rule: &'static str,
        example: &'static str,
        about: &'static str,
    ) -> Self {
        let default = Default::Rule(rule, example);
        Self {
            name,
            kind,
            default,
            about,
        }
    }

    /// A key that has to be written.
    const fn required(
        name: &'static str,
        kind: Kind,
        example: &'static str,
        about: &'static str,
    ) -> Self {
        let default = Default::Required(example);
        Self {
            name,
            kind,
            default,
            about,
        }
    }

    /// A key that has to be written unless another is.
    const fn either(
        name: &'static str,
        kind: Kind,
        other: &'static str,
        example: &'static str,
        about: &'static str,
    ) -> Self {
        let default = Default::Either(other, example);
        Self {
            name,
            kind,
            default,
            about,
        }
    }

    /// A table inside a table.
    const fn table(name: &'static str, about: &'static str) -> Self {
        let (kind, default) = (Kind::Table, Default::Table);
        Self {
            name,
            kind,
            default,
            about,
        }
    }
}
