//! What an error of an attempt means: its class, the authority's own words, and whether the order lives on.
//!
//! Pure. Texts come from the authority, so they are cut and stripped of control characters before they reach a log.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use instant_acme::{Error, Problem};
use time::OffsetDateTime;
use time::PrimitiveDateTime;
use time::macros::format_description;

use super::schedule::Class;
use super::storage::StoreError;
use crate::observe::reasons::with_reasons;

/// Longest text of an authority that is logged and shown.
const MAX_DETAIL: usize = 1000;

/// How an attempt ended when it did not end with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The step that failed, as in logs: `finalize`.
    pub(super) step: &'static str,
    pub(super) class: Class,
    /// Why, in the authority's words where there are some.
    pub(super) detail: String,
    /// How long the authority asks to wait.
    pub(super) retry_after: Option<Duration>,
    /// The order can not lead to a certificate any more; the next attempt begins a new one.
    pub(super) order_is_dead: bool,
    /// The authority does not know the account.
    pub(super) account_unknown: bool,
}

/// The headers of the authority's last answer, which errors do not carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LastAnswer {
    pub(super) retry_after: Option<String>,
    pub(super) date: Option<String>,
}

/// Clocks that differ by less agree.
const CLOCK_SLACK: Duration = Duration::from_secs(300);

impl LastAnswer {
    /// How long the authority asks to wait; takes seconds and HTTP dates (RFC 9110 section 10.2.3).
    pub(super) fn wait(&self, now: OffsetDateTime) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = http_date(text)?;
        Some((date - now).try_into().unwrap_or(Duration::ZERO))
    }
}

impl LastAnswer {
    /// Whether the authority's clock says something else than `now`.
    pub(super) fn disagrees_with(&self, now: OffsetDateTime) -> bool {
        let date = self.date.as_deref().and_then(http_date);
        date.is_some_and(|date| (date - now).abs() > CLOCK_SLACK)
    }
}

/// RFC 9110 section 5.6.7, the preferred form.
fn http_date(text: &str) -> Option<OffsetDateTime> {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    Some(PrimitiveDateTime::parse(text, format).ok()?.assume_utc())
}

impl Failure {
    pub(super) fn new(step: &'static str, class: Class, detail: impl AsRef<str>) -> Self {
        Self {
            step,
            class,
            detail: clean(detail.as_ref()),
            retry_after: None,
            order_is_dead: false,
            account_unknown: false,
        }
    }

    /// The order is to be forgotten.
    pub(super) fn dead(mut self) -> Self {
        self.order_is_dead = true;
        self
    }

    pub(super) fn of_storage(step: &'static str, error: &StoreError) -> Self {
        Self::new(step, Class::Store, with_reasons(error))
    }

    /// Reads an error of a step; `last` is the answer it came from.
    pub(super) fn of_acme(
        step: &'static str,
        error: &Error,
        last: &LastAnswer,
        now: OffsetDateTime,
    ) -> Self {
        let wait = last.wait(now);
        let mut failure = match error {
            Error::Api(problem) => Self::of_problem(step, problem, now),
            Error::Crypto | Error::KeyRejected => Self::new(step, Class::Store, error.to_string()),
            Error::Unsupported(_) | Error::InvalidUri(_) | Error::Http(_) => {
                Self::new(step, Class::Input, error.to_string())
            }
            other => Self::new(step, Class::CaUnavailable, chain(other)),
        };
        failure.retry_after = wait.or(failure.retry_after);
        failure
    }

    fn of_problem(step: &'static str, problem: &Problem, now: OffsetDateTime) -> Self {
        let kind = problem.r#type.as_deref().unwrap_or_default();
        let kind = kind
            .strip_prefix("urn:ietf:params:acme:error:")
            .unwrap_or(kind);
        let class = match (kind, problem.status.unwrap_or(0)) {
            ("rateLimited", _) | (_, 429) => Class::RateLimited,
            ("badNonce" | "serverInternal" | "accountDoesNotExist", _) | (_, 500..) => {
                Class::CaUnavailable
            }
            _ => Class::Input,
        };
        let text = problem_text(problem);
        Self {
            retry_after: retry_time_in(&text, now),
            account_unknown: kind == "accountDoesNotExist",
            ..Self::new(step, class, text)
        }
    }

    /// A challenge that the authority found wanting; `problem` is the challenge's own error.
    pub(super) fn of_challenge(problem: Option<&Problem>, asked: u32) -> Self {
        let kind = problem
            .and_then(|problem| problem.r#type.as_deref())
            .unwrap_or_default();
        let class = match kind.rsplit(':').next().unwrap_or_default() {
            "rateLimited" => Class::RateLimited,
            "caa" | "rejectedIdentifier" => Class::Input,
            _ => Class::Validation,
        };
        let mut text =
            problem.map_or_else(|| "the authority gives no reason".to_owned(), problem_text);
        if asked == 0 {
            text.push_str("; no request for the token reached this server: check that the host's addresses (A and AAAA) and port 80 lead here");
        }
        Self::new("validate", class, text).dead()
    }
}

/// `type: detail`, with what is said about single names.
fn problem_text(problem: &Problem) -> String {
    let mut text = match (&problem.r#type, &problem.detail) {
        (Some(kind), Some(detail)) => format!("{kind}: {detail}"),
        (Some(only), None) | (None, Some(only)) => only.clone(),
        (None, None) => format!("status {}", problem.status.unwrap_or(0)),
    };
    for sub in &problem.subproblems {
        text.push_str(&format!("; {sub}"));
    }
    text
}

/// Boulder says "retry after 2026-11-21 07:00:00 UTC" in its words, too.
fn retry_time_in(text: &str, now: OffsetDateTime) -> Option<Duration> {
    let (_, rest) = text.split_once("retry after ")?;
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let date = PrimitiveDateTime::parse(rest.get(..19)?, format)
        .ok()?
        .assume_utc();
    (date - now).try_into().ok()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_DETAIL)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: &str, status: u16, detail: &str) -> Error {
        let text = serde_json::json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "status": status, "detail": detail});
        Error::Api(serde_json::from_value(text).unwrap())
    }

    fn now() -> OffsetDateTime {
        time::macros::datetime!(2026-11-21 07:00:00 UTC)
    }

    fn read(error: &Error, retry_after: Option<&str>) -> Failure {
        let last = LastAnswer {
            retry_after: retry_after.map(str::to_owned),
            date: None,
        };
        Failure::of_acme("order", error, &last, now())
    }

    #[test]
    fn retry_after_is_read_as_seconds_as_a_date_and_from_the_words() {
        let limited = problem("rateLimited", 429, "too many");
        assert_eq!(
            read(&limited, Some("120")).retry_after,
            Some(Duration::from_secs(120))
        );
        assert_eq!(
            read(&limited, Some("Sat, 21 Nov 2026 07:01:00 GMT")).retry_after,
            Some(Duration::from_secs(60))
        );
        assert_eq!(
            read(&limited, Some("Sat, 21 Nov 2026 06:00:00 GMT")).retry_after,
            Some(Duration::ZERO)
        );
        assert_eq!(read(&limited, Some("soon")).retry_after, None);
        let worded = problem(
            "rateLimited",
            429,
            "too many; retry after 2026-11-21 08:00:00 UTC: see https://ca.test",
        );
        assert_eq!(
            read(&worded, None).retry_after,
            Some(Duration::from_secs(3600))
        );
    }

    #[test]
    fn clocks_disagree_when_the_authoritys_date_is_minutes_away() {
        let at = |date: &str| LastAnswer {
            date: Some(date.to_owned()),
            ..LastAnswer::default()
        };
        assert!(!at("Sat, 21 Nov 2026 07:04:00 GMT").disagrees_with(now()));
        assert!(at("Sat, 21 Nov 2026 05:00:00 GMT").disagrees_with(now()));
        assert!(!at("yesterday").disagrees_with(now()));
        assert!(!LastAnswer::default().disagrees_with(now()));
    }

    #[test]
    fn errors_get_the_class_that_says_who_must_act() {
        let classes = [
            ("rateLimited", 429, Class::RateLimited),
            ("badNonce", 400, Class::CaUnavailable),
            ("serverInternal", 500, Class::CaUnavailable),
            ("rejectedIdentifier", 400, Class::Input),
            ("unsupportedContact", 400, Class::Input),
            ("about:blank", 503, Class::CaUnavailable),
        ];
        for (kind, status, class) in classes {
            assert_eq!(
                read(&problem(kind, status, "x"), None).class,
                class,
                "{kind}"
            );
        }
        assert!(read(&problem("accountDoesNotExist", 400, "x"), None).account_unknown);
        assert_eq!(
            read(&Error::Timeout(None), None).class,
            Class::CaUnavailable
        );
    }

    #[test]
    fn the_authoritys_words_reach_the_log_without_control_characters() {
        let failure = read(&problem("malformed", 400, "a\nb\u{1b}[31m"), None);
        assert_eq!(
            failure.detail,
            "urn:ietf:params:acme:error:malformed: a b [31m"
        );
        assert_eq!(
            read(&problem("malformed", 400, &"x".repeat(5000)), None)
                .detail
                .chars()
                .count(),
            MAX_DETAIL
        );
    }

    #[test]
    fn a_token_nobody_asked_for_says_so() {
        let failure = Failure::of_challenge(None, 0);
        assert!(failure.detail.contains("port 80"), "{}", failure.detail);
        assert!(!Failure::of_challenge(None, 3).detail.contains("port 80"));
        assert!(failure.order_is_dead);
    }
}
