//! What is told of a stream in nginx's own sentences, for whoever matches those; other forms of the log do without.
//!
//! Its events go to the logs that the stream has of its own, if any.

use std::net::SocketAddr;

use super::{Arrived, Course};
use crate::observe::log::AS_NGINX;
use crate::types::endpoint_address::EndpointAddress;

/// A client has come.
pub(super) fn came(facts: &Arrived) {
    let (client, local) = (facts.peer, facts.local);
    tracing::info!(target: AS_NGINX, severity = "info", "client {client} connected to {local}");
}

/// An endpoint could not be connected to.
pub(super) fn unreachable(
    facts: &Arrived,
    address: EndpointAddress,
    error: &(dyn std::error::Error + 'static),
) {
    let (client, server) = (facts.peer.ip(), facts.local);
    let why = match reason(error) {
        Some(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => {
            "connect() failed (111: Connection refused)".to_owned()
        }
        Some(error) if error.raw_os_error().is_some() => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            let number = error.raw_os_error().unwrap_or_default();
            format!("connect() failed ({number}: {text})")
        }
        _ => "upstream timed out (110: Connection timed out)".to_owned(),
    };
    tracing::error!(
        target: AS_NGINX,
        "{why} while connecting to upstream, client: {client}, server: {server}, upstream: \"{address}\", bytes from/to client:0/0, bytes from/to upstream:0/0"
    );
}

fn reason<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(own) = error.downcast_ref::<std::io::Error>() {
            return Some(own);
        }
        next = error.source();
    }
    None
}

/// Nobody is left to connect to.
pub(super) fn nobody((client, server): (SocketAddr, SocketAddr), upstream: &str) {
    let client = client.ip();
    tracing::error!(
        target: AS_NGINX,
        "no live upstreams while connecting to upstream, client: {client}, server: {server}, upstream: \"{upstream}\", bytes from/to client:0/0, bytes from/to upstream:0/0"
    );
}

/// It is over.
pub(super) fn over(course: &Course) {
    if !course.endpoint_took_it {
        return;
    }
    let (up, down) = course.moved.counts();
    tracing::info!(
        target: AS_NGINX,
        severity = "info",
        "upstream disconnected, bytes from/to client:{up}/{down}, bytes from/to upstream:{down}/{up}"
    );
}
