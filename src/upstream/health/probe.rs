//! One check of one endpoint: connects as requests do, asks what the check says, and judges the answer.
//!
//! A connection of its own, closed after. Everything within the check's `timeout`; of an answer's body no more than
//! [`MOST_BODY`] is read.

use std::future::poll_fn;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::ReadBuf;

use super::said::said;
use super::{Check, grpc};
use crate::config::{CheckKind, GrpcCheck, Health, HttpCheck};
use crate::observe::reasons::with_reasons;
use crate::types::amount::format_duration;
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::connect::{ConnectLimits, Connector};
use crate::upstream::endpoint::Reason;
use crate::upstream::http1::{BodyProgress, Connection, Request, RequestBody};
use crate::upstream::http2::{self, Stream};
use crate::upstream::peer::Peer;

/// What gRPC's health checks ask for.
pub use super::grpc::PATH as GRPC_PATH;

/// As much of a body is looked through.
const MOST_BODY: usize = 64 * 1024;

/// Makes the check.
pub async fn probe(check: &Check) -> Result<(), Reason> {
    let seen = ask(
        &check.group.connector,
        &check.health,
        check.endpoint.address,
    )
    .await;
    seen.map_err(|seen| Reason::Check(seen.into()))
}

/// Asks `endpoint` what `health` says, by `connector`. Fails with what is wrong, in words.
pub async fn ask(
    connector: &Connector,
    health: &Health,
    endpoint: EndpointAddress,
) -> Result<(), String> {
    let limit = health.timeout;
    let late = || format!("no answer within {}", format_duration(limit));
    let asked = tokio::time::timeout(limit, asked(connector, health, endpoint)).await;
    asked.unwrap_or_else(|_| Err(late()))
}

async fn asked(
    connector: &Connector,
    health: &Health,
    endpoint: EndpointAddress,
) -> Result<(), String> {
    let address = health.port.map_or(endpoint, |port| endpoint.at_port(port));
    let limits = ConnectLimits {
        tcp: health.timeout,
        tls: health.timeout,
    };
    match &health.kind {
        CheckKind::Tcp => {
            let connected = connector.try_out(address, limits).await;
            connected.map_err(|error| with_reasons(&error))
        }
        CheckKind::Http(http) => {
            let peer = match connector.http2 {
                false => connector
                    .connect(connector.line(address), limits)
                    .await
                    .map(Peer::H1),
                true => http2::alone(connector, address, limits).await.map(Peer::H2),
            };
            let peer = peer.map_err(|error| with_reasons(&error))?;
            let (status, body) = get(peer, http, address).await?;
            judge(http, status, &body)
        }
        CheckKind::Grpc(check) => {
            let stream = http2::alone(connector, address, limits).await;
            let stream = stream.map_err(|error| with_reasons(&error))?;
            ask_grpc(stream, check, address, limits.tcp).await
        }
    }
}

async fn get(
    mut peer: Peer,
    check: &HttpCheck,
    address: EndpointAddress,
) -> Result<(u16, Vec<u8>), String> {
    let request = Request {
        body: RequestBody::None,
        is_head: false,
        upgrade: false,
    };
    let wire = match &mut peer {
        Peer::H1(h1) => h1.begin(request),
        Peer::H2(h2) => h2.begin(request, false),
    };
    let host = match &check.host {
        Some(host) => host.to_string(),
        None => address.host(),
    };
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: hubgate/{} (health check)\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        check.path,
        env!("CARGO_PKG_VERSION"),
    );
    wire.extend_from_slice(head.as_bytes());
    let sent = poll_fn(|cx| peer.poll_drain(cx)).await;
    sent.map_err(|error| format!("the request was not taken: {error}"))?;
    loop {
        let came = poll_fn(|cx| peer.poll_head(cx)).await;
        came.map_err(|error| with_reasons(&error))?;
        if !peer.head().status().is_informational() {
            break;
        }
    }
    let status = peer.head().status().as_u16();
    let mut body = Vec::new();
    if check.reads_body(status) {
        match &mut peer {
            Peer::H1(h1) => read_body(h1, &mut body).await?,
            Peer::H2(h2) => read_frames(h2, &mut body).await?,
        }
    }
    Ok((status, body))
}

async fn ask_grpc(
    mut stream: Box<Stream>,
    check: &GrpcCheck,
    address: EndpointAddress,
    limit: Duration,
) -> Result<(), String> {
    let request = Request {
        body: RequestBody::Chunked,
        is_head: false,
        upgrade: false,
    };
    let host = check
        .host
        .as_ref()
        .map_or_else(|| address.host(), ToString::to_string);
    // A number of at most eight digits.
    let millis = limit.as_millis().min(99_999_999);
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: hubgate/{} (health check)\r\nContent-Type: application/grpc\r\nGrpc-Timeout: {millis}m\r\n\r\n",
        grpc::PATH,
        env!("CARGO_PKG_VERSION"),
    );
    stream
        .begin(request, true)
        .extend_from_slice(head.as_bytes());
    stream.write_body(grpc::question(&check.service).into());
    stream.finish_body(HeaderMap::new());
    let sent = poll_fn(|cx| stream.poll_drain(cx)).await;
    sent.map_err(|error| format!("the request was not taken: {error}"))?;
    poll_fn(|cx| stream.poll_head(cx))
        .await
        .map_err(|error| with_reasons(&error))?;
    let head = stream.head();
    let status = head.status().as_u16();
    if status != 200 {
        return Err(format!("answered {status}, which is not gRPC"));
    }
    // An answer without a message has its status in the head.
    let mut trailers = HeaderMap::new();
    for field in head.fields() {
        let name = HeaderName::from_bytes(field.name).ok();
        let value = HeaderValue::from_bytes(field.value).ok();
        if let Some((name, value)) = name
            .zip(value)
            .filter(|(name, _)| name.as_str().starts_with("grpc-"))
        {
            trailers.insert(name, value);
        }
    }
    let mut body = Vec::new();
    read_frames(&mut stream, &mut body).await?;
    trailers.extend(stream.trailers().clone());
    grpc::judge(&check.service, &trailers, &body)
}

async fn read_body(connection: &mut Connection, body: &mut Vec<u8>) -> Result<(), String> {
    let broken = |error: &dyn std::error::Error| format!("the answer broke off: {error}");
    let mut scratch = vec![0; 8 * 1024];
    let mut progress = connection
        .take_early_body(|piece| body.extend_from_slice(piece))
        .map_err(|error| broken(&error))?;
    while progress == BodyProgress::Partial && body.len() < MOST_BODY {
        let mut scratch = ReadBuf::new(&mut scratch);
        let read = poll_fn(|cx| connection.poll_read(cx, &mut scratch)).await;
        read.map_err(|error| broken(&error))?;
        progress = connection
            .take_body(scratch.filled(), |piece| body.extend_from_slice(piece))
            .map_err(|error| broken(&error))?;
    }
    body.truncate(MOST_BODY);
    Ok(())
}

async fn read_frames(stream: &mut Stream, body: &mut Vec<u8>) -> Result<(), String> {
    while body.len() < MOST_BODY {
        let piece = poll_fn(|cx| stream.poll_body(cx)).await;
        match piece.map_err(|error| format!("the answer broke off: {error}"))? {
            Some(piece) => body.extend_from_slice(&piece),
            None => break,
        }
    }
    body.truncate(MOST_BODY);
    Ok(())
}

impl HttpCheck {
    /// Whether the answer's body tells more than the status: it may hold what is wrong, or what must be in it.
    fn reads_body(&self, status: u16) -> bool {
        !self.expects(status) || self.body.is_some() || self.speaks.is_some()
    }
}

/// Whether an answer passes the check; else what it says.
fn judge(check: &HttpCheck, status: u16, body: &[u8]) -> Result<(), String> {
    let said = said(body);
    if !check.expects(status) {
        return Err(match said {
            Some(said) => format!("answered {status}: {said}"),
            None => format!("answered {status}"),
        });
    }
    if let Some(said) = said.filter(|_| check.speaks.is_some()) {
        return Err(format!("answered {status}, but says: {said}"));
    }
    match &check.body {
        Some(wanted) if memchr::memmem::find(body, wanted.as_bytes()).is_none() => {
            Err(format!("answered {status} without `{wanted}`"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    fn check(body: Option<&str>, speaks: Option<Preset>) -> HttpCheck {
        HttpCheck {
            path: "/".into(),
            host: None,
            expect: vec![(200, 299)],
            body: body.map(Into::into),
            speaks,
        }
    }

    const SICK: &[u8] =
        br#"{"ok": false, "checks": [{"service": "JupyterHub API", "ok": false}, {"service": "Docker registry", "ok": true}]}"#;

    #[test]
    fn a_status_and_a_part_of_the_body_are_expected() {
        assert_eq!(judge(&check(None, None), 204, b""), Ok(()));
        assert_eq!(
            judge(&check(Some("well"), None), 200, b"all is well"),
            Ok(())
        );
        let missing = judge(&check(Some("well"), None), 200, b"hm");
        assert_eq!(missing, Err("answered 200 without `well`".to_owned()));
        assert_eq!(
            judge(&check(None, None), 404, b"no"),
            Err("answered 404".to_owned())
        );
    }

    #[test]
    fn what_binderhub_says_is_the_reason() {
        let binder = check(None, Some(Preset::BinderHub));
        let sick = judge(&binder, 503, SICK);
        assert_eq!(
            sick,
            Err("answered 503: JupyterHub API is not ok".to_owned())
        );
        assert!(judge(&binder, 200, SICK).is_err());
        assert_eq!(judge(&check(None, None), 200, SICK), Ok(()));
        assert_eq!(
            judge(&binder, 200, br#"{"ok": true, "checks": []}"#),
            Ok(())
        );
    }
}
