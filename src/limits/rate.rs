//! Counts how often requests come, for each value of a key, exactly as nginx's `limit_req` does: a bucket that leaks at
//! the rate, in thousandths of a request, on a clock of milliseconds.
//!
//! Pure: the time is given. A bounded number of keys is remembered; when it is reached the one not seen for longest goes,
//! and with each new key up to two more that are empty and a minute old. Long keys are kept as their SHA-256.
#![deny(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};

/// Keys beyond are kept as their sum.
const LONG: usize = 64;
/// Keys that were not seen for so long may go.
const STALE: i64 = 60_000;
/// No node.
const NONE: u32 = u32::MAX;

/// One limit's keys. Shared by all workers.
#[derive(Debug)]
pub struct RateTable {
    /// Thousandths of a request in a second.
    rate: i64,
    most: usize,
    start: Instant,
    seen: Mutex<Seen>,
}

/// A limit as a route uses it, for one request.
#[derive(Clone, Debug)]
pub struct Use<'a> {
    /// What counts.
    pub table: &'a RateTable,
    /// The request's key; an empty one is not counted.
    pub key: Vec<u8>,
    /// Requests that may come before their time.
    pub burst: u32,
    /// So many of these do not wait.
    pub delay: u32,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Passes,
    /// It goes on after a wait.
    Waits {
        /// Which limit wants it.
        index: usize,
        /// Thousandths of a request.
        excess: u64,
        /// How long.
        wait: Duration,
    },
    /// It goes no further.
    Refused {
        /// By which limit.
        index: usize,
        /// Thousandths of a request.
        excess: u64,
    },
}

#[derive(Debug, Default)]
struct Seen {
    index: HashMap<Arc<[u8]>, u32>,
    nodes: Vec<Node>,
    free: Vec<u32>,
    /// Ends of the list by when a key was seen; `None` while it is empty.
    ends: Option<(u32, u32)>,
}

#[derive(Debug)]
struct Node {
    key: Arc<[u8]>,
    excess: i64,
    last: i64,
    newer: u32,
    older: u32,
}

impl RateTable {
    /// At most so many keys; `start` is any moment not after those given later.
    pub fn new(thousandths: u64, most: usize, start: Instant) -> Self {
        Self {
            rate: i64::try_from(thousandths).unwrap_or(i64::MAX >> 32).max(1),
            most: most.max(1),
            start,
            seen: Mutex::default(),
        }
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.lock().index.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at(&self, now: Instant) -> i64 {
        let passed = now.saturating_duration_since(self.start).as_millis();
        i64::try_from(passed).unwrap_or(i64::MAX)
    }

    /// The excess with one request more, which is noted if `note` says so and it is within the burst.
    fn ask(&self, key: &[u8], burst: u32, note: bool, now: Instant) -> Result<i64, i64> {
        let (mut seen, at) = (self.lock(), self.at(now));
        let Some(found) = seen.index.get(key).copied() else {
            if note {
                self.remember(&mut seen, key, at);
            }
            return Ok(0);
        };
        seen.touch(found);
        let node = &mut seen.nodes[found as usize];
        let excess = self.excess(node, at);
        if excess > i64::from(burst) * 1000 {
            return Err(excess);
        }
        if note {
            node.note(excess, at);
        }
        Ok(excess)
    }

    /// Notes a request that all limits have let pass.
    fn note(&self, key: &[u8], now: Instant) -> i64 {
        let (mut seen, at) = (self.lock(), self.at(now));
        let Some(found) = seen.index.get(key).copied() else {
            self.remember(&mut seen, key, at);
            return 0;
        };
        let node = &mut seen.nodes[found as usize];
        let excess = self.excess(node, at);
        node.note(excess, at);
        excess
    }

    fn excess(&self, node: &Node, at: i64) -> i64 {
        let leaked = self.rate.saturating_mul((at - node.last).max(0)) / 1000;
        (node.excess - leaked).saturating_add(1000).max(0)
    }

    fn remember(&self, seen: &mut Seen, key: &[u8], at: i64) {
        let leaks = |node: &Node| {
            let passed = at - node.last;
            passed >= STALE && node.excess <= self.rate.saturating_mul(passed) / 1000
        };
        for _ in 0..2 {
            match seen.oldest() {
                Some(oldest) if leaks(&seen.nodes[oldest as usize]) => seen.forget(oldest),
                _ => break,
            }
        }
        if seen.index.len() >= self.most
            && let Some(oldest) = seen.oldest()
        {
            seen.forget(oldest);
        }
        seen.add(key.into(), at);
    }

    fn waits(&self, excess: i64, delay: u32) -> i64 {
        let over = excess - i64::from(delay) * 1000;
        if over <= 0 {
            0
        } else {
            over * 1000 / self.rate
        }
    }
}

/// What becomes of a request that all these count. Each refusal leaves the others uncounted.
pub fn ask(uses: &[Use<'_>], now: Instant) -> Verdict {
    let counted = |used: &&Use<'_>| !used.key.is_empty();
    let keys: Vec<_> = uses.iter().map(|used| short(&used.key)).collect();
    let last = uses.iter().rposition(|used| counted(&used));
    let mut verdict = (0, 0, 0);
    for (index, used) in uses.iter().enumerate().filter(|(_, used)| counted(used)) {
        let is_last = Some(index) == last;
        match used.table.ask(&keys[index], used.burst, is_last, now) {
            Err(excess) => {
                let excess = excess.unsigned_abs();
                return Verdict::Refused { index, excess };
            }
            Ok(excess) if is_last => {
                verdict = (used.table.waits(excess, used.delay), index, excess);
            }
            Ok(_) => {}
        }
    }
    let before = uses.iter().enumerate().take(last.unwrap_or_default());
    for (index, used) in before.rev().filter(|(_, used)| counted(used)) {
        let excess = used.table.note(&keys[index], now);
        let wait = used.table.waits(excess, used.delay);
        if wait > verdict.0 {
            verdict = (wait, index, excess);
        }
    }
    match verdict {
        (0, ..) => Verdict::Passes,
        (wait, index, excess) => Verdict::Waits {
            index,
            excess: excess.unsigned_abs(),
            wait: Duration::from_millis(wait.unsigned_abs()),
        },
    }
}

/// A key as it is kept.
pub(super) fn short(key: &[u8]) -> Vec<u8> {
    match key.len() {
        0..=LONG => key.to_vec(),
        _ => digest(&SHA256, key).as_ref().to_vec(),
    }
}

impl Node {
    fn note(&mut self, excess: i64, at: i64) {
        self.excess = excess;
        self.last = self.last.max(at);
    }
}

impl Seen {
    fn oldest(&self) -> Option<u32> {
        self.ends.map(|(_, oldest)| oldest)
    }

    /// As seen just now.
    fn touch(&mut self, at: u32) {
        if self.ends.is_some_and(|(newest, _)| newest != at) {
            self.unlink(at);
            self.link(at);
        }
    }

    fn add(&mut self, key: Arc<[u8]>, last: i64) {
        let node = Node {
            key: key.clone(),
            excess: 0,
            last,
            newer: NONE,
            older: NONE,
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                at
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        self.index.insert(key, at);
        self.link(at);
    }

    fn forget(&mut self, at: u32) {
        self.unlink(at);
        let key = std::mem::replace(&mut self.nodes[at as usize].key, Arc::new([]));
        self.index.remove(&key);
        self.free.push(at);
    }

    fn link(&mut self, at: u32) {
        let newest = self.ends.map(|(newest, _)| newest);
        let node = &mut self.nodes[at as usize];
        (node.newer, node.older) = (NONE, newest.unwrap_or(NONE));
        if let Some(newest) = newest {
            self.nodes[newest as usize].newer = at;
        }
        self.ends = Some((at, self.ends.map_or(at, |(_, oldest)| oldest)));
    }

    fn unlink(&mut self, at: u32) {
        let (newer, older) = {
            let node = &self.nodes[at as usize];
            (node.newer, node.older)
        };
        if newer != NONE {
            self.nodes[newer as usize].older = older;
        }
        if older != NONE {
            self.nodes[older as usize].newer = newer;
        }
        self.ends = match (self.ends, newer, older) {
            (Some(_), NONE, NONE) => None,
            (Some((_, oldest)), NONE, older) => Some((older, oldest)),
            (Some((newest, _)), newer, NONE) => Some((newest, newer)),
            (ends, ..) => ends,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any moment to begin at")]
        Instant::now()
    }

    fn one(table: &RateTable, key: &str, burst: u32, delay: u32, at: Instant) -> Verdict {
        let key = key.as_bytes().to_vec();
        ask(
            &[Use {
                table,
                key,
                burst,
                delay,
            }],
            at,
        )
    }

    fn waits(millis: u64, excess: u64) -> Verdict {
        let wait = Duration::from_millis(millis);
        Verdict::Waits {
            index: 0,
            excess,
            wait,
        }
    }

    #[test]
    fn requests_of_a_burst_wait_for_their_turn_and_those_beyond_are_refused() {
        let start = now();
        let table = RateTable::new(10_000, 9, start);
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(one(&table, "a", 2, 0, at(0)), Verdict::Passes);
        assert_eq!(one(&table, "a", 2, 0, at(0)), waits(100, 1000));
        assert_eq!(one(&table, "a", 2, 0, at(10)), waits(190, 1900));
        let excess = 2700;
        assert_eq!(
            one(&table, "a", 2, 0, at(30)),
            Verdict::Refused { index: 0, excess }
        );
        assert_eq!(one(&table, "b", 2, 0, at(30)), Verdict::Passes);
        assert_eq!(one(&table, "a", 2, 0, at(1000)), Verdict::Passes);
        assert_eq!(one(&table, "", 0, 0, at(1000)), Verdict::Passes);
    }

    #[test]
    fn without_a_burst_the_excess_is_what_nginx_tells() {
        let start = now();
        let table = RateTable::new(1000, 9, start);
        assert_eq!(one(&table, "a", 0, 0, start), Verdict::Passes);
        let later = start + Duration::from_millis(20);
        let refused = Verdict::Refused {
            index: 0,
            excess: 980,
        };
        assert_eq!(one(&table, "a", 0, 0, later), refused);
        assert_eq!(one(&table, "a", 0, 0, later), refused);
    }

    #[test]
    fn so_many_of_a_burst_as_delay_says_do_not_wait() {
        let start = now();
        let table = RateTable::new(1000, 9, start);
        let passed = (0..9).map(|_| one(&table, "a", 4, 2, start));
        let passed: Vec<_> = passed.collect();
        assert_eq!(passed[..3], [Verdict::Passes; 3]);
        assert_eq!(passed[3..5], [waits(1000, 3000), waits(2000, 4000)]);
        assert_eq!(
            passed[5..],
            [Verdict::Refused {
                index: 0,
                excess: 5000
            }; 4]
        );
    }

    #[test]
    fn of_several_limits_a_refusal_by_one_is_not_counted_by_the_others() {
        let start = now();
        let (wide, narrow) = (
            RateTable::new(1000, 9, start),
            RateTable::new(1000, 9, start),
        );
        let both = || {
            let key = b"a".to_vec();
            let wide = Use {
                table: &wide,
                key: key.clone(),
                burst: 5,
                delay: 5,
            };
            let narrow = Use {
                table: &narrow,
                key,
                burst: 1,
                delay: 0,
            };
            ask(&[wide, narrow], start)
        };
        assert_eq!(both(), Verdict::Passes);
        let wait = Duration::from_secs(1);
        assert_eq!(
            both(),
            Verdict::Waits {
                index: 1,
                excess: 1000,
                wait
            }
        );
        for _ in 0..9 {
            assert_eq!(
                both(),
                Verdict::Refused {
                    index: 1,
                    excess: 2000
                }
            );
        }
        assert_eq!(one(&wide, "a", 9, 9, start), Verdict::Passes);
        assert_eq!(wide.ask(b"a", 9, false, start), Ok(3000));
    }

    #[test]
    fn keys_without_end_take_no_more_memory_than_is_given_and_the_oldest_goes_first() {
        let start = now();
        let table = RateTable::new(1000, 100, start);
        for number in 0..100 {
            one(&table, &number.to_string(), 0, 0, start);
        }
        let refused = Verdict::Refused {
            index: 0,
            excess: 1000,
        };
        assert_eq!(one(&table, "0", 0, 0, start), refused);
        one(&table, "new", 0, 0, start);
        assert_eq!(one(&table, "0", 0, 0, start), refused, "it was seen last");
        assert_eq!(
            one(&table, "1", 0, 0, start),
            Verdict::Passes,
            "it was forgotten"
        );
        for number in 0..10_000 {
            one(&table, &number.to_string(), 0, 0, start);
        }
        assert_eq!((table.len(), table.lock().nodes.len()), (100, 100));
        let later = start + Duration::from_secs(61);
        for number in 0..10 {
            one(&table, &format!("later{number}"), 0, 0, later);
        }
        assert_eq!(table.len(), 90);
    }

    #[test]
    fn a_long_key_is_kept_short() {
        assert_eq!(short(&[b'x'; 64]).len(), 64);
        assert_eq!(short(&[b'x'; 5000]).len(), 32);
        assert_ne!(short(&[b'x'; 5000]), short(&[b'x'; 5001]));
    }
}
