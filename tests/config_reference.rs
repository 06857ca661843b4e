//! `conf/reference.toml` says what the schema says, and is itself a configuration.
//!
//! `HUBGATE_BLESS=1` writes it anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "reference/manual_pages.rs"]
mod manual_pages;

use std::path::Path;

use hubgate::config::{Source, parse, reference};

#[test]
fn the_reference_is_what_the_schema_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/reference.toml");
    let fresh = reference();
    if std::env::var_os("HUBGATE_BLESS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        kept, fresh,
        "run `HUBGATE_BLESS=1 cargo test --test config_reference`"
    );
}

#[test]
fn the_reference_loads_without_a_warning() {
    let loaded = parse(&Source::new("reference.toml", "/etc/hubgate", reference()))
        .unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.report.is_empty(), "{}", loaded.report);
}

#[test]
fn the_defaults_in_the_reference_are_those_of_an_almost_empty_file() {
    let short = "[site.\"hub.example.org\"]\n[[site.\"hub.example.org\".route]]\npath = \"/jupyterhub/\"\nupstream = \"hub\"\n[[stream]]\nlisten = \"0.0.0.0:5432\"\nupstream = \"hub\"\n[upstream.hub]\nendpoints = [\"192.0.2.10:80\"]\n[map.upgrade]\nof = \"$http_upgrade\"\n[geo.inside]\n[split.variant]\nof = \"$remote_addr\"\n[signed.link]\nof = \"$arg_md5\"\nmd5 = \"$arg_expires$uri secret\"\n[rate.one]\nrate = \"10r/s\"\n[concurrency.addr]\n";
    let load = |text: &str| {
        parse(&Source::new("a.toml", "/etc/hubgate", text))
            .unwrap()
            .config
    };
    assert_eq!(load(&reference()), load(short));
}

#[test]
fn a_commented_example_of_the_reference_works_when_its_mark_is_removed() {
    let text = reference();
    for (number, line) in text.lines().enumerate() {
        let Some(example) = line.strip_prefix("# ").filter(|line| is_entry(line)) else {
            continue;
        };
        // `exact` and others stand in for `path`, `respond` and `redirect` for `upstream`; the keys of a binding go together.
        let other = [
            "exact = ",
            "begins = ",
            "regex = ",
            "name = ",
            "respond = ",
            "redirect = ",
            "files = ",
            "answer = ",
            "eab_",
        ];
        if other.iter().any(|key| example.starts_with(key)) {
            continue;
        }
        let changed: Vec<_> = text
            .lines()
            .enumerate()
            .map(|(n, line)| if n == number { example } else { line })
            .collect();
        if let Err(report) = parse(&Source::new(
            "reference.toml",
            "/etc/hubgate",
            changed.join("\n"),
        )) {
            panic!("{example}: {report}");
        }
    }
}

fn is_entry(line: &str) -> bool {
    line.split_once(" = ")
        .is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}
