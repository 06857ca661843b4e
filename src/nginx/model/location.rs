//! The locations of a server or of a location, as they are written.
//!
//! Which of them a path belongs to is `places`' business. Pure.
#![deny(clippy::disallowed_methods)]

use super::places::{Kind, Place, Places};
use super::scope::Scope;
use crate::nginx::Pattern;
use crate::nginx::table::Context;
use crate::nginx::tree::Directive;

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

/// The locations of one block.
pub type Locations<'t> = Places<Location<'t>>;

impl<'t> Place for Location<'t> {
    fn kind(&self) -> &Kind {
        &self.kind
    }

    fn inner(&self) -> &Locations<'t> {
        &self.inner
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
        self.kind.path()
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

impl Kind {
    /// That of a `location`, where its words are right.
    pub fn of(location: &Directive) -> Option<Self> {
        kind(location).ok()
    }
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

impl<'t> Places<Location<'t>> {
    /// Those of the scope's own block.
    ///
    /// # Errors
    /// nginx's sentence for what is no location.
    pub fn new(scope: &Scope<'t>) -> Result<Self, String> {
        let directives = scope.own().iter().filter(|own| own.is("location"));
        let list = directives
            .map(|directive| Location::new(directive, scope))
            .collect::<Result<Vec<_>, _>>()?;
        Self::of(list).map_err(|path| {
            let path = String::from_utf8_lossy(&path);
            format!("duplicate location \"{path}\"")
        })
    }
}
