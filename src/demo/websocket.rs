//! The stand-in hub's WebSocket (RFC 6455): what comes in goes out again, messages of up to 64 MiB.
//!
//! Takes the first subprotocol the client offers, as Jupyter Server does with its own, so that one sees it cross the
//! edge. Invariant: a socket that says nothing for [`IDLE`] is closed.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::demo::answers::{Body, text};

const IDLE: Duration = Duration::from_secs(3600);
const LARGEST_MESSAGE: usize = 64 << 20;

/// Answers a handshake with 101 and echoes from then on; anything else gets 426.
pub(super) fn accept(mut request: Request<Incoming>) -> Response<Body> {
    let fields = request.headers();
    let Some(key) = fields
        .get(SEC_WEBSOCKET_KEY)
        .filter(|_| asks_for_websocket(fields))
    else {
        let mut response = text(
            StatusCode::UPGRADE_REQUIRED,
            "This path speaks WebSocket.\n",
        );
        let fields = response.headers_mut();
        fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
        fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        return response;
    };
    let Ok(accept) = HeaderValue::try_from(derive_accept_key(key.as_bytes())) else {
        return text(StatusCode::BAD_REQUEST, "The WebSocket key is not valid.\n");
    };
    let protocol = first_protocol(fields);
    tokio::spawn(run(hyper::upgrade::on(&mut request)));
    let mut response = Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let fields = response.headers_mut();
    fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
    fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    fields.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        fields.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

fn asks_for_websocket(fields: &HeaderMap) -> bool {
    fields
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn first_protocol(fields: &HeaderMap) -> Option<HeaderValue> {
    let offered = fields.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    HeaderValue::from_str(offered.split(',').next()?.trim()).ok()
}

async fn run(upgrade: OnUpgrade) {
    let outcome = match upgrade.await {
        Ok(upgraded) => echo(upgraded).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = outcome {
        tracing::debug!(error, "a WebSocket of the demo hub ended early");
    }
}

async fn echo(upgraded: Upgraded) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let limits = WebSocketConfig::default()
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE));
    let mut socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(limits)).await;
    loop {
        match tokio::time::timeout(IDLE, socket.next()).await {
            // Pongs and the answer to a close are the library's doing; a second one would be a fault.
            Ok(Some(message)) => match message? {
                message if message.is_text() || message.is_binary() => socket.send(message).await?,
                _ => {}
            },
            Ok(None) => return Ok(()),
            Err(_) => return socket.close(None).await,
        }
    }
}
