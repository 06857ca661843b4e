//! What `proxy_pass` asks an upstream for: its words understood, and the target for a request.
//!
//! Pure. Four cases, as nginx has them: without a URI the raw target goes on; with one it takes the place of the
//! location's path in the normalised target; with variables the word as it is filled in; in a location that has changed
//! the URI, the changed one.
#![deny(clippy::disallowed_methods)]

use super::location::Location;
use super::places::Kind;
use crate::nginx::text::{Part, Text};
use crate::nginx::uri::Uri;

/// A `proxy_pass`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Without variables.
    Fixed(Address),
    /// To be filled in for each request.
    Variable(Text),
}

/// The words of a `proxy_pass` without variables, or one that is filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whether it is `https`.
    pub tls: bool,
    /// Host and port as written, an upstream's name, or `unix:/path`.
    pub host: String,
    /// What follows: empty, or a path.
    pub uri: Vec<u8>,
}

impl Pass {
    /// Understands the argument of `proxy_pass`.
    ///
    /// # Errors
    /// nginx's sentence.
    pub fn parse(word: &[u8]) -> Result<Self, String> {
        let text = Text::parse(word)?;
        match text.literal() {
            Some(literal) => Address::parse(literal).map(Self::Fixed),
            None => Ok(Self::Variable(text)),
        }
    }

    /// Where a request goes, and the target it is sent with. `value` is what a variable is worth.
    ///
    /// # Errors
    /// nginx answers 500: the words that were filled in are no address, or nothing would be asked for.
    pub fn target(
        &self,
        location: &Location<'_>,
        uri: &Uri,
        value: impl FnMut(&Part) -> Vec<u8>,
    ) -> Result<(Address, Vec<u8>), String> {
        let address = match self {
            Self::Fixed(address) => address.clone(),
            Self::Variable(text) => {
                let address = Address::parse(&text.fill(value))?;
                if !address.uri.is_empty() {
                    let target = address.uri.clone();
                    return Ok((address, target));
                }
                address
            }
        };
        let target = match address.uri.is_empty() {
            true if uri.has_path => uri.raw.clone(),
            true => uri.written(&uri.path),
            false => {
                let skip = match &location.kind {
                    Kind::Exact(path) | Kind::Prefix(path, _) => path.len(),
                    _ => 0,
                };
                let rest = uri.path.get(skip..).unwrap_or_default();
                [address.uri.clone(), uri.written(rest)].concat()
            }
        };
        Ok((address, target))
    }
}

impl Address {
    /// Understands `http://host:port/path`.
    ///
    /// # Errors
    /// nginx's sentence.
    pub fn parse(word: &[u8]) -> Result<Self, String> {
        let scheme = |name: &[u8]| {
            let (head, rest) = word.split_at_checked(name.len())?;
            head.eq_ignore_ascii_case(name).then_some(rest)
        };
        let (tls, rest) = match (scheme(b"http://"), scheme(b"https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err("invalid URL prefix".to_owned()),
        };
        let path = match rest.starts_with(b"unix:") {
            true => rest
                .iter()
                .skip(5)
                .position(|byte| *byte == b':')
                .map(|at| at + 5),
            false => rest.iter().position(|byte| matches!(byte, b'/' | b'?')),
        };
        let (host, uri) = rest.split_at(path.unwrap_or(rest.len()));
        let uri = match rest.starts_with(b"unix:") {
            true => uri.strip_prefix(b":").unwrap_or_default().to_vec(),
            false if uri.starts_with(b"?") => [b"/", uri].concat(),
            false => uri.to_vec(),
        };
        match host.is_empty() {
            true => Err(format!(
                "no host in upstream \"{}\"",
                String::from_utf8_lossy(rest)
            )),
            false => Ok(Self {
                tls,
                host: String::from_utf8_lossy(host).into_owned(),
                uri,
            }),
        }
    }
}
