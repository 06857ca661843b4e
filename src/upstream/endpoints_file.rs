//! A file of endpoints, which any script can write: one address a line.
//!
//! `192.0.2.10:80`, then, if wanted, `weight=3` and `backup`; `#` begins a comment. [`parse`] is pure and takes the file
//! whole or not at all: a file that is being written, or damaged, must not take endpoints away. An empty one counts
//! as damaged.

use std::collections::HashSet;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

use crate::config::Endpoint;

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
    #[error("line {line}: {what}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

/// Reads and takes a file. Blocks.
pub fn read(path: &Path) -> Result<Vec<Endpoint>, FileFault> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    file.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(FileFault::TooLarge);
    }
    parse(&text)
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
        let endpoint = endpoint(address, words).map_err(|what| FileFault::Line { line, what })?;
        if !seen.insert(endpoint.address) {
            let what = format!("`{address}` is there twice");
            return Err(FileFault::Line { line, what });
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
            ("192.0.2.1:80\n192.0.2.", "line 2"),
            ("192.0.2.1:80\nnode-2:80", "line 2"),
            ("192.0.2.1:0", "line 1"),
            ("0.0.0.0:80", "line 1"),
            ("192.0.2.1:80 weight=0", "line 1"),
            ("192.0.2.1:80 spare", "line 1"),
            ("192.0.2.1:80\n192.0.2.1:80", "twice"),
        ] {
            let fault = parse(text).unwrap_err().to_string();
            assert!(fault.contains(said), "{text:?}: {fault}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
            if let Ok(endpoints) = parse(&text) {
                proptest::prop_assert!(!endpoints.is_empty());
            }
        }
    }
}
