//! Answers of routes that have no upstream: `respond` and `redirect`, with the values of their variables.
//!
//! What the answer says is the configuration's; sending it is `close`'s.

use super::answer::Answer;
use super::app::App;
use super::checks::Checked;
use super::client::Client;
use super::trace::Trace;
use super::values::Values;
use crate::snapshot::{RunningRoute, Snapshot};

/// The answer of `route` to the request of `client`, whose id is `id`.
pub(super) fn answered(
    app: &App,
    snapshot: &Snapshot,
    route: &RunningRoute,
    client: &Client,
    checked: &Checked,
    id: &str,
    trace: &Trace,
) -> Answer {
    let values = values(app, snapshot, client, checked, id, trace);
    Answer::of_route(&route.config.action, &values)
}

/// The values of variables for it.
pub(super) fn values<'a>(
    app: &'a App,
    snapshot: &'a Snapshot,
    client: &'a Client,
    checked: &'a Checked,
    id: &'a str,
    trace: &'a Trace,
) -> Values<'a> {
    Values::new(
        (&app.facts, snapshot),
        (client.head(), &checked.target),
        checked.authority.host.as_str(),
        trace.place(),
        id,
    )
}
