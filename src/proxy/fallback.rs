//! Hands a challenge token that is not ours to the upstream that may know it: the cluster's cert-manager.
//!
//! One fresh connection, GET or HEAD, path and `Host` untouched, five seconds in all, an answer of at most 4 KiB
//! (a key authorization has about 90 bytes). Its status and `Location` pass as they are. Also in order here: every
//! endpoint is tried while time lasts.

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderValue};
use pingora::http::RequestHeader;
use pingora::protocols::http::v1::client::HttpSession as UpstreamSession;
use tokio::time::{Instant, timeout_at};

use super::answer::Answer;
use super::checks::Checked;
use super::trace::Trace;
use crate::observe::cause::Cause;
use crate::transport::{EngineStream, Link};
use crate::upstream::connect::connect;
use crate::upstream::group::Group;

/// For everything: connecting, asking, reading.
const TOTAL: Duration = Duration::from_secs(5);
/// To connect to one endpoint.
const CONNECT: Duration = Duration::from_secs(2);
/// The largest answer.
const LARGEST: usize = 4096;

/// Asks `group` for the challenge at the request's target. A failure is an answer too: 502 with its cause.
pub async fn ask(
    group: &Arc<Group>,
    head: &RequestHeader,
    checked: &Checked,
    trace: &mut Trace,
) -> Result<Answer, Cause> {
    trace.upstream = Some(group.name().clone());
    let until = Instant::now() + TOTAL;
    let mut tried = Vec::new();
    while let Some(endpoint) = group.next(&tried, Instant::now().into_std()) {
        trace.endpoint = Some(endpoint.address);
        tried.push(endpoint.address);
        let asked = async {
            let link = connect(endpoint.address, CONNECT).await.ok()?;
            exchange(link, head, checked).await
        };
        match timeout_at(until, asked).await {
            Ok(Some(answer)) => {
                trace.tally.upstream_status = Some(answer.status);
                return Ok(answer);
            }
            Ok(None) => group.failed(endpoint, Instant::now().into_std()),
            Err(_) => break,
        }
    }
    Err(Cause::ChallengeFallbackFailed)
}

async fn exchange(link: Arc<Link>, head: &RequestHeader, checked: &Checked) -> Option<Answer> {
    let mut ask =
        Box::new(RequestHeader::build(head.method.clone(), &checked.target, Some(4)).ok()?);
    ask.insert_header(header::HOST, checked.host_value.clone())
        .ok()?;
    ask.insert_header(header::CONNECTION, HeaderValue::from_static("close"))
        .ok()?;
    for name in [header::USER_AGENT, header::ACCEPT] {
        if let Some(value) = head.headers.get(&name) {
            ask.insert_header(name, value.clone()).ok()?;
        }
    }
    let mut session = UpstreamSession::new(Box::new(EngineStream::new(link.clone(), None, false)));
    session.write_request_header(ask).await.ok()?;
    session.finish_body().await.ok()?;
    std::future::poll_fn(|cx| link.poll_drain(cx)).await.ok()?;
    loop {
        session.read_response().await.ok()?;
        if !session.get_status()?.is_informational() {
            break;
        }
    }
    let mut body = Vec::new();
    while let Some(piece) = session.read_body_ref().await.ok()? {
        body.extend_from_slice(piece);
        if body.len() > LARGEST {
            return None;
        }
    }
    let response = session.resp_header()?;
    let mut answer = Answer::text(response.status.as_u16(), body, None);
    for name in [header::CONTENT_TYPE, header::LOCATION] {
        if let Some(value) = response.headers.get(&name) {
            answer.fields.retain(|(own, _)| *own != name);
            answer.fields.push((name, value.clone()));
        }
    }
    Some(answer)
}
