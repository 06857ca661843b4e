//! Locations without a pass as routes with `files`: folders, indexes, what is tried, listings, media types.
//!
//! What is inherited is found here, so that a route's table is whole. Paths are seen from nginx's prefix.

use std::collections::BTreeMap;

use super::Import;
use super::draft::{self, Draft};
use super::rules;
use crate::config::media_types;
use crate::nginx::model::{Kind, Scope};
use crate::nginx::tree::{Directive, Word};

/// Where Debian's nginx has its prefix, when its configuration is where Debian has it.
const DEBIAN: (&str, &str) = ("/etc/nginx", "/usr/share/nginx");

/// nginx's own media types, where a configuration names none.
const OWN_TYPES: [(&str, &str); 3] = [
    ("html", "text/html"),
    ("gif", "image/gif"),
    ("jpg", "image/jpeg"),
];

/// Sets `files` of a route to what counts in `scope`. False when something of it cannot be said, which is told.
pub(super) fn set<'t>(import: &mut Import<'t>, scope: &Scope<'t>, route: &mut Draft) -> bool {
    let Some((mut words, from)) = place(import, scope) else {
        return false;
    };
    let index: Vec<_> = scope.all("index");
    if !index.is_empty() {
        let names = index.iter().flat_map(|own| own.arguments());
        words.push(format!("index = {}", texts(names)));
    }
    if let Some(own) = scope.own().iter().rfind(|own| own.is("try_files")) {
        let last = own.arguments().last().map(Word::text).unwrap_or_default();
        match last.starts_with('@') && !import.has_location(&last) {
            true => {
                let (_, before) = own.arguments().split_last().unzip();
                let paths = before.unwrap_or_default().iter().map(Word::text);
                let paths = paths.chain(std::iter::once("=500".into()));
                words.push(format!("try = {}", draft::texts(paths)));
                let what = format!("no location is called `{last}`: 500, as in nginx");
                import.ledger.carried(own, what);
            }
            false => {
                words.push(format!("try = {}", texts(own.arguments().iter())));
                import.ledger.carried(own, "`files.try`");
            }
        }
    }
    for own in &index {
        import.ledger.carried(own, "`files.index`");
    }
    listing(import, scope, &mut words);
    words.extend(types(scope));
    words.push(format!("symlinks = \"{}\"", links(import, scope)));
    conditions(scope, &mut words);
    let table = format!("{{ {} }}", words.join(", "));
    if let Some(unknown) = unknown(import, scope) {
        let (own, name) = unknown;
        import.ledger.lost(own, name);
        return false;
    }
    route.set("files", table, from);
    true
}

/// The folder, and the line it came from.
fn place<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
) -> Option<(Vec<String>, Option<&'t Directive>)> {
    let alias = scope.content().iter().rfind(|own| own.is("alias"));
    let outer = scope.outer_alias().filter(|_| alias.is_none());
    let (key, own) = match (alias.or(outer.map(|(alias, _)| alias)), scope.one("root")) {
        (Some(alias), _) => ("alias", Some(alias)),
        (None, root) => ("root", root),
    };
    // Of a location around this one it stands for that one's path.
    let below = match outer.map(|(alias, block)| (alias, Kind::of(block))) {
        Some((_, Some(Kind::Prefix(path, _) | Kind::Exact(path)))) => {
            Some(String::from_utf8_lossy(&path).into_owned())
        }
        Some((alias, _)) => {
            let what = "locations within one by an expression do not have its files";
            import.ledger.lost(alias, what);
            return None;
        }
        None => None,
    };
    let path = own.map_or("html".into(), |own| own.argument(0));
    let path = rules::with_constants(scope, &path);
    if path.is_empty() || path.starts_with('$') {
        if let Some(own) = own {
            import
                .ledger
                .lost(own, "the folder has to be known, at least where it begins");
        }
        return None;
    }
    if let Some(own) = own {
        import.ledger.carried(own, format!("`files.{key}`"));
    }
    let path = folder(import, &path);
    let mut words = vec![format!("{key} = {}", draft::text(&path))];
    words.extend(below.map(|below| format!("below = {}", draft::text(&below))));
    Some((words, own))
}

/// A folder of files as nginx would open it, from its prefix.
pub(super) fn folder(import: &Import<'_>, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let folder = import.folder.display().to_string();
    let asked = import.asked.prefix.as_ref();
    let asked = asked.map(|own| own.display().to_string());
    let prefix = match (&asked, folder == DEBIAN.0) {
        (Some(asked), _) => asked,
        (None, true) => DEBIAN.1,
        (None, false) => &folder,
    };
    format!("{}/{path}", prefix.trim_end_matches('/'))
}

fn texts<'a>(words: impl Iterator<Item = &'a Word>) -> String {
    draft::texts(words.map(|word| word.text().into_owned()))
}

fn listing<'t>(import: &mut Import<'t>, scope: &Scope<'t>, words: &mut Vec<String>) {
    if !scope.flag("autoindex", false) {
        return;
    }
    let format = scope.one("autoindex_format");
    let shown = format.map_or("html".into(), |own| own.argument(0));
    words.push(format!("listing = {}", draft::text(&shown)));
    if shown == "html" && !scope.flag("autoindex_exact_size", true) {
        words.push("listing_sizes = \"rounded\"".to_owned());
    }
    if shown == "html"
        && scope.flag("autoindex_localtime", false)
        && let Some(own) = scope.one("autoindex_localtime")
    {
        import.ledger.lost(own, "times in listings are UTC");
    }
}

/// The media type of what is at `path`, by its extension.
pub(super) fn kind(scope: &Scope<'_>, path: &[u8]) -> Option<String> {
    let name = path.rsplit(|byte| *byte == b'/').next()?;
    let dot = name.iter().rposition(|byte| *byte == b'.')?;
    let extension = String::from_utf8_lossy(name.get(dot + 1..)?).to_ascii_lowercase();
    known_types(scope).remove(&extension)
}

fn known_types(scope: &Scope<'_>) -> BTreeMap<String, String> {
    let blocks = scope.all("types");
    if blocks.is_empty() {
        let own = OWN_TYPES.iter();
        return own
            .map(|(extension, kind)| ((*extension).to_owned(), (*kind).to_owned()))
            .collect();
    }
    let mut types = BTreeMap::new();
    for row in blocks.iter().flat_map(|block| block.children()) {
        for extension in row.arguments() {
            types.insert(
                extension.text().to_ascii_lowercase(),
                row.name().into_owned(),
            );
        }
    }
    types
}

/// That extensions of paths say media types, and which, as far as the file says any.
pub(super) fn by_extension(scope: &Scope<'_>) -> Vec<String> {
    let mut words = Vec::new();
    let types = known_types(scope);
    if !types.is_empty() {
        words.push("by_extension = true".to_owned());
        words.extend(other_types(&types));
    }
    words
}

/// Media types, where they are not those that hubgate has anyway.
fn other_types(types: &BTreeMap<String, String>) -> Option<String> {
    let same = types.len() == media_types::all().count()
        && media_types::all()
            .all(|(extension, kind)| types.get(extension).is_some_and(|own| own == kind));
    let rows = || {
        let rows: Vec<_> = types
            .iter()
            .map(|(extension, kind)| format!("{} = {}", draft::text(extension), draft::text(kind)))
            .collect();
        format!("types = {{ {} }}", rows.join(", "))
    };
    (!same).then(rows)
}

/// The media types of files.
fn types(scope: &Scope<'_>) -> Vec<String> {
    let mut words: Vec<_> = other_types(&known_types(scope)).into_iter().collect();
    let default = scope.one("default_type");
    let default = default.map_or("text/plain".into(), |own| own.argument(0));
    if default != "application/octet-stream" && !default.is_empty() {
        words.push(format!("default_type = {}", draft::text(&default)));
    }
    words
}

fn links<'t>(import: &mut Import<'t>, scope: &Scope<'t>) -> &'static str {
    let Some(own) = scope.one("disable_symlinks") else {
        return "follow";
    };
    match &*own.argument(0) {
        "off" => "follow",
        "if_not_owner" => {
            let what =
                "`files.symlinks = \"refuse\"`: owners are not compared, no link is followed";
            import.ledger.lost(own, what);
            "refuse"
        }
        _ => "refuse",
    }
}

fn conditions(scope: &Scope<'_>, words: &mut Vec<String>) {
    if let Some(own) = scope
        .one("gzip_static")
        .filter(|own| own.argument(0) != "off")
    {
        words.push(format!("precompressed = {}", draft::text(&own.argument(0))));
        if !scope.flag("gzip_vary", false) {
            words.push("precompressed_vary = false".to_owned());
        }
    }
    if !scope.flag("log_not_found", true) {
        words.push("missing_told = false".to_owned());
    }
    if !scope.flag("etag", true) {
        words.push("etag = false".to_owned());
    }
    if let Some(own) = scope.one("if_modified_since") {
        words.push(format!(
            "if_modified_since = {}",
            draft::text(&own.argument(0))
        ));
    }
    if let Some(most) = scope.one("max_ranges")
        && let Ok(most) = most.argument(0).parse::<u64>()
    {
        words.push(format!("max_ranges = {}", most.min(1000)));
    }
}

/// The first text with a variable that hubgate does not have, and why.
fn unknown<'t>(import: &Import<'t>, scope: &Scope<'t>) -> Option<(&'t Directive, String)> {
    let alias = scope
        .own()
        .iter()
        .filter(|own| own.is("alias") || own.is("try_files"));
    let mut all = alias
        .chain(scope.all("index"))
        .chain(scope.one("root"))
        .flat_map(|own| own.arguments().iter().map(move |word| (own, word)));
    all.find_map(|(own, word)| {
        let text = rules::with_constants(scope, &word.text());
        let why = rules::known(import, scope, &text).err()?;
        Some((own, why))
    })
}
