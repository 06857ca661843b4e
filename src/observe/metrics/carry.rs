//! Counts that go on in another process: every counter by a name that stays the same from version to version.
//!
//! Gauges are not among them: they follow what is open in their own process. Invariant: a counter of [`Metrics`] that
//! is missing here fails a test.

use std::collections::HashMap;

use super::{CLASSES, LISTENERS, Metrics, PROTOCOLS};
use crate::observe::cause::Cause;
use crate::observe::count::Counter;

/// Fields by their own names.
macro_rules! named {
    ($metrics:ident: $($($field:ident).+),+ $(,)?) => {
        [$((stringify!($($field).+).to_owned(), &$metrics.$($field).+)),+]
    };
}

impl Metrics {
    /// What was counted, by name.
    pub fn counted(&self) -> Vec<(String, u64)> {
        let all = self.counters().into_iter();
        all.map(|(name, counter)| (name, counter.get())).collect()
    }

    /// Adds what another process counted before; names that are not known here are left out.
    pub fn count_on(&self, before: &[(String, u64)]) {
        let before: HashMap<&str, u64> = before
            .iter()
            .map(|(name, count)| (name.as_str(), *count))
            .collect();
        for (name, counter) in self.counters() {
            counter.add(before.get(name.as_str()).copied().unwrap_or_default());
        }
    }

    fn counters(&self) -> Vec<(String, &Counter)> {
        let mut all = Vec::from(named![self:
            connections_refused_total_cap, connections_refused_client_cap, accepts_failed,
            proxy_headers.taken, proxy_headers.absent, proxy_headers.missing, proxy_headers.untrusted,
            proxy_headers.malformed, proxy_headers.too_long, proxy_headers.timed_out,
            tls_handshakes_done, tls_handshakes_failed, tls_handshakes_timed_out,
            tls_refused.not_tls, tls_refused.malformed, tls_refused.no_name, tls_refused.unknown_name,
            tls_refused.no_agreement, tls_refused.by_client, tls_refused.left,
            body_bytes_in, body_bytes_out,
            streams_opened, streams_refused, stream_bytes_in, stream_bytes_out,
            datagrams_in, datagrams_out, datagrams_refused, datagrams_lost,
            tunnels_opened, tunnel_bytes_in, tunnel_bytes_out,
            upstream_connections_opened, upstream_connections_reused, upstream_connections_failed,
            upstream_connections_timed_out, upstream_connections_untrusted,
            upstream_retries, upstream_retries_unaffordable, upstream_requests_queued, upstream_circuits_opened,
            access_log_lines.written, access_log_lines.dropped, log_lines.written, log_lines.dropped,
            reloads_done, reloads_refused, upgrades_done, upgrades_refused, panics,
        ]);
        for (label, counter) in LISTENERS.iter().zip(&self.connections_accepted) {
            all.push((format!("connections_accepted.{label}"), counter));
        }
        for (protocol, classes) in PROTOCOLS.iter().zip(&self.requests) {
            for (class, counter) in CLASSES.iter().zip(classes) {
                all.push((format!("requests.{protocol}.{class}"), counter));
            }
        }
        for cause in Cause::all() {
            let counter = &self.answers[cause as usize];
            all.push((format!("answers.{}", cause.code()), counter));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_counter_goes_on_in_the_next_process() {
        let metrics = Metrics::new();
        let names: HashSet<String> = metrics
            .counted()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let there = format!("{metrics:?}").matches("Counter(").count();
        assert_eq!(names.len(), there, "`Metrics::counters` has all of them");
    }

    #[test]
    fn counts_are_added_by_name() {
        let (old, new) = (Metrics::new(), Metrics::new());
        old.reloads_done.add(3);
        old.answered(Cause::UpstreamClosed);
        new.reloads_done.inc();
        let mut counted = old.counted();
        counted.push(("of_another_version".to_owned(), 9));
        new.count_on(&counted);
        assert_eq!(new.reloads_done.get(), 4);
        assert_eq!(new.answers(Cause::UpstreamClosed), 1);
    }
}
