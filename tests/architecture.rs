//! Holds the source tree to its own rules: imports go one way, files say what they are and stay small.
//!
//! Reads `src/` as text. Code under `#[cfg(test)]` at the end of a file, and `tests.rs` files, may import from
//! anywhere: a test may bring layers together.
#![expect(
    clippy::unwrap_used,
    reason = "a check that cannot read the source must fail"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, lowest first. A module may import modules of its own layer and of lower ones.
const LAYERS: &[&[&str]] = &[
    &["types"],
    &["config", "nginx", "observe", "dns", "transport", "watch"],
    &["router", "limits", "tls", "upstream", "acme", "access"],
    &["snapshot"],
    &["listener", "proxy", "stream", "admin"],
    &["server"],
    &["cli", "demo"],
];

/// Modules of one layer do not import each other both ways, except these pairs.
const MUTUAL: &[(&str, &str)] = &[];

/// Names that say nothing about what a file does.
const EMPTY_WORDS: &[&str] = &[
    "manager", "helper", "helpers", "util", "utils", "common", "globals", "misc", "prelude",
];

const MAIN_LINES: usize = 40;
const FILE_LINES: usize = 500;
const HEADER_LINES: std::ops::RangeInclusive<usize> = 2..=10;

struct Source {
    /// From `src/`, with `/`: `router/mod.rs`.
    name: String,
    text: String,
}

impl Source {
    /// The top-level module: `router`; `lib` and `main` for the roots.
    fn module(&self) -> &str {
        let first = self.name.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// What is not a test: everything before a `#[cfg(test)]` that stands on its own line before `mod tests`.
    fn shipped(&self) -> &str {
        if self.name.ends_with("/tests.rs")
            || self.name.ends_with("_tests.rs")
            || self.name.contains("/tests/")
        {
            return "";
        }
        match self.text.find("\n#[cfg(test)]\nmod tests") {
            Some(end) => &self.text[..end],
            None => &self.text,
        }
    }

    /// The top-level modules that shipped code names by `crate::NAME` or inside `use crate::{..}`.
    fn imports(&self) -> Vec<String> {
        let code: String = self
            .shipped()
            .lines()
            .map(|line| match line.trim_start() {
                comment if comment.starts_with("//") => "",
                _ => line,
            })
            .collect::<Vec<_>>()
            .join("\n");
        code.match_indices("crate::")
            .filter(|(at, _)| {
                !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
            })
            .flat_map(|(at, found)| first_segments(&code[at + found.len()..]))
            .collect()
    }
}

/// `a::b` gives `a`; `{a::b, c::{d, e}}` gives `a` and `c`.
fn first_segments(rest: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        let text = text.trim_start();
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(inner) = rest.strip_prefix('{') else {
        return vec![word(rest)];
    };
    let mut depth = 0;
    let mut names = vec![word(inner)];
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(word(&inner[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(Source {
                    name: path
                        .strip_prefix(&root)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                    text: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(found.len() > 10, "the source tree was not found");
    found
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn every_top_level_module_has_a_layer() {
    let missing: Vec<String> = sources()
        .iter()
        .map(|source| source.module().to_owned())
        .filter(|module| layer(module).is_none() && !matches!(module.as_str(), "lib" | "main"))
        .collect();
    assert!(missing.is_empty(), "not in LAYERS: {missing:?}");
}

#[test]
fn the_map_in_lib_rs_shows_the_same_layers() {
    let lib = sources()
        .into_iter()
        .find(|source| source.name == "lib.rs")
        .unwrap();
    let rows: Vec<Vec<&str>> = (1..=LAYERS.len())
        .filter_map(|number| {
            let row = lib
                .text
                .lines()
                .find_map(|line| line.strip_prefix(&format!("//! | {number} | ")))?;
            let (modules, _) = row.split_once(" | ")?;
            Some(
                modules
                    .split(", ")
                    .map(|name| name.trim_matches(['[', ']', '`']))
                    .collect(),
            )
        })
        .collect();
    assert_eq!(rows, LAYERS);
}

#[test]
fn imports_never_go_up() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(own) = layer(source.module()) else {
            continue;
        };
        for import in source.imports() {
            if layer(&import).is_some_and(|other| other > own) {
                wrong.push(format!("src/{} imports crate::{import}", source.name));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports of a higher layer:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn modules_of_one_layer_do_not_import_each_other_both_ways() {
    let mut edges: BTreeMap<(String, String), String> = BTreeMap::new();
    for source in sources() {
        for import in source.imports() {
            if layer(&import).is_some() && import != source.module() {
                edges.insert((source.module().to_owned(), import), source.name.clone());
            }
        }
    }
    let mut wrong = Vec::new();
    for ((from, to), file) in &edges {
        let back = edges.get(&(to.clone(), from.clone()));
        let allowed = MUTUAL.contains(&(from, to)) || MUTUAL.contains(&(to, from));
        if let Some(other) = back.filter(|_| from < to && !allowed) {
            wrong.push(format!("{from} and {to}: src/{file} and src/{other}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "modules that import each other:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_file_opens_with_a_header() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = source
            .text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .count();
        let long_enough =
            lines >= *HEADER_LINES.start() || (source.name == "main.rs" && lines >= 1);
        let map = matches!(source.name.as_str(), "lib.rs") || source.name.ends_with("mod.rs");
        if !long_enough || (lines > *HEADER_LINES.end() && !map) {
            wrong.push(format!("src/{}: {lines} lines", source.name));
        }
    }
    assert!(
        wrong.is_empty(),
        "headers are 2 to 10 lines of `//!`:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn no_file_or_folder_has_a_name_that_says_nothing() {
    let wrong: Vec<String> = sources()
        .iter()
        .map(|source| source.name.clone())
        .filter(|name| {
            name.trim_end_matches(".rs")
                .split(['/', '_'])
                .any(|word| EMPTY_WORDS.contains(&word))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn main_stays_a_hand_over() {
    let main = sources()
        .into_iter()
        .find(|source| source.name == "main.rs")
        .unwrap();
    assert!(
        main.text.lines().count() <= MAIN_LINES,
        "src/main.rs has more than {MAIN_LINES} lines"
    );
}

#[test]
fn no_file_grows_past_its_limit() {
    let wrong: Vec<String> = sources()
        .iter()
        .map(|source| (source.name.clone(), source.text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES)
        .map(|(name, lines)| format!("src/{name}: {lines} lines"))
        .collect();
    assert!(
        wrong.is_empty(),
        "more than {FILE_LINES} lines:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_check_itself_reads_nested_imports_and_skips_comments_and_tests() {
    let source = |text: &str| Source {
        name: "router/mod.rs".to_owned(),
        text: text.to_owned(),
    };
    let nested = source(
        "use crate::{types::{host, path}, config::Config};\nfn f() { crate::proxy::go() }\n",
    );
    assert_eq!(nested.imports(), ["types", "config", "proxy"]);
    assert!(
        source("// crate::server\n/// [`crate::server`]\n")
            .imports()
            .is_empty()
    );
    assert!(
        source("\n#[cfg(test)]\nmod tests { use crate::server; }\n")
            .imports()
            .is_empty()
    );
    assert!(
        source("macro_rules! m { () => { $crate::server::x() } }")
            .imports()
            .is_empty()
    );
}
