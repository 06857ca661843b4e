//! Gives the service manager a sign of life for as long as every worker accepts connections.
//!
//! `WATCHDOG_USEC` says how often one is expected; three times as often every accept loop of every worker is asked, and the
//! sign is given when all have answered the question before. Invariant: a worker that is stuck, for whatever reason, stops
//! the signs within one interval.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use super::process::Process;

/// Signs for each that is expected.
const SPARE: u32 = 3;

/// Gives signs for as long as the process runs, if they are expected.
pub(super) async fn run(process: Arc<Process>) {
    let Some(expected) = expected() else { return };
    let mut round = 0;
    let mut stuck = Vec::new();
    loop {
        round += 1;
        process.state.lock().ask_workers(round);
        tokio::time::sleep(expected / SPARE).await;
        let late = process.state.lock().late_workers(round);
        if late.is_empty() {
            process.notify.alive();
        }
        if late != stuck {
            let workers = late.join(", ");
            match late.is_empty() {
                true => tracing::info!("every worker accepts connections again"),
                false => {
                    tracing::error!(event = "watchdog", %workers, "workers that accept no connections; the service manager gets no sign of life");
                }
            }
            stuck = late;
        }
    }
}

/// How often the service manager expects a sign from this process.
fn expected() -> Option<Duration> {
    let of_another = |pid: String| pid.parse() != Ok(std::process::id());
    if env::var("WATCHDOG_PID").is_ok_and(of_another) {
        return None;
    }
    let micros = env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    Some(Duration::from_micros(micros)).filter(|time| !time.is_zero())
}
