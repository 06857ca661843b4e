//! Numbers by host pattern: exact hosts before wildcards.
//!
//! Two lookups at most, whatever the number of patterns.
#![deny(clippy::disallowed_methods)]

use super::hosts::HostTable;
use crate::types::host::{Host, HostPattern};

/// A table that is made once and then only read.
#[derive(Debug)]
pub(super) struct PatternTable {
    exact: HostTable,
    /// By what follows `*.`.
    wildcard: HostTable,
}

impl PatternTable {
    /// Takes patterns with their numbers. Of equal patterns the first counts.
    pub(super) fn new<'a>(patterns: impl Iterator<Item = (&'a HostPattern, u32)> + Clone) -> Self {
        let exact = patterns
            .clone()
            .filter_map(|(pattern, number)| match pattern {
                HostPattern::Exact(host) => Some((host.as_str(), number)),
                HostPattern::Wildcard(_) => None,
            });
        let wildcard = patterns.filter_map(|(pattern, number)| match pattern {
            HostPattern::Exact(_) => None,
            HostPattern::Wildcard(parent) => Some((parent.as_str(), number)),
        });
        Self {
            exact: HostTable::new(exact),
            wildcard: HostTable::new(wildcard),
        }
    }

    /// The number of the pattern that names `host`.
    pub(super) fn find(&self, host: &Host) -> Option<usize> {
        self.exact
            .get(host.as_str())
            .or_else(|| self.wildcard.get(host.parent()?))
            .map(|number| number as usize)
    }
}
