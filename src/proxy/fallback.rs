//! Hands a challenge token that is not ours to the upstream that may know it: the cluster's cert-manager.
//!
//! One fresh connection, GET or HEAD, path and `Host` untouched, five seconds in all, an answer of at most 4 KiB
//! (a key authorization has about 90 bytes). Its status and `Location` pass as they are. Also in order here: every
//! endpoint is tried while time lasts.

use std::future::poll_fn;
use std::sync::Arc;
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
use crate::observe::cause::Cause;
use crate::upstream::connect::connect;
use crate::upstream::group::Group;
use crate::upstream::http1::{BodyProgress, Connection, Request, RequestBody};

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
            let upstream = connect(endpoint.address, CONNECT).await.ok()?;
            exchange(upstream, head, checked).await
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

async fn exchange(
    mut upstream: Box<Connection>,
    head: &RequestHeader,
    checked: &Checked,
) -> Option<Answer> {
    let wire = upstream.begin(Request {
        body: RequestBody::None,
        is_head: head.method == Method::HEAD,
        upgrade: false,
    });
    write_head(head, checked, wire);
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

fn write_head(head: &RequestHeader, checked: &Checked, wire: &mut Vec<u8>) {
    wire.extend_from_slice(head.method.as_str().as_bytes());
    wire.push(b' ');
    wire.extend_from_slice(&checked.target);
    wire.extend_from_slice(b" HTTP/1.1\r\n");
    field(wire, b"Host", checked.host_value.as_bytes());
    field(wire, b"Connection", b"close");
    for name in [header::USER_AGENT, header::ACCEPT] {
        if let Some(value) = head.headers.get(&name) {
            field(wire, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    wire.extend_from_slice(b"\r\n");
}
