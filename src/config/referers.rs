//! `referers` of a site or a route, as checked: which values of `Referer` are valid; `$invalid_referer` says of the others.
//!
//! Judged as nginx does it: by host, by what follows it, or by an expression for all that follows the scheme.
#![deny(clippy::disallowed_methods)]

use crate::types::pattern::Pattern;

/// The longest host that is looked at.
const LONGEST: usize = 256;

/// Which values are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referers {
    /// As they are written.
    written: Vec<Box<str>>,
    all: Vec<One>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum One {
    /// No such field.
    None,
    /// One whose value does not begin with a scheme.
    Blocked,
    /// A host, and what has to follow it.
    Host(Host, Box<str>),
    /// Of all that follows the scheme.
    Pattern(Pattern),
    /// Of the host.
    HostPattern(Pattern),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Is(Box<str>),
    /// `.h`: it, or one below it.
    Within(Box<str>),
    /// `*.h`
    EndsWith(Box<str>),
    /// `h.*`
    BeginsWith(Box<str>),
}

impl Referers {
    /// Of these words.
    ///
    /// # Errors
    /// The first that is none, and why.
    pub fn parse(words: Vec<Box<str>>) -> Result<Self, String> {
        let all = words.iter().map(|word| One::parse(word));
        let all = all.collect::<Result<_, _>>()?;
        Ok(Self {
            written: words,
            all,
        })
    }

    /// As they are written.
    pub fn words(&self) -> &[Box<str>] {
        &self.written
    }

    /// Whether this value is one of them; `None` when there is no such field.
    pub fn has(&self, value: Option<&[u8]>) -> bool {
        let Some(value) = value else {
            return self.all.contains(&One::None);
        };
        let rest = ["http://", "https://"].into_iter().find_map(|scheme| {
            let (start, rest) = value.split_at_checked(scheme.len())?;
            let is_it = start.eq_ignore_ascii_case(scheme.as_bytes());
            is_it.then_some(rest)
        });
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
            return self.all.contains(&One::Blocked);
        };
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b':'));
        let (host, after) = rest.split_at(end.unwrap_or(rest.len()));
        if host.len() > LONGEST {
            return false;
        }
        let host = host.to_ascii_lowercase();
        let slash = after.iter().position(|byte| *byte == b'/');
        let path = after
            .get(slash.unwrap_or(after.len())..)
            .unwrap_or_default();
        self.all.iter().any(|one| match one {
            One::None | One::Blocked => false,
            One::Host(own, begins) => own.is(&host) && path.starts_with(begins.as_bytes()),
            One::Pattern(pattern) => pattern.matches(rest),
            One::HostPattern(pattern) => pattern.matches(&host),
        })
    }
}

impl One {
    fn parse(word: &str) -> Result<Self, String> {
        let pattern = |text: &str| {
            Pattern::new(text, true)
                .map_err(|reason| format!("`{word}` is no expression: {reason}"))
        };
        if let Some(text) = word.strip_prefix("host~") {
            return pattern(text).map(Self::HostPattern);
        }
        if let Some(text) = word.strip_prefix('~') {
            return pattern(text).map(Self::Pattern);
        }
        let slash = word.find('/').unwrap_or(word.len());
        let (host, path) = word.split_at(slash);
        let host = host.to_ascii_lowercase();
        let host = match &*host {
            "none" if path.is_empty() => return Ok(Self::None),
            "blocked" if path.is_empty() => return Ok(Self::Blocked),
            "" => return Err(format!("`{word}` has no host")),
            host => match (host.strip_prefix("*."), host.strip_prefix('.')) {
                (Some(rest), _) => Host::EndsWith(format!(".{rest}").into()),
                (_, Some(rest)) => Host::Within(rest.into()),
                _ => match host.strip_suffix(".*") {
                    Some(rest) => Host::BeginsWith(format!("{rest}.").into()),
                    None => Host::Is(host.into()),
                },
            },
        };
        Ok(Self::Host(host, path.into()))
    }
}

impl Host {
    fn is(&self, host: &[u8]) -> bool {
        let longer = |part: &str| host.len() > part.len();
        match self {
            Self::Is(own) => own.as_bytes() == host,
            Self::EndsWith(end) => host.ends_with(end.as_bytes()) && longer(end),
            Self::Within(own) => {
                let below = host.strip_suffix(own.as_bytes());
                below.is_some_and(|below| below.is_empty() || below.ends_with(b"."))
            }
            Self::BeginsWith(begin) => host.starts_with(begin.as_bytes()) && longer(begin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_valid_by_host_by_path_and_by_expression() {
        let all = |words: &[&str]| {
            let words = words.iter().map(|word| (*word).into()).collect();
            Referers::parse(words).unwrap()
        };
        let hosts = all(&[
            "a.test/x",
            ".b.test",
            "*.c.test",
            "d.*",
            "~e\\.(net|org)/uri",
            "host~^f$",
        ]);
        for (value, valid) in [
            ("http://A.test/x1", true),
            ("https://a.test:8080/xy", true),
            ("http://a.test/y", false),
            ("http://a.test", false),
            ("a.test/x", false),
            ("http://b.test", true),
            ("http://z.b.test/", true),
            ("http://zb.test/", false),
            ("http://c.test/", false),
            ("http://z.c.test", true),
            ("http://d.anything", true),
            ("http://d.", false),
            ("http://www.E.net/URI", true),
            ("http://f:1/", true),
            ("http://ff/", false),
            ("", false),
        ] {
            assert_eq!(hosts.has(Some(value.as_bytes())), valid, "{value}");
        }
        assert!(!hosts.has(None) && all(&["none"]).has(None));
        let blocked = all(&["blocked"]);
        assert!(blocked.has(Some(b"")) && blocked.has(Some(b"hidden")));
        assert!(!blocked.has(None) && !blocked.has(Some(b"http://x")));
        assert!(Referers::parse(vec!["~(".into()]).is_err());
    }
}
