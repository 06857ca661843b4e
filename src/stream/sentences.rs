//! What is told of a stream in nginx's own sentences, for whoever matches those; other forms of the log do without.
//!
//! Its events go to the logs that the stream has of its own, if any.

use super::{Arrived, Course, RunningStream};
use crate::observe::log::AS_NGINX;
use crate::types::endpoint_address::EndpointAddress;

/// The client, with and without its port, and where it came to; on a unix socket nobody has an address.
struct Ends {
    from: String,
    client: String,
    server: String,
}

impl Ends {
    fn of(facts: &Arrived, stream: &RunningStream) -> Self {
        match facts.on_unix_socket {
            true => Self {
                from: "unix:".to_owned(),
                client: "unix:".to_owned(),
                server: stream.config.listen.address.to_string(),
            },
            false => Self {
                from: facts.peer.to_string(),
                client: facts.peer.ip().to_string(),
                server: facts.local.to_string(),
            },
        }
    }
}

/// A client has come.
pub(super) fn came(facts: &Arrived, stream: &RunningStream) {
    if !tracing::enabled!(target: AS_NGINX, tracing::Level::INFO) {
        return;
    }
    let Ends { from, server, .. } = Ends::of(facts, stream);
    tracing::info!(target: AS_NGINX, severity = "info", "client {from} connected to {server}");
}

/// An endpoint could not be connected to.
pub(super) fn unreachable(
    (facts, stream): (&Arrived, &RunningStream),
    address: EndpointAddress,
    error: &(dyn std::error::Error + 'static),
) {
    let Ends { client, server, .. } = Ends::of(facts, stream);
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
pub(super) fn nobody((facts, stream): (&Arrived, &RunningStream), upstream: &str) {
    let Ends { client, server, .. } = Ends::of(facts, stream);
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
