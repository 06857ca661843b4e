//! When a certificate is renewed, by its authority's wish (RFC 9773) or by its dates, and when that wish is asked for.
//!
//! Pure: answers, dates and jitter (0 to 1, drawn by the caller) come in. One moment is drawn for each window and kept
//! as long as the window stays. Invariants: a renewal is never planned for after a tenth of the life is left, and what an
//! authority says cannot make us ask more than once an hour.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use instant_acme::RenewalInfo;
use time::OffsetDateTime;

use super::answer::{self, Answer, Lost};
use super::schedule::{Delays, renew_after};
use super::storage::{Renewal, Window, instant, milliseconds};
use crate::tls::pem::Leaf;

/// When the authority does not say.
const POLL: Duration = Duration::from_secs(6 * 3600);
const HALF_DAY: time::Duration = time::Duration::hours(12);

/// When to renew, and why then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) at: OffsetDateTime,
    pub(super) why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// There is none yet, or not of these authorities.
    Missing,
    /// The authority's window.
    Window,
    /// Two thirds of the life, or half of a short one.
    Life,
    /// So little is left that the window does not count any more.
    Emergency,
}

impl Why {
    /// As in logs.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Window => "window",
            Self::Life => "life",
            Self::Emergency => "emergency",
        }
    }
}

/// When so little of the life is left that every means is right: a tenth, at least twelve hours, never more than a third.
pub(super) fn emergency_at(leaf: &Leaf) -> OffsetDateTime {
    let life = leaf.not_after - leaf.not_before;
    let tenth: time::Duration = life / 10;
    leaf.not_after - tenth.max(HALF_DAY).min(life / 3)
}

/// When the certificate is to be renewed. `issued` is by our own clock.
pub(super) fn due(
    leaf: &Leaf,
    issued: OffsetDateTime,
    renewal: Option<&Renewal>,
    jitter: f64,
) -> Due {
    let emergency = Due {
        // A clock far ahead makes each new certificate an emergency.
        at: emergency_at(leaf).max(issued + (leaf.not_after - leaf.not_before) / 6),
        why: Why::Emergency,
    };
    let window = renewal
        .filter(|renewal| renewal.serial == leaf.serial)
        .and_then(|renewal| renewal.window);
    let planned = match window {
        Some(window) => Due {
            at: instant(window.at_unix_ms),
            why: Why::Window,
        },
        None => Due {
            at: renew_after(issued, leaf.not_before, leaf.not_after, jitter),
            why: Why::Life,
        },
    };
    if planned.at <= emergency.at {
        planned
    } else {
        emergency
    }
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The window is as before.
    Same,
    /// It is new, or moved; a moment within it has been drawn.
    Moved,
    /// There is none that makes sense.
    Nothing(String),
}

impl Told {
    /// As counted: `window`, `moved`, `none`.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Moved => "moved",
            Self::Nothing(_) => "none",
        }
    }
}

/// Takes an answer into what is remembered.
pub(super) fn fold(
    renewal: &mut Renewal,
    leaf: &Leaf,
    answer: &Result<Answer, Lost>,
    delays: &Delays,
    now: OffsetDateTime,
    jitter: f64,
) -> Told {
    let said = answer.as_ref().ok().and_then(|answer| answer.wait(now));
    let [least, most] = delays.poll;
    let wait = said.unwrap_or(POLL).clamp(least, most);
    renewal.poll_unix_ms = milliseconds(now + wait.mul_f64(1.0 + jitter * 0.02));
    let (start, end, explanation) = match read(answer, leaf) {
        Ok(window) => window,
        Err(reason) => {
            let down = answer.as_ref().map_or(true, |answer| answer.status >= 500);
            if !down {
                // It has been there and is not any more, or never was: the dates decide.
                renewal.window = None;
            }
            renewal
                .silent_since_unix_ms
                .get_or_insert(milliseconds(now));
            return Told::Nothing(reason);
        }
    };
    renewal.silent_since_unix_ms = None;
    renewal.explanation = explanation;
    let (start_ms, end_ms) = (milliseconds(start), milliseconds(end));
    if let Some(known) = renewal.window
        && (known.start_unix_ms, known.end_unix_ms) == (start_ms, end_ms)
    {
        return Told::Same;
    }
    let at = start + (end - start) * jitter.clamp(0.0, 1.0);
    renewal.window = Some(Window {
        start_unix_ms: start_ms,
        end_unix_ms: end_ms,
        at_unix_ms: milliseconds(at),
    });
    Told::Moved
}

/// Remembers that the authority does not do this; it is looked at again, because it may one day.
pub(super) fn unsupported(renewal: &mut Renewal, delays: &Delays, now: OffsetDateTime) -> Told {
    renewal.window = None;
    let [least, most] = delays.poll;
    renewal.poll_unix_ms = milliseconds(now + POLL.clamp(least, most));
    Told::Nothing("the authority has no renewal information".to_owned())
}

type Read = (OffsetDateTime, OffsetDateTime, Option<String>);

fn read(answer: &Result<Answer, Lost>, leaf: &Leaf) -> Result<Read, String> {
    let answer = answer.as_ref().map_err(|lost| lost.detail.clone())?;
    if !answer.is_ok() {
        return Err(answer::text(&answer.problem()));
    }
    let info: RenewalInfo = answer.read()?;
    let (start, end) = (info.suggested_window.start, info.suggested_window.end);
    if end <= start {
        return Err(format!("the window ends at {end}, before it starts"));
    }
    if start >= leaf.not_after {
        return Err(format!(
            "the window starts at {start}, after the certificate's end"
        ));
    }
    // Only as far as it helps.
    Ok((start, end.min(leaf.not_after), info.explanation_url))
}

#[cfg(test)]
mod tests;
