//! The variables that a configuration defines: that each has one definition, and none is made of itself.
//!
//! Single tables are `schema`'s; looking values up relies on there being no circle.

use std::collections::BTreeMap;

use super::named_tables;
use crate::config::definition::{Definition, Definitions};
use crate::config::diagnostic::Diagnostic;
use crate::config::own_names::is_name;
use crate::config::schema::definition::{self, GEO, MAP, SIGNED, SPLIT};
use crate::config::schema::reader::{Context, Reader};
use crate::config::source::Span;
use crate::config::variable::Variable;

/// Reads and checks all of them.
pub(super) fn check_all(root: &Reader<'_>, context: Context<'_>) -> Option<Definitions> {
    let mut found: Vec<(String, Span, Option<Definition>)> = Vec::new();
    let tables = [("map", &MAP), ("geo", &GEO), ("split", &SPLIT)];
    for (key, table) in tables.into_iter().chain([("signed", &SIGNED)]) {
        for (name, inner, span) in named_tables(root, key, table, context)? {
            let label = format!("`[{key}.{}]`", super::key_text(&name.value));
            let reader = Reader::new(table, label, Some((inner, span)), context);
            let read = match key {
                "map" => definition::map(&reader, context),
                "geo" => definition::geo(&reader, context),
                "signed" => definition::signed(&reader),
                _ => definition::split(&reader),
            };
            found.push((name.value, name.span, read));
        }
    }
    let mut definitions = Definitions::new();
    let mut places: BTreeMap<Box<str>, Span> = BTreeMap::new();
    let mut good = true;
    for (name, span, definition) in found {
        let fault = match places.get(&*name) {
            Some(first) => {
                let message = format!("`${name}` is defined twice");
                let fault = Diagnostic::error("duplicate-variable", span.clone(), message);
                Some(fault.related(first.clone(), "the first is"))
            }
            None if !is_name(&name) => {
                let message = format!("`{name}` cannot be the name of a variable");
                let fault = Diagnostic::error("bad-name", span.clone(), message);
                Some(fault.hint("letters, digits and `_`, no digit first"))
            }
            None => None,
        };
        good &= fault.is_none() && definition.is_some();
        if let Some(fault) = fault {
            context.sink.push(fault);
            continue;
        }
        places.insert(name.as_str().into(), span);
        if let Some(definition) = definition {
            definitions.insert(name.into(), definition);
        }
    }
    for (name, span) in &places {
        if reaches(name, name, &definitions, &mut Vec::new()) {
            good = false;
            let message = format!("`${name}` is made of itself");
            let fault = Diagnostic::error("circular-variable", span.clone(), message);
            context.sink.push(fault);
        }
    }
    good.then_some(definitions)
}

/// Whether the definition of `from` needs `to`.
fn reaches<'d>(
    from: &str,
    to: &str,
    definitions: &'d Definitions,
    seen: &mut Vec<&'d str>,
) -> bool {
    let Some(definition) = definitions.get(from) else {
        return false;
    };
    definition.variables().any(|variable| match variable {
        Variable::Own(name) if **name == *to => true,
        Variable::Own(name) if !seen.contains(&&**name) => {
            seen.push(name);
            reaches(name, to, definitions, seen)
        }
        _ => false,
    })
}
