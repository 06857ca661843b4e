//! Answers of routes that have no upstream: `respond` and `redirect`, with the values of their variables, and what
//! hubgate knows itself.
//!
//! What the answer says is the configuration's; sending it is `close`'s.

use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LAST_MODIFIED};

use super::answer::Answer;
use super::app::App;
use super::checks::Checked;
use super::client::Client;
use super::known::Known;
use super::standing::Standing;
use super::trace::Trace;
use super::values::Values;
use crate::config::{OwnAnswer, RouteAction};
use crate::observe::metrics::Metrics;
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
    if let RouteAction::Own(own) = &route.config.action {
        return match client.head().method {
            Method::GET | Method::HEAD => of_own(*own, &app.shared.metrics),
            // Its page is that of any status without a body.
            _ => plain(405, None, Vec::new()),
        };
    }
    let mut values = values(app, snapshot, client, checked, id, trace);
    if let RouteAction::Respond(respond) = &route.config.action {
        values.known = Some(Known::saying(values.known, respond.status));
    }
    Answer::of_route(&route.config.action, &values)
}

fn of_own(own: OwnAnswer, metrics: &Metrics) -> Answer {
    match own {
        OwnAnswer::Counts => plain(200, Some("text/plain"), counts(metrics).into_bytes()),
        OwnAnswer::Pixel => {
            let mut answer = plain(200, Some("image/gif"), PIXEL.to_vec());
            let since = HeaderValue::from_static("Mon, 28 Sep 1970 06:00:00 GMT");
            answer.fields.push((LAST_MODIFIED, since));
            answer
        }
    }
}

fn plain(status: u16, kind: Option<&'static str>, body: Vec<u8>) -> Answer {
    let kind = kind.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind)));
    Answer::new(status, kind.into_iter().collect(), body, None)
}

/// As nginx's `stub_status` writes them.
fn counts(metrics: &Metrics) -> String {
    let handled = metrics.connections_accepted();
    let accepts = handled + metrics.connections_refused_total_cap.get();
    let Standing {
        active,
        reading,
        writing,
        waiting,
    } = Standing::of(metrics);
    let requests = metrics.requests_finished() + writing + reading;
    format!(
        "Active connections: {active} \nserver accepts handled requests\n {accepts} {handled} {requests} \n\
         Reading: {reading} Writing: {writing} Waiting: {waiting} \n"
    )
}

/// A transparent GIF of one pixel (GIF89a).
const PIXEL: &[u8] = b"GIF89a\x01\0\x01\0\x80\x01\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\x01\0,\0\0\0\0\x01\0\x01\0\0\x02\x02L\x01\0;";

/// The values of variables for it.
pub(super) fn values<'a>(
    app: &'a App,
    snapshot: &'a Snapshot,
    client: &'a Client,
    checked: &'a Checked,
    id: &'a str,
    trace: &'a Trace,
) -> Values<'a> {
    let mut values = Values::new(
        (&app.facts, snapshot),
        (client.head(), checked.asked()),
        checked.authority.host.as_str(),
        trace.place(),
        id,
    );
    values.known = trace.known();
    values
}

/// Whether a request says of its body that it is larger than this.
pub(super) fn is_too_large(client: &Client, limit: u64) -> bool {
    let length = client.head().headers.get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length > limit)
}
