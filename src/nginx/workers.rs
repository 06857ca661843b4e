//! What nginx asks of its workers when all has been read: enough connections for what listens, a processor for each.
//!
//! hubgate's threads need neither; the sentences are for those who compare. Pure.
#![deny(clippy::disallowed_methods)]

use super::addresses;
use super::fault::{At, Fault};
use super::tree::Directive;
use super::value;

/// Connections of a worker where nobody says how many.
const CONNECTIONS: i64 = 512;

/// Why the workers could not even listen.
pub(super) fn too_few_connections(directives: &[Directive]) -> Option<String> {
    let events = directives.iter().find(|own| own.is("events"))?;
    let mut said = events.children().iter();
    let said = said.find(|own| own.is("worker_connections"));
    let said = said.and_then(|own| value::number(&own.arguments().first()?.bytes));
    let most = said.unwrap_or(CONNECTIONS);
    let sockets = addresses::sockets(directives);
    let few = i64::try_from(sockets).is_ok_and(|sockets| most <= sockets);
    few.then(|| format!("{most} worker_connections are not enough for {sockets} listening sockets"))
}

/// Masks that are neither one nor as many as there are workers.
pub(super) fn warning(directives: &[Directive]) -> Option<Fault> {
    let one = |name: &str| directives.iter().find(|own| own.is(name));
    let masks = one("worker_cpu_affinity")?;
    let workers = one("worker_processes").map_or(1, |own| match &*own.argument(0) {
        "auto" => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        number => number.parse().unwrap_or(1),
    });
    let count = masks.arguments().len();
    if masks.argument(0) == "auto" || count == 1 || count == workers {
        return None;
    }
    let text = "the number of \"worker_processes\" is not equal to the number of \"worker_cpu_affinity\" masks, using last mask for remaining worker processes";
    Some(Fault {
        text: text.to_owned(),
        at: At::Nowhere,
    })
}
