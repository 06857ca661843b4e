//! What `systemctl status` shows of the process: one line for a person, kept up to date.
//!
//! `notify` carries it. Invariant: what is wrong comes with it, and is gone from it once it is mended.

use std::sync::Arc;
use std::time::Duration;

use super::process::Process;

/// The line is looked at this often.
const LOOK: Duration = Duration::from_secs(5);

/// The process as it serves.
pub(super) fn serving(process: &Process) -> String {
    let snapshot = process.shared.snapshot.load();
    let (sites, certificates) = (snapshot.config.sites.len(), process.certificates.count());
    let open = process.shared.metrics.connections_open();
    let line = format!(
        "generation {}: {}, {}, {} open",
        snapshot.generation,
        counted(sites as u64, "site"),
        counted(certificates as u64, "certificate"),
        counted(open, "connection"),
    );
    match process.notify.refusal() {
        None => line,
        Some(why) => format!("{line}; the last reload was refused: {why}"),
    }
}

/// The process as it ends.
pub(super) fn stopping(process: &Process) -> String {
    let open = process.shared.metrics.connections_open();
    format!("stopping: {} still open", counted(open, "connection"))
}

/// Keeps the line up to date for as long as the process serves.
pub(super) async fn follow(process: Arc<Process>) {
    if !process.notify.is_on() {
        return;
    }
    loop {
        tokio::time::sleep(LOOK).await;
        process.notify.status(&serving(&process));
    }
}

fn counted(number: u64, what: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {what}{end}")
}
