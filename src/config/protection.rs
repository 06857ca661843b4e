//! What spares an upstream and saves its requests: retries, limits and a circuit.
//!
//! Values only; `schema` and `validate` make them, `upstream` and `proxy` act on them. By default safe retries are on and
//! all else is off.

use std::time::Duration;

/// All of it, of one upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// When a request is tried again.
    pub retries: Retries,
    /// How much the upstream gets at once.
    pub limits: UpstreamLimits,
    /// When it is spared for a while.
    pub circuit: Option<Circuit>,
}

/// When a request is tried again, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// After what.
    pub on: RetryOn,
    /// Percent of recent requests that may be sent a second time; 0 sends none twice.
    pub budget: u8,
    /// No try begins later than this after the request's first one.
    pub deadline: Duration,
    /// Tries in all; `None` is one at each endpoint.
    pub tries: Option<u32>,
}

/// What a request is tried again for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retryable {
    /// No connection could be made.
    Connect,
    /// The connection ended before anything was answered, or what came is not HTTP.
    Reset,
    /// No head came in time.
    Timeout,
    /// The endpoint answered 502.
    BadGateway,
    /// The endpoint answered 503.
    Unavailable,
    /// It answered 500.
    Failed,
    /// It answered 504.
    Late,
    /// It answered 403.
    Forbidden,
    /// It answered 404.
    Missing,
    /// It answered 429.
    TooMany,
    /// Not a reason: requests that may have reached an endpoint are tried again though their method does not allow it.
    AnyMethod,
}

impl Retryable {
    /// The words a configuration can write, in the order of the kinds.
    pub(super) const WORDS: &[&str] = &[
        "connect",
        "reset",
        "timeout",
        "502",
        "503",
        "500",
        "504",
        "403",
        "404",
        "429",
        "any-method",
    ];
    const ALL: [Self; 11] = [
        Self::Connect,
        Self::Reset,
        Self::Timeout,
        Self::BadGateway,
        Self::Unavailable,
        Self::Failed,
        Self::Late,
        Self::Forbidden,
        Self::Missing,
        Self::TooMany,
        Self::AnyMethod,
    ];

    /// What an answer with this status is.
    pub fn of_status(status: u16) -> Option<Self> {
        Some(match status {
            403 => Self::Forbidden,
            404 => Self::Missing,
            429 => Self::TooMany,
            500 => Self::Failed,
            502 => Self::BadGateway,
            503 => Self::Unavailable,
            504 => Self::Late,
            _ => return None,
        })
    }
}

/// A set of [`Retryable`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryOn(u16);

impl RetryOn {
    /// Those of the words that are known.
    pub(super) fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let known = Retryable::WORDS.iter().zip(Retryable::ALL);
        let of = |word| known.clone().find(|(name, _)| **name == word);
        words
            .into_iter()
            .filter_map(of)
            .map(|(_, kind)| kind)
            .collect()
    }

    /// As words.
    pub(super) fn words(self) -> impl Iterator<Item = &'static str> {
        let known = Retryable::WORDS.iter().zip(Retryable::ALL);
        known
            .filter(move |(_, kind)| self.has(*kind))
            .map(|(word, _)| *word)
    }

    /// Whether a status is in it.
    pub fn has_statuses(self) -> bool {
        let statuses = [403, 404, 429, 500, 502, 503, 504];
        let mut kinds = statuses.into_iter().filter_map(Retryable::of_status);
        kinds.any(|kind| self.has(kind))
    }

    /// Whether `kind` is in it.
    pub fn has(self, kind: Retryable) -> bool {
        self.0 & 1 << kind as u8 != 0
    }
}

impl FromIterator<Retryable> for RetryOn {
    fn from_iter<I: IntoIterator<Item = Retryable>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |set, kind| set | 1 << kind as u8))
    }
}

/// How much an upstream gets at once, over all workers and endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Connections in use, tunnels included; `None` is no limit.
    pub connections: Option<usize>,
    /// Requests that were sent and are not answered to their end, tunnels left out; `None` is no limit.
    pub in_flight: Option<usize>,
    /// Requests that wait for one of the two.
    pub queue: usize,
    /// How long each waits.
    pub queue_timeout: Duration,
}

/// When an upstream is spared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circuit {
    /// Percent of the requests in the window that failed.
    pub failure_rate: u8,
    /// What counts as recent.
    pub window: Duration,
    /// With fewer requests in the window nothing happens.
    pub min_requests: u32,
    /// How long nothing is sent.
    pub open_for: Duration,
    /// Requests sent then, to see: all must succeed.
    pub trials: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            on: [Retryable::Connect, Retryable::Reset].into_iter().collect(),
            budget: 20,
            deadline: Duration::from_secs(10),
            tries: None,
        }
    }
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            connections: None,
            in_flight: None,
            queue: 100,
            queue_timeout: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_stands_for_one_kind() {
        for (index, word) in Retryable::WORDS.iter().enumerate() {
            let set = RetryOn::of_words([*word]);
            assert!(set.words().eq([*word]), "{word}");
            for (other, kind) in Retryable::ALL.into_iter().enumerate() {
                assert_eq!(set.has(kind), other == index, "{word}");
            }
        }
        assert_eq!(RetryOn::of_words(["501"]), RetryOn::default());
    }
}
