//! How the body of a response goes on and ends, and how it changes on its way where it does.
//!
//! Few responses have a [`Recoder`]; the others are not slowed down by it. What the upstream sends is read no faster than
//! the client takes what becomes of it. Invariant: a body that cannot be changed is cut off, never ended.

use std::task::Context;

use super::{Downlink, Exchange, Failure, failure};
use crate::observe::cause::Cause;
use crate::proxy::filter::trailers::{allowed, passing};
use crate::proxy::mirror::Feed;
use crate::proxy::recode::RecodeError;
use crate::upstream::http1::{BodyError, BodyProgress};
use crate::upstream::peer::Peer;

impl<'a> Exchange<'a> {
    /// Gives the request's body to these as well.
    pub(in crate::proxy) fn mirror_to(&mut self, mirror: Option<&'a Feed>) {
        self.mirror = mirror;
    }
}

impl Exchange<'_> {
    /// Takes note of how far the body has come.
    pub(super) fn body_moved(
        &mut self,
        progress: Result<BodyProgress, BodyError>,
    ) -> Result<(), Failure> {
        match progress {
            Ok(BodyProgress::Partial) => Ok(()),
            Ok(BodyProgress::Complete) => {
                match &mut self.recoder {
                    Some(recoder) => recoder.end(),
                    None => self.completes(),
                }
                Ok(())
            }
            Err(_) => Err(failure(Cause::UpstreamTruncated)),
        }
    }

    /// Says that the client has all of the response.
    fn completes(&mut self) {
        self.downlink = Downlink::Complete;
        let trailers = match &self.upstream {
            Peer::H1(h1) => allowed(h1.trailers()),
            Peer::H2(h2) => passing(h2.trailers()),
        };
        self.client.finish(trailers);
    }

    /// Whether there is something to give before more is read.
    pub(super) fn has_recoded(&self) -> bool {
        let recoder = self.recoder.as_ref();
        recoder.is_some_and(|recoder| recoder.has_more())
    }

    /// Gives the client what has become of what came, or of a part of it.
    pub(super) fn give_recoded(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let Some(recoder) = &mut self.recoder else {
            return Ok(false);
        };
        let made = recoder.make().map_err(|error| recode_failure(&error))?;
        self.tally.body_sent += made.len() as u64;
        let given = self.client.send_body(made, cx);
        given.map_err(|_| failure(Cause::ClientGone))?;
        if recoder.is_done() {
            self.tally.squeezed = recoder.squeezed();
            self.completes();
        }
        Ok(true)
    }

    /// Has the client read all that came, while the upstream says nothing. Nothing has moved by that.
    pub(super) fn give_paused(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let Some(recoder) = &mut self.recoder else {
            return Ok(false);
        };
        let made = recoder.pause().map_err(|error| recode_failure(&error))?;
        self.tally.body_sent += made.len() as u64;
        let given = self.client.send_body(made, cx);
        given.map_err(|_| failure(Cause::ClientGone))?;
        Ok(false)
    }

    /// Ends the body where it is.
    pub(super) fn ends_recoded(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let Some(recoder) = &mut self.recoder else {
            return Ok(());
        };
        recoder.end();
        while recoder.has_more() {
            let made = recoder.make().map_err(|error| recode_failure(&error))?;
            self.tally.body_sent += made.len() as u64;
            let given = self.client.send_body(made, cx);
            given.map_err(|_| failure(Cause::ClientGone))?;
        }
        Ok(())
    }
}

fn recode_failure(error: &RecodeError) -> Failure {
    tracing::error!(
        event = "recode.failed",
        error = error as &dyn std::error::Error,
        "an answer cannot be changed"
    );
    failure(match error {
        RecodeError::NotGzip(_) | RecodeError::CutShort => Cause::UpstreamMalformed,
        RecodeError::Compress(_) => Cause::Internal,
    })
}
