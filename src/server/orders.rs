//! What the ACME worker knows, as the metrics want it.
//!
//! Only translates; what the numbers mean is said where they are printed.

use crate::acme::{HostStatus, Worker};
use crate::observe::metrics::{AcmeFacts, AcmeHost};

/// Everything about orders, now.
pub(super) fn facts(worker: &Worker) -> AcmeFacts {
    let counts = worker.counts();
    let orders = counts.orders.into_iter().map(|((name, class), count)| {
        let class = class.map_or("", |class| class.as_str());
        (name, class, count)
    });
    AcmeFacts {
        hosts: worker.status().into_iter().map(host).collect(),
        authorities: counts.authorities.into_iter().collect(),
        orders: orders.collect(),
        order_seconds: counts.order_seconds,
        renewal_information: counts.renewal_information.into_iter().collect(),
        store_errors: counts.store_errors,
        clock_skew: counts.clock_skew,
    }
}

fn host(row: HostStatus) -> AcmeHost {
    let seconds = |at: time::OffsetDateTime| at.unix_timestamp();
    let failed = row.failures > 0;
    AcmeHost {
        host: row.host.to_string(),
        state: row.state.as_str(),
        renew_at: row.renew_at.map(seconds),
        backoff_until: row.next_attempt.filter(|_| failed).map(seconds),
        failures: row.failures,
        silent_since: row.renewal_silent_since.map(seconds),
    }
}
