//! What the ACME worker knows, as the metrics want it.
//!
//! Only translates; what the numbers mean is said where they are printed.

use crate::acme::{HostStatus, ORDER_SECONDS, OrderTime, Worker};
use crate::observe::cause::Cause;
use crate::observe::metrics::{AcmeFacts, AcmeHost, Histogram};
use crate::proxy::app::Shared;

/// Everything about orders and challenges, now.
pub(super) fn facts(worker: &Worker, shared: &Shared) -> AcmeFacts {
    let counts = worker.counts();
    let orders = counts.orders.into_iter().map(|((name, class), count)| {
        let class = class.map_or("", |class| class.as_str());
        (name, class, count)
    });
    AcmeFacts {
        hosts: worker.status().into_iter().map(host).collect(),
        authorities: counts.authorities.into_iter().collect(),
        orders: orders.collect(),
        order_seconds: order_seconds(&counts.order_time),
        leases: counts.leases,
        challenges: challenges(shared),
        renewal_information: counts.renewal_information.into_iter().collect(),
        store_errors: counts.store_failures.into_iter().collect(),
        clock_skew: counts.clock_skew,
    }
}

fn order_seconds(time: &OrderTime) -> Histogram {
    let ends = ORDER_SECONDS.iter().map(|end| Some(*end)).chain([None]);
    Histogram {
        buckets: ends.zip(time.counts).collect(),
        sum: time.sum,
    }
}

/// By who answered, and with what.
fn challenges(shared: &Shared) -> Vec<(&'static str, u16, u64)> {
    let (by_http, by_tls) = shared.tokens.served();
    let refused = |cause| shared.metrics.answers(cause);
    let mut rows = vec![
        ("local", 200, by_http),
        ("tls", 0, by_tls),
        ("miss", 404, refused(Cause::ChallengeUnknown)),
        ("reject", 429, refused(Cause::ChallengeLimited)),
    ];
    // A fallback may answer 502 itself.
    let mut answers = shared.handed_on.answers();
    answers.entry(200).or_default();
    *answers.entry(502).or_default() += refused(Cause::ChallengeFallbackFailed);
    rows.extend(
        answers
            .into_iter()
            .map(|(code, count)| ("forward", code, count)),
    );
    rows
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
