//! What happened to single requests, kept in memory for `hubgate why`: every failure, and every n-th of the rest.
//!
//! Two rings of entries of one size, so that successes never push failures out; their memory is bounded by the
//! configuration and taken as it fills. A request that is not kept costs one branch. Entries are made outside the lock.

mod entry;
mod told;

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

pub use self::entry::CONDITIONS;
use self::entry::Entry;
pub use self::told::{Condition, Explained, Overview, Told, ToldCondition, ToldTry, Try};
use super::access_log::Record;
use super::cause::Cause;
use crate::config::Why;

/// Ids shown when what was asked for could mean several.
const CANDIDATES: usize = 10;
/// Shorter parts of an id could mean anything.
const SHORTEST: usize = 4;

/// What is kept of requests that are over.
#[derive(Debug)]
pub struct History {
    sample: u32,
    failures: Mutex<Ring>,
    samples: Mutex<Ring>,
}

impl History {
    /// An empty one of at most `why.memory` bytes: three quarters for failures.
    pub fn new(why: &Why) -> Self {
        let room = usize::try_from(why.memory.0).unwrap_or(usize::MAX) / size_of::<Entry>();
        let samples = if why.sample == 0 { 0 } else { room / 4 };
        Self {
            sample: why.sample,
            failures: Mutex::new(Ring::of(room - samples)),
            samples: Mutex::new(Ring::of(samples)),
        }
    }

    /// Whether a request that ended like this is to be kept.
    pub fn wants(&self, cause: Option<Cause>, status: u16) -> bool {
        is_failure(cause, status) || self.is_sample()
    }

    /// Keeps a request. `tries` and `conditions` are cut to what an entry has room for.
    #[cold]
    pub fn keep(
        &self,
        record: &Record<'_>,
        secrets: &[String],
        generation: u64,
        tries: &[Try],
        conditions: &[Condition],
    ) {
        let ring = match is_failure(record.cause, record.status) {
            true => &self.failures,
            false => &self.samples,
        };
        let entry = Entry::of(record, secrets, generation, tries, conditions);
        ring.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry);
    }

    /// What is known of the requests with this id, or with the only id that begins or ends like this.
    pub fn explain(&self, asked: &str) -> Explained {
        let mut explained = Explained::default();
        let mut parts = Vec::new();
        for (ring, sampled) in [(&self.failures, false), (&self.samples, true)] {
            let ring = ring.lock().unwrap_or_else(PoisonError::into_inner);
            for entry in ring.newest_first() {
                let id = entry.id();
                if id == asked.as_bytes() {
                    explained.found.push(entry.told(sampled));
                } else if asked.len() >= SHORTEST
                    && (id.starts_with(asked.as_bytes()) || id.ends_with(asked.as_bytes()))
                {
                    parts.push(entry.told(sampled));
                }
            }
            let overview = match sampled {
                true => &mut explained.kept.samples,
                false => &mut explained.kept.failures,
            };
            *overview = ring.entries.len();
            if !sampled {
                explained.kept.since = ring.oldest().map(Entry::unix_millis);
            }
        }
        explained.kept.sample = self.sample;
        if explained.found.is_empty() {
            let mut ids: Vec<_> = parts.iter().map(|told| told.request_id.clone()).collect();
            ids.sort_unstable();
            ids.dedup();
            match ids.len() {
                0 | 1 => explained.found = parts,
                _ => {
                    ids.truncate(CANDIDATES);
                    explained.candidates = ids;
                }
            }
        }
        explained
    }

    fn is_sample(&self) -> bool {
        thread_local! {
            static LEFT: Cell<u32> = const { Cell::new(0) };
        }
        if self.sample == 0 {
            return false;
        }
        let left = LEFT.get();
        LEFT.set(left.checked_sub(1).unwrap_or(self.sample - 1));
        left == 0
    }
}

/// Redirects are answers of our own, but nothing went wrong.
fn is_failure(cause: Option<Cause>, status: u16) -> bool {
    cause.is_some_and(Cause::is_failure) || status >= 500
}

/// The newest entries, up to a bound.
#[derive(Debug)]
struct Ring {
    entries: Vec<Entry>,
    most: usize,
    /// Where the next one goes once it is full: the oldest.
    next: usize,
}

impl Ring {
    fn of(most: usize) -> Self {
        Self {
            entries: Vec::new(),
            most,
            next: 0,
        }
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() < self.most {
            if self.entries.len() == self.entries.capacity() {
                // Never beyond the bound, as doubling would.
                let more = (self.most - self.entries.len()).min(self.entries.len().max(16));
                self.entries.reserve_exact(more);
            }
            self.entries.push(entry);
        } else if let Some(oldest) = self.entries.get_mut(self.next) {
            *oldest = entry;
            self.next = (self.next + 1) % self.most;
        }
    }

    fn oldest(&self) -> Option<&Entry> {
        self.entries.get(self.next)
    }

    fn newest_first(&self) -> impl Iterator<Item = &Entry> {
        let (newer, older) = self.entries.split_at(self.next.min(self.entries.len()));
        newer.iter().rev().chain(older.iter().rev())
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use http::HeaderMap;

    use super::*;
    use crate::types::amount::ByteSize;

    fn history(entries: u64, sample: u32) -> History {
        History::new(&Why {
            memory: ByteSize(entries * size_of::<Entry>() as u64),
            sample,
        })
    }

    fn keep(history: &History, id: &str, cause: Option<Cause>, status: u16) {
        let fields = HeaderMap::new();
        let record = Record {
            request_id: id,
            cause,
            status,
            ..Record::new(SystemTime::now(), ([192, 0, 2, 1], 1).into(), &fields)
        };
        history.keep(&record, &[], 1, &[], &[]);
    }

    fn ids(explained: &Explained) -> Vec<&str> {
        let found = explained.found.iter();
        found.map(|told| told.request_id.as_str()).collect()
    }

    #[test]
    fn the_oldest_failure_goes_first_and_successes_push_none_out() {
        let history = history(8, 1);
        for n in 0..9 {
            keep(
                &history,
                &format!("bad-{n}"),
                Some(Cause::UpstreamClosed),
                502,
            );
        }
        for n in 0..50 {
            keep(&history, &format!("good-{n}"), None, 200);
        }
        let all = history.explain("nothing");
        assert_eq!((all.kept.failures, all.kept.samples), (6, 2));
        for (id, there) in [
            ("bad-2", false),
            ("bad-3", true),
            ("bad-8", true),
            ("good-49", true),
        ] {
            assert_eq!(!history.explain(id).found.is_empty(), there, "{id}");
        }
        assert!(history.explain("good-47").found.is_empty());
    }

    #[test]
    fn a_part_of_an_id_is_enough_when_only_one_has_it() {
        let history = history(100, 1);
        for id in ["0123456789abcdef", "0123456789ab0000", "0123999999990001"] {
            keep(&history, id, Some(Cause::UpstreamClosed), 502);
        }
        assert_eq!(ids(&history.explain("01239999")), ["0123999999990001"]);
        assert_eq!(ids(&history.explain("cdef")), ["0123456789abcdef"]);
        assert!(history.explain("def").found.is_empty(), "too short");
        let several = history.explain("0123456789ab");
        assert!(several.found.is_empty());
        assert_eq!(several.candidates, ["0123456789ab0000", "0123456789abcdef"]);
        keep(&history, "0123456789abcdef", Some(Cause::UpstreamIdle), 200);
        assert_eq!(history.explain("0123456789abcdef").found.len(), 2);
    }

    #[test]
    fn failures_are_wanted_always_redirects_and_successes_every_nth_time() {
        let history = history(8, 4);
        let wanted = |cause, status| (0..8).filter(|_| history.wants(cause, status)).count();
        assert_eq!(wanted(None, 200), 2);
        assert_eq!(wanted(Some(Cause::RedirectToHttps), 301), 2);
        assert_eq!(wanted(Some(Cause::UpstreamClosed), 502), 8);
        assert_eq!(wanted(Some(Cause::ClientGone), 499), 8);
        assert_eq!(wanted(None, 503), 8);
        assert!(
            !super::History::new(&Why {
                memory: ByteSize(0),
                sample: 0
            })
            .wants(None, 200)
        );
    }

    #[test]
    fn the_memory_is_what_was_configured_and_none_keeps_none() {
        let ring = |most| {
            let mut ring = Ring::of(most);
            let fields = HeaderMap::new();
            let record = Record::new(SystemTime::now(), ([192, 0, 2, 1], 1).into(), &fields);
            for _ in 0..100 {
                ring.push(Entry::of(&record, &[], 1, &[], &[]));
            }
            ring
        };
        let full = ring(37);
        assert_eq!((full.entries.len(), full.entries.capacity()), (37, 37));
        assert!(ring(0).entries.is_empty());
    }
}
