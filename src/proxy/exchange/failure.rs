//! How an exchange fails: its cause, and what there is to know for trying the request again.
//!
//! Whether it is tried again is `forward`'s.

use super::{Exchange, Undelivered, Uplink};
use crate::config::Retryable;
use crate::observe::cause::Cause;
use crate::upstream::http1::HeadError;
use crate::upstream::peer::Peer;

/// How an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// In what way, when nothing was answered; `None` when another try is out of the question.
    pub fault: Option<Retryable>,
    /// Whether nothing at all came.
    pub silent: bool,
    /// Whether the endpoint said that it has not looked at the request, which is no fault of it.
    pub unprocessed: bool,
}

pub(super) fn failure(cause: Cause) -> Failure {
    Failure {
        cause,
        fault: None,
        silent: false,
        unprocessed: false,
    }
}

impl Exchange<'_> {
    pub(super) fn head_failure(&mut self, error: &HeadError) -> Failure {
        match error {
            HeadError::NoForm => failure(Cause::HeadMalformed),
            HeadError::Unprocessed(_) => self.unprocessed(),
            HeadError::Malformed(_) | HeadError::TooLarge | HeadError::Http2(_) => Failure {
                fault: (!self.informed).then_some(Retryable::Reset),
                ..failure(Cause::UpstreamMalformed)
            },
            HeadError::Closed(_) => self.unanswered(
                if self.uplink == Uplink::Dead {
                    Cause::UpstreamSend
                } else {
                    Cause::UpstreamClosed
                },
                Retryable::Reset,
            ),
        }
    }

    /// The endpoint says that it has not looked at the request.
    pub(super) fn unprocessed(&mut self) -> Failure {
        if let Peer::H2(h2) = &mut self.upstream {
            let request = h2.take_request();
            self.undelivered = request.map(|(wire, body, complete)| Undelivered {
                wire,
                body,
                complete,
            });
        }
        Failure {
            cause: Cause::UpstreamClosed,
            fault: Some(Retryable::Reset),
            silent: true,
            unprocessed: true,
        }
    }

    /// A failure that another try may mend if nothing came.
    pub(super) fn unanswered(&self, cause: Cause, fault: Retryable) -> Failure {
        let silent = self.upstream.counts().0 == self.received_before;
        Failure {
            fault: silent.then_some(fault),
            silent,
            ..failure(cause)
        }
    }

    pub(super) fn declined(&mut self, status: u16) -> Failure {
        self.tally.upstream_status = Some(status);
        Failure {
            fault: Some(Retryable::of_status(status).unwrap_or(Retryable::Unavailable)),
            ..failure(Cause::UpstreamDown)
        }
    }

    pub(super) fn timed_out(&self, cause: Cause) -> Failure {
        match cause {
            Cause::UpstreamResponseTimeout => self.unanswered(cause, Retryable::Timeout),
            other => failure(other),
        }
    }
}
