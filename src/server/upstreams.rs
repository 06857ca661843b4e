//! What is known of upstreams, as status and metrics want it.
//!
//! Only translates; what the words and numbers mean is said where they are printed.

use std::time::Instant;

use crate::admin::{EndpointStatus, NameStatus, UpstreamStatus};
use crate::observe::metrics::{EndpointFacts, NameFacts, UpstreamFacts};
use crate::snapshot::Snapshot;
use crate::upstream::endpoint::{Endpoint, Override};
use crate::upstream::group::Group;
use crate::upstream::names::Standing;
use crate::upstream::protection;

/// For the metrics.
pub(super) fn facts(snapshot: &Snapshot, now: Instant) -> Vec<UpstreamFacts> {
    let of = |group: &Group| {
        let (counts, known) = (group.counts(), requests(group, now));
        UpstreamFacts {
            name: group.name().to_string(),
            endpoints: (group.endpoints().iter())
                .map(|endpoint| EndpointFacts {
                    address: endpoint.label.to_string(),
                    up: matches!(state(endpoint, now), "up" | "trial"),
                    in_flight: endpoint.in_flight(),
                })
                .collect(),
            names: names(snapshot, group, now)
                .map(|one| NameFacts {
                    name: one.name,
                    addresses: one.addresses.len(),
                    age: one.age.map(|age| age.as_secs()),
                    failing: one.trouble.is_some(),
                })
                .collect(),
            requests: known.requests,
            waiting: known.waiting,
            retries_left: known.retries_left,
            circuit: known.circuit.map(|(standing, _)| standing.as_str()),
            ejections: counts.ejections.get(),
            fail_open: counts.fail_open.get(),
            checks_passed: counts.checks_passed.get(),
            checks_failed: counts.checks_failed.get(),
        }
    };
    snapshot.groups.values().map(|group| of(group)).collect()
}

/// For the status.
pub(super) fn status(snapshot: &Snapshot, now: Instant) -> Vec<UpstreamStatus> {
    let of = |group: &Group| {
        let (limits, facts) = (&group.config.protection.limits, requests(group, now));
        UpstreamStatus {
            name: group.name().to_string(),
            endpoints: (group.endpoints().iter())
                .map(|endpoint| EndpointStatus {
                    address: endpoint.label.to_string(),
                    state: state(endpoint, now).to_owned(),
                    reason: (endpoint.trouble(now).or_else(|| endpoint.trial(now)))
                        .map(|reason| reason.to_string()),
                    in_flight: endpoint.in_flight(),
                    weight: endpoint.weight,
                    backup: endpoint.backup,
                })
                .collect(),
            fails_open: group.is_open_by_failure(now),
            names: names(snapshot, group, now).map(name_status).collect(),
            requests: facts.requests,
            in_flight: in_flight(group),
            max_in_flight: limits.in_flight,
            waiting: facts.waiting,
            queue: if group.protection.admission.is_some() {
                limits.queue
            } else {
                0
            },
            retries_left: facts.retries_left,
            circuit: facts
                .circuit
                .map(|(standing, _)| standing.as_str().to_owned()),
            circuit_tries_in: facts
                .circuit
                .and_then(|(_, wait)| wait)
                .map(|wait| wait.as_secs()),
        }
    };
    snapshot.groups.values().map(|group| of(group)).collect()
}

fn requests(group: &Group, now: Instant) -> protection::Facts {
    let budget = group.config.protection.retries.budget;
    group.protection.facts(budget, now)
}

fn in_flight(group: &Group) -> u64 {
    let endpoints = group.endpoints();
    endpoints.iter().map(|one| u64::from(one.in_flight())).sum()
}

fn names(snapshot: &Snapshot, group: &Group, now: Instant) -> impl Iterator<Item = Standing> {
    let standings = match group.config.has_names() {
        true => snapshot.names.standings(&group.config, now),
        false => Vec::new(),
    };
    standings.into_iter()
}

fn name_status(standing: Standing) -> NameStatus {
    NameStatus {
        name: standing.name,
        addresses: standing.addresses.iter().map(ToString::to_string).collect(),
        age: standing.age.map(|age| age.as_secs()),
        error: standing.trouble,
    }
}

/// An operator's word before what requests and checks met.
fn state(endpoint: &Endpoint, now: Instant) -> &'static str {
    match endpoint.overridden() {
        Override::Draining => "draining",
        Override::Disabled => "disabled",
        Override::Enabled if endpoint.trouble(now).is_some() => "down",
        Override::Enabled if endpoint.trial(now).is_some() => "trial",
        Override::Enabled => "up",
    }
}
