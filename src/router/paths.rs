//! Routes of one site by path: whole paths first, then the longest prefix.
//!
//! Two sorted tables, each searched once by bisection: no hashing, no allocation, and a cost that grows with the
//! logarithm of the number of routes. Prefixes are stored with a slash at their end, so that being a prefix in bytes
//! and ending at a segment are the same thing.
#![deny(clippy::disallowed_methods)]

use crate::router::RouteMatch;
use crate::types::path::PathPattern;

/// The path patterns of one site.
#[derive(Debug)]
pub(super) struct PathTable {
    /// What these paths lead to as a whole, sorted by path, each path once.
    whole: Vec<(Box<[u8]>, RouteMatch)>,
    /// Sorted by `below`, each once.
    prefixes: Vec<Prefix>,
}

#[derive(Debug)]
struct Prefix {
    /// With a slash at its end.
    below: Box<[u8]>,
    route: usize,
    /// The longest other prefix that this one begins with. Always at a smaller index, so following it ends.
    outer: Option<usize>,
}

impl PathTable {
    /// Takes the patterns in the order of the file; what is found are their indices.
    pub(super) fn new<'a>(patterns: impl Iterator<Item = &'a PathPattern>) -> Self {
        // Ranks say who wins where two patterns give the same key; the sort below keeps the file's order among equals.
        let mut whole: Vec<(Box<[u8]>, u8, RouteMatch)> = Vec::new();
        let mut below: Vec<(Box<[u8]>, u8, usize)> = Vec::new();
        for (route, pattern) in patterns.enumerate() {
            let found = RouteMatch::Found(route);
            match pattern {
                PathPattern::Exact(path) => whole.push((path.as_bytes().into(), 0, found)),
                PathPattern::Prefix(path) => match path.as_bytes().strip_suffix(b"/") {
                    Some(bare) => {
                        below.push((path.as_bytes().into(), 0, route));
                        if !bare.is_empty() {
                            whole.push((bare.into(), 2, RouteMatch::AddSlash));
                        }
                    }
                    None => {
                        whole.push((path.as_bytes().into(), 1, found));
                        below.push(([path.as_bytes(), b"/"].concat().into(), 1, route));
                    }
                },
            }
        }
        whole.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        whole.dedup_by(|later, first| later.0 == first.0);
        below.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        below.dedup_by(|later, first| later.0 == first.0);
        Self {
            whole: whole
                .into_iter()
                .map(|(path, _, found)| (path, found))
                .collect(),
            prefixes: link(below),
        }
    }

    /// What `path` leads to. Any bytes are allowed; the path is never decoded or tidied.
    pub(super) fn find(&self, path: &[u8]) -> RouteMatch {
        if let Ok(index) = self.whole.binary_search_by(|(own, _)| (**own).cmp(path)) {
            return self
                .whole
                .get(index)
                .map_or(RouteMatch::None, |(_, found)| *found);
        }
        match self.longest_prefix(path) {
            Some(route) => RouteMatch::Found(route),
            None => RouteMatch::None,
        }
    }

    /// Every stored prefix of `path` sorts before it, and whatever sorts between the longest of them and `path`
    /// begins with that one. So the last entry not after `path` has the answer on its chain of outer prefixes.
    fn longest_prefix(&self, path: &[u8]) -> Option<usize> {
        let after = self
            .prefixes
            .partition_point(|prefix| *prefix.below <= *path);
        let mut candidate = after.checked_sub(1);
        while let Some(prefix) = candidate.and_then(|index| self.prefixes.get(index)) {
            if path.starts_with(&prefix.below) {
                return Some(prefix.route);
            }
            candidate = prefix.outer;
        }
        None
    }
}

/// Adds to each of the sorted prefixes which other one it lies in.
fn link(sorted: Vec<(Box<[u8]>, u8, usize)>) -> Vec<Prefix> {
    let mut prefixes: Vec<Prefix> = Vec::with_capacity(sorted.len());
    // The prefixes that the last entry lies in, outermost first, and itself.
    let mut open: Vec<usize> = Vec::new();
    for (below, _, route) in sorted {
        while let Some(&last) = open.last() {
            if prefixes
                .get(last)
                .is_some_and(|outer| below.starts_with(&outer.below))
            {
                break;
            }
            open.pop();
        }
        let outer = open.last().copied();
        open.push(prefixes.len());
        prefixes.push(Prefix {
            below,
            route,
            outer,
        });
    }
    prefixes
}

#[cfg(test)]
mod tests;
