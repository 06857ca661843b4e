//! What may stand in a block: judges each directive as nginx would at that very moment.
//!
//! Pure. Sentences are nginx's to the letter; where they are told is `read`'s affair.
#![deny(clippy::disallowed_methods)]

use std::collections::HashSet;

use super::judge;
use super::meaning::{self, Outer};
use super::modules;
use super::table::{self, Context};
use super::tree::Directive;
use super::value;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Directives of a context.
    Directives(Context),
    /// Rows of a table.
    Rows(Rows),
    /// Whatever a foreign directive's block holds.
    Anything,
}

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    Map,
    Geo,
    SplitClients,
    Types,
    CharsetMap,
}

/// What the braces of a directive hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inner {
    Scope(Scope),
    /// Another language.
    Foreign,
}

/// A block being read.
#[derive(Debug)]
pub(super) struct Frame {
    scope: Scope,
    /// Directives that may stand here once and do.
    seen: HashSet<&'static str>,
    /// The location it stands in.
    outer: Option<Outer>,
    /// The modules that it has loaded.
    modules: Vec<String>,
}

impl Frame {
    pub(super) fn new(scope: Scope) -> Self {
        Self {
            scope,
            seen: HashSet::new(),
            outer: None,
            modules: Vec::new(),
        }
    }

    /// The block that a directive of this one opens.
    pub(super) fn inner(&self, scope: Scope, directive: &Directive) -> Self {
        Self {
            outer: Outer::of(directive).or_else(|| self.outer.clone()),
            ..Self::new(scope)
        }
    }

    /// Whether the directive may stand here as it is, and what its braces hold.
    ///
    /// # Errors
    /// nginx's sentence.
    pub(super) fn judge(
        &mut self,
        directive: &Directive,
        opened: bool,
        keep_unknown: bool,
    ) -> Result<Inner, String> {
        match self.scope {
            Scope::Anything => Ok(foreign(directive)),
            Scope::Rows(_) if opened => Err("unexpected \"{\"".to_owned()),
            Scope::Rows(rows) => self.row(rows, directive).map(|()| Inner::Foreign),
            Scope::Directives(context) => self.known(context, directive, opened, keep_unknown),
        }
    }

    /// What nginx warns of in a directive that it takes.
    pub(super) fn warnings(&self, directive: &Directive) -> Vec<String> {
        match self.scope {
            Scope::Directives(context) => judge::warnings(directive, context),
            Scope::Rows(_) | Scope::Anything => Vec::new(),
        }
    }

    /// Writes the words of a directive that has been taken as whoever goes by them knows them.
    pub(super) fn spell(&self, directive: &mut Directive) {
        if let Scope::Directives(_) = self.scope {
            judge::spell(directive);
        }
    }

    /// Whether the directive names files to be read here.
    pub(super) fn includes(&self, directive: &Directive) -> bool {
        let here = match self.scope {
            Scope::Directives(_) => true,
            Scope::Rows(rows) => matches!(rows, Rows::Map | Rows::Geo | Rows::Types),
            Scope::Anything => false,
        };
        here && directive.is("include") && directive.arguments().len() == 1
    }

    /// A module comes before the blocks that could hold its directives, and once.
    fn load(&mut self, directive: &Directive) -> Result<(), String> {
        const BLOCKS: &[&str] = &["events", "http", "mail", "stream"];
        if BLOCKS.iter().any(|block| self.seen.contains(block)) {
            return Err("\"load_module\" directive is specified too late".to_owned());
        }
        let path = directive.argument(0);
        let name = modules::name(&path);
        if self.modules.iter().any(|own| own == name) {
            return Err(format!("module \"{name}\" is already loaded"));
        }
        self.modules.push(name.to_owned());
        Ok(())
    }

    /// A row, with what the rows before it have said.
    fn row(&mut self, rows: Rows, directive: &Directive) -> Result<(), String> {
        let ranges = self.seen.contains("ranges");
        if rows != Rows::Geo {
            return row(rows, directive);
        }
        if directive.words.len() == 1 && directive.is("ranges") {
            if self.seen.contains("network") {
                let text =
                    "the \"ranges\" directive must be the first directive inside \"geo\" block";
                return Err(text.to_owned());
            }
            self.seen.insert("ranges");
        } else if directive.words.len() == 2 && !directive.is("include") && !directive.is("default")
        {
            self.seen.insert("network");
            if ranges && !directive.is("proxy") {
                return judge::of_range(directive).map_or(Ok(()), Err);
            }
        }
        row(rows, directive)
    }

    fn known(
        &mut self,
        context: Context,
        directive: &Directive,
        opened: bool,
        keep_unknown: bool,
    ) -> Result<Inner, String> {
        let name = directive.name();
        // nginx's sentences end where C's strings do.
        let name = name.split('\0').next().unwrap_or_default();
        let mut rules = table::rules(name).peekable();
        if rules.peek().is_none() {
            return match keep_unknown {
                true => Ok(foreign(directive)),
                false => Err(format!("unknown directive \"{name}\"")),
            };
        }
        let Some(rule) = rules.find(|rule| rule.contexts.has(context)) else {
            return Err(format!("\"{name}\" directive is not allowed here"));
        };
        if opened && !rule.block {
            return Err(format!("directive \"{name}\" is not terminated by \";\""));
        }
        if !opened && rule.block {
            return Err(format!("directive \"{name}\" has no opening \"{{\""));
        }
        if !rule.arity.takes(directive.arguments().len()) {
            return Err(format!(
                "invalid number of arguments in \"{name}\" directive"
            ));
        }
        if rule.once && !self.seen.insert(rule.name) {
            return Err(format!("\"{name}\" directive is duplicate"));
        }
        if rule.name == "load_module" {
            self.load(directive)?;
        }
        let refusal = value::refusal(rule.form, directive)
            .or_else(|| meaning::refusal(directive, context, self.outer.as_ref()))
            .or_else(|| judge::refusal(directive, context));
        match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(Inner::Scope(inner(context, name))),
        }
    }
}

/// What a known directive's braces hold.
fn inner(context: Context, name: &str) -> Scope {
    match name {
        "map" => Scope::Rows(Rows::Map),
        "geo" => Scope::Rows(Rows::Geo),
        "split_clients" => Scope::Rows(Rows::SplitClients),
        "types" => Scope::Rows(Rows::Types),
        "charset_map" => Scope::Rows(Rows::CharsetMap),
        _ => table::inner(context, name).map_or(Scope::Anything, Scope::Directives),
    }
}

/// What an unknown directive's braces hold.
fn foreign(directive: &Directive) -> Inner {
    match directive.name().ends_with("_by_lua_block") {
        true => Inner::Foreign,
        false => Inner::Scope(Scope::Anything),
    }
}

/// A row of a table.
fn row(rows: Rows, row: &Directive) -> Result<(), String> {
    let words = row.words.len();
    let first = row.name();
    let wrong = match rows {
        Rows::Map if words == 1 => (!matches!(&*first, "hostnames" | "volatile")).then_some("map"),
        Rows::Map => (words != 2).then_some("map"),
        Rows::Geo if words == 1 => {
            (!matches!(&*first, "ranges" | "proxy_recursive")).then_some("geo")
        }
        Rows::Geo => (words != 2).then_some("geo"),
        Rows::Types if row.is("include") && words != 2 => {
            return Err("invalid number of arguments in \"include\" directive".to_owned());
        }
        Rows::CharsetMap if words != 2 => return Err("invalid parameters number".to_owned()),
        Rows::SplitClients => return share(&first),
        _ => None,
    };
    if let Some(table) = wrong {
        return Err(format!("invalid number of the {table} parameters"));
    }
    let refusal = match rows {
        Rows::Map => judge::of_map(row),
        Rows::Geo => judge::of_geo(row),
        _ => None,
    };
    refusal.map_or(Ok(()), Err)
}

/// The first word of a row of `split_clients`: `0.5%` or `*`.
fn share(word: &str) -> Result<(), String> {
    let number = word.strip_suffix('%').unwrap_or_default();
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fine = !number.is_empty() && part.len() <= 2 && digits(whole) && digits(part);
    let zero = number.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    match word == "*" || (fine && !zero) {
        true => Ok(()),
        false => Err(format!("invalid percent value \"{word}\"")),
    }
}
