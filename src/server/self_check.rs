//! Shakes hands with ourselves: whether each host is served the certificate that is meant for it.
//!
//! A new certificate is looked at within [`ROUND`], every other one again after [`AGAIN`]. What is compared is the serial
//! number that a client sees with the one that is kept on the disk, or, for what is not kept there, with the one in the
//! table. The outcome is for status and metrics; nothing acts on it.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::process::Process;
use crate::acme::Listeners;
use crate::acme::storage::Storage;
use crate::admin::Gate;
use crate::tls::{Origin, Served, peek};
use crate::types::host::HostPattern;

const ROUND: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(6 * 3600);
/// Not to take the processor for itself where there are a thousand hosts.
const BREATH: Duration = Duration::from_millis(20);

/// The last look at each host.
#[derive(Debug, Default)]
pub(super) struct SelfCheck {
    looks: RwLock<BTreeMap<String, Look>>,
}

#[derive(Clone, Debug)]
struct Look {
    serial: String,
    at: Instant,
    trouble: Option<String>,
}

impl SelfCheck {
    /// What was found for `host`: `None` when nobody has looked yet, else what is wrong, if anything.
    pub(super) fn found(&self, host: &str) -> Option<Option<String>> {
        let looks = self.looks.read().unwrap_or_else(PoisonError::into_inner);
        looks.get(host).map(|look| look.trouble.clone())
    }

    fn is_fresh(&self, host: &str, serial: &str) -> bool {
        let looks = self.looks.read().unwrap_or_else(PoisonError::into_inner);
        looks
            .get(host)
            .is_some_and(|look| look.serial == serial && look.at.elapsed() < AGAIN)
    }

    fn note(&self, host: String, look: Look) {
        let mut looks = self.looks.write().unwrap_or_else(PoisonError::into_inner);
        looks.insert(host, look);
    }

    fn retain(&self, rows: &[Served]) {
        let hosts: HashSet<String> = rows.iter().map(|row| row.pattern.to_string()).collect();
        let mut looks = self.looks.write().unwrap_or_else(PoisonError::into_inner);
        looks.retain(|host, _| hosts.contains(host));
    }
}

/// Looks for as long as the process serves.
pub(super) async fn run(process: Arc<Process>) {
    loop {
        sleep(ROUND).await;
        if *process.gate.borrow() != Gate::Open {
            continue; // another process answers
        }
        let listing = {
            let process = process.clone();
            tokio::task::spawn_blocking(move || due(&process))
        };
        let Ok(rows) = listing.await else {
            return; // the runtime is going down
        };
        let config = process.shared.snapshot.load().config.clone();
        let Some(address) = Listeners::new(&config.listen).https.first().copied() else {
            continue;
        };
        let storage = Storage::new(&config.server.state_dir);
        for row in rows {
            let host = row.pattern.to_string();
            let trouble = look(address, &row, &storage).await.err();
            if let Some(trouble) = &trouble {
                tracing::error!(event = "certificate.served.wrong", %host, "{trouble}");
            }
            let look = Look {
                serial: row.leaf.serial.clone(),
                at: Instant::now(),
                trouble,
            };
            process.self_check.note(host, look);
            sleep(BREATH).await;
        }
    }
}

/// The certificates to look at now; what was found of others that have gone is forgotten.
fn due(process: &Process) -> Vec<Served> {
    let mut rows = process.certificates.list();
    process.self_check.retain(&rows);
    rows.retain(|row| {
        let host = row.pattern.to_string();
        row.pattern.example("x").is_some() && !process.self_check.is_fresh(&host, &row.leaf.serial)
    });
    rows
}

/// Fails with what is wrong, as a sentence.
async fn look(address: SocketAddr, row: &Served, storage: &Storage) -> Result<(), String> {
    let name = row
        .pattern
        .example("hubgate-self-check")
        .unwrap_or_default();
    let shown = peek::leaf_of(address, &name).await;
    let shown =
        shown.map_err(|error| format!("no handshake with ourselves at {address}: {error}"))?;
    let stored = match (&row.pattern, row.origin) {
        (HostPattern::Exact(host), Origin::Acme) => storage.current_leaf(host),
        _ => None,
    };
    let meant = stored.map_or_else(|| row.leaf.serial.clone(), |leaf| leaf.serial);
    match shown.serial == meant {
        true => Ok(()),
        false => Err(format!(
            "clients are shown serial {}, but the one that is kept is {meant}; `hubgate reload`, and a restart if that does not help",
            shown.serial
        )),
    }
}
