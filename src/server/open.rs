//! What is open in this process and for whom, gathered from the workers when somebody asks.
//!
//! Each worker copies rows of its own book; here they get names, those of the generation they run by. Invariant: a worker
//! that is stuck is told of, and holds nobody up longer than [`PATIENCE`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::process::Process;
use super::upgrade::Predecessor;
use super::worker::Order;
use crate::admin::{Draining, OpenConnection, OpenConnections, StillOpen};
use crate::observe::open::{Kind, Place, Row};
use crate::proxy::app::Shared;
use crate::transport::now;

/// For the workers to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is open here and in the processes before, `most` of each one by one.
pub(super) async fn still(process: &Arc<Process>, most: usize) -> StillOpen {
    let open = here(process, most).await;
    let before = process.clone();
    // What is said to another process blocks.
    let asked = tokio::task::spawn_blocking(move || ask(&before, most)).await;
    StillOpen {
        open,
        predecessors: asked.ok().flatten().into_iter().collect(),
    }
}

/// As a process that was relieved tells it to its successor.
pub(super) async fn draining(process: &Arc<Process>, most: usize) -> Draining {
    let StillOpen { open, predecessors } = still(process, most).await;
    Draining {
        pid: std::process::id(),
        ends_in: ends_in(process),
        open: Some(open),
        predecessors,
    }
}

/// Seconds until a drain that has begun is over.
pub(super) fn ends_in(process: &Process) -> Option<u64> {
    let ends = process.ends.get()?;
    Some(ends.saturating_duration_since(now()).as_secs())
}

fn ask(process: &Process, most: usize) -> Option<Draining> {
    let mut predecessor = process.predecessor.lock();
    let told = predecessor.as_mut().and_then(|one| one.ask(most));
    if told.is_none() || predecessor.as_ref().is_some_and(Predecessor::is_lost) {
        *predecessor = None;
    }
    told
}

async fn here(process: &Process, most: usize) -> OpenConnections {
    let asked: Vec<_> = {
        let state = process.state.lock();
        let ask = |worker: &super::worker::Worker| {
            let (reply, answer) = oneshot::channel();
            worker.tell(Order::Look(most, reply));
            (worker.name().to_owned(), answer)
        };
        state.workers.iter().map(ask).collect()
    };
    let until = now() + PATIENCE;
    let mut open = OpenConnections::default();
    let mut rows = Vec::new();
    for (worker, answer) in asked {
        let left = until.saturating_duration_since(now());
        match timeout(left, answer).await {
            Ok(Ok(look)) => {
                for (kind, count) in Kind::ALL.into_iter().zip(look.counts) {
                    if count > 0 {
                        *open.kinds.entry(kind.name().to_owned()).or_default() += count;
                    }
                }
                rows.extend(look.oldest);
            }
            _ => open.silent_workers.push(worker),
        }
    }
    rows.sort_by_key(|row| row.since);
    rows.truncate(most);
    let at = now();
    let named = rows.iter().map(|row| named(row, &process.shared, at));
    open.oldest = named.collect();
    open
}

fn named(row: &Row, shared: &Shared, at: Instant) -> OpenConnection {
    let since = |begun: Instant| at.saturating_duration_since(begun).as_secs();
    let moved = row.moved.as_ref().map(|moved| moved.counts());
    let mut told = OpenConnection {
        client: row.client.to_string(),
        kind: row.kind.name().to_owned(),
        age: since(row.since),
        request_age: row.place.map(|place| since(place.since)),
        waits_for: row.wait.name().to_owned(),
        endpoint: row.endpoint.map(|endpoint| endpoint.to_string()),
        bytes_in: moved.map(|(up, _)| up),
        bytes_out: moved.map(|(_, down)| down),
        ..OpenConnection::default()
    };
    if let Some(passed) = &row.passed {
        told.site = Some(passed.stream.to_string());
        told.upstream = Some(passed.upstream.to_string());
        told.server_name = passed.server_name.as_deref().map(str::to_owned);
    }
    if let Some(place) = row.place {
        place_in(place, shared, &mut told);
    }
    told
}

/// The names of a request, unless its generation is gone: then it has ended.
fn place_in(place: Place, shared: &Shared, told: &mut OpenConnection) {
    let Some(snapshot) = shared.generation(place.generation) else {
        return;
    };
    let site = place.site.and_then(|site| snapshot.config.sites.get(site));
    told.site = site.map(|site| site.name().to_string());
    let route = place.route.and_then(|route| snapshot.routes.get(route));
    told.route = route.map(|route| route.config.path.to_string());
    told.upstream = route.map(|route| route.group.name().to_string());
}
