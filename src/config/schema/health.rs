//! `health` of `[upstream.NAME]`: how its endpoints are checked.
//!
//! As typed; what a check asks when nothing is said follows from the routes, which `validate` knows.

use std::time::Duration;

use super::balancing::statuses;
use super::reader::{Context, Reader, value};
use super::value::Field;
use super::{Key, Kind, Table};

pub(super) const HEALTH: Key = Key::rule(
    "health",
    Kind::Inline,
    "behind a route with a preset a check of `/hub/health` (jupyterhub) or `/health` (binderhub) below the route's path, else none",
    "{ kind = \"http\", path = \"/\", host = \"hub.example.org\", expect = [\"200-399\"], body = \"ok\", port = 8081, interval = \"10s\", jitter = \"10%\", timeout = \"5s\", rise = 2, fall = 3, initial = \"up\" }",
    "Asks each endpoint every `interval`, a `jitter` sooner or later, on the address that requests use (`port` is another one on the same host), whether it is well. `kind`: \"http\", \"tcp\" (it accepts a connection), \"grpc\" (its health service says that `service` is serving; without a name, the server; needs `protocol` \"h2\" or \"h2c\") or \"off\". It is down after `fall` failures in a row and up after `rise` successes; until the first it is `initial`, \"up\" or \"down\". An HTTP check asks for `path` with `host` (the first site's that has a route here, else the address) and is passed by a status in `expect` and, when `body` is given, an answer with these bytes in its first 64 KiB. When all are down, all get requests. Keys left out are as here; `body` and `port` are none, `service` is empty. Also as a table, [upstream.hub.health].",
);

const LONGEST_SERVICE: usize = 1024;

static HEALTH_TABLE: Table = Table {
    header: "[upstream.hub.health]",
    about: "",
    keys: &[
        Key::new(
            "kind",
            Kind::Word(&["http", "tcp", "grpc", "off"]),
            "\"http\"",
            "How.",
        ),
        Key::rule(
            "path",
            Kind::Text,
            "what the preset says, else `/`",
            "\"/\"",
            "What.",
        ),
        Key::rule(
            "host",
            Kind::Text,
            "the site's",
            "\"hub.example.org\"",
            "`Host`.",
        ),
        Key::new("service", Kind::Text, "\"\"", "Of a gRPC server."),
        Key::new("expect", Kind::Texts, "[\"200-399\"]", "Statuses."),
        Key::rule("body", Kind::Text, "none", "\"ok\"", "In the answer."),
        Key::rule(
            "port",
            Kind::Count(1, 65_535),
            "the endpoint's",
            "8081",
            "Where.",
        ),
        Key::new("interval", Kind::Duration(1), "\"10s\"", "How often."),
        Key::new(
            "jitter",
            Kind::Percent(0, 50),
            "\"10%\"",
            "Of the interval.",
        ),
        Key::new("timeout", Kind::Duration(1), "\"5s\"", "For one check."),
        Key::new("rise", Kind::Count(1, 1000), "2", "Successes."),
        Key::new("fall", Kind::Count(1, 1000), "3", "Failures."),
        Key::new(
            "initial",
            Kind::Word(&["up", "down"]),
            "\"up\"",
            "Until then.",
        ),
    ],
};

/// The table as typed.
#[derive(Debug)]
pub(in crate::config) struct Health {
    pub(in crate::config) kind: HealthKind,
    pub(in crate::config) path: Option<String>,
    pub(in crate::config) host: Option<String>,
    pub(in crate::config) service: String,
    pub(in crate::config) expect: Vec<(u16, u16)>,
    pub(in crate::config) body: Option<String>,
    pub(in crate::config) port: Option<u16>,
    pub(in crate::config) interval: Duration,
    pub(in crate::config) jitter: u8,
    pub(in crate::config) timeout: Duration,
    pub(in crate::config) rise: u32,
    pub(in crate::config) fall: u32,
    pub(in crate::config) initially_up: bool,
}

/// `kind` as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum HealthKind {
    Http,
    Tcp,
    Grpc,
    Off,
}

/// Reads the table: `Some(None)` when there is none.
pub(super) fn read(reader: &Reader<'_>, context: Context<'_>) -> Option<Option<Health>> {
    reader.inline("health", &HEALTH_TABLE, context, health)
}

/// What stands in a table that is empty.
pub(in crate::config) fn defaults(context: Context<'_>) -> Option<Health> {
    health(&Reader::new(&HEALTH_TABLE, String::new(), None, context))
}

fn health(reader: &Reader<'_>) -> Option<Health> {
    let kind = reader.word("kind");
    let path = reader.optional("path", |reader, key| reader.field(key, path));
    let host = reader.optional("host", |reader, key| reader.field(key, host));
    let service = reader.field("service", service);
    let expect = reader.list("expect", statuses);
    let body = reader.optional("body", Reader::text);
    let port = reader.optional("port", Reader::count);
    let (interval, jitter) = (reader.duration("interval"), reader.percent("jitter"));
    let timeout = reader.duration("timeout");
    let (rise, fall) = (reader.count("rise"), reader.count("fall"));
    let initial = reader.word("initial");
    Some(Health {
        kind: match kind?.value.as_str() {
            "tcp" => HealthKind::Tcp,
            "grpc" => HealthKind::Grpc,
            "off" => HealthKind::Off,
            _ => HealthKind::Http,
        },
        path: path?.map(|at| at.value),
        host: host?.map(|at| at.value),
        service: value(service)?,
        expect: expect?.into_iter().map(|at| at.value).collect(),
        body: body?.map(|at| at.value),
        port: port?.map(|at| at.value),
        interval: value(interval)?,
        jitter: value(jitter)?,
        timeout: value(timeout)?,
        rise: value(rise)?,
        fall: value(fall)?,
        initially_up: initial?.value == "up",
    })
}

fn path(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(text.to_owned());
    }
    let message = format!("`{text}` is not a path to ask for");
    let hint = "it begins with `/` and has no spaces and no letters beyond ASCII".to_owned();
    field.refuse("bad-path", message, Some(hint))
}

/// The name of a service of gRPC, `package.Service`.
fn service(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let fits = text.len() <= LONGEST_SERVICE && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        return Some(text.to_owned());
    }
    field.refuse(
        "bad-service",
        format!("`{text}` is not the name of a gRPC service"),
        Some("as in `grpc.health.v1.Health`".to_owned()),
    )
}

fn host(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(text.to_owned());
    }
    field.refuse("bad-host", format!("`{text}` is not a host"), None)
}
