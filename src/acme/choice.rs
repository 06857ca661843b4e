//! Which authority is asked for a certificate, and when.
//!
//! Pure. The first one is asked, and the others in turn only when those before them have been down for long, or when the
//! certificate is missing or about to end and they have failed twice or issue no more for its names this week. Invariant: as long as the first answers and issues,
//! no other is ever asked.
#![deny(clippy::disallowed_methods)]

use time::OffsetDateTime;

/// What is known of one authority for one certificate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Failures in a row there.
    pub(super) failures: u32,
    /// Not before this, after a failure.
    pub(super) backoff_until: Option<OffsetDateTime>,
    /// Nobody asks it before this.
    pub(super) closed_until: Option<OffsetDateTime>,
    /// It has been down for hours.
    pub(super) long_down: bool,
    /// It has issued as often for these names as it does in a week; `closed_until` says until when.
    pub(super) is_used_up: bool,
}

/// Failures that are enough to ask the next one, when it is urgent.
const ENOUGH: u32 = 2;

/// The authority to ask (by its place in the list) and the earliest moment for it.
pub(super) fn choose(
    candidates: &[Candidate],
    due: OffsetDateTime,
    is_urgent: bool,
) -> (usize, OffsetDateTime) {
    let mut best = (0, due);
    for (index, candidate) in candidates.iter().enumerate() {
        let at = due
            .max(candidate.backoff_until.unwrap_or(due))
            .max(candidate.closed_until.unwrap_or(due));
        if index == 0 || at < best.1 {
            best = (index, at);
        }
        let next_may = candidate.long_down
            || (is_urgent && (candidate.failures >= ENOUGH || candidate.is_used_up));
        if !next_may {
            break;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    const GOOD: Candidate = Candidate {
        failures: 0,
        backoff_until: None,
        closed_until: None,
        long_down: false,
        is_used_up: false,
    };

    fn failed(failures: u32, until: i64) -> Candidate {
        Candidate {
            failures,
            backoff_until: Some(at(until)),
            ..GOOD
        }
    }

    #[test]
    fn the_first_authority_is_asked_as_long_as_it_answers() {
        assert_eq!(choose(&[GOOD, GOOD], at(5), true), (0, at(5)));
        assert_eq!(choose(&[failed(9, 90), GOOD], at(5), false), (0, at(90)));
        assert_eq!(choose(&[failed(1, 90), GOOD], at(5), true), (0, at(90)));
    }

    #[test]
    fn the_next_one_is_asked_in_an_emergency_and_when_the_first_is_long_down() {
        assert_eq!(choose(&[failed(2, 90), GOOD], at(5), true), (1, at(5)));
        let down = Candidate {
            long_down: true,
            closed_until: Some(at(90)),
            ..GOOD
        };
        assert_eq!(choose(&[down, GOOD], at(5), false), (1, at(5)));
        assert_eq!(choose(&[down, down, GOOD], at(5), false), (2, at(5)));
        let used_up = Candidate {
            is_used_up: true,
            closed_until: Some(at(90)),
            ..GOOD
        };
        assert_eq!(choose(&[used_up, GOOD], at(5), true), (1, at(5)));
        assert_eq!(choose(&[used_up, GOOD], at(5), false), (0, at(90)));
        // The first is asked again when its time comes first.
        assert_eq!(choose(&[down, failed(1, 120)], at(5), false), (0, at(90)));
    }
}
