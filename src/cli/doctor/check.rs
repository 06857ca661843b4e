//! The upstream's own health check, made once: what a running hubgate would make of the endpoint.
//!
//! By the same code, so by the same address, port, service, status and body; what it has to say in words counts too. Only
//! endpoints that could be reached are asked.

use std::time::Instant;

use super::Question;
use super::endpoint::Seen;
use crate::cli::finding::{Finding, Level};
use crate::config::{CheckKind, Protocol};
use crate::upstream::connect::Connector;
use crate::upstream::health::probe;

/// What the check finds when the upstream has one that says more than the steps before it: `None` when all is well and
/// they said so already.
pub(super) fn made(question: &Question<'_>, seen: &mut Seen) -> Option<Finding> {
    let health = question.upstream.health.as_ref()?;
    let about = format!("{} of {}", question.address, question.upstream.name);
    let connector = Connector {
        tls: question.tls.clone(),
        http2: question.upstream.protocol == Protocol::Http2,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let found = format!("its health check could not be made: {error}");
            return Some(Finding::of(Level::Unknown, &about, found, "try again"));
        }
    };
    let begun = Instant::now();
    let asked = runtime.block_on(probe::ask(&connector, health, question.address));
    let took = begun.elapsed().as_secs_f64() * 1e3;
    match (asked, &health.kind) {
        (Err(said), _) => Some(Finding::of(
            Level::Attention,
            &about,
            format!("fails its health check: {said}"),
            "see to the service, or correct the check in `[upstream.NAME.health]`",
        )),
        (Ok(()), CheckKind::Grpc(grpc)) => {
            seen.answer_ms = Some(took);
            seen.path = probe::GRPC_PATH.to_owned();
            let whom = match &*grpc.service {
                "" => String::new(),
                service => format!(" of `{service}`"),
            };
            Some(Finding::fine(
                &about,
                format!("its gRPC health check{whom} says that it serves"),
            ))
        }
        (Ok(()), _) => None,
    }
}
