//! Hands a challenge token that is not ours to the upstream that may know it: the cluster's cert-manager.
//!
//! One fresh connection, GET or HEAD, path and `Host` untouched, five seconds in all, an answer of at most 4 KiB
//! (a key authorization has about 90 bytes). Its status and `Location` pass as they are. Also in order here: every
//! endpoint is tried while time lasts. A field with a random mark goes along, so that a fallback that leads back here ends
//! with its second request. An answer that shows the cluster ordering for a host that is ours too is warned about.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use http::header::{self, HeaderName, HeaderValue};
use pingora::http::RequestHeader;
use tokio::io::ReadBuf;
use tokio::time::{Instant, timeout_at};

use super::answer::Answer;
use super::checks::Checked;
use super::filter::request::field;
use super::trace::Trace;
use crate::acme::token_of;
use crate::limits::challenges::ChallengeLimit;
use crate::observe::cause::Cause;
use crate::router::target;
use crate::types::host::Host;
use crate::upstream::Keys;
use crate::upstream::connect::ConnectLimits;
use crate::upstream::endpoint::Outcome;
use crate::upstream::group::Group;
use crate::upstream::http1::{BodyProgress, Connection, Request, RequestBody};

/// For everything: connecting, asking, reading.
const TOTAL: Duration = Duration::from_secs(5);
/// To connect to one endpoint.
const CONNECT: ConnectLimits = ConnectLimits {
    tcp: Duration::from_secs(2),
    tls: Duration::from_secs(2),
};
/// The largest answer.
const LARGEST: usize = 4096;
/// The field with our mark.
const MARK: &str = "x-hubgate-challenge";
const DAY: Duration = Duration::from_secs(86_400);
/// As long as a host is told of as ordered twice: renewals come every few weeks.
const DOUBLE: Duration = Duration::from_secs(70 * 86_400);
const DOUBLES: usize = 1024;

/// What is kept of the tokens handed on, by all workers.
#[derive(Debug)]
pub struct HandedOn {
    limit: ChallengeLimit,
    /// Tells our own requests from others'.
    mark: String,
    /// Hosts that the cluster orders for as well, and when that was seen last.
    doubles: Mutex<HashMap<Host, Instant>>,
    /// What came back, by status.
    answers: Mutex<BTreeMap<u16, u64>>,
}

impl Default for HandedOn {
    fn default() -> Self {
        Self {
            limit: ChallengeLimit::default(),
            mark: std::iter::repeat_with(fastrand::alphanumeric)
                .take(16)
                .collect(),
            doubles: Mutex::default(),
            answers: Mutex::default(),
        }
    }
}

impl HandedOn {
    /// How often each status came back from a fallback.
    pub fn answers(&self) -> BTreeMap<u16, u64> {
        let answers = self.answers.lock();
        answers.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, status: u16) {
        let answers = self.answers.lock();
        let mut answers = answers.unwrap_or_else(PoisonError::into_inner);
        *answers.entry(status).or_default() += 1;
    }

    /// Whether the cluster was seen ordering for this host, which is ours too, within [`DOUBLE`].
    pub fn is_double(&self, host: &Host) -> bool {
        let doubles = self.doubles.lock().unwrap_or_else(PoisonError::into_inner);
        doubles
            .get(host)
            .is_some_and(|seen| seen.elapsed() < DOUBLE)
    }

    /// Warns once a day and host.
    fn double(&self, host: &Host) {
        let mut doubles = self.doubles.lock().unwrap_or_else(PoisonError::into_inner);
        let known = doubles.get(host).is_some_and(|seen| seen.elapsed() < DAY);
        if doubles.len() >= DOUBLES && !known {
            doubles.retain(|_, seen| seen.elapsed() < DAY);
        }
        if !known && doubles.len() < DOUBLES {
            doubles.insert(host.clone(), Instant::now());
            tracing::warn!(event = "acme.double", %host, "hubgate and the cluster behind it both order certificates for this host; together they may use up the authority's limit of 5 a week for the same names. Either remove the host from the cluster's Ingress `tls` or Certificate, or give the site `certificate = {{ chain, key }}` or `\"none\"`");
        }
    }
}

/// Who asks, and for what kind of site.
#[derive(Debug)]
pub struct Asking<'a> {
    /// The limits.
    pub handed_on: &'a HandedOn,
    /// The client.
    pub client: IpAddr,
    /// Whether certificates for the host are ordered here too.
    pub also_ours: bool,
}

/// Asks `group` for the challenge at the request's target. A failure is an answer too: 502 with its cause.
pub async fn ask(
    group: &Arc<Group>,
    asking: Asking<'_>,
    head: &RequestHeader,
    checked: &Checked,
    trace: &mut Trace,
) -> Result<Answer, Cause> {
    trace.upstream = Some(group.name().clone());
    let mark = asking.handed_on.mark.as_str();
    let marks = head.headers.get_all(MARK);
    if marks.iter().any(|value| value == mark) {
        let host = &checked.authority.host;
        tracing::warn!(event = "acme.challenge.loop", %host, upstream = %group.name(), "the challenge fallback leads back to hubgate; name the cluster's own address as its endpoint");
        return Err(Cause::ChallengeFallbackFailed);
    }
    let admitted = asking
        .handed_on
        .limit
        .admit(asking.client, Instant::now().into_std());
    let Some(_permit) = admitted else {
        return Err(Cause::ChallengeLimited);
    };
    let until = Instant::now() + TOTAL;
    let mut tried = Vec::new();
    while let Some(endpoint) = group.choose(&Keys::default(), &tried, Instant::now().into_std()) {
        trace.try_begins(endpoint.address, Instant::now().into_std());
        tried.push(endpoint.address);
        let asked = async {
            let line = group.connector.line(endpoint.address);
            let connecting = group.connector.connect(line, CONNECT);
            let Ok(upstream) = connecting.await else {
                endpoint.report(Outcome::ConnectFailed, Instant::now().into_std());
                return None;
            };
            exchange(upstream, mark, head, checked).await
        };
        match timeout_at(until, asked).await {
            Ok(Some(answer)) => {
                trace.tally.upstream_status = Some(answer.status);
                asking.handed_on.count(answer.status);
                if asking.also_ours && is_key_authorization(&answer, checked) {
                    asking.handed_on.double(&checked.authority.host);
                }
                return Ok(answer);
            }
            Ok(None) => {
                let failed = Some(Cause::ChallengeFallbackFailed);
                trace.try_failed(failed, Instant::now().into_std());
            }
            Err(_) => break,
        }
    }
    Err(Cause::ChallengeFallbackFailed)
}

async fn exchange(
    mut upstream: Box<Connection>,
    mark: &str,
    head: &RequestHeader,
    checked: &Checked,
) -> Option<Answer> {
    let wire = upstream.begin(Request {
        body: RequestBody::None,
        is_head: head.method == Method::HEAD,
        upgrade: false,
    });
    write_head(mark, head, checked, wire);
    poll_fn(|cx| upstream.poll_drain(cx)).await.ok()?;
    loop {
        poll_fn(|cx| upstream.poll_head(cx)).await.ok()?;
        if !upstream.head().status().is_informational() {
            break;
        }
    }
    let response = upstream.head();
    let mut answer = Answer::text(response.status().as_u16(), Vec::new(), None);
    for field in response.fields() {
        let name = HeaderName::from_bytes(field.name).ok()?;
        if [header::CONTENT_TYPE, header::LOCATION].contains(&name) {
            answer.fields.retain(|(own, _)| *own != name);
            let value = HeaderValue::from_bytes(field.value).ok()?;
            answer.fields.push((name, value));
        }
    }
    let mut scratch = [0; LARGEST];
    let mut progress = upstream
        .take_early_body(|piece| answer.body.extend_from_slice(piece))
        .ok()?;
    while progress == BodyProgress::Partial && answer.body.len() <= LARGEST {
        let mut scratch = ReadBuf::new(&mut scratch);
        poll_fn(|cx| upstream.poll_read(cx, &mut scratch))
            .await
            .ok()?;
        progress = upstream
            .take_body(scratch.filled(), |piece| {
                answer.body.extend_from_slice(piece)
            })
            .ok()?;
    }
    (answer.body.len() <= LARGEST).then_some(answer)
}

/// Whether the answer is what an authority wants to see for the token that was asked for (RFC 8555 section 8.1).
fn is_key_authorization(answer: &Answer, checked: &Checked) -> bool {
    let (path, _) = target::path_of(&checked.target);
    let Some(token) = token_of(path).filter(|_| answer.status == 200) else {
        return false;
    };
    let body = answer.body.trim_ascii();
    body.strip_prefix(token.as_bytes())
        .and_then(|rest| rest.strip_prefix(b"."))
        .is_some_and(|thumbprint| thumbprint.len() == 43)
}

fn write_head(mark: &str, head: &RequestHeader, checked: &Checked, wire: &mut Vec<u8>) {
    wire.extend_from_slice(head.method.as_str().as_bytes());
    wire.push(b' ');
    wire.extend_from_slice(&checked.target);
    wire.extend_from_slice(b" HTTP/1.1\r\n");
    field(wire, b"Host", checked.host_value.as_bytes());
    field(wire, b"Connection", b"close");
    field(wire, MARK.as_bytes(), mark.as_bytes());
    for name in [header::USER_AGENT, header::ACCEPT] {
        if let Some(value) = head.headers.get(&name) {
            field(wire, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    wire.extend_from_slice(b"\r\n");
}
