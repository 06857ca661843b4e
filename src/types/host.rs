//! Host names as requests, certificates and configurations name them (RFC 9110 section 7.2, RFC 3986 section 3.2.2).
//!
//! [`Host`] is always lower case, without a trailing dot and in its ASCII (IDNA) form, so two hosts are the same
//! exactly when they compare equal. [`HostPattern`] adds wildcards and regexes. [`Authority`] adds a port.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

pub use super::authority::Authority;
use super::pattern::Pattern;

/// A DNS name in lower-case ASCII without a trailing dot, or an IP address in its canonical text (no brackets).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Arc<str>);

/// Why a text names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing there.
    #[error("the host is empty")]
    Empty,
    /// Longer than DNS allows (RFC 1035 section 2.3.4).
    #[error("the host is longer than 253 characters or has a label longer than 63")]
    TooLong,
    /// A character no host has, an empty label, or a bad bracketed address.
    #[error("`{found}` is not a host name or an IP address")]
    Malformed {
        /// The text, cut to 80 characters.
        found: String,
    },
    /// A regex that is none.
    #[error("`{found}` is no regex")]
    Regex {
        /// As written, without its `~`.
        found: String,
    },
    /// The port after the host is no number from 1 to 65535.
    #[error("`{found}` is not a port")]
    Port {
        /// The text after the colon, cut to 80 characters.
        found: String,
    },
}

impl HostError {
    pub(super) fn malformed(text: &str) -> Self {
        Self::Malformed {
            found: text.chars().take(80).collect(),
        }
    }
}

impl Host {
    /// Takes a name (Unicode is turned to its IDNA ASCII form, UTS 46) or an IP address, with or without brackets.
    ///
    /// Upper case and one trailing dot are accepted and normalised away. Underscores are accepted: clusters use them.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            let address: Ipv6Addr = inner.parse().map_err(|_| HostError::malformed(text))?;
            return Ok(Self(address.to_string().into()));
        }
        // Most are names, which end with a letter.
        let may_be_address = text.ends_with(|end: char| end.is_ascii_digit()) || text.contains(':');
        if may_be_address && let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_string().into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(HostError::Empty);
        }
        if !name.is_ascii() {
            let ascii = idna::domain_to_ascii(name).map_err(|_| HostError::malformed(text))?;
            return Self::from_ascii(&ascii, text);
        }
        Self::from_ascii(name, text)
    }

    fn from_ascii(name: &str, original: &str) -> Result<Self, HostError> {
        if name.len() > 253 {
            return Err(HostError::TooLong);
        }
        for label in name.split('.') {
            if label.is_empty() {
                return Err(HostError::malformed(original));
            }
            if label.len() > 63 {
                return Err(HostError::TooLong);
            }
            if !label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            {
                return Err(HostError::malformed(original));
            }
        }
        if name.bytes().any(|b| b.is_ascii_uppercase()) {
            return Ok(Self(name.to_ascii_lowercase().into()));
        }
        Ok(Self(name.into()))
    }

    /// A host of any characters, as nginx takes it.
    pub(super) fn of_any_characters(text: &str) -> Self {
        Self(text.to_ascii_lowercase().into())
    }

    /// What a request is for that names no host, which HTTP/1.0 allows.
    pub fn nameless() -> Self {
        Self("".into())
    }

    /// Whether there is none.
    pub fn is_nameless(&self) -> bool {
        self.0.is_empty()
    }

    /// The host as text: lower case, no brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address, when the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }

    /// The name without its first label: `b.c` for `a.b.c`; `None` for addresses and single labels.
    pub fn parent(&self) -> Option<&str> {
        if self.0.contains(':') {
            return None;
        }
        let (_, rest) = self.0.split_once('.')?;
        if self.ip().is_some() {
            None
        } else {
            Some(rest)
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a site answers to: one host, or all of a kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// This host.
    Exact(Host),
    /// `*.NAME`: exactly one label before NAME (as in certificates, RFC 9525 section 6.3). Holds NAME.
    Wildcard(Host),
    /// `**.NAME`: one label or more before NAME, which it holds.
    Below(Host),
    /// `NAME.*`: one label or more after NAME, which it holds.
    Starts(Host),
    /// `~REGEX`: every host in which this is found.
    Regex(Box<Pattern>),
    /// Nothing: requests that name no host.
    Nameless,
}

impl HostPattern {
    /// Takes `name` or `*.name`; a star anywhere else is refused.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        match text.strip_prefix("*.") {
            Some(rest) => Ok(Self::Wildcard(Host::parse(rest)?)),
            None => Ok(Self::Exact(Host::parse(text)?)),
        }
    }

    /// Takes every kind: what [`Self::parse`] takes, `**.name`, `name.*`, `~regex` in which case is ignored, and nothing.
    ///
    /// # Errors
    /// As there; a regex that is none.
    pub fn parse_any(text: &str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Ok(Self::Nameless);
        }
        if let Some(regex) = text.strip_prefix('~') {
            return match Pattern::new(regex, true) {
                Ok(regex) => Ok(Self::Regex(Box::new(regex))),
                Err(_) => Err(HostError::Regex {
                    found: regex.to_owned(),
                }),
            };
        }
        match (text.strip_prefix("**."), text.strip_suffix(".*")) {
            (Some(name), _) => Ok(Self::Below(Host::parse(name)?)),
            (None, Some(name)) => Ok(Self::Starts(Host::parse(name)?)),
            (None, None) => Self::parse(text),
        }
    }

    /// What belongs to the site of this name alone: no client can ask for such a host.
    pub fn of_site(name: &str) -> Self {
        Self::Exact(Host(format!("@{name}").into()))
    }

    /// The site of [`Self::of_site`].
    pub fn site(&self) -> Option<&str> {
        self.exact()?.as_str().strip_prefix('@')
    }

    /// Whether `host` is one of those this pattern stands for.
    pub fn matches(&self, host: &Host) -> bool {
        match self {
            Self::Wildcard(suffix) => host.parent() == Some(suffix.as_str()),
            _ => self.matches_name(host.as_str()),
        }
    }

    /// As [`Self::matches`], for a name that is written as hosts are.
    pub fn matches_name(&self, name: &str) -> bool {
        match self {
            Self::Exact(own) => own.as_str() == name,
            Self::Wildcard(own) => {
                matches!(name.split_once('.'), Some((_, rest)) if rest == own.as_str())
            }
            Self::Below(own) => {
                let before = name.strip_suffix(own.as_str());
                before.is_some_and(|before| before.len() > 1 && before.ends_with('.'))
            }
            Self::Starts(own) => {
                let after = name.strip_prefix(own.as_str());
                after.is_some_and(|after| after.len() > 1 && after.starts_with('.'))
            }
            Self::Regex(regex) => !name.is_empty() && regex.matches(name.as_bytes()),
            Self::Nameless => name.is_empty(),
        }
    }

    /// Of several that match the one with the smallest counts, and of equals the first: exact, the longest before, the
    /// longest after, regexes.
    pub fn precedence(&self) -> (u8, usize) {
        let longest = |host: &Host| usize::MAX - host.as_str().len();
        match self {
            Self::Exact(_) | Self::Nameless => (0, 0),
            Self::Wildcard(own) => (1, longest(own)),
            Self::Below(own) => (2, longest(own)),
            Self::Starts(own) => (3, longest(own)),
            Self::Regex(_) => (4, 0),
        }
    }

    /// Names of a certificate that are for hosts of the pattern.
    pub fn certificate_name(&self) -> Option<String> {
        match self {
            Self::Exact(_) | Self::Wildcard(_) => Some(self.to_string()),
            Self::Below(own) => Some(format!("*.{own}")),
            Self::Starts(_) | Self::Regex(_) | Self::Nameless => None,
        }
    }

    /// One of its hosts, whose first label is `label` unless there is but one; `None` where none can be told.
    pub fn example(&self, label: &str) -> Option<String> {
        match self {
            Self::Exact(host) => Some(host.to_string()),
            Self::Wildcard(host) | Self::Below(host) => Some(format!("{label}.{host}")),
            Self::Starts(_) | Self::Regex(_) | Self::Nameless => None,
        }
    }

    /// The exact host, when this is one.
    pub fn exact(&self) -> Option<&Host> {
        match self {
            Self::Exact(host) => Some(host),
            _ => None,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "{host}"),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
            Self::Below(suffix) => write!(f, "**.{suffix}"),
            Self::Starts(prefix) => write!(f, "{prefix}.*"),
            Self::Regex(regex) => write!(f, "~{regex}"),
            Self::Nameless => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_a_known_host_reads_as_it_does_without_one() {
        let known = Host::parse("a.example").unwrap();
        for text in [
            "a.example",
            "a.example:",
            "a.example:8443",
            "a.example:0",
            "a.example:x",
            "a.example:80:80",
            "a.example.",
            "a.example.org",
            "a.examplé",
            "A.example:1",
            "b.example",
            "a.exampl",
            "",
        ] {
            let near = Authority::parse_near(text, Some(&known));
            assert_eq!(near, Authority::parse(text), "{text}");
        }
    }
    use proptest::prelude::*;

    #[test]
    fn case_trailing_dot_and_port_do_not_change_the_host() {
        let plain = Authority::parse("hub.example.org").unwrap();
        for text in [
            "HUB.Example.org",
            "hub.example.org.",
            "hub.example.org:443",
            "hub.example.org:",
        ] {
            assert_eq!(Authority::parse(text).unwrap().host, plain.host, "{text}");
        }
    }

    #[test]
    fn a_unicode_host_equals_its_punycode() {
        assert_eq!(
            Host::parse("bücher.example"),
            Host::parse("xn--bcher-kva.example")
        );
    }

    #[test]
    fn malformed_authorities_are_refused() {
        for text in [
            "",
            ".",
            "a b",
            "user@host",
            "host:0",
            "host:65536",
            "host:8a",
            "::1",
            "[::1",
            "[::1]x",
            "a..b",
            "a/b",
            "host:-1",
            "host:+80",
            "a,b",
            "a\tb",
            "[1.2.3.4]",
        ] {
            assert!(Authority::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_ipv6_authority_keeps_its_port() {
        let parsed = Authority::parse("[::1]:8443").unwrap();
        assert_eq!((parsed.host.as_str(), parsed.port), ("::1", Some(8443)));
    }

    #[test]
    fn a_wildcard_covers_one_label_only() {
        let pattern = HostPattern::parse("*.example.org").unwrap();
        assert!(pattern.matches(&Host::parse("a.example.org").unwrap()));
        assert!(!pattern.matches(&Host::parse("a.b.example.org").unwrap()));
        assert!(!pattern.matches(&Host::parse("example.org").unwrap()));
    }

    #[test]
    fn every_kind_of_pattern_matches_its_hosts_and_prints_as_it_was_written() {
        for (text, yes, no) in [
            ("a.test", &["a.test"][..], &["b.a.test", ""][..]),
            ("*.a.test", &["b.a.test"], &["a.test", "c.b.a.test"]),
            (
                "**.a.test",
                &["b.a.test", "c.b.a.test"],
                &["a.test", "ba.test", "x"],
            ),
            (
                "www.*",
                &["www.a", "www.a.test"],
                &["www", "wwwx.a", "a.www.b"],
            ),
            ("~^u-(\\w+)\\.A$", &["u-x.a"], &["x.a", ""]),
            ("", &[""], &["a"]),
        ] {
            let pattern = HostPattern::parse_any(text).unwrap();
            assert_eq!(pattern.to_string(), text);
            for (names, expected) in [(yes, true), (no, false)] {
                for name in names {
                    assert_eq!(pattern.matches_name(name), expected, "{text}: {name}");
                }
            }
        }
        assert!(HostPattern::parse_any("~(").is_err());
        assert!(HostPattern::parse_any("**.a.*").is_err());
    }

    proptest! {
        #[test]
        fn parsing_what_was_printed_gives_the_same_host(text in "\\PC{0,40}") {
            if let Ok(host) = Host::parse(&text) {
                prop_assert_eq!(Host::parse(host.as_str()).unwrap(), host);
            }
        }
    }
}
