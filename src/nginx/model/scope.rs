//! What counts in a block: its own directives and, where nginx inherits them, those of the blocks around it.
//!
//! One rule for all: directives of one name in the innermost block that has any are those that count, together. The
//! table says which names are inherited at all.
#![deny(clippy::disallowed_methods)]

use crate::nginx::table::{self, Context, Inherit};
use crate::nginx::tree::Directive;
use crate::nginx::value;

/// A block and those around it.
#[derive(Clone, Debug)]
pub struct Scope<'t> {
    /// Outermost first.
    levels: Vec<(Context, &'t [Directive])>,
}

impl<'t> Scope<'t> {
    /// The block of a context without anything around it.
    pub fn outermost(context: Context, directives: &'t [Directive]) -> Self {
        Self {
            levels: vec![(context, directives)],
        }
    }

    /// A block within this one.
    #[must_use]
    pub fn inner(&self, context: Context, directives: &'t [Directive]) -> Self {
        let mut levels = self.levels.clone();
        levels.push((context, directives));
        Self { levels }
    }

    /// The directives of this very block.
    pub fn own(&self) -> &'t [Directive] {
        self.levels.last().map_or(&[], |(_, directives)| directives)
    }

    /// What answers here is among these: the directives of this very block, or of the location around it where this is
    /// an `if` that says nothing of it.
    pub fn content(&self) -> &'t [Directive] {
        let answers = |own: &Directive| {
            let name = own.name();
            name.ends_with("_pass")
                || matches!(
                    &*name,
                    "return" | "root" | "alias" | "stub_status" | "empty_gif"
                )
        };
        let returns = |all: &[Directive]| all.iter().any(|own| own.is("return"));
        match &*self.levels {
            [.., (_, outer), (Context::LocationIf, own)] => {
                let stops = own.iter().any(|own| own.is("break"));
                // The rules around it go on after it, and a `return` among them comes before any pass.
                let outer_answers = !stops && returns(outer) && !returns(own);
                let own_answers = own.iter().any(answers) && !outer_answers;
                if own_answers { own } else { outer }
            }
            _ => self.own(),
        }
    }

    /// The `alias` that a location around this one says, and that location, where nothing nearer says where files are.
    pub fn outer_alias(&self) -> Option<(&'t Directive, &'t Directive)> {
        let is_place = |own: &&Directive| own.is("alias") || own.is("root");
        let mut levels = self.levels.iter().enumerate().rev();
        let (index, directives, place) = levels.find_map(|(index, (_, directives))| {
            let place = directives.iter().rfind(is_place)?;
            Some((index, *directives, place))
        })?;
        let (_, around) = self.levels.get(index.checked_sub(1)?)?;
        let block = { around.iter() }.find(|own| std::ptr::eq(own.children(), directives))?;
        place.is("alias").then_some((place, block))
    }

    /// Which kind of block it is.
    pub fn context(&self) -> Context {
        self.levels
            .last()
            .map_or(Context::Main, |(context, _)| *context)
    }

    /// All of a name that count here, in their order.
    pub fn all(&self, name: &str) -> Vec<&'t Directive> {
        self.all_of(&[name])
    }

    /// As [`Self::all`], for names that make one list, as `allow` and `deny` do.
    pub fn all_of(&self, names: &[&str]) -> Vec<&'t Directive> {
        let is_one = |own: &&Directive| names.iter().any(|name| own.is(name));
        for (depth, (context, directives)) in self.levels.iter().rev().enumerate() {
            let found: Vec<_> = directives.iter().filter(is_one).collect();
            if let Some(first) = found.first() {
                let inherited = table::rule(&first.name(), *context)
                    .is_some_and(|rule| rule.inherit == Inherit::Replaced);
                let counts = depth == 0 || inherited;
                return if counts { found } else { Vec::new() };
            }
        }
        Vec::new()
    }

    /// All of a name in this block and those around it, innermost first.
    pub fn outward(&self, name: &str) -> impl Iterator<Item = &'t Directive> {
        let levels = self
            .levels
            .iter()
            .rev()
            .flat_map(|(_, own)| own.iter().rev());
        levels.filter(move |own| own.is(name))
    }

    /// Whether this block or one around it says one of the names, whatever counts.
    pub fn mentions(&self, names: &[&str]) -> bool {
        let is_one = |own: &Directive| names.iter().any(|name| own.is(name));
        self.levels.iter().any(|(_, own)| own.iter().any(is_one))
    }

    /// Whether this is a block of a location within a location.
    pub fn is_within_location(&self) -> bool {
        let [around @ .., _] = &*self.levels else {
            return false;
        };
        around
            .iter()
            .any(|(context, _)| *context == Context::Location)
    }

    /// Whether this block or one around it, as far as they are of this kind, says one of the names.
    pub fn says_within(&self, kind: Context, names: &[&str]) -> bool {
        let levels = self.levels.iter().filter(|(context, _)| *context == kind);
        let mut own = levels.flat_map(|(_, own)| *own);
        own.any(|own| names.iter().any(|name| own.is(name)))
    }

    /// The directives of the nearest block of this kind.
    pub fn nearest(&self, kind: Context) -> &'t [Directive] {
        let mut levels = self.levels.iter().rev();
        let found = levels.find(|(context, _)| *context == kind);
        found.map_or(&[], |(_, own)| *own)
    }

    /// As [`Self::all`], but only what a location says, or an `if` in one: this one, or one around it.
    pub fn all_of_locations(&self, name: &str) -> Vec<&'t Directive> {
        let has = |(_, own): &&(Context, &'t [Directive])| own.iter().any(|own| own.is(name));
        match self.levels.iter().rev().find(has) {
            Some((Context::Location | Context::LocationIf | Context::LimitExcept, _)) => {
                self.all(name)
            }
            _ => Vec::new(),
        }
    }

    /// As [`Self::all`], where a block other than the outermost says it.
    pub fn all_within(&self, name: &str) -> Vec<&'t Directive> {
        let inner = self.levels.iter().skip(1);
        let said = inner
            .flat_map(|(_, own)| own.iter())
            .any(|own| own.is(name));
        if said { self.all(name) } else { Vec::new() }
    }

    /// The one of a name that counts here: the last, where there are several.
    pub fn one(&self, name: &str) -> Option<&'t Directive> {
        self.all(name).pop()
    }

    /// `on` or `off`.
    pub fn flag(&self, name: &str, default: bool) -> bool {
        let words = self.one(name).map(Directive::arguments);
        let first = words.and_then(|words| words.first());
        first
            .and_then(|word| value::flag(&word.bytes))
            .unwrap_or(default)
    }

    /// Milliseconds.
    pub fn time(&self, name: &str) -> Option<i64> {
        value::milliseconds(&self.one(name)?.arguments().first()?.bytes)
    }

    /// Bytes.
    pub fn size(&self, name: &str) -> Option<i64> {
        value::offset(&self.one(name)?.arguments().first()?.bytes)
    }
}
