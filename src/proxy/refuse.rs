//! Answers to what never became a request: heads that cannot be taken, plain HTTP on a port for TLS.
//!
//! Each is counted, logged and remembered like any other answer of our own, and closes its connection.

use http::Version;

use super::answer::{self, Answer};
use super::app::{Facts, Shared};
use super::filter::response::Afterwards;
use super::page::bare;
use super::request_id::RequestId;
use super::trace::Trace;
use super::{date, page, record};
use crate::observe::cause::Cause;
use crate::transport::now;

/// The whole answer for a head that was refused; `detail` says what exactly was wrong.
pub fn unread(shared: &Shared, facts: &Facts, cause: Cause, detail: &str) -> Vec<u8> {
    let mut trace = Trace::begin(now());
    let id = RequestId::next();
    let id = id.as_str();
    let snapshot = shared.snapshot.load();
    let told = page::Facts {
        cause,
        request_id: id,
        launch: false,
        pages: &snapshot.config.error_pages,
    };
    let mut answer = Answer::of_cause(&told, None).with_detail(detail);
    // Nothing is known of the request but for whom its connection was made.
    let host = facts.server_name.as_ref();
    let site = host.and_then(|host| snapshot.router.site(host));
    let strict = snapshot.strict_transport(facts.is_tls, site);
    answer.fields.extend(strict.map(answer::strict));
    if snapshot.pages(site).bare {
        bare::dress(&mut answer, true);
    }
    trace.status = answer.status;
    trace.cause = Some(cause);
    trace.own_body = answer.body.len() as u64;
    record::unread(shared, facts, &trace, id);
    let mut wire = Vec::with_capacity(1024);
    let framing = answer.framing(Version::HTTP_11);
    answer.write_head(
        &date::at(trace.started),
        framing,
        Afterwards::Close,
        &mut wire,
    );
    wire.extend_from_slice(&answer.body);
    wire
}

/// The whole answer for a client that spoke plain HTTP to a port for TLS.
pub fn plain_on_tls(shared: &Shared, facts: &Facts) -> Vec<u8> {
    unread(
        shared,
        facts,
        Cause::PlainOnTls,
        "This port speaks TLS: use https://",
    )
}
