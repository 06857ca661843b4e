//! Routes of one site by path: whole paths first, then the longest prefix.
//!
//! A site with one route for everything needs no look at memory. One with few patterns, which nearly all others are, has
//! them side by side and compared in turn. One with many has tables: one hash lookup for the whole path and one for each
//! number of segments that prefixes of the site have, the same cost for ten routes as for ten thousand. No allocation.
//! Sites that match as nginx does have its own places. Prefixes are stored with a slash at their end, so that being a prefix in bytes and ending at a segment are the same
//! thing.
#![deny(clippy::disallowed_methods)]

mod few;
mod key;
mod places;

use std::collections::hash_map::Entry;

use foldhash::HashMap;

use crate::config::Site;
use crate::router::RouteMatch;
use crate::types::path::PathPattern;
use few::Few;
use key::Key;
use places::Nested;
pub use places::Seen;

/// The path patterns of one site.
#[derive(Debug)]
pub struct PathTable(Form);

#[derive(Debug)]
enum Form {
    /// The prefix `/` alone, which this route has.
    All(usize),
    Few(Few),
    Many(Box<Many>),
    Nested(Box<Nested>),
}

impl PathTable {
    /// Takes the patterns in the order of the file; what is found are their indices.
    pub fn new<'a>(patterns: impl Iterator<Item = &'a PathPattern>) -> Self {
        let many = Many::new(patterns);
        Self(match (many.all(), Few::of(&many)) {
            (Some(route), _) => Form::All(route),
            (None, Some(few)) => Form::Few(few),
            (None, None) => Form::Many(Box::new(many)),
        })
    }

    /// The routes of `site`.
    pub fn of(site: &Site) -> Self {
        match Nested::of(site) {
            Some(nested) => Self(Form::Nested(Box::new(nested))),
            None => Self::new(site.routes.iter().map(|route| &route.path)),
        }
    }

    /// Whether both find the same, as far as that can be seen at once.
    pub fn is_like(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Form::All(a), Form::All(b)) => a == b,
            _ => false,
        }
    }

    /// What `path` leads to, which is that of `target`. Any bytes are allowed; unless the site says so, the path is not
    /// decoded or tidied. Notes in `seen` what texts may name.
    pub fn seek(&self, path: &[u8], target: &[u8], seen: &mut Option<Box<Seen>>) -> RouteMatch {
        match &self.0 {
            Form::All(route) if path.first() == Some(&b'/') => RouteMatch::Found(*route),
            Form::All(_) => RouteMatch::None,
            Form::Few(few) => few.find(path),
            Form::Many(many) => many.find(path),
            Form::Nested(nested) => nested.find(path, target, seen),
        }
    }

    /// As [`Self::seek`], for who wants to know nothing else.
    pub fn find(&self, path: &[u8]) -> RouteMatch {
        self.seek(path, path, &mut None)
    }

    /// What a path leads to that hubgate itself asks for: it is as it is matched, and internal routes answer too.
    pub fn find_within(&self, path: &[u8], seen: &mut Option<Box<Seen>>) -> RouteMatch {
        match &self.0 {
            Form::Nested(nested) => nested.within(path, true, seen),
            _ => self.find(path),
        }
    }

    /// The route with this name.
    pub fn named(&self, name: &str) -> Option<usize> {
        match &self.0 {
            Form::Nested(nested) => nested.named(name),
            _ => None,
        }
    }
}

/// The patterns in tables. What is longer than any key is not even hashed.
#[derive(Debug, Default)]
struct Many {
    /// What a path leads to as a whole.
    whole: HashMap<Key, Ranked<RouteMatch>>,
    whole_lengths: Lengths,
    /// The route for everything below a prefix, which has a slash at its end.
    below: HashMap<Key, Ranked<u32>>,
    longest_below: usize,
    /// At `n`: whether there are prefixes with `n + 1` slashes.
    depths: Vec<bool>,
}

/// Patterns can give the same key; the lowest rank wins, and the file's order among equals.
#[derive(Debug)]
struct Ranked<T> {
    rank: u8,
    value: T,
}

impl Many {
    fn new<'a>(patterns: impl Iterator<Item = &'a PathPattern>) -> Self {
        let mut table = Self::default();
        for (route, pattern) in patterns.enumerate() {
            let found = RouteMatch::Found(route);
            match pattern {
                PathPattern::Exact(path) => table.add_whole(path.as_bytes(), 0, found),
                PathPattern::Prefix(path) => match path.as_bytes().strip_suffix(b"/") {
                    Some(bare) => {
                        table.add_below(path.as_bytes(), 0, route);
                        if !bare.is_empty() {
                            table.add_whole(bare, 2, RouteMatch::AddSlash(route));
                        }
                    }
                    None => {
                        table.add_whole(path.as_bytes(), 1, found);
                        table.add_below(&[path.as_bytes(), b"/"].concat(), 1, route);
                    }
                },
                // Sites with such have places of their own.
                PathPattern::Begins(_) | PathPattern::Regex(_) | PathPattern::Named(_) => {}
            }
        }
        table
    }

    /// The route of the prefix `/`, when there is no other pattern.
    fn all(&self) -> Option<usize> {
        let alone = self.whole.is_empty() && self.below.len() == 1;
        let all = self.below.get(&b"/"[..]).filter(|_| alone)?;
        Some(all.value as usize)
    }

    fn add_whole(&mut self, path: &[u8], rank: u8, found: RouteMatch) {
        self.whole_lengths.add(path.len());
        add(&mut self.whole, path, rank, found);
    }

    fn add_below(&mut self, prefix: &[u8], rank: u8, route: usize) {
        self.longest_below = self.longest_below.max(prefix.len());
        let slashes = memchr::memchr_iter(b'/', prefix).count();
        self.depths.resize(self.depths.len().max(slashes), false);
        if let Some(depth) = self.depths.get_mut(slashes.saturating_sub(1)) {
            *depth = true;
        }
        // A configuration with 2^32 routes fits no memory.
        add(&mut self.below, prefix, rank, route as u32);
    }

    fn find(&self, path: &[u8]) -> RouteMatch {
        if self.whole_lengths.may_have(path.len())
            && let Some(whole) = self.whole.get(path)
        {
            return whole.value;
        }
        match self.longest_prefix(path) {
            Some(route) => RouteMatch::Found(route),
            None => RouteMatch::None,
        }
    }

    fn longest_prefix(&self, path: &[u8]) -> Option<usize> {
        let mut longest = None;
        for (slash, exists) in memchr::memchr_iter(b'/', path).zip(&self.depths) {
            if slash >= self.longest_below {
                break;
            }
            if *exists
                && let Some(below) = path.get(..=slash).and_then(|prefix| self.below.get(prefix))
            {
                longest = Some(below.value as usize);
            }
        }
        longest
    }
}

/// The lengths that paths have: a path of another one need not be looked for.
#[derive(Debug, Default)]
struct Lengths([u64; 4]);

impl Lengths {
    /// Lengths above are taken for one.
    const MOST: usize = 255;

    fn add(&mut self, length: usize) {
        let length = length.min(Self::MOST);
        self.0[length / 64] |= 1 << (length % 64);
    }

    fn may_have(&self, length: usize) -> bool {
        let length = length.min(Self::MOST);
        self.0[length / 64] >> (length % 64) & 1 == 1
    }
}

fn add<T>(map: &mut HashMap<Key, Ranked<T>>, key: &[u8], rank: u8, value: T) {
    match map.entry(key.into()) {
        Entry::Vacant(entry) => {
            entry.insert(Ranked { rank, value });
        }
        Entry::Occupied(mut entry) if rank < entry.get().rank => {
            entry.insert(Ranked { rank, value });
        }
        Entry::Occupied(_) => {}
    }
}

#[cfg(test)]
mod tests;
