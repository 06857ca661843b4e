//! From text to [`Config`]: syntax, then tables by their schema, then what they mean together.
//!
//! A large text without a fault is read by pieces; what there is to tell of one is found in the whole.
//! All faults come out in one run. A section with a syntax error is not looked at further, and with any syntax error
//! relations are not checked: what is missing may only be unreadable.

use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Report, Severity, Sink};
use super::model::Config;
use super::own_names::OwnNames;
use super::pieces::Pieces;
use super::schema::reader::{Context, Files};
use super::source::Source;
use super::syntax;
use super::validate;
use crate::types::pause::{drop_in_turn, pause};

/// A configuration that can be run, with the warnings about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it means.
    pub config: Config,
    /// Warnings only; often empty.
    pub report: Report,
}

/// Checks a configuration's text. Fails with every fault (and warning) found.
///
/// Files that it names are not looked at: error pages are then the built-in ones.
pub fn parse(source: &Source) -> Result<Loaded, Report> {
    checked(source, Files::default())
}

/// As [`parse`], with `files` for those whose contents are part of the configuration.
pub(super) fn checked(source: &Source, files: Files) -> Result<Loaded, Report> {
    let pieces = Pieces::of(source.text());
    let config = pieces.and_then(|pieces| by_pieces(source, &pieces, files));
    match config {
        Some(config) => Ok(Loaded {
            config,
            report: Report::new(source.clone(), Vec::new()),
        }),
        None => at_once(source, files),
    }
}

/// What pieces mean together; `None` when there is anything to say of it: places are those in the whole text.
pub(super) fn by_pieces(source: &Source, pieces: &Pieces<'_>, files: Files) -> Option<Config> {
    let rest = pieces.rest().ok()?;
    let rest = DeTable::parse(&rest).ok()?;
    let rest = rest.get_ref();
    if rest.contains_key("site") {
        return None;
    }
    let mut own = OwnNames::of(rest);
    for text in pieces.sites().filter(|text| OwnNames::may_be_in(text)) {
        pause();
        own.add_of(DeTable::parse(text).ok()?.get_ref());
    }
    let sink = Sink::default();
    let context = Context {
        source,
        sink: &sink,
        files,
        own: &own,
    };
    let config = validate::document(rest, Some(pieces), true, context);
    config.filter(|_| sink.into_inner().is_empty())
}

/// What the text means, with every fault and warning at its place.
pub(super) fn at_once(source: &Source, files: Files) -> Result<Loaded, Report> {
    let (document, errors) = DeTable::parse_recoverable(source.text());
    let sink = Sink::default();
    let own = OwnNames::of(document.get_ref());
    let config = validate::document(
        document.get_ref(),
        None,
        errors.is_empty(),
        Context {
            source,
            sink: &sink,
            files,
            own: &own,
        },
    );
    // A table for each site and more.
    for (_, value) in document.into_inner() {
        if let DeValue::Table(table) = value.into_inner() {
            drop_in_turn(table);
        }
    }
    let mut diagnostics = sink.into_inner();
    if !errors.is_empty() {
        let found = syntax::faults(source, &errors);
        let torn: Vec<_> = found
            .iter()
            .filter_map(|d| d.span.as_ref())
            .map(|span| syntax::section(source, span.start))
            .collect();
        diagnostics.retain(|diagnostic| {
            let at = diagnostic.span.as_ref().map_or(0, |span| span.start);
            diagnostic.code != "missing-key" && !torn.iter().any(|section| section.contains(&at))
        });
        diagnostics.extend(found);
    }
    let refused = diagnostics.iter().any(|d| d.severity == Severity::Error);
    match config {
        Some(config) if !refused => Ok(Loaded {
            config,
            report: Report::new(source.clone(), diagnostics),
        }),
        _ => {
            if !refused {
                let message =
                    "the configuration is refused without a reason; this is a fault of hubgate";
                diagnostics.push(Diagnostic::whole("internal", message));
            }
            Err(Report::new(source.clone(), diagnostics))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn codes(text: &str) -> Vec<&'static str> {
        match parse(&Source::new("a.toml", "/etc", text)) {
            Ok(loaded) => loaded.report.diagnostics().iter().map(|d| d.code).collect(),
            Err(report) => report.diagnostics().iter().map(|d| d.code).collect(),
        }
    }

    #[test]
    fn a_syntax_error_does_not_hide_the_faults_of_other_sections() {
        let text = "[server]\nworkers = \ndrain_timeout = 3\n[limits]\nconections = 5\n";
        assert_eq!(codes(text), ["syntax", "unknown-key"]);
    }

    #[test]
    fn a_syntax_error_does_not_make_other_parts_look_missing() {
        let text = "[site.\"a.example\"]\n[[site.\"a.example\".route]]\npath = \"/\"\nupstream = \"app\"\n[upstream.app\nendpoints = [\"192.0.2.1:80\"]\n";
        assert_eq!(codes(text), ["syntax"]);
    }

    #[test]
    fn an_empty_file_has_no_site() {
        assert_eq!(codes(""), ["no-site"]);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
            let _ = codes(&text);
        }

        #[test]
        fn nothing_made_of_toml_pieces_makes_the_parser_panic(
            pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..40)
        ) {
            let text = pieces.concat();
            if let Err(report) = parse(&Source::new("a.toml", "/etc", text.as_str())) {
                prop_assert!(report.errors() > 0);
                prop_assert!(!report.to_string().contains("[internal]"), "{}", report);
            }
        }
    }

    static PIECES: &[&str] = &[
        "[site.\"a.example\"]\n",
        "[[site.\"a.example\".route]]\n",
        "[upstream.app]\n",
        "[server]\n",
        "[listen]\n",
        "[limits]\n",
        "[access_log]\n",
        "[acme]\n",
        "[admin]\n",
        "[log]\n",
        "path",
        "exact",
        "upstream",
        "endpoints",
        "http",
        "https",
        "certificate",
        "key",
        "chain",
        "aliases",
        "workers",
        "format",
        "level",
        "route",
        "access_log",
        "body_limit",
        " = ",
        "\"app\"",
        "\"/\"",
        "\"/hub/\"",
        "\"192.0.2.1:80\"",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\n",
        "\"",
        "'",
        "=",
        ".",
        "1",
        "-5",
        "0x",
        "true",
        "\"acme\"",
        "\"$x\"",
        "1979-05-27",
        "1.5",
        "\"none\"",
        "\u{feff}",
        "\r\n",
        "é",
        "#",
        "\"\"\"",
        "\"*.a.example\"",
        "[[site]]\n",
        "site.x.y.z",
    ];
}
