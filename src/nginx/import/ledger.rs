//! What becomes of each directive, line by line: the table's word, or a more precise one from whoever converted it.
//!
//! Every directive of the tree is in the report, exactly once and with exactly one fate.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};

use super::report::{Fate, Line};
use crate::nginx::table::{self, Context};
use crate::nginx::tree::{Block, Directive, Place, Tree};

/// What converters have to say, by where a directive begins.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    told: BTreeMap<Place, (Fate, String)>,
    /// What stands in blocks that are not carried.
    orphans: BTreeSet<Place>,
}

impl Ledger {
    /// hubgate does it.
    pub(super) fn carried(&mut self, directive: &Directive, to: impl Into<String>) {
        self.told
            .insert(directive.place(), (Fate::Carried, to.into()));
    }

    /// hubgate does without it.
    pub(super) fn not_needed(&mut self, directive: &Directive, why: impl Into<String>) {
        self.told
            .insert(directive.place(), (Fate::NotNeeded, why.into()));
    }

    /// It, or a part of it, is lost. What is lost is not made good by what is said later.
    pub(super) fn lost(&mut self, directive: &Directive, what: impl Into<String>) {
        self.told
            .insert(directive.place(), (Fate::Lost, what.into()));
    }

    /// A whole block hubgate does without.
    pub(super) fn block_not_needed(&mut self, directive: &Directive, why: &str) {
        self.not_needed(directive, why);
        for inner in directive.children() {
            self.block_not_needed(inner, why);
        }
    }

    /// A whole block that is lost.
    pub(super) fn block_lost(&mut self, directive: &Directive, what: &str) {
        self.lost(directive, what);
        for inner in directive.children() {
            self.block_lost(inner, "it goes with the block around it");
        }
    }

    /// A block is not carried: what the table says of directives in it that would be does not hold.
    pub(super) fn orphan(&mut self, directive: &Directive) {
        for inner in directive
            .children()
            .iter()
            .filter(|own| !own.is("location"))
        {
            self.orphans.insert(inner.place());
            self.orphan(inner);
        }
    }

    /// Whether something was said of a directive.
    pub(super) fn has(&self, directive: &Directive) -> bool {
        self.told.contains_key(&directive.place())
    }

    /// Every directive's line, in the order of the configuration.
    pub(super) fn lines(&self, tree: &Tree) -> Vec<Line> {
        let mut lines = Vec::new();
        self.walk(tree, &tree.directives, Some(Context::Main), &mut lines);
        lines
    }

    fn walk(
        &self,
        tree: &Tree,
        directives: &[Directive],
        context: Option<Context>,
        lines: &mut Vec<Line>,
    ) {
        for directive in directives {
            let (fate, text) = match self.told.get(&directive.place()) {
                Some((fate, text)) => (*fate, text.clone()),
                None => match by_table(directive, context) {
                    (Fate::Carried, _) if self.orphans.contains(&directive.place()) => {
                        (Fate::Lost, "it goes with the block around it".to_owned())
                    }
                    told => told,
                },
            };
            lines.push(Line {
                place: tree.show(directive.place()),
                directive: shown(directive),
                fate,
                text,
            });
            if let Some(Block::Directives(inner)) = &directive.block {
                let context = context.and_then(|context| table::inner(context, &directive.name()));
                self.walk(tree, inner, context, lines);
            }
        }
    }
}

fn by_table(directive: &Directive, context: Option<Context>) -> (Fate, String) {
    let name = directive.name();
    match context.and_then(|context| table::rule(&name, context)) {
        Some(rule) => match rule.fate {
            table::Fate::Carried(text) => (Fate::Carried, text.to_owned()),
            table::Fate::NotNeeded(text) => (Fate::NotNeeded, text.to_owned()),
            table::Fate::Lost(text) => (Fate::Lost, text.to_owned()),
        },
        None => (
            Fate::Lost,
            format!("`{name}` is of a module that hubgate does not know"),
        ),
    }
}

/// The directive's words, cut where they get long.
fn shown(directive: &Directive) -> String {
    const LONG: usize = 60;
    let words: Vec<_> = directive.words.iter().map(|word| word.text()).collect();
    let text = words.join(" ").replace(['\n', '\r', '|', '`'], " ");
    match text.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
