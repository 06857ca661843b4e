//! Runs the health checks of every upstream: one task for the process.
//!
//! `upstream::health` says who is due and asks; here is the clock, and the bound on checks that run at once. Ends when
//! it is aborted; what is known about endpoints stays.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::process::Process;
use crate::transport::now;
use crate::upstream::health::probe::probe;
use crate::upstream::health::{Check, Schedule};

/// Checks that run at once.
const MOST: usize = 64;
/// Endpoints that come and go are noticed within this.
const LOOK: Duration = Duration::from_secs(1);
/// Checks that are due within this are made together.
const TOGETHER: Duration = Duration::from_millis(10);

/// Checks endpoints for as long as the process runs.
pub(super) async fn run(process: Arc<Process>) {
    let mut schedule = Schedule::default();
    let mut generation = process.generation.subscribe();
    let mut running: JoinSet<Check> = JoinSet::new();
    let mut look = now();
    loop {
        let at = now();
        if look <= at {
            let snapshot = process.shared.snapshot.load();
            schedule.follow(snapshot.groups.values(), at, fastrand::f64);
            look = at + LOOK;
        }
        for check in schedule.due(MOST - running.len().min(MOST), at) {
            running.spawn(async move {
                let seen = probe(&check).await;
                let (rise, fall) = (check.health.rise, check.health.fall);
                check.endpoint.checked(seen, rise, fall, now());
                check
            });
        }
        let wake = schedule.next().map_or(look, |next| next.min(look));
        let wake = wake.max(at + TOGETHER);
        tokio::select! {
            Some(ended) = running.join_next() => match ended {
                Ok(check) => schedule.done(&check, now(), fastrand::f64()),
                // Told by the panic hook; the endpoint comes up again when the check would have been over.
                Err(error) => tracing::debug!(%error, "a health check did not end"),
            },
            reloaded = generation.changed() => match reloaded {
                Ok(()) => look = now(),
                Err(_) => return,
            },
            () = tokio::time::sleep_until(wake.into()) => {}
        }
    }
}
