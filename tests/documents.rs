//! Holds README.md and docs/ to the code: configurations load, keys exist, defaults and causes are the real ones.
//!
//! What they say in prose is not checked; what they say in tables and in code is.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a check that cannot read the documents must fail"
)]

use std::fs;
use std::path::Path;

use hubgate::acme::State;
use hubgate::config::{Config, Paint, Source, parse, reference};
use hubgate::observe::cause::Cause;

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The code blocks of a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

/// The cells of every table row.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .filter_map(|line| line.strip_prefix('|')?.trim_end().strip_suffix('|'))
        .map(|row| row.split('|').map(str::trim).collect())
        .collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn load(text: &str) -> Config {
    match parse(&Source::new("it", "/etc/hubgate", text)) {
        Ok(loaded) => loaded.config,
        Err(report) => panic!("{}\n{text}", report.render(Paint::Plain)),
    }
}

#[test]
fn the_configuration_on_the_first_screen_has_twelve_lines_and_loads_without_a_warning() {
    let readme = document("README.md");
    let blocks = blocks(&readme, "toml");
    assert_eq!(blocks[0].lines().count(), 12);
    for block in blocks {
        let loaded = parse(&Source::new("README.md", "/etc/hubgate", block)).unwrap();
        assert!(
            loaded.report.is_empty(),
            "{}",
            loaded.report.render(Paint::Plain)
        );
    }
}

/// A configuration with `extra` keys in its route and `tables` at its end.
fn with(preset: Option<&str>, extra: &str, tables: &str) -> Config {
    let preset = preset.map_or(String::new(), |name| format!("preset = \"{name}\"\n"));
    load(&format!(
        "[acme]\ncontact = [\"ops@example.org\"]\n[[site.\"hub.example.org\".route]]\npath = \"/x/\"\nupstream = \"hub\"\n\
         {preset}{extra}\n[upstream.hub]\nendpoints = [\"192.0.2.1:80\"]\n{tables}\n"
    ))
}

/// `10 min` as TOML: `"10min"`; numbers and `none` as they are.
fn value(cell: &str) -> String {
    match cell.parse::<u64>() {
        Ok(number) => number.to_string(),
        Err(_) => format!("\"{}\"", cell.replace(' ', "")),
    }
}

#[test]
fn the_readme_tells_the_defaults_of_routes_and_of_the_presets() {
    let readme = document("README.md");
    let rows: Vec<_> = rows(&readme)
        .into_iter()
        .filter(|row| row[0].ends_with("_timeout`") || row[0] == "`body_limit`")
        .collect();
    assert_eq!(rows.len(), 6);
    for row in rows {
        let key = quoted(row[0])[0];
        for (preset, cell) in [
            (None, row[1]),
            (Some("jupyterhub"), row[2]),
            (Some("binderhub"), row[2]),
        ] {
            let written = with(preset, &format!("{key} = {}", value(cell)), "");
            assert_eq!(written, with(preset, "", ""), "{key} with {preset:?}");
        }
    }
}

#[test]
fn the_readme_tells_the_defaults_towards_clients() {
    let readme = document("README.md");
    let tables = ["limits", "timeouts", "upstream.NAME"];
    let mut checked = 0;
    for row in rows(&readme) {
        let keys = quoted(row[0]);
        let Some((table, _)) = keys
            .first()
            .and_then(|key| key.rsplit_once('.'))
            .filter(|(table, _)| tables.contains(table))
        else {
            continue;
        };
        let cells: Vec<_> = row[1].split(", ").collect();
        for (index, key) in keys.iter().enumerate() {
            let key = key.rsplit('.').next().unwrap();
            let value = value(cells.get(index).or(cells.last()).unwrap());
            let written = match table {
                "upstream.NAME" => with(None, "", &format!("{key} = {value}")),
                table => with(None, "", &format!("[{table}]\n{key} = {value}")),
            };
            assert_eq!(written, with(None, "", ""), "{table}.{key} = {value}");
            checked += 1;
        }
    }
    assert_eq!(checked, 12);
}

#[test]
fn every_key_that_the_documents_name_exists() {
    let reference = reference();
    let tables = [
        "server",
        "listen",
        "limits",
        "timeouts",
        "log",
        "access_log",
        "admin",
        "why",
        "error_pages",
        "acme",
    ];
    for name in ["README.md", "docs/manual.md"] {
        for word in quoted(&document(name).replace("```", "")) {
            let word = word.split(" = ").next().unwrap();
            let Some((table, key)) = word
                .split_once('.')
                .filter(|(table, _)| tables.contains(table))
            else {
                continue;
            };
            let section = reference.split(&format!("\n[{table}]\n")).nth(1).unwrap();
            let section = section.split("\n[").next().unwrap();
            let defined = section
                .lines()
                .any(|line| line.trim_start_matches("# ").split(" = ").next() == Some(key));
            assert!(defined, "{name} names `{word}`");
        }
    }
}

#[test]
fn every_status_with_a_cause_is_the_one_in_the_table() {
    for name in ["README.md", "docs/manual.md"] {
        let text = document(name);
        let pieces: Vec<&str> = text.split('`').collect();
        for pair in pieces.windows(2) {
            let Some(status) = pair[0]
                .strip_suffix(' ')
                .and_then(|before| before.get(before.len().checked_sub(3)?..))
            else {
                continue;
            };
            let Ok(status) = status.parse::<u16>() else {
                continue;
            };
            let cause = Cause::all().find(|cause| cause.code() == pair[1]);
            assert_eq!(
                cause.map(Cause::status),
                Some(status),
                "{name}: {status} `{}`",
                pair[1]
            );
        }
    }
}

#[test]
fn every_alert_is_about_metrics_that_exist_and_the_manual_says_what_it_means() {
    let rules = document("conf/prometheus/hubgate-alerts.yml");
    let page = hubgate::observe::metrics::Metrics::new().render();
    let announced: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let manual = document("docs/certificates.md");
    let expressions: String = rules
        .lines()
        .filter(|line| !line.trim_start().starts_with(['#', 's', 'a']))
        .collect();
    let not_of_a_name = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    for text in [&expressions, &manual] {
        let names = text
            .split(not_of_a_name)
            .filter(|word| word.starts_with("hubgate_"));
        let mut count = 0;
        for name in names {
            assert!(announced.contains(&name), "{name} is not a metric");
            count += 1;
        }
        assert!(count > 3, "{count}");
    }
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    let told: Vec<&str> = rows(&manual)
        .iter()
        .filter_map(|row| quoted(row[0]).first().copied())
        .filter(|name| name.starts_with("Hubgate"))
        .collect();
    assert_eq!(alerts, told);
    for line in rules.lines().filter(|line| line.contains("state=")) {
        let state = quoted_by(line, '"');
        let known = [State::Placeholder, State::Paused].map(State::as_str);
        assert!(known.contains(&state), "{line}");
    }
}

/// What stands between the first two of these.
fn quoted_by(line: &str, mark: char) -> &str {
    line.split(mark).nth(1).unwrap_or_default()
}
