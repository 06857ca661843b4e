//! `client` of sites and routes as TOML: what `explain` prints and `diff` compares of it.
//!
//! Whole, so that what is printed loads to an equal value wherever it stands.

use super::client_terms::ClientTerms;
use super::show::{Entry, duration, inline, list, quoted};
use crate::types::amount::ByteSize;

/// `client`.
pub(super) fn client(terms: &ClientTerms) -> Entry {
    let browsers: Vec<_> = terms.not_kept.iter().map(|one| one.as_str()).collect();
    let mut entries = vec![("keep_alive", duration(terms.times.keep_alive))];
    entries.extend(terms.told.map(|told| ("told", duration(told))));
    let requests = terms.requests.map(|most| ("requests", most.to_string()));
    entries.extend(requests);
    entries.extend(terms.age.map(|age| ("age", duration(age))));
    entries.extend([
        ("not_kept", list(&browsers)),
        ("body", duration(terms.times.body)),
        ("write", duration(terms.times.write)),
        ("linger", quoted(terms.linger.as_str())),
        ("linger_time", duration(terms.linger_time)),
        ("linger_idle", duration(terms.linger_idle)),
        ("reset", terms.reset.to_string()),
        ("head", duration(terms.times.head)),
    ]);
    let streams = terms
        .h2_streams
        .map(|most| ("h2_streams", most.to_string()));
    entries.extend(streams);
    entries.extend(terms.head_buffers.map(|own| {
        let bytes = |bytes: usize| quoted(ByteSize(bytes as u64));
        let entries = [
            ("first", bytes(own.first)),
            ("more", own.more.to_string()),
            ("size", bytes(own.size)),
        ];
        ("head_buffers", inline(&entries))
    }));
    ("client", inline(&entries))
}
