//! An authority's answer as a value, and what its headers say about time.
//!
//! Pure. Bodies are read as the crate's types; judging them is `failure`'s and `order`'s.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use bytes::Bytes;
use instant_acme::Problem;
use serde::de::DeserializeOwned;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// What came back, with the headers that mean something here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) retry_after: Option<String>,
    pub(super) date: Option<String>,
    pub(super) body: Bytes,
}

/// No answer, or not a whole one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// Why.
    pub(super) detail: String,
    /// The authority's own certificate is not valid by this machine's clock.
    pub(super) clock: bool,
}

impl Lost {
    pub(super) fn new(detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            clock: false,
        }
    }
}

impl Answer {
    pub(super) fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as this message, or the reason why it is none.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.body)
            .map_err(|error| format!("the authority's answer cannot be read ({error})"))
    }

    /// What an answer that is no success says. HTML and the like become a problem that says what came.
    pub(super) fn problem(&self) -> Problem {
        let told: Option<Problem> = serde_json::from_slice(&self.body).ok();
        let told = told.filter(|problem| problem.r#type.is_some() || problem.detail.is_some());
        let mut problem = told.unwrap_or_else(|| Problem {
            r#type: None,
            detail: Some(format!(
                "the authority answered {} without saying why",
                self.status
            )),
            status: None,
            subproblems: Vec::new(),
        });
        problem.status = Some(self.status);
        problem
    }

    /// Whether the authority did nothing but find fault with the nonce.
    pub(super) fn is_bad_nonce(&self) -> bool {
        !self.is_ok() && word(&self.problem()) == "badNonce"
    }

    /// How long the authority asks to wait; takes seconds and HTTP dates (RFC 9110 section 10.2.3).
    pub(super) fn wait(&self, now: OffsetDateTime) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        // By the authority's own clock, if it tells it: ours may be wrong.
        let now = self.date().unwrap_or(now);
        Some(
            (http_date(text)? - now)
                .try_into()
                .unwrap_or(Duration::ZERO),
        )
    }

    /// The authority's clock.
    pub(super) fn date(&self) -> Option<OffsetDateTime> {
        http_date(self.date.as_deref()?)
    }
}

/// A problem's last word: `rateLimited`.
pub(super) fn word(problem: &Problem) -> &str {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    kind.strip_prefix("urn:ietf:params:acme:error:")
        .unwrap_or(kind)
}

/// `type: detail`, with what is said about single names.
pub(super) fn text(problem: &Problem) -> String {
    let mut text = match (&problem.r#type, &problem.detail) {
        (Some(kind), Some(detail)) => format!("{kind}: {detail}"),
        (Some(only), None) | (None, Some(only)) => only.clone(),
        (None, None) => format!("status {}", problem.status.unwrap_or(0)),
    };
    for sub in &problem.subproblems {
        let name = sub.identifier.as_ref().map(|id| id.authorized(false));
        let name = name.map_or_else(String::new, |name| name.to_string());
        let kind = sub.r#type.as_deref().unwrap_or_default();
        let detail = sub.detail.as_deref().unwrap_or_default();
        text.push_str(&format!("; {name}: {kind}: {detail}"));
    }
    text
}

/// RFC 9110 section 5.6.7, the preferred form.
fn http_date(text: &str) -> Option<OffsetDateTime> {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    Some(PrimitiveDateTime::parse(text, format).ok()?.assume_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn with(retry_after: &str, date: Option<&str>) -> Answer {
        Answer {
            retry_after: Some(retry_after.to_owned()),
            date: date.map(str::to_owned),
            ..Answer::default()
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date_by_the_authoritys_clock() {
        let now = datetime!(2026-11-21 07:00:00 UTC);
        assert_eq!(with("120", None).wait(now), Some(Duration::from_secs(120)));
        let date = "Sat, 21 Nov 2026 07:01:00 GMT";
        assert_eq!(with(date, None).wait(now), Some(Duration::from_secs(60)));
        assert_eq!(
            with(date, Some("Sat, 21 Nov 2026 07:00:50 GMT")).wait(now),
            Some(Duration::from_secs(10))
        );
        assert_eq!(
            with("Sat, 21 Nov 2026 06:00:00 GMT", None).wait(now),
            Some(Duration::ZERO)
        );
        assert_eq!(with("soon", None).wait(now), None);
    }

    #[test]
    fn an_answer_without_a_problem_document_says_its_status() {
        let html = Answer {
            status: 503,
            body: Bytes::from_static(b"<html>down</html>"),
            ..Answer::default()
        };
        assert!(text(&html.problem()).contains("503"));
    }
}
