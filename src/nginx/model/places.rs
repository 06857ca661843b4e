//! Places by path: exact paths, prefixes, expressions and places within places, and which of them a path belongs to.
//!
//! Prefixes and exact paths stand in a tree that is built and searched as nginx does, because what nginx redirects to a
//! slash depends on the tree's shape. Expressions come in their order. Pure, and of nginx's locations as well as of
//! hubgate's routes: a request finds its way by the very code that is compared with nginx.
#![deny(clippy::disallowed_methods)]

use std::cmp::Ordering;

use crate::types::pattern::{Captures, Pattern};

/// What stands at a path.
pub trait Place: Sized {
    /// Which paths.
    fn kind(&self) -> &Kind;
    /// Those within it.
    fn inner(&self) -> &Places<Self>;
    /// Whether a path that lacks its last slash is redirected to it.
    fn redirects(&self) -> bool;
}

/// Which paths a place stands for.
#[derive(Clone, Debug)]
pub enum Kind {
    /// `= /path`
    Exact(Vec<u8>),
    /// `/path`; `true` for `^~`: no expression is asked when it is the longest.
    Prefix(Vec<u8>, bool),
    /// `~` or `~*`
    Pattern(Box<Pattern>),
    /// `@name`
    Named(Vec<u8>),
}

impl Kind {
    /// The path of an exact one or a prefix.
    pub fn path(&self) -> Option<&[u8]> {
        match self {
            Self::Exact(path) | Self::Prefix(path, _) => Some(path),
            Self::Pattern(_) | Self::Named(_) => None,
        }
    }
}

/// The places of one block.
#[derive(Clone, Debug)]
pub struct Places<P> {
    /// In their order.
    pub list: Vec<P>,
    tree: Option<Box<Node>>,
}

impl<P> Default for Places<P> {
    fn default() -> Self {
        let (list, tree) = (Vec::new(), None);
        Self { list, tree }
    }
}

/// Paths that begin alike, by what follows.
#[derive(Clone, Debug)]
struct Node {
    /// What follows the outer node's.
    rest: Vec<u8>,
    exact: Option<usize>,
    prefix: Option<usize>,
    /// Whether a path that lacks its last slash is redirected to it.
    redirects: bool,
    left: Option<Box<Node>>,
    right: Option<Box<Node>>,
    /// Those that begin with it.
    inner: Option<Box<Node>>,
}

/// What a path leads to.
#[derive(Clone, Debug)]
pub enum Found<'l, P> {
    /// This place; what its expression took.
    Place(&'l P, Captures),
    /// A redirect to the path with a slash, which this place asks for.
    Slash(&'l P),
    /// None: the block itself.
    None,
}

enum Static {
    Exact(usize),
    Prefix(usize),
    Slash(usize),
    None,
}

impl<P: Place> Places<P> {
    /// Puts places into their tree.
    ///
    /// # Errors
    /// The path that two exact ones, or two prefixes, have.
    pub fn of(list: Vec<P>) -> Result<Self, Vec<u8>> {
        let tree = grow(entries(&list)?, 0);
        Ok(Self { list, tree })
    }

    /// The place of a path.
    pub fn find(&self, path: &[u8]) -> Found<'_, P> {
        self.search(path).found
    }

    fn search(&self, path: &[u8]) -> Answer<'_, P> {
        let (outer, within) = match self.find_static(path) {
            Static::Slash(index) => {
                let slash = self.list.get(index).map_or(Found::None, Found::Slash);
                return Answer::last(slash);
            }
            Static::Exact(index) => return Answer::last(self.at(index, Captures::default())),
            Static::None => (None, Found::None),
            Static::Prefix(index) => {
                let outer = self.list.get(index);
                // What is within the longest prefix is asked before the expressions beside it.
                let within = outer.map(|outer| outer.inner().search(path));
                match within {
                    Some(within) if within.last => return within,
                    Some(Answer {
                        found: Found::None, ..
                    })
                    | None => (outer, self.at(index, Captures::default())),
                    Some(within) => (outer, within.found),
                }
            }
        };
        if outer.is_some_and(|outer| matches!(outer.kind(), Kind::Prefix(_, true))) {
            return Answer {
                found: within,
                last: false,
            };
        }
        match self.find_pattern(path) {
            Some(found) => Answer::last(found),
            None => Answer {
                found: within,
                last: false,
            },
        }
    }

    fn find_pattern(&self, path: &[u8]) -> Option<Found<'_, P>> {
        self.list.iter().find_map(|place| {
            let Kind::Pattern(pattern) = place.kind() else {
                return None;
            };
            let captures = pattern.find(path)?;
            Some(match place.inner().find(path) {
                Found::None => Found::Place(place, captures),
                Found::Place(inner, own) if own.groups.is_empty() => Found::Place(inner, captures),
                // A slash is not asked for within an expression.
                Found::Slash(inner) => Found::Place(inner, captures),
                within @ Found::Place(..) => within,
            })
        })
    }

    fn at(&self, index: usize, captures: Captures) -> Found<'_, P> {
        match self.list.get(index) {
            Some(place) => Found::Place(place, captures),
            None => Found::None,
        }
    }

    fn find_static(&self, path: &[u8]) -> Static {
        let mut found = Static::None;
        let mut node = self.tree.as_deref();
        let mut rest = path;
        while let Some(here) = node {
            let shared = rest.len().min(here.rest.len());
            let (own, other) = (rest.get(..shared), here.rest.get(..shared));
            match order(own.unwrap_or_default(), other.unwrap_or_default()) {
                Ordering::Less => node = here.left.as_deref(),
                Ordering::Greater => node = here.right.as_deref(),
                Ordering::Equal if rest.len() > here.rest.len() => match here.prefix {
                    Some(prefix) => {
                        found = Static::Prefix(prefix);
                        node = here.inner.as_deref();
                        rest = rest.get(shared..).unwrap_or_default();
                    }
                    None => node = here.right.as_deref(),
                },
                Ordering::Equal if rest.len() == here.rest.len() => {
                    return match (here.exact, here.prefix) {
                        (Some(exact), _) => Static::Exact(exact),
                        (None, Some(prefix)) => Static::Prefix(prefix),
                        (None, None) => found,
                    };
                }
                Ordering::Equal => {
                    let own = here.exact.or(here.prefix);
                    if let Some(own) = own
                        && here.redirects
                        && rest.len() + 1 == here.rest.len()
                    {
                        found = Static::Slash(own);
                    }
                    node = here.left.as_deref();
                }
            }
        }
        found
    }
}

/// What was found, and whether nothing around it is asked any more.
struct Answer<'l, P> {
    found: Found<'l, P>,
    last: bool,
}

impl<'l, P> Answer<'l, P> {
    fn last(found: Found<'l, P>) -> Self {
        Self { found, last: true }
    }
}

/// nginx's order of paths: by bytes, but a slash comes before every other.
fn order(a: &[u8], b: &[u8]) -> Ordering {
    let key = |byte: &u8| match byte {
        b'/' => 0,
        other => u16::from(*other) + 1,
    };
    a.iter().map(key).cmp(b.iter().map(key))
}

/// A path with what stands for it.
struct Entry {
    path: Vec<u8>,
    exact: Option<usize>,
    prefix: Option<usize>,
    redirects: bool,
}

/// Exact paths and prefixes in their order, those of one path together.
fn entries<P: Place>(list: &[P]) -> Result<Vec<Entry>, Vec<u8>> {
    let mut all: Vec<(usize, &[u8])> = (list.iter().enumerate())
        .filter_map(|(index, place)| Some((index, place.kind().path()?)))
        .collect();
    all.sort_by(|(_, a), (_, b)| order(a, b));
    let mut entries: Vec<Entry> = Vec::new();
    for (index, path) in all {
        let Some(place) = list.get(index) else {
            continue;
        };
        if entries.last().is_none_or(|entry| entry.path != path) {
            entries.push(Entry {
                path: path.to_vec(),
                exact: None,
                prefix: None,
                redirects: false,
            });
        }
        let Some(entry) = entries.last_mut() else {
            continue;
        };
        let slot = match place.kind() {
            Kind::Exact(_) => &mut entry.exact,
            _ => &mut entry.prefix,
        };
        if slot.replace(index).is_some() {
            return Err(path.to_vec());
        }
        entry.redirects |= place.redirects();
    }
    Ok(entries)
}

/// A tree of entries that all begin with the same `skip` bytes. Those that begin with an earlier prefix are within it;
/// of the rest the middle one is the root.
fn grow(entries: Vec<Entry>, skip: usize) -> Option<Box<Node>> {
    let mut groups: Vec<(Entry, Vec<Entry>)> = Vec::new();
    for entry in entries {
        match groups.last_mut() {
            Some((outer, within))
                if outer.prefix.is_some() && entry.path.starts_with(&outer.path) =>
            {
                within.push(entry);
            }
            _ => groups.push((entry, Vec::new())),
        }
    }
    balance(groups, skip)
}

fn balance(mut groups: Vec<(Entry, Vec<Entry>)>, skip: usize) -> Option<Box<Node>> {
    if groups.is_empty() {
        return None;
    }
    let after = groups.split_off(groups.len() / 2 + 1);
    let (root, within) = groups.pop()?;
    Some(Box::new(Node {
        rest: root.path.get(skip..).unwrap_or_default().to_vec(),
        exact: root.exact,
        prefix: root.prefix,
        redirects: root.redirects,
        left: balance(groups, skip),
        right: balance(after, skip),
        inner: grow(within, root.path.len()),
    }))
}
