//! What an exchange says of its endpoint, and what of its answer outlives it.
//!
//! Pure. Whether another endpoint is asked is `forward`'s to decide.
#![deny(clippy::disallowed_methods)]

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};

use super::trace::Trace;
use crate::observe::cause::Cause;
use crate::upstream::endpoint::Outcome;
use crate::upstream::http1::ResponseHead;

/// What an answer in the place of a 401 still has to say.
pub(super) fn asks_who(head: &ResponseHead<'_>) -> Option<HeaderValue> {
    let asked = head.status() == StatusCode::UNAUTHORIZED;
    let mut fields = head.fields().filter(|_| asked);
    let name = WWW_AUTHENTICATE.as_str().as_bytes();
    let found = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
    HeaderValue::from_bytes(found.value).ok()
}

/// What the endpoint did in an exchange that went well.
pub(super) fn answered(trace: &Trace) -> Outcome {
    Outcome::Answered {
        status: trace.tally.upstream_status.unwrap_or(0),
        latency: trace.response_time().unwrap_or_default(),
    }
}

/// What the endpoint did when an exchange failed for this cause; `None` when it was not its doing.
pub(super) fn blamed(cause: Cause) -> Option<Outcome> {
    match cause {
        Cause::UpstreamClosed
        | Cause::UpstreamTruncated
        | Cause::UpstreamReset
        | Cause::UpstreamSend => Some(Outcome::Reset),
        Cause::UpstreamResponseTimeout | Cause::UpstreamIdle => Some(Outcome::TimedOut),
        Cause::UpstreamMalformed => Some(Outcome::Malformed),
        _ => None,
    }
}
