//! What clients get at the site or the route that their request came to: how long they are waited for, and whether their
//! connection is kept.
//!
//! Asked only where some site or route says anything of it. Invariant: a connection that was not to be kept is not kept
//! because the request went elsewhere.

use std::sync::Arc;

use http::header::{EXPECT, USER_AGENT};
use http::{Method, Version};
use pingora::http::RequestHeader;

use super::app::App;
use super::client::Client;
use super::trace::Trace;
use crate::config::{ClientTerms, OldBrowser};
use crate::observe::cause::Cause;
use crate::snapshot::Snapshot;
use crate::transport::now;

impl App {
    /// Has the connection kept, or not, as is said where the request has come to.
    #[cold]
    pub(super) fn agree(&self, snapshot: &Snapshot, client: &mut Client, trace: &Trace) {
        let terms = snapshot.terms(trace.site, trace.route);
        let age = || now().saturating_duration_since(self.facts.began);
        let ends = terms.is_some_and(|terms| {
            terms.times.keep_alive.is_zero()
                || terms
                    .requests
                    .is_some_and(|most| self.link.requests() >= most)
                || terms.age.is_some_and(|most| age() > most)
        });
        let (session, link, agreed) = match client {
            Client::H1 {
                session,
                link,
                terms,
                ..
            } => (session, link, terms),
            Client::H2(stream) => {
                if ends {
                    stream.be_last();
                }
                return;
            }
        };
        let Some(terms) = terms else {
            link.keep_alive(snapshot.config.timeouts.keep_alive);
            *agreed = None;
            return;
        };
        if ends || is_not_kept(terms, session.req_header()) {
            session.set_server_keepalive(None);
        }
        link.keep_alive(terms.times.keep_alive);
        *agreed = Some(Arc::clone(terms));
    }
}

fn is_not_kept(terms: &ClientTerms, head: &RequestHeader) -> bool {
    let Some(agent) = head.headers.get(USER_AGENT).map(|agent| agent.as_bytes()) else {
        return false;
    };
    terms.not_kept.iter().any(|browser| match browser {
        OldBrowser::Msie6 => head.method == Method::POST && is_msie6(agent),
        OldBrowser::Safari => is_safari(agent),
    })
}

/// Internet Explorer up to 6, without its second service pack.
fn is_msie6(agent: &[u8]) -> bool {
    let Some(at) = memchr::memmem::find(agent, b"MSIE ") else {
        return false;
    };
    match &agent[at + 5..] {
        [b'4' | b'5', b'.', ..] => true,
        [b'6', b'.', rest @ ..] => memchr::memmem::find(rest, b"SV1").is_none(),
        _ => false,
    }
}

fn is_safari(agent: &[u8]) -> bool {
    let has = |word: &[u8]| memchr::memmem::find(agent, word).is_some();
    has(b"Mac OS X") && has(b"Safari/") && !has(b"Chrome/")
}

impl Client {
    /// Resets the connection of a client that was too slow, where that is said of it. Says whether it was.
    pub(super) fn resets(&mut self, cause: Cause) -> bool {
        let slow = matches!(cause, Cause::ClientStalled | Cause::BodyTimeout);
        let Self::H1 {
            link,
            terms: Some(terms),
            ..
        } = self
        else {
            return false;
        };
        let resets = terms.reset && slow;
        if resets {
            link.abort();
        }
        resets
    }

    /// Whether the connection goes on after this request, as far as is known; on HTTP/2 that is not a request's affair.
    pub fn will_keepalive(&self) -> bool {
        match self {
            Self::H1 { session, .. } => session.will_keepalive(),
            Self::H2(_) => false,
        }
    }

    /// Whether this is a stream after which its connection is wound up.
    pub(super) fn is_last(&self) -> bool {
        matches!(self, Self::H2(stream) if stream.is_last())
    }

    /// Tells a client of HTTP/1.1 that waits for it to send its body, which is going to be read after an answer.
    pub(super) fn continues(&mut self, status: u16) {
        let Self::H1 {
            session,
            link,
            given,
            ..
        } = self
        else {
            return;
        };
        let head = session.req_header();
        let waits = head.headers.contains_key(EXPECT) && head.version == Version::HTTP_11;
        if waits && leaves_body(status) && session.will_keepalive() && !session.is_body_done() {
            *given = true;
            link.append(|wire| wire.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n"));
        }
    }
}

/// Whether what is still to come of a request's body is read after an answer of hubgate's own, so that the connection can
/// go on. Not where the request itself is what is wrong.
pub(super) fn leaves_body(status: u16) -> bool {
    !matches!(status, 400 | 413 | 414 | 494..=497 | 500 | 501)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_browsers_are_told_from_those_that_say_so_of_themselves() {
        assert!(is_msie6(b"Mozilla/4.0 (compatible; MSIE 5.0; Windows 98)"));
        assert!(is_msie6(b"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT)"));
        assert!(!is_msie6(b"Mozilla/4.0 (compatible; MSIE 6.0; SV1)"));
        assert!(!is_msie6(b"Mozilla/4.0 (compatible; MSIE 7.0)"));
        assert!(!is_msie6(b"MSIE "));
        assert!(is_safari(b"(Macintosh; Mac OS X) Safari/7534.48.3"));
        assert!(!is_safari(b"(Macintosh; Mac OS X) Chrome/1 Safari/1"));
        assert!(!is_safari(b"curl/8"));
    }
}
