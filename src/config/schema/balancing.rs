//! The keys of `[upstream.NAME]` that say who gets a request: endpoints with weights, `balance`, `sticky`, `outlier`.
//!
//! They are part of that table, and read apart from it because they go together. Statuses, as ranges, are read here
//! for `health` too.

use std::path::PathBuf;

use http::HeaderName;
use toml::de::{DeTable, DeValue};

use super::address::Target;
use super::reader::{At, Context, Reader, value};
use super::value::Field;
use super::{Key, Kind, Table};
use crate::config::balancing::{Balance, Endpoint, HashOn, Hashing, Outlier, Sticky};
use crate::config::diagnostic::Diagnostic;
use crate::config::discovery::NamedEndpoints;
use crate::config::own_names::OwnNames;
use crate::config::text::Text;
use crate::types::dns_name::DnsName;

pub(super) const ENDPOINTS: Key = Key::either(
    "endpoints",
    Kind::Endpoints,
    "endpoints_file",
    "[\"192.0.2.10:80\"]",
    "IP:port or NAME:port of each, or `unix:` and the path of a socket; or a table with that as `address`, `weight` (1 to 255, its share of the requests) `backup` (true: it gets requests only while no other endpoint can), `max_connections` (of requests and tunnels at once) and `times` (as how many endpoints it counts when a request is tried again). A name stands for all its addresses, IPv4 and IPv6, which are followed (see [resolver]).",
);
pub(super) const ENDPOINTS_SRV: Key = Key::rule(
    "endpoints_srv",
    Kind::Text,
    "none",
    "\"_http._tcp.hub.internal\"",
    "A service whose endpoints are in DNS (SRV records), followed like names. Of each record count the target's addresses, the port, the weight, and the priority: those of the lowest are first, all others are backups.",
);
pub(super) const ENDPOINTS_FILE: Key = Key::rule(
    "endpoints_file",
    Kind::Path,
    "none",
    "\"/run/hubgate/hub-nodes\"",
    "A file with further endpoints, which a script may write: a line for each, IP:port, then, if wanted, `weight=3` and `backup`; `#` begins a comment. If its name ends in `.toml`, it holds `endpoints = [...]` as here instead. It is read again when it changes. A file that is missing, damaged or empty leaves the endpoints as they were.",
);
pub(super) const BALANCE: Key = Key::new(
    "balance",
    Kind::Word(&["round-robin", "least-requests", "random", "hash"]),
    "\"round-robin\"",
    "Who gets the next request: each in turn by weight; or the one with the fewest requests and tunnels for its weight (of two drawn by chance, above eight endpoints); or one drawn by chance, by weight; or always the same for the same key (see `hash_on`), as long as that has no more than 5/4 of its fair share. When one of n endpoints leaves, only its own keys move.",
);
pub(super) const HASH_ON: Key = Key::new(
    "hash_on",
    Kind::Text,
    "\"client\"",
    "The key of `balance = \"hash\"`: \"client\" is the client's address (of IPv6 the first 64 bits), \"header:NAME\" a request field, \"cookie:NAME\" a cookie; or a text with $variables, as \"$request_uri\". Requests without it take turns.",
);
pub(super) const HASH_BOUND: Key = Key::new(
    "hash_bound",
    Kind::Flag,
    "true",
    "Whether an endpoint that has more than 5/4 of its fair share is passed over by `balance = \"hash\"`; without it a key keeps its endpoint however loaded that is.",
);
pub(super) const STICKY: Key = Key::rule(
    "sticky",
    Kind::Inline,
    "none",
    "{ cookie = \"hubgate\", ttl = \"1h\" }",
    "Keeps a browser with the endpoint that answered it first, by a cookie that is sealed: it tells nobody which endpoint that is. A session ends `ttl` after its last request, or when the endpoint cannot be used. Keys left out are as here.",
);
pub(super) const SLOW_START: Key = Key::new(
    "slow_start",
    Kind::Duration(0),
    "\"0s\"",
    "How long an endpoint that joins or comes back takes to its full share: it begins with a tenth of its weight and gains a tenth each tenth of this time. \"0s\" gives it all at once.",
);
pub(super) const OUTLIER: Key = Key::rule(
    "outlier",
    Kind::Inline,
    "as in this example, without `window`, `statuses` and `latency`",
    "{ rest = \"10s\", failures = 5, window = \"10s\", statuses = [\"502-504\"], latency = \"20s\", ejection = \"10s\", longest_ejection = \"1m\", max_ejected = \"67%\" }",
    "When requests show that an endpoint is unwell. After a connect that failed it gets nothing for `rest`. After `failures` in a row (connections that ended, answers that did not come in time or were not HTTP, and those with one of `statuses` or later than `latency`; with `window` those that follow one another so soon, whatever went well between) it is ejected for `ejection`, the next time in a row twice as long, up to `longest_ejection`; but never more than `max_ejected` of the endpoints at a time, though of two or more always one may be. Then it is on trial: a tenth of its share, a tenth more each second, until three requests in a row went well; one that fails ejects it again. Who fails when no more may be ejected is on trial at once, and when no other endpoint is well, those that are left out are, too. With 0 `failures` none is ejected. Also as a table, [upstream.hub.outlier].",
);

static ENDPOINT_TABLE: Table = Table {
    header: "an endpoint",
    about: "",
    keys: &[
        Key::required(
            "address",
            Kind::Address,
            "\"192.0.2.10:80\"",
            "IP:port, NAME:port or `unix:` and a path.",
        ),
        Key::new("weight", Kind::Count(1, 255), "1", "Its share."),
        Key::new("backup", Kind::Flag, "false", "Only while no other can."),
        Key::rule(
            "max_connections",
            Kind::Count(1, 1_000_000),
            "no limit",
            "100",
            "Requests and tunnels that it has at once.",
        ),
        Key::new(
            "times",
            Kind::Count(0, 255),
            "1",
            "How many endpoints it counts as when a request is tried again; 0: it gets none.",
        ),
    ],
};

static STICKY_TABLE: Table = Table {
    header: "[upstream.hub.sticky]",
    about: "",
    keys: &[
        Key::new("cookie", Kind::Text, "\"hubgate\"", "Its name."),
        Key::new("ttl", Kind::Duration(1), "\"1h\"", "From the last request."),
    ],
};

static OUTLIER_TABLE: Table = Table {
    header: "[upstream.hub.outlier]",
    about: "",
    keys: &[
        Key::new(
            "rest",
            Kind::Duration(0),
            "\"10s\"",
            "After a failed connect.",
        ),
        Key::new("failures", Kind::Count(0, 1_000_000), "5", "In a row."),
        Key::rule(
            "window",
            Kind::Duration(1),
            "none",
            "\"10s\"",
            "Failures that follow one another so soon are in a row.",
        ),
        Key::new("statuses", Kind::Texts, "[]", "That are failures."),
        Key::rule(
            "latency",
            Kind::Duration(1),
            "none",
            "\"20s\"",
            "Later is a failure.",
        ),
        Key::new("ejection", Kind::Duration(1), "\"10s\"", "The first."),
        Key::new(
            "longest_ejection",
            Kind::Duration(1),
            "\"1m\"",
            "The longest.",
        ),
        Key::new(
            "max_ejected",
            Kind::Percent(0, 100),
            "\"67%\"",
            "At a time.",
        ),
    ],
};

/// What is read here.
#[derive(Debug)]
pub(in crate::config) struct Balancing {
    pub(in crate::config) endpoints: Vec<At<Endpoint>>,
    pub(in crate::config) named: Vec<At<NamedEndpoints>>,
    pub(in crate::config) service: Option<DnsName>,
    pub(in crate::config) endpoints_file: Option<PathBuf>,
    pub(in crate::config) balance: Balance,
    pub(in crate::config) sticky: Option<Sticky>,
    pub(in crate::config) slow_start: std::time::Duration,
    pub(in crate::config) outlier: Outlier,
}

/// Reads the keys.
pub(super) fn read(reader: &Reader<'_>, context: Context<'_>) -> Option<Balancing> {
    let endpoints = reader.optional("endpoints", |reader, key| {
        reader.list(key, |field| endpoint(field, context))
    });
    let file = reader.optional("endpoints_file", Reader::path);
    let service = reader.optional("endpoints_srv", |reader, key| reader.field(key, service));
    if let (Some(None), Some(None), Some(None)) = (&endpoints, &file, &service) {
        let message = format!("{} has no `endpoints`", reader.name());
        reader.note(
            Diagnostic::error("missing-key", reader.span(), message)
                .label("needs `endpoints`")
                .hint(
                    "add `endpoints = [\"192.0.2.10:80\"]`, an `endpoints_file` or `endpoints_srv`",
                ),
        );
    }
    let on = reader.field("hash_on", |field| hash_on(field, reader.own()));
    let bounded = reader.flag("hash_bound");
    let balance = reader.word("balance");
    let sticky = reader.inline("sticky", &STICKY_TABLE, context, sticky);
    let slow_start = reader.duration("slow_start");
    let outlier = reader.inline("outlier", &OUTLIER_TABLE, context, outlier);
    let on = value(on)?;
    let (typed, file, service) = (endpoints?, file?, service?);
    if typed.is_none() && file.is_none() && service.is_none() {
        return None;
    }
    let (mut endpoints, mut named) = (Vec::new(), Vec::new());
    for At { value, span } in typed.into_iter().flatten() {
        match value {
            Typed::Fixed(value) => endpoints.push(At { value, span }),
            Typed::Named(value) => named.push(At { value, span }),
        }
    }
    Some(Balancing {
        endpoints,
        named,
        service: service.map(|at| at.value),
        endpoints_file: file.map(|at| at.value),
        balance: match balance?.value.as_str() {
            "least-requests" => Balance::LeastRequests,
            "random" => Balance::Random,
            "hash" => Balance::Hash(Hashing {
                on,
                bounded: bounded?.value,
            }),
            _ => Balance::RoundRobin,
        },
        sticky: sticky?,
        slow_start: value(slow_start)?,
        outlier: outlier?.unwrap_or_default(),
    })
}

/// An element of `endpoints`.
enum Typed {
    Fixed(Endpoint),
    Named(NamedEndpoints),
}

impl Typed {
    fn new(target: Target, weight: u8, backup: bool, most: Option<u32>, times: u8) -> Self {
        match target {
            Target::Address(address) => Self::Fixed(Endpoint {
                address,
                weight,
                backup,
                most,
                times,
            }),
            Target::Name(name, port) => Self::Named(NamedEndpoints {
                name,
                port,
                weight,
                backup,
                most,
                times,
            }),
        }
    }
}

fn endpoint(field: &Field<'_>, context: Context<'_>) -> Option<Typed> {
    let DeValue::Table(table) = field.raw() else {
        return Some(Typed::new(
            field.endpoint(context.source)?,
            1,
            false,
            None,
            1,
        ));
    };
    let table = Some((table, field.span()));
    let reader = Reader::new(&ENDPOINT_TABLE, "the endpoint".to_owned(), table, context);
    let address = reader.field("address", |field| field.endpoint(context.source));
    let (weight, backup) = (reader.count("weight"), reader.flag("backup"));
    let most = reader.optional("max_connections", Reader::count);
    let times = reader.count("times");
    Some(Typed::new(
        value(address)?,
        value(weight)?,
        value(backup)?,
        most?.map(|at| at.value),
        value(times)?,
    ))
}

fn service(field: &Field<'_>) -> Option<DnsName> {
    let text = field.text()?;
    match DnsName::parse(text) {
        Ok(name) if name.as_str().starts_with('_') => Some(name),
        Ok(name) => {
            let message = format!("`{name}` is a host, not a service");
            let hint = format!(
                "write `endpoints = [\"{name}:80\"]` for its addresses, or `_http._tcp.{name}` for its service"
            );
            field.refuse("bad-service", message, Some(hint))
        }
        Err(error) => {
            let message = format!("`{text}` is not the name of a service: {error}");
            let hint = "as in `_http._tcp.hub.internal`, without a port".to_owned();
            field.refuse("bad-service", message, Some(hint))
        }
    }
}

static FILE_TABLE: Table = Table {
    header: "a file of endpoints",
    about: "",
    keys: &[Key::required(
        "endpoints",
        Kind::Endpoints,
        "[\"192.0.2.10:80\"]",
        "As of an upstream, addresses only.",
    )],
};

/// The endpoints of a file that has nothing else.
pub(in crate::config) fn endpoints_of_file(
    document: &DeTable<'_>,
    context: Context<'_>,
) -> Option<Vec<At<Endpoint>>> {
    let reader = Reader::new(
        &FILE_TABLE,
        "the file".to_owned(),
        Some((document, 0..0)),
        context,
    );
    reader.list("endpoints", |field| match endpoint(field, context)? {
        Typed::Fixed(endpoint) => Some(endpoint),
        Typed::Named(named) => field.refuse(
            "endpoint-name",
            format!(
                "`{}:{}` is a name; endpoints of a file are addresses",
                named.name, named.port
            ),
            Some("names go into the upstream's own `endpoints`".to_owned()),
        ),
    })
}

fn hash_on(field: &Field<'_>, own: &OwnNames) -> Option<HashOn> {
    let text = field.text()?;
    if text.contains('$') {
        return super::action::text(field, Text::parse_line(text, own)).map(HashOn::Text);
    }
    let parsed = match text.split_once(':') {
        None if text == "client" => Some(HashOn::Client),
        Some(("header", name)) => HeaderName::try_from(name).ok().map(HashOn::Header),
        Some(("cookie", name)) if is_cookie_name(name) => Some(HashOn::Cookie(name.into())),
        _ => None,
    };
    parsed.or_else(|| {
        let message = format!("`hash_on` cannot be `{text}`");
        let hint =
            "write \"client\", \"header:X-Session\", \"cookie:session\" or a text with $variables"
                .to_owned();
        field.refuse("bad-hash-key", message, Some(hint))
    })
}

/// A token (RFC 6265 section 4.1.1).
fn is_cookie_name(name: &str) -> bool {
    // The names of fields are the same tokens.
    HeaderName::try_from(name).is_ok()
}

fn sticky(reader: &Reader<'_>) -> Option<Sticky> {
    let cookie = reader.field("cookie", |field| {
        let name = field.text()?;
        if is_cookie_name(name) {
            return Some(name.into());
        }
        field.refuse(
            "bad-cookie",
            format!("`{name}` is not the name of a cookie"),
            None,
        )
    });
    let ttl = reader.duration("ttl");
    Some(Sticky {
        cookie: value(cookie)?,
        ttl: value(ttl)?,
    })
}

fn outlier(reader: &Reader<'_>) -> Option<Outlier> {
    let rest = reader.duration("rest");
    let failures = reader.count("failures");
    let window = reader.optional("window", Reader::duration);
    let statuses = reader.list("statuses", statuses);
    let latency = reader.optional("latency", Reader::duration);
    let ejection = reader.duration("ejection");
    let longest = reader.duration("longest_ejection");
    let max_ejected = reader.percent("max_ejected");
    Some(Outlier {
        rest: value(rest)?,
        failures: value(failures)?,
        window: window?.map(|at| at.value),
        statuses: statuses?.into_iter().map(|at| at.value).collect(),
        latency: latency?.map(|at| at.value),
        ejection: value(ejection)?,
        longest_ejection: value(longest)?,
        max_ejected: value(max_ejected)?,
    })
}

/// A status or a range of them, `"503"` or `"500-599"`.
pub(super) fn statuses(field: &Field<'_>) -> Option<(u16, u16)> {
    let text = field.text()?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| {
        text.parse()
            .ok()
            .filter(|status| (100..=599).contains(status))
    };
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Some((first, last)),
        _ => field.refuse(
            "bad-status",
            format!("`{text}` is not a status, nor a range of them"),
            Some("as in \"503\" or \"500-599\"".to_owned()),
        ),
    }
}
