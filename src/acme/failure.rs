//! What an error of an attempt means: its class, how far it reaches, the authority's own words, and whether the order
//! lives on.
//!
//! Pure. Texts come from the authority, so they are cut and stripped of control characters before they reach a log.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use instant_acme::Problem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use super::answer::{self, Answer, Lost, word};
use super::schedule::Class;

/// Longest text of an authority that is logged and shown.
const MAX_DETAIL: usize = 1000;

/// How an attempt ended when it did not end with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The step that failed, as in logs: `finalize`.
    pub(super) step: &'static str,
    pub(super) class: Class,
    pub(super) reach: Reach,
    /// Why, in the authority's words where there are some.
    pub(super) detail: String,
    /// How long the authority asks to wait.
    pub(super) retry_after: Option<Duration>,
    /// What has become of the order.
    pub(super) order: OrderFate,
    /// The authority does not know the account.
    pub(super) account_unknown: bool,
}

/// Whom a failure concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// This certificate; others go on.
    Certificate,
    /// All that the account orders.
    Account,
    /// Whatever is asked of this authority.
    Authority,
}

/// Whether an order can still lead to a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OrderFate {
    /// It is resumed by the next attempt.
    Lives,
    /// The next attempt begins a new one.
    Dead,
    /// The authority does not have it any more; a new one may be begun at once.
    Forgotten,
}

impl Failure {
    pub(super) fn new(step: &'static str, class: Class, detail: impl AsRef<str>) -> Self {
        Self {
            step,
            class,
            reach: Reach::Certificate,
            detail: clean(detail.as_ref()),
            retry_after: None,
            order: OrderFate::Lives,
            account_unknown: false,
        }
    }

    /// The order is to be forgotten.
    pub(super) fn dead(mut self) -> Self {
        self.order = OrderFate::Dead;
        self
    }

    /// The authority has forgotten the order.
    pub(super) fn forgotten(mut self) -> Self {
        self.order = OrderFate::Forgotten;
        self
    }

    /// A disk or the like, with the reasons it gives.
    pub(super) fn of_storage(step: &'static str, error: &dyn std::error::Error) -> Self {
        Self::new(
            step,
            Class::Store,
            crate::observe::reasons::with_reasons(error),
        )
    }

    /// No answer.
    pub(super) fn of_lost(step: &'static str, lost: &Lost) -> Self {
        let (class, hint) = match lost.clock {
            true => (Class::Clock, "; check this machine's clock"),
            false => (Class::CaUnavailable, ""),
        };
        Self {
            reach: Reach::Authority,
            ..Self::new(step, class, format!("{}{hint}", lost.detail))
        }
    }

    /// An answer of the authority that is no success.
    pub(super) fn of_answer(step: &'static str, answer: &Answer, now: OffsetDateTime) -> Self {
        let mut failure = Self::of_problem(step, &answer.problem(), now);
        failure.retry_after = answer.wait(now).or(failure.retry_after);
        failure
    }

    /// A problem document, of an answer or inside an order.
    pub(super) fn of_problem(step: &'static str, problem: &Problem, now: OffsetDateTime) -> Self {
        let text = answer::text(problem);
        let detail = problem.detail.as_deref().unwrap_or_default();
        let (class, reach) = match (word(problem), problem.status.unwrap_or(0)) {
            // Boulder says so after a thousand failures in a row; the detail has the page where a person ends it.
            ("rateLimited", _) if detail.contains("unpause") => (Class::Human, Reach::Certificate),
            ("rateLimited", _) | (_, 429) => (Class::RateLimited, reach_of_limit(step, detail)),
            ("badNonce", _) => (Class::CaUnavailable, Reach::Certificate),
            ("accountDoesNotExist", _) => (Class::CaUnavailable, Reach::Account),
            ("unauthorized", _) if step == "account" || detail.contains("deactivated") => {
                (Class::Human, Reach::Account)
            }
            ("externalAccountRequired", _) => (Class::Human, Reach::Account),
            ("serverInternal", _) | (_, 500..) => (Class::CaUnavailable, Reach::Authority),
            _ => (Class::Input, Reach::Certificate),
        };
        Self {
            reach,
            retry_after: retry_time_in(&text, now),
            account_unknown: word(problem) == "accountDoesNotExist",
            ..Self::new(step, class, text)
        }
    }

    /// A challenge that the authority found wanting; `problem` is the challenge's own error.
    pub(super) fn of_challenge(problem: Option<&Problem>, asked: u32) -> Self {
        let class = match problem.map(word).unwrap_or_default() {
            "rateLimited" => Class::RateLimited,
            "caa" | "rejectedIdentifier" => Class::Input,
            _ => Class::Validation,
        };
        let mut text =
            problem.map_or_else(|| "the authority gives no reason".to_owned(), answer::text);
        if asked == 0 {
            text.push_str("; no request for the token reached this server: check that the host's addresses (A and AAAA) and port 80 lead here");
        }
        Self::new("validate", class, text).dead()
    }
}

/// Boulder's words tell which of its limits was met; a limit that names no account and no address is the certificate's.
fn reach_of_limit(step: &str, detail: &str) -> Reach {
    let says = |part: &str| detail.contains(part);
    if step == "account" || step == "directory" || says("from this IP") || says("Service busy") {
        Reach::Authority
    } else if says("from this account") || says("too many new orders") {
        Reach::Account
    } else {
        Reach::Certificate
    }
}

/// Boulder says "retry after 2026-11-21 07:00:00 UTC" in its words, too.
fn retry_time_in(text: &str, now: OffsetDateTime) -> Option<Duration> {
    let (_, rest) = text.split_once("retry after ")?;
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let text = rest.get(..19)?.replace('T', " ");
    let date = PrimitiveDateTime::parse(&text, format).ok()?.assume_utc();
    (date - now).try_into().ok()
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

    fn answer(kind: &str, status: u16, detail: &str) -> Answer {
        let text = serde_json::json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "status": status, "detail": detail});
        Answer {
            status,
            body: text.to_string().into(),
            ..Answer::default()
        }
    }

    fn now() -> OffsetDateTime {
        time::macros::datetime!(2026-11-21 07:00:00 UTC)
    }

    fn read(answer: &Answer) -> Failure {
        Failure::of_answer("order", answer, now())
    }

    #[test]
    fn the_time_to_retry_is_read_from_the_words_when_no_header_says_it() {
        let mut limited = answer(
            "rateLimited",
            429,
            "too many; retry after 2026-11-21 08:00:00 UTC: see https://ca.test",
        );
        assert_eq!(read(&limited).retry_after, Some(Duration::from_secs(3600)));
        limited.retry_after = Some("60".to_owned());
        assert_eq!(read(&limited).retry_after, Some(Duration::from_secs(60)));
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
            ("externalAccountRequired", 403, Class::Human),
        ];
        for (kind, status, class) in classes {
            assert_eq!(read(&answer(kind, status, "x")).class, class, "{kind}");
        }
        assert!(read(&answer("accountDoesNotExist", 400, "x")).account_unknown);
        assert_eq!(
            Failure::of_lost("order", &Lost::new("reset")).class,
            Class::CaUnavailable
        );
        let paused = "Your account is temporarily prevented from requesting certificates for a.test. Please visit: https://ca.test/sfe/v1/unpause?jwt=x";
        let paused = read(&answer("rateLimited", 429, paused));
        assert_eq!(
            (paused.class, paused.reach),
            (Class::Human, Reach::Certificate)
        );
    }

    #[test]
    fn a_limit_reaches_as_far_as_the_authority_says() {
        let reach = |step, detail: &str| {
            Failure::of_answer(step, &answer("rateLimited", 429, detail), now()).reach
        };
        let set = "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s";
        assert_eq!(reach("order", set), Reach::Certificate);
        let domain =
            "too many certificates (50) already issued for \"a.test\" in the last 168h0m0s";
        assert_eq!(reach("order", domain), Reach::Certificate);
        let failed = "too many failed authorizations (5) for \"a.test\" in the last 1h0m0s";
        assert_eq!(reach("order", failed), Reach::Certificate);
        let orders = "too many new orders (300) from this account in the last 3h0m0s";
        assert_eq!(reach("order", orders), Reach::Account);
        let accounts = "too many new registrations (10) from this IP address in the last 3h0m0s";
        assert_eq!(reach("account", accounts), Reach::Authority);
        assert_eq!(
            reach("order", "Service busy; retry later."),
            Reach::Authority
        );
    }

    #[test]
    fn the_authoritys_words_reach_the_log_without_control_characters() {
        let failure = read(&answer("malformed", 400, "a\nb\u{1b}[31m"));
        assert_eq!(
            failure.detail,
            "urn:ietf:params:acme:error:malformed: a b [31m"
        );
        let long = read(&answer("malformed", 400, &"x".repeat(5000)));
        assert_eq!(long.detail.chars().count(), MAX_DETAIL);
    }

    #[test]
    fn a_token_nobody_asked_for_says_so() {
        let failure = Failure::of_challenge(None, 0);
        assert!(failure.detail.contains("port 80"), "{}", failure.detail);
        assert!(!Failure::of_challenge(None, 3).detail.contains("port 80"));
        assert_eq!(failure.order, OrderFate::Dead);
    }
}
