//! A file of endpoints, which any script can write: one address a line, or TOML if its name ends so.
//!
//! `192.0.2.10:80`, then, if wanted, `weight=3` and `backup`; `#` begins a comment. [`parse`] is pure and takes the file
//! whole or not at all: a file that is being written, or damaged, must not take endpoints away. An empty one counts
//! as damaged.

use std::collections::HashSet;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

use crate::config::{self, Endpoint, Report, Severity, Source};

/// Larger files hold no endpoints.
const MOST_BYTES: u64 = 1 << 20;
/// More than anybody has.
const MOST: usize = 10_000;

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
    /// There is none in it.
    #[error("it names no endpoint")]
    Empty,
    /// There are too many in it.
    #[error("it has more than {MOST} endpoints or 1 MiB")]
    TooLarge,
    /// A line is wrong.
    #[error("{what}")]
    Line {
        /// From 1; after the line, in TOML, the column.
        at: (usize, Option<usize>),
        /// What is wrong.
        what: String,
    },
}

/// A file that is not taken: its name, with the line that is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{place}")]
pub struct FileError {
    place: String,
    source: FileFault,
}

impl FileError {
    fn new(path: &Path, source: FileFault) -> Self {
        let path = path.display();
        let place = match &source {
            FileFault::Line {
                at: (line, None), ..
            } => format!("{path}:{line}"),
            FileFault::Line {
                at: (line, Some(column)),
                ..
            } => format!("{path}:{line}:{column}"),
            _ => path.to_string(),
        };
        Self { place, source }
    }
}

/// Reads and takes a file. Blocks.
pub fn read(path: &Path) -> Result<Vec<Endpoint>, FileError> {
    let is_toml = path
        .extension()
        .is_some_and(|extension| extension == "toml");
    let read = text(path).and_then(|text| match is_toml {
        false => parse(&text),
        true => parse_toml(text),
    });
    read.map_err(|fault| FileError::new(path, fault))
}

fn text(path: &Path) -> Result<String, FileFault> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    file.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(FileFault::TooLarge);
    }
    Ok(text)
}

/// Takes the endpoints of a file in TOML.
pub fn parse_toml(text: String) -> Result<Vec<Endpoint>, FileFault> {
    let source = Source::new("", "/", text);
    let endpoints = config::endpoints(&source).map_err(|report| first_fault(&report))?;
    match endpoints.len() {
        0 => Err(FileFault::Empty),
        1..=MOST => Ok(endpoints),
        _ => Err(FileFault::TooLarge),
    }
}

fn first_fault(report: &Report) -> FileFault {
    let mut all = report.diagnostics().iter();
    let Some(first) = all.find(|one| one.severity == Severity::Error) else {
        return FileFault::Empty;
    };
    let start = first.span.as_ref().map_or(0, |span| span.start);
    let position = report.source_text().position(start);
    let hints = first.hints.iter().map(|hint| format!(" ({hint})"));
    FileFault::Line {
        at: (position.line, Some(position.column)),
        what: first.message.clone() + &hints.collect::<String>(),
    }
}

/// Takes the endpoints of a file.
pub fn parse(text: &str) -> Result<Vec<Endpoint>, FileFault> {
    let mut endpoints = Vec::new();
    let mut seen = HashSet::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or_default();
        let mut words = text.split_ascii_whitespace();
        let Some(address) = words.next() else {
            continue;
        };
        let endpoint = endpoint(address, words).map_err(|what| FileFault::Line {
            at: (line, None),
            what,
        })?;
        if !seen.insert(endpoint.address) {
            let what = format!("`{address}` is there twice");
            return Err(FileFault::Line {
                at: (line, None),
                what,
            });
        }
        endpoints.push(endpoint);
        if endpoints.len() > MOST {
            return Err(FileFault::TooLarge);
        }
    }
    match endpoints.is_empty() {
        true => Err(FileFault::Empty),
        false => Ok(endpoints),
    }
}

fn endpoint<'a>(address: &str, words: impl Iterator<Item = &'a str>) -> Result<Endpoint, String> {
    let parsed = address.parse::<SocketAddr>().ok();
    let parsed = parsed.filter(|parsed| parsed.port() != 0 && !parsed.ip().is_unspecified());
    let mut endpoint =
        Endpoint::from(parsed.ok_or_else(|| {
            format!("`{address}` is not an IP address with a port to connect to")
        })?);
    for word in words {
        let weight = word.strip_prefix("weight=");
        match (weight.map(str::parse), word) {
            (Some(Ok(weight @ 1..)), _) => endpoint.weight = weight,
            (None, "backup") => endpoint.backup = true,
            _ => {
                return Err(format!(
                    "`{word}` is neither `weight=` with 1 to 255 nor `backup`"
                ));
            }
        }
    }
    Ok(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::reasons::with_reasons;

    #[test]
    fn addresses_weights_backups_and_comments_are_read() {
        let text = "# nodes\n192.0.2.1:80\n\n[2001:db8::1]:81 weight=3   # large\r\n192.0.2.2:80 backup weight=2\n";
        let read = parse(text).unwrap();
        let told: Vec<_> = read
            .iter()
            .map(|one| (one.address.to_string(), one.weight, one.backup))
            .collect();
        assert_eq!(
            told,
            [
                ("192.0.2.1:80".to_owned(), 1, false),
                ("[2001:db8::1]:81".to_owned(), 3, false),
                ("192.0.2.2:80".to_owned(), 2, true),
            ]
        );
    }

    #[test]
    fn a_file_is_taken_whole_or_not_at_all() {
        for (text, said) in [
            ("", "no endpoint"),
            ("# none\n\n", "no endpoint"),
            ("192.0.2.1:80\n192.0.2.", "/run/nodes:2: "),
            ("192.0.2.1:80\nnode-2:80", "/run/nodes:2: "),
            ("192.0.2.1:0", "/run/nodes:1: "),
            ("0.0.0.0:80", "/run/nodes:1: "),
            ("192.0.2.1:80 weight=0", "/run/nodes:1: "),
            ("192.0.2.1:80 spare", "/run/nodes:1: "),
            ("192.0.2.1:80\n192.0.2.1:80", "twice"),
        ] {
            let fault = parse(text).unwrap_err();
            let error = with_reasons(&FileError::new(Path::new("/run/nodes"), fault));
            assert!(error.contains(said), "{text:?}: {error}");
        }
    }

    #[test]
    fn toml_has_the_same_endpoints_and_says_where_it_is_wrong() {
        let text = "endpoints = [\n  \"192.0.2.1:80\",\n  { address = \"192.0.2.2:80\", weight = 3, backup = true },\n]\n";
        assert_eq!(
            parse_toml(text.to_owned()).unwrap(),
            parse("192.0.2.1:80\n192.0.2.2:80 weight=3 backup\n").unwrap()
        );
        for (text, said) in [
            ("", "n.toml:1:1: "),
            ("endpoints = []", "n.toml: it names no endpoint"),
            ("endpoints = [\n \"192.0.2.1:80\"", "n.toml:2:"),
            (
                "endpoints = [\n \"192.0.2.1\"]",
                "n.toml:2:2: endpoint `192.0.2.1` has no port",
            ),
            (
                "endpoints = [\"node-1:80\"]",
                "is a name; endpoints of a file are addresses",
            ),
            (
                "endpoints = [\"192.0.2.1:80\",\n\"192.0.2.1:80\"]",
                "n.toml:2:1: endpoint `192.0.2.1:80` is there twice",
            ),
            (
                "endpoints = [\"192.0.2.1:80\"]\nweights = 1",
                "n.toml:2:1: `weights` is not a key",
            ),
            (
                "endpoints = [{ address = \"192.0.2.1:80\", weight = 0 }]",
                "takes 1 to 255",
            ),
        ] {
            let fault = parse_toml(text.to_owned()).unwrap_err();
            let error = with_reasons(&FileError::new(Path::new("n.toml"), fault));
            assert!(error.contains(said), "{text:?}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_toml_makes_the_parser_panic(text in "\\PC{0,200}") {
            if let Ok(endpoints) = parse_toml(text) {
                proptest::prop_assert!(!endpoints.is_empty());
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
            if let Ok(endpoints) = parse(&text) {
                proptest::prop_assert!(!endpoints.is_empty());
            }
        }
    }
}
