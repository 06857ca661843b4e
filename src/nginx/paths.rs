//! Folders that two directives name: caches each have their own, and temporary files of one folder the same levels.
//!
//! In the order of the file, as nginx declares them. Only paths that are whole are compared: relative ones are below the
//! prefix, which is not known here. Sentences are nginx's. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::HashMap;

use super::tree::{Directive, Tree};

/// One folder that has been named.
struct Known<'t> {
    by: &'t Directive,
    cache: bool,
}

/// The first folder that is named for something else again, and nginx's sentence.
pub(super) fn fault(tree: &Tree) -> Option<(&Directive, String)> {
    let mut known = HashMap::new();
    let http = tree.directives.iter().filter(|own| own.is("http"));
    { http }.find_map(|block| within(tree, block, &mut known))
}

fn within<'t>(
    tree: &'t Tree,
    block: &'t Directive,
    known: &mut HashMap<String, Known<'t>>,
) -> Option<(&'t Directive, String)> {
    block.children().iter().find_map(|own| {
        named(tree, own, known)
            .map(|text| (own, text))
            .or_else(|| within(tree, own, known))
    })
}

fn named<'t>(
    tree: &Tree,
    own: &'t Directive,
    known: &mut HashMap<String, Known<'t>>,
) -> Option<String> {
    let name = own.name();
    let cache = name.ends_with("_cache_path");
    if !cache && !name.ends_with("_temp_path") {
        return None;
    }
    let path = own.argument(0);
    if !path.starts_with('/') {
        return None;
    }
    let Some(old) = known.get(&*path) else {
        known.insert(path.into_owned(), Known { by: own, cache });
        return None;
    };
    let shown = match cache {
        true => path.strip_suffix('/').unwrap_or(&path),
        false => &path,
    };
    let place = format!("{}:{}", tree.file(old.by.place()), old.by.end_line);
    if cache || old.cache {
        return Some(format!(
            "the same path name \"{shown}\" used in {place} and"
        ));
    }
    let levels = |own: &Directive| {
        let words = own.arguments().iter().skip(1);
        words.map(|word| word.bytes.clone()).collect::<Vec<_>>()
    };
    (levels(own) != levels(old.by))
        .then(|| format!("the same path name \"{shown}\" in {place} has the different levels than"))
}
