//! Answers to what never became a request: heads that cannot be taken, plain HTTP on a port for TLS.
//!
//! Each is counted, logged and remembered like any other answer of our own, and closes its connection.

use http::Version;
use pingora::http::RequestHeader;

use super::answer::{self, Answer};
use super::app::{App, Facts, Shared};
use super::checks::{self, Checked};
use super::client::Client;
use super::filter::response::Afterwards;
use super::page::bare;
use super::request_id::RequestId;
use super::tell::status_of;
use super::trace::Trace;
use super::values::host_of;
use super::{date, heads, page, record};
use crate::observe::cause::Cause;
use crate::snapshot::Snapshot;
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
    let named = host.and_then(|host| snapshot.router.site(host));
    let site = snapshot.own_site(facts.arrival(), host).or(named);
    trace.site = site;
    if snapshot.pages(site).bare {
        answer.status = status_of(cause, true);
        bare::dress(&mut answer, true);
    }
    if let Ok(head) = RequestHeader::build("GET", b"/", None) {
        let nothing = (&head, &b""[..]);
        heads::add_to(&mut answer, (facts, &snapshot), nothing, (&trace, id));
    }
    let strict = snapshot.strict_transport(facts.is_tls, site);
    answer.fields.extend(strict.map(answer::strict));
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

impl App {
    /// What a request asks for, and for whom, if it can be one.
    pub(super) fn check(&self, snapshot: &Snapshot, client: &Client) -> Result<Checked, Cause> {
        if self.facts.plain_on_tls {
            return Err(Cause::PlainOnTls);
        }
        self.check_head(snapshot, client)
    }

    /// As that, however it came.
    pub(super) fn check_head(
        &self,
        snapshot: &Snapshot,
        client: &Client,
    ) -> Result<Checked, Cause> {
        // On HTTP/1 the gate has counted already.
        if client.is_h2() && client.head().headers.len() > snapshot.config.limits.head_fields {
            return Err(Cause::HeadTooManyFields);
        }
        let lenient = snapshot.config.limits.lenient_hosts;
        checks::check(
            client.head(),
            client.target(),
            self.facts.server_name.as_ref(),
            lenient,
        )
    }

    /// Whose answer a request gets that is none, at an address with sites of its own: that of the host it names where all but
    /// its method is right, else the handshake's or the default there.
    #[cold]
    pub(super) fn site_of_refused(
        &self,
        snapshot: &Snapshot,
        client: &Client,
        cause: Cause,
    ) -> Option<usize> {
        let named = host_of(client.head()).filter(|_| cause == Cause::MethodRefused);
        let named = named.map(|authority| authority.host);
        let host = named.as_ref().or(self.facts.server_name.as_ref());
        snapshot.own_site(self.facts.arrival(), host)
    }
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
