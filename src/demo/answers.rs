//! What the stand-in hub answers at each of its paths.
//!
//! Paths are the same below both prefixes. Invariant: an answer that streams ends by itself (bounded by [`MOST_EVENTS`]
//! and [`LONGEST_WAIT`]), and a body is counted, never kept.

use std::convert::Infallible;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::stream;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};

use crate::demo::websocket;

/// What every answer carries.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

const PAGE: &str = include_str!("page.html");
const PREFIXES: [&str; 2] = ["/jupyterhub", "/binderhub"];
const MOST_EVENTS: u64 = 86_400;
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Between two pieces of a request body.
const BODY_IDLE: Duration = Duration::from_secs(60);

/// Answers one request; `/x` and `/PREFIX/x` are the same.
pub(super) async fn answer(request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let below = PREFIXES
        .iter()
        .find_map(|prefix| {
            path.strip_prefix(prefix)
                .filter(|rest| rest.starts_with('/'))
        })
        .unwrap_or(&path);
    match below {
        "/" => page(request.method()),
        // What the two presets have endpoints checked by.
        "/hub/health" | "/health" => text(StatusCode::OK, "The demo hub is well.\n"),
        "/events" => events(&request),
        "/ws" => websocket::accept(request),
        "/upload" => upload(request).await,
        "/slow" => slow(&request).await,
        // Whatever comes after, so that odd targets can be shown.
        rest if rest == "/echo" || rest.starts_with("/echo/") => echo(request).await,
        _ => text(StatusCode::NOT_FOUND, "The demo hub has nothing here.\n"),
    }
}

/// A short answer in plain text.
pub(super) fn text(status: StatusCode, message: &'static str) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", message.into())
}

fn respond(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body).boxed_unsync());
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn answer_json(value: &Value) -> Response<Body> {
    respond(
        StatusCode::OK,
        "application/json",
        format!("{value:#}\n").into(),
    )
}

fn page(method: &Method) -> Response<Body> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return respond(StatusCode::OK, "text/html; charset=utf-8", PAGE.into());
    }
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Use GET.\n");
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// The request as it arrived here, so that one sees what the edge made of it.
async fn echo(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let fields: Vec<_> = head
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let target = head
        .uri
        .path_and_query()
        .map_or("", |target| target.as_str());
    let counted = count(body).await;
    answer_json(&json!({
        "method": head.method.as_str(),
        "target": target,
        "version": format!("{:?}", head.version),
        "headers": fields,
        "body_bytes": counted.bytes,
        "body_complete": counted.complete,
    }))
}

async fn upload(request: Request<Incoming>) -> Response<Body> {
    let started = Instant::now();
    let counted = count(request.into_body()).await;
    answer_json(&json!({
        "bytes": counted.bytes,
        "complete": counted.complete,
        "seconds": started.elapsed().as_secs_f64(),
    }))
}

struct Counted {
    bytes: u64,
    complete: bool,
}

/// Reads a body to its end, keeping only its length.
async fn count(mut body: Incoming) -> Counted {
    let mut bytes = 0;
    loop {
        match tokio::time::timeout(BODY_IDLE, body.frame()).await {
            Ok(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Ok(None) => {
                return Counted {
                    bytes,
                    complete: true,
                };
            }
            Ok(Some(Err(_))) | Err(_) => {
                return Counted {
                    bytes,
                    complete: false,
                };
            }
        }
    }
}

/// `?s=` seconds, 5 without.
async fn slow(request: &Request<Incoming>) -> Response<Body> {
    let wait = Duration::from_secs(parameter(request, "s").unwrap_or(5)).min(LONGEST_WAIT);
    tokio::time::sleep(wait).await;
    answer_json(&json!({ "waited_seconds": wait.as_secs() }))
}

/// `?n=` events (30 without), one every `?ms=` milliseconds (1000 without); each says when it was sent.
fn events(request: &Request<Incoming>) -> Response<Body> {
    let wanted = parameter(request, "n").unwrap_or(30).min(MOST_EVENTS);
    let pause = parameter(request, "ms").unwrap_or(1000).clamp(1, 60_000);
    let ticks = tokio::time::interval(Duration::from_millis(pause));
    let frames = stream::unfold((1, ticks), move |(number, mut ticks)| async move {
        if number > wanted {
            return None;
        }
        ticks.tick().await;
        let event = format!(
            "id: {number}\ndata: {}\n\n",
            json!({ "n": number, "of": wanted, "sent_ms": now_ms() })
        );
        Some((Ok(Frame::data(Bytes::from(event))), (number + 1, ticks)))
    });
    let mut response = respond(StatusCode::OK, "text/event-stream", Bytes::new());
    *response.body_mut() = StreamBody::new(frames).boxed_unsync();
    response
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since.as_millis() as u64
}

fn parameter(request: &Request<Incoming>, name: &str) -> Option<u64> {
    let query = request.uri().query()?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        .and_then(|value| value.parse().ok())
}
