//! The locations of a server or of a location, and which of them a path belongs to.
//!
//! Prefixes and exact paths stand in a tree that is built and searched as nginx does, because what nginx redirects to a
//! slash depends on the tree's shape. Expressions come in the order of the file. Pure.
#![deny(clippy::disallowed_methods)]

use std::cmp::Ordering;

use super::scope::Scope;
use crate::nginx::table::Context;
use crate::nginx::tree::Directive;
use crate::nginx::{Captures, Pattern};

/// One `location`.
#[derive(Clone, Debug)]
pub struct Location<'t> {
    /// Where it was written.
    pub directive: &'t Directive,
    /// Which paths.
    pub kind: Kind,
    /// What counts in it.
    pub scope: Scope<'t>,
    /// Those within it.
    pub inner: Locations<'t>,
}

/// Which paths a location stands for.
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

/// The locations of one block.
#[derive(Clone, Debug, Default)]
pub struct Locations<'t> {
    /// In the order of the file.
    pub list: Vec<Location<'t>>,
    tree: Option<Box<Node>>,
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
pub enum Found<'l, 't> {
    /// This location; what its expression took.
    Location(&'l Location<'t>, Captures),
    /// A redirect to the path with a slash, which this location asks for.
    Slash(&'l Location<'t>),
    /// None: the block itself.
    None,
}

enum Static {
    Exact(usize),
    Prefix(usize),
    Slash(usize),
    None,
}

impl<'t> Location<'t> {
    fn new(directive: &'t Directive, outer: &Scope<'t>) -> Result<Self, String> {
        let scope = outer.inner(Context::Location, directive.children());
        Ok(Self {
            directive,
            kind: kind(directive)?,
            inner: Locations::new(&scope)?,
            scope,
        })
    }

    /// The path of an exact one or a prefix.
    pub fn path(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Exact(path) | Kind::Prefix(path, _) => Some(path),
            _ => None,
        }
    }

    /// Whether something answers in it that wants a slash at the end of its path.
    fn redirects(&self) -> bool {
        const PASSES: &[&str] = &[
            "proxy_pass",
            "fastcgi_pass",
            "uwsgi_pass",
            "scgi_pass",
            "grpc_pass",
            "memcached_pass",
        ];
        let passes = |own: &Directive| PASSES.iter().any(|name| own.is(name));
        self.path().is_some_and(|path| path.ends_with(b"/"))
            && self.directive.children().iter().any(passes)
    }
}

/// What stands before a location's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::nginx) enum Mark {
    Exact,
    Prefix,
    /// `^~`
    Final,
    Pattern,
    /// `~*`
    PatternInAnyCase,
    Named,
}

/// The words of a `location`, whose mark may stand apart or not.
pub(in crate::nginx) fn head(directive: &Directive) -> Result<(Mark, &[u8]), String> {
    let bytes = |index: usize| {
        let word = directive.arguments().get(index);
        word.map_or(&b""[..], |word| &word.bytes)
    };
    let (mark, path): (&[u8], &[u8]) = match directive.arguments().len() {
        2 => (bytes(0), bytes(1)),
        _ => {
            let word = bytes(0);
            let marks: [&[u8]; 4] = [b"=", b"^~", b"~*", b"~"];
            let mark = marks.into_iter().find(|mark| word.starts_with(mark));
            let mark = mark.unwrap_or_default();
            (mark, word.get(mark.len()..).unwrap_or_default())
        }
    };
    let mark = match mark {
        b"" if path.starts_with(b"@") => Mark::Named,
        b"" => Mark::Prefix,
        b"=" => Mark::Exact,
        b"^~" => Mark::Final,
        b"~" => Mark::Pattern,
        b"~*" => Mark::PatternInAnyCase,
        _ => {
            let mark = String::from_utf8_lossy(mark);
            return Err(format!("invalid location modifier \"{mark}\""));
        }
    };
    Ok((mark, path))
}

fn kind(directive: &Directive) -> Result<Kind, String> {
    let (mark, path) = head(directive)?;
    let pattern = |ignore_case| {
        let text = String::from_utf8_lossy(path);
        Pattern::new(&text, ignore_case).map(|pattern| Kind::Pattern(Box::new(pattern)))
    };
    match mark {
        Mark::Exact => Ok(Kind::Exact(path.to_vec())),
        Mark::Prefix => Ok(Kind::Prefix(path.to_vec(), false)),
        Mark::Final => Ok(Kind::Prefix(path.to_vec(), true)),
        Mark::Named => Ok(Kind::Named(path.to_vec())),
        Mark::Pattern => pattern(false),
        Mark::PatternInAnyCase => pattern(true),
    }
}

impl<'t> Locations<'t> {
    /// Those of the scope's own block.
    ///
    /// # Errors
    /// nginx's sentence for what is no location.
    pub fn new(scope: &Scope<'t>) -> Result<Self, String> {
        let directives = scope.own().iter().filter(|own| own.is("location"));
        let list = directives
            .map(|directive| Location::new(directive, scope))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            tree: grow(entries(&list)?, 0),
            list,
        })
    }

    /// The location of a normalised path.
    pub fn find(&self, path: &[u8]) -> Found<'_, 't> {
        self.search(path).found
    }

    fn search(&self, path: &[u8]) -> Answer<'_, 't> {
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
                let within = outer.map(|outer| outer.inner.search(path));
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
        if outer.is_some_and(|outer| matches!(outer.kind, Kind::Prefix(_, true))) {
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

    fn find_pattern(&self, path: &[u8]) -> Option<Found<'_, 't>> {
        self.list.iter().find_map(|location| {
            let Kind::Pattern(pattern) = &location.kind else {
                return None;
            };
            let captures = pattern.find(path)?;
            Some(match location.inner.find(path) {
                Found::None => Found::Location(location, captures),
                Found::Location(inner, own) if own.groups.is_empty() => {
                    Found::Location(inner, captures)
                }
                // A slash is not asked for within an expression.
                Found::Slash(inner) => Found::Location(inner, captures),
                within @ Found::Location(..) => within,
            })
        })
    }

    fn at(&self, index: usize, captures: Captures) -> Found<'_, 't> {
        match self.list.get(index) {
            Some(location) => Found::Location(location, captures),
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
struct Answer<'l, 't> {
    found: Found<'l, 't>,
    last: bool,
}

impl<'l, 't> Answer<'l, 't> {
    fn last(found: Found<'l, 't>) -> Self {
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
fn entries(list: &[Location<'_>]) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    for (index, location) in list.iter().enumerate() {
        let Some(path) = location.path() else {
            continue;
        };
        let found = entries.iter().position(|entry| entry.path == path);
        let at = found.unwrap_or_else(|| {
            entries.push(Entry {
                path: path.to_vec(),
                exact: None,
                prefix: None,
                redirects: false,
            });
            entries.len() - 1
        });
        let Some(entry) = entries.get_mut(at) else {
            continue;
        };
        let slot = match location.kind {
            Kind::Exact(_) => &mut entry.exact,
            _ => &mut entry.prefix,
        };
        if slot.replace(index).is_some() {
            let path = String::from_utf8_lossy(path);
            return Err(format!("duplicate location \"{path}\""));
        }
        entry.redirects |= location.redirects();
    }
    entries.sort_by(|a, b| order(&a.path, &b.path));
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
