//! `[rate.NAME]`, `[concurrency.NAME]`, and `limits` of sites and routes: how often, how many at once, how fast.
//!
//! As typed; that the names exist is for `validate`.

use std::sync::Arc;

use toml::de::DeValue;

use super::action::text;
use super::reader::{At, Context, Reader, value};
use super::{Key, Kind, Table};
use crate::config::limit::{
    Amount, ConcurrencyUse, ConcurrencyZone, LimitLog, Rate, RateUse, RateZone, RouteLimits,
};
use crate::config::text::Text;

pub(in crate::config) static RATE: Table = Table {
    header: "[rate.one]",
    about: "How often requests may come, for each value of a key. Counts where a site's or a route's `limits` name it.",
    keys: &[
        Key::new(
            "key",
            Kind::Text,
            "\"$binary_remote_addr\"",
            "What is counted by, with $variables; a request for which it is empty is not counted.",
        ),
        Key::required(
            "rate",
            Kind::Text,
            "\"10r/s\"",
            "Requests in a second (`r/s`) or in a minute (`r/m`), evenly spread.",
        ),
        Key::new(
            "keys",
            Kind::Count(1, 10_000_000),
            "100000",
            "Values of the key that are remembered; the one not seen for longest goes first.",
        ),
    ],
};

pub(in crate::config) static CONCURRENCY: Table = Table {
    header: "[concurrency.addr]",
    about: "How many requests may be under way at once, for each value of a key, tunnels among them. Counts where a site's or a route's `limits` name it.",
    keys: &[
        Key::new(
            "key",
            Kind::Text,
            "\"$binary_remote_addr\"",
            "What is counted by, with $variables; a request for which it is empty is not counted.",
        ),
        Key::new(
            "keys",
            Kind::Count(1, 10_000_000),
            "100000",
            "Values of the key with requests under way; when there are more, further ones are refused.",
        ),
    ],
};

pub(super) const LIMITS: Key = Key::rule(
    "limits",
    Kind::Inline,
    "none; in a route: as its site says",
    "{ rates = [{ rate = \"one\", burst = 5, delay = 0 }], concurrency = [{ of = \"addr\", most = 10 }], status = 429, log = \"warn\", dry_run = false, bandwidth = \"1MB\", after = \"10MB\" }",
    "`rates`: each names a [rate.NAME]; `burst` requests may come before their time, of which `delay` go on at once and the others wait for it; with `burst = 5, delay = 5` none waits. `concurrency`: each names a [concurrency.NAME] and the `most` at once. A request beyond gets `status` (400 to 599; also in each entry), told at level `log`: \"error\", \"warn\", \"notice\" or \"info\". `dry_run` only tells. Both may also be in an entry of `concurrency`. `bandwidth`: bytes in a second of each answer, `after` so many at full speed; both may be texts with $variables, where 0 is no limit. `limits = {}` in a route sets none. Also as a table.",
);

static LIMITS_TABLE: Table = Table {
    header: "limits",
    about: "",
    keys: &[
        Key::rule(
            "rates",
            Kind::Inline,
            "none",
            "[{ rate = \"one\" }]",
            "How often.",
        ),
        Key::rule(
            "concurrency",
            Kind::Inline,
            "none",
            "[{ of = \"addr\", most = 10 }]",
            "How many at once.",
        ),
        Key::new("status", STATUS, "429", "Of a refusal."),
        Key::new("log", Kind::Word(LimitLog::WORDS), "\"warn\"", "How loud."),
        Key::new("dry_run", Kind::Flag, "false", "Only told."),
        Key::rule(
            "bandwidth",
            Kind::Size(1, u64::MAX),
            "none",
            "\"1MB\"",
            "In a second.",
        ),
        Key::new("after", Kind::Size(0, u64::MAX), "\"0B\"", "At full speed."),
    ],
};

const STATUS: Kind = Kind::Count(400, 599);

static RATE_USE: Table = Table {
    header: "rates",
    about: "",
    keys: &[
        Key::required("rate", Kind::Text, "\"one\"", "Its name."),
        Key::new(
            "burst",
            Kind::Count(0, 1_000_000),
            "0",
            "Before their time.",
        ),
        Key::new("delay", Kind::Count(0, 1_000_000), "0", "Without a wait."),
        Key::rule("status", STATUS, "that of all", "503", "Of a refusal."),
    ],
};

static CONCURRENCY_USE: Table = Table {
    header: "concurrency",
    about: "",
    keys: &[
        Key::required("of", Kind::Text, "\"addr\"", "Its name."),
        Key::required("most", Kind::Count(1, 1_000_000), "10", "At once."),
        Key::rule("status", STATUS, "that of all", "503", "Of a refusal."),
        Key::rule(
            "log",
            Kind::Word(LimitLog::WORDS),
            "as of all",
            "\"error\"",
            "How loud.",
        ),
        Key::rule("dry_run", Kind::Flag, "as of all", "true", "Only told."),
    ],
};

/// `limits` as typed, with the places of the names in it.
#[derive(Clone, Debug)]
pub(in crate::config) struct Limits {
    pub(in crate::config) value: Arc<RouteLimits>,
    pub(in crate::config) rates: Vec<At<String>>,
    pub(in crate::config) concurrency: Vec<At<String>>,
}

/// Reads one `[rate.NAME]`.
pub(in crate::config) fn rate(reader: &Reader<'_>) -> Option<RateZone> {
    let key = reader.field("key", |field| {
        text(field, Text::parse_with(field.text()?, reader.own()))
    });
    let rate = reader.field("rate", |field| {
        let typed = field.text()?;
        Rate::parse(typed).map_or_else(
            || {
                let message = format!("`{typed}` is no rate");
                let hint = "write requests in a second or a minute: `10r/s`, `30r/m`";
                field.refuse("bad-rate", message, Some(hint.to_owned()))
            },
            Some,
        )
    });
    let keys = reader.count("keys");
    Some(RateZone {
        key: value(key)?,
        rate: value(rate)?,
        keys: value(keys)?,
    })
}

/// Reads one `[concurrency.NAME]`.
pub(in crate::config) fn concurrency(reader: &Reader<'_>) -> Option<ConcurrencyZone> {
    let key = reader.field("key", |field| {
        text(field, Text::parse_with(field.text()?, reader.own()))
    });
    let keys = reader.count("keys");
    Some(ConcurrencyZone {
        key: value(key)?,
        keys: value(keys)?,
    })
}

/// Reads `limits`: `Some(None)` when it is not written.
pub(super) fn read(reader: &Reader<'_>, context: Context<'_>) -> Option<Option<Limits>> {
    reader.inline("limits", &LIMITS_TABLE, context, |reader| {
        let rates = entries(reader, "rates", &RATE_USE, context, |reader| {
            let name = reader.text("rate");
            let burst = reader.count("burst");
            let delay = reader.count("delay");
            let status = reader.optional("status", |reader, key| reader.count(key));
            let name = name?;
            let used = RateUse {
                rate: name.value.as_str().into(),
                burst: value(burst)?,
                delay: value(delay)?,
                status: status?.map(|at| at.value),
            };
            Some((used, name))
        });
        let concurrency = entries(reader, "concurrency", &CONCURRENCY_USE, context, |reader| {
            let name = reader.text("of");
            let most = reader.count("most");
            let status = reader.optional("status", |reader, key| reader.count(key));
            let log = reader.optional("log", Reader::word);
            let dry_run = reader.optional("dry_run", |reader, key| reader.flag(key));
            let name = name?;
            let used = ConcurrencyUse {
                of: name.value.as_str().into(),
                most: value(most)?,
                status: status?.map(|at| at.value),
                log: log?.and_then(|at| LimitLog::parse(&at.value)),
                dry_run: dry_run?.map(|at| at.value),
            };
            Some((used, name))
        });
        let status = reader.count("status");
        let log = reader.word("log");
        let dry_run = reader.flag("dry_run");
        let bandwidth = reader.optional("bandwidth", amount);
        let after = amount(reader, "after");
        let (rates, rate_names) = rates?.into_iter().unzip();
        let (concurrency, concurrency_names) = concurrency?.into_iter().unzip();
        Some(Limits {
            value: Arc::new(RouteLimits {
                rates,
                concurrency,
                status: value(status)?,
                log: LimitLog::parse(&log?.value)?,
                dry_run: value(dry_run)?,
                bandwidth: bandwidth?.map(|at| at.value),
                after: value(after)?,
            }),
            rates: rate_names,
            concurrency: concurrency_names,
        })
    })
}

/// A number of bytes, or a text that says one.
fn amount(reader: &Reader<'_>, key: &'static str) -> Option<At<Amount>> {
    reader.field(key, |field| match field.raw() {
        DeValue::String(typed) if typed.contains('$') => {
            let said = text(field, Text::parse_with(typed, reader.own()));
            said.map(Amount::Said)
        }
        _ => field.size().map(Amount::Fixed),
    })
}

/// Reads each table of a list of them.
fn entries<T>(
    reader: &Reader<'_>,
    key: &'static str,
    schema: &'static Table,
    context: Context<'_>,
    read: impl Fn(&Reader<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let name = format!("`{key}` of {}", reader.name());
    let tables = reader.tables(key)?.into_iter();
    let all: Vec<_> = tables
        .map(|table| read(&Reader::new(schema, name.clone(), Some(table), context)))
        .collect();
    all.into_iter().collect()
}
