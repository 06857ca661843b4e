//! What a process knows beside its sockets, as values for its successor: health, an operator's words, counts, tokens, keys.
//!
//! Taken from the process twice: for the successor's preparation, and when nobody accepts any more. Values of another
//! version that make no sense here are left out. Invariant: what is counted is counted on, and never twice.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::acme::challenge::{HandedOver, Published};
use crate::observe::count::Counter;
use crate::proxy::app::Shared;
use crate::snapshot::Snapshot;
use crate::tls::tickets::TicketKeys;
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::group::Group;
use crate::upstream::{Counts, Record};

/// For as long as an authority may ask for tokens of orders that the process before has begun.
const TOKENS: Duration = Duration::from_secs(600);

/// See above.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::server) struct Carried {
    generation: u64,
    upstreams: Vec<Upstream>,
    counters: Vec<(String, u64)>,
    tokens: Vec<HandedOver>,
    /// What session tickets are sealed with.
    ticket_keys: Vec<u8>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Upstream {
    name: String,
    /// A [`Record`] each.
    endpoints: Vec<(EndpointAddress, Value)>,
    counters: Vec<(String, u64)>,
}

impl Carried {
    /// What there is now.
    pub(super) fn of(shared: &Shared, ticket_keys: &TicketKeys) -> Self {
        let now = crate::transport::now();
        let snapshot = shared.snapshot.load();
        let upstream = |group: &Group| Upstream {
            name: group.name().to_string(),
            endpoints: group
                .records(now)
                .into_iter()
                .filter_map(|(address, record)| Some((address, serde_json::to_value(record).ok()?)))
                .collect(),
            counters: counters(group.counts())
                .map(|(name, counter)| (name.to_owned(), counter.get()))
                .into(),
        };
        let groups = snapshot.groups.values();
        Self {
            generation: snapshot.generation,
            upstreams: groups.map(|group| upstream(group)).collect(),
            counters: shared.metrics.counted(),
            tokens: shared.tokens.hand_over(),
            ticket_keys: ticket_keys.export(),
        }
    }

    /// Counts generations on.
    pub(in crate::server) fn number(&self, snapshot: &mut Snapshot) {
        snapshot.generation += self.generation;
    }

    /// What is known of endpoints.
    pub(in crate::server) fn restore_health(&self, snapshot: &Snapshot) {
        let now = crate::transport::now();
        for (upstream, group) in self.known(snapshot) {
            let records: Vec<(EndpointAddress, Record)> = upstream
                .endpoints
                .iter()
                .filter_map(|(address, value)| {
                    Some((*address, serde_json::from_value(value.clone()).ok()?))
                })
                .collect();
            group.restore(&records, now);
        }
    }

    /// So that clients resume their TLS sessions here.
    pub(in crate::server) fn restore_tickets(&self, keys: &TicketKeys) {
        if !self.ticket_keys.is_empty() && !keys.import(&self.ticket_keys) {
            tracing::warn!("session tickets of the process before are not taken");
        }
    }

    /// What was counted. To be called once.
    pub(in crate::server) fn restore_counts(&self, shared: &Shared) {
        shared.metrics.count_on(&self.counters);
        for (upstream, group) in self.known(&shared.snapshot.load()) {
            for (name, counter) in counters(group.counts()) {
                let before = upstream.counters.iter().find(|(of, _)| of == name);
                counter.add(before.map_or(0, |(_, count)| *count));
            }
        }
    }

    /// Answers the tokens for a while.
    pub(in crate::server) fn publish_tokens(&self, shared: &Shared) {
        let published: Vec<Published> = self
            .tokens
            .iter()
            .filter_map(|token| shared.tokens.take_over(token))
            .collect();
        if !published.is_empty() {
            tokio::spawn(async move {
                tokio::time::sleep(TOKENS).await;
                drop(published);
            });
        }
    }

    fn known<'a>(
        &'a self,
        snapshot: &'a Snapshot,
    ) -> impl Iterator<Item = (&'a Upstream, &'a Group)> {
        self.upstreams.iter().filter_map(|upstream| {
            let mut groups = snapshot.groups.values();
            let group = groups.find(|group| group.name().as_str() == upstream.name)?;
            Some((upstream, &**group))
        })
    }
}

/// By name.
fn counters(counts: &Counts) -> [(&'static str, &Counter); 4] {
    [
        ("ejections", &counts.ejections),
        ("fail_open", &counts.fail_open),
        ("checks_passed", &counts.checks_passed),
        ("checks_failed", &counts.checks_failed),
    ]
}
