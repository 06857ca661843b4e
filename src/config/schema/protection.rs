//! The keys of `[upstream.NAME]` that spare it and save its requests: retries, limits, `circuit`.
//!
//! They are part of that table, and read apart from it because they go together.

use super::reader::{Context, Reader, value};
use super::{Key, Kind, Table};
use crate::config::protection::{Circuit, Protection, Retries, RetryOn, Retryable, UpstreamLimits};

pub(super) const RETRY_ON: Key = Key::new(
    "retry_on",
    Kind::Words(Retryable::WORDS),
    "[\"connect\", \"reset\"]",
    "When a request is tried again, on another endpoint: no connection could be made (any request, as nothing was sent); the connection ended before anything was answered, or what came is not HTTP; no head came in `response_timeout`; the endpoint answered with this status. All but the first only for methods that may be repeated (GET, HEAD, OPTIONS, TRACE, PUT, DELETE) and while no byte of a body was taken. A POST is never sent twice, but with \"any-method\", which is no reason itself.",
);
pub(super) const RETRY_BUDGET: Key = Key::new(
    "retry_budget",
    Kind::Percent(0, 100),
    "\"20%\"",
    "How many of the requests of the last 10 s or so may be sent a second time, and a few more, so that one request alone can be. Where nothing can have been received, as after a failed connect, nothing is counted. \"0%\" sends no request twice.",
);
pub(super) const RETRY_DEADLINE: Key = Key::new(
    "retry_deadline",
    Kind::Duration(1),
    "\"10s\"",
    "No try begins later than this after the first one.",
);
pub(super) const RETRY_TRIES: Key = Key::rule(
    "retry_tries",
    Kind::Count(1, 1000),
    "one at each endpoint",
    "2",
    "Tries of a request in all, the first one included.",
);
pub(super) const MAX_CONNECTIONS: Key = Key::rule(
    "max_connections",
    Kind::Count(1, 1_000_000),
    "no limit",
    "200",
    "Connections in use to all endpoints together: requests in flight, tunnels and connections of streams. Idle ones are bounded by `keep_alive`.",
);
pub(super) const MAX_IN_FLIGHT: Key = Key::rule(
    "max_in_flight",
    Kind::Count(1, 1_000_000),
    "no limit",
    "100",
    "Requests at once, each from its first try to the end of its answer. A tunnel counts until it is open.",
);
pub(super) const QUEUE: Key = Key::new(
    "queue",
    Kind::Count(0, 1_000_000),
    "100",
    "Requests that wait when `max_connections` or `max_in_flight` is reached; further ones get 503 `queue_full`. 0 lets none wait.",
);
pub(super) const QUEUE_TIMEOUT: Key = Key::new(
    "queue_timeout",
    Kind::Duration(1),
    "\"5s\"",
    "How long each waits, before it gets 503 `queue_timeout`.",
);
pub(super) const CIRCUIT: Key = Key::rule(
    "circuit",
    Kind::Inline,
    "none",
    "{ failure_rate = \"50%\", window = \"10s\", min_requests = 20, open_for = \"10s\", trials = 3 }",
    "Spares an upstream that fails: when `failure_rate` of at least `min_requests` requests in `window` failed (no answer, a cut one, 502, 503 or 504), requests get 503 `circuit_open` for `open_for`; then `trials` requests are sent to see, and all must succeed. Keys left out are as here. Also as a table, [upstream.hub.circuit].",
);

static CIRCUIT_TABLE: Table = Table {
    header: "[upstream.hub.circuit]",
    about: "",
    keys: &[
        Key::new(
            "failure_rate",
            Kind::Percent(1, 100),
            "\"50%\"",
            "Of the requests in the window.",
        ),
        Key::new(
            "window",
            Kind::Duration(1),
            "\"10s\"",
            "What counts as recent.",
        ),
        Key::new(
            "min_requests",
            Kind::Count(1, 1_000_000),
            "20",
            "With fewer nothing happens.",
        ),
        Key::new(
            "open_for",
            Kind::Duration(1),
            "\"10s\"",
            "How long nothing is sent.",
        ),
        Key::new(
            "trials",
            Kind::Count(1, 1000),
            "3",
            "Requests sent then, to see.",
        ),
    ],
};

/// Reads the keys.
pub(super) fn read(reader: &Reader<'_>, context: Context<'_>) -> Option<Protection> {
    let retries = retries(reader);
    let limits = limits(reader);
    let circuit = reader.inline("circuit", &CIRCUIT_TABLE, context, circuit);
    Some(Protection {
        retries: retries?,
        limits: limits?,
        circuit: circuit?,
    })
}

fn retries(reader: &Reader<'_>) -> Option<Retries> {
    let on = reader.words("retry_on");
    let budget = reader.percent("retry_budget");
    let deadline = reader.duration("retry_deadline");
    let tries = reader.optional("retry_tries", Reader::count);
    Some(Retries {
        on: RetryOn::of_words(on?.iter().map(|word| word.value.as_str())),
        budget: value(budget)?,
        deadline: value(deadline)?,
        tries: tries?.map(|at| at.value),
    })
}

fn limits(reader: &Reader<'_>) -> Option<UpstreamLimits> {
    let connections = reader.optional("max_connections", Reader::count);
    let in_flight = reader.optional("max_in_flight", Reader::count);
    let queue = reader.count("queue");
    let queue_timeout = reader.duration("queue_timeout");
    Some(UpstreamLimits {
        connections: connections?.map(|at| at.value),
        in_flight: in_flight?.map(|at| at.value),
        queue: value(queue)?,
        queue_timeout: value(queue_timeout)?,
    })
}

fn circuit(reader: &Reader<'_>) -> Option<Circuit> {
    let failure_rate = reader.percent("failure_rate");
    let window = reader.duration("window");
    let min_requests = reader.count("min_requests");
    let open_for = reader.duration("open_for");
    let trials = reader.count("trials");
    Some(Circuit {
        failure_rate: value(failure_rate)?,
        window: value(window)?,
        min_requests: value(min_requests)?,
        open_for: value(open_for)?,
        trials: value(trials)?,
    })
}
