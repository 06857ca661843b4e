//! `[rate.NAME]`, `[concurrency.NAME]` and `limits` of a site or a route, as checked.
//!
//! Values only; counting is `limits`' (the module), asking it `proxy`'s.

use std::fmt;

use super::text::{Lookup, Text};
use crate::types::amount::ByteSize;

/// `[rate.NAME]`: how often, for each value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateZone {
    /// What is counted by; requests for which it is empty are not counted.
    pub key: Text,
    /// How often.
    pub rate: Rate,
    /// Values that are remembered.
    pub keys: usize,
}

/// `[concurrency.NAME]`: how many at once, for each value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcurrencyZone {
    /// What is counted by; requests for which it is empty are not counted.
    pub key: Text,
    /// Values that are counted at once.
    pub keys: usize,
}

/// Requests in a second or in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In a minute, not in a second.
    pub per_minute: bool,
}

/// Bytes: as many for every request, or as a text says of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Fixed(ByteSize),
    /// What this is worth.
    Said(Text),
}

impl Amount {
    /// How many; 0 where a text says no number.
    pub fn value(&self, values: &dyn Lookup) -> u64 {
        match self {
            Self::Fixed(size) => size.0,
            Self::Said(text) => said(&text.value(values)).unwrap_or(0),
        }
    }

    /// Its text with variables, if it is one.
    pub fn text(&self) -> Option<&Text> {
        match self {
            Self::Fixed(_) => None,
            Self::Said(text) => Some(text),
        }
    }
}

/// Bytes as a variable says them.
pub fn said(value: &[u8]) -> Option<u64> {
    let size = ByteSize::parse(std::str::from_utf8(value).ok()?).ok()?;
    Some(size.0)
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => size.fmt(f),
            Self::Said(text) => text.fmt(f),
        }
    }
}

/// `limits` of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteLimits {
    /// How often; all of them count.
    pub rates: Vec<RateUse>,
    /// How many at once; all of them count.
    pub concurrency: Vec<ConcurrencyUse>,
    /// The status of a refusal.
    pub status: u16,
    /// How loud a refusal is told.
    pub log: LimitLog,
    /// Counts and tells, but refuses nobody.
    pub dry_run: bool,
    /// Bytes of an answer in a second.
    pub bandwidth: Option<Amount>,
    /// Bytes that are not slowed down.
    pub after: Amount,
}

/// One `[rate.NAME]` as a route uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateUse {
    /// Its name.
    pub rate: Box<str>,
    /// Requests that may come before their time.
    pub burst: u32,
    /// So many of these are not made to wait.
    pub delay: u32,
    /// In place of the status of all.
    pub status: Option<u16>,
}

/// One `[concurrency.NAME]` as a route uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcurrencyUse {
    /// Its name.
    pub of: Box<str>,
    /// Requests at once.
    pub most: u32,
    /// In place of the status of all.
    pub status: Option<u16>,
    /// In place of how loud all are told.
    pub log: Option<LimitLog>,
    /// In place of whether all only tell.
    pub dry_run: Option<bool>,
}

/// How loud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitLog {
    /// An error.
    Error,
    /// A warning.
    Warn,
    /// As what happens anyway.
    Notice,
    /// As that, and delays quieter.
    Info,
}

impl RouteLimits {
    /// Its texts with variables.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        let amounts = self.bandwidth.iter().chain([&self.after]);
        amounts.filter_map(Amount::text)
    }

    /// How loud a refusal by this one is told, and whether it is only told.
    pub fn telling(&self, used: &ConcurrencyUse) -> (LimitLog, bool) {
        let log = used.log.unwrap_or(self.log);
        (log, used.dry_run.unwrap_or(self.dry_run))
    }

    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.rates.is_empty() && self.concurrency.is_empty() && self.bandwidth.is_none()
    }
}

impl Rate {
    /// Takes `10r/s` or `30r/m`.
    pub fn parse(text: &str) -> Option<Self> {
        let (count, unit) = text.trim().split_once("r/")?;
        let per_minute = match unit {
            "s" => false,
            "m" => true,
            _ => return None,
        };
        let count = count.parse().ok().filter(|count| *count > 0)?;
        Some(Self { count, per_minute })
    }

    /// Thousandths of a request in a second.
    pub fn thousandths(self) -> u64 {
        let each = u64::from(self.count) * 1000;
        match self.per_minute {
            true => each / 60,
            false => each,
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.per_minute { 'm' } else { 's' };
        write!(f, "{}r/{unit}", self.count)
    }
}

impl LimitLog {
    /// As in configurations.
    pub const WORDS: &'static [&'static str] = &["error", "warn", "notice", "info"];

    /// The one that is written so.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Error, Self::Warn, Self::Notice, Self::Info];
        all.into_iter().find(|one| one.as_str() == word)
    }

    /// As in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Notice => "notice",
            Self::Info => "info",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_printed_as_it_is_read() {
        for (text, thousandths) in [("10r/s", 10_000), ("30r/m", 500), ("1r/m", 16)] {
            let rate = Rate::parse(text).unwrap();
            assert_eq!(
                (rate.to_string(), rate.thousandths()),
                (text.to_owned(), thousandths)
            );
        }
        for text in ["10", "0r/s", "r/s", "1.5r/s", "10r/h", "-1r/s"] {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
    }
}
