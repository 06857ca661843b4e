//! Numbers by host pattern: exact hosts, then what comes before a name, the longest first, what comes after, regexes.
//!
//! Two lookups at most, whatever the number of patterns, as long as there are but hosts and one-label wildcards. Then one more
//! for each label, and what comes after names and regexes in turn.
#![deny(clippy::disallowed_methods)]

use super::Seen;
use super::hosts::HostTable;
use crate::types::host::{Host, HostPattern};

/// A table that is made once and then only read.
#[derive(Debug)]
pub(super) struct PatternTable {
    exact: HostTable,
    /// By what follows `*.`.
    wildcard: HostTable,
    more: Option<Box<More>>,
}

/// What few configurations have.
#[derive(Debug)]
struct More {
    /// By what follows `**.`.
    below: HostTable,
    /// Beginnings and regexes, in the order in which they are asked.
    others: Vec<(HostPattern, u32)>,
    nameless: Option<u32>,
}

impl PatternTable {
    /// Takes patterns with their numbers. Of equal patterns the first counts.
    pub(super) fn new<'a>(patterns: impl Iterator<Item = (&'a HostPattern, u32)> + Clone) -> Self {
        let exact = patterns
            .clone()
            .filter_map(|(pattern, number)| Some((pattern.exact()?.as_str(), number)));
        let wildcard = patterns
            .clone()
            .filter_map(|(pattern, number)| match pattern {
                HostPattern::Wildcard(parent) => Some((parent.as_str(), number)),
                _ => None,
            });
        Self {
            exact: HostTable::new(exact),
            wildcard: HostTable::new(wildcard),
            more: More::of(patterns).map(Box::new),
        }
    }

    /// The number of the pattern that stands for `host`.
    pub(super) fn find(&self, host: &Host) -> Option<usize> {
        self.seek(host, &mut None)
    }

    /// As [`Self::find`]; notes in `seen` what a regex took.
    pub(super) fn seek(&self, host: &Host, seen: &mut Option<Box<Seen>>) -> Option<usize> {
        self.exact
            .get(host.as_str())
            .or_else(|| self.wildcard.get(host.parent()?))
            .or_else(|| self.more.as_ref()?.seek(host, seen))
            .map(|number| number as usize)
    }
}

impl More {
    fn of<'a>(patterns: impl Iterator<Item = (&'a HostPattern, u32)> + Clone) -> Option<Self> {
        let plain = |pattern: &HostPattern| {
            matches!(pattern, HostPattern::Exact(_) | HostPattern::Wildcard(_))
        };
        if patterns.clone().all(|(pattern, _)| plain(pattern)) {
            return None;
        }
        let below = patterns
            .clone()
            .filter_map(|(pattern, number)| match pattern {
                HostPattern::Below(parent) => Some((parent.as_str(), number)),
                _ => None,
            });
        let others = patterns.clone().filter(|(pattern, _)| {
            matches!(pattern, HostPattern::Starts(_) | HostPattern::Regex(_))
        });
        let mut others: Vec<_> = others
            .map(|(pattern, number)| (pattern.clone(), number))
            .collect();
        others.sort_by_key(|(pattern, _)| pattern.precedence());
        let mut nameless = patterns.filter(|(pattern, _)| **pattern == HostPattern::Nameless);
        Some(Self {
            below: HostTable::new(below),
            others,
            nameless: nameless.next().map(|(_, number)| number),
        })
    }

    fn seek(&self, host: &Host, seen: &mut Option<Box<Seen>>) -> Option<u32> {
        if host.is_nameless() {
            return self.nameless;
        }
        let mut rest = host.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(found) = self.below.get(parent) {
                return Some(found);
            }
            rest = parent;
        }
        let name = host.as_str();
        self.others.iter().find_map(|(pattern, number)| {
            match pattern {
                HostPattern::Regex(regex) => {
                    let captures = regex.find(name.as_bytes())?;
                    seen.get_or_insert_default().take(captures);
                }
                other if !other.matches_name(name) => return None,
                _ => {}
            }
            Some(*number)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_host_wins_then_the_longest_before_then_the_longest_after_then_the_first_regex() {
        let patterns = [
            "~^(?<first>[a-z]+)\\.",
            "~.",
            "www.*",
            "www.a.*",
            "**.test",
            "**.b.test",
            "*.b.test",
            "x.b.test",
            "",
        ];
        let patterns: Vec<_> = patterns
            .iter()
            .map(|text| HostPattern::parse_any(text).unwrap())
            .collect();
        let table = PatternTable::new(patterns.iter().zip(0..));
        let mut seen = None;
        for (host, expected) in [
            ("x.b.test", 7),
            ("y.b.test", 6),
            ("z.y.b.test", 5),
            ("b.test", 4),
            ("www.a.org", 3),
            ("www.b.org", 2),
            ("abc.org", 0),
            ("1.org", 1),
        ] {
            let host = Host::parse(host).unwrap();
            assert_eq!(table.seek(&host, &mut seen), Some(expected), "{host}");
        }
        let seen = seen.unwrap();
        assert_eq!(seen.captures.named("first"), Some(&b"abc"[..]));
        assert_eq!(table.find(&Host::nameless()), Some(8));
    }
}
