//! The last word on a build's event stream that broke off.
//!
//! BinderHub's page and its clients read how a launch ends from the stream itself: without a last event the page knows no
//! reason, and other clients begin the launch again (binderhub issues 317 and 743). Only between two events, which
//! `exchange` tells; nothing of the upstream's is changed. The cause stands in the log as for any answer that was cut.
#![deny(clippy::disallowed_methods)]

use super::page::form::Form;
use super::page::{Facts, launch};
use super::trace::Trace;
use crate::config::Preset;
use crate::observe::cause::{Cause, Situation};
use crate::snapshot::Snapshot;

/// The event with which the response of `trace` ends, which failed for `cause`; `None` when it has to be cut.
pub(super) fn of(
    snapshot: &Snapshot,
    target: &[u8],
    cause: Cause,
    id: &str,
    trace: &mut Trace,
) -> Option<Vec<u8>> {
    let route = &snapshot.routes.get(trace.route?)?.config;
    let told = matches!(
        cause.situation(),
        Situation::Unavailable | Situation::Late | Situation::Stopping
    );
    if !told || !trace.tally.between_events || route.preset != Some(Preset::BinderHub) {
        return None;
    }
    let facts = Facts {
        cause,
        request_id: id,
        launch: launch::is_launch(route, target),
        pages: &snapshot.config.sites.get(trace.site?)?.error_pages,
    };
    let event = facts.launch.then(|| facts.body(Form::Event).bytes)?;
    trace.own_body = event.len() as u64;
    Some(event)
}
