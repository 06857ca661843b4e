//! `client` of sites and routes: how long clients are waited for there, and how their connections are kept and ended.
//!
//! Knows inheritance key by key; what comes before a site is known is not for routes.

use std::sync::Arc;
use std::time::Duration;

use super::reader::{At, Context, Reader};
use super::{Key, Kind, Table};
use crate::config::client_terms::{ClientTerms, HeadBuffers, Linger, OldBrowser};
use crate::types::amount::ByteSize;

pub(super) const CLIENT: Key = Key::rule(
    "client",
    Kind::Inline,
    "[timeouts]; in a route: as its site says",
    "{ keep_alive = \"75s\", told = \"60s\", requests = 1000, age = \"1h\", not_kept = [\"msie6\"], body = \"60s\", write = \"60s\", linger = \"needed\", linger_time = \"30s\", linger_idle = \"5s\", reset = false }",
    "How long clients are waited for and how their connections are kept; each key in place of what is inherited. `keep_alive` (\"0s\": none is kept), `body` and `write` as in [timeouts]. `told`: sent as `Keep-Alive: timeout=`. A connection is closed after its `requests`-th request, and after a request that comes when it is of this `age`. `not_kept`: \"msie6\" (after a POST), \"safari\". `linger`: whether what a client still sends is read before its connection is closed: \"never\", \"needed\" or \"always\"; for `linger_time` at most, `linger_idle` without a byte. `reset`: who is too slow gets a reset. Of sites also, for connections to their own addresses or with their host in the handshake: `head` as in [timeouts], `h2_streams` as in [limits], and `head_buffers = { first = \"1KiB\", more = 4, size = \"8KiB\" }`, room for the head of a request: a line longer than `size` is too long. Also as a table.",
);

static TABLE: Table = Table {
    header: "client",
    about: "",
    keys: &[
        Key::rule("keep_alive", Kind::Duration(0), "as it is", "\"75s\"", ""),
        Key::rule("told", Kind::Duration(0), "none", "\"60s\"", ""),
        Key::rule(
            "requests",
            Kind::Count(1, u64::MAX >> 1),
            "no limit",
            "1000",
            "",
        ),
        Key::rule("age", Kind::Duration(1), "no limit", "\"1h\"", ""),
        Key::rule(
            "not_kept",
            Kind::Words(OldBrowser::WORDS),
            "none",
            "[\"msie6\"]",
            "",
        ),
        Key::rule("body", Kind::Duration(1), "as it is", "\"60s\"", ""),
        Key::rule("write", Kind::Duration(1), "as it is", "\"60s\"", ""),
        Key::rule(
            "linger",
            Kind::Word(Linger::WORDS),
            "as it is",
            "\"needed\"",
            "",
        ),
        Key::rule("linger_time", Kind::Duration(1), "\"5s\"", "\"30s\"", ""),
        Key::rule("linger_idle", Kind::Duration(1), "\"5s\"", "\"5s\"", ""),
        Key::rule("reset", Kind::Flag, "false", "true", ""),
        Key::rule("head", Kind::Duration(1), "as it is", "\"10s\"", ""),
        Key::rule("h2_streams", Kind::Count(1, 100_000), "as it is", "128", ""),
        Key::rule("head_buffers", Kind::Inline, "none", "{}", ""),
    ],
};

static BUFFERS: Table = Table {
    header: "head_buffers",
    about: "",
    keys: &[
        Key::new("first", Kind::Size(1, 1 << 20), "\"1KiB\"", "The first."),
        Key::new("more", Kind::Count(1, 1024), "4", "More."),
        Key::new("size", Kind::Size(1, 1 << 20), "\"8KiB\"", "Each of them."),
    ],
};

/// What one table says; `None` inherits.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Overlay {
    keep_alive: Option<Duration>,
    told: Option<Duration>,
    requests: Option<u64>,
    age: Option<Duration>,
    not_kept: Option<Vec<OldBrowser>>,
    body: Option<Duration>,
    write: Option<Duration>,
    linger: Option<Linger>,
    linger_time: Option<Duration>,
    linger_idle: Option<Duration>,
    reset: Option<bool>,
    head: Option<Duration>,
    h2_streams: Option<u32>,
    head_buffers: Option<HeadBuffers>,
}

impl Overlay {
    /// What is in force where this table stands.
    pub(in crate::config) fn over(self, inherited: &ClientTerms) -> Arc<ClientTerms> {
        let mut terms = inherited.clone();
        let times = &mut terms.times;
        times.keep_alive = self.keep_alive.unwrap_or(times.keep_alive);
        times.body = self.body.unwrap_or(times.body);
        times.write = self.write.unwrap_or(times.write);
        times.head = self.head.unwrap_or(times.head);
        Arc::new(ClientTerms {
            told: match self.told {
                Some(Duration::ZERO) => None,
                told => told.or(terms.told),
            },
            requests: self.requests.or(terms.requests),
            age: self.age.or(terms.age),
            not_kept: self.not_kept.unwrap_or(terms.not_kept),
            linger: self.linger.unwrap_or(terms.linger),
            linger_time: self.linger_time.unwrap_or(terms.linger_time),
            linger_idle: self.linger_idle.unwrap_or(terms.linger_idle),
            reset: self.reset.unwrap_or(terms.reset),
            h2_streams: self.h2_streams.or(terms.h2_streams),
            head_buffers: self.head_buffers.or(terms.head_buffers),
            times: terms.times,
        })
    }
}

/// Reads `client`: `Some(None)` when it is not written.
pub(super) fn read(reader: &Reader<'_>, context: Context<'_>) -> Option<Option<Overlay>> {
    reader.inline("client", &TABLE, context, |reader| {
        let duration = |key| reader.optional(key, Reader::duration);
        let keep_alive = duration("keep_alive");
        let (told, age) = (duration("told"), duration("age"));
        let (body, write, head) = (duration("body"), duration("write"), duration("head"));
        let linger_time = duration("linger_time");
        let linger_idle = duration("linger_idle");
        let requests = reader.optional("requests", |reader, key| reader.count(key));
        let h2_streams = reader.optional("h2_streams", |reader, key| reader.count(key));
        let not_kept = reader.optional("not_kept", Reader::words);
        let linger = reader.optional("linger", Reader::word);
        let reset = reader.optional("reset", Reader::flag);
        let head_buffers = reader.inline("head_buffers", &BUFFERS, context, buffers);
        let words = |words: Vec<At<String>>| {
            let words = words.iter().filter_map(|at| OldBrowser::parse(&at.value));
            words.collect()
        };
        Some(Overlay {
            keep_alive: own(keep_alive?),
            told: own(told?),
            requests: own(requests?),
            age: own(age?),
            not_kept: not_kept?.map(words),
            body: own(body?),
            write: own(write?),
            linger: linger?.map(|at| Linger::parse(&at.value)),
            linger_time: own(linger_time?),
            linger_idle: own(linger_idle?),
            reset: own(reset?),
            head: own(head?),
            h2_streams: own(h2_streams?),
            head_buffers: head_buffers?,
        })
    })
}

fn own<T>(at: Option<At<T>>) -> Option<T> {
    at.map(|at| at.value)
}

fn buffers(reader: &Reader<'_>) -> Option<HeadBuffers> {
    let (first, more) = (reader.size("first"), reader.count("more"));
    let size = reader.size("size");
    let bytes = |size: ByteSize| usize::try_from(size.0).unwrap_or(usize::MAX);
    Some(HeadBuffers {
        first: bytes(first?.value),
        more: more?.value,
        size: bytes(size?.value),
    })
}
