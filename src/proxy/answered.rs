//! Answers of routes that have no upstream: `respond` and `redirect`, with the values of their variables.
//!
//! What the answer says is the configuration's; sending it is `close`'s.

use super::answer::Answer;
use super::app::App;
use super::checks::Checked;
use super::client::Client;
use super::filter::forwarded;
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
    let head = client.head();
    let trusted_proxies = &snapshot.config.server.trusted_proxies;
    let values = Values {
        facts: &app.facts,
        client: forwarded::client_address(app.facts.peer.ip(), trusted_proxies, &head.headers),
        method: head.method.as_str(),
        target: &checked.target,
        version: head.version,
        fields: &head.headers,
        host: checked.authority.host.as_str(),
        site: trace.site.map_or("", |site| &*snapshot.sites[site].name),
        route: route.config.path.as_str(),
        id,
    };
    Answer::of_route(&route.config.action, &values)
}
