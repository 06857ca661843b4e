//! The end of the process: a drain that loses nothing it need not lose, and takes no longer than it may.
//!
//! Listeners close at once; requests go on and connections are told to close; idle ones get a last call; tunnels and
//! event streams go on until shortly before `drain_timeout` is over and are then ended in their own words. The process
//! ends as soon as nothing is open, and at the latest when that time is over. A second signal ends it at once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::process::Process;
use super::told;
use super::worker::{Order, Worker};
use crate::proxy::app::Drain;

/// How often the open connections are counted.
const TICK: Duration = Duration::from_millis(20);
/// And told to the service manager once in so many counts.
const TELL: u32 = 50;
/// For workers to end once they have been told to.
const JOIN: Duration = Duration::from_secs(1);

/// Drains; `hurry` ends it at once.
pub(super) async fn drain(process: &Arc<Process>, hurry: impl Future<Output = ()>) {
    let limit = process.shared.snapshot.load().config.server.drain_timeout;
    let farewell = Drain::farewell(limit);
    let end = Instant::now() + limit.max(farewell);
    // There is one drain in a process.
    process.ends.get_or_init(|| end.into_std());
    let open = process.shared.metrics.connections_open();
    tracing::info!(open, limit = ?limit, "stopping: no new connections, waiting for open ones");
    {
        let mut state = process.state.lock();
        let keys: Vec<_> = state.listeners.keys().cloned().collect();
        for key in keys {
            state.unlisten(&key);
        }
    }
    process.drain.send_replace(Drain::Draining);
    process.shutdown.send_replace(true);
    let ended = async {
        let left = timeout_at(end - farewell, none_open(process));
        tokio::select! {
            ended = left => {
                if ended.is_ok() {
                    return;
                }
            }
            () = orphaned(process) => {
                tracing::warn!("ending early, so that the service manager sees that its main process is gone");
            }
        }
        let open = process.shared.metrics.connections_open();
        tracing::warn!(open, "the drain's time is over, ending what is open");
        process.drain.send_replace(Drain::Ending);
        let end = end.min(Instant::now() + farewell);
        if timeout_at(end, none_open(process)).await.is_err() {
            let open = process.shared.metrics.connections_open();
            tracing::warn!(open, "connections cut");
        }
    };
    tokio::select! {
        () = ended => {}
        () = hurry => tracing::warn!("stopping at once"),
    }
    let workers = std::mem::take(&mut process.state.lock().workers);
    for worker in &workers {
        worker.tell(Order::Stop);
    }
    let joined = tokio::task::spawn_blocking(|| workers.into_iter().for_each(Worker::join));
    // A worker that is stuck ends with the process.
    if timeout(JOIN, joined).await.is_err() {
        tracing::error!("a worker does not end, leaving it behind");
    }
}

/// Ends when the successor has failed and somebody waits for this process to start another: a service manager hears of the
/// end of its main process, which it has not started, only once this one, its parent, is gone.
async fn orphaned(process: &Process) {
    process.orphaned.notified().await;
    if !process.notify.is_on() {
        std::future::pending().await
    }
}

async fn none_open(process: &Process) {
    let mut ticks = 0;
    while process.shared.metrics.connections_open() > 0 {
        if ticks % TELL == 0 {
            process.notify.status(&told::stopping(process));
        }
        ticks += 1;
        tokio::time::sleep(TICK).await;
    }
}
